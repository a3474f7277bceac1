%% muster_discovery with a fake C node and injected ways to connect: what the C node says and what
%% becomes of it.
-module(muster_discovery_tests).
-include_lib("eunit/include/eunit.hrl").
%% Called by name; before eventually.hrl, which holds functions.
-export([connect/2, disconnect/2, listed/1]).

-include("support/eventually.hrl").

-define(D, muster_discovery).
-define(KEY, <<"muster_discovery/t">>).

%%% A cluster in a table: who is connected, and what connecting to whom does.

connect(Table, Node) ->
    ets:insert(Table, {{attempt, Node, make_ref()}, erlang:monotonic_time(millisecond)}),
    case ets:lookup(Table, {answer, Node}) of
        [{_, hang}] -> timer:sleep(infinity);
        [{_, crash}] -> error(crash);
        [{_, Answer}] -> Answer;
        [] -> ets:insert(Table, {{up, Node}})
    end.

disconnect(Table, Node) ->
    ets:insert(Table, {{disconnected, Node}}),
    ets:delete(Table, {up, Node}).

listed(Table) ->
    case ets:lookup(Table, list) of
        [{_, hang}] -> timer:sleep(infinity);
        [{_, crash}] -> error(crash);
        [{_, Answer}] -> Answer;
        [] -> [Node || [Node] <- ets:match(Table, {{up, '$1'}})]
    end.

attempts(Table, Node) ->
    length(ets:match(Table, {{attempt, Node, '_'}, '_'})).

%%% Fixtures

setup(Options) ->
    logger:set_primary_config(level, none),
    Table = ets:new(cluster, [public]),
    Path = filename:join([filename:dirname(?FILE), "support", "fake_cnode"]),
    {ok, Checked} = muster_cnode_program:options([{cnode_path, Path}, {heartbeat_ms, 50}]),
    {ok, Cnode} = muster_cnode:start_link(Checked),
    unlink(Cnode),
    {ok, Pid} = ?D:start_link(maps:merge(options(Table), Options)),
    unlink(Pid),
    Table.

options(Table) ->
    #{
        topologies => [{t, fake, []}],
        connect => {?MODULE, connect, [Table]},
        disconnect => {?MODULE, disconnect, [Table]},
        list_nodes => {?MODULE, listed, [Table]},
        check_interval => 10, backoff_min_ms => 20, backoff_max_ms => 100, stable_ms => 10,
        consult => false
    }.

cleanup(_) ->
    ?D:stop(),
    gen_server:stop(muster_cnode),
    logger:set_primary_config(level, notice).

