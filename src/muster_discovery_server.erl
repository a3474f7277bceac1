%% @private
%% The server of {@link muster_discovery}: keeps the topologies in the C node, hands what they find to
%% the connector, and keeps the table of peers. The instances of different nodes introduce
%% themselves to each other ({@link muster_discovery_hello}).
-module(muster_discovery_server).

-behaviour(gen_server).

-export([init/1, handle_call/3, handle_cast/2, handle_info/2, terminate/2, format_status/1]).

-include_lib("kernel/include/logger.hrl").

%% How long start_link waits for the C node's word on the options.
-define(ACTIVATE_MS, 5000).
-define(RETRY_MS, 5000).
-define(ATTACH_MIN_MS, 50).
-define(ATTACH_MAX_MS, 1000).
-define(COMPLAINTS_MAX, 100).
-define(LOG_META, #{domain => [muster]}).

-type cnode() :: starting | up | {down, Reason :: term()}.

-record(state, {
    options :: #{atom() => term()},
    topologies :: #{term() => muster_discovery_topology:topology()},
    keys :: #{binary() => Name :: term()},
    connector :: pid(),
    peers :: muster_peer_table:table(),
    subscribers = muster_subscribers:new() :: muster_subscribers:subscribers(),
    cnode = starting :: cnode(),
    %% Why the C node is in no cluster.
    kept_out = none :: none | binary(),
    generation :: term(),
    monitor :: reference() | undefined,
    attach_ms = ?ATTACH_MIN_MS :: pos_integer(),
    warned = false :: boolean(),
    activation :: undefined | {gen_server:from(), reference()},
    awaits = muster_peer_waits:new() :: muster_peer_waits:waits(),
    syncs = muster_sync_waits:new() :: muster_sync_waits:waits(),
    metadata :: muster_discovery:metadata(),
    version :: integer(),
    draining = false :: boolean(),
    complaints = #{} :: #{{binary(), atom()} => true},
    metrics :: muster_discovery:metrics()
}).

%% @private
init(#{name := Name, topologies := Specs, telemetry_prefix := Prefix} = Options) ->
    process_flag(trap_exit, true),
    {ok, Connector} = muster_connector:start_link(
        (maps:with(
            [
                connect_workers, connect_timeout, backoff_min_ms, backoff_max_ms, stable_ms,
                hold_limit_ms, check_interval, consult
            ],
            Options
        ))#{owner => self(), telemetry => {Prefix, #{server => Name}}}
    ),
    Topologies = maps:from_list([{maps:get(name, Spec), muster_discovery_topology:new(Spec, Name)} || Spec <- Specs]),
    S = #state{
        options = Options,
        topologies = Topologies,
        keys = maps:from_list([{muster_discovery_topology:key(T), N} || {N, T} <- maps:to_list(Topologies)]),
        connector = Connector,
        peers = muster_peer_table:new(),
        metadata = own_metadata(maps:get(metadata, Options), Options),
        version = muster_discovery_hello:version(0),
        metrics = #{
            syncs => 0, failures => 0, last_duration_us => 0, events => 0, connects => 0,
            connect_failures => 0, held => 0
        }
    },
    maps:foreach(
        fun(N, T) -> muster_connector:topology(Connector, N, muster_discovery_topology:spec(mfas, T)) end,
        Topologies
    ),
    {ok, say_if_nameless(warn_missing(attach(S)))}.

