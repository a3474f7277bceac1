%% The OR-Set against a plain model, over random histories.
%%
%% What must hold after every command:
%% - each value has exactly the elements of its model;
%% - each value has the one form of its dots, with right counts and sums;
%% and at the end: values whose models are the same are the same terms, and merging is
%% commutative, associative and idempotent.
%%
%% The model is a set of uniquely numbered adds that were seen, and those that live. What the
%% histories contain: three replicas, two of them with two values each (forks on one node), adds,
%% re-adds, removals, merges, copies, values restored from old, and restarts of the VM.
-module(muster_or_set_tests).

-include_lib("proper/include/proper.hrl").
-include_lib("eunit/include/eunit.hrl").

-define(SLOTS, [1, 2, 3, 4, 5]).

replica(1) -> a;
replica(2) -> a;
replica(3) -> b;
replica(4) -> b;
replica(5) -> c.

histories_test_() ->
    {timeout, 3600, fun() -> muster_crdt_gen:check(list(command()), fun history/1, 3000) end}.

history(Commands) ->
    Values = lists:foldl(fun run/2, fresh(), Commands),
    check_laws([maps:get(Slot, Values) || Slot <- ?SLOTS]).

command() ->
    Slot = oneof(?SLOTS),
    Element = muster_crdt_gen:element(),
    frequency([
        {10, {add, Slot, Element}},
        {6, {add, Slot, oneof([1, 1.0, 2, x])}},
        {6, {remove, Slot, Element}},
        {6, {remove, Slot, oneof([1, 1.0, 2, x])}},
        {2, {remove_some, Slot, non_neg_integer()}},
        {1, {build, Slot, list(Element)}},
        {8, {merge, Slot, Slot}},
        {4, {copy, Slot, Slot}},
        {2, {save, Slot}},
        {2, {restore, Slot}},
        {2, {merge_saved, Slot}},
        {1, through_binary},
        {1, restart}
    ]).