with(Body) ->
    with(#{}, Body).

with(Options, Body) ->
    {setup, fun() -> setup(Options) end, fun cleanup/1, fun(Table) ->
        {timeout, 30, fun() ->
            ok = ?D:subscribe(),
            Body(Table)
        end}
    end}.

tell(Event) ->
    tell(?KEY, Event).

tell(Key, Event) ->
    {ok, sent} = muster_cnode:call(fake, send, [{event, discovery, Key, Event}]),
    ok.

peers() ->
    [Node || #{node := Node} <- ?D:snapshot()].

next_event() ->
    receive
        {muster_discovery, Event} -> Event
    after 5000 -> none
    end.

seen(Op) ->
    case muster_cnode:call(fake, seen, 0) of
        {ok, Seen} -> [Arg || {discovery, O, Arg} <- Seen, O =:= Op];
        {error, _} -> []
    end.

%%% Tests

topology_is_started_test_() ->
    with(#{topologies => [{t, fake, [{port, 1}, {secret, "hush"}, {mode, ip}]}]}, fun(_) ->
        ?assertEqual(
            [#{
                topology => ?KEY, strategy => fake,
                options => #{port => 1, secret => <<"hush">>, mode => ip}
            }],
            seen(start)
        ),
        %% What the status repeats are not secrets.
        #{topologies := #{t := #{options := Options}}} = ?D:status(),
        ?assertEqual(#{port => 1, mode => ip}, Options),
        %% Nor does a crash report.
        Shown = io_lib:format("~p", [sys:get_status(?D)]),
        ?assertEqual(nomatch, string:find(Shown, "hush"))
    end).

found_test_() ->
    with(fun(Table) ->
        tell({found, <<"a@h">>}),
        ?assertEqual({peer_up, 'a@h', #{}}, next_event()),
        ?assertEqual(['a@h'], peers()),
        ?assertMatch({ok, #{topologies := [t]}}, ?D:lookup(<<"a@h">>)),
        [?assertEqual({error, {peer_not_found, Odd}}, ?D:lookup(Odd)) || Odd <- [<<"never-heard-of@h">>, "a@h", 7]],
        tell({metadata, <<"a@h">>, 5, #{<<"k">> => <<"v">>}}),
        ?assertEqual({peer_update, 'a@h', #{<<"k">> => <<"v">>}}, next_event()),
        tell({metadata, <<"a@h">>, 4, #{<<"k">> => <<"old">>}}),
        %% No longer listed, and connected all the same.
        tell({lost, <<"a@h">>, <<"gone">>}),
        ?assertEqual(['a@h'], peers()),
        ?assertEqual(1, attempts(Table, 'a@h')),
        ets:delete(Table, {up, 'a@h'}),
        ?assertMatch({peer_down, 'a@h', <<_/binary>>}, next_event()),
        ?assertMatch(#{connects := 1, events := 3}, ?D:metrics()),
        ?assertEqual([], ets:match(Table, {{disconnected, '$1'}}))
    end).

%% A connection that was lost waits for the C node's link, and then for its next `found'.
lost_connection_test_() ->
    with(fun(Table) ->
        tell({found, <<"a@h">>}),
        ?assertMatch({peer_up, _, _}, next_event()),
        ets:delete(Table, {up, 'a@h'}),
        ?assertMatch({peer_down, _, _}, next_event()),
        ?eventually(maps:get(phase, maps:get(<<"a@h">>, maps:get(connections, ?D:status()))) =:= waiting),
        ?assertEqual(1, attempts(Table, 'a@h')),
        tell({found, <<"a@h">>}),
        ?assertMatch({peer_up, _, _}, next_event()),
        ?assertEqual(2, attempts(Table, 'a@h'))
    end).

unproven_test_() ->
    Unproven = {unproven, <<"unproven-name@h">>, tls_required, <<"why">>},
    [
        with(fun(_) ->
            tell(Unproven),
            tell({found, <<"a@h">>}),
            ?assertMatch({peer_up, 'a@h', _}, next_event()),
            ?assertError(badarg, binary_to_existing_atom(<<"unproven-name", "@h">>))
        end),
        with(#{topologies => [{t, static, [{nodes, [<<"named@h">>]}]}]}, fun(_) ->
            tell({unproven, <<"named@h">>, tls_required, <<"why">>}),
            ?assertMatch({peer_up, 'named@h', _}, next_event())
        end),
        with(#{connect_unproven => true}, fun(_) ->
            tell({unproven, <<"some@h">>, tls_required, <<"why">>}),
            ?assertMatch({peer_up, 'some@h', _}, next_event())
        end)
    ].

attempts_fail_test_() ->
    [
        with(fun(Table) ->
            ets:insert(Table, {{answer, 'a@h'}, Answer}),
            tell({found, <<"a@h">>}),
            ?eventually(maps:get(connect_failures, ?D:metrics()) >= 1),
            ?assertEqual([], peers()),
            ets:delete(Table, {answer, 'a@h'}),
            ?eventually(begin tell({found, <<"a@h">>}), peers() =:= ['a@h'] end)
        end)
     || Answer <- [false, ignored, crash, nonsense]
    ].

%% One hung attempt delays no other, and ends itself.
hung_attempt_test_() ->
    with(#{connect_workers => 2, connect_timeout => 300}, fun(Table) ->
        ets:insert(Table, {{answer, 'hung@h'}, hang}),
        tell({found, <<"hung@h">>}),
        ?eventually(attempts(Table, 'hung@h') =:= 1),
        [tell({found, <<N, "@h">>}) || N <- "abcdef"],
        ?eventually(length(peers()) =:= 6),
        ?eventually(maps:get(connect_failures, ?D:metrics()) =:= 1),
        %% Never twice at once.
        ?assertEqual(1, attempts(Table, 'hung@h'))
    end).

backend_test_() ->
    with(fun(_) ->
        ?assertEqual(up, ?D:health()),
        ?assertMatch(#{last_sync_time := undefined, last_error := undefined}, ?D:health_info()),
        tell({sync, error, <<"no answer from 10.0.0.1">>}),
        ?eventually(?D:health() =:= {degraded, <<"no answer from 10.0.0.1">>}),
        ?assertMatch(#{last_error := <<"no answer", _/binary>>}, ?D:health_info()),
        tell({sync, ok, #{duration_us => 1234, listed => 3}}),
        ?eventually(?D:health() =:= up),
        ?assertMatch(#{syncs := 1, failures := 1, last_duration_us := 1234}, ?D:metrics()),
        #{last_sync_time := At, last_error := undefined} = ?D:health_info(),
        ?assert(abs(At - erlang:system_time(millisecond)) < 5000)
    end).

sync_test_() ->
    with(#{topologies => [{t, fake, []}, {u, fake, []}]}, fun(_) ->
        Test = self(),
        Ask = fun() -> spawn_link(fun() -> Test ! {synced, ?D:sync(?D, 2000)} end) end,
        Answer = fun() -> receive {synced, Result} -> Result after 5000 -> none end end,
        Ok = {sync, ok, #{duration_us => 1, listed => 0}},
        Ask(),
        ?eventually(length(seen(sync)) =:= 2),
        tell(Ok),
        tell(<<"muster_discovery/u">>, Ok),
        ?assertEqual(ok, Answer()),
        Ask(),
        ?eventually(length(seen(sync)) =:= 4),
        tell({sync, error, <<"no">>}),
        tell(<<"muster_discovery/u">>, Ok),
        ?assertEqual({error, {sync_failed, <<"no">>}}, Answer()),
        ?assertEqual({error, {timeout, 30}}, ?D:sync(?D, 30))
    end).

cnode_restarts_test_() ->
    with(fun(Table) ->
        tell({found, <<"a@h">>}),
        ?assertMatch({peer_up, _, _}, next_event()),
        ok = ?D:set_metadata(#{zone => x}),
        {error, cnode_down} = muster_cnode:call(fake, exit, 1),
        ?eventually(length(seen(start)) =:= 1),
        ?eventually(?D:health() =:= up),
        ?assertMatch([#{metadata := #{<<"zone">> := <<"x">>}}], seen(set_metadata)),
        tell({found, <<"a@h">>}),
        tell({found, <<"b@h">>}),
        ?assertEqual({peer_up, 'b@h', #{}}, next_event()),
        ?assertEqual(1, attempts(Table, 'a@h'))
    end).

server_restarts_test_() ->
    with(fun(_) ->
        exit(whereis(muster_cnode), kill),
        ?eventually(?D:health() =/= up),
        Path = filename:join([filename:dirname(?FILE), "support", "fake_cnode"]),
        {ok, Checked} = muster_cnode_program:options([{cnode_path, Path}, {heartbeat_ms, 50}]),
        {ok, Cnode} = muster_cnode:start_link(Checked),
        unlink(Cnode),
        ?eventually(?D:health() =:= up),
        ?assertEqual(1, length(seen(start)))
    end).

metadata_versions_grow_test_() ->
    with(fun(_) ->
        [ok = ?D:set_metadata(#{n => [$0 + N]}) || N <- lists:seq(1, 5)],
        ?eventually(length(seen(set_metadata)) =:= 6),
        Versions = [V || #{version := V} <- seen(set_metadata)],
        ?assertEqual(lists:usort(Versions), Versions),
        ?assertMatch(#{<<"n">> := <<"5">>, <<"capabilities">> := <<"discovery">>}, ?D:get_metadata())
    end).

%% Who waits may die, and what is asked may be nonsense.
await_test_() ->
    with(fun(_) ->
        {Waiting, Monitor} = spawn_monitor(fun() -> ?D:await(1, infinity) end),
        ?eventually(lists:member({process, Waiting}, monitored())),
        exit(Waiting, kill),
        receive {'DOWN', Monitor, _, _, _} -> ok end,
        ?eventually(not lists:member({process, Waiting}, monitored())),
        ?assertEqual({error, {timeout, 10}}, ?D:await(1, 10)),
        ?assertNot(lists:member({process, self()}, monitored() -- [{process, self()}])),
        Pid = whereis(?D),
        [
            ?assertError(function_clause, apply(?D, F, A))
         || {F, A} <- [
                {await, [1, -1]}, {await, [1, soon]}, {await, [-1, 5]}, {await, [1, 1 bsl 64]},
                {sync, [?D, 0]}, {sync, [?D, infinity]}, {sync, [?D, 1 bsl 64]}
            ]
        ],
        tell({found, <<"a@h">>}),
        ?assertEqual(ok, ?D:await(1, infinity)),
        ?assertEqual(Pid, whereis(?D))
    end).

monitored() ->
    {monitors, Monitors} = process_info(whereis(?D), monitors),
    Monitors.

%% A `list_nodes' that fails for a while says nothing of who is connected.
list_nodes_fails_test_() ->
    with(fun(Table) ->
        tell({found, <<"a@h">>}),
        ?assertMatch({peer_up, 'a@h', _}, next_event()),
        [
            begin
                ets:insert(Table, {list, Answer}),
                timer:sleep(50),
                ?assertEqual(['a@h'], peers())
            end
         || Answer <- [crash, not_a_list, ['a@h' | improper]]
        ],
        ets:delete(Table, list),
        ?assertEqual(['a@h'], peers()),
        ?assertEqual(1, attempts(Table, 'a@h')),
        ets:delete(Table, {up, 'a@h'}),
        ?assertMatch({peer_down, 'a@h', _}, next_event())
    end).

%% Also what fails to start, and is tried again, stays away.
drain_failed_test_() ->
    with(fun(_) ->
        Monitor = muster_cnode:register(generation, test),
        Generation = receive {muster_cnode, up, Its} -> Its after 5000 -> error(no_cnode) end,
        erlang:demonitor(Monitor, [flush]),
        Reply = fun(Result) -> whereis(?D) ! {muster_cnode, reply, {start, Generation, t}, Result} end,
        Reply({error, {invalid_argument, <<"no">>}}),
        ?eventually(?D:health() =:= {down, <<"no">>}),
        ok = ?D:drain(),
        whereis(?D) ! {retry, Generation, t},
        Reply({ok, #{}}),
        ?assertMatch({degraded, <<"the node is draining">>}, ?D:health()),
        ?assertEqual(1, length(seen(start))),
        ?assertEqual([#{topology => ?KEY}], seen(stop)),
        ok = ?D:resume(),
        ?eventually(length(seen(start)) =:= 2)
    end).

%% Without a name nothing is found and nobody connected, unless somebody else connects.
not_distributed_test_() ->
    Mine = #{connect => {net_kernel, connect_node, []}},
    [
        with(Mine, fun(_) -> ?assertMatch({degraded, <<"this node is not distributed", _/binary>>}, ?D:health()) end)
     || not is_alive()
    ] ++ [with(fun(_) -> ?assertEqual(up, ?D:health()) end)].

%% Such as by a range of ports that has none left: nobody can be dialled.
kept_out_test_() ->
    with(fun(_) ->
        {ok, sent} = muster_cnode:call(fake, send, [{event, node, peers, {kept_out, <<"no port">>}}]),
        ?eventually(?D:health() =:= {degraded, <<"the C node stays out of the cluster: no port">>}),
        {ok, sent} = muster_cnode:call(fake, send, [{event, node, peers, {kept_out, none}}]),
        ?eventually(?D:health() =:= up)
    end).

name_match_fails_test_() ->
    Match = fun(<<"bad">>) -> error(oops); (_) -> true end,
    Topology = {t, [{strategy, 'Elixir.Cluster.Strategy.ErlangHosts'}, {config, [{name_match, Match}]}]},
    with(#{topologies => [Topology]}, fun(_) ->
        tell({found, <<"bad@h">>}),
        tell({found, <<"good@h">>}),
        ?assertMatch({peer_up, 'good@h', _}, next_event())
    end).

drain_test_() ->
    with(fun(Table) ->
        ok = ?D:drain(),
        ?eventually(length(seen(stop)) =:= 1),
        tell({found, <<"a@h">>}),
        ?assertMatch({degraded, _}, ?D:health()),
        ?assertEqual(0, attempts(Table, 'a@h')),
        ok = ?D:resume(),
        ?eventually(length(seen(start)) =:= 2),
        ?assertMatch({peer_up, 'a@h', _}, next_event())
    end).

prune_test_() ->
    with(fun(Table) ->
        [tell({found, N}) || N <- [<<"a@h">>, <<"b@h">>]],
        ?eventually(length(peers()) =:= 2),
        ets:delete(Table, {up, 'a@h'}),
        ?eventually(peers() =:= ['b@h']),
        ?assertEqual(['a@h'], ?D:prune()),
        ?assertEqual([['a@h']], ets:match(Table, {{disconnected, '$1'}})),
        ?assertEqual([], ?D:prune())
    end).

%% What the user's functions hold up is who asked for it, and nobody else.
prune_waits_test_() ->
    with(fun(Table) ->
        ets:insert(Table, {list, hang}),
        {_, Connector, _} = gen_server:call(?D, status),
        ?eventually(process_info(Connector, current_function) =:= {current_function, {timer, sleep, 1}}),
        Pruning = spawn(fun() -> ?D:prune() end),
        ?eventually(process_info(Pruning, status) =:= {status, waiting}),
        tell({found, <<"a@h">>}),
        tell({sync, ok, #{duration_us => 1, listed => 1}}),
        ?eventually(maps:get(syncs, ?D:metrics()) =:= 1),
        exit(Pruning, kill)
    end).

name_match_test_() ->
    Topology = {t, [{strategy, 'Elixir.Cluster.Strategy.ErlangHosts'}, {config, [{name_match, <<"app">>}]}]},
    with(#{topologies => [Topology]}, fun(_) ->
        tell({found, <<"other@h">>}),
        tell({found, <<"my_app@h">>}),
        ?assertMatch({peer_up, 'my_app@h', _}, next_event()),
        ?assertEqual(['my_app@h'], peers())
    end).

subscribers_test_() ->
    with(fun(_) ->
        Test = self(),
        Subscriber = spawn(fun() ->
            ok = ?D:subscribe(),
            Test ! subscribed,
            receive
                Message -> Test ! {heard, Message}
            end
        end),
        receive subscribed -> ok end,
        ok = ?D:unsubscribe(),
        tell({found, <<"a@h">>}),
        receive
            {heard, Heard} -> ?assertEqual({muster_discovery, {peer_up, 'a@h', #{}}}, Heard);
            {muster_discovery, _} -> error(still_subscribed)
        after 5000 -> error(nothing)
        end,
        ?eventually(begin
            {monitors, Monitors} = process_info(whereis(?D), monitors),
            not lists:member({process, Subscriber}, Monitors)
        end)
    end).

%% The connector ends with its server, and the C node forgets the topology.
stop_test_() ->
    with(fun(_) ->
        {links, Links} = process_info(whereis(?D), links),
        ok = ?D:stop(),
        ?eventually(lists:all(fun(P) -> not is_pid(P) orelse not is_process_alive(P) end, Links)),
        ?eventually(seen(stop) =:= [#{topology => ?KEY}]),
        ?assertEqual(ok, ?D:stop())
    end).

overlap_test_() ->
    Overlap = fun(Up, Mine, Theirs) ->
        muster_overlap:cut_off(<<"me@h">>, <<"you@h">>, Up, Mine, Theirs)
    end,
    [
        ?_assertEqual(Expected, Overlap(Up, Mine, Theirs))
     || {Up, Mine, Theirs, Expected} <- [
            {[], #{}, #{}, []},
            %% It reaches a third, I do not.
            {[], #{<<"c@h">> => timeout}, #{<<"c@h">> => connected}, [<<"c@h">>]},
            {[], #{<<"c@h">> => connected}, #{<<"c@h">> => connected}, []},
            %% I have the third, it does not reach it.
            {[<<"c@h">>], #{<<"c@h">> => connected}, #{<<"c@h">> => unreachable}, [<<"c@h">>]},
            {[<<"c@h">>], #{<<"c@h">> => timeout}, #{<<"c@h">> => connected}, []},
            %% The third is dead for both, or merely not known there.
            {[], #{<<"c@h">> => timeout}, #{<<"c@h">> => timeout}, []},
            {[<<"c@h">>], #{}, #{}, []},
            {[<<"you@h">>], #{<<"me@h">> => timeout}, #{<<"me@h">> => closed}, []}
        ]
    ].
