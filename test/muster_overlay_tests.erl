%% The overlay's pure parts, and servers of one VM over a bad transport.
%%
%% What must hold for three peers whose messages are lost, doubled and reordered, and that restart with
%% an old state: once messages get through, all hold the same, which is what they had, merged; each knows
%% of the others that they have it; and then nobody has anything to say but a digest now and then.
-module(muster_overlay_tests).

-include_lib("proper/include/proper.hrl").
-include_lib("eunit/include/eunit.hrl").
-include("support/eventually.hrl").

-define(NODES, [a, b, c]).
-define(SYNC, 500).
-define(INTERVAL, 86400000).

%%% Options and arguments

options_test() ->
    Face = #{name => muster_overlay, node_monitor => muster_node_monitor},
    Read = fun(Options) -> muster_overlay_options:read(Options, Face) end,
    {ok, #{sync_interval_ms := 500, anti_entropy_interval_ms := 60000, name := muster_overlay, peers := []}} = Read([]),
    {ok, _} = Read([{peers, [n@h, {overlay, n@h}]}, {data_dir, "x"}, {data_dir, <<"x">>}, {node_monitor, none}]),
    [
        {error, {invalid_option, Name, Value, _}} = Read([{Name, Value}])
     || {Name, Value} <- [
            {sync_interval_ms, 9},
            {anti_entropy_interval_ms, x},
            {name, "x"},
            {node_id, 1},
            {peers, n@h},
            {peers, [1]},
            {peers, [a | b]},
            {node_monitor, 1},
            {comms_manager, 1},
            {data_dir, 1},
            {data_dir, ""},
            {data_dir, <<255>>},
            {send, fun() -> ok end},
            {sync_intervall_ms, 500}
        ]
    ].

arguments_test_() ->
    [
        ?_assertError(badarg, Call())
     || Call <- [
            fun() -> muster_overlay:update_entity(u, not_a_map) end,
            fun() -> muster_overlay:update_entity(server, u, not_a_map) end,
            fun() -> muster_overlay:add_waypoint(#{label => x}) end,
            fun() -> muster_overlay:add_waypoint(server, x) end,
            fun() -> muster_overlay:add_annotation(n, x) end,
            fun() -> muster_overlay:set_peers([1]) end,
            fun() -> muster_overlay:await_sync(server, soon) end
        ]
    ].

says_what_is_expected_test() ->
    try
        muster_overlay:add_waypoint(#{label => x})
    catch
        error:badarg:Stack ->
            [{muster_overlay, add_waypoint, [#{label := x}], _} | _] = Stack,
            #{1 := <<"expected a map with an id">>} = muster_arguments:format_error(badarg, Stack)
    end.

%%% Peers that are away, and names

%% Its base is kept for five minutes; who was given stays, without it.
away_test() ->
    Id = {muster_overlay, n@h},
    New = muster_overlay_peer:new(0, 0, 1),
    None = muster_overlay_roster:new(),
    With = fun(Listed, Up) -> muster_overlay_roster:add(Id, [Id], {Listed, Up, 0}, New, None) end,
    Standing = fun(Listed, Up, Now) -> muster_overlay_roster:standing(Id, Now, With(Listed, Up)) end,
    Minutes = fun(M) -> M * 60000 end,
    [?assertEqual(active, Standing(Listed, true, Minutes(60))) || Listed <- [given, monitored]],
    [
        ?assertEqual(quiet, Standing(Listed, Up, Minutes(5)))
     || {Listed, Up} <- [{given, false}, {monitored, false}, {no, true}]
    ],
    {forgotten, keep} = Standing(given, false, Minutes(5) + 1),
    {forgotten, remove} = Standing(monitored, false, Minutes(5) + 1),
    {forgotten, remove} = Standing(no, true, Minutes(5) + 1),
    %% Who speaks is not forgotten.
    Heard = muster_overlay_roster:heard(Id, Id, 1, Minutes(3), With(no, true)),
    quiet = muster_overlay_roster:standing(Id, Minutes(8), Heard),
    {forgotten, remove} = muster_overlay_roster:standing(Id, Minutes(8) + 1, Heard).

%% A given peer's base is let go by the server, and it begins anew when it is back.
away_for_long_test() ->
    Quick = [{node_monitor, none}, {send, fun({Name, _}, M) -> catch Name ! M end}, {sync_interval_ms, 10}],
    Start = fun(Name, Peer) ->
        {ok, _} = muster_overlay:start_link([{name, Name}, {peers, [{Peer, node()}]} | Quick])
    end,
    {ok, _} = Start(ov_here, ov_away),
    {ok, _} = Start(ov_away, ov_here),
    ok = muster_overlay:update_entity(ov_here, u, #{n => 1}),
    Same = fun() -> muster_overlay:export_state(ov_here) =:= muster_overlay:export_state(ov_away) end,
    InSync = fun() ->
        #{peers := #{} = Peers} = muster_overlay:status(ov_here),
        #{in_sync := Is} = map_get({ov_away, node()}, Peers),
        Is
    end,
    ?eventually(Same() andalso InSync()),
    ok = sys:suspend(ov_away),
    %% As if its node had gone six minutes ago.
    Ago = erlang:monotonic_time(millisecond) - 360000,
    _ = sys:replace_state(ov_here, fun(S) -> gone(S, {ov_away, node()}, Ago) end),
    ?eventually(not InSync()),
    ok = sys:resume(ov_away),
    _ = sys:replace_state(ov_here, fun(S) -> back(S, {ov_away, node()}) end),
    ok = muster_overlay:update_entity(ov_here, u, #{n => 2}),
    ?eventually(Same() andalso InSync()),
    [ok = gen_server:stop(Name) || Name <- [ov_here, ov_away]].

gone(S, Id, Ago) -> with_roster(S, fun(Roster) -> node_is(false, Id, Ago, Roster) end).
back(S, Id) -> with_roster(S, fun(Roster) -> node_is(true, Id, erlang:monotonic_time(millisecond), Roster) end).

node_is(Up, {_, Node}, At, Roster) ->
    muster_overlay_roster:node_is(Up, Node, {At, fun(_, P) -> muster_overlay_peer:reconnected(At, P) end}, Roster).

with_roster(S, Fun) ->
    Change = fun
        (Field) when element(1, Field) =:= roster -> Fun(Field);
        (Field) -> Field
    end,
    list_to_tuple(lists:map(Change, tuple_to_list(S))).

%% Erlang's and Elixir's default names are one overlay, of which a node runs one.
both_default_names_test() ->
    {ok, Pid} = muster_overlay:start_link([{node_monitor, none}]),
    Elixir = [{name, 'Elixir.Raxol.Swarm.TacticalOverlay'}, {node_monitor, none}],
    ?assertEqual({error, {already_started, Pid}}, muster_overlay:start_link(Elixir)),
    {ok, Other} = muster_overlay:start_link([{name, another}, {node_monitor, none}]),
    ok = gen_server:stop(Pid),
    {ok, Second} = muster_overlay:start_link(Elixir),
    ?assertEqual({error, {already_started, Second}}, muster_overlay:start_link([{node_monitor, none}])),
    [ok = gen_server:stop(P) || P <- [Other, Second]].

%%% Events

events_test() ->
    Change = fun(Key, Before, After) -> {Key, Before, After} end,
    Data = term_to_binary(#{id => 1}),
    [{entity_updated, 1, #{id := 1}}] = muster_overlay_events:events([Change({entity, 1}, none, Data)]),
    [{entity_removed, 1}] = muster_overlay_events:events([Change({entity, 1}, Data, none)]),
    [{waypoint_added, #{id := 1}}] = muster_overlay_events:events([Change({waypoint, 1}, Data, Data)]),
    [{waypoint_removed, 1}] = muster_overlay_events:events([Change({waypoint, 1}, Data, none)]),
    [{annotation_added, 1, #{}}] = muster_overlay_events:events([Change({annotation, 1}, none, Data)]),
    [{annotation_removed, 1}] = muster_overlay_events:events([Change({annotation, 1}, Data, none)]).

compressed_terms_are_refused_test() ->
    Bomb = term_to_binary(#{id => 1, x => binary:copy(<<0>>, 100000)}, [compressed]),
    State = muster_lww_map:put(muster_overlay_state:new(), {entity, 1}, Bomb),
    ?assertError(badarg, muster_overlay_state:check([{entity, 1}], State)).

%%% Peers

histories_test_() ->
    {timeout, 600, fun() -> muster_crdt_gen:check(list(command()), fun history/1, 500) end}.

command() ->
    Node = oneof(?NODES),
    Pick = non_neg_integer(),
    frequency([
        {8, {put, Node, oneof([entity, waypoint]), integer(1, 6)}},
        {5, {remove, Node, integer(1, 6)}},
        {8, {tick, Node}},
        {16, {deliver, Pick}},
        {2, {duplicate, Pick}},
        {4, {lose, Pick}},
        {1, {forget, Node}},
        {1, {reconnect, Node}},
        {1, {save, Node}},
        {1, {restart, Node}}
    ]).

history(Commands) ->
    World = lists:foldl(fun run/2, fresh(), Commands),
    settles(World#{network := []}).

fresh() ->
    Nodes = [{N, node_of(N, muster_overlay_state:new())} || N <- ?NODES],
    #{now => 0, network => [], saved => #{}, nodes => maps:from_list(Nodes)}.

node_of(Name, State) ->
    Node = #{replica => muster_overlay_replica:new(State), roster => muster_overlay_roster:new()},
    Node#{roster := muster_overlay_talk:list(?NODES, given, moment(Name, 0, Node), muster_overlay_roster:new())}.

moment(Name, Now, #{replica := Replica}) ->
    #{
        self => id(Name),
        now => Now,
        sync => ?SYNC,
        anti_entropy => ?INTERVAL,
        is_up => fun(_) -> true end,
        replica => Replica,
        loading => none,
        awaited => false
    }.

id(Name) -> {muster_overlay, Name}.

run({put, Name, Kind, Id}, #{now := Now} = World) ->
    Data = #{id => Id, at => Now},
    change(Name, fun(Replica) -> muster_overlay_replica:put({Kind, Id}, Data, Name, Replica) end, World);
run({remove, Name, Id}, World) ->
    change(Name, fun(Replica) -> muster_overlay_replica:remove({waypoint, Id}, Replica) end, World);
run({tick, Name}, World) ->
    tick(Name, World);
run({deliver, Pick}, World) ->
    picked(Pick, World, fun(Message, Others) -> deliver(Message, World#{network := Others}) end);
run({duplicate, Pick}, #{network := Network} = World) ->
    picked(Pick, World, fun(Message, _) -> World#{network := [Message | Network]} end);
run({lose, Pick}, World) ->
    picked(Pick, World, fun(_, Others) -> World#{network := Others} end);
run({forget, Name}, World) ->
    with_peers(Name, fun muster_overlay_peer:forget_base/1, World);
run({reconnect, Name}, #{now := Now} = World) ->
    with_peers(Name, fun(Peer) -> muster_overlay_peer:reconnected(Now, Peer) end, World);
run({save, Name}, #{saved := Saved} = World) ->
    World#{saved := Saved#{Name => state(Name, World)}};
run({restart, Name}, #{saved := Saved, nodes := Nodes} = World) ->
    muster_crdt_gen:forget_lineages(),
    World#{nodes := Nodes#{Name := node_of(Name, maps:get(Name, Saved, muster_overlay_state:new()))}}.

state(Name, #{nodes := Nodes}) ->
    #{Name := #{replica := Replica}} = Nodes,
    muster_overlay_replica:state(Replica).

with_peers(Name, Fun, #{nodes := Nodes} = World) ->
    #{Name := #{roster := Roster} = Node} = Nodes,
    Change = fun(Id, R) ->
        muster_overlay_roster:set_protocol(Id, Fun(muster_overlay_roster:protocol(Id, R)), R)
    end,
    Changed = lists:foldl(Change, Roster, muster_overlay_roster:ids(Roster)),
    World#{nodes := Nodes#{Name := Node#{roster := Changed}}}.

picked(_Pick, #{network := []} = World, _Fun) ->
    World;
picked(Pick, #{network := Network}, Fun) ->
    {Before, [Message | After]} = lists:split(Pick rem length(Network), Network),
    Fun(Message, Before ++ After).

change(Name, Fun, #{nodes := Nodes} = World) ->
    #{Name := #{replica := Replica} = Node} = Nodes,
    {_, Changed} = Fun(Replica),
    World#{nodes := Nodes#{Name := Node#{replica := Changed}}}.

tick(Name, #{now := Now, nodes := Nodes, network := Network} = World) ->
    #{Name := #{roster := Roster} = Node} = Nodes,
    {Said, Ticked} = muster_overlay_talk:tick(moment(Name, Now, Node), Roster),
    World#{
        now := Now + ?SYNC,
        nodes := Nodes#{Name := Node#{roster := Ticked}},
        network := messages(Name, Said) ++ Network
    }.

messages(From, Said) ->
    [{From, To, Body} || {{_, To}, Body} <- Said].

deliver({From, To, Body}, #{now := Now, nodes := Nodes, network := Network} = World) ->
    #{To := #{roster := Roster} = Node} = Nodes,
    Moment = moment(To, Now, Node),
    {ok, Heard} = muster_overlay_talk:heard(id(From), id(From), 1, Moment, Roster),
    {#{say := Said, replica := Handled, load := Load}, Talked} =
        muster_overlay_talk:handle(Body, id(From), Moment, Heard),
    {Replica, Known} =
        case Load of
            true -> {streamed(From, Handled, World), muster_overlay_talk:resume(id(From), Moment, Talked)};
            false -> {Handled, Talked}
        end,
    World#{
        nodes := Nodes#{To := Node#{replica := Replica, roster := Known}},
        network := messages(To, Said) ++ Network
    }.

streamed(From, Replica, World) ->
    Merged = muster_lww_map:merge(muster_overlay_replica:state(Replica), state(From, World)),
    {_, Streamed} = muster_overlay_replica:adopt(all, Merged, Replica),
    Streamed.

%% With everything sent from here on delivered.
settles(World) ->
    [First | Others] = states(World),
    Merged = lists:foldl(fun muster_lww_map:merge/2, First, Others),
    #{nodes := Settled} = Quiet = settle(40, World),
    [Merged = State || State <- states(Quiet)],
    true = lists:all(fun is_acknowledged/1, maps:values(Settled)),
    #{network := []} = lists:foldl(fun tick/2, Quiet, ?NODES),
    true.

states(World) ->
    [state(Name, World) || Name <- ?NODES].

settle(0, World) ->
    World;
settle(Rounds, World) ->
    settle(Rounds - 1, deliver_all(lists:foldl(fun tick/2, World, ?NODES))).

deliver_all(#{network := []} = World) ->
    World;
deliver_all(#{network := Network} = World) ->
    Message = lists:last(Network),
    deliver_all(deliver(Message, World#{network := lists:droplast(Network)})).

is_acknowledged(#{replica := Replica, roster := Roster}) ->
    Protocols = [muster_overlay_roster:protocol(Id, Roster) || Id <- muster_overlay_roster:ids(Roster)],
    Version = muster_overlay_replica:version(Replica),
    lists:all(fun(Peer) -> muster_overlay_peer:is_acknowledged(Version, Peer) end, Protocols).

%% A link that comes and goes does not put off a session for ever.
flapping_test() ->
    Based = based(muster_overlay_peer:new(0, 0, 1000)),
    Flap = fun(Now, Peer) -> muster_overlay_peer:reconnected(Now, Peer) end,
    Begins = fun(Now, Peer) -> [Message || {sync, Message, _} <- said(Now, Peer)] end,
    Flapped = lists:foldl(Flap, Based, lists:seq(1000, 13000, 4000)),
    [] = Begins(14000, Flapped),
    [_] = Begins(17000, Flap(16500, Flapped)).

said(Now, Peer) ->
    {Said, _} = muster_overlay_peer:tick({muster_overlay_state:new(), 1, {0, due}}, Now, 500, Peer),
    Said.

%% A peer that has acknowledged, by its first session, what is here: nothing.
based(Peer) ->
    Nothing = muster_overlay_state:new(),
    {[{sync, {begin_sync, Id, _}, {Incarnation, Sequence}}], Begun} =
        muster_overlay_peer:tick({Nothing, 1, {0, due}}, 0, 500, Peer),
    Reply = {reply, {in_sync, Id}, {make_ref(), 1}, [{acknowledge, Incarnation, Sequence}]},
    Here = {Nothing, 1, muster_crdt_recent:new(Nothing), false},
    {#{send := [{acknowledge, _}]}, Based} = muster_overlay_peer:handle(Reply, Here, 0, Begun),
    true = muster_overlay_peer:is_based(Based),
    Based.

%% A message that came twice begins a session anew at a peer that was started anew, or has forgotten it. What that
%% replies does not fit with what it said before: dots would count as dead that others hold.
a_session_goes_on_with_one_state_of_the_peer_test() ->
    true = history([
        {put, a, waypoint, 5}, {put, c, waypoint, 3}, {tick, a}, {lose, 18}, {remove, c, 3}, {tick, c}, {deliver, 26},
        {tick, a}, {lose, 48}, {duplicate, 15}, {restart, c}, {deliver, 12}, {deliver, 3}
    ]),
    true = history([
        {tick, c}, {tick, c}, {deliver, 62}, {deliver, 14}, {tick, c}, {put, b, entity, 2}, {deliver, 38}, {deliver, 2},
        {deliver, 14}, {deliver, 116}, {forget, b}, {deliver, 11}, {deliver, 29}
    ]).

a_reply_from_another_state_is_not_used_test() ->
    {Before, After} = two_states(),
    Tick = muster_overlay_peer:tick({Before, 1, {0, due}}, 500, 500, fresh_peer()),
    {[{sync, {begin_sync, Id, _}, {Incarnation, Sequence}}], Begun} = Tick,
    #{context := Context} = After,
    Differ = {reply, {differ, Id, muster_crdt_sync:digest(After), Context}, {life, 1}, []},
    {#{send := [{sync, {ask, Id, Step, _, _, _, _}, _}]}, Asked} = handled(Differ, Before, Begun),
    Hashes = muster_crdt_hashes:pack([[]], muster_crdt_hashes:narrow(), maps:get(root, After)),
    Tell = fun(Mark) -> {reply, {tell, Id, Step, Hashes, []}, Mark, [{acknowledge, Incarnation, Sequence}]} end,
    {#{send := [{sync, {ask, Id, _, _, _, _, _}, _}]}, _} = handled(Tell({life, 1}), Before, Asked),
    {#{send := [], state := Before, keys := none}, Astray} = handled(Tell({another, 1}), Before, Asked),
    ?assertNot(muster_overlay_peer:is_based(Astray)).

%%% What is acknowledged, and what is not. Sessions would repair most of what is wrong here, so that no soak finds it.

what_is_acknowledged_is_here_test() ->
    {Before, After} = two_states(),
    First = {update, {update, life, 1, 0, muster_crdt_delta:delta(muster_overlay_state:new(), Before)}},
    Second = {update, {update, life, 2, 1, muster_crdt_delta:delta(Before, After)}},
    {#{send := Said1, state := State1, keys := all}, Peer1} = handled(First, muster_overlay_state:new(), fresh_peer()),
    ?assertEqual({[acknowledgement(1)], Before}, {Said1, State1}),
    {#{send := Said2, state := State2, keys := all}, Peer2} = handled(Second, State1, Peer1),
    ?assertEqual({[acknowledgement(2)], After}, {Said2, State2}),
    %% What comes again is acknowledged again, and that is all.
    [
        ?assertMatch({#{send := [Said], state := After}, Peer2}, handled(Update, After, Peer2))
     || {Update, Said} <- [{First, acknowledgement(1)}, {Second, acknowledgement(2)}]
    ].

%% Even where all dots before it are here: others may have brought them, without a removal that the base had.
an_update_without_its_base_is_not_acknowledged_test() ->
    {Before, After} = two_states(),
    Update = {update, {update, life, 2, 1, muster_crdt_delta:delta(Before, After)}},
    Peer = fresh_peer(),
    ?assertEqual({#{send => [{resync, life}], state => Before, keys => none}, Peer}, handled(Update, Before, Peer)),
    %% The same of a base from another life of the peer's.
    {_, Knows} = handled({update, {update, earlier, 1, 0, {delta, [], [], []}}}, Before, Peer),
    ?assertEqual({#{send => [{resync, life}], state => Before, keys => none}, Knows}, handled(Update, Before, Knows)).

%% Of a base that is there, the base is acknowledged; of a digest that is, the whole; else neither.
has_test() ->
    {Before, After} = two_states(),
    Digest = fun muster_crdt_sync:digest/1,
    First = {update, {update, life, 1, 0, muster_crdt_delta:delta(muster_overlay_state:new(), Before)}},
    {_, Peer} = handled(First, muster_overlay_state:new(), fresh_peer()),
    Answer = fun(Base, Life, State) ->
        {#{send := Said, state := Before, keys := none}, _} =
            handled({has, Base, {Life, 3}, Digest(State)}, Before, Peer),
        Said
    end,
    ?assertEqual([acknowledgement(1)], Answer(1, life, After)),
    ?assertEqual([{resync, life}], Answer(2, life, After)),
    ?assertEqual([{resync, another}], Answer(1, another, After)),
    ?assertEqual([acknowledgement(3)], Answer(2, life, Before)),
    ?assertEqual([{acknowledge, {acknowledge, another, 3}}], Answer(1, another, Before)).

%% Who lacks the base is asked by a session what it has, at once, and sent nothing on top of it.
resync_test() ->
    {_, State} = two_states(),
    Tick = fun(Peer) -> muster_overlay_peer:tick({State, 2, {1, due}}, 500, 500, Peer) end,
    {[{update, {update, Life, _, _, _}}], Waiting} = Tick(based(fresh_peer())),
    {#{send := []}, Lost} = handled({resync, Life}, State, Waiting),
    ?assertNot(muster_overlay_peer:is_based(Lost)),
    ?assertNot(muster_overlay_peer:is_acknowledged(0, Lost)),
    ?assertMatch({[{sync, {begin_sync, _, _}, _}], _}, Tick(Lost)),
    %% One of an earlier life says nothing.
    ?assertEqual({#{send => [], state => State, keys => none}, Waiting}, handled({resync, earlier}, State, Waiting)).

%% One entity, then one more.
two_states() ->
    {_, Before} = muster_overlay_state:put({entity, 1}, #{id => 1}, a, muster_overlay_state:new()),
    {_, After} = muster_overlay_state:put({entity, 2}, #{id => 2}, a, Before),
    {Before, After}.

fresh_peer() ->
    muster_overlay_peer:new(0, 0, ?INTERVAL).

acknowledgement(Sequence) ->
    {acknowledge, {acknowledge, life, Sequence}}.

handled(Body, State, Peer) ->
    muster_overlay_peer:handle(Body, {State, 1, muster_crdt_recent:new(State), false}, 500, Peer).

%%% What is heard is not passed on to those who have it

%% Each of the others gets it once, says so, and is told once that the rest has it.
one_change_costs_three_messages_for_each_other_test() ->
    World = put_at(a, settle(10, fresh())),
    Count = fun(Kind, Said) -> length([B || B <- Said, element(1, B) =:= Kind]) end,
    {Settled, Said} = lists:foldl(fun(_, {W, S}) -> overheard(W, S) end, {World, []}, lists:seq(1, 20)),
    ?assertEqual([2, 2, 2], [Count(Kind, Said) || Kind <- [update, acknowledge, shared]]),
    ?assertEqual(6, length(Said)),
    settles(Settled).

overheard(World, Said) ->
    overhear(lists:foldl(fun tick/2, World, ?NODES), Said).

overhear(#{network := []} = World, Said) ->
    {World, Said};
overhear(#{network := Network} = World, Said) ->
    {_, _, Body} = Message = lists:last(Network),
    overhear(deliver(Message, World#{network := lists:droplast(Network)}), [Body | Said]).

%% It is passed on where its maker has gone before he could, or does not know of somebody.
whose_maker_has_gone_test() ->
    World = put_at(a, settle(10, fresh())),
    Told = without([{a, c}], fun() -> tick(a, World) end),
    Gone = lists:foldl(
        fun(_, W) -> without([{a, b}, {a, c}, {b, a}, {c, a}], fun() -> lists:foldl(fun tick/2, W, ?NODES) end) end,
        Told,
        lists:seq(1, 10)
    ),
    [?assertEqual(state(a, World), state(Name, Gone)) || Name <- [b, c]].

a_partly_connected_cluster_test() ->
    World = put_at(a, settle(10, fresh())),
    Later = lists:foldl(
        fun(_, W) -> without([{a, c}, {c, a}], fun() -> lists:foldl(fun tick/2, W, ?NODES) end) end,
        World,
        lists:seq(1, 10)
    ),
    ?assertEqual(state(a, World), state(c, Later)).

%% Whoever has left for good is not remembered by what others said of him.
what_was_said_of_who_has_left_test() ->
    Told = fun(Others) -> muster_overlay_hearsay:shared(a, {1, 1}, Others, muster_overlay_hearsay:new()) end,
    ?assertEqual(Told([b]), muster_overlay_hearsay:forget(c, Told([b, c]))),
    ?assertEqual(muster_overlay_hearsay:new(), muster_overlay_hearsay:forget(a, Told([b, c]))).

put_at(Name, World) -> run({put, Name, entity, 1}, World).

%% Delivers all that is said, except between these.
without(Cut, Say) ->
    #{network := Network} = World = Say(),
    case [Message || {From, To, _} = Message <- Network, not lists:member({From, To}, Cut)] of
        [] -> World#{network := []};
        [Message | Others] -> without(Cut, fun() -> deliver(Message, World#{network := Others}) end)
    end.

%%% On disk

%% Wherever a file ends or is spoiled, what comes before is used, and nothing crashes.
damaged_logs_test_() ->
    {timeout, 120, fun() -> in_directory(fun damaged_logs/1) end}.

damaged_logs(Base) ->
    [First | _] = States = histories_on_disk(Base),
    Log = Base ++ ".log.1",
    {ok, Whole} = file:read_file(Log),
    Restored = fun(Bytes) ->
        [ok = file:delete(File) || File <- filelib:wildcard(Base ++ "*")],
        ok = file:write_file(Log, Bytes),
        State = muster_overlay_files:restore(Base),
        State = muster_overlay_files:restore(Base),
        ?assert(lists:member(State, States)),
        State
    end,
    Ends = lists:seq(0, byte_size(Whole)),
    Seen = fun(#{context := Context}) -> muster_overlay_state:missing(muster_causal:new(), Context) end,
    Sizes = [Seen(Restored(binary:part(Whole, 0, N))) || N <- Ends],
    ?assertEqual(lists:sort(Sizes), Sizes),
    [Restored(spoiled(N, Whole)) || N <- Ends, N < byte_size(Whole)],
    ?assertEqual(lists:last(States), Restored(Whole)),
    ?assertEqual(First, Restored(<<>>)).

spoiled(N, Whole) ->
    <<Before:N/binary, Byte, After/binary>> = Whole,
    <<Before/binary, (Byte bxor 85), After/binary>>.

%% A log of some changes, and the states after each.
histories_on_disk(Base) ->
    Change = fun(N, [State | _] = States) ->
        {_, Written} = muster_overlay_state:put({entity, N rem 5}, #{id => N rem 5, n => N}, a, State),
        [Written | States]
    end,
    States = lists:reverse(lists:foldl(Change, [muster_overlay_state:new()], lists:seq(1, 15))),
    Deltas = [muster_crdt_delta:delta(Old, New) || {Old, New} <- lists:zip(lists:droplast(States), tl(States))],
    Records = [muster_overlay_files:record({delta, Delta}) || Delta <- Deltas],
    ok = file:write_file(Base ++ ".log.1", [muster_overlay_files:header() | Records]),
    States.

%% What cannot be kept aside, as the disk is full, is not cut off.
nothing_is_cut_off_without_a_copy_test() ->
    in_directory(fun(Base) ->
        Log = Base ++ ".log.1",
        _ = histories_on_disk(Base),
        {ok, Whole} = file:read_file(Log),
        Torn = binary:part(Whole, 0, byte_size(Whole) - 1),
        ok = file:write_file(Log, Torn),
        Now = erlang:system_time(second),
        [ok = file:make_dir(Log ++ ".damaged-" ++ integer_to_list(S)) || S <- lists:seq(Now, Now + 60)],
        State = muster_overlay_files:restore(Base),
        ?assertEqual({ok, Torn}, file:read_file(Log)),
        ?assertEqual(State, muster_overlay_files:restore(Base))
    end).

%% A file of a newer muster is nobody's to cut off.
a_newer_version_test() ->
    in_directory(fun(Base) ->
        process_flag(trap_exit, true),
        Options = [{name, overlay}, {node_monitor, none}, {data_dir, filename:dirname(Base)}],
        _ = histories_on_disk(Base),
        Newer = <<"muster overlay 2\n", 1, 2, 3>>,
        [
            begin
                ok = file:write_file(File, Newer),
                ?assertMatch({error, {data_dir, _, {newer_version, File}}}, muster_overlay:start_link(Options)),
                ?assertEqual({ok, Newer}, file:read_file(File)),
                ok = file:delete(File)
            end
         || File <- [Base ++ ".snapshot", Base ++ ".log.2"]
        ],
        {ok, Files} = file:list_dir(filename:dirname(Base)),
        ?assertEqual(["overlay.log.1"], Files),
        %% Not even a digit.
        ok = file:write_file(Base ++ ".log.2", <<"muster overlay ">>),
        {ok, Server} = muster_overlay:start_link(Options),
        #{entities := 5} = muster_overlay:status(Server),
        ok = gen_server:stop(Server)
    end).

starts_without_a_change_leave_one_log_test() ->
    in_directory(fun(Base) ->
        Options = [{name, overlay}, {node_monitor, none}, {data_dir, filename:dirname(Base)}],
        Start = fun() ->
            {ok, Server} = muster_overlay:start_link(Options),
            #{entities := 5} = muster_overlay:status(Server),
            ok = gen_server:stop(Server)
        end,
        _ = histories_on_disk(Base),
        [Start() || _ <- lists:seq(1, 5)],
        ?assertEqual([1, 2], muster_overlay_files:logs(Base))
    end).

%% Half a snapshot would take the room that the next one needs.
a_snapshot_that_fails_leaves_nothing_test() ->
    in_directory(fun(Base) ->
        Empty = muster_overlay_state:new(),
        Data = #{id => 1, big => binary:copy(<<"x">>, 5000000)},
        {_, Big} = muster_overlay_state:put({entity, 1}, Data, a, Empty),
        Record = muster_overlay_files:record({delta, muster_crdt_delta:delta(Empty, Big)}),
        ok = file:write_file(Base ++ ".log.1", [muster_overlay_files:header() | Record]),
        ok = filelib:ensure_dir(filename:join(Base ++ ".snapshot", "in_the_way")),
        Temporary = Base ++ ".snapshot.tmp",
        ok = file:write_file(Temporary, "an older one"),
        Options = [{name, overlay}, {node_monitor, none}, {data_dir, filename:dirname(Base)}],
        {ok, Server} = muster_overlay:start_link(Options),
        ?eventually(not filelib:is_file(Temporary)),
        {ok, _} = muster_overlay:get_entity(Server, 1),
        ok = gen_server:stop(Server)
    end).

%% The working directory may change while a log is written to.
a_relative_directory_test() ->
    {ok, Base} = muster_overlay_files:base(".", overlay),
    ?assertEqual(absolute, filename:pathtype(Base)).

in_directory(Test) ->
    Unique = integer_to_list(erlang:unique_integer([positive])),
    Directory = filename:join(os:getenv("TMPDIR", "/tmp"), "muster_overlay_tests_" ++ os:getpid() ++ "_" ++ Unique),
    {ok, Base} = muster_overlay_files:base(Directory, overlay),
    #{level := Level} = logger:get_primary_config(),
    ok = logger:set_primary_config(level, critical),
    try
        Test(Base)
    after
        logger:set_primary_config(level, Level),
        file:del_dir_r(Directory)
    end.

%%% Servers over a comms manager, and over a transport that loses, doubles and delays

%% What was asked of a manager that was not there is no longer waited for.
a_comms_manager_that_comes_late_test() ->
    true = register(ov_speaker, self()),
    {ok, Server} = muster_overlay:start_link([{name, ov_early}, {node_monitor, none}, {comms_manager, ov_comms}]),
    %% Each is answered by a `resync': its base is not here.
    Speak = fun() ->
        Update = {update, make_ref(), 2, 1, {delta, [], [], []}},
        Server ! {muster_overlay, 1, {ov_speaker, node()}, {update, Update}}
    end,
    IsAnswered = fun() ->
        _ = Speak(),
        receive
            {muster_overlay, 1, {ov_early, _}, {resync, _}} -> true
        after 10 -> false
        end
    end,
    [?assertNot(IsAnswered()) || _ <- lists:seq(1, 40)],
    {ok, Comms} = muster_comms:start_link([{name, ov_comms}, {receiver, false}]),
    ?eventually(IsAnswered()),
    unregister(ov_speaker),
    [ok = gen_server:stop(Pid) || Pid <- [Server, Comms]].

a_transport_that_fails_test() ->
    #{level := Level} = logger:get_primary_config(),
    ok = logger:set_primary_config(level, none),
    Fail = fun(_, _) -> exit(noproc) end,
    Peer = {ov_nowhere, node()},
    Options = [{name, ov_mute}, {node_monitor, none}, {send, Fail}, {peers, [Peer]}, {sync_interval_ms, 10}],
    {ok, Server} = muster_overlay:start_link(Options),
    Lost = fun() -> maps:get(lost_messages, maps:get(Peer, maps:get(peers, muster_overlay:status(Server)))) end,
    ?eventually(Lost() > 0),
    logger:set_primary_config(level, Level),
    ok = gen_server:stop(Server).

transport_test_() ->
    {timeout, 120, fun() ->
        Seed = erlang:phash2({os:timestamp(), os:getpid()}),
        ?debugFmt("transport seed ~b", [Seed]),
        bad_transport(Seed)
    end}.

bad_transport(Seed) ->
    {Network, Monitor} = spawn_monitor(fun() ->
        rand:seed(exsss, Seed),
        network(bad)
    end),
    Servers = [ov_a, ov_b, ov_c],
    Send = fun(To, Message) -> Network ! {send, To, Message} end,
    [
        {ok, _} = muster_overlay:start_link(#{
            name => Server,
            node_id => Server,
            peers => [{Other, node()} || Other <- Servers, Other =/= Server],
            sync_interval_ms => 20,
            anti_entropy_interval_ms => 100,
            node_monitor => none,
            send => Send
        })
     || Server <- Servers
    ],
    %% Enough for a stream, among other things.
    [ok = muster_overlay:add_waypoint(ov_a, #{id => N}) || N <- lists:seq(1, 4000)],
    [ok = muster_overlay:update_entity(ov_b, N, #{n => N}) || N <- lists:seq(1, 1500)],
    rand:seed(exsss, Seed),
    [any_change(lists:nth(rand:uniform(3), Servers), rand:uniform(200)) || _ <- lists:seq(1, 1000)],
    Network ! good,
    States = fun() -> [muster_overlay:export_state(S) || S <- Servers] end,
    ?eventually(length(lists:usort(States())) =:= 1),
    Statuses = fun() -> [P || S <- Servers, P <- maps:values(maps:get(peers, muster_overlay:status(S)))] end,
    ?eventually(lists:all(fun(#{in_sync := InSync}) -> InSync end, Statuses())),
    [?assertMatch(#{refused_messages := 0}, Status) || Status <- Statuses()],
    [ok = muster_overlay:await_sync(S) || S <- Servers],
    [ok = gen_server:stop(S) || S <- Servers],
    exit(Network, kill),
    receive
        {'DOWN', Monitor, process, _, _} -> ok
    end.

any_change(Server, Id) ->
    case rand:uniform(4) of
        1 -> muster_overlay:remove_waypoint(Server, Id);
        2 -> muster_overlay:add_waypoint(Server, #{id => Id, by => Server});
        3 -> muster_overlay:update_entity(Server, Id, #{by => Server});
        4 -> muster_overlay:remove_entity(Server, Id)
    end.

network(Quality) ->
    receive
        good ->
            network(good);
        {send, To, Message} ->
            case {Quality, rand:uniform(10)} of
                {bad, N} when N =< 2 -> lost;
                {bad, N} when N =< 4 -> erlang:send_after(rand:uniform(100), self(), {late, To, Message});
                {bad, 5} -> [pass(To, Message) || _ <- [1, 2]];
                _ -> pass(To, Message)
            end,
            network(Quality);
        {late, To, Message} ->
            pass(To, Message),
            network(Quality)
    end.

pass({Name, _}, Message) ->
    _ = whereis(Name) =/= undefined andalso (Name ! Message),
    ok.
