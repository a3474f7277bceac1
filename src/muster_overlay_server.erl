%% @private
%% The process behind {@link muster_overlay}: carries messages between the state, the peers and the
%% subscribers. What is said to a peer is decided in muster_overlay_peer.
-module(muster_overlay_server).

-behaviour(gen_server).

-export([init/1, handle_continue/2, handle_call/3, handle_cast/2, handle_info/2, terminate/2]).

-include_lib("kernel/include/logger.hrl").

-define(VERSION, 1).
-define(SUBSCRIBE_MS, 1000).
%% Peers that nobody has listed, and that are answered.
-define(STRANGERS, 1000).
-define(LOG_EVERY_MS, 1000).
%% After a failure of the disk.
-define(REOPEN_MS, 5000).
%% Words of the heap at least: usually, and during a load, for each entry that is there.
-define(HEAP_WORDS, 233).
-define(LOAD_WORDS, 40).
-define(LOAD_WORDS_MAX, 8388608).
-define(LOG_META, #{domain => [muster]}).

-record(state, {
    options :: #{atom() => term()},
    name :: atom(),
    overlay = muster_overlay_state:new() :: muster_overlay_state:state(),
    %% Counts the changes of the state.
    version = 0 :: non_neg_integer(),
    counts :: muster_overlay_state:counts(),
    hearsay = muster_overlay_hearsay:new() :: muster_overlay_hearsay:hearsay(),
    recent = muster_crdt_recent:new(muster_overlay_state:new()) :: muster_crdt_recent:recent(),
    peers = muster_overlay_roster:new() :: muster_overlay_roster:roster(),
    carrier :: muster_overlay_carrier:carrier(),
    %% A stream that comes in.
    load = none :: none | muster_overlay_intake:intake(),
    %% Streams that go out, by their processes' monitors.
    streams = #{} :: #{reference() => {muster_overlay_roster:id(), Reference :: term(), pid()}},
    %% States that are being read.
    pins = #{} :: #{reference() => muster_overlay_state:state()},
    sync :: reference() | undefined,
    waiters = [] :: [{gen_server:from(), Version :: non_neg_integer(), Timer :: reference()}],
    node_monitor :: reference() | undefined,
    store = none :: none | muster_overlay_store:store(),
    logged = none :: none | integer(),
    subscribers = muster_subscribers:new() :: muster_subscribers:subscribers()
}).

%% @private
init(#{name := Name, peers := Peers} = Options) ->
    process_flag(trap_exit, true),
    ok = net_kernel:monitor_nodes(true),
    Carrier = muster_overlay_carrier:new(Options),
    S0 = #state{options = Options, name = muster_overlay_roster:canonical(Name), carrier = Carrier, counts = #{}},
    case restored(S0) of
        {ok, #state{overlay = Overlay} = S} ->
            Counted = S#state{counts = muster_overlay_state:counts(Overlay)},
            {ok, listed(Peers, given, scheduled(Counted)), {continue, watch_nodes}};
        {error, Reason} ->
            {stop, Reason}
    end.

restored(#state{options = #{data_dir := undefined}} = S) ->
    {ok, S};
restored(#state{options = #{data_dir := Directory}, name = Name} = S) ->
    case muster_overlay_store:open(Directory, Name) of
        {ok, Overlay, Store} ->
            {ok, S#state{overlay = Overlay, recent = muster_crdt_recent:new(Overlay), store = Store}};
        {error, Reason} ->
            {error, {data_dir, Directory, Reason}}
    end.

scheduled(#state{options = #{sync_interval_ms := Ms}} = S) ->
    S#state{sync = erlang:start_timer(Ms, self(), sync)}.

%% @private
handle_continue(watch_nodes, S) ->
    erlang:send_after(2 * ?SUBSCRIBE_MS, self(), say_if_alone),
    {noreply, tick(watch_nodes(S))}.

%% @private
handle_call({put, Key, Data}, _From, #state{options = #{node_id := Self}, overlay = Overlay} = S) when is_map(Data) ->
    {Change, New} = muster_overlay_state:put(Key, own(Key, Data, Self), Self, Overlay),
    {reply, ok, changed([Change], New, S)};
handle_call({remove, Key}, _From, #state{overlay = Overlay} = S) ->
    case muster_overlay_state:remove(Key, Overlay) of
        unchanged -> {reply, ok, S};
        {Change, New} -> {reply, ok, changed([Change], New, S)}
    end;
handle_call({find, Key}, _From, #state{overlay = Overlay} = S) ->
    {reply, muster_overlay_state:find(Key, Overlay), S};
handle_call(pin, {Pid, _}, #state{overlay = #{context := Context} = Overlay, pins = Pins} = S) ->
    Pin = erlang:monitor(process, Pid),
    {reply, {Pin, muster_overlay_state:paths(Overlay), Context}, S#state{pins = Pins#{Pin => Overlay}}};
handle_call({piece, Pin, Path}, _From, #state{pins = Pins} = S) ->
    {reply, pinned(Pin, Pins, fun(State) -> muster_overlay_state:piece(Path, State) end), S};
handle_call({read, Pin, Kinds, Path}, _From, #state{pins = Pins} = S) ->
    {reply, pinned(Pin, Pins, fun(State) -> muster_overlay_state:read(Kinds, Path, State) end), S};
handle_call(snapshot, _From, #state{overlay = Overlay} = S) ->
    {reply, Overlay, S};
handle_call(members, _From, #state{options = #{node_id := Self}, peers = Peers} = S) ->
    {reply, {Self, muster_overlay_roster:listed(S#state.name, Peers)}, S};
handle_call({receive_delta, From, Delta}, _From, S) ->
    {Reply, New} = received(From, Delta, fun muster_overlay_state:join/2, S),
    {reply, Reply, New};
handle_call({receive_full_state, From, State}, _From, S) ->
    {Reply, New} = received(From, State, fun muster_overlay_state:merge/2, S),
    {reply, Reply, New};
handle_call({set_peers, Peers}, _From, S) ->
    Unlisted = S#state{peers = muster_overlay_roster:unlist(given, S#state.peers)},
    {reply, ok, monitored(listed(Peers, given, Unlisted))};
handle_call({await_sync, Timeout}, From, #state{version = Version, waiters = Waiters} = S) ->
    Timer = timer(Timeout, {await_sync_timeout, From}),
    {noreply, answer_waiters(tick(S#state{waiters = [{From, Version, Timer} | Waiters]}))};
handle_call(status, _From, S) ->
    {reply, status(S), S};
handle_call({subscribe, Pid}, _From, S) ->
    {reply, ok, S#state{subscribers = muster_subscribers:add(Pid, S#state.subscribers)}};
handle_call({unsubscribe, Pid}, _From, S) ->
    {reply, ok, S#state{subscribers = muster_subscribers:remove(Pid, S#state.subscribers)}};
handle_call(_, _From, S) ->
    {reply, {error, unknown_call}, S}.

%% A reader on another node may have been given up for dead.
pinned(Pin, Pins, Read) ->
    case Pins of
        #{Pin := State} -> {ok, Read(State)};
        #{} -> {error, released}
    end.

timer(infinity, _) -> none;
timer(Ms, Message) -> erlang:send_after(Ms, self(), Message).

own({entity, Id}, Data, Self) ->
    Data#{id => Id, node => Self, last_updated => erlang:system_time(millisecond)};
own(_, Data, _) ->
    Data.

%% @private
handle_cast({release, Pin}, #state{pins = Pins} = S) when is_map_key(Pin, Pins) ->
    erlang:demonitor(Pin, [flush]),
    {noreply, S#state{pins = maps:remove(Pin, Pins)}};
handle_cast(_, S) ->
    {noreply, S}.

%% @private
handle_info({muster_overlay, ?VERSION, {Name, Node} = From, Body}, S) when is_atom(Name), is_atom(Node) ->
    {noreply, answer_waiters(message({muster_overlay_roster:canonical(Name), Node}, From, Body, S))};
handle_info(take_chunk, S) ->
    {noreply, answer_waiters(take_chunk(S))};
handle_info({streamed, Id, Bytes, Sent}, S) when is_integer(Bytes) ->
    {noreply, counted(Sent, Id, Bytes, S)};
handle_info({timeout, Timer, sync}, #state{sync = Timer} = S) ->
    {noreply, answer_waiters(tick(remembered(flush(scheduled(S)))))};
handle_info({stored, Writer, Records}, #state{store = Store} = S) when Store =/= none ->
    {noreply, S#state{store = muster_overlay_store:stored(Writer, Records, Store)}};
handle_info(reopen_store, #state{store = none, options = #{data_dir := Directory}} = S) when Directory =/= undefined ->
    {noreply, reopened(S)};
handle_info({'EXIT', _, normal}, S) ->
    {noreply, S};
handle_info({'EXIT', Pid, Reason}, #state{store = Store} = S) ->
    case muster_overlay_store:is_writer(Pid, Store) of
        true -> {noreply, not_stored(Reason, S)};
        false -> {stop, Reason, S}
    end;
handle_info({await_sync_timeout, From}, #state{waiters = Waiters} = S) ->
    case lists:keytake(From, 1, Waiters) of
        {value, {_, Version, _}, Others} ->
            Behind = muster_overlay_roster:behind(Version, S#state.name, S#state.peers),
            gen_server:reply(From, {error, {timeout, Behind}}),
            {noreply, S#state{waiters = Others}};
        false ->
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
    {noreply, answer_waiters(node_is(false, Node, S))};
handle_info(watch_nodes, #state{node_monitor = undefined} = S) ->
    {noreply, watch_nodes(S)};
handle_info({'DOWN', Monitor, process, _, _}, #state{node_monitor = Monitor} = S) ->
    erlang:send_after(?SUBSCRIBE_MS, self(), watch_nodes),
    {noreply, S#state{node_monitor = undefined}};
handle_info({'DOWN', Monitor, process, Pid, _} = Message, S) ->
    #state{pins = Pins, streams = Streams, subscribers = Known} = S,
    {noreply, answered(Message, S#state{
        pins = maps:remove(Monitor, Pins),
        streams = maps:remove(Monitor, Streams),
        subscribers = muster_subscribers:down(Monitor, Pid, Known)
    })};
handle_info(Message, S) when element(1, Message) =:= muster_overlay ->
    {noreply, refused(unknown, version, S)};
handle_info(Message, S) ->
    {noreply, answered(Message, S)}.

%% By the comms manager, whose end is an answer, too.
answered(Message, #state{carrier = Carrier, peers = Peers} = S) ->
    case muster_overlay_carrier:answered(Message, Carrier) of
        {Id, Bytes, IsSent, Left} ->
            S#state{carrier = Left, peers = muster_overlay_roster:sent(Id, Bytes, IsSent, Peers)};
        none ->
            S
    end.

%% @private
terminate(_Reason, #state{store = none}) ->
    ok;
terminate(_Reason, #state{store = Store, overlay = Overlay}) ->
    muster_overlay_store:close(Overlay, Store).

%%% The state

%% Tells a change, once it has happened.
changed(Changes, New, #state{counts = Counts, version = Version} = S) ->
    _ = map_size(S#state.subscribers) > 0 andalso
        lists:foreach(
            fun(Event) -> muster_subscribers:tell({overlay_event, Event}, S#state.subscribers) end,
            muster_overlay_events:events(Changes)
        ),
    kept(length(Changes), S#state{
        overlay = New,
        version = Version + 1,
        counts = muster_overlay_state:apply_to_counts(Changes, Counts)
    }).

kept(_, #state{store = none} = S) ->
    S;
kept(N, #state{store = Store} = S) ->
    Changed = muster_overlay_store:changed(N, Store),
    case muster_overlay_store:is_full(Changed) of
        true -> flush(S#state{store = Changed});
        false -> S#state{store = Changed}
    end.

%% What a stream brought is written as it came.
appended(_Delta, _Old, #state{store = none} = S) ->
    S;
appended(Delta, Old, #state{store = Store, overlay = New} = S) ->
    S#state{store = muster_overlay_store:append(Delta, Old, New, Store)}.

flush(#state{store = none} = S) ->
    S;
flush(#state{store = Store, overlay = Overlay} = S) ->
    S#state{store = muster_overlay_store:flush(Overlay, Store)}.

%% The disk was full, or worse. What was not written is what has changed since the last reading.
reopened(#state{options = #{data_dir := Directory}, name = Name} = S) ->
    case muster_overlay_store:open(Directory, Name) of
        {ok, _Written, Store} -> flush(S#state{store = Store});
        {error, Reason} -> not_stored(Reason, S)
    end.

not_stored(Reason, S) ->
    ?LOG_ERROR("overlay ~tp: its state cannot be written: ~tP", [S#state.name, Reason, 8], ?LOG_META),
    erlang:send_after(?REOPEN_MS, self(), reopen_store),
    S#state{store = none}.

%% Takes over what a peer's message made of the state, if all of it is what an overlay holds.
adopted(none, _New, S) ->
    S;
adopted(Keys, New, #state{overlay = Old} = S) ->
    case muster_overlay_state:is_same(Old, New) of
        true ->
            S;
        false ->
            Touched = muster_overlay_state:touched(Keys, Old, New),
            Changes = muster_overlay_state:changes(Touched, Old, New),
            ok = muster_overlay_state:check(Touched, New),
            changed(Changes, New, S)
    end.

received(From, What, How, #state{overlay = Old} = S) ->
    try
        case How(What, Old) of
            {ok, New} -> {ok, adopted(all, New, S)};
            {error, gap} -> {{error, gap}, S}
        end
    catch
        error:Reason -> {{error, malformed}, refused(From, Reason, S)}
    end.

%%% Messages

message(Id, From, Body, S) ->
    Now = now_ms(),
    case heard_of(Id, From, Now, S) of
        {ok, #state{peers = Peers} = S1} ->
            S2 = S1#state{peers = muster_overlay_roster:heard(Id, From, erlang:external_size(Body), Now, Peers)},
            try
                body(Body, Id, Now, S2)
            catch
                error:Reason -> refused(Id, Reason, S2)
            end;
        full ->
            refused(Id, too_many_strangers, S)
    end.

heard_of(Id, From, Now, #state{peers = Peers} = S) ->
    case muster_overlay_roster:is_known(Id, Peers) of
        true ->
            {ok, S};
        false ->
            case muster_overlay_roster:strangers(Peers) < ?STRANGERS of
                true -> {ok, add_peer(Id, [From], no, Now, S)};
                false -> full
            end
    end.

body({load, Reference, Context}, Id, _Now, S) ->
    stream(Id, Reference, Context, S);
body({chunk, Reference, Sequence, Chunk}, Id, _Now, S) ->
    chunk(Reference, Sequence, Chunk, Id, S);
body({got, Reference, Sequence}, Id, _Now, #state{streams = Streams} = S) when is_integer(Sequence) ->
    Pids = [Pid || {I, R, Pid} <- maps:values(Streams), {I, R} =:= {Id, Reference}],
    lists:foreach(fun(Pid) -> muster_overlay_load:acknowledged(Pid, Sequence) end, Pids),
    S;
body({shared, Incarnation, Sequence, Others}, Id, _Now, #state{peers = Peers, hearsay = Hearsay} = S) ->
    Known = [Other || Other <- Others, muster_overlay_roster:is_known(Other, Peers)],
    Mark = {Incarnation, Sequence},
    case muster_overlay_peer:has_sent(Mark, muster_overlay_roster:protocol(Id, Peers)) of
        true -> S#state{hearsay = muster_overlay_hearsay:shared(Id, Mark, Known, Hearsay)};
        false -> S
    end;
body(Body, Id, Now, #state{peers = Peers, overlay = Overlay, version = Version, recent = Recent} = S) ->
    Peer = muster_overlay_roster:protocol(Id, Peers),
    Loading = is_loading(Now, S),
    Busy = Loading orelse is_busy(Body, Id, Now, Peers),
    {#{send := Bodies, state := New, keys := Keys} = Outcome, Protocol} =
        muster_overlay_peer:handle(Body, {Overlay, Version, Recent, Busy}, Now, Peer),
    S1 = heard(Body, Id, Now, Version, adopted(Keys, New, S#state{recent = maps:get(recent, Outcome, Recent)})),
    S2 = send_all(Id, Bodies, with_protocol(Id, Protocol, S1)),
    case Outcome of
        #{load := true} when not Loading -> start_load(Id, Now, S2);
        #{} -> S2
    end.

heard({update, {update, Incarnation, Sequence, _, _}}, Id, Now, Before, #state{version = Version} = S) when
    Version > Before
->
    Heard = muster_overlay_hearsay:heard(Version, {Id, {Incarnation, Sequence}}, Now, S#state.hearsay),
    S#state{hearsay = Heard};
heard(_, _, _, _, S) ->
    S.

%% Two sessions at a time would bring the same twice.
is_busy({sync, {begin_sync, _, _}, _}, Id, Now, Peers) ->
    muster_overlay_roster:any_other(Id, fun(Peer) -> muster_overlay_peer:is_talking(Now, Peer) end, Peers);
is_busy({reply, {differ, _, _, _}, _, _}, Id, Now, Peers) ->
    muster_overlay_roster:any_other(Id, fun(Peer) -> muster_overlay_peer:is_asking(Now, Peer) end, Peers);
is_busy({has, _, _, _}, Id, Now, Peers) ->
    muster_overlay_roster:any_other(Id, fun(Peer) -> muster_overlay_peer:is_talking(Now, Peer) end, Peers);
is_busy(_, _, _, _) ->
    false.

with_protocol(Id, Protocol, #state{peers = Peers} = S) ->
    S#state{peers = muster_overlay_roster:set_protocol(Id, Protocol, Peers)}.

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

send_all(Id, Bodies, S) ->
    lists:foldl(fun(Body, Acc) -> send_body(Id, Body, Acc) end, S, Bodies).

send_body(Id, Body, #state{peers = Peers, carrier = Carrier} = S) ->
    {Sent, Left} = muster_overlay_carrier:send(Id, muster_overlay_roster:addresses(Id, Peers), Body, Carrier),
    counted(Sent, Id, erlang:external_size(Body), S#state{carrier = Left}).

counted(asked, _, _, S) ->
    S;
counted(Sent, Id, Bytes, #state{peers = Peers} = S) ->
    S#state{peers = muster_overlay_roster:sent(Id, Bytes, Sent =:= sent, Peers)}.

%%% Streams

%% At most one from everybody: this state's context is where it begins.
start_load(Id, Now, #state{overlay = #{context := Context}} = S) ->
    Reference = make_ref(),
    send_body(Id, {load, Reference, Context}, S#state{load = muster_overlay_intake:start(Id, Reference, Now)}).

is_loading(_Now, #state{load = none}) -> false;
is_loading(Now, #state{load = Load}) -> muster_overlay_intake:is_alive(Now, Load).

%% One is taken in at a time, so that between them others are answered.
chunk(Reference, Sequence, Chunk, Id, #state{load = Load} = S) ->
    case Load =/= none andalso muster_overlay_intake:arrived({Id, Reference}, Sequence, Chunk, Load) of
        {first, Waiting} ->
            self() ! take_chunk,
            S#state{load = Waiting};
        {behind, Waiting} ->
            S#state{load = Waiting};
        {repeated, UpTo} ->
            send_body(Id, {got, Reference, UpTo}, S);
        %% The end of a load came twice.
        _ when Chunk =:= end_load, is_integer(Sequence) ->
            send_body(Id, {got, Reference, Sequence}, S);
        _ ->
            S
    end.

%% A load that was given up may have left a `take_chunk' behind.
take_chunk(#state{load = none} = S) ->
    S;
take_chunk(#state{load = Load} = S) ->
    Id = muster_overlay_intake:from(Load),
    case muster_overlay_intake:next(now_ms(), Load) of
        empty ->
            S;
        {{Reference, Sequence}, Chunk, IsLast, Left} ->
            _ = IsLast orelse (self() ! take_chunk),
            try taken(Chunk, Id, Left, S#state{load = Left}) of
                S1 -> send_body(Id, {got, Reference, Sequence}, S1)
            catch
                error:Reason -> load_ended(refused(Id, Reason, S))
            end
    end.

taken({begin_load, Theirs}, _Id, Load, S) ->
    _ = muster_causal:counters(Theirs),
    S#state{load = muster_overlay_intake:set_theirs(Theirs, Load)};
taken({part, _, _} = Part, _Id, Load, #state{overlay = Overlay} = S) ->
    Delta = muster_overlay_load:delta(Part, muster_overlay_intake:theirs(Load), Overlay),
    {ok, New} = muster_overlay_state:join(Delta, Overlay),
    %% Less often collected, most of the garbage of a load is never copied.
    Words = min(?LOAD_WORDS_MAX, muster_overlay_state:size(New) * ?LOAD_WORDS),
    process_flag(min_heap_size, max(?HEAP_WORDS, Words)),
    appended(Delta, Overlay, adopted(touched(Part, Overlay), New, S));
taken(end_load, Id, Load, #state{overlay = Overlay} = S) ->
    Now = now_ms(),
    muster_telemetry:execute(
        [muster, overlay, loaded],
        #{
            duration => erlang:convert_time_unit(Now - muster_overlay_intake:started(Load), millisecond, native),
            entries => muster_overlay_state:size(Overlay)
        },
        #{overlay => S#state.name, from => Id}
    ),
    tick_peer(Id, Now, load_ended(S)).

%% What is still different, a session finds.
load_ended(#state{load = Load, peers = Peers} = S) ->
    process_flag(min_heap_size, ?HEAP_WORDS),
    Id = muster_overlay_intake:from(Load),
    Resumed = muster_overlay_peer:resume(now_ms(), muster_overlay_roster:protocol(Id, Peers)),
    with_protocol(Id, Resumed, S#state{load = none}).

%% Where part of the interval was here already, more may have died than is named.
touched({part, {_, Lineage, Above, _}, Entries}, #{context := Context}) ->
    case maps:get(Lineage, muster_causal:counters(Context), 0) =< Above of
        true -> [Key || {Key, _} <- Entries];
        false -> all
    end.

stream(Id, Reference, Context, #state{streams = Streams, carrier = Carrier, peers = Peers} = S) ->
    Of = [{Monitor, R, Pid} || {Monitor, {I, R, Pid}} <- maps:to_list(Streams), I =:= Id],
    case lists:keymember(Reference, 2, Of) of
        true ->
            S;
        false ->
            Seen = muster_causal:counters(Context),
            lists:foreach(fun({_, _, Pid}) -> exit(Pid, kill) end, Of),
            Addresses = muster_overlay_roster:addresses(Id, Peers),
            Server = self(),
            Send = fun(Sequence, Chunk) ->
                Body = {chunk, Reference, Sequence, Chunk},
                Sent = muster_overlay_carrier:send(Addresses, Body, Carrier),
                Server ! {streamed, Id, erlang:external_size(Body), Sent}
            end,
            #state{overlay = Overlay, recent = Recent} = S1 = remembered(S),
            Latest = muster_overlay_state:latest(Seen, Overlay, Recent),
            {Pid, Monitor} = muster_overlay_load:start(self(), Seen, Latest, Send),
            S1#state{streams = Streams#{Monitor => {Id, Reference, Pid}}}
    end.

%% What was changed here is known to the memory only once it has looked.
remembered(#state{overlay = Overlay, recent = Recent} = S) ->
    S#state{recent = muster_crdt_recent:observe(Overlay, Recent)}.

%%% Peers

watch_nodes(#state{options = #{node_monitor := none}} = S) ->
    S;
%% The monitor may start later, and be started anew: its nodes are those that the BEAM is connected to.
watch_nodes(#state{options = #{node_monitor := Server}} = S) ->
    case muster_server_name:where(Server) of
        Pid when is_pid(Pid) ->
            Monitor = erlang:monitor(process, Pid),
            %% The reply is not waited for.
            _ = gen_server:send_request(Pid, {subscribe, self()}),
            monitored(S#state{node_monitor = Monitor});
        undefined ->
            erlang:send_after(?SUBSCRIBE_MS, self(), watch_nodes),
            S
    end.

%% The usual cause is that nobody thought of it; a supervisor that starts one later has done so by now.
say_if_alone(#state{name = Name, peers = Peers, node_monitor = undefined, options = #{node_monitor := Server}}) when
    Server =/= none
->
    _ = muster_overlay_roster:ids(Peers) =:= [] andalso
        ?LOG_NOTICE("overlay ~tp: shares with nobody: no node monitor ~tp runs here, and no peers are given",
            [Name, Server], ?LOG_META),
    ok;
say_if_alone(_) ->
    ok.

monitored(#state{node_monitor = undefined} = S) -> S;
monitored(S) -> listed(nodes(), monitored, S).

listed(Peers, Listing, #state{name = Name} = S) ->
    Now = now_ms(),
    List = fun(Peer, Acc) -> list(muster_overlay_roster:identify(Peer, Name), Listing, Now, Acc) end,
    lists:foldl(List, S, Peers).

list({{Name, Node}, _}, _, _, #state{name = Name} = S) when Node =:= node() ->
    S;
list({Id, Addresses}, Listing, Now, #state{peers = Peers} = S) ->
    case muster_overlay_roster:is_known(Id, Peers) of
        true -> S#state{peers = muster_overlay_roster:list(Id, Listing, Peers)};
        false -> add_peer(Id, Addresses, Listing, Now, S)
    end.

add_peer({_, Node} = Id, Addresses, Listing, Now, #state{options = Options, peers = Peers} = S) ->
    #{anti_entropy_interval_ms := Interval} = Options,
    %% Spread, so that not all of a node's peers take their turn at once.
    Spread = Interval - Interval div 10 + rand:uniform(Interval div 5 + 1),
    Protocol = muster_overlay_peer:new(Now, Now + patience(Id, S), Spread),
    S#state{peers = muster_overlay_roster:add(Id, Addresses, {Listing, is_up(Node, Options), Now}, Protocol, Peers)}.

%% One of two starts. Who has nothing does not wait.
patience(Id, #state{name = Name, overlay = Overlay, options = #{sync_interval_ms := Sync}}) ->
    case {Name, node()} < Id orelse muster_overlay_state:size(Overlay) =:= 0 of
        true -> 0;
        false -> 2 * Sync + 500
    end.

is_up(Node, #{send := Send}) ->
    Node =:= node() orelse Send =/= direct orelse lists:member(Node, nodes()).

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
    Now = now_ms(),
    Resume = fun(Id, Protocol) -> muster_overlay_peer:reconnected(Now + patience(Id, S), Protocol) end,
    S#state{peers = muster_overlay_roster:node_is(Up, Node, {Now, Resume}, Peers)}.

%%% Each interval

tick(#state{peers = Peers} = S) ->
    Now = now_ms(),
    share(
        Now,
        lists:foldl(
            fun(Id, Acc) -> tick_peer(Id, Now, Acc) end, failed_load(Now, S), muster_overlay_roster:ids(Peers)
        )
    ).

%% Tells the peers who else has what they have from here.
share(Now, #state{peers = Peers, options = #{sync_interval_ms := Sync}} = S) ->
    Partners = muster_overlay_roster:partners(Peers),
    lists:foldl(
        fun({Id, Protocol}, Acc) ->
            {Bodies, Shared} = muster_overlay_peer:share(lists:keydelete(Id, 1, Partners), Now, Sync, Protocol),
            send_all(Id, Bodies, with_protocol(Id, Shared, Acc))
        end,
        S,
        [Partner || {_, Protocol} = Partner <- Partners, muster_overlay_peer:is_to_share(Protocol)]
    ).

failed_load(Now, #state{load = Load} = S) ->
    case Load =:= none orelse muster_overlay_intake:is_alive(Now, Load) of
        true -> S;
        false -> load_ended(S)
    end.

tick_peer(Id, Now, #state{peers = Peers} = S) ->
    case muster_overlay_roster:standing(Id, Now, Peers) of
        active -> speak(Id, Now, is_loading(Now, S), S);
        quiet -> S;
        {forgotten, How} -> forgotten(Id, How, S)
    end.

speak(_Id, _Now, true, S) ->
    S;
speak(Id, Now, false, #state{peers = Peers, overlay = Overlay, version = Version, options = Options} = S) ->
    #{sync_interval_ms := Sync} = Options,
    Protocol = muster_overlay_roster:protocol(Id, Peers),
    Acknowledged = muster_overlay_peer:acknowledged(Protocol),
    Reach = muster_overlay_hearsay:reach(Id, Acknowledged, Version, {Now, hold(S)}, S#state.hearsay),
    {Bodies, Ticked} = muster_overlay_peer:tick({Overlay, Version, Reach}, Now, Sync, Protocol),
    send_all(Id, Bodies, with_protocol(Id, Ticked, S)).

%% One interval for the sender's word who else has it, and one to spare. Who waits for all to be in sync does not
%% wait for that.
hold(#state{waiters = [_ | _]}) -> 0;
hold(#state{options = #{sync_interval_ms := Sync}}) -> 3 * Sync.

forgotten(Id, keep, #state{peers = Peers} = S) ->
    Protocol = muster_overlay_roster:protocol(Id, Peers),
    case muster_overlay_peer:is_based(Protocol) of
        true -> with_protocol(Id, muster_overlay_peer:forget_base(Protocol), S);
        false -> S
    end;
forgotten(Id, remove, #state{load = Load, peers = Peers} = S) ->
    case Load =/= none andalso muster_overlay_intake:from(Load) =:= Id of
        true -> S;
        false ->
            Hearsay = muster_overlay_hearsay:forget(Id, S#state.hearsay),
            S#state{peers = muster_overlay_roster:remove(Id, Peers), hearsay = Hearsay}
    end.

%%% Waiting

answer_waiters(#state{waiters = []} = S) ->
    S;
answer_waiters(#state{waiters = Waiters, name = Name, peers = Peers} = S) ->
    IsDone = fun({_, Version, _}) -> muster_overlay_roster:behind(Version, Name, Peers) =:= [] end,
    {Done, Left} = lists:partition(IsDone, Waiters),
    lists:foreach(
        fun({From, _, Timer}) ->
            _ = Timer =/= none andalso erlang:cancel_timer(Timer),
            gen_server:reply(From, ok)
        end,
        Done
    ),
    S#state{waiters = Left}.

status(#state{options = #{node_id := Self}, counts = Counts, version = Version} = S) ->
    Now = now_ms(),
    #{
        node_id => Self,
        entities => maps:get(entity, Counts),
        waypoints => maps:get(waypoint, Counts),
        annotations => maps:get(annotation, Counts),
        digest => muster_overlay_state:digest(S#state.overlay),
        loading => is_loading(Now, S),
        peers => muster_overlay_roster:status(Version, S#state.name, Now, S#state.peers)
    }.

now_ms() ->
    erlang:monotonic_time(millisecond).