fresh() ->
    Empty = {muster_or_set:new(), {#{}, #{}}},
    maps:from_list([{saved, Empty}, {next, 1} | [{Slot, Empty} || Slot <- ?SLOTS]]).

%% Values and models move in step.
run({add, Slot, Element}, State) ->
    #{Slot := {Set, {Live, Seen}}, next := Next} = State,
    Added = {muster_or_set:add(Set, Element, replica(Slot)), {Live#{Element => #{Next => x}}, Seen#{Next => x}}},
    check(Slot, State#{Slot := Added, next := Next + 1});
run({remove, Slot, Element}, State) ->
    #{Slot := {Set, {Live, Seen}}} = State,
    Removed = muster_or_set:remove(Set, Element),
    true = is_map_key(Element, Live) orelse Removed =:= Set,
    check(Slot, State#{Slot := {Removed, {maps:remove(Element, Live), Seen}}});
run({remove_some, Slot, N}, State) ->
    #{Slot := {Set, _}} = State,
    case muster_or_set:to_list(Set) of
        [] -> State;
        Elements -> run({remove, Slot, lists:nth(1 + N rem length(Elements), Elements)}, State)
    end;
run({build, Slot, Elements}, #{next := Next} = State) ->
    Numbered = lists:zip(lists:seq(Next, Next + length(Elements) - 1), Elements),
    Live = maps:from_list([{E, #{N => x}} || {N, E} <- Numbered]),
    Model = {Live, maps:from_list([{N, x} || {N, _} <- Numbered])},
    Built = {muster_or_set:from_list(Elements, replica(Slot)), Model},
    check(Slot, State#{Slot := Built, next := Next + length(Elements)});
run({merge, To, From}, State) ->
    check(To, State#{To := merge(maps:get(To, State), maps:get(From, State))});
run({merge_saved, To}, #{saved := Saved} = State) ->
    check(To, State#{To := merge(maps:get(To, State), Saved)});
run({copy, To, From}, State) ->
    State#{To := maps:get(From, State)};
run({save, Slot}, State) ->
    State#{saved := maps:get(Slot, State)};
run({restore, Slot}, #{saved := Value} = State) ->
    State#{Slot := Value};
run(through_binary, #{saved := {Set, Model}} = State) ->
    State#{saved := {binary_to_term(term_to_binary(Set)), Model}};
run(restart, State) ->
    ok = muster_crdt_gen:forget_lineages(),
    State.

merge({SetA, ModelA}, {SetB, ModelB}) ->
    {muster_or_set:merge(SetA, SetB), merge_models(ModelA, ModelB)}.

merge_models({LiveA, SeenA}, {LiveB, SeenB}) ->
    Keys = maps:keys(maps:merge(LiveA, LiveB)),
    Live = [
        {Key, Adds}
     || Key <- Keys,
        A <- [maps:get(Key, LiveA, #{})],
        B <- [maps:get(Key, LiveB, #{})],
        Adds <- [
            maps:merge(
                maps:filter(fun(N, _) -> is_map_key(N, B) orelse not is_map_key(N, SeenB) end, A),
                maps:filter(fun(N, _) -> is_map_key(N, A) orelse not is_map_key(N, SeenA) end, B)
            )
        ],
        map_size(Adds) > 0
    ],
    {maps:from_list(Live), maps:merge(SeenA, SeenB)}.

check(Slot, State) ->
    #{Slot := {Set, {Live, _}}} = State,
    Elements = muster_or_set:to_list(Set),
    true = maps:from_list([{E, x} || E <- Elements]) =:= maps:map(fun(_, _) -> x end, Live),
    true = length(Elements) =:= map_size(Live),
    true = muster_or_set:size(Set) =:= map_size(Live),
    true = lists:all(fun(E) -> muster_or_set:is_member(Set, E) end, maps:keys(Live)),
    ok = muster_crdt_gen:check_form(Set),
    State.

check_laws(Pairs) ->
    Sets = [Set || {Set, _} <- Pairs],
    same_terms(Pairs) andalso
        lists:all(fun(A) -> muster_or_set:merge(A, A) == A end, Sets) andalso
        lists:all(
            fun({A, B}) ->
                AB = muster_or_set:merge(A, B),
                ok = muster_crdt_gen:check_form(AB),
                AB == muster_or_set:merge(B, A) andalso
                    muster_or_set:merge(AB, A) == AB andalso
                    muster_or_set:merge(B, AB) == AB andalso
                    lists:all(
                        fun(C) -> muster_or_set:merge(AB, C) == muster_or_set:merge(A, muster_or_set:merge(B, C)) end,
                        Sets
                    )
            end,
            [{A, B} || A <- Sets, B <- Sets]
        ).

%% Values that saw and hold the same adds are equal however they came about. A model counts adds,
%% so two values may only be compared if both made the same ones.
same_terms(Pairs) ->
    lists:all(
        fun({{A, ModelA}, {B, ModelB}}) -> ModelA =/= ModelB orelse A == B end,
        [{A, B} || A <- Pairs, B <- Pairs]
    ).

%% ------------------------------------------------------------------------------------------

forks_on_one_node_test() ->
    Both = muster_or_set:merge(
        muster_or_set:add(muster_or_set:new(), "x"), muster_or_set:add(muster_or_set:new(), "y")
    ),
    ?assertEqual(["x", "y"], lists:sort(muster_or_set:to_list(Both))).

%% The other branch's add must not pass for one that was seen and removed.
branches_of_one_base_test() ->
    Base = muster_or_set:add(muster_or_set:new(), base),
    A = muster_or_set:remove(muster_or_set:add(Base, a), a),
    B = muster_or_set:add(Base, b),
    ?assertEqual([b, base], lists:sort(muster_or_set:to_list(muster_or_set:merge(A, B)))).

restored_from_disk_test() ->
    Saved = muster_or_set:add(muster_or_set:new(), saved),
    Later = muster_or_set:add(Saved, later),
    Restored = muster_or_set:add(binary_to_term(term_to_binary(Saved)), other),
    ?assertEqual([later, other, saved], lists:sort(muster_or_set:to_list(muster_or_set:merge(Later, Restored)))).

add_wins_test() ->
    Base = muster_or_set:from_list([x]),
    Merged = muster_or_set:merge(muster_or_set:remove(Base, x), muster_or_set:add(Base, x)),
    ?assertEqual([x], muster_or_set:to_list(Merged)).

removing_nothing_changes_nothing_test() ->
    Set = muster_or_set:from_list(lists:seq(1, 100)),
    ?assert(erts_debug:same(Set, muster_or_set:remove(Set, absent))),
    ?assertEqual(muster_or_set:new(), muster_or_set:remove(muster_or_set:new(), absent)).

%% One lineage leaves one entry, however much was added and removed.
nothing_left_after_removal_test() ->
    Elements = lists:seq(1, 20000),
    Full = lists:foldl(fun(E, S) -> muster_or_set:add(S, E) end, muster_or_set:new(), Elements),
    Empty = lists:foldl(fun(E, S) -> muster_or_set:remove(S, E) end, Full, Elements),
    ?assertEqual(0, muster_or_set:size(Empty)),
    ?assert(erts_debug:flat_size(Empty) < 200).

%% Words and bytes of term_to_binary for each element, the element included.
compact_test() ->
    [
        begin
            Set = muster_or_set:from_list([<<I:(Size * 8)>> || I <- lists:seq(1, N)]),
            ?assert(erts_debug:flat_size(Set) / N =< Words),
            ?assert(byte_size(term_to_binary(Set)) / N =< Bytes)
        end
     || {Size, Words, Bytes} <- [{8, 9, 40}, {16, 10, 46}], N <- [1000, 3000, 6000, 10000, 30000, 60000, 100000]
    ].

many_elements_test() ->
    Elements = [<<I:64>> || I <- lists:seq(1, 5000)],
    Built = muster_or_set:from_list(Elements ++ Elements),
    Added = lists:foldl(fun(E, S) -> muster_or_set:add(S, E, other) end, muster_or_set:new(), Elements),
    ok = muster_crdt_gen:check_form(Built),
    ok = muster_crdt_gen:check_form(Added),
    ?assert(muster_or_set:equal(Built, Added)),
    ?assertNot(muster_or_set:equal(Built, muster_or_set:remove(Added, <<1:64>>))),
    Merged = muster_or_set:merge(Built, Added),
    ok = muster_crdt_gen:check_form(Merged),
    ?assertEqual(5000, muster_or_set:size(Merged)),
    Half = lists:foldl(fun(E, S) -> muster_or_set:remove(S, E) end, Merged, lists:sublist(Elements, 2500)),
    ok = muster_crdt_gen:check_form(Half),
    ?assertEqual(Half, muster_or_set:merge(Half, Merged)),
    ?assertEqual(Half, muster_or_set:merge(Added, Half)).

%% Every word of a value spoiled in turn, by each of these: an exception, or an answer.
malformed_values_test_() ->
    {timeout, 300, fun() ->
        Set = lists:foldl(
            fun(E, S) -> muster_or_set:add(S, E) end,
            muster_or_set:merge(muster_or_set:from_list([1, 2, 3], a), muster_or_set:from_list([1, 5, 6], b)),
            lists:seq(1, 40)
        ),
        Other = muster_or_set:from_list([2, 3, 4, 40], c),
        [poke(Spoiled, Other) || Spoiled <- muster_crdt_gen:spoil(Set)]
    end}.

poke(Spoiled, Other) ->
    muster_crdt_gen:answers_or_refuses([
        fun() -> muster_or_set:add(Spoiled, 4) end,
        fun() -> muster_or_set:remove(Spoiled, 2) end,
        fun() -> muster_or_set:is_member(Spoiled, 2) end,
        fun() -> muster_or_set:to_list(Spoiled) end,
        fun() -> muster_or_set:size(Spoiled) end,
        fun() -> muster_or_set:merge(Spoiled, Other) end,
        fun() -> muster_or_set:merge(Other, Spoiled) end,
        fun() -> muster_or_set:equal(Other, Spoiled) end
    ]).
