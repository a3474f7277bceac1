%% @private
%% The process behind {@link muster_overlay}: carries messages between the state, the peers and the
%% subscribers. What is said to a peer is decided in muster_overlay_peer.
-module(muster_overlay_server).

-behaviour(gen_server).

-export([init/1, handle_continue/2, handle_call/3, handle_cast/2, handle_info/2, terminate/2]).

-include_lib("kernel/include/logger.hrl").

-define(VERSION, 1).
-define(SUBSCRIBE_MS, 1000).
%% So long the base of a peer that is away is kept.
-define(AWAY_MS, 300000).
%% Without a chunk for so long a load has failed.
-define(LOAD_MS, 5000).
-define(LOG_EVERY_MS, 1000).
-define(LOG_META, #{domain => [muster]}).
%% Erlang's and Elixir's default names mean the same overlay.
-define(DEFAULT_NAMES, [muster_overlay, 'Elixir.Raxol.Swarm.TacticalOverlay']).

%% Who a peer is: the canonical name, and the node.
-type id() :: {atom(), node()}.

-record(peer, {
    protocol :: muster_overlay_peer:peer(),
    %% Where its messages are sent: once it has spoken, just one address.
    addresses :: [{atom(), node()}],
    %% By the options or `set_peers', by the node monitor, or only heard of: such a one is answered.
    listed :: given | monitored | no,
    up :: boolean(),
    since :: integer(),
    heard = never :: integer() | never,
    sent_messages = 0 :: non_neg_integer(),
    sent_bytes = 0 :: non_neg_integer(),
    lost_messages = 0 :: non_neg_integer(),
    received_messages = 0 :: non_neg_integer(),
    received_bytes = 0 :: non_neg_integer(),
    refused_messages = 0 :: non_neg_integer()
}).

-record(state, {
    options :: #{atom() => term()},
    name :: atom(),
    overlay = muster_overlay_state:new() :: muster_overlay_state:state(),
    %% Counts the changes of the state.
    version = 0 :: non_neg_integer(),
    counts :: muster_overlay_state:counts(),
    recent = muster_overlay_recent:new() :: muster_overlay_recent:recent(),
    peers = #{} :: #{id() => #peer{}},
    %% A stream that comes in; and those that go out, by their processes' monitors.
    load = none :: none | {id(), Reference :: term(), Next :: pos_integer(), muster_causal:context(), Heard :: integer()},
    %% Its chunks that came and are still to be taken in.
    chunks = queue:new() :: queue:queue({Sequence :: pos_integer(), muster_overlay_load:chunk()}),
    streams = #{} :: #{reference() => {id(), Reference :: term(), pid()}},
    %% States that are being read.
    pins = #{} :: #{reference() => muster_overlay_state:state()},
    waiters = [] :: [{gen_server:from(), Version :: non_neg_integer(), Timer :: reference()}],
    node_monitor :: reference() | undefined,
    logged = none :: none | integer(),
    subscribers = muster_subscribers:new() :: muster_subscribers:subscribers()
}).

%% @private
init(#{name := Name, peers := Peers} = Options) ->
    process_flag(trap_exit, true),
    ok = net_kernel:monitor_nodes(true),
    S = restored(#state{options = Options, name = canonical(Name), counts = #{}}),
    schedule(sync, S),
    {ok, listed(Peers, given, S), {continue, watch_nodes}}.

restored(#state{overlay = Overlay} = S) ->
    S#state{counts = muster_overlay_state:counts(Overlay)}.

canonical(Name) ->
    case lists:member(Name, ?DEFAULT_NAMES) of
        true -> muster_overlay;
        false -> Name
    end.

schedule(sync, #state{options = #{sync_interval_ms := Ms}}) ->
    erlang:send_after(Ms, self(), sync).

%% @private
handle_continue(watch_nodes, S) ->
    {noreply, tick(watch_nodes(S))}.

%% @private
handle_call({put, Key, Data}, _From, #state{options = #{node_id := Self}, overlay = Overlay} = S) ->
    {Change, New} = muster_overlay_state:put(Key, own(Key, Data, Self), Self, Overlay),
    {reply, ok, changed([Key], [Change], New, S)};
handle_call({remove, Key}, _From, #state{overlay = Overlay} = S) ->
    case muster_overlay_state:remove(Key, Overlay) of
        unchanged -> {reply, ok, S};
        {Change, New} -> {reply, ok, changed([Key], [Change], New, S)}
    end;
handle_call({find, Key}, _From, #state{overlay = Overlay} = S) ->
    {reply, muster_overlay_state:find(Key, Overlay), S};
handle_call(pin, {Pid, _}, #state{overlay = #{context := Context} = Overlay, pins = Pins} = S) ->
    Pin = erlang:monitor(process, Pid),
    {reply, {Pin, muster_overlay_state:paths(Overlay), Context}, S#state{pins = Pins#{Pin => Overlay}}};
handle_call({piece, Pin, Path}, _From, #state{pins = Pins} = S) ->
    {reply, {ok, muster_overlay_state:piece(Path, map_get(Pin, Pins))}, S};
handle_call({read, Pin, Kinds, Path}, _From, #state{pins = Pins} = S) ->
    {reply, {ok, muster_overlay_state:read(Kinds, Path, map_get(Pin, Pins))}, S};
handle_call(snapshot, _From, #state{overlay = Overlay} = S) ->
    {reply, Overlay, S};
handle_call(members, _From, #state{options = #{node_id := Self}, peers = Peers} = S) ->
    Listed = [listed_as(Id, S) || {Id, #peer{listed = Listed}} <- maps:to_list(Peers), Listed =/= no],
    {reply, {Self, lists:sort(Listed)}, S};
handle_call({receive_delta, From, Delta}, _From, S) ->
    {Reply, New} = received(From, Delta, fun muster_overlay_state:join/2, S),
    {reply, Reply, New};
handle_call({receive_full_state, From, State}, _From, S) ->
    {Reply, New} = received(From, State, fun muster_overlay_state:merge/2, S),
    {reply, Reply, New};
handle_call({set_peers, Peers}, _From, S) ->
    {reply, ok, listed(Peers, given, unlisted(given, S))};
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

timer(infinity, _) -> none;
timer(Ms, Message) -> erlang:send_after(Ms, self(), Message).

own({entity, Id}, Data, Self) ->
    Data#{id => Id, node => Self, last_updated => erlang:system_time(millisecond)};
own(_, Data, _) ->
    Data.

%% @private
handle_cast({release, Pin}, #state{pins = Pins} = S) ->
    erlang:demonitor(Pin, [flush]),
    {noreply, S#state{pins = maps:remove(Pin, Pins)}};
handle_cast(_, S) ->
    {noreply, S}.

%% @private
handle_info({muster_overlay, ?VERSION, {Name, Node} = From, Body}, S) when is_atom(Name), is_atom(Node) ->
    {noreply, answer_waiters(message({canonical(Name), Node}, From, Body, S))};
handle_info(take_chunk, S) ->
    {noreply, answer_waiters(take_chunk(S))};
handle_info({streamed, Id, Bytes, IsSent}, S) ->
    {noreply, count_sent(Id, Bytes, IsSent, S)};
handle_info(sync, S) ->
    schedule(sync, S),
    {noreply, answer_waiters(tick(S))};
handle_info({await_sync_timeout, From}, #state{waiters = Waiters} = S) ->
    case lists:keytake(From, 1, Waiters) of
        {value, {_, Version, _}, Others} ->
            gen_server:reply(From, {error, {timeout, behind(Version, S)}}),
            {noreply, S#state{waiters = Others}};
        false ->
            {noreply, S}
    end;
handle_info({swarm_event, {node_up, Node}}, S) ->
    {noreply, listed([Node], monitored, S)};
handle_info({swarm_event, _}, S) ->
    {noreply, S};
handle_info({nodeup, Node}, S) ->
    {noreply, node_is(up, Node, S)};
handle_info({nodedown, Node}, S) ->
    {noreply, answer_waiters(node_is(down, Node, S))};
handle_info(watch_nodes, S) ->
    {noreply, watch_nodes(S)};
handle_info({'DOWN', Monitor, process, _, _}, #state{node_monitor = Monitor} = S) ->
    erlang:send_after(?SUBSCRIBE_MS, self(), watch_nodes),
    {noreply, S#state{node_monitor = undefined}};
handle_info({'DOWN', Monitor, process, Pid, _}, #state{pins = Pins, streams = Streams, subscribers = Known} = S) ->
    {noreply, S#state{
        pins = maps:remove(Monitor, Pins),
        streams = maps:remove(Monitor, Streams),
        subscribers = forget(Monitor, Pid, Known)
    }};
handle_info(Message, S) when element(1, Message) =:= muster_overlay ->
    {noreply, refused(unknown, version, S)};
handle_info(_, S) ->
    {noreply, S}.

forget(Monitor, Pid, Subscribers) ->
    case Subscribers of
        #{Pid := Monitor} -> muster_subscribers:remove(Pid, Subscribers);
        #{} -> Subscribers
    end.

%% @private
terminate(_Reason, _S) ->
    ok.

%%% The state

%% Tells a change, once it has happened.
changed(Keys, Changes, New, #state{overlay = Old, recent = Recent, counts = Counts, version = Version} = S) ->
    _ = map_size(S#state.subscribers) > 0 andalso
        lists:foreach(
            fun(Event) -> muster_subscribers:tell({overlay_event, Event}, S#state.subscribers) end,
            muster_overlay_events:events(Changes)
        ),
    S#state{
        overlay = New,
        version = Version + 1,
        recent = muster_overlay_recent:add(Keys, {Old, New}, Recent),
        counts = muster_overlay_state:apply_to_counts(Changes, Counts)
    }.

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
            ok = muster_overlay_state:check(Changes),
            changed(Touched, Changes, New, S)
    end.

received(From, What, How, #state{overlay = Old} = S) ->
    try How(What, Old) of
        {ok, New} -> {ok, adopted(all, New, S)};
        {error, gap} -> {{error, gap}, S}
    catch
        error:Reason -> {{error, malformed}, refused(From, Reason, S)}
    end.

%%% Messages

message(Id, From, Body, S) ->
    Now = now_ms(),
    #state{peers = #{Id := Peer} = Peers} = S1 = heard_of(Id, From, Now, S),
    Heard = Peer#peer{
        heard = Now,
        addresses = [From],
        received_messages = Peer#peer.received_messages + 1,
        received_bytes = Peer#peer.received_bytes + erlang:external_size(Body)
    },
    S2 = S1#state{peers = Peers#{Id := Heard}},
    try
        body(Body, Id, Now, S2)
    catch
        error:Reason -> refused(Id, Reason, S2)
    end.

heard_of(Id, _, _, #state{peers = Peers} = S) when is_map_key(Id, Peers) ->
    S;
heard_of(Id, From, Now, S) ->
    add_peer(Id, [From], no, Now, S).

body({load, Reference, Context}, Id, _Now, S) ->
    stream(Id, Reference, Context, S);
body({chunk, Reference, Sequence, Chunk}, Id, _Now, S) ->
    chunk(Reference, Sequence, Chunk, Id, S);
body({got, Reference, Sequence}, Id, _Now, #state{streams = Streams} = S) when is_integer(Sequence) ->
    _ = [muster_overlay_load:acknowledged(Pid, Sequence) || {I, R, Pid} <- maps:values(Streams), I =:= Id, R =:= Reference],
    S;
body(Body, Id, Now, #state{peers = Peers, overlay = Overlay, version = Version, recent = Recent} = S) ->
    #{Id := Peer} = Peers,
    Loading = is_loading(Now, S),
    {#{send := Bodies, state := New, keys := Keys} = Outcome, Protocol} =
        muster_overlay_peer:handle(Body, {Overlay, Version, Recent, Loading}, Now, Peer#peer.protocol),
    S1 = adopted(Keys, New, S),
    S2 = send_all(Id, Bodies, with_protocol(Id, Protocol, S1)),
    case Outcome of
        #{load := true} when not Loading -> start_load(Id, Now, S2);
        #{} -> S2
    end.

with_protocol(Id, Protocol, #state{peers = Peers} = S) ->
    #{Id := Peer} = Peers,
    S#state{peers = Peers#{Id := Peer#peer{protocol = Protocol}}}.

%% Whatever came, nothing has changed.
refused(From, Reason, #state{logged = Logged} = S) ->
    Now = now_ms(),
    S1 = count_refused(From, S),
    case Logged =:= none orelse Now - Logged >= ?LOG_EVERY_MS of
        true ->
            ?LOG_WARNING("overlay ~tp: refused a message from ~tp (~tP)", [S#state.name, From, Reason, 8], ?LOG_META),
            muster_telemetry:execute(
                [muster, overlay, refused], #{system_time => erlang:system_time()}, #{overlay => S#state.name, from => From}
            ),
            S1#state{logged = Now};
        false ->
            S1
    end.

count_refused(Id, #state{peers = Peers} = S) ->
    case Peers of
        #{Id := #peer{refused_messages = N} = Peer} -> S#state{peers = Peers#{Id := Peer#peer{refused_messages = N + 1}}};
        #{} -> S
    end.

send_all(Id, Bodies, S) ->
    lists:foldl(fun(Body, Acc) -> send_body(Id, Body, Acc) end, S, Bodies).

send_body(Id, Body, #state{peers = Peers, options = Options} = S) ->
    #{Id := #peer{addresses = Addresses}} = Peers,
    Sent = [transmit(Address, Body, Options) || Address <- Addresses],
    count_sent(Id, erlang:external_size(Body), lists:member(true, Sent), S).

count_sent(Id, Bytes, IsSent, #state{peers = Peers} = S) ->
    case Peers of
        #{Id := #peer{sent_messages = Messages, sent_bytes = Sum} = Peer} when IsSent ->
            S#state{peers = Peers#{Id := Peer#peer{sent_messages = Messages + 1, sent_bytes = Sum + Bytes}}};
        #{Id := #peer{lost_messages = Lost} = Peer} ->
            S#state{peers = Peers#{Id := Peer#peer{lost_messages = Lost + 1}}};
        #{} ->
            S
    end.

%% Never waits: what a full buffer or a missing connection loses is repeated.
transmit(Address, Body, #{name := Name, send := direct, comms_manager := none}) ->
    erlang:send(Address, {muster_overlay, ?VERSION, {Name, node()}, Body}, [noconnect, nosuspend]) =:= ok;
transmit(Address, Body, #{name := Name, send := direct, comms_manager := Comms}) ->
    muster_comms:route(Comms, Address, {muster_overlay, ?VERSION, {Name, node()}, Body}, normal) =:= ok;
transmit(Address, Body, #{name := Name, send := Send}) ->
    _ = Send(Address, {muster_overlay, ?VERSION, {Name, node()}, Body}),
    true.

%%% Streams

%% At most one from everybody: this state's context is where it begins.
start_load(Id, Now, #state{overlay = #{context := Context}} = S) ->
    Reference = make_ref(),
    send_body(Id, {load, Reference, Context}, S#state{load = {Id, Reference, 1, muster_causal:new(), Now}}).

is_loading(_Now, #state{load = none}) -> false;
is_loading(Now, #state{load = {_, _, _, _, Heard}}) -> Now - Heard < ?LOAD_MS.

%% One is taken in at a time, so that between them others are answered.
chunk(Reference, Sequence, Chunk, Id, #state{load = {Id, Reference, Next, _, _}, chunks = Chunks} = S) ->
    Expected = Next + queue:len(Chunks),
    if
        Sequence =:= Expected ->
            _ = queue:is_empty(Chunks) andalso (self() ! take_chunk),
            S#state{chunks = queue:in({Sequence, Chunk}, Chunks)};
        is_integer(Sequence), Sequence < Next ->
            send_body(Id, {got, Reference, Next - 1}, S);
        true ->
            S
    end;
%% Its end came twice.
chunk(Reference, Sequence, end_load, Id, S) when is_integer(Sequence) ->
    send_body(Id, {got, Reference, Sequence}, S);
chunk(_, _, _, _, S) ->
    S.

%% A load that was given up has left its last `take_chunk' behind.
take_chunk(#state{load = {Id, Reference, Next, Theirs, _}, chunks = Chunks} = S) ->
    case queue:out(Chunks) of
        {empty, _} ->
            S;
        {{value, {Next, Chunk}}, Left} ->
            _ = queue:is_empty(Left) orelse (self() ! take_chunk),
            S1 = S#state{load = {Id, Reference, Next + 1, Theirs, now_ms()}, chunks = Left},
            try taken(Chunk, Theirs, S1) of
                S2 -> send_body(Id, {got, Reference, Next}, S2)
            catch
                error:Reason -> load_ended(Id, refused(Id, Reason, S))
            end
    end;
take_chunk(S) ->
    S.

taken({begin_load, Theirs}, _, #state{load = Load} = S) when is_map(Theirs) ->
    S#state{load = setelement(4, Load, Theirs)};
taken({part, _, Entries} = Part, Theirs, #state{overlay = Overlay} = S) ->
    {ok, New} = muster_crdt_delta:join(Overlay, muster_overlay_load:delta(Part, Theirs, Overlay)),
    adopted([Key || {Key, _} <- Entries], New, S);
taken(end_load, _, #state{load = {Id, _, _, _, _}} = S) ->
    tick_peer(Id, now_ms(), load_ended(Id, S)).

%% What is still different, a session finds.
load_ended(Id, #state{peers = Peers} = S) ->
    #{Id := Peer} = Peers,
    Resumed = muster_overlay_peer:resume(now_ms(), Peer#peer.protocol),
    with_protocol(Id, Resumed, S#state{load = none, chunks = queue:new()}).

stream(Id, Reference, Context, #state{streams = Streams} = S) when is_map(Context) ->
    Of = [{Monitor, R, Pid} || {Monitor, {I, R, Pid}} <- maps:to_list(Streams), I =:= Id],
    case lists:keymember(Reference, 2, Of) of
        true ->
            S;
        false ->
            lists:foreach(fun({_, _, Pid}) -> exit(Pid, kill) end, Of),
            #state{peers = #{Id := #peer{addresses = Addresses}}, options = Options} = S,
            Server = self(),
            Send = fun(Sequence, Chunk) ->
                Body = {chunk, Reference, Sequence, Chunk},
                Sent = [transmit(Address, Body, Options) || Address <- Addresses],
                Server ! {streamed, Id, erlang:external_size(Body), lists:member(true, Sent)}
            end,
            {Pid, Monitor} = muster_overlay_load:start(self(), Context, Send),
            S#state{streams = Streams#{Monitor => {Id, Reference, Pid}}}
    end.

%%% Peers

watch_nodes(#state{options = #{node_monitor := none}} = S) ->
    S;
%% The monitor may start later, and be started anew: its nodes are those that the BEAM is connected to.
watch_nodes(#state{options = #{node_monitor := Server}} = S) ->
    case where(Server) of
        Pid when is_pid(Pid) ->
            Monitor = erlang:monitor(process, Pid),
            %% The reply is not waited for.
            _ = gen_server:send_request(Pid, {subscribe, self()}),
            listed(nodes(), monitored, S#state{node_monitor = Monitor});
        undefined ->
            erlang:send_after(?SUBSCRIBE_MS, self(), watch_nodes),
            S
    end.

where(Pid) when is_pid(Pid) -> Pid;
where(Name) when is_atom(Name) -> whereis(Name);
where({global, Name}) -> global:whereis_name(Name);
where({via, Module, Name}) -> Module:whereis_name(Name).

listed(Peers, How, S) ->
    Now = now_ms(),
    lists:foldl(fun(Peer, Acc) -> list(address(Peer, Acc), How, Now, Acc) end, S, Peers).

%% Under which name an overlay like this one is found there.
address({Name, Node}, _) -> {{canonical(Name), Node}, [{Name, Node}]};
address(Node, #state{name = muster_overlay}) -> {{muster_overlay, Node}, [{Name, Node} || Name <- ?DEFAULT_NAMES]};
address(Node, #state{name = Name}) -> {{Name, Node}, [{Name, Node}]}.

listed_as({Name, Node}, #state{name = Name}) -> Node;
listed_as(Id, _) -> Id.

list({{Name, Node}, _}, _, _, #state{name = Name} = S) when Node =:= node() ->
    S;
list({Id, Addresses}, How, Now, #state{peers = Peers} = S) ->
    case Peers of
        #{Id := #peer{listed = given}} -> S;
        #{Id := Peer} -> S#state{peers = Peers#{Id := Peer#peer{listed = How}}};
        #{} -> add_peer(Id, Addresses, How, Now, S)
    end.

add_peer({_, Node} = Id, Addresses, How, Now, #state{options = Options, peers = Peers} = S) ->
    #{sync_interval_ms := Sync, anti_entropy_interval_ms := Interval} = Options,
    %% Spread, so that not all of a node's peers take their turn at once.
    Spread = Interval - Interval div 10 + rand:uniform(Interval div 5 + 1),
    Peer = #peer{
        protocol = muster_overlay_peer:new(Now, Now + patience(Id, Sync, S), Spread),
        addresses = Addresses,
        listed = How,
        up = is_up(Node, Options),
        since = Now
    },
    S#state{peers = Peers#{Id => Peer}}.

%% One of two starts. Who has nothing does not wait.
patience(Id, Sync, #state{name = Name, overlay = Overlay}) ->
    case {Name, node()} < Id orelse muster_overlay_state:size(Overlay) =:= 0 of
        true -> 0;
        false -> 2 * Sync + 500
    end.

is_up(Node, #{send := Send}) ->
    Node =:= node() orelse Send =/= direct orelse lists:member(Node, nodes()).

unlisted(How, #state{peers = Peers} = S) ->
    Unlist = fun
        (_, #peer{listed = L} = Peer) when L =:= How -> Peer#peer{listed = no};
        (_, Peer) -> Peer
    end,
    S#state{peers = maps:map(Unlist, Peers)}.

node_is(_, _, #state{options = #{send := Send}} = S) when Send =/= direct ->
    S;
node_is(UpOrDown, Node, #state{options = #{sync_interval_ms := Sync}, peers = Peers} = S) ->
    Now = now_ms(),
    Up = UpOrDown =:= up,
    Changed = fun
        ({_, N} = Id, #peer{up = Was, protocol = Protocol} = Peer) when N =:= Node, Was =/= Up ->
            Resumed = muster_overlay_peer:resume(Now + patience(Id, Sync, S), Protocol),
            Peer#peer{up = Up, since = Now, protocol = Resumed};
        (_, Peer) ->
            Peer
    end,
    S#state{peers = maps:map(Changed, Peers)}.

%%% Each interval

tick(#state{peers = Peers} = S) ->
    Now = now_ms(),
    lists:foldl(fun(Id, Acc) -> tick_peer(Id, Now, Acc) end, failed_load(Now, S), maps:keys(Peers)).

failed_load(Now, #state{load = {Id, _, _, _, _}} = S) ->
    case is_loading(Now, S) of
        true ->
            S;
        false ->
            load_ended(Id, S)
    end;
failed_load(_, S) ->
    S.

tick_peer(Id, Now, #state{peers = Peers, overlay = Overlay, version = Version, options = Options} = S) ->
    #{sync_interval_ms := Sync} = Options,
    #{Id := Peer} = Peers,
    case Peer of
        #peer{up = true, listed = Listed} when Listed =/= no ->
            case is_loading(Now, S) of
                true ->
                    S;
                false ->
                    {Bodies, Protocol} = muster_overlay_peer:tick({Overlay, Version}, Now, Sync, Peer#peer.protocol),
                    send_all(Id, Bodies, with_protocol(Id, Protocol, S))
            end;
        #peer{up = false, since = Since} when Now - Since > ?AWAY_MS ->
            away(Id, Peer, S);
        _ ->
            S
    end.

away(Id, #peer{listed = given, protocol = Protocol}, S) ->
    with_protocol(Id, muster_overlay_peer:forget_base(Protocol), S);
away(Id, _, #state{peers = Peers, load = Load} = S) ->
    case Load of
        {Id, _, _, _, _} -> S;
        _ -> S#state{peers = maps:remove(Id, Peers)}
    end.

%%% Waiting

answer_waiters(#state{waiters = []} = S) ->
    S;
answer_waiters(#state{waiters = Waiters} = S) ->
    {Done, Left} = lists:partition(fun({_, Version, _}) -> behind(Version, S) =:= [] end, Waiters),
    lists:foreach(
        fun({From, _, Timer}) ->
            _ = Timer =/= none andalso erlang:cancel_timer(Timer),
            gen_server:reply(From, ok)
        end,
        Done
    ),
    S#state{waiters = Left}.

%% The live peers that have not acknowledged this version. A node that never spoke has no overlay.
behind(Version, #state{peers = Peers} = S) ->
    [
        listed_as(Id, S)
     || {Id, #peer{up = true, listed = Listed, heard = Heard, since = Since, protocol = Protocol}} <- maps:to_list(Peers),
        Listed =/= no,
        is_integer(Heard) andalso Heard >= Since,
        not muster_overlay_peer:is_acknowledged(Version, Protocol)
    ].

status(#state{options = #{node_id := Self}, counts = Counts, peers = Peers, version = Version} = S) ->
    Now = now_ms(),
    #{
        node_id => Self,
        entities => maps:get(entity, Counts),
        waypoints => maps:get(waypoint, Counts),
        annotations => maps:get(annotation, Counts),
        loading => is_loading(Now, S),
        peers => maps:from_list([{listed_as(Id, S), peer_status(Version, Now, P)} || {Id, P} <- maps:to_list(Peers)])
    }.

peer_status(Version, Now, #peer{protocol = Protocol} = Peer) ->
    #{
        up => Peer#peer.up,
        in_sync => muster_overlay_peer:is_acknowledged(Version, Protocol),
        heard_ms_ago =>
            case Peer#peer.heard of
                never -> never;
                Heard -> Now - Heard
            end,
        sent_messages => Peer#peer.sent_messages,
        sent_bytes => Peer#peer.sent_bytes,
        lost_messages => Peer#peer.lost_messages,
        received_messages => Peer#peer.received_messages,
        received_bytes => Peer#peer.received_bytes,
        refused_messages => Peer#peer.refused_messages
    }.

now_ms() ->
    erlang:monotonic_time(millisecond).
