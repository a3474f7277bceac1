%% The LWW register's laws, and the LWW map against a plain model over random histories.
-module(muster_lww_tests).

-include_lib("proper/include/proper.hrl").
-include_lib("eunit/include/eunit.hrl").

%% ------------------------------------------------------------------------------------------
%% Register

register_laws_test_() ->
    {timeout, 3600, fun() -> muster_crdt_gen:check(vector(3, register()), fun laws/1, 3000) end}.

%% Few stamps and nodes, so that all ties come up; values that are `==' but not `=:='.
register() ->
    ?LET(
        {Value, Stamp, Node},
        {oneof([muster_crdt_gen:element(), oneof([1, 1.0])]), integer(1, 3), oneof([a, b])},
        (muster_lww_register:new(x))#{value := Value, timestamp := Stamp, node := Node}
    ).

%% Shrinking may leave fewer than three.
laws([A, B, C]) ->
    Merge = fun muster_lww_register:merge/2,
    Merge(A, B) =:= Merge(B, A) andalso
        Merge(A, A) =:= A andalso
        Merge(A, Merge(B, C)) =:= Merge(Merge(A, B), C) andalso
        lists:member(Merge(A, B), [A, B]);
laws(_) ->
    true.

update_after_seeing_wins_test() ->
    Ahead = (muster_lww_register:new(old, a))#{timestamp := 1 bsl 60},
    Mine = muster_lww_register:merge(muster_lww_register:new(mine, z), Ahead),
    Updated = muster_lww_register:update(Mine, new, z),
    ?assertEqual(new, muster_lww_register:value(muster_lww_register:merge(Ahead, Updated))),
    ?assertEqual(new, muster_lww_register:value(muster_lww_register:merge(Updated, Ahead))).

one_bad_stamp_spoils_no_other_test() ->
    Bad = (muster_lww_register:new(bad, a))#{timestamp := 1 bsl 60},
    _ = muster_lww_register:update(Bad, x),
    #{timestamp := Stamp} = muster_lww_register:new(good),
    ?assert(abs(Stamp - erlang:system_time(microsecond)) < 60000000).

