%% No call holds a normal scheduler for more than a millisecond, however big the values.
%%
%% A busy machine may take a scheduler thread's core away at any time, which looks the same; but
%% not in each of many attempts. So an operation passes with the first attempt that is clean.
-module(muster_crdt_schedule_tests).

-include_lib("eunit/include/eunit.hrl").

-define(SIZE, 200000).
-define(ATTEMPTS, 60).
-define(LARGE_HEAP, 20000000).

schedule_test_() ->
    {setup, fun values/0, fun(_) -> ok end, fun({A, B, Small, Old}) ->
        List = muster_or_set:to_list(A),
        More = muster_or_set:merge(A, muster_or_set:from_list(lists:seq(-3000, -1))),
        Delta = muster_crdt_delta:delta(A, More),
        [
            {timeout, 120, {Name, fun() -> is_brief(Operation) end}}
         || {Name, Operation} <- [
                {"merge of disjoint sets", fun() -> muster_or_set:merge(A, B) end},
                {"merge into a small set", fun() -> muster_or_set:merge(Small, A) end},
                {"merge where all was removed", fun() -> muster_or_set:merge(A, Old) end},
                {"from_list", fun() -> muster_or_set:from_list(List) end},
                {"to_list", fun() -> muster_or_set:to_list(A) end},
                {"equal", fun() -> muster_or_set:equal(A, B) end},
                {"add", fun() -> muster_or_set:add(A, x) end},
                {"add, next to a big element", fun() -> muster_or_set:add(Small, 1) end},
                {"delta", fun() -> muster_crdt_delta:delta(A, More) end},
                {"join", fun() -> muster_crdt_delta:join(A, Delta) end}
            ]
        ]
    end}.

%% What a call costs is more than the number of elements says.
costly_test_() ->
    Binaries = fun(From) -> [<<N:64, 0:64000>> || N <- lists:seq(From, From + 1499)] end,
    Lists = fun(Replica) -> muster_or_set:from_list([lists:seq(N, N + 2000) || N <- lists:seq(1, 600)], Replica) end,
    [
        {timeout, 120, {Name, fun() -> is_brief(Operation) end}}
     || {Name, Operation} <- [
            {"from_list of big elements", with([Binaries(1)], fun muster_or_set:from_list/1)},
            {"from_list of elements with one hash", with([same_hash()], fun muster_or_set:from_list/1)},
            {"merge of big elements",
                with([muster_or_set:from_list(Binaries(N)) || N <- [1, 2000]], fun muster_or_set:merge/2)},
            {"merge of the same big elements", with([Lists(a), Lists(b)], fun muster_or_set:merge/2)}
        ]
    ].

with(Arguments, Fun) ->
    fun() -> apply(Fun, Arguments) end.

%% Of a pid only the number is hashed, not what follows it.
same_hash() ->
    Pids = [list_to_pid("<0.100." ++ integer_to_list(N) ++ ">") || N <- lists:seq(1, 1600)],
    [_] = lists:usort([erlang:phash2(Pid) || Pid <- Pids]),
    Pids.

values() ->
    A = muster_or_set:from_list(lists:seq(1, ?SIZE), a),
    B = muster_or_set:from_list(lists:seq(?SIZE + 1, 2 * ?SIZE), b),
    %% Removes them all, having seen them.
    Old = lists:foldl(fun(E, S) -> muster_or_set:remove(S, E) end, A, lists:seq(1, ?SIZE)),
    {A, B, muster_or_set:from_list(beside(1)), Old}.

%% Elements that take long to hash, of which some share 1's slot in the root.
beside(Element) ->
    Long = [lists:seq(1, 50000 + N) || N <- lists:seq(1, 60)],
    Sharing = [L || L <- Long, erlang:phash2(L) bsr 23 =:= erlang:phash2(Element) bsr 23],
    true = Sharing =/= [],
    [hd(Sharing)].

is_brief(Operation) ->
    is_brief(Operation, [], ?ATTEMPTS).

is_brief(_Operation, Longest, 0) ->
    error({held_the_scheduler_for_ms, lists:min(Longest)});
is_brief(Operation, Longest, Left) ->
    case attempt(Operation) of
        none -> ok;
        Milliseconds -> is_brief(Operation, [Milliseconds | Longest], Left - 1)
    end.

%% The longest time that the operation's process held its scheduler, from a millisecond on.
attempt(Operation) ->
    {Pid, Reference} = spawn_monitor(fun() ->
        receive
            go -> Operation()
        end,
        %% A process is judged when it leaves its scheduler, but not when it ends there.
        erlang:yield()
    end),
    erlang:system_monitor(self(), [{long_schedule, 1}, {large_heap, ?LARGE_HEAP}]),
    Pid ! go,
    receive
        {'DOWN', Reference, process, Pid, normal} -> ok
    end,
    await_reports(),
    erlang:system_monitor(undefined),
    longest_schedule(Pid, none).

%% Reports come by way of another thread, which keeps their order: here is the last.
await_reports() ->
    {Last, Reference} = spawn_opt(erlang, garbage_collect, [], [monitor, {min_heap_size, ?LARGE_HEAP}]),
    receive
        {monitor, Last, large_heap, _} -> true = demonitor(Reference, [flush])
    after 30000 -> error(no_report)
    end.

longest_schedule(Pid, Longest) ->
    receive
        {monitor, Pid, long_schedule, Info} ->
            Milliseconds = proplists:get_value(timeout, Info),
            longest_schedule(Pid, if Longest =:= none -> Milliseconds; true -> max(Longest, Milliseconds) end);
        {monitor, _, _, _} ->
            longest_schedule(Pid, Longest)
    after 0 -> Longest
    end.
