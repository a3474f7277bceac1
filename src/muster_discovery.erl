%% @doc Finds the cluster's nodes and keeps the BEAM connected to them.
%%
%% ```
%% {ok, _} = muster_discovery:start_link([{strategy, gossip}]),
%% {ok, _} = muster_discovery:start_link([{name, lan_and_list}, {topologies, [
%%     {lan, gossip, [{secret, <<"...">>}]},
%%     {list, static, [{nodes, ['app@host1', 'app@host2']}]}
%% ]}]),
%% ok = muster_discovery:subscribe(),
%% ok = muster_discovery:await(2, 30000).
%% '''
%%
%% The C node does the finding: each topology is a strategy with its options, see
%% `docs/discovery.md'. A node it found is connected as soon as it has proved its name and cookie
%% to the C node; then, and only then, its name becomes an atom. Connections that are lost are made
%% again, with waits that grow where they do not last (`muster_reconnect'). A connected node is
%% never disconnected because a listing leaves it out.
%%
%% A *peer* is a node that the BEAM is connected to and that a topology listed, or whose own
%% discovery introduced itself. Subscribers get `{muster_discovery, Event}':
%% <ul>
%% <li>`{peer_up, Node, Metadata}'</li>
%% <li>`{peer_update, Node, Metadata}' when its metadata changed</li>
%% <li>`{peer_down, Node, Reason}', a text</li>
%% </ul>
%%
%% Metadata are maps of binaries. A node's own are `muster_version', `capabilities' and what the
%% user set; they reach other nodes through the packets of strategies that send some, and over the
%% BEAM's distribution once connected.
%%
%% Without a C node for this platform, or without a strategy (or one whose essential option is
%% missing), the server starts, warns once and does nothing; {@link health/1} says why.
%%
%% Several instances may run side by side under different names. Every function also takes the
%% server as its first argument.
-module(muster_discovery).

-export([
    available/0,
    start_link/0, start_link/1, start_link/2,
    child_spec/1, child_spec/2,
    stop/0, stop/1, stop/2,
    subscribe/0, subscribe/1, subscribe/2, subscribe_to_peers/1,
    unsubscribe/0, unsubscribe/1, unsubscribe/2,
    snapshot/0, snapshot/1,
    lookup/1, lookup/2,
    health/0, health/1,
    health_info/0, health_info/1,
    metrics/0, metrics/1,
    status/0, status/1,
    sync/0, sync/1, sync/2,
    await/2, await/3,
    set_metadata/1, set_metadata/2,
    get_metadata/0, get_metadata/1,
    drain/0, drain/1,
    resume/0, resume/1,
    prune/0, prune/1
]).
-export_type([
    options/0, server/0, event/0, health/0, health_info/0, metrics/0, peer/0, metadata/0, error/0
]).

-define(SYNC_MS, 5000).
-define(STOP_MS, 5000).
%% As far as the BEAM's own time-outs go.
-define(TIMER_MAX_MS, 16#FFFFFFFF).

-type options() :: [{atom(), term()}] | #{atom() => term()} | fun(() -> options()).
%% A function is called at each start. Supervisors log their children's arguments: {@link
%% child_spec/1} makes a function of options that hold a secret; who writes the specification
%% himself can give one.
%%
%% What concerns the instance:
%% <dl>
%% <dt>`name'</dt><dd>Default `muster_discovery'.</dd>
%% <dt>`strategy'</dt><dd>One strategy; its options stand beside it.</dd>
%% <dt>`topologies'</dt><dd>Several: `[{Name, Strategy, Options}]', or libcluster's
%%     `[{Name, [{strategy, _}, {config, _}]}]' ({@link muster_libcluster}).</dd>
%% <dt>`connect', `disconnect', `list_nodes'</dt><dd>`{Module, Function, Arguments}', the first two
%%     with the node appended; default the BEAM's own.</dd>
%% <dt>`connect_unproven'</dt><dd>Whether to connect to nodes that can prove nothing to the C node
%%     because the cluster runs over TLS or without epmd; default `false'. Nodes that the user named
%%     are connected anyway.</dd>
%% <dt>`connect_workers'</dt><dd>Attempts at once, default 16.</dd>
%% <dt>`connect_timeout'</dt><dd>An attempt is given up after that many ms, default 15000.</dd>
%% <dt>`backoff_min_ms', `backoff_max_ms'</dt><dd>The wait before a lost connection is made again,
%%     and what it doubles up to; default 500 and 60000.</dd>
%% <dt>`stable_ms'</dt><dd>A connection that stood that long starts at the shortest wait again,
%%     default 30000.</dd>
%% <dt>`consult'</dt><dd>Whether to ask a node that was lost which nodes it reaches before it is
%%     connected again; default `true'.</dd>
%% <dt>`hold_limit_ms'</dt><dd>So long at most an attempt is held back for that; default 600000.</dd>
%% <dt>`check_interval'</dt><dd>How often `list_nodes' is looked at, ms, default 5000.</dd>
%% <dt>`telemetry_prefix'</dt><dd>What the names of telemetry events begin with, a list of atoms, default
%%     `[muster, discovery]'.</dd>
%% <dt>`metadata', `capabilities'</dt><dd>Own metadata to start with, and a list of texts.</dd>
%% </dl>
-type server() :: gen_server:server_ref().
-type event() :: muster_peer_table:event().
-type peer() :: muster_peer_table:peer().
-type metadata() :: muster_peer_table:metadata().
-type health() :: up | {degraded, Reason :: binary()} | {down, Reason :: binary()}.
-type health_info() :: #{
    status := health(),
    last_sync_time := integer() | undefined,
    last_error := binary() | undefined,
    known_peers := non_neg_integer()
}.
%% `last_sync_time': `erlang:system_time(millisecond)' when a backend last answered. `last_error' is
%% the latest failure, of any topology, that no later answer of the same topology has made good.
-type metrics() :: #{
    syncs := non_neg_integer(),
    failures := non_neg_integer(),
    last_duration_us := non_neg_integer(),
    events := non_neg_integer(),
    connects := non_neg_integer(),
    connect_failures := non_neg_integer(),
    held := non_neg_integer()
}.
-type error() ::
    muster_options:invalid()
    | {peer_not_found, Node :: term()}
    | {sync_failed, binary()}
    | {timeout, Ms :: non_neg_integer()}
    | {shutdown_timeout, Ms :: non_neg_integer()}
    %% The C node's word on a strategy's options.
    | {invalid_argument | unknown_strategy | atom(), binary()}.