stamps_grow_test() ->
    Registers = lists:foldl(
        fun(N, [R | _] = Rs) -> [muster_lww_register:update(R, N) | Rs] end,
        [muster_lww_register:new(0)],
        lists:seq(1, 1000)
    ),
    Stamps = [S || #{timestamp := S} <- Registers],
    ?assertEqual(Stamps, lists:reverse(lists:usort(Stamps))).

malformed_register_test() ->
    Good = muster_lww_register:new(x),
    [
        begin
            ?assertError(badarg, muster_lww_register:merge(Good, Bad)),
            ?assertError(badarg, muster_lww_register:update(Bad, y))
        end
     || Bad <- [x, #{}, Good#{timestamp := x}, maps:remove(value, Good), Good#{'__struct__' := other}]
    ].

%% ------------------------------------------------------------------------------------------
%% Map

map_histories_test_() ->
    {timeout, 3600, fun() -> muster_crdt_gen:check(list(command()), fun history/1, 2000) end}.

command() ->
    Slot = integer(1, 4),
    Key = oneof([muster_crdt_gen:element(), oneof([k, 1, 1.0])]),
    frequency([
        {10, {put, Slot, Key}},
        {6, {remove, Slot, Key}},
        {8, {merge, Slot, Slot}},
        {2, {copy, Slot, Slot}},
        {1, restart}
    ]).

replica(Slot) -> lists:nth(Slot, [a, a, b, c]).

%% The model: which writes, by number, were seen, and which live under each key.
history(Commands) ->
    Empty = {muster_lww_map:new(), #{}, #{}},
    Slots = lists:foldl(fun run/2, maps:from_list([{S, Empty} || S <- [1, 2, 3, 4]]), lists:enumerate(Commands)),
    Maps = [M || {M, _, _} <- maps:values(Slots)],
    lists:all(
        fun({A, B, C}) ->
            AB = muster_lww_map:merge(A, B),
            AB == muster_lww_map:merge(B, A) andalso
                muster_lww_map:merge(AB, C) == muster_lww_map:merge(A, muster_lww_map:merge(B, C)) andalso
                muster_lww_map:merge(AB, A) == AB
        end,
        [{A, B, C} || A <- Maps, B <- Maps, C <- Maps]
    ).

run({N, {put, Slot, Key}}, Slots) ->
    #{Slot := {Map, Live, Seen}} = Slots,
    Put = muster_lww_map:put(Map, Key, N, replica(Slot)),
    %% What this value has seen is replaced, whatever stamp it had.
    {ok, N} = muster_lww_map:find(Put, Key),
    check(Slots#{Slot := {Put, Live#{Key => #{N => x}}, Seen#{N => x}}}, Slot);
run({_, {remove, Slot, Key}}, Slots) ->
    #{Slot := {Map, Live, Seen}} = Slots,
    check(Slots#{Slot := {muster_lww_map:remove(Map, Key), maps:remove(Key, Live), Seen}}, Slot);
run({_, {merge, To, From}}, Slots) ->
    #{To := {MapA, LiveA, SeenA}, From := {MapB, LiveB, SeenB}} = Slots,
    Live = maps:from_list([
        {Key, Writes}
     || Key <- maps:keys(maps:merge(LiveA, LiveB)),
        Writes <- [merge_writes(maps:get(Key, LiveA, #{}), SeenA, maps:get(Key, LiveB, #{}), SeenB)],
        map_size(Writes) > 0
    ]),
    check(Slots#{To := {muster_lww_map:merge(MapA, MapB), Live, maps:merge(SeenA, SeenB)}}, To);
run({_, {copy, To, From}}, Slots) ->
    Slots#{To := maps:get(From, Slots)};
run({_, restart}, Slots) ->
    ok = muster_crdt_gen:forget_lineages(),
    Slots.

merge_writes(A, SeenA, B, SeenB) ->
    maps:merge(
        maps:filter(fun(N, _) -> is_map_key(N, B) orelse not is_map_key(N, SeenB) end, A),
        maps:filter(fun(N, _) -> is_map_key(N, A) orelse not is_map_key(N, SeenA) end, B)
    ).

%% Later commands have later stamps; so of the live writes, the one with the highest number wins.
check(Slots, Slot) ->
    #{Slot := {Map, Live, _}} = Slots,
    ok = muster_crdt_gen:check_form(Map),
    true = muster_lww_map:to_map(Map) =:= maps:map(fun(_, Writes) -> lists:max(maps:keys(Writes)) end, Live),
    true = muster_lww_map:size(Map) =:= map_size(Live),
    Slots.

equal_stamps_test() ->
    A = muster_lww_map:new(),
    ?assertEqual(none, muster_lww_map:get(A, k, none)),
    ?assertError({badkey, k}, muster_lww_map:get(A, k)),
    ?assert(muster_lww_register:precedes(1, 1.0) xor muster_lww_register:precedes(1.0, 1)),
    ?assert(muster_lww_register:precedes({x, 1}, {x, 1.0}) xor muster_lww_register:precedes({x, 1.0}, {x, 1})).

malformed_map_test() ->
    Map = muster_lww_map:put(muster_lww_map:new(), k, v),
    #{root := Root} = Map,
    Bad = Map#{root := setelement(5, Root, [{1, 1, x, v}])},
    ?assertError(badarg, muster_lww_map:get(Bad, k)),
    ?assertError(badarg, muster_lww_map:to_list(Bad)),
    ?assertError(badarg, muster_lww_map:put(Bad, k, v)),
    ?assertError(badarg, muster_lww_map:merge(Map, muster_or_set:new())).

%% Every word spoiled in turn, those of concurrent writes of one key included.
malformed_maps_test_() ->
    {timeout, 300, fun() ->
        Put = fun(N, Map) -> muster_lww_map:put(Map, N, N) end,
        Base = lists:foldl(Put, muster_lww_map:new(), lists:seq(1, 20)),
        [Map, Other] = [muster_lww_map:put(Base, k, R, R) || R <- [a, b]],
        Forked = muster_lww_map:merge(Map, Other),
        [poke(Spoiled, Other) || Spoiled <- muster_crdt_gen:spoil(Forked)]
    end}.

poke(Spoiled, Other) ->
    muster_crdt_gen:answers_or_refuses([
        fun() -> muster_lww_map:put(Spoiled, k, x) end,
        fun() -> muster_lww_map:remove(Spoiled, k) end,
        fun() -> muster_lww_map:find(Spoiled, k) end,
        fun() -> muster_lww_map:is_key(Spoiled, k) end,
        fun() -> muster_lww_map:keys(Spoiled) end,
        fun() -> muster_lww_map:to_list(Spoiled) end,
        fun() -> muster_lww_map:size(Spoiled) end,
        fun() -> muster_lww_map:merge(Spoiled, Other) end,
        fun() -> muster_lww_map:merge(Other, Spoiled) end,
        fun() -> muster_lww_map:equal(Other, Spoiled) end
    ]).
