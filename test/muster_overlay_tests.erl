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
            #{1 := <<"expected a map with an id">>} = muster_overlay:format_error(badarg, Stack)
    end.

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
    #{
        state => State,
        version => 0,
        recent => muster_crdt_recent:new(State),
        peers => maps:from_list([{P, muster_overlay_peer:new(0, 0, ?INTERVAL)} || P <- ?NODES, P =/= Name])
    }.

run({put, Name, Kind, Id}, #{now := Now} = World) ->
    Data = #{id => Id, at => Now},
    change(Name, fun(S) -> element(2, muster_overlay_state:put({Kind, Id}, Data, Name, S)) end, World);
run({remove, Name, Id}, World) ->
    Remove = fun(S) ->
        case muster_overlay_state:remove({waypoint, Id}, S) of
            unchanged -> S;
            {_, Removed} -> Removed
        end
    end,
    change(Name, Remove, World);
run({tick, Name}, World) ->
    tick(Name, World);
run({deliver, Pick}, World) ->
    picked(Pick, World, fun(Message, Others) -> deliver(Message, World#{network := Others}) end);
run({duplicate, Pick}, #{network := Network} = World) ->
    picked(Pick, World, fun(Message, _) -> World#{network := [Message | Network]} end);
run({lose, Pick}, World) ->
    picked(Pick, World, fun(_, Others) -> World#{network := Others} end);
run({forget, Name}, #{nodes := Nodes} = World) ->
    #{Name := #{peers := Peers} = Node} = Nodes,
    Forgotten = maps:map(fun(_, Peer) -> muster_overlay_peer:forget_base(Peer) end, Peers),
    World#{nodes := Nodes#{Name := Node#{peers := Forgotten}}};
run({reconnect, Name}, #{now := Now, nodes := Nodes} = World) ->
    #{Name := #{peers := Peers} = Node} = Nodes,
    Again = maps:map(fun(_, Peer) -> muster_overlay_peer:reconnected(Now, Peer) end, Peers),
    World#{nodes := Nodes#{Name := Node#{peers := Again}}};
run({save, Name}, #{saved := Saved, nodes := Nodes} = World) ->
    #{Name := #{state := State}} = Nodes,
    World#{saved := Saved#{Name => State}};
run({restart, Name}, #{saved := Saved, nodes := Nodes} = World) ->
    muster_crdt_gen:forget_lineages(),
    World#{nodes := Nodes#{Name := node_of(Name, maps:get(Name, Saved, muster_overlay_state:new()))}}.

picked(_Pick, #{network := []} = World, _Fun) ->
    World;
picked(Pick, #{network := Network}, Fun) ->
    {Before, [Message | After]} = lists:split(Pick rem length(Network), Network),
    Fun(Message, Before ++ After).

change(Name, Fun, #{nodes := Nodes} = World) ->
    #{Name := #{state := State, version := Version} = Node} = Nodes,
    World#{nodes := Nodes#{Name := Node#{state := Fun(State), version := Version + 1}}}.

tick(Name, #{now := Now, nodes := Nodes} = World) ->
    #{Name := #{peers := Peers}} = Nodes,
    lists:foldl(
        fun(Peer, #{nodes := #{} = Current, network := Network} = W) ->
            #{Name := #{state := State, version := Version, peers := #{} = All} = Node} = Current,
            {Bodies, Ticked} = muster_overlay_peer:tick({State, Version}, Now, ?SYNC, map_get(Peer, All)),
            W#{
                nodes := Current#{Name := Node#{peers := All#{Peer := Ticked}}},
                network := [{Name, Peer, B} || B <- Bodies] ++ Network
            }
        end,
        World#{now := Now + ?SYNC},
        maps:keys(Peers)
    ).

deliver({From, To, Body}, #{now := Now, nodes := Nodes, network := Network} = World) ->
    #{To := #{state := State, version := Version, recent := Recent, peers := Peers} = Node} = Nodes,
    {#{send := Bodies, state := Handled} = Outcome, Handling} =
        muster_overlay_peer:handle(Body, {State, Version, Recent, false}, Now, map_get(From, Peers)),
    {New, Peer} =
        case Outcome of
            #{load := true} -> {streamed(From, Handled, Nodes), muster_overlay_peer:resume(Now, Handling)};
            #{} -> {Handled, Handling}
        end,
    NewVersion =
        case muster_overlay_state:is_same(State, New) of
            true -> Version;
            false -> Version + 1
        end,
    World#{
        nodes := Nodes#{
            To := Node#{
                state := New,
                version := NewVersion,
                recent := maps:get(recent, Outcome, Recent),
                peers := Peers#{From := Peer}
            }
        },
        network := [{To, From, B} || B <- Bodies] ++ Network
    }.

streamed(From, State, Nodes) ->
    #{From := #{state := Theirs}} = Nodes,
    muster_lww_map:merge(State, Theirs).

%% With everything sent from here on delivered.
settles(#{nodes := Nodes} = World) ->
    [First | Others] = [State || #{state := State} <- maps:values(Nodes)],
    Merged = lists:foldl(fun muster_lww_map:merge/2, First, Others),
    #{nodes := Settled} = Quiet = settle(40, World),
    [Merged = State || #{state := State} <- maps:values(Settled)],
    true = lists:all(fun is_acknowledged/1, maps:values(Settled)),
    #{network := []} = lists:foldl(fun tick/2, Quiet, ?NODES),
    true.

settle(0, World) ->
    World;
settle(Rounds, World) ->
    settle(Rounds - 1, deliver_all(lists:foldl(fun tick/2, World, ?NODES))).

deliver_all(#{network := []} = World) ->
    World;
deliver_all(#{network := Network} = World) ->
    Message = lists:last(Network),
    deliver_all(deliver(Message, World#{network := lists:droplast(Network)})).

is_acknowledged(#{version := Version, peers := Peers}) ->
    lists:all(fun(Peer) -> muster_overlay_peer:is_acknowledged(Version, Peer) end, maps:values(Peers)).

%% A link that comes and goes does not put off a session for ever.
flapping_test() ->
    State = muster_overlay_state:new(),
    Based = (muster_overlay_peer:new(0, 1000, 1000))#{based := true},
    Flap = fun(Now, Peer) -> muster_overlay_peer:reconnected(Now, Peer) end,
    Begins = fun(Now, Peer) -> [M || {sync, M, _} <- element(1, muster_overlay_peer:tick({State, 1}, Now, 500, Peer))] end,
    Flapped = lists:foldl(Flap, Based, lists:seq(1000, 13000, 4000)),
    [] = Begins(14000, Flapped),
    [_] = Begins(17000, Flap(16500, Flapped)).

%%% Servers over a transport that loses, doubles and delays

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
