%% @private
%% Checks options against a table that names each one's default, test and expectation, so
%% that every wrong option is reported the same way: its name, its value, what is expected.
-module(muster_options).

-export([check/2, pairs/1, integer/3, one_of/2]).

-export_type([table/0, invalid/0]).

-type rule() :: {Default :: term(), Test :: fun((term()) -> boolean()), Expected :: binary()}.
-type table() :: #{atom() => rule()}.
-type invalid() :: {invalid_option, Name :: term(), Value :: term(), Expected :: binary()}.

%% Options as a property list or a map become a full map, or the first fault found.
-spec check(term(), table()) -> {ok, #{atom() => term()}} | {error, invalid()}.
check(Options, Table) when is_map(Options) ->
    check(maps:to_list(Options), Table);
%% An improper list has no length.
check(Options, Table) when length(Options) >= 0 ->
    Defaults = maps:map(fun(_, {Default, _, _}) -> Default end, Table),
    %% As in a property list, the first of several values counts.
    fold(lists:reverse(proplists:unfold(Options)), Table, Defaults);
check(Options, _Table) ->
    {error, {invalid_option, options, Options, <<"a property list or a map">>}}.

fold([], _Table, Checked) ->
    {ok, Checked};
fold([{Name, Value} | Rest], Table, Checked) ->
    case Table of
        #{Name := {_, Test, Expected}} ->
            case Test(Value) of
                true -> fold(Rest, Table, Checked#{Name => Value});
                false -> {error, {invalid_option, Name, Value, Expected}}
            end;
        #{} ->
            Names = lists:join(", ", [atom_to_list(N) || N <- lists:sort(maps:keys(Table))]),
            {error, {invalid_option, Name, Value, text("one of the options ~ts", [Names])}}
    end;
fold([Odd | _], _Table, _Checked) ->
    {error, {invalid_option, options, Odd, <<"a property list or a map">>}}.

%% A property list or a map as pairs with atoms for names, or `error' for anything else.
-spec pairs(term()) -> {ok, [{atom(), term()}]} | error.
pairs(Options) when is_map(Options) ->
    pairs(maps:to_list(Options));
pairs(Options) when is_list(Options) ->
    IsPair = fun(Pair) -> tuple_size(Pair) =:= 2 andalso is_atom(element(1, Pair)) end,
    try
        Pairs = proplists:unfold(Options),
        true = lists:all(IsPair, Pairs),
        {ok, Pairs}
    catch
        error:_ -> error
    end;
pairs(_) ->
    error.

%% A rule: an integer in a range, with its unit for the message.
-spec integer(integer(), {integer(), integer()}, string()) -> rule().
integer(Default, {Min, Max}, Unit) ->
    {Default, fun(V) -> is_integer(V) andalso V >= Min andalso V =< Max end,
        text("an integer from ~b to ~b (~ts)", [Min, Max, Unit])}.

%% A rule: one of some atoms.
-spec one_of(atom(), [atom()]) -> rule().
one_of(Default, Atoms) ->
    {Default, fun(V) -> lists:member(V, Atoms) end,
        text("~ts", [lists:join(" or ", [atom_to_list(A) || A <- Atoms])])}.

text(Format, Arguments) ->
    unicode:characters_to_binary(io_lib:format(Format, Arguments)).
