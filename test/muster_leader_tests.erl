%% muster_leader and muster_topology: options, callbacks and errors, against a fake C node that says
%% what it is told to. The VM gets a name, as without one no C node is asked.
-module(muster_leader_tests).
-behaviour(muster_leader).

-export([
    init/1, handle_message/3, handle_call/3, terminate/2, handle_inspect/2, handle_become_leader/1,
    handle_become_follower/2, handle_peer_joined/2, handle_peer_left/2, handle_term_changed/3
]).
%% A logger handler.
-export([log/2]).

-include_lib("eunit/include/eunit.hrl").
-include("support/eventually.hrl").

-define(L, muster_leader).
-define(KEY, <<"leader:g">>).
-define(DEADLINE, 20000).

%%% The module under the behaviour: reports each callback, and fails those it is told to.

init({Test, Options}) when is_pid(Test) -> init({Test, Options, #{}});
init({Test, Options, Fail}) -> {ok, Options, #{test => Test, fail => Fail}};
init(Other) -> Other.

did(What, Call, #{test := Test, fail := Fail} = State) ->
    Test ! {did, Call},
    case Fail of
        #{What := Reason} -> {error, Reason};
        #{} -> {ok, State}
    end.

handle_message(From, Message, State) -> did(message, {message, From, Message}, State).
handle_become_leader(State) ->
    #{term := Term} = ?L:inspect(self()),
    did(leader, {leader, Term, ?L:leader(self()) =:= self()}, State).
handle_become_follower(Leader, State) -> did(follower, {follower, Leader}, State).
handle_peer_joined(Peer, State) -> did(joined, {joined, Peer, ?L:has_peer(self(), Peer)}, State).
handle_peer_left(Peer, State) -> did(left, {left, Peer, ?L:has_peer(self(), Peer)}, State).
handle_term_changed(Old, New, State) -> did(term, {term, Old, New}, State).
handle_inspect(Items, _) -> #{items => Items}.
terminate(Reason, State) -> did(terminate, {terminate, Reason}, State).

handle_call({reply, What}, _From, State) -> {reply, What, State};
handle_call(later, From, State) -> gen_server:reply(From, answered), {noreply, State};
handle_call({fail, Reason}, _From, _) -> {error, Reason};
handle_call({fail, Reason, Reply}, _From, _) -> {error, Reason, Reply}.

did() ->
    receive
        {did, Call} -> Call
    after ?DEADLINE -> error(nothing_done)
    end.

none_done() ->
    receive
        {did, Call} -> error({done, Call})
    after 0 -> ok
    end.

%%% Surroundings

fake_path() ->
    filename:join([filename:dirname(?FILE), "support", "fake_cnode"]).

%% The VM is named without epmd.
name() ->
    {ok, _} = net_kernel:start('leader_eunit@127.0.0.1', #{name_domain => longnames, dist_listen => false}),
    ok.

start_cnode(Changes) ->
    {ok, Options} = muster_cnode_program:options(
        maps:to_list(maps:merge(#{cnode_path => fake_path(), heartbeat_ms => 50}, Changes))
    ),
    {ok, Pid} = muster_cnode:start_link(Options),
    unlink(Pid).

stop_cnode() ->
    case whereis(muster_cnode) of
        undefined -> ok;
        Pid -> gen_server:stop(Pid)
    end.

with(Cnode, Named, Body) ->
    {setup,
        fun() ->
            logger:set_primary_config(level, none),
            _ = Named andalso name(),
            Cnode =:= none orelse start_cnode(Cnode)
        end,
        fun(_) ->
            stop_cnode(),
            _ = Named andalso net_kernel:stop(),
            logger:set_primary_config(level, notice)
        end,
        fun(_) -> {timeout, 60, Body} end}.

start(Options) -> start(Options, #{}).

start(Options, Fail) ->
    process_flag(trap_exit, true),
    flush(),
    {ok, Pid} = ?L:start_link(member, ?MODULE, {self(), Options, Fail}, []),
    Pid.

flush() ->
    receive
        {did, _} -> flush();
        {'EXIT', _, _} -> flush()
    after 0 -> ok
    end.

stop() ->
    gen_server:stop(member),
    {terminate, normal} = did(),
    flush().

ended() ->
    receive
        {'EXIT', _, Reason} -> Reason
    after ?DEADLINE -> error(still_there)
    end.

fake(Op, Arg) ->
    {ok, _} = muster_cnode:call(fake, Op, Arg).

event(Event) -> event(?KEY, Event).
event(Key, Event) -> fake(send, [{event, election, Key, Event}]).

seen(Op) ->
    case muster_cnode:call(fake, seen, 0) of
        {ok, Seen} -> [Arg || {election, O, Arg} <- Seen, O =:= Op];
        {error, cnode_down} -> []
    end.

own() -> atom_to_binary(node(), utf8).

mode() ->
    {ok, #{mode := Mode}} = muster_group_registry:view(whereis(member)),
    Mode.

%%% Options

options_test_() ->
    with(none, false, fun() ->
        process_flag(trap_exit, true),
        Refused = [
            {cluster_id, undefined, []},
            {cluster_id, "", [{cluster_id, ""}]},
            {cluster_id, <<255>>, [{cluster_id, <<255>>}]},
            {cluster_id, 7, [{cluster_id, 7}]},
            {bootstrap, [a], [{cluster_id, g}, {bootstrap, [a]}]},
            {bootstrap, ['a@h', {x, 'a@h'}], [{cluster_id, g}, {bootstrap, ['a@h', {x, 'a@h'}]}]},
            {bootstrap, all, [{cluster_id, g}, {bootstrap, all}]},
            {election_timeout_min, 0, [{cluster_id, g}, {election_timeout_min, 0}]},
            {election_timeout_max, 150, [{cluster_id, g}, {election_timeout_max, 150}]},
            {election_timeout_max, 1.5, [{cluster_id, g}, {election_timeout_max, 1.5}]},
            {heartbeat_interval, 0, [{cluster_id, g}, {heartbeat_interval, 0}]},
            {data_dir, "", [{cluster_id, g}, {data_dir, ""}]},
            {observer, true, [{cluster_id, g}, {observer, true}]},
            {observer, true, [{cluster_id, g}, {observer, true}, {bootstrap, [node()]}]},
            {observer, maybe, [{cluster_id, g}, {observer, maybe}]},
            {colour, red, [{cluster_id, g}, {colour, red}]},
            {options, none, none}
        ],
        [
            begin
                Result = ?L:start_link(?MODULE, {self(), Options}, []),
                ?assertMatch({error, {invalid_option, Name, Value, _}}, Result),
                {error, {_, _, _, Expected}} = Result,
                ?assert(is_binary(Expected)),
                ?assertEqual(element(2, Result), ended())
            end
         || {Name, Value, Options} <- Refused
        ],
        ?assertEqual({error, no_good}, ?L:start_link(?MODULE, {error, no_good}, [])),
        no_good = ended(),
        ?assertEqual({error, {bad_return_value, odd}}, ?L:start_link(?MODULE, odd, [])),
        {bad_return_value, odd} = ended(),
        ?assertEqual(ignore, ?L:start_link(?MODULE, ignore, [])),
        flush()
    end).

%% Too slow a heartbeat is a warning, as in the model; the C node gets one that works.
slow_heartbeat_test() ->
    Options = #{election_timeout_min => 150, election_timeout_max => 300, heartbeat_interval => 150},
    ok = logger:add_handler(?MODULE, ?MODULE, #{config => self()}),
    {ok, #{heartbeat_interval := 50}} = muster_leader_options:check_timings(Options, "g"),
    %% A lease is 147 ms long.
    Slow = Options#{heartbeat_interval := 147},
    {ok, #{heartbeat_interval := 50}} = muster_leader_options:check_timings(Slow, "g"),
    Slowest = Options#{heartbeat_interval := 146},
    {ok, #{heartbeat_interval := 146}} = muster_leader_options:check_timings(Slowest, "g"),
    logger:remove_handler(?MODULE),
    receive
        {logged, warning, Text} -> ?assertMatch({_, _}, binary:match(Text, <<"may be unstable">>))
    after 0 -> error(no_warning)
    end.

log(#{level := Level, msg := {Format, Args}}, #{config := Pid}) ->
    Pid ! {logged, Level, unicode:characters_to_binary(io_lib:format(Format, Args))};
log(_, _) ->
    ok.

%%% Without a C node

alone_test_() ->
    [
        with(Cnode, Named, fun() ->
            Pid = start([{cluster_id, "g"}]),
            Named orelse ?assert(?L:is_leader(member)),
            ?eventually(?L:is_leader(member)),
            {leader, Term, true} = did(),
            ?assert(Term > 0),
            ?assertEqual(Term, ?L:term(Pid)),
            {ok, {Term, _}} = ?L:token(Pid),
            ?assertEqual(Pid, ?L:leader(Pid)),
            ?assertEqual([], ?L:peers(Pid)),
            ?assertEqual(0, ?L:peer_count(Pid)),
            ?assertEqual([node()], ?L:voters(Pid)),
            ?assertEqual([], ?L:observers(Pid)),
            ?assertEqual([], ?L:bootstrap(Pid)),
            ?assertEqual("g", ?L:cluster_id(Pid)),
            ?assertMatch(
                #{items := [1], is_leader := true, role := leader, reason := <<>>, cluster := <<"g">>},
                ?L:inspect(Pid, [1])
            ),
            ?assertEqual({error, invalid}, ?L:transfer(Pid, 'b@h')),
            none_done(),
            stop(),
            ?assertExit({noproc, _}, ?L:leader(Pid)),
            ?assertExit({noproc, _}, ?L:is_leader(member))
        end)
     || {Cnode, Named} <- [{none, false}, {none, true}, {#{cnode => disabled}, true}]
    ].

no_cnode_test_() ->
    with(#{cnode => disabled}, true, fun() ->
        start([{cluster_id, g}, {bootstrap, [node(), 'b@h', 'c@h']}]),
        ?eventually(mode() =:= {waiting, unavailable}),
        ?assertNot(?L:is_leader(member)),
        ?assertEqual(undefined, ?L:leader(member)),
        ?assertMatch(
            #{quorum := 2, missing := 2, is_leader := false, reason := <<"there is no C node", _/binary>>},
            ?L:inspect(member)
        ),
        none_done(),
        stop()
    end).

%%% Messages and calls

messages_test_() ->
    with(none, false, fun() ->
        Pid = start([{cluster_id, g}]),
        {leader, _, true} = did(),
        member ! hello,
        {message, undefined, hello} = did(),
        ok = ?L:send(member, sent),
        {message, undefined, sent} = did(),
        ok = ?L:send(member, Pid, own),
        {message, Pid, own} = did(),
        ?assertEqual(x, ?L:call(member, {reply, x})),
        ?assertEqual(answered, ?L:call(member, later)),
        ?assertEqual(bye, ?L:call(member, {fail, why, bye})),
        {terminate, why} = did(),
        why = ended()
    end).

registry_ends_test_() ->
    with(none, false, fun() ->
        Pid = start([{cluster_id, g}]),
        {leader, _, true} = did(),
        {ok, Topology} = muster_topology:start_link([]),
        Registry = whereis(muster_group_registry),
        exit(Registry, kill),
        ?eventually((catch ?L:is_leader(Pid)) =:= true),
        %% By then it has heard of the end as well.
        ?assertEqual(1, muster_topology:node_count()),
        ?assertEqual({error, {already_started, Topology}},
            muster_topology:start_link([{name, 'Elixir.Raxol.Swarm.Topology'}])),
        %% The application takes over the registry that its users have started.
        Again = whereis(muster_group_registry),
        ?assertEqual({ok, Again}, muster_group_registry:start_link()),
        unlink(Again),
        gen_server:stop(Topology),
        stop()
    end).

second_in_group_test_() ->
    with(none, false, fun() ->
        Pid = start([{cluster_id, g}]),
        {leader, _, true} = did(),
        ?assertEqual(
            {error, {already_started, Pid}},
            ?L:start_link(?MODULE, {self(), [{cluster_id, <<"g">>}]}, [])
        ),
        flush(),
        {ok, Other} = ?L:start_link(?MODULE, {self(), [{cluster_id, other}]}, []),
        ?assert(?L:is_leader(Other)),
        {leader, _, true} = did(),
        gen_server:stop(Other),
        {terminate, normal} = did(),
        stop()
    end).

%%% What the C node says

group(Options) ->
    start([{cluster_id, g}, {bootstrap, [{member, node()}, {member, 'b@127.0.0.1'}]} | Options]).

started_test_() ->
    with(#{}, true, fun() ->
        fake(status, {?KEY, #{term => 5, leader => own(), is_leader => true, token => {5, 77}}}),
        Pid = group([{data_dir, "/tmp/x"}]),
        {leader, 5, true} = did(),
        ?assertEqual(
            [#{group => ?KEY, kind => leader, bootstrap => [<<"b@127.0.0.1">>, own()], observer => false,
                election_timeout_min => 150, election_timeout_max => 300, heartbeat_interval => 50,
                data_dir => <<"/tmp/x">>}],
            seen(start)
        ),
        ?assert(?L:is_leader(Pid)),
        ?assertEqual({ok, {5, 77}}, ?L:token(Pid)),
        %% The lease has run out, and the event is under way.
        fake(status, {?KEY, #{term => 5}}),
        ?assertNot(?L:is_leader(Pid)),
        ?assertEqual({error, not_leader}, ?L:token(Pid)),
        ?assertEqual(Pid, ?L:leader(Pid)),
        event({leader, none, none}),
        {follower, undefined} = did(),
        ?assertEqual(undefined, ?L:leader(Pid)),
        event({term, 5, 6}),
        {term, 5, 6} = did(),
        %% Its process has not introduced itself: no leader known as yet.
        event({leader, <<"b@127.0.0.1">>, {6, 1}}),
        event({term, 6, 7}),
        {term, 6, 7} = did(),
        ?assertEqual(undefined, ?L:leader(Pid)),
        none_done(),
        stop(),
        ?eventually(length(seen(stop)) =:= 1)
    end).

requests_test_() ->
    with(#{}, true, fun() ->
        group([]),
        ?eventually(mode() =:= cnode),
        ok = ?L:transfer(member, {member, 'b@127.0.0.1'}),
        [#{group := ?KEY, node := <<"b@127.0.0.1">>}] = seen(transfer),
        fake(answer, {?KEY, transfer, {error, not_leader}}),
        {error, not_leader} = ?L:transfer(member, 'b@127.0.0.1'),
        ok = ?L:leave(member, 'b@127.0.0.1'),
        [#{node := <<"b@127.0.0.1">>}] = seen(leave),
        ok = ?L:join(member, {member, 'c@127.0.0.1'}),
        ?eventually(seen(join) =:= [#{group => ?KEY, node => <<"c@127.0.0.1">>}]),
        [?assertError(badarg, ?L:Ask(member, Odd)) || Ask <- [join, leave, transfer], Odd <- [{member, "n@h"}, 7]],
        ok = ?L:broadcast(member, to_nobody),
        none_done(),
        %% The C node ends: the group is started again, and the new node joined again.
        muster_cnode:send_request({message, self(), gone}, fake, exit, 3),
        ?eventually(length(seen(start)) =:= 1 andalso mode() =:= cnode),
        ?eventually(length(seen(join)) =:= 1),
        stop()
    end).

cnode_restarts_test_() ->
    with(#{}, true, fun() ->
        Pid = group([]),
        ?eventually(mode() =:= cnode),
        event({term, 0, 5}),
        event({leader, own(), {5, 1}}),
        {leader, 5, true} = did(),
        muster_cnode:send_request({message, self(), gone}, fake, exit, 3),
        {follower, undefined} = did(),
        ?assertNot(?L:is_leader(Pid)),
        ?eventually(mode() =:= cnode),
        %% It begins at 0 again: no term goes back here.
        ?assertEqual(5, ?L:term(Pid)),
        event({term, 0, 9}),
        {term, 5, 9} = did(),
        event({leader, own(), {9, 1}}),
        {leader, 9, true} = did(),
        stop()
    end).

refused_test_() ->
    with(#{}, true, fun() ->
        fake(answer, {?KEY, start, {error, {invalid_argument, <<"data_dir: no such directory">>}}}),
        group([]),
        ?eventually(maps:get(reason, ?L:inspect(member)) =:= <<"the C node refuses: data_dir: no such directory">>),
        %% Tried again.
        fake(answer, {?KEY, start, {ok, #{}}}),
        ?eventually(mode() =:= cnode),
        stop()
    end).

missing_quorum_test_() ->
    with(#{}, true, fun() ->
        fake(status, {?KEY, #{
            voters => [own(), <<"b@127.0.0.1">>, <<"c@127.0.0.1">>], quorum => 2, missing => 1,
            members => [
                #{node => <<"b@127.0.0.1">>, link => closed, voter => true},
                #{node => <<"c@127.0.0.1">>, link => closed, voter => true}
            ]
        }}),
        group([]),
        ?eventually(mode() =:= cnode),
        Own = node(),
        #{
            quorum := 2, missing := 1, missing_voters := ['b@127.0.0.1', 'c@127.0.0.1'],
            reason := <<"1 of the 2 voters", _/binary>>, voters := Voters
        } = ?L:inspect(member),
        ?assertEqual(lists:sort([Own, 'b@127.0.0.1', 'c@127.0.0.1']), Voters),
        stop()
    end).

%%% Errors from callbacks end the process; a leader steps down before.

failing_test_() ->
    [
        with(#{}, true, fun() ->
            start([{cluster_id, g}, {bootstrap, [node(), 'b@127.0.0.1']}], #{What => {bad, What}}),
            ?eventually(mode() =:= cnode),
            event({term, 0, 3}),
            Do(),
            [?assertEqual(Call, did()) || Call <- Calls],
            {terminate, {bad, What}} = did(),
            {bad, What} = ended(),
            ?eventually(length(seen(stop)) =:= 1)
        end)
     || {What, Do, Calls} <- [
            {message, fun() -> member ! x end, [{message, undefined, x}]},
            {term, fun() -> event({term, 3, 4}) end, [{term, 3, 4}]},
            {leader, fun() -> event({leader, own(), {3, 1}}) end,
                [{leader, 3, true}, {follower, undefined}]}
        ]
    ].

%% What is no introduction does not end a member.
stray_test_() ->
    with(#{}, true, fun() ->
        Pid = group([]),
        ?eventually(mode() =:= cnode),
        Stray = [
            {muster_leader, 1, hello, nobody, [], true}, {muster_leader, 1, hello, Pid, [], maybe}, {nodeup, "x"}
        ],
        [member ! Message || Message <- Stray],
        [{message, undefined, Message} = did() || Message <- Stray],
        ?assertEqual([], ?L:peers(Pid)),
        stop()
    end).

introduce(Pid) ->
    member ! {muster_leader, 1, hello, Pid, [node(), 'b@127.0.0.1'], true}.

peers_test_() ->
    with(#{}, true, fun() ->
        Pid = group([]),
        ?eventually(mode() =:= cnode),
        %% A process of this VM that plays another member.
        Test = self(),
        Peer = spawn(fun Loop() ->
            receive
                finish -> ok;
                Message -> Test ! {peer_got, Message}, Loop()
            end
        end),
        introduce(Peer),
        introduce(Peer),
        {joined, Peer, true} = did(),
        receive
            {peer_got, {muster_leader, 1, hello, Pid, _, false}} -> ok
        after ?DEADLINE -> error(not_answered)
        end,
        ?assertEqual([Peer], ?L:peers(Pid)),
        ok = ?L:broadcast(Pid, news),
        (fun Await() ->
            receive
                {peer_got, {muster_leader, 1, message, Pid, news}} -> ok;
                {peer_got, {muster_leader, 1, hello, _, _, _}} -> Await()
            after ?DEADLINE -> error(no_news)
            end
        end)(),
        Peer ! finish,
        {left, Peer, false} = did(),
        ?assertEqual(0, ?L:peer_count(Pid)),
        stop()
    end).

%%% The topology

topology(Options) ->
    process_flag(trap_exit, true),
    {ok, Pid} = muster_topology:start_link(Options),
    ok = muster_topology:subscribe(),
    Pid.

swarm_event() ->
    receive
        {swarm_event, Event} -> Event
    after ?DEADLINE -> error(no_event)
    end.

topology_options_test_() ->
    with(none, false, fun() ->
        [
            ?assertMatch({error, {invalid_option, Name, Value, <<_/binary>>}},
                muster_topology:start_link([{Name, Value}]))
         || {Name, Value} <- [
                {quorum_size, 0}, {quorum_size, two}, {name, nil}, {node_id, 'no node'},
                {node_monitor, 7}, {election_timeout_max, 100}, {heartbeat_interval, 0}, {hue, 1}
            ]
        ]
    end).

topology_test_() ->
    with(#{}, true, fun() ->
        Key = <<"topology">>,
        Own = node(),
        Pid = topology([{quorum_size, 2}]),
        ?eventually([2] =:= [Q || #{kind := commander, quorum_size := Q, age_ms := _} <- seen(start)]),
        ?assertEqual({error, no_commander}, muster_topology:get_commander()),
        ?assertEqual(wingmate, muster_topology:get_role()),
        Roles = [{<<"a@h">>, commander}, {own(), wingmate}],
        fake(status, {Key, #{commander => <<"a@h">>, token => {4, 2}, roles => Roles}}),
        event(Key, {roles, Roles}),
        event(Key, {leader, <<"a@h">>, {4, 2}}),
        {role_changed, 'a@h', commander} = swarm_event(),
        {commander_changed, undefined, 'a@h'} = swarm_event(),
        ?assertEqual({ok, 'a@h'}, muster_topology:get_commander()),
        ?assertEqual({ok, 'a@h', {4, 2}}, muster_topology:get_command()),
        ?assertEqual([{'a@h', commander}, {Own, wingmate}], muster_topology:list_nodes()),
        ?assertEqual(2, muster_topology:node_count()),
        ?assertEqual({ok, commander}, muster_topology:get_role(muster_topology, 'a@h')),
        ?assertEqual({error, unknown_node}, muster_topology:get_role(muster_topology, 'x@h')),
        ?assertEqual(ok, muster_topology:request_role(relay)),
        ?assertEqual([#{group => Key, node => own(), role => relay}], seen(promote)),
        [
            begin
                fake(answer, {Key, promote, {error, Reason}}),
                ?assertEqual({error, Reason}, muster_topology:promote('x@h', observer))
            end
         || Reason <- [unknown_node, no_commander, timeout]
        ],
        ?assertEqual({error, {invalid_role, king}}, muster_topology:promote('a@h', king)),
        ok = muster_topology:node_joined('g@h'),
        ?eventually(seen(node_joined) =:= [#{group => Key, node => <<"g@h">>}]),
        %% A new C node hears of the guest again; nobody commands meanwhile.
        muster_cnode:send_request({message, self(), gone}, fake, exit, 3),
        {role_changed, 'a@h', wingmate} = swarm_event(),
        {commander_changed, 'a@h', undefined} = swarm_event(),
        ?assertEqual({error, no_commander}, muster_topology:get_commander()),
        ?eventually(length(seen(node_joined)) =:= 1),
        ok = muster_topology:node_left('g@h'),
        ?eventually(length(seen(node_left)) =:= 1),
        gen_server:stop(Pid),
        ?eventually(length(seen(stop)) =:= 1)
    end).

%% A member that has no C node asks one that has, and its subscribers are told what that says.
topology_through_test_() ->
    with(#{cnode => disabled}, true, fun() ->
        Own = node(),
        Pid = topology([]),
        ?eventually(muster_topology:get_commander() =:= {ok, Own}),
        flush_swarm_events(),
        {Other, Follower} = through_other(Pid),
        ?assertEqual({ok, 'a@h'}, muster_topology:get_commander()),
        ?assertEqual(ok, muster_topology:promote('a@h', relay)),
        {role_changed, 'a@h', commander} = swarm_event_but(Own),
        {commander_changed, Own, 'a@h'} = swarm_event_but(Own),
        Follower ! {swarm_event, {role_changed, 'b@h', relay}},
        {role_changed, 'b@h', relay} = swarm_event_but(Own),
        Follower ! {swarm_event, {commander_changed, 'a@h', nil}},
        {commander_changed, 'a@h', undefined} = swarm_event_but(Own),
        exit(Other, kill),
        ?eventually(muster_topology:get_commander() =:= {ok, Own}),
        ?eventually(not is_process_alive(Follower)),
        %% One that has lost its C node is no better than none.
        {Second, _} = through_other(Pid),
        ?assertEqual({ok, 'a@h'}, muster_topology:get_commander()),
        Pid ! {muster_topology, 1, hello, Second, false, false},
        ?assertEqual({ok, Own}, muster_topology:get_commander()),
        gen_server:stop(Pid)
    end).

%% Another member, which is asked from now on, and who follows it.
through_other(Pid) ->
    Test = self(),
    Other = spawn(fun() -> other_member(Test) end),
    Pid ! {muster_topology, 1, hello, Other, true, false},
    receive
        {asked, {follow, Follower}} -> {Other, Follower}
    after ?DEADLINE -> error(not_followed)
    end.

other_member(Test) ->
    receive
        {'$gen_call', From, Request} ->
            Test ! {asked, Request},
            Reply =
                case Request of
                    get_command -> {ok, 'a@h', {1, 1}};
                    {follow, _} -> {[{'a@h', commander}, {node(), wingmate}], 'a@h'};
                    _ -> ok
                end,
            gen_server:reply(From, Reply),
            other_member(Test);
        _ ->
            other_member(Test)
    end.

flush_swarm_events() ->
    receive
        {swarm_event, _} -> flush_swarm_events()
    after 0 -> ok
    end.

%% The next event that is not about that node's role.
swarm_event_but(Node) ->
    case swarm_event() of
        {role_changed, Node, _} -> swarm_event_but(Node);
        Event -> Event
    end.

%% A node monitor that hangs holds nobody up.
topology_monitor_hangs_test_() ->
    with(none, false, fun() ->
        {ok, Monitor} = muster_node_monitor:start_link([{name, hung_monitor}]),
        ok = sys:suspend(Monitor),
        {ok, Pid} = muster_topology:start_link([{node_monitor, hung_monitor}]),
        %% Shorter than a subscription would be waited for.
        ?assertMatch([{_, commander}], gen_server:call(Pid, list_nodes, 4000)),
        ok = sys:resume(Monitor),
        Monitor ! {nodeup, 'x@h'},
        ?eventually(muster_topology:node_count() =:= 2),
        [gen_server:stop(P) || P <- [Pid, Monitor]]
    end).

%% However often it is said that there is no C node, the command is the same.
topology_alone_test_() ->
    with(none, true, fun() ->
        Own = node(),
        Pid = topology([]),
        ?eventually(muster_topology:get_commander() =:= {ok, Own}),
        {ok, Own, Token} = muster_topology:get_command(),
        Pid ! {muster_cnode, down, 0, unavailable},
        ?assertEqual({ok, Own, Token}, muster_topology:get_command()),
        gen_server:stop(Pid)
    end).

topology_stray_test_() ->
    with(none, false, fun() ->
        Pid = topology([]),
        [
            Pid ! Stray
         || Stray <- [
                {muster_topology, 1, hello, nobody, true, true},
                {muster_topology, 1, hello, self(), maybe, true},
                {muster_topology, 1, hello, Pid, true, maybe},
                {swarm_event, {node_up, "x"}},
                {swarm_event, {role_changed, x, y}},
                {'DOWN', make_ref(), process, {name, node()}, noproc},
                {make_ref(), late},
                stray
            ]
        ],
        ?assertEqual([{node(), commander}], muster_topology:list_nodes()),
        gen_server:stop(Pid)
    end).
