%% What the CRDT tests share: elements of every kind, a check of the trie's form, and running
%% properties with a seed that is printed when they fail.
-module(muster_crdt_gen).

-include_lib("proper/include/proper.hrl").

-export([check/3, element/0, check_form/1, forget_lineages/0, spoil/1, answers_or_refuses/1]).

%% Runs `Test' on MUSTER_PROPER_RUNS (or `Default') lists made by a PropEr generator. PropEr's own
%% runner takes no seed, and a counterexample with funs and pids in it cannot be typed in again:
%% here MUSTER_PROPER_SEED, which a failure prints, repeats a run. A failing list is shrunk.
check(Generator, Test, Default) ->
    Runs = environment("MUSTER_PROPER_RUNS", Default),
    Seed = environment("MUSTER_PROPER_SEED", erlang:phash2({os:timestamp(), os:getpid()})),
    lists:foreach(fun(Run) -> check_one(Generator, Test, Seed, Run) end, lists:seq(1, Runs)).

environment(Name, Default) ->
    case os:getenv(Name) of
        false -> Default;
        Value -> list_to_integer(Value)
    end.

check_one(Generator, Test, Seed, Run) ->
    Size = 2 + Run rem 60,
    {ok, Commands} = proper_gen:pick(Generator, Size, {Seed, Run, 7}),
    case outcome(Test, Commands) of
        true ->
            ok;
        Failure ->
            %% At once: what fails only sometimes may not fail again.
            io:format(user, "~nMUSTER_PROPER_SEED=~p fails in run ~p: ~tp~n", [Seed, Run, Failure]),
            fail(Test, shrink(Test, Commands, length(Commands) div 2), Seed, Run)
    end.

fail(Test, Commands, Seed, Run) ->
    io:format(user, "shrunk:~n~p~n", [Commands]),
    true = Test(Commands),
    error({failed_only_once, {seed, Seed}, {run, Run}}).

holds(Test, Commands) ->
    outcome(Test, Commands) =:= true.

outcome(Test, Commands) ->
    try
        Test(Commands)
    catch
        Class:Reason:Stack -> {Class, Reason, Stack}
    end.

%% Leaves out what the failure does not need: long stretches first.
shrink(_Test, Commands, 0) ->
    Commands;
shrink(Test, Commands, Length) ->
    Starts = lists:seq(0, max(0, length(Commands) - Length), Length),
    Shorter = [lists:sublist(Commands, S) ++ lists:nthtail(min(length(Commands), S + Length), Commands) || S <- Starts],
    case [C || C <- Shorter, length(C) < length(Commands), not holds(Test, C)] of
        [Smaller | _] -> shrink(Test, Smaller, min(Length, length(Smaller)));
        [] -> shrink(Test, Commands, Length div 2)
    end.

%% Elements that are hard to tell apart or to hash, among ordinary ones.
element() ->
    frequency([
        {4, oneof(colliding())},
        {3, oneof(neighbours())},
        {3, oneof(odd())},
        {2, integer()},
        {1, binary()},
        {1, any_term()}
    ]).

any_term() ->
    resize(6, any()).

%% Of every type; 1 and 1.0 are `==' but not `=:='.
odd() ->
    [
        1, 1.0, 0, 0.0, -1, 1 bsl 70, a, [], {}, #{}, "x", <<"x">>, <<1:3>>, <<5:13>>, [1 | 2], [1.0 | 2],
        {1, 1.0}, {1.0, 1}, #{1 => a}, #{1.0 => a}, #{1 => 1}, #{1 => 1.0}, big_map(1), big_map(1.0),
        fun erlang:node/0, fun lists:map/2, closure(1), closure(1.0), self(), foreign_pid(1), foreign_pid(2),
        foreign_reference(), binary:copy(<<"long ">>, 5000), lists:seq(1, 1000)
    ].

big_map(Last) ->
    maps:from_list([{N, N} || N <- lists:seq(1, 40)] ++ [{last, Last}]).

closure(X) ->
    fun() -> X end.

foreign_pid(N) ->
    binary_to_term(<<131, 88, 100, 0, 7, "a@there", N:32, 0:32, 7:32>>).

foreign_reference() ->
    binary_to_term(<<131, 90, 0, 3, 100, 0, 7, "a@there", 7:32, 1:32, 2:32, 3:32>>).