%%% Interface

%% @doc Whether there is a C node to find nodes with: the application `muster' runs, and has one
%% for this platform.
-spec available() -> boolean().
available() ->
    muster_cnode:available().

%% @equiv start_link([])
-spec start_link() -> gen_server:start_ret() | {error, error()}.
start_link() ->
    start_link([]).

%% @doc Starts an instance. A wrong option gives `{error, {invalid_option, Name, Value, Expected}}',
%% one that the strategy refuses `{error, {invalid_argument, Text}}'.
-spec start_link(options()) -> gen_server:start_ret() | {error, error()}.
start_link(Options) ->
    start_link(Options, ?MODULE).

%% @private
%% The default name is the face's: each documented module has its own.
-spec start_link(options(), atom()) -> gen_server:start_ret() | {error, error()}.
start_link(Options, DefaultName) ->
    case muster_discovery_options:read(Options, DefaultName) of
        {ok, #{name := Name, foreign := Foreign} = Read} ->
            case foreign(Foreign) of
                ok -> start_checked(muster_server_name:to_register(Name), Read);
                {error, Invalid} -> {error, Invalid}
            end;
        {error, Invalid} ->
            {error, Invalid}
    end.

%% The C node's refusal comes as the result, not as the exit signal of a failed `init'.
start_checked(Name, Options) ->
    case gen_server:start_link(Name, muster_discovery_server, Options, []) of
        {ok, Pid} ->
            case gen_server:call(Pid, activate, infinity) of
                ok ->
                    {ok, Pid};
                {error, Reason} ->
                    unlink(Pid),
                    _ = stop(Pid),
                    {error, Reason}
            end;
        Other ->
            Other
    end.

foreign([]) ->
    ok;
foreign([{_, Spec} | _]) ->
    case code:ensure_loaded('Elixir.Cluster.Supervisor') of
        {module, _} ->
            ok;
        {error, _} ->
            {error,
                {invalid_option, strategy, proplists:get_value(strategy, Spec),
                    <<"a strategy of muster's, or libcluster to run this one">>}}
    end.

%% @doc A child specification; its id is the name. Secrets do not show in it.
-spec child_spec(options()) -> supervisor:child_spec().
child_spec(Options) ->
    child_spec(Options, ?MODULE).

