-module(muster_discovery_topology_tests).

-include_lib("eunit/include/eunit.hrl").

-define(T, muster_discovery_topology).

new(Missing) ->
    Mfa = {net_kernel, connect_node, []},
    ?T:new(
        #{
            name => lan, strategy => gossip, options => #{port => 45892, secret => <<"hush">>},
            mfas => #{connect => Mfa, disconnect => Mfa, list_nodes => Mfa}, named => [],
            filter => fun(_) -> true end, missing => Missing
        },
        a_server
    ).

new() ->
    new(none).

runs_and_is_interrupted_test() ->
    ?assertMatch(#{strategy := gossip, options := #{secret := <<"hush">>}}, ?T:start_argument(new())),
    Started = ?T:started(new()),
    ?assertEqual(started, ?T:run_state(Started)),
    ?assertEqual(pending, ?T:run_state(?T:interrupted(Started))),
    ?assertEqual(pending, ?T:run_state(?T:stopped(Started))).

lacks_something_and_never_runs_test() ->
    Missing = new(<<"option query is missing">>),
    ?assertEqual(none, ?T:start_argument(Missing)),
    ?assertEqual({missing, <<"option query is missing">>}, ?T:run_state(?T:stopped(?T:interrupted(Missing)))).

a_refusal_is_news_once_and_outlives_the_c_node_test() ->
    {true, Failed} = ?T:failed(<<"no">>, new()),
    ?assertMatch({false, _}, ?T:failed(<<"no">>, Failed)),
    ?assertMatch({true, _}, ?T:failed(<<"never">>, Failed)),
    ?assertEqual({failed, <<"no">>}, ?T:run_state(?T:interrupted(Failed))).

answers_of_the_backend_test() ->
    {true, Failed} = ?T:sync_failed(<<"no route">>, 5, new()),
    ?assertMatch({false, _}, ?T:sync_failed(<<"no route">>, 6, Failed)),
    {true, Later} = ?T:sync_failed(<<"no name">>, 7, new()),
    ?assertEqual(<<"no name">>, ?T:last_error([Later, Failed])),
    Synced = ?T:synced(1000, Failed),
    ?assertEqual(undefined, ?T:last_error([Synced])),
    ?assertEqual(1000, ?T:last_sync([new(), Synced, ?T:synced(999, new())])),
    ?assertEqual(undefined, ?T:last_sync([new()])).

who_refuses_us_test() ->
    Refused = ?T:unreached(<<"b@h">>, <<"why">>, ?T:started(new())),
    ?assertMatch(#{refused := [<<"why">>], beam := true}, ?T:facts(Refused)),
    ?assertMatch(#{refused := []}, ?T:facts(?T:reached(<<"b@h">>, Refused))),
    ?assertMatch(#{refused := []}, ?T:facts(?T:interrupted(Refused))).

secrets_stay_inside_test() ->
    Shows = fun(Term) -> string:find(io_lib:format("~p", [Term]), "hush") =/= nomatch end,
    ?assert(Shows(new())),
    ?assertNot(Shows(?T:concealed(new()))),
    ?assertNot(Shows(?T:status(new()))).
