%% Who waits right after a topology's start, and until when.
-module(muster_topology_early_tests).
-include_lib("eunit/include/eunit.hrl").

-define(E, muster_topology_early).

early_test() ->
    New = ?E:new(),
    ?assertEqual(no, ?E:wait(list_nodes, from, New)),
    {waits, One} = ?E:wait(get_command, from1, New),
    {waits, Two} = ?E:wait({promote, n@h, relay}, from2, One),
    ?assertNot(?E:is_settling(Two)),
    {Waited, Settling} = ?E:next(settling, Two),
    ?assertEqual([{get_command, from1}, {{promote, n@h, relay}, from2}], Waited),
    ?assert(?E:is_settling(Settling)),
    ?assertEqual(no, ?E:wait(get_command, from3, Settling)),
    {[], Over} = ?E:next(over, Settling),
    ?assertNot(?E:is_settling(Over)),
    %% Another commander is no new start.
    ?assertEqual({[], Over}, ?E:next(settling, Over)),
    ?assertMatch({Waited, Over}, ?E:next(over, Two)).