%% @private
-spec child_spec(options(), module()) -> supervisor:child_spec().
child_spec(Options, Face) ->
    Concealed = muster_discovery_options:concealed(Options),
    #{id => name_of(Options, Face), start => {Face, start_link, [Concealed]}}.

%% @equiv stop(muster_discovery)
-spec stop() -> ok | {error, error()}.
stop() ->
    stop(?MODULE).

%% @equiv stop(Server, 5000)
-spec stop(server()) -> ok | {error, error()}.
stop(Server) ->
    stop(Server, ?STOP_MS).

%% @doc Stops an instance. Nodes stay connected.
-spec stop(server(), timeout()) -> ok | {error, error()}.
stop(Server, Ms) ->
    try
        gen_server:stop(Server, normal, Ms)
    catch
        exit:timeout -> {error, {shutdown_timeout, Ms}};
        exit:noproc -> ok
    end.

%% @equiv subscribe(muster_discovery)
-spec subscribe() -> ok.
subscribe() ->
    subscribe(?MODULE).

%% @equiv subscribe(Server, self())
-spec subscribe(server()) -> ok.
subscribe(Server) ->
    subscribe(Server, self()).

%% @doc Subscribes a process to events. Twice is as good as once; a subscriber that dies is
%% forgotten. Peers that are there already are in {@link snapshot/1}.
-spec subscribe(server(), pid()) -> ok.
subscribe(Server, Pid) when is_pid(Pid) ->
    gen_server:call(Server, {subscribe, Pid}).

%% @private
%% Subscribes the calling process, with the peers of that very moment.
-spec subscribe_to_peers(server()) -> [peer()].
subscribe_to_peers(Server) ->
    gen_server:call(Server, {subscribe_to_peers, self()}).

%% @equiv unsubscribe(muster_discovery)
-spec unsubscribe() -> ok.
unsubscribe() ->
    unsubscribe(?MODULE).

%% @equiv unsubscribe(Server, self())
-spec unsubscribe(server()) -> ok.
unsubscribe(Server) ->
    unsubscribe(Server, self()).

%% @doc Ends a subscription: no event is sent after this returns.
-spec unsubscribe(server(), pid()) -> ok.
unsubscribe(Server, Pid) when is_pid(Pid) ->
    gen_server:call(Server, {unsubscribe, Pid}).

%% @equiv snapshot(muster_discovery)
-spec snapshot() -> [peer()].
snapshot() ->
    snapshot(?MODULE).

%% @doc The peers of now, in the order of their names.
-spec snapshot(server()) -> [peer()].
snapshot(Server) ->
    gen_server:call(Server, snapshot).

%% @equiv lookup(muster_discovery, Node)
-spec lookup(node() | binary()) -> {ok, peer()} | {error, {peer_not_found, node() | binary()}}.
lookup(Node) ->
    lookup(?MODULE, Node).

%% @doc One peer, by its name as an atom or a binary.
-spec lookup(server(), node() | binary()) ->
    {ok, peer()} | {error, {peer_not_found, node() | binary()}}.
lookup(Server, Node) ->
    gen_server:call(Server, {lookup, Node}).

%% @equiv health(muster_discovery)
-spec health() -> health().
health() ->
    health(?MODULE).

%% @doc Whether discovery works: `degraded' while some topology's backend fails or the C node is
%% being restarted, `down' when nothing can be found at all. The reasons are texts.
-spec health(server()) -> health().
health(Server) ->
    maps:get(status, health_info(Server)).

%% @equiv health_info(muster_discovery)
-spec health_info() -> health_info().
health_info() ->
    health_info(?MODULE).

%% @doc Health with the time of the last sync, the last error, and how many peers there are.
-spec health_info(server()) -> health_info().
health_info(Server) ->
    gen_server:call(Server, health_info).

%% @equiv metrics(muster_discovery)
-spec metrics() -> metrics().
metrics() ->
    metrics(?MODULE).

%% @doc Counts since the start: backends' answers (`syncs') and failures, the last answer's
%% duration, events told, attempts to connect that succeeded, failed, or were held back.
-spec metrics(server()) -> metrics().
metrics(Server) ->
    gen_server:call(Server, metrics).

%% @equiv status(muster_discovery)
-spec status() -> map().
status() ->
    status(?MODULE).

