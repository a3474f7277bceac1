%% Single-node mode's table: who commands, and with which token.
-module(muster_topology_alone_tests).
-include_lib("eunit/include/eunit.hrl").

-define(A, muster_topology_alone).
-define(R, muster_topology_roles).

rows(Table) -> ?R:rows(?A:roles(Table)).
commander(Table) -> ?R:commander(?A:roles(Table)).

new() ->
    ?A:enter(1000, 7, ?A:new(self@h, 1)).

alone_test() ->
    ?assertEqual([{self@h, commander}], rows(new())),
    ?assertEqual({1000, 7}, ?A:token(new())),
    %% Terms rise, also where the clock goes back.
    ?assertEqual({1001, 8}, ?A:token(?A:enter(5, 8, new()))).

promotion_test() ->
    Two = ?A:join(wing@h, new()),
    ?assertEqual([{self@h, commander}, {wing@h, wingmate}], rows(Two)),
    ?assertEqual({1000, 7}, ?A:token(Two)),
    {ok, Pinned} = ?A:promote(wing@h, commander, Two),
    ?assertEqual([{self@h, wingmate}, {wing@h, commander}], rows(Pinned)),
    ?assertEqual({1001, 7}, ?A:token(Pinned)),
    {ok, Same} = ?A:promote(wing@h, commander, Pinned),
    ?assertEqual({1001, 7}, ?A:token(Same)),
    Left = ?A:leave(wing@h, Pinned),
    ?assertEqual([{self@h, commander}], rows(Left)),
    ?assertEqual({1002, 7}, ?A:token(Left)),
    {ok, Relay} = ?A:promote(wing@h, relay, Pinned),
    ?assertEqual([{self@h, commander}, {wing@h, relay}], rows(Relay)),
    {ok, Nobody} = ?A:promote(self@h, observer, Relay),
    ?assertEqual(undefined, commander(Nobody)),
    ?assertEqual({error, unknown_node}, ?A:promote(ghost@h, relay, Two)),
    ?assertEqual(Two, ?A:leave(self@h, Two)).

quorum_test() ->
    Table = ?A:join(wing@h, ?A:new(self@h, 2)),
    ?assertEqual(undefined, commander(Table)),
    ?assertEqual({error, no_commander}, ?A:promote(wing@h, commander, Table)),
    ?assertEqual({error, unknown_node}, ?A:promote(ghost@h, commander, Table)).

rename_test() ->
    {ok, Pinned} = ?A:promote(nonode@nohost, commander, ?A:new(nonode@nohost, 1)),
    ?assertEqual([{self@h, commander}], rows(?A:rename(self@h, Pinned))).
