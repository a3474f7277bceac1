%% muster_node_monitor on injected nodeup and nodedown messages, with no C node and with a fake one.
-module(muster_node_monitor_tests).
-include_lib("eunit/include/eunit.hrl").
-include("support/eventually.hrl").

-define(DEADLINE, 20000).
-define(M, muster_node_monitor).

fake_path() ->
    filename:join([filename:dirname(?FILE), "support", "fake_cnode"]).

start_cnode(Changes) ->
    logger:set_primary_config(level, none),
    {ok, Options} = muster_cnode_program:options(
        maps:to_list(maps:merge(#{cnode_path => fake_path(), heartbeat_ms => 50}, Changes))
    ),
    {ok, Pid} = muster_cnode:start_link(Options),
    unlink(Pid),
    Pid.

start(none) ->
    start_monitor([]);
start(Changes) ->
    start_cnode(Changes),
    start_monitor([]).

start_monitor(Options) ->
    {ok, Pid} = ?M:start_link(Options),
    unlink(Pid),
    Pid.

stop(_) ->
    gen_server:stop(?M),
    case whereis(muster_cnode) of
        undefined -> ok;
        Pid -> gen_server:stop(Pid)
    end,
    logger:set_primary_config(level, notice).

with(Cnode, Body) ->
    {setup, fun() -> start(Cnode) end, fun stop/1, fun(_) -> {timeout, 30, Body} end}.

%% The events, in order, that came until the monitor had handled all that was sent to it.
events() ->
    ?M:list_healthy(),
    receive
        {swarm_event, Event} -> [Event | events()]
    after 0 -> []
    end.

send(Message) ->
    ?M ! Message,
    ok.

connection(Node) ->
    {ok, #{connection := Connection}} = ?M:get_health(Node),
    Connection.

watched(Name) ->
    {ok, Seen} = muster_cnode:call(fake, seen, 0),
    [maps:with([status, silent_ms], Arg) || {monitor, watch, #{node := N} = Arg} <- Seen, N =:= Name].

%% With and without the application, the BEAM's word counts.
beam_events_test_() ->
    [
        with(Cnode, fun() ->
            ?assertEqual([], ?M:list_all()),
            ?assertEqual({error, unknown}, ?M:get_health('a@h')),
            ok = ?M:subscribe(),
            ok = ?M:subscribe(),
            send({nodeup, 'b@h'}),
            send({nodeup, 'a@h'}),
            send({nodeup, 'a@h'}),
            send({nodeup, node()}),
            ?assertEqual([{node_up, 'b@h'}, {node_up, 'a@h'}], events()),
            ?assertEqual(['a@h', 'b@h'], ?M:list_healthy()),
            {ok, Health} = ?M:get_health('a@h'),
            ?assertMatch(
                #{
                    node := 'a@h', status := healthy, rtt_history := [], avg_rtt_ms := 0.0,
                    min_rtt_ms := 0.0, max_rtt_ms := 0.0, jitter_ms := 0.0,
                    connection_reason := <<_, _/binary>>
                },
                Health
            ),
            #{joined_at := Joined, last_seen := Joined} = Health,
            ?assert(abs(erlang:monotonic_time(millisecond) - Joined) < ?DEADLINE),
            send({nodedown, 'a@h'}),
            send({nodedown, 'a@h'}),
            send({nodedown, 'stranger@h'}),
            ?assertEqual([{node_down, 'a@h'}], events()),
            ?assertEqual(['b@h'], ?M:list_healthy()),
            ?assertMatch([#{node := 'a@h', status := down}, #{node := 'b@h', status := healthy}], ?M:list_all()),
            %% A return is a new record.
            send({nodeup, 'a@h'}),
            ?assertEqual([{node_up, 'a@h'}], events()),
            ?assertMatch({ok, #{status := healthy}}, ?M:get_health('a@h')),
            ?assertEqual([], ?M:list_suspect()),
            ok = ?M:unsubscribe(),
            send({nodedown, 'a@h'}),
            ?assertEqual([], events())
        end)
     || Cnode <- [none, #{cnode => disabled}]
    ].

unavailable_test_() ->
    with(#{cnode => disabled}, fun() ->
        send({nodeup, 'a@h'}),
        ?eventually(connection('a@h') =:= unavailable)
    end).

subscriber_dies_test_() ->
    with(none, fun() ->
        Test = self(),
        Subscriber = spawn(fun() ->
            ok = ?M:subscribe(),
            Test ! subscribed,
            receive finish -> ok end
        end),
        receive subscribed -> ok after ?DEADLINE -> error(not_subscribed) end,
        Monitors = fun() -> process_info(whereis(?M), monitors) end,
        {monitors, With} = Monitors(),
        ?assert(lists:member({process, Subscriber}, With)),
        Subscriber ! finish,
        ?eventually(begin
            {monitors, Now} = Monitors(),
            not lists:member({process, Subscriber}, Now)
        end)
    end).

forget_test() ->
    Pid = start_monitor([{forget_after_ms, 20}, {name, forgetful}]),
    forgetful ! {nodeup, 'a@h'},
    forgetful ! {nodeup, 'b@h'},
    forgetful ! {nodedown, 'a@h'},
    forgetful ! {nodedown, 'b@h'},
    %% Back in time, even if the timer had fired already.
    forgetful ! {nodeup, 'b@h'},
    forgetful ! {timeout, make_ref(), {forget, 'b@h'}},
    ?eventually(?M:get_health(forgetful, 'a@h') =:= {error, unknown}),
    ?assertEqual(['b@h'], ?M:list_healthy(forgetful)),
    gen_server:stop(Pid).

names_test_() ->
    [
        fun() ->
            Pid = start_monitor(#{name => Name}),
            ?assertEqual([], ?M:list_all(Server)),
            ?assertEqual(ok, ?M:subscribe(Server)),
            gen_server:stop(Pid)
        end
     || {Name, Server} <- [{some_name, some_name}, {{global, {a, 1}}, {global, {a, 1}}},
            {{via, global, lists:duplicate(300, x)}, {via, global, lists:duplicate(300, x)}}]
    ].

options_test_() ->
    [
        ?_assertMatch({error, {invalid_option, Name, Value, <<_/binary>>}}, ?M:start_link([{Name, Value}]))
     || {Name, Value} <- [
            {ping_interval_ms, 0}, {ping_interval_ms, 9}, {ping_interval_ms, 3600001},
            {ping_interval_ms, 1.5}, {suspect_after_ms, 0}, {suspect_after_ms, 1000}, {suspect_after_ms, infinity},
            {down_after_ms, 5000}, {down_after_ms, 86400001}, {forget_after_ms, 0},
            {forget_after_ms, never}, {name, "text"}, {name, undefined}, {name, nil}, {nonsense, 1}
        ]
    ].

%% Whoever is asked rarely is not suspect for that.
thresholds_test_() ->
    [
        {setup, fun() -> start_cnode(#{}), start_monitor(Options) end, fun stop/1, fun(_) ->
            {timeout, 30, fun() ->
                ?eventually([maps:with(maps:keys(Expected), Arg) || Arg <- started()] =:= [Expected])
            end}
        end}
     || {Options, Expected} <- [
            {[], #{ping_interval_ms => 1000, suspect_after_ms => 5000, down_after_ms => 30000}},
            {[{ping_interval_ms, 10000}], #{suspect_after_ms => 30000, down_after_ms => 60000}},
            {[{suspect_after_ms, 40000}], #{suspect_after_ms => 40000, down_after_ms => 80000}},
            {[{ping_interval_ms, 3600000}], #{suspect_after_ms => 10800000, down_after_ms => 21600000}}
        ]
    ].

started() ->
    {ok, Seen} = muster_cnode:call(fake, seen, 0),
    [Arg || {monitor, start, Arg} <- Seen].

child_spec_test() ->
    ?assertMatch(#{id := muster_node_monitor, start := {?M, start_link, [[]]}}, ?M:child_spec([])),
    ?assertMatch(#{id := x}, ?M:child_spec(#{name => x})).

figures_test_() ->
    with(#{}, fun() ->
        send({nodeup, 'a@h'}),
        send({nodeup, 'down@h'}),
        ?eventually(connection('a@h') =:= connected),
        {ok, Health} = ?M:get_health('a@h'),
        ?assertMatch(
            #{
                rtt_history := [0.0845, 0.12], avg_rtt_ms := 0.10225, min_rtt_ms := 0.0845,
                max_rtt_ms := 0.12, jitter_ms := 0.0355, connection_reason := <<>>
            },
            Health
        ),
        #{last_seen := LastSeen, joined_at := JoinedAt} = Health,
        ?assert(LastSeen >= JoinedAt),
        ?assertEqual(not_watched, connection('down@h')),
        ?assertMatch(
            [#{node := 'a@h', rtt_history := [_, _]}, #{node := 'down@h', connection := connected}],
            ?M:list_all()
        )
    end).

fake_event(Node, From, To) ->
    {ok, sent} = muster_cnode:call(fake, send, [
        {event, monitor, <<"muster_node_monitor">>, {status, Node, From, To}}
    ]),
    %% Both came through the same server, and the monitor answers after what it got before.
    ok.

status_changes_test_() ->
    with(#{}, fun() ->
        ok = ?M:subscribe(),
        send({nodeup, 'a@h'}),
        ?eventually(connection('a@h') =:= connected),
        fake_event(<<"a@h">>, healthy, suspect),
        fake_event(<<"a@h">>, healthy, suspect),
        fake_event(<<"never-named@h">>, healthy, suspect),
        ?assertEqual([{node_up, 'a@h'}, {status_change, 'a@h', healthy, suspect}], events()),
        ?assertEqual(['a@h'], ?M:list_suspect()),
        ?assertEqual([], ?M:list_healthy()),
        fake_event(<<"a@h">>, suspect, down),
        fake_event(<<"a@h">>, down, healthy),
        fake_event(<<"a@h">>, healthy, healthy),
        ?assertEqual(
            [{status_change, 'a@h', suspect, down}, {status_change, 'a@h', down, healthy}], events()
        ),
        %% The BEAM's word is final.
        send({nodedown, 'a@h'}),
        fake_event(<<"a@h">>, healthy, suspect),
        ?assertEqual([{node_down, 'a@h'}], events()),
        ?assertError(badarg, binary_to_existing_atom(<<"never-named", "@h">>))
    end).

cnode_restart_test_() ->
    with(#{}, fun() ->
        ok = ?M:subscribe(),
        [send({nodeup, Node}) || Node <- ['a@h', 'b@h', 'gone@h']],
        ?eventually(connection('b@h') =:= connected),
        fake_event(<<"b@h">>, healthy, suspect),
        send({nodedown, 'gone@h'}),
        ?assertEqual(5, length(events())),
        {ok, #{rtt_history := History}} = ?M:get_health('b@h'),
        {error, cnode_down} = muster_cnode:call(fake, exit, 1),
        %% While it is down: what is known.
        {ok, Known} = ?M:get_health('b@h'),
        ?assertMatch(#{status := suspect, rtt_history := History}, Known),
        ?eventually(connection('b@h') =:= connected),
        ?assertEqual([], events()),
        ?assertMatch([#{status := healthy, silent_ms := 0}], watched(<<"a@h">>)),
        [#{status := suspect, silent_ms := SilentMs}] = watched(<<"b@h">>),
        ?assert(SilentMs >= 5000),
        ?assertEqual([], watched(<<"gone@h">>)),
        fake_event(<<"b@h">>, suspect, healthy),
        ?assertEqual([{status_change, 'b@h', suspect, healthy}], events())
    end).

%% What the C node said of a node's earlier stay, before it knew of the new one.
stale_event_test_() ->
    with(#{}, fun() ->
        send({nodeup, 'a@h'}),
        ?eventually(connection('a@h') =:= connected),
        ok = ?M:subscribe(),
        muster_cnode:send_request({message, self(), slept}, fake, sleep, 200),
        send({nodedown, 'a@h'}),
        send({nodeup, 'a@h'}),
        Stale = {status, <<"a@h">>, suspect, down},
        send({muster_cnode, event, monitor, <<"muster_node_monitor">>, Stale}),
        ?assertEqual([{node_down, 'a@h'}, {node_up, 'a@h'}], events()),
        receive
            {muster_cnode, reply, slept, {ok, slept}} -> ok
        after ?DEADLINE -> error(no_reply)
        end,
        ?eventually(connection('a@h') =:= connected),
        fake_event(<<"a@h">>, healthy, suspect),
        ?assertEqual([{status_change, 'a@h', healthy, suspect}], events())
    end).

server_restart_test_() ->
    with(#{}, fun() ->
        ok = ?M:subscribe(),
        send({nodeup, 'a@h'}),
        ?eventually(connection('a@h') =:= connected),
        exit(whereis(muster_cnode), kill),
        ?eventually(connection('a@h') =:= cnode_down),
        start_cnode(#{}),
        ?eventually(connection('a@h') =:= connected),
        ?assertEqual([{node_up, 'a@h'}], events())
    end).

slow_cnode_test_() ->
    with(#{}, fun() ->
        send({nodeup, 'a@h'}),
        ?eventually(connection('a@h') =:= connected),
        muster_cnode:send_request({message, self(), slept}, fake, sleep, 1800),
        {Us, {ok, Health}} = timer:tc(fun() -> ?M:get_health('a@h') end),
        ?assertMatch(#{connection := cnode_down, rtt_history := [_, _]}, Health),
        ?assert(Us < 1700000)
    end).

several_side_by_side_test_() ->
    with(#{}, fun() ->
        Other = start_monitor([{name, other}]),
        ok = ?M:subscribe(other),
        Other ! {nodeup, 'x@h'},
        ?eventually(?M:list_healthy(other) =:= ['x@h']),
        ?assertEqual([], ?M:list_all()),
        receive
            {swarm_event, Event} -> ?assertEqual({node_up, 'x@h'}, Event)
        after ?DEADLINE -> error(no_event)
        end,
        gen_server:stop(Other),
        %% Its state in the C node goes with it.
        ?eventually(begin
            {ok, Seen} = muster_cnode:call(fake, seen, 0),
            lists:member({monitor, stop, #{monitor => <<"other">>}}, Seen)
        end)
    end).