%% @doc Everything there is to know, for operators: `topologies' with what the C node says of each
%% (its nodes with their states such as `cookie_mismatch', counters, the last error), and the
%% `connections' by node: phase, strikes, whether held back.
-spec status(server()) ->
    #{topologies := #{term() => map()}, connections := #{binary() => map()}, draining := boolean()}.
status(Server) ->
    {Keys, Connector, Status} = gen_server:call(Server, status),
    Topologies = maps:map(
        fun(Name, Known) ->
            #{Name := Key} = Keys,
            case muster_cnode:call(discovery, status, #{topology => Key}) of
                {ok, Told} -> maps:merge(Told, Known);
                {error, Reason} -> Known#{error => Reason}
            end
        end,
        maps:get(topologies, Status)
    ),
    Status#{topologies := Topologies, connections => muster_connector:info(Connector)}.

%% @equiv sync(muster_discovery)
-spec sync() -> ok | {error, error()}.
sync() ->
    sync(?MODULE).

%% @equiv sync(Server, 5000)
-spec sync(server()) -> ok | {error, error()}.
sync(Server) ->
    sync(Server, ?SYNC_MS).

%% @doc Asks all backends now, and waits for their answers; gossip says hello instead.
-spec sync(server(), pos_integer()) ->
    ok | {error, {sync_failed, binary()} | {timeout, pos_integer()}}.
sync(Server, Ms) when is_integer(Ms), Ms > 0, Ms =< ?TIMER_MAX_MS ->
    gen_server:call(Server, {sync, Ms}, infinity).

%% @equiv await(muster_discovery, MinPeers, Timeout)
-spec await(non_neg_integer(), timeout()) -> ok | {error, {timeout, timeout()}}.
await(MinPeers, Timeout) ->
    await(?MODULE, MinPeers, Timeout).

%% @doc Waits until there are at least so many peers.
-spec await(server(), non_neg_integer(), timeout()) -> ok | {error, {timeout, timeout()}}.
await(Server, MinPeers, Timeout) when
    is_integer(MinPeers), MinPeers >= 0, Timeout =:= infinity;
    is_integer(MinPeers), MinPeers >= 0, is_integer(Timeout), Timeout >= 0, Timeout =< ?TIMER_MAX_MS
->
    gen_server:call(Server, {await, MinPeers, Timeout}, infinity).

%% @equiv set_metadata(muster_discovery, Metadata)
-spec set_metadata(map()) -> ok | {error, muster_options:invalid()}.
set_metadata(Metadata) ->
    set_metadata(?MODULE, Metadata).

%% @doc Replaces the user's part of this node's metadata, a map of texts of at most 800 bytes as a
%% term. With several instances, packets carry what was set last.
-spec set_metadata(server(), map()) -> ok | {error, muster_options:invalid()}.
set_metadata(Server, Metadata) ->
    case muster_discovery_options:metadata(Metadata) of
        {ok, Read} -> gen_server:call(Server, {set_metadata, Read});
        {error, Invalid} -> {error, Invalid}
    end.

%% @equiv get_metadata(muster_discovery)
-spec get_metadata() -> metadata().
get_metadata() ->
    get_metadata(?MODULE).

%% @doc What other nodes are told of this one.
-spec get_metadata(server()) -> metadata().
get_metadata(Server) ->
    gen_server:call(Server, get_metadata).

%% @equiv drain(muster_discovery)
-spec drain() -> ok.
drain() ->
    drain(?MODULE).

%% @doc Makes this node stay away: its topologies stop, so that it neither announces itself nor
%% looks for others; it makes no more connections, and its peers, who are told, do not connect to it
%% again once they are disconnected, until the C nodes' link to it was made anew (the node was
%% restarted) or it resumes. Connections that stand are left alone.
-spec drain(server()) -> ok.
drain(Server) ->
    gen_server:call(Server, {drain, true}).

%% @equiv resume(muster_discovery)
-spec resume() -> ok.
resume() ->
    resume(?MODULE).

%% @doc Takes {@link drain/1} back.
-spec resume(server()) -> ok.
resume(Server) ->
    gen_server:call(Server, {drain, false}).

%% @equiv prune(muster_discovery)
-spec prune() -> [node()].
prune() ->
    prune(?MODULE).

%% @doc Forgets the nodes that are down, and calls `disconnect' for them, until they are found
%% again. Connected nodes are never touched. Returns the names.
-spec prune(server()) -> [node()].
prune(Server) ->
    gen_server:call(Server, prune, infinity).

name_of(Options, Default) when is_function(Options, 0) -> name_of(Options(), Default);
name_of(Options, Default) -> muster_server_name:in_options(Options, Default).
