%% Waits for a condition: an expression that becomes true before a deadline.
-define(eventually(Expr), eventually(fun() -> Expr end, ??Expr, 20000)).

eventually(Fun, Text, Ms) ->
    eventually_until(Fun, Text, erlang:monotonic_time(millisecond) + Ms).

eventually_until(Fun, Text, Deadline) ->
    case Fun() of
        true ->
            true;
        Other ->
            erlang:monotonic_time(millisecond) < Deadline orelse
                error({never_became_true, Text, Other}),
            receive after 10 -> ok end,
            eventually_until(Fun, Text, Deadline)
    end.