%% A node may get its name later; most often it was forgotten.
say_if_nameless(#state{topologies = Topologies} = S) ->
    Facts = [muster_discovery_topology:facts(T) || T <- maps:values(Topologies)],
    NeedsName = [pending || #{state := pending, beam := true} <- Facts],
    _ = not is_alive() andalso NeedsName =/= [] andalso
        ?LOG_NOTICE("muster_discovery waits: ~ts", [muster_discovery_health:in_words(nameless)], ?LOG_META),
    S.

start_foreign([]) ->
    ok;
start_foreign(Topologies) ->
    case apply('Elixir.Cluster.Supervisor', start_link, [[Topologies, []]]) of
        {ok, _} -> ok;
        {error, Reason} -> {error, {libcluster, Reason}}
    end.

warn_missing(#state{topologies = Topologies, options = #{foreign := Foreign}} = S) ->
    Missing = [Text || T <- maps:values(Topologies), {missing, Text} <- [muster_discovery_topology:run_state(T)]],
    Texts =
        case {map_size(Topologies), Foreign} of
            {0, []} -> [<<"no strategy was given">>];
            _ -> Missing
        end,
    lists:foreach(
        fun(Text) ->
            ?LOG_WARNING("muster_discovery finds nothing: ~ts", [Text], ?LOG_META)
        end,
        Texts
    ),
    S.

%% @private
handle_call(activate, From, #state{options = #{foreign := Foreign}} = S) ->
    case start_foreign(Foreign) of
        ok ->
            Timer = erlang:start_timer(?ACTIVATE_MS, self(), activate),
            {noreply, activated(S#state{activation = {From, Timer}})};
        {error, Reason} ->
            {stop, normal, {error, Reason}, S}
    end;
handle_call({subscribe, Pid}, _From, S) ->
    {reply, ok, S#state{subscribers = muster_subscribers:add(Pid, S#state.subscribers)}};
handle_call({subscribe_to_peers, Pid}, _From, S) ->
    {reply, muster_peer_table:peers(S#state.peers),
        S#state{subscribers = muster_subscribers:add(Pid, S#state.subscribers)}};
handle_call({unsubscribe, Pid}, _From, S) ->
    {reply, ok, S#state{subscribers = muster_subscribers:remove(Pid, S#state.subscribers)}};
handle_call(snapshot, _From, #state{peers = Peers} = S) ->
    {reply, muster_peer_table:peers(Peers), S};
handle_call({lookup, Node}, _From, #state{peers = Peers} = S) ->
    case muster_peer_table:find(existing(Node), Peers) of
        {ok, Peer} -> {reply, {ok, Peer}, S};
        error -> {reply, {error, {peer_not_found, Node}}, S}
    end;
handle_call(health_info, _From, S) ->
    {reply, health_of(S), S};
handle_call(metrics, _From, #state{metrics = Metrics} = S) ->
    {reply, Metrics, S};
handle_call(status, _From, #state{topologies = Topologies, connector = Connector} = S) ->
    Keys = maps:map(fun(_, T) -> muster_discovery_topology:key(T) end, Topologies),
    Known = maps:map(fun(_, T) -> muster_discovery_topology:status(T) end, Topologies),
    {reply, {Keys, Connector, #{topologies => Known, draining => S#state.draining}}, S};
handle_call({sync, Ms}, From, S) ->
    {noreply, begin_sync(From, Ms, S)};
handle_call({await, Min, Timeout}, From, S) ->
    {noreply, await_peers(From, Min, Timeout, S)};
handle_call({set_metadata, User}, _From, #state{options = Options} = S) ->
    {reply, ok, announce(S#state{metadata = own_metadata(User, Options)})};
handle_call(get_metadata, _From, #state{metadata = Metadata} = S) ->
    {reply, Metadata, S};
handle_call({drain, Draining}, _From, S) ->
    {reply, ok, drain_or_resume(Draining, S)};
handle_call(prune, _From, #state{connector = Connector} = S) ->
    Nodes = muster_connector:prune(Connector),
    {reply, Nodes, lists:foldl(fun(Node, Acc) -> news({forget, Node}, Acc) end, S, Nodes)};
handle_call(_, _From, S) ->
    {reply, {error, unknown_call}, S}.

%% @private
handle_cast(_, S) ->
    {noreply, S}.

%% @private
handle_info({muster_connector, Pid, Event}, #state{connector = Pid} = S) ->
    {noreply, connector_event(Event, S)};
handle_info({muster_cnode, event, discovery, Key, Event}, #state{keys = Keys} = S) ->
    case Keys of
        #{Key := Name} -> {noreply, cnode_event(Event, Name, S)};
        #{} -> {noreply, S}
    end;
handle_info({muster_cnode, event, node, peers, {kept_out, Why}}, S) ->
    {noreply, S#state{kept_out = Why}};
handle_info({muster_cnode, event, node, peers, Event}, S) ->
    {noreply, complain(Event, S)};
handle_info({muster_cnode, reply, Tag, Result}, S) ->
    {noreply, reply(Tag, Result, S)};
handle_info({muster_cnode, up, Generation}, S) ->
    {noreply, cnode_up(Generation, S)};
handle_info({muster_cnode, down, _Generation, Reason}, S) ->
    {noreply, cnode_down(Reason, S)};
handle_info({'DOWN', Monitor, process, _, Reason}, #state{monitor = Monitor} = S) ->
    Why =
        case Reason of
            noproc -> not_started;
            _ -> cnode_down
        end,
    {noreply, attach_later(cnode_down(Why, S))};
handle_info({'DOWN', Monitor, process, _, _}, #state{awaits = Awaits} = S) when
    is_map_key(Monitor, Awaits)
->
    {noreply, S#state{awaits = muster_peer_waits:gone(Monitor, Awaits)}};
handle_info({'DOWN', _, process, Pid, _}, S) ->
    {noreply, S#state{subscribers = muster_subscribers:remove(Pid, S#state.subscribers)}};
handle_info(attach, S) ->
    {noreply, attach(S)};
handle_info({timeout, Timer, activate}, #state{activation = {_, Timer}} = S) ->
    {noreply, activate(ok, S)};
handle_info({timeout, _, {await, Id}}, #state{awaits = Awaits} = S) ->
    {noreply, S#state{awaits = muster_peer_waits:expired(Id, Awaits)}};
handle_info({timeout, Id, sync}, #state{syncs = Syncs} = S) ->
    {noreply, S#state{syncs = muster_sync_waits:expired(Id, Syncs)}};
handle_info({retry, Generation, Name}, #state{generation = Generation} = S) ->
    {noreply, start_topology(Name, S)};
handle_info({'EXIT', Pid, Reason}, S) ->
    %% Nothing is found without the connector, or libcluster's supervisor where that was asked for.
    case Reason of
        normal when Pid =/= S#state.connector -> {noreply, S};
        _ -> {stop, Reason, S}
    end;
handle_info(Message, S) ->
    case muster_discovery_hello:read(Message) of
        {ok, Hello} -> {noreply, greeted(Hello, S)};
        ignored -> {noreply, S}
    end.

%% @private
terminate(_Reason, #state{connector = Connector}) ->
    %% The C node is told by muster_cnode, which monitors this process.
    exit(Connector, shutdown),
    ok.

%% @private
%% Secrets stay out of crash reports.
format_status(#{state := #state{topologies = Topologies, options = Options} = S} = Status) ->
    Shown = maps:map(fun(_, T) -> muster_discovery_topology:concealed(T) end, Topologies),
    Status#{state := S#state{
        topologies = Shown, options = maps:without([topologies, foreign], Options)
    }};
format_status(Status) ->
    Status.

%%% The C node

attach(#state{topologies = Topologies} = S) when map_size(Topologies) =:= 0 ->
    S#state{cnode = {down, no_strategy}};
attach(#state{topologies = Topologies} = S) ->
    Monitors = [
        muster_cnode:register(discovery, Key, {stop, #{topology => Key}})
     || T <- maps:values(Topologies), Key <- [muster_discovery_topology:key(T)]
    ],
    %% For the states of peers that refuse us; one monitor will do.
    Monitor = muster_cnode:register(node, peers),
    lists:foreach(fun(M) -> erlang:demonitor(M, [flush]) end, Monitors),
    S#state{monitor = Monitor, kept_out = none}.

attach_later(#state{attach_ms = Ms} = S) ->
    erlang:send_after(Ms, self(), attach),
    S#state{monitor = undefined, attach_ms = min(2 * Ms, ?ATTACH_MAX_MS)}.

%% Told once for each registration, and once after each restart.
cnode_up(Generation, #state{generation = Generation, cnode = up} = S) ->
    S;
cnode_up(Generation, #state{topologies = Topologies} = S) ->
    S1 = S#state{
        cnode = up, generation = Generation, attach_ms = ?ATTACH_MIN_MS, warned = false
    },
    send_metadata(S1),
    lists:foldl(fun start_topology/2, S1, maps:keys(Topologies)).

cnode_down(starting, S) ->
    S#state{cnode = starting};
cnode_down(Reason, #state{connector = Connector, topologies = Topologies} = S) ->
    muster_connector:cnode_down(Connector),
    Pending = maps:map(fun(_, T) -> muster_discovery_topology:interrupted(T) end, Topologies),
    Syncs = muster_sync_waits:fail(<<"the C node went down">>, S#state.syncs),
    activated(warn_once(Reason, S#state{cnode = {down, Reason}, topologies = Pending, syncs = Syncs})).

warn_once(Reason, #state{warned = false} = S) when Reason =:= unavailable; Reason =:= not_started ->
    ?LOG_WARNING("muster_discovery finds nothing: ~ts", [muster_discovery_health:in_words(Reason)], ?LOG_META),
    S#state{warned = true};
warn_once(_, S) ->
    S.

start_topology(_, #state{draining = true} = S) ->
    S;
start_topology(Name, #state{topologies = Topologies, generation = Generation} = S) ->
    case muster_discovery_topology:start_argument(maps:get(Name, Topologies)) of
        none -> ok;
        Argument -> send_request({start, Generation, Name}, start, Argument)
    end,
    S.

send_request(Tag, Op, Argument) ->
    muster_cnode:send_request({message, self(), Tag}, discovery, Op, Argument).

reply({start, _, _}, _, #state{draining = true} = S) ->
    %% It was stopped since.
    activated(S);
reply({start, Generation, Name}, Result, #state{generation = Generation} = S) ->
    #{Name := T} = S#state.topologies,
    case Result of
        {ok, _} ->
            activated(put_topology(Name, muster_discovery_topology:started(T), S));
        {error, Reason} when Reason =:= cnode_down; Reason =:= unavailable ->
            S;
        {error, Reason} when S#state.activation =/= undefined ->
            activate({error, Reason}, S);
        {error, Reason} ->
            Text = text(Reason),
            {IsNews, Failed} = muster_discovery_topology:failed(Text, T),
            _ = IsNews andalso
                ?LOG_ERROR("muster_discovery: topology ~0tp cannot be started: ~ts", [Name, Text],
                    ?LOG_META),
            erlang:send_after(?RETRY_MS, self(), {retry, Generation, Name}),
            put_topology(Name, Failed, S)
    end;
reply({sync, Id, Name}, {error, Reason}, #state{syncs = Syncs} = S) ->
    S#state{syncs = muster_sync_waits:answered(Id, Name, [text(Reason)], Syncs)};
reply({sync, _, _}, {ok, _}, S) ->
    %% Its event will tell.
    S;
reply(_, _, S) ->
    S.

%% start_link returns when each topology was accepted, or there is nobody to ask.
activated(#state{activation = undefined} = S) ->
    S;
activated(#state{cnode = Cnode, topologies = Topologies} = S) ->
    Pending = [T || T <- maps:values(Topologies), muster_discovery_topology:run_state(T) =:= pending],
    case {Pending, Cnode} of
        {[], _} -> activate(ok, S);
        {_, {down, Reason}} when Reason =:= unavailable; Reason =:= not_started -> activate(ok, S);
        _ -> S
    end.

activate(Result, #state{activation = {From, Timer}} = S) ->
    _ = erlang:cancel_timer(Timer),
    gen_server:reply(From, Result),
    S#state{activation = undefined}.

%%% What the C node says

cnode_event({found, Name}, Topology, S) ->
    found(found, Name, Topology, reached(Name, Topology, S));
cnode_event({unreached, Name, State, Text}, Topology, S) ->
    case is_refusal(State) of
        true ->
            Why = [Name, " (", atom_to_binary(State), ": ", Text, ")"],
            put_topology(Topology, muster_discovery_topology:unreached(Name, Why, topology(Topology, S)), S);
        false ->
            reached(Name, Topology, S)
    end;
cnode_event({unproven, Name, State, Text}, Topology, #state{options = Options} = S) ->
    Named = muster_discovery_topology:spec(named, topology(Topology, S)),
    case lists:member(Name, Named) orelse maps:get(connect_unproven, Options) of
        true -> found(unproven, Name, Topology, S);
        false -> complain({peer, Name, State, Text}, S)
    end;
cnode_event({lost, Name, _Text}, Topology, #state{connector = Connector} = S0) ->
    S = reached(Name, Topology, S0),
    muster_connector:lost(Connector, Name, Topology),
    case existing(Name) of
        none -> S;
        Node -> news({lost, Node, Topology}, S)
    end;
cnode_event({metadata, Name, Version, Metadata}, _Topology, S) ->
    case existing(Name) of
        none -> S;
        Node when is_map(Metadata) -> news({metadata, Node, Version, Metadata}, S)
    end;
cnode_event({sync, ok, #{duration_us := Us, listed := Listed}}, Name, S) ->
    sync_event(Name, ok, #{duration_us => Us, listed => Listed}, S),
    Synced = muster_discovery_topology:synced(erlang:system_time(millisecond), topology(Name, S)),
    S1 = put_topology(Name, Synced, S),
    answered(Name, [], count(syncs, 1, S1#state{
        metrics = (S1#state.metrics)#{last_duration_us := Us}
    }));
cnode_event({sync, error, Text}, Name, S) ->
    sync_event(Name, error, #{reason => Text}, S),
    {IsNews, Failed} = muster_discovery_topology:sync_failed(Text, erlang:monotonic_time(), topology(Name, S)),
    _ = IsNews andalso
        ?LOG_WARNING("muster_discovery: topology ~0tp: ~ts", [Name, Text], ?LOG_META),
    S1 = put_topology(Name, Failed, S),
    answered(Name, [Text], count(failures, 1, S1));
cnode_event(_, _, S) ->
    S.

reached(Name, Topology, S) ->
    put_topology(Topology, muster_discovery_topology:reached(Name, topology(Topology, S)), S).

found(How, Name, Topology, #state{connector = Connector} = S) ->
    Filter = muster_discovery_topology:spec(filter, topology(Topology, S)),
    [Alive | _] = binary:split(Name, <<"@">>),
    case passes(Filter, Alive) of
        true ->
            case How of
                found -> muster_connector:found(Connector, Name, Topology);
                unproven -> muster_connector:unproven(Connector, Name, Topology)
            end,
            news({found, binary_to_atom(Name, utf8), Topology}, S);
        false ->
            S
    end.

%% The filter may be the user's own function.
passes(Filter, Alive) ->
    try
        Filter(Alive)
    catch
        Class:Reason ->
            ?LOG_WARNING("muster_discovery: name_match failed for ~ts: ~0tp", [Alive, {Class, Reason}],
                ?LOG_META),
            false
    end.

%% A peer that refuses us, or that we refuse, is named once for each reason.
complain({peer, Name, State, Text}, #state{complaints = Complaints} = S) ->
    Told = is_map_key({Name, State}, Complaints) orelse map_size(Complaints) >= ?COMPLAINTS_MAX,
    case is_refusal(State) andalso not Told of
        true ->
            ?LOG_WARNING("muster_discovery: ~ts is not connected: ~ts: ~ts", [Name, State, Text],
                ?LOG_META),
            S#state{complaints = Complaints#{{Name, State} => true}};
        false ->
            S
    end;
complain(_, S) ->
    S.

is_refusal(State) ->
    lists:member(State, [
        cookie_mismatch, name_mismatch, not_allowed, tls_required, unsupported_distribution,
        flags_rejected
    ]).

sync_event(Name, Result, Details, #state{options = #{name := Server, telemetry_prefix := Prefix}}) ->
    {Measurements, Metadata} = {maps:with([duration_us, listed], Details), maps:with([reason], Details)},
    muster_telemetry:execute(
        Prefix ++ [sync],
        Measurements#{system_time => erlang:system_time()},
        Metadata#{server => Server, topology => Name, result => Result}
    ).

%%% What the connector says

connector_event({up, Node}, S) ->
    introduce(Node, true, S),
    news({up, Node}, S);
connector_event({down, Node, Reason}, S) ->
    news({down, Node, Reason}, S);
connector_event({attempt, _, true, _}, S) ->
    count(connects, 1, S);
connector_event({attempt, _, held, _}, S) ->
    count(held, 1, S);
connector_event({attempt, Node, Result, _}, S) ->
    ?LOG_INFO("muster_discovery: unable to connect to ~ts: ~0tp", [Node, Result], ?LOG_META),
    count(connect_failures, 1, S).

%%% Peers

news(News, #state{peers = Peers} = S) ->
    {Events, Peers1} = muster_peer_table:step(News, Peers),
    S1 = lists:foldl(fun tell/2, S#state{peers = Peers1}, Events),
    S1#state{awaits = muster_peer_waits:reached(muster_peer_table:count(Peers1), S1#state.awaits)}.

tell(Event, #state{subscribers = Subscribers, options = Options} = S) ->
    #{name := Server, telemetry_prefix := Prefix} = Options,
    muster_subscribers:tell({muster_discovery, Event}, Subscribers),
    {Kind, Node, What} = Event,
    Detail =
        case Kind of
            peer_down -> #{reason => What};
            _ -> #{metadata => What}
        end,
    muster_telemetry:execute(
        Prefix ++ [Kind],
        #{system_time => erlang:system_time()},
        Detail#{server => Server, node => Node}
    ),
    count(events, 1, S).

await_peers(From, Min, Timeout, #state{peers = Peers, awaits = Awaits} = S) ->
    case muster_peer_table:count(Peers) >= Min of
        true ->
            gen_server:reply(From, ok),
            S;
        false ->
            S#state{awaits = muster_peer_waits:add(From, Min, Timeout, Awaits)}
    end.

%%% Own metadata, and talking to the peers' discovery

own_metadata(User, #{capabilities := Capabilities}) ->
    muster_discovery_hello:metadata(User, Capabilities).

announce(#state{version = Version, peers = Peers} = S) ->
    S1 = S#state{version = muster_discovery_hello:version(Version)},
    send_metadata(S1),
    lists:foreach(fun(Node) -> introduce(Node, false, S1) end, muster_peer_table:ups(Peers)),
    S1.

send_metadata(#state{cnode = up, version = Version, metadata = Metadata}) ->
    muster_cnode:cast(discovery, set_metadata, #{version => Version, metadata => Metadata});
send_metadata(_) ->
    ok.

introduce(Node, Ask, #state{options = #{name := Name}} = S) ->
    Message = hello(Ask, S),
    lists:foreach(
        fun(To) -> muster_discovery_hello:send({To, Node}, Message) end, muster_discovery_hello:names(Name)
    ).

hello(Ask, #state{version = Version, metadata = Metadata, draining = Draining}) ->
    muster_discovery_hello:message(#{
        version => Version, metadata => Metadata, leaving => Draining, ask => Ask
    }).

greeted(#{from := From, ask := Ask} = Hello, #state{connector = Connector, peers = Peers} = S) ->
    Ask andalso muster_discovery_hello:send(From, hello(false, S)),
    Node = node(From),
    %% Until the connector has told of the node, its word is too early: it is asked for then.
    case {Hello, lists:member(Node, muster_peer_table:ups(Peers))} of
        {#{version := Version, metadata := #{} = Metadata, leaving := Leaving}, true} ->
            muster_connector:leaving(Connector, Node, Leaving),
            news({hello, Node, Version, Metadata, Leaving}, S);
        _ ->
            S
    end.

%%% Draining

drain_or_resume(Draining, #state{draining = Draining} = S) ->
    S;
drain_or_resume(true, #state{topologies = Topologies, connector = Connector} = S) ->
    muster_connector:pause(Connector),
    %% Also those whose start is not answered yet.
    Runnable = [T || T <- maps:values(Topologies), muster_discovery_topology:start_argument(T) =/= none],
    lists:foreach(
        fun(T) -> muster_cnode:cast(discovery, stop, #{topology => muster_discovery_topology:key(T)}) end, Runnable
    ),
    Stopped = maps:map(fun(_, T) -> muster_discovery_topology:stopped(T) end, Topologies),
    S1 = S#state{draining = true, topologies = Stopped},
    announce(S1);
drain_or_resume(false, #state{topologies = Topologies, connector = Connector} = S) ->
    muster_connector:resume(Connector),
    S1 = announce(S#state{draining = false}),
    case S1#state.cnode of
        up -> lists:foldl(fun start_topology/2, S1, maps:keys(Topologies));
        _ -> S1
    end.

%%% Sync

begin_sync(From, Ms, #state{topologies = Topologies, syncs = Syncs} = S) ->
    Started = [N || {N, T} <- maps:to_list(Topologies), muster_discovery_topology:run_state(T) =:= started],
    case Started of
        [] ->
            gen_server:reply(From, {error, {sync_failed, unhealthy(S)}}),
            S;
        _ ->
            {Id, Waits} = muster_sync_waits:add(From, Ms, Started, Syncs),
            lists:foreach(
                fun(Name) ->
                    Key = muster_discovery_topology:key(topology(Name, S)),
                    send_request({sync, Id, Name}, sync, #{topology => Key})
                end,
                Started
            ),
            S#state{syncs = Waits}
    end.

unhealthy(S) ->
    case maps:get(status, health_of(S)) of
        up -> <<"no topology runs">>;
        {_, Reason} -> Reason
    end.

answered(Name, Errors, #state{syncs = Syncs} = S) ->
    S#state{syncs = muster_sync_waits:answered(Name, Errors, Syncs)}.

%%% Health

health_of(#state{topologies = Topologies, peers = Peers} = S) ->
    All = maps:values(Topologies),
    #{
        status => muster_discovery_health:status(facts(All, S)),
        last_sync_time => muster_discovery_topology:last_sync(All),
        last_error => muster_discovery_topology:last_error(All),
        known_peers => muster_peer_table:count(Peers)
    }.

facts(Topologies, #state{options = #{foreign := Foreign}} = S) ->
    #{
        topologies => [muster_discovery_topology:facts(T) || T <- Topologies],
        foreign => Foreign =/= [],
        cnode => S#state.cnode,
        kept_out => S#state.kept_out,
        draining => S#state.draining,
        peers => muster_peer_table:count(S#state.peers)
    }.

%%% Helpers

topology(Name, #state{topologies = Topologies}) ->
    maps:get(Name, Topologies).

put_topology(Name, T, #state{topologies = Topologies} = S) ->
    S#state{topologies = Topologies#{Name := T}}.

count(What, N, #state{metrics = Metrics} = S) ->
    S#state{metrics = maps:update_with(What, fun(Was) -> Was + N end, Metrics)}.

existing(Node) when is_atom(Node) ->
    Node;
existing(Name) when is_binary(Name) ->
    try
        binary_to_existing_atom(Name, utf8)
    catch
        error:_ -> none
    end.

text({Kind, Text}) when is_atom(Kind), is_binary(Text) -> Text;
text(Reason) -> unicode:characters_to_binary(io_lib:format("~0tp", [Reason])).
