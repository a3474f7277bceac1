%% @private
%% The server of {@link muster_discovery}: hands what the topologies find to the connector, and keeps
%% the table of peers, which it tells subscribers of. The instances of different nodes introduce
%% themselves to each other ({@link muster_discovery_hello}).
-module(muster_discovery_server).

-behaviour(gen_server).

-export([init/1, handle_call/3, handle_cast/2, handle_info/2, terminate/2, format_status/1]).

-include_lib("kernel/include/logger.hrl").

%% How long start_link waits for the C node's word on the options.
-define(ACTIVATE_MS, 5000).
-define(LOG_META, #{domain => [muster]}).

-record(state, {
    options :: #{atom() => term()},
    topologies :: muster_discovery_topologies:topologies(),
    connector :: pid(),
    peers = muster_peer_table:new() :: muster_peer_table:table(),
    subscribers = muster_subscribers:new() :: muster_subscribers:subscribers(),
    %% Who waits for start_link.
    activation :: undefined | {gen_server:from(), Timer :: reference()},
    awaits = muster_peer_waits:new() :: muster_peer_waits:waits(),
    syncs = muster_sync_waits:new() :: muster_sync_waits:waits(),
    %% What this node says of itself.
    metadata :: muster_discovery:metadata(),
    version :: integer(),
    draining = false :: boolean(),
    metrics :: muster_discovery_metrics:metrics()
}).

%% @private
init(#{metadata := User, foreign := Foreign} = Options) ->
    process_flag(trap_exit, true),
    Metadata = own_metadata(User, Options),
    Version = muster_discovery_hello:version(0),
    Topologies = muster_discovery_topologies:new(Options, {Version, Metadata}),
    ok = muster_discovery_topologies:say_what_lacks(Foreign =/= [], Topologies),
    {ok, #state{
        options = Options,
        topologies = Topologies,
        connector = start_connector(Topologies, Options),
        metadata = Metadata,
        version = Version,
        metrics = muster_discovery_metrics:new(Options)
    }}.

start_connector(Topologies, #{name := Name, telemetry_prefix := Prefix} = Options) ->
    Settings = maps:with(
        [
            connect_workers, connect_timeout, backoff_min_ms, backoff_max_ms, stable_ms, hold_limit_ms,
            check_interval, consult
        ],
        Options
    ),
    Telemetry = {Prefix, #{server => Name}},
    {ok, Connector} = muster_connector:start_link(Settings#{owner => self(), telemetry => Telemetry}),
    lists:foreach(
        fun({Topology, Mfas}) -> muster_connector:topology(Connector, Topology, Mfas) end,
        muster_discovery_topologies:mfas(Topologies)
    ),
    Connector.

start_foreign([]) ->
    ok;
start_foreign(Topologies) ->
    case apply('Elixir.Cluster.Supervisor', start_link, [[Topologies, []]]) of
        {ok, _} -> ok;
        {error, Reason} -> {error, {libcluster, Reason}}
    end.

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
    {reply, ok, subscribed(Pid, S)};
handle_call({subscribe_to_peers, Pid}, _From, S) ->
    {reply, muster_peer_table:peers(S#state.peers), subscribed(Pid, S)};
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
    {reply, muster_discovery_metrics:counts(Metrics), S};
handle_call(status, _From, #state{topologies = Topologies, connector = Connector} = S) ->
    {Keys, Known} = muster_discovery_topologies:status(Topologies),
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
handle_call(prune, From, #state{connector = Connector} = S) ->
    %% Functions of the user's are called for it, so the connector answers when it can.
    ok = muster_connector:prune(Connector, From),
    {noreply, S};
handle_call(_, _From, S) ->
    {reply, {error, unknown_call}, S}.

subscribed(Pid, #state{subscribers = Subscribers} = S) ->
    S#state{subscribers = muster_subscribers:add(Pid, Subscribers)}.

%% @private
handle_cast(_, S) ->
    {noreply, S}.

%% @private
handle_info({muster_connector, Pid, Event}, #state{connector = Pid} = S) ->
    {noreply, connector_event(Event, S)};
handle_info({timeout, Timer, activate}, #state{activation = {_, Timer}} = S) ->
    {noreply, activate(ok, S)};
handle_info({timeout, _, {await, Id}}, #state{awaits = Awaits} = S) ->
    {noreply, S#state{awaits = muster_peer_waits:expired(Id, Awaits)}};
handle_info({timeout, Id, sync}, #state{syncs = Syncs} = S) ->
    {noreply, S#state{syncs = muster_sync_waits:expired(Id, Syncs)}};
handle_info({'EXIT', Pid, Reason}, S) ->
    %% Nothing is found without the connector, or libcluster's supervisor where that was asked for.
    case Reason of
        normal when Pid =/= S#state.connector -> {noreply, S};
        _ -> {stop, Reason, S}
    end;
handle_info({'DOWN', Monitor, process, _, _}, #state{awaits = Awaits} = S) when
    is_map_key(Monitor, Awaits)
->
    {noreply, S#state{awaits = muster_peer_waits:gone(Monitor, Awaits)}};
handle_info({'DOWN', Monitor, process, Pid, _}, #state{subscribers = Known} = S) when
    map_get(Pid, Known) =:= Monitor
->
    {noreply, S#state{subscribers = muster_subscribers:down(Monitor, Pid, Known)}};
handle_info(Message, #state{topologies = Topologies} = S) ->
    case muster_discovery_topologies:handle(Message, Topologies) of
        {Happenings, New} -> {noreply, activated(lists:foldl(fun happening/2, S#state{topologies = New}, Happenings))};
        unknown -> {noreply, hello(Message, S)}
    end.

%% @private
terminate(_Reason, #state{connector = Connector}) ->
    %% The C node is told by muster_cnode, which monitors this process.
    exit(Connector, shutdown),
    ok.

%% @private
%% Secrets stay out of crash reports.
format_status(#{state := #state{topologies = Topologies, options = Options} = S} = Status) ->
    Status#{state := S#state{
        topologies = muster_discovery_topologies:concealed(Topologies),
        options = maps:without([topologies, foreign], Options)
    }};
format_status(Status) ->
    Status.

%%% Starting: start_link returns when each topology was accepted, or there is nobody to ask

activated(#state{activation = undefined} = S) ->
    S;
activated(#state{topologies = Topologies} = S) ->
    case muster_discovery_topologies:is_settled(Topologies) of
        true -> activate(ok, S);
        false -> S
    end.

activate(Result, #state{activation = {From, Timer}} = S) ->
    _ = erlang:cancel_timer(Timer),
    gen_server:reply(From, Result),
    S#state{activation = undefined}.

%%% What the topologies find

happening({down, _Reason}, #state{connector = Connector, syncs = Syncs} = S) ->
    muster_connector:cnode_down(Connector),
    S#state{syncs = muster_sync_waits:fail(<<"the C node went down">>, Syncs)};
happening({refused, _Topology, Reason, _News}, #state{activation = {_, _}} = S) ->
    activate({error, Reason}, S);
happening({refused, Topology, _Reason, News}, S) ->
    _ = News =/= none andalso
        ?LOG_ERROR("muster_discovery: topology ~0tp cannot be started: ~ts", [Topology, News], ?LOG_META),
    S;
happening({found, Name, Topology}, #state{connector = Connector} = S) ->
    Listed = listed(Name, Topology, S),
    muster_connector:found(Connector, Name, Topology),
    Listed;
happening({unproven, Name, Topology}, #state{connector = Connector} = S) ->
    Listed = listed(Name, Topology, S),
    muster_connector:unproven(Connector, Name, Topology),
    Listed;
happening({lost, Name, Topology}, #state{connector = Connector} = S) ->
    muster_connector:lost(Connector, Name, Topology),
    case existing(Name) of
        none -> S;
        Node -> news({lost, Node, Topology}, S)
    end;
happening({metadata, Name, Version, Metadata}, S) ->
    case existing(Name) of
        none -> S;
        Node when is_map(Metadata) -> news({metadata, Node, Version, Metadata}, S)
    end;
happening({sync, Topology, Result, Details}, #state{metrics = Metrics, syncs = Syncs} = S) ->
    Errors = [Details || Result =:= error],
    S#state{
        metrics = muster_discovery_metrics:synced(Topology, Result, Details, Metrics),
        syncs = muster_sync_waits:answered(Topology, Errors, Syncs)
    };
happening({not_asked, Id, Topology, Text}, #state{syncs = Syncs} = S) ->
    S#state{syncs = muster_sync_waits:answered(Id, Topology, [Text], Syncs)}.

%% The name becomes an atom, and not before.
listed(Name, Topology, S) ->
    news({found, binary_to_atom(Name, utf8), Topology}, S).

%%% What the connector says

connector_event({up, Node}, S) ->
    introduce(Node, true, S),
    news({up, Node}, S);
connector_event({down, Node, Reason}, S) ->
    news({down, Node, Reason}, S);
connector_event({attempt, Node, Result, _}, #state{metrics = Metrics} = S) ->
    _ = lists:member(Result, [true, held]) orelse
        ?LOG_INFO("muster_discovery: unable to connect to ~ts: ~0tp", [Node, Result], ?LOG_META),
    S#state{metrics = muster_discovery_metrics:attempted(Result, Metrics)};
connector_event({pruned, From, Nodes}, S) ->
    Pruned = lists:foldl(fun(Node, Acc) -> news({forget, Node}, Acc) end, S, Nodes),
    gen_server:reply(From, Nodes),
    Pruned.

%%% Peers

news(News, #state{peers = Peers} = S) ->
    {Events, Peers1} = muster_peer_table:step(News, Peers),
    S1 = lists:foldl(fun tell/2, S#state{peers = Peers1}, Events),
    S1#state{awaits = muster_peer_waits:reached(muster_peer_table:count(Peers1), S1#state.awaits)}.

tell(Event, #state{subscribers = Subscribers, metrics = Metrics} = S) ->
    muster_subscribers:tell({muster_discovery, Event}, Subscribers),
    S#state{metrics = muster_discovery_metrics:told(Event, Metrics)}.

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

announce(#state{metadata = Metadata, version = Version, peers = Peers, topologies = Topologies} = S) ->
    Next = muster_discovery_hello:version(Version),
    S1 = S#state{
        version = Next,
        topologies = muster_discovery_topologies:set_metadata({Next, Metadata}, Topologies)
    },
    lists:foreach(fun(Node) -> introduce(Node, false, S1) end, muster_peer_table:ups(Peers)),
    S1.

introduce(Node, Ask, #state{options = #{name := Name}} = S) ->
    Message = introduction(Ask, S),
    lists:foreach(
        fun(To) -> muster_discovery_hello:send({To, Node}, Message) end, muster_discovery_hello:names(Name)
    ).

introduction(Ask, #state{version = Version, metadata = Metadata, draining = Draining}) ->
    muster_discovery_hello:message(#{
        version => Version, metadata => Metadata, leaving => Draining, ask => Ask
    }).

hello(Message, S) ->
    case muster_discovery_hello:read(Message) of
        {ok, Hello} -> greeted(Hello, S);
        ignored -> S
    end.

greeted(#{from := From, ask := Ask} = Hello, #state{connector = Connector, peers = Peers} = S) ->
    Ask andalso muster_discovery_hello:send(From, introduction(false, S)),
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
    announce(S#state{draining = true, topologies = muster_discovery_topologies:stop(Topologies)});
drain_or_resume(false, #state{connector = Connector} = S) ->
    muster_connector:resume(Connector),
    #state{topologies = Topologies} = S1 = announce(S#state{draining = false}),
    S1#state{topologies = muster_discovery_topologies:resume(Topologies)}.

%%% Sync

begin_sync(From, Ms, #state{topologies = Topologies, syncs = Syncs} = S) ->
    case muster_discovery_topologies:started(Topologies) of
        [] ->
            gen_server:reply(From, {error, {sync_failed, unhealthy(S)}}),
            S;
        Started ->
            {Id, Waits} = muster_sync_waits:add(From, Ms, Started, Syncs),
            lists:foreach(fun(Name) -> muster_discovery_topologies:sync(Id, Name, Topologies) end, Started),
            S#state{syncs = Waits}
    end.

unhealthy(S) ->
    case maps:get(status, health_of(S)) of
        up -> <<"no topology runs">>;
        {_, Reason} -> Reason
    end.

%%% Health

health_of(#state{topologies = Topologies, peers = Peers, options = #{foreign := Foreign}}) ->
    Count = muster_peer_table:count(Peers),
    Facts = muster_discovery_topologies:facts(Topologies),
    #{
        status => muster_discovery_health:status(Facts#{foreign => Foreign =/= [], peers => Count}),
        last_sync_time => muster_discovery_topologies:last_sync(Topologies),
        last_error => muster_discovery_topologies:last_error(Topologies),
        known_peers => Count
    }.

existing(Node) when is_atom(Node) ->
    Node;
existing(Name) ->
    try
        binary_to_existing_atom(Name, utf8)
    catch
        error:_ -> none
    end.