%% Integers with the same `phash2', three at a time.
colliding() ->
    cached(colliding, fun() -> triples(lists:sort([{erlang:phash2(N), N} || N <- lists:seq(1, 1500000)])) end).

triples([{H, A}, {H, B}, {H, C} | Rest]) -> [A, B, C | triples(Rest)];
triples([_ | Rest]) -> triples(Rest);
triples([]) -> [].

%% Integers whose hashes share the first 12 bits: three levels of the trie.
neighbours() ->
    cached(neighbours, fun() ->
        lists:sublist([N || N <- lists:seq(1, 500000), erlang:phash2(N) bsr 15 =:= 1234], 24)
    end).

cached(Name, Make) ->
    case persistent_term:get({?MODULE, Name}, none) of
        none ->
            Made = Make(),
            persistent_term:put({?MODULE, Name}, Made),
            Made;
        Made ->
            Made
    end.

%% The table of lineages as it is after a restart of the VM: empty.
forget_lineages() ->
    _ = code:purge(muster_nif),
    case code:delete(muster_nif) of
        true ->
            _ = code:purge(muster_nif),
            {module, muster_nif} = code:load_file(muster_nif),
            ok;
        false ->
            %% Some other test's process has just loaded it again.
            forget_lineages()
    end.

%% What malformed values may do to calls: nothing worse than badarg.
answers_or_refuses(Calls) ->
    [
        try
            Call()
        catch
            error:badarg -> badarg
        end
     || Call <- Calls
    ].

%% All terms that differ from this one in one place.
spoil(Term) ->
    Bad = [-1, 1 bsl 32 - 1, 1 bsl 58, 1 bsl 64, 1.5, x, [], {}, {0}, {0, 1, 1}, [x | y], #{}, muster_trie:empty()],
    spoil(Term, Bad).

spoil(Term, Bad) ->
    Bad ++ spoil_inside(Term, Bad).

spoil_inside(Tuple, Bad) when is_tuple(Tuple) ->
    [setelement(I, Tuple, X) || I <- lists:seq(1, tuple_size(Tuple)), X <- spoil(element(I, Tuple), Bad)] ++
        [erlang:append_element(Tuple, x)] ++
        [erlang:delete_element(I, Tuple) || I <- lists:seq(1, tuple_size(Tuple))];
spoil_inside(Map, Bad) when is_map(Map) ->
    [Map#{Key := X} || {Key, Value} <- maps:to_list(Map), X <- spoil(Value, Bad)] ++
        [maps:remove(Key, Map) || Key <- maps:keys(Map)];
spoil_inside([Head | Tail], Bad) ->
    [[X | Tail] || X <- spoil(Head, Bad)] ++ [[Head | X] || X <- spoil(Tail, Bad)];
spoil_inside(_, _) ->
    [].

%% Whether a value has the one form that it should, with right counts and sums.
check_form(#{root := Root, context := Context}) ->
    Counters = muster_causal:counters(Context),
    {_, _, Keys} = check_node(Root, [], Counters),
    true = length(Keys) =:= muster_trie:size(Root),
    true = lists:all(fun(Group) -> check_group(Group) end, maps:values(Context)),
    ok.

check_group(Group) ->
    Pairs = [{-element(I + 1, Group), element(I, Group)} || I <- lists:seq(1, tuple_size(Group), 2)],
    Pairs =/= [] andalso Pairs =:= lists:usort(Pairs).

check_node(Node, Path, Counters) ->
    [Map, Count, Sum | Words] = tuple_to_list(Node),
    Depth = length(Path),
    Leaves = popcount(Map band 16#ffff),
    Children = popcount(Map bsr 16),
    {Keys, Tallies} =
        case Depth of
            7 ->
                0 = Map,
                First = [muster_dot(Head, Tail) || {_, Head, Tail} <- threes(Words)],
                true = First =:= lists:sort(First),
                check_leaves([{Path, Leaf} || Leaf <- threes(Words)], Counters);
            _ ->
                true = length(Words) =:= 3 * Leaves + Children,
                true = Depth =:= 0 orelse Leaves >= 2 orelse Children >= 1,
                {LeafWords, ChildNodes} = lists:split(3 * Leaves, Words),
                LeafSlots = [S || S <- lists:seq(15, 0, -1), (Map bsr S) band 1 =:= 1],
                ChildSlots = [S || S <- lists:seq(0, 15), (Map bsr (S + 16)) band 1 =:= 1],
                [] = [S || S <- LeafSlots, lists:member(S, ChildSlots)],
                {K1, T1} = check_leaves(
                    lists:zip([Path ++ [S] || S <- LeafSlots], threes(LeafWords)), Counters
                ),
                Below = [check_node(C, Path ++ [S], Counters) || {S, C} <- lists:zip(ChildSlots, ChildNodes)],
                {K1 ++ [K || {_, _, Ks} <- Below, K <- Ks], T1 ++ [T || {_, T, _} <- Below]}
        end,
    Count = length(Keys),
    Sum = lists:sum(Tallies) band 16#7ffffffffffffff,
    true = Depth =:= 0 orelse Count >= 2,
    {Count, Sum, Keys}.

muster_dot(Lineage, N) when is_integer(Lineage) -> {Lineage, N};
muster_dot([Sibling | _], []) -> {element(1, Sibling), element(2, Sibling)}.

threes([A, B, C | Rest]) -> [{A, B, C} | threes(Rest)];
threes([]) -> [].

check_leaves(Leaves, Counters) ->
    {[Key || {_, {Key, _, _}} <- Leaves], [check_leaf(Path, Leaf, Counters) || {Path, Leaf} <- Leaves]}.

check_leaf(Path, {Key, Head, Tail}, Counters) ->
    true = lists:prefix(Path, slots(Key)),
    Siblings =
        case Tail of
            [] -> Head;
            _ -> [{Head, Tail}]
        end,
    Dots = [{element(1, S), element(2, S)} || S <- Siblings],
    true = Dots =:= lists:usort(Dots) andalso Dots =/= [],
    true = lists:all(fun(Dot) -> muster_causal:is_seen(Dot, Counters) end, Dots),
    true = Tail =/= [] orelse length(Siblings) > 1 orelse tuple_size(hd(Siblings)) =:= 4,
    lists:sum([muster_nif:dot_hash(L, N) || {L, N} <- Dots]).

slots(Key) ->
    Bits = erlang:phash2(Key) bsl 1,
    [(Bits bsr Shift) band 15 || Shift <- [24, 20, 16, 12, 8, 4, 0]].

popcount(0) -> 0;
popcount(Bits) -> (Bits band 1) + popcount(Bits bsr 1).
