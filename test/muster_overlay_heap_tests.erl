%% What the garbage collector is told, as the process's own flags say. It rounds up.
-module(muster_overlay_heap_tests).

-include_lib("eunit/include/eunit.hrl").

%% Each in a process of its own, whose flags are changed.
heap_test_() ->
    [
        {spawn, fun binaries_that_grow_and_shrink/0},
        {spawn, fun a_load_is_expected/0},
        {spawn, fun what_is_announced_is_not_all_believed/0}
    ].

%% More binaries are expected than there are, but not very many more.
binaries_that_grow_and_shrink() ->
    Growing = [trunc(1000000 * math:pow(1.1, N)) || N <- lists:seq(0, 50)],
    Grown = lists:foldl(fun follows/2, muster_overlay_heap:new(), Growing),
    Shrunk = lists:foldl(fun follows/2, Grown, lists:reverse(Growing)),
    {min_bin_vheap_size, Default} = erlang:system_info(min_bin_vheap_size),
    _ = muster_overlay_heap:holds(0, 0, Shrunk),
    ?assertEqual(Default, flag(min_bin_vheap_size)).

follows(Bytes, Heap) ->
    Held = muster_overlay_heap:holds(1, Bytes, Heap),
    Words = Bytes div erlang:system_info(wordsize),
    ?assert(2 * flag(min_bin_vheap_size) >= 3 * Words),
    ?assert(flag(min_bin_vheap_size) =< 10 * Words),
    Held.

a_load_is_expected() ->
    {min_heap_size, Default} = erlang:system_info(min_heap_size),
    Half = load(1, 1000, muster_overlay_heap:begin_load(2000, muster_overlay_heap:new())),
    ?assert(flag(min_heap_size) >= 2000 * 20),
    %% What comes is less than what was expected, and changes nothing.
    All = load(1001, 2000, Half),
    ?assert(flag(min_heap_size) >= 2000 * 20),
    _ = muster_overlay_heap:end_load(All),
    ?assertEqual(Default, flag(min_heap_size)).

load(From, To, Heap) ->
    lists:foldl(fun(N, H) -> muster_overlay_heap:holds(N, 200 * N, H) end, Heap, lists:seq(From, To)).

what_is_announced_is_not_all_believed() ->
    Begun = muster_overlay_heap:holds(0, 0, muster_overlay_heap:begin_load(1 bsl 59, muster_overlay_heap:new())),
    ?assert(flag(min_heap_size) < 100000),
    Some = muster_overlay_heap:holds(10000, 2000000, Begun),
    ?assert(flag(min_heap_size) >= 10000 * 20),
    ?assert(flag(min_heap_size) < 10000 * 1000),
    _ = muster_overlay_heap:holds(1 bsl 40, 2000000, Some),
    ?assert(flag(min_heap_size) < 16 * 1024 * 1024).

flag(Flag) ->
    {garbage_collection, Flags} = process_info(self(), garbage_collection),
    proplists:get_value(Flag, Flags).
