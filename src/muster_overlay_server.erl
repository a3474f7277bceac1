%% @private
%% The process behind {@link muster_overlay}: carries messages between what is here (muster_overlay_replica), the peers,
%% the disk and the subscribers. What is said to the peers is decided in muster_overlay_talk.
-module(muster_overlay_server).

-behaviour(gen_server).

-export([init/1, handle_continue/2, handle_call/3, handle_cast/2, handle_info/2, terminate/2]).

-include_lib("kernel/include/logger.hrl").

-define(VERSION, 1).
-define(SAY_IF_ALONE_MS, 2000).
-define(LOG_EVERY_MS, 1000).
-define(LOG_META, #{domain => [muster]}).

-record(state, {
    options :: #{atom() => term()},
    name :: atom(),
    replica :: muster_overlay_replica:replica(),
    heap = muster_overlay_heap:new() :: muster_overlay_heap:heap(),
    peers = muster_overlay_roster:new() :: muster_overlay_roster:roster(),
    carrier :: muster_overlay_carrier:carrier(),
    %% A stream that comes in, and those that go out.
    load = muster_overlay_intake:idle() :: muster_overlay_intake:intake(),
    streams = muster_overlay_streams:new() :: muster_overlay_streams:streams(),
    pins = muster_overlay_pin:new() :: muster_overlay_pin:pins(),
    store :: muster_overlay_store:store(),
    waits = muster_waits:new() :: muster_waits:waits(Version :: non_neg_integer()),
    sync :: reference() | undefined,
    node_watch :: muster_node_watch:watch(),
    logged = none :: none | integer(),
    subscribers = muster_subscribers:new() :: muster_subscribers:subscribers()
}).

%% @private
init(#{name := Name, peers := Peers, data_dir := Directory, node_monitor := NodeMonitor} = Options) ->
    process_flag(trap_exit, true),
    ok = net_kernel:monitor_nodes(true),
    Canonical = muster_overlay_roster:canonical(Name),
    case muster_overlay_store:open(Directory, Canonical) of
        {ok, Stored, Store} ->
            S = #state{
                options = Options,
                name = Canonical,
                replica = muster_overlay_replica:new(Stored),
                carrier = muster_overlay_carrier:new(Options),
                store = Store,
                node_watch = muster_node_watch:new(NodeMonitor)
            },
            {ok, listed(Peers, given, scheduled(sized(S))), {continue, first_tick}};
        {error, Reason} ->
            {stop, {data_dir, Directory, Reason}}
    end.

scheduled(#state{options = #{sync_interval_ms := Ms}} = S) ->
    S#state{sync = erlang:start_timer(Ms, self(), sync)}.

%% @private
handle_continue(first_tick, S) ->
    erlang:send_after(?SAY_IF_ALONE_MS, self(), say_if_alone),
    {noreply, tick(monitored(S))}.

%% @private
handle_call({put, Key, Data}, _From, #state{options = #{node_id := Self}} = S) when is_map(Data) ->
    {reply, ok, changed(muster_overlay_replica:put(Key, own(Key, Data, Self), Self, S#state.replica), S)};
handle_call({remove, Key}, _From, S) ->
    {reply, ok, changed(muster_overlay_replica:remove(Key, S#state.replica), S)};
handle_call({find, Key}, _From, S) ->
    {reply, muster_overlay_state:find(Key, state(S)), S};
handle_call(pin, From, S) ->
    pinned(pin, From, S);
handle_call({piece, _, _} = Call, From, S) ->
    pinned(Call, From, S);
handle_call({read, _, _, _} = Call, From, S) ->
    pinned(Call, From, S);
handle_call(snapshot, _From, S) ->
    {reply, state(S), S};
handle_call(members, _From, #state{options = #{node_id := Self}, name = Name, peers = Peers} = S) ->
    {reply, {Self, muster_overlay_roster:listed(Name, Peers)}, S};
handle_call({receive_delta, From, Delta}, _From, S) ->
    {Reply, New} = received(From, Delta, fun muster_overlay_state:join/2, S),
    {reply, Reply, New};
handle_call({receive_full_state, From, State}, _From, S) ->
    {Reply, New} = received(From, State, fun muster_overlay_state:merge/2, S),
    {reply, Reply, New};
handle_call({set_peers, Peers}, _From, S) ->
    Unlisted = S#state{peers = muster_overlay_roster:unlist(given, S#state.peers)},
    {reply, ok, monitored(listed(Peers, given, Unlisted))};
handle_call({await_sync, Timeout}, From, #state{replica = Replica, waits = Waits} = S) ->
    Added = muster_waits:add(From, muster_overlay_replica:version(Replica), Timeout, Waits),
    {noreply, answer_waits(tick(S#state{waits = Added}))};
handle_call(status, _From, S) ->
    {reply, status(S), S};
handle_call({subscribe, Pid}, _From, S) ->
    {reply, ok, S#state{subscribers = muster_subscribers:add(Pid, S#state.subscribers)}};
handle_call({unsubscribe, Pid}, _From, S) ->
    {reply, ok, S#state{subscribers = muster_subscribers:remove(Pid, S#state.subscribers)}};
handle_call(_, _From, S) ->
    {reply, {error, unknown_call}, S}.

pinned(Call, {Pid, _}, #state{pins = Pins} = S) ->
    {Reply, Kept} = muster_overlay_pin:handle(Call, Pid, state(S), Pins),
    {reply, Reply, S#state{pins = Kept}}.

own({entity, Id}, Data, Self) ->
    Data#{id => Id, node => Self, last_updated => erlang:system_time(millisecond)};
own(_, Data, _) ->
    Data.

%% @private
handle_cast({release, Pin}, #state{pins = Pins} = S) ->
    {noreply, S#state{pins = muster_overlay_pin:released(Pin, Pins)}};
handle_cast(_, S) ->
    {noreply, S}.

%% @private
handle_info({muster_overlay, ?VERSION, {Name, Node} = From, Body}, S) when is_atom(Name), is_atom(Node) ->
    {noreply, answer_waits(message({muster_overlay_roster:canonical(Name), Node}, From, Body, S))};
handle_info(take_chunk, S) ->
    {noreply, answer_waits(take_chunk(S))};
handle_info({streamed, Id, Bytes, Sent}, S) when is_integer(Bytes) ->
    {noreply, counted(Sent, Id, Bytes, S)};
handle_info({timeout, Timer, sync}, #state{sync = Timer} = S) ->
    {noreply, answer_waits(tick(remembered(flush(scheduled(S)))))};
handle_info({stored, Writer, Records}, #state{store = Store} = S) ->
    {noreply, S#state{store = muster_overlay_store:stored(Writer, Records, Store)}};
handle_info(reopen_store, #state{store = Store} = S) ->
    {noreply, S#state{store = muster_overlay_store:reopen(state(S), Store)}};
handle_info({'EXIT', _, normal}, S) ->
    {noreply, S};
handle_info({'EXIT', Pid, Reason}, #state{store = Store} = S) ->
    case muster_overlay_store:failed(Pid, Reason, Store) of
        {ok, Failed} -> {noreply, S#state{store = Failed}};
        not_the_writer -> {stop, Reason, S}
    end;
handle_info({timeout, _, {await, Id}}, #state{name = Name, peers = Peers, waits = Waits} = S) ->
    case muster_waits:expired(Id, Waits) of
        {From, Version, Others} ->
            gen_server:reply(From, {error, {timeout, muster_overlay_roster:behind(Version, Name, Peers)}}),
            {noreply, S#state{waits = Others}};
        nobody ->
            {noreply, S}
    end;
handle_info({swarm_event, {node_up, Node}}, S) when is_atom(Node) ->
    {noreply, listed([Node], monitored, S)};
handle_info({swarm_event, _}, S) ->
    {noreply, S};
handle_info(say_if_alone, S) ->
    say_if_alone(S),
    {noreply, S};
handle_info({nodeup, Node}, S) when Node =:= node() ->
    {noreply, named(S)};
handle_info({nodeup, Node}, S) ->
    {noreply, node_is(true, Node, S)};
handle_info({nodedown, Node}, S) ->
    {noreply, answer_waits(node_is(false, Node, S))};
handle_info(Message, S) when element(1, Message) =:= muster_overlay ->
    {noreply, refused(unknown, version, S)};
handle_info(Message, #state{node_watch = Watch} = S) ->
    case muster_node_watch:handle(Message, Watch) of
        unknown -> {noreply, other(Message, S)};
        New -> {noreply, monitored(S#state{node_watch = New})}
    end.

other({'DOWN', Monitor, process, Pid, _} = Message, S) ->
    #state{pins = Pins, streams = Streams, waits = Waits, subscribers = Known} = S,
    answered(Message, S#state{
        waits = muster_waits:gone(Monitor, Waits),
        pins = muster_overlay_pin:released(Monitor, Pins),
        streams = muster_overlay_streams:ended(Monitor, Streams),
        subscribers = muster_subscribers:down(Monitor, Pid, Known)
    });
other(Message, S) ->
    answered(Message, S).

%% By the comms manager, whose end is an answer, too.
answered(Message, #state{carrier = Carrier, peers = Peers} = S) ->
    case muster_overlay_carrier:answered(Message, Carrier) of
        {Id, Bytes, IsSent, Left} ->
            S#state{carrier = Left, peers = muster_overlay_roster:sent(Id, Bytes, IsSent, Peers)};
        none ->
            S
    end.

%% @private
terminate(_Reason, #state{store = Store} = S) ->
    muster_overlay_store:close(state(S), Store).

%%% What is here

state(#state{replica = Replica}) ->
    muster_overlay_replica:state(Replica).

%% Tells changes, once they have happened.
changed({Changes, New}, #state{store = Store, subscribers = Subscribers} = S) ->
    ok = muster_overlay_events:tell(Changes, Subscribers),
    Kept = muster_overlay_store:changed(length(Changes), muster_overlay_replica:state(New), Store),
    sized(S#state{replica = New, store = Kept}).

sized(#state{replica = Replica, heap = Heap} = S) ->
    #{bytes := Bytes} = muster_overlay_replica:counts(Replica),
    S#state{heap = muster_overlay_heap:holds(muster_overlay_state:size(state(S)), Bytes, Heap)}.

%% What comes by another transport.
received(From, What, How, #state{replica = Replica} = S) ->
    try
        case How(What, state(S)) of
            {ok, New} -> {ok, changed(muster_overlay_replica:adopt(all, New, Replica), S)};
            {error, gap} -> {{error, gap}, S}
        end
    catch
        error:Reason -> {{error, malformed}, refused(From, Reason, S)}
    end.

flush(#state{store = Store} = S) ->
    S#state{store = muster_overlay_store:flush(state(S), Store)}.

remembered(#state{replica = Replica} = S) ->
    S#state{replica = muster_overlay_replica:remember(Replica)}.

%%% Messages

message(Id, From, Body, #state{peers = Peers} = S) ->
    case muster_overlay_talk:heard(Id, From, erlang:external_size(Body), moment(S), Peers) of
        {ok, Heard} ->
            S1 = S#state{peers = Heard},
            try
                body(Body, Id, S1)
            catch
                error:Reason -> refused(Id, Reason, S1)
            end;
        full ->
            refused(Id, too_many_strangers, S)
    end.

body({load, Reference, Context}, Id, S) ->
    stream(Id, Reference, Context, S);
body({got, Reference, Sequence}, Id, #state{streams = Streams} = S) when is_integer(Sequence) ->
    ok = muster_overlay_streams:acknowledged({Id, Reference}, Sequence, Streams),
    S;
body({chunk, Reference, Sequence, Chunk}, Id, S) ->
    chunk(Reference, Sequence, Chunk, Id, S);
body(Body, Id, #state{peers = Peers} = S) ->
    {#{say := Said, changes := Changes, replica := Replica, load := Load}, Talked} =
        muster_overlay_talk:handle(Body, Id, moment(S), Peers),
    S1 = say(Said, changed({Changes, Replica}, S#state{peers = Talked})),
    case Load of
        true -> start_load(Id, S1);
        false -> S1
    end.

%% Whatever came, nothing has changed.
refused(From, Reason, #state{logged = Logged} = S) ->
    Now = now_ms(),
    S1 = S#state{peers = muster_overlay_roster:refused(From, S#state.peers)},
    case Logged =:= none orelse Now - Logged >= ?LOG_EVERY_MS of
        true ->
            ?LOG_WARNING("overlay ~tp: refused a message from ~tp (~tP)", [S#state.name, From, Reason, 8], ?LOG_META),
            muster_telemetry:execute(
                [muster, overlay, refused],
                #{system_time => erlang:system_time()},
                #{overlay => S#state.name, from => From}
            ),
            S1#state{logged = Now};
        false ->
            S1
    end.

say(Said, S) ->
    lists:foldl(fun({Id, Body}, Acc) -> say(Id, Body, Acc) end, S, Said).

say(Id, Body, #state{peers = Peers, carrier = Carrier} = S) ->
    {Sent, Left} = muster_overlay_carrier:send(Id, muster_overlay_roster:addresses(Id, Peers), Body, Carrier),
    counted(Sent, Id, erlang:external_size(Body), S#state{carrier = Left}).

counted(asked, _, _, S) ->
    S;
counted(Sent, Id, Bytes, #state{peers = Peers} = S) ->
    S#state{peers = muster_overlay_roster:sent(Id, Bytes, Sent =:= sent, Peers)}.

%%% A stream that comes in

%% At most one from everybody: this state's context is where it begins.
start_load(Id, S) ->
    Reference = make_ref(),
    #{context := Context} = state(S),
    say(Id, {load, Reference, Context}, S#state{load = muster_overlay_intake:start(Id, Reference, now_ms())}).

%% One is taken in at a time, so that between them others are answered.
chunk(Reference, Sequence, Chunk, Id, #state{load = Load} = S) ->
    {What, Arrived} = muster_overlay_intake:arrived({Id, Reference}, Sequence, Chunk, Load),
    _ = What =:= next andalso (self() ! take_chunk),
    S1 = S#state{load = Arrived},
    case What of
        {got, UpTo} -> say(Id, {got, Reference, UpTo}, S1);
        _ -> S1
    end.

%% A load that was given up may have left a `take_chunk' behind.
take_chunk(#state{load = Load, replica = Replica} = S) ->
    case muster_overlay_intake:next(now_ms(), Load) of
        empty ->
            S;
        {{Reference, Sequence}, Chunk, IsLast, Left} ->
            _ = IsLast orelse (self() ! take_chunk),
            {Id, _} = muster_overlay_intake:started(Load),
            try muster_overlay_intake:take(Chunk, Replica, Left) of
                {Taken, Going} -> say(Id, {got, Reference, Sequence}, taken(Taken, S#state{load = Going}))
            catch
                error:Reason -> load_ended(refused(Id, Reason, S))
            end
    end.

taken({begun, Entries}, #state{heap = Heap} = S) ->
    sized(S#state{heap = muster_overlay_heap:begin_load(Entries, Heap)});
%% What a stream brought is written as it came.
taken({part, Delta, Changes, New}, S) ->
    #state{store = Store} = S1 = changed({Changes, New}, S),
    S1#state{store = muster_overlay_store:append(Delta, state(S), state(S1), Store)};
taken(all, #state{load = Load} = S) ->
    {Id, Started} = muster_overlay_intake:started(Load),
    muster_telemetry:execute(
        [muster, overlay, loaded],
        #{
            duration => erlang:convert_time_unit(now_ms() - Started, millisecond, native),
            entries => muster_overlay_state:size(state(S))
        },
        #{overlay => S#state.name, from => Id}
    ),
    #state{peers = Peers} = S1 = load_ended(S),
    {Said, Ticked} = muster_overlay_talk:tick_peer(Id, moment(S1), Peers),
    say(Said, S1#state{peers = Ticked}).

load_ended(#state{load = Load, peers = Peers, heap = Heap} = S) ->
    {Id, _} = muster_overlay_intake:started(Load),
    Resumed = muster_overlay_talk:resume(Id, moment(S), Peers),
    S#state{load = muster_overlay_intake:idle(), peers = Resumed, heap = muster_overlay_heap:end_load(Heap)}.

%%% Streams that go out

stream(Id, Reference, Context, #state{streams = Streams, carrier = Carrier, peers = Peers} = S) ->
    Seen = muster_causal:counters(Context),
    #state{replica = Replica} = S1 = remembered(S),
    Lacking = {Seen, muster_overlay_replica:latest(Seen, Replica)},
    To = {muster_overlay_roster:addresses(Id, Peers), Carrier},
    S1#state{streams = muster_overlay_streams:start({Id, Reference}, Lacking, To, Streams)}.

%%% Peers

%% The monitor's nodes are those that the BEAM is connected to.
monitored(#state{node_watch = Watch} = S) ->
    case muster_node_watch:is_found(Watch) of
        true -> listed(nodes(), monitored, S);
        false -> S
    end.

%% The usual cause is that nobody thought of it; a supervisor that starts one later has done so by now.
say_if_alone(#state{name = Name, options = #{node_monitor := Server}, node_watch = Watch, peers = Peers}) ->
    IsMissing = Server =/= none andalso not muster_node_watch:is_found(Watch),
    _ = IsMissing andalso muster_overlay_roster:ids(Peers) =:= [] andalso
        ?LOG_NOTICE("overlay ~tp: shares with nobody: no node monitor ~tp runs here, and no peers are given",
            [Name, Server], ?LOG_META),
    ok.

listed(Listed, Listing, #state{peers = Peers} = S) ->
    S#state{peers = muster_overlay_talk:list(Listed, Listing, moment(S), Peers)}.

%% This node has its name only now. Whoever was given under it is this member.
named(#state{name = Name, options = Options, peers = Peers} = S) ->
    Named =
        case Options of
            #{node_id := nonode@nohost} -> Options#{node_id := node()};
            #{} -> Options
        end,
    S#state{options = Named, peers = muster_overlay_roster:remove({Name, node()}, Peers)}.

node_is(_, _, #state{options = #{send := Send}} = S) when Send =/= direct ->
    S;
node_is(Up, Node, #state{peers = Peers} = S) ->
    S#state{peers = muster_overlay_talk:node_is(Up, Node, moment(S), Peers)}.

%%% Each interval

tick(S) ->
    #state{peers = Peers} = S1 = failed_load(S),
    {Said, Ticked} = muster_overlay_talk:tick(moment(S1), Peers),
    say(Said, S1#state{peers = Ticked}).

failed_load(#state{load = Load} = S) ->
    case muster_overlay_intake:has_failed(now_ms(), Load) of
        true -> load_ended(S);
        false -> S
    end.

%% What muster_overlay_talk goes by.
moment(#state{name = Name, options = Options, replica = Replica, waits = Waits, load = Load}) ->
    #{sync_interval_ms := Sync, anti_entropy_interval_ms := AntiEntropy, send := Send} = Options,
    Now = now_ms(),
    #{
        self => {Name, node()},
        now => Now,
        sync => Sync,
        anti_entropy => AntiEntropy,
        is_up => fun(Node) -> Node =:= node() orelse Send =/= direct orelse lists:member(Node, nodes()) end,
        replica => Replica,
        loading => muster_overlay_intake:source(Now, Load),
        awaited => not muster_waits:is_empty(Waits)
    }.

answer_waits(#state{name = Name, peers = Peers, waits = Waits} = S) ->
    IsEverywhere = fun(Version) -> muster_overlay_roster:behind(Version, Name, Peers) =:= [] end,
    S#state{waits = muster_waits:reached(IsEverywhere, Waits)}.

status(#state{options = #{node_id := Self}, name = Name, replica = Replica, peers = Peers} = S) ->
    Now = now_ms(),
    Counts = muster_overlay_replica:counts(Replica),
    #{
        node_id => Self,
        entities => maps:get(entity, Counts),
        waypoints => maps:get(waypoint, Counts),
        annotations => maps:get(annotation, Counts),
        digest => muster_overlay_state:digest(state(S)),
        loading => muster_overlay_intake:source(Now, S#state.load) =/= none,
        peers => muster_overlay_roster:status(muster_overlay_replica:version(Replica), Name, Now, Peers)
    }.

now_ms() ->
    erlang:monotonic_time(millisecond).
