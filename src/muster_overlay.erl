%% @doc State that all nodes share: entities, waypoints and annotations, changed on any node without
%% asking the others, and the same everywhere moments later.
%%
%% ```
%% {ok, _} = muster_overlay:start_link([{sync_interval_ms, 500}]),
%% ok = muster_overlay:subscribe(),
%% ok = muster_overlay:update_entity(unit_1, #{position => {10.0, 20.0, 0.0}, status => active}),
%% ok = muster_overlay:add_waypoint(#{id => <<"wp_alpha">>, label => <<"Rally Point">>}),
%% [#{id := unit_1, status := active}] = muster_overlay:get_all_entities(),
%% receive {overlay_event, {entity_updated, unit_1, _}} -> ok end,
%% ok = muster_overlay:remove_waypoint(<<"wp_alpha">>).
%% '''
%%
%% Members are the overlays of one name on the nodes that the node monitor knows, or that the option
%% `peers' or {@link set_peers/2} lists. Each sends what changed to the others every `sync_interval_ms';
%% `docs/overlay.md' says what is promised, and what goes over the wire.
%%
%% == Events ==
%% A subscriber gets `{overlay_event, Event}' for each net change, made here or elsewhere, once:
%% <ul>
%% <li>`{entity_updated, Id, Data}', `{entity_removed, Id}'</li>
%% <li>`{waypoint_added, Waypoint}', also when an id is added again with other data;
%%     `{waypoint_removed, Id}'</li>
%% <li>`{annotation_added, Id, Data}', `{annotation_removed, Id}'</li>
%% </ul>
%% Of several changes of one id that come in one message, only the outcome is told.
%%
%% Every function also takes the server as its first argument. Wrong arguments raise `badarg' in the
%% calling process.
-module(muster_overlay).

-export([
    start_link/0, start_link/1, start_link/2,
    child_spec/1,
    update_entity/2, update_entity/3,
    remove_entity/1, remove_entity/2,
    get_entity/1, get_entity/2,
    get_all_entities/0, get_all_entities/1,
    add_waypoint/1, add_waypoint/2,
    remove_waypoint/1, remove_waypoint/2,
    get_waypoint/1, get_waypoint/2,
    get_all_waypoints/0, get_all_waypoints/1,
    add_annotation/2, add_annotation/3,
    remove_annotation/1, remove_annotation/2,
    get_annotation/1, get_annotation/2,
    get_overlay_state/0, get_overlay_state/1,
    subscribe/0, subscribe/1,
    unsubscribe/0, unsubscribe/1,
    set_peers/1, set_peers/2,
    await_sync/0, await_sync/1, await_sync/2,
    status/0, status/1,
    export_state/0, export_state/1,
    receive_delta/2, receive_delta/3,
    receive_full_state/2, receive_full_state/3
]).

-export_type([options/0, server/0, peer/0, entity/0, waypoint/0, overlay_state/0, status/0, peer_status/0, state/0]).

-type server() :: gen_server:server_ref().
-type peer() :: node() | {Name :: atom(), node()}.
-type entity() :: #{id := term(), node := node(), last_updated := integer(), term() => term()}.
%% The data of the last update, with the entity's `id', the `node' that wrote it, and `last_updated', that node's
%% `erlang:system_time(millisecond)'.
-type waypoint() :: #{id := term(), term() => term()}.
-type overlay_state() :: #{
    entities := #{Id :: term() => entity()},
    waypoints := [waypoint()],
    annotations := #{Id :: term() => map()},
    node_id := node(),
    peers := [peer()]
}.
-type status() :: #{
    node_id := node(),
    entities := non_neg_integer(),
    waypoints := non_neg_integer(),
    annotations := non_neg_integer(),
    %% The same on two members that hold, and have seen, the same.
    digest := non_neg_integer(),
    loading := boolean(),
    peers := #{peer() => peer_status()}
}.
-type peer_status() :: #{
    up := boolean(),
    in_sync := boolean(),
    heard_ms_ago := non_neg_integer() | never,
    sent_messages := non_neg_integer(),
    sent_bytes := non_neg_integer(),
    lost_messages := non_neg_integer(),
    received_messages := non_neg_integer(),
    received_bytes := non_neg_integer(),
    refused_messages := non_neg_integer()
}.
-opaque state() :: muster_overlay_state:state().
-type options() :: [{atom(), term()}] | #{atom() => term()}.
%% <dl>
%% <dt>`sync_interval_ms'</dt><dd>How often changes are sent, 10 to 3600000, default 500. Shorter spreads
%%     them sooner; longer makes fewer messages, and sends of an id that changes often only the last
%%     state.</dd>
%% <dt>`anti_entropy_interval_ms'</dt><dd>How often digests are compared with each peer, 100 to 86400000, default
%%     60000. It costs some 500 bytes where nothing differs.</dd>
%% <dt>`name'</dt><dd>An atom, default `muster_overlay'. Overlays of one name belong together; the
%%     default names of Erlang and Elixir are the same one.</dd>
%% <dt>`node_id'</dt><dd>The name under which this member writes, default `node()'.</dd>
%% <dt>`peers'</dt><dd>Nodes, or `{Name, Node}', to sync with besides those of the monitor; default none.
%%     Connections are not made for it.</dd>
%% <dt>`node_monitor'</dt><dd>The node monitor whose nodes are peers, default `muster_node_monitor'. It
%%     need not be there; `none' for none.</dd>
%% <dt>`comms_manager'</dt><dd>The `muster_comms' that carries the messages, at priority `high'; default
%%     `none': they are sent directly.</dd>
%% <dt>`data_dir'</dt><dd>Where the state is kept, so that it survives a restart of the whole cluster; default
%%     `undefined': nowhere.</dd>
%% <dt>`send'</dt><dd>A function of `{Name, Node}' and a message that brings it there, for another
%%     transport. It may lose, double and reorder; it must not block.</dd>
%% </dl>

%%% Starting

%% @equiv start_link([])
-spec start_link() -> gen_server:start_ret().
start_link() ->
    start_link([]).

%% @doc Starts this node's member. A wrong option gives
%% `{error, {invalid_option, Name, Value, Expected}}'. On a node that runs the default overlay under Elixir's name
%% already it is the same one: `{error, {already_started, Pid}}', as if the name were taken.
-spec start_link(options()) -> gen_server:start_ret() | {error, muster_options:invalid()}.
start_link(Options) ->
    start_link(Options, #{name => ?MODULE, node_monitor => muster_node_monitor}).

%% @private
-spec start_link(options(), map()) -> gen_server:start_ret() | {error, muster_options:invalid()}.
start_link(Options, Face) ->
    case muster_overlay_options:read(Options, Face) of
        {ok, #{name := Name} = Checked} ->
            case [Pid || Alias <- muster_overlay_roster:aliases(Name), Pid <- [whereis(Alias)], is_pid(Pid)] of
                [] -> start_server(Name, Checked);
                [Pid] -> {error, {already_started, Pid}}
            end;
        {error, Invalid} ->
            {error, Invalid}
    end.

%% A backlog of messages is not walked by the garbage collector.
start_server(Name, Options) ->
    Spawn = [{spawn_opt, [{message_queue_data, off_heap}]}],
    gen_server:start_link({local, Name}, muster_overlay_server, Options, Spawn).

%% @doc A child specification; its id is the name.
-spec child_spec(options()) -> supervisor:child_spec().
child_spec(Options) ->
    #{id => muster_server_name:in_options(Options, ?MODULE), start => {?MODULE, start_link, [Options]}}.

%%% Entities

%% @equiv update_entity(muster_overlay, Id, Data)
-spec update_entity(Id :: term(), Data :: map()) -> ok.
update_entity(Id, Data) when is_map(Data) ->
    update_entity(?MODULE, Id, Data);
update_entity(Id, Data) ->
    muster_arguments:bad({?MODULE, update_entity, [Id, Data]}, #{2 => <<"a map">>}).

%% @doc Writes an entity; what it held before is replaced. Of updates made at the same time on several
%% nodes, the one with the later stamp is read, everywhere the same.
-spec update_entity(server(), Id :: term(), Data :: map()) -> ok.
update_entity(Server, Id, Data) when is_map(Data) ->
    gen_server:call(Server, {put, {entity, Id}, Data});
update_entity(Server, Id, Data) ->
    muster_arguments:bad({?MODULE, update_entity, [Server, Id, Data]}, #{3 => <<"a map">>}).

%% @equiv remove_entity(muster_overlay, Id)
-spec remove_entity(Id :: term()) -> ok.
remove_entity(Id) ->
    remove_entity(?MODULE, Id).

%% @doc Removes an entity: what is known of it here. An update made meanwhile elsewhere stays.
-spec remove_entity(server(), Id :: term()) -> ok.
remove_entity(Server, Id) ->
    gen_server:call(Server, {remove, {entity, Id}}).

%% @equiv get_entity(muster_overlay, Id)
-spec get_entity(Id :: term()) -> {ok, entity()} | error.
get_entity(Id) ->
    get_entity(?MODULE, Id).

%% @doc An entity, if it is there.
-spec get_entity(server(), Id :: term()) -> {ok, entity()} | error.
get_entity(Server, Id) ->
    find(Server, {entity, Id}).

%% @equiv get_all_entities(muster_overlay)
-spec get_all_entities() -> [entity()].
get_all_entities() ->
    get_all_entities(?MODULE).

%% @doc All entities, in no particular order, as they were at one moment.
-spec get_all_entities(server()) -> [entity()].
get_all_entities(Server) ->
    [Entity || {_Id, Entity} <- all(Server, [entity])].

%%% Waypoints

%% @equiv add_waypoint(muster_overlay, Waypoint)
-spec add_waypoint(waypoint()) -> ok.
add_waypoint(#{id := _} = Waypoint) ->
    add_waypoint(?MODULE, Waypoint);
add_waypoint(Waypoint) ->
    muster_arguments:bad({?MODULE, add_waypoint, [Waypoint]}, #{1 => <<"a map with an id">>}).

%% @doc Adds a waypoint, which outlives a removal made elsewhere meanwhile. There is one for each id: one
%% that is there is replaced, and of several added at the same time the one with the later stamp is
%% read, everywhere the same.
-spec add_waypoint(server(), waypoint()) -> ok.
add_waypoint(Server, #{id := Id} = Waypoint) ->
    gen_server:call(Server, {put, {waypoint, Id}, Waypoint});
add_waypoint(Server, Waypoint) ->
    muster_arguments:bad({?MODULE, add_waypoint, [Server, Waypoint]}, #{2 => <<"a map with an id">>}).

%% @equiv remove_waypoint(muster_overlay, Id)
-spec remove_waypoint(Id :: term()) -> ok.
remove_waypoint(Id) ->
    remove_waypoint(?MODULE, Id).

%% @doc Removes a waypoint by its id. `ok' also if there is none.
-spec remove_waypoint(server(), Id :: term()) -> ok.
remove_waypoint(Server, Id) ->
    gen_server:call(Server, {remove, {waypoint, Id}}).

%% @equiv get_waypoint(muster_overlay, Id)
-spec get_waypoint(Id :: term()) -> {ok, waypoint()} | error.
get_waypoint(Id) ->
    get_waypoint(?MODULE, Id).

%% @doc A waypoint, if it is there.
-spec get_waypoint(server(), Id :: term()) -> {ok, waypoint()} | error.
get_waypoint(Server, Id) ->
    find(Server, {waypoint, Id}).

%% @equiv get_all_waypoints(muster_overlay)
-spec get_all_waypoints() -> [waypoint()].
get_all_waypoints() ->
    get_all_waypoints(?MODULE).

%% @doc All waypoints, in no particular order, as they were at one moment.
-spec get_all_waypoints(server()) -> [waypoint()].
get_all_waypoints(Server) ->
    [Waypoint || {_Id, Waypoint} <- all(Server, [waypoint])].

%%% Annotations

%% @equiv add_annotation(muster_overlay, Id, Data)
-spec add_annotation(Id :: term(), Data :: map()) -> ok.
add_annotation(Id, Data) when is_map(Data) ->
    add_annotation(?MODULE, Id, Data);
add_annotation(Id, Data) ->
    muster_arguments:bad({?MODULE, add_annotation, [Id, Data]}, #{2 => <<"a map">>}).

%% @doc Writes an annotation; as with entities, the later one is read.
-spec add_annotation(server(), Id :: term(), Data :: map()) -> ok.
add_annotation(Server, Id, Data) when is_map(Data) ->
    gen_server:call(Server, {put, {annotation, Id}, Data});
add_annotation(Server, Id, Data) ->
    muster_arguments:bad({?MODULE, add_annotation, [Server, Id, Data]}, #{3 => <<"a map">>}).

%% @equiv remove_annotation(muster_overlay, Id)
-spec remove_annotation(Id :: term()) -> ok.
remove_annotation(Id) ->
    remove_annotation(?MODULE, Id).

%% @doc Removes an annotation. `ok' also if there is none.
-spec remove_annotation(server(), Id :: term()) -> ok.
remove_annotation(Server, Id) ->
    gen_server:call(Server, {remove, {annotation, Id}}).

%% @equiv get_annotation(muster_overlay, Id)
-spec get_annotation(Id :: term()) -> {ok, map()} | error.
get_annotation(Id) ->
    get_annotation(?MODULE, Id).

%% @doc An annotation, if it is there.
-spec get_annotation(server(), Id :: term()) -> {ok, map()} | error.
get_annotation(Server, Id) ->
    find(Server, {annotation, Id}).

%%% All of it

%% @equiv get_overlay_state(muster_overlay)
-spec get_overlay_state() -> overlay_state().
get_overlay_state() ->
    get_overlay_state(?MODULE).

%% @doc Everything, as it was at one moment.
-spec get_overlay_state(server()) -> overlay_state().
get_overlay_state(Server) ->
    {Self, Peers} = gen_server:call(Server, members),
    All = all(Server, [entity, waypoint, annotation]),
    #{
        entities => maps:from_list([{Id, Data} || {{entity, Id}, Data} <- All]),
        waypoints => [Data || {{waypoint, _}, Data} <- All],
        annotations => maps:from_list([{Id, Data} || {{annotation, Id}, Data} <- All]),
        node_id => Self,
        peers => Peers
    }.

find(Server, Key) ->
    case gen_server:call(Server, {find, Key}) of
        none -> error;
        Encoded -> {ok, muster_overlay_state:decode(Encoded)}
    end.

%% Decoded by the caller, so that the server is not kept from its work.
all(Server, Kinds) ->
    {Pin, Paths, _} = muster_overlay_pin:take(Server),
    All = [
        {Key, muster_overlay_state:decode(Encoded)}
     || Path <- Paths, {Key, Encoded} <- muster_overlay_pin:read(Pin, Kinds, Path)
    ],
    ok = muster_overlay_pin:release(Pin),
    All.

%%% Events

%% @equiv subscribe(muster_overlay)
-spec subscribe() -> ok.
subscribe() ->
    subscribe(?MODULE).

%% @doc Subscribes the calling process to events. Twice is as good as once; a subscriber that dies
%% is forgotten.
-spec subscribe(server()) -> ok.
subscribe(Server) ->
    gen_server:call(Server, {subscribe, self()}).

%% @equiv unsubscribe(muster_overlay)
-spec unsubscribe() -> ok.
unsubscribe() ->
    unsubscribe(?MODULE).

%% @doc Ends the calling process's subscription.
-spec unsubscribe(server()) -> ok.
unsubscribe(Server) ->
    gen_server:call(Server, {unsubscribe, self()}).

%%% Peers

%% @equiv set_peers(muster_overlay, Peers)
-spec set_peers([peer()]) -> ok.
set_peers(Peers) ->
    set_peers(?MODULE, Peers).

%% @doc Replaces the peers that the option `peers' or the last call listed. Those of the node monitor stay.
-spec set_peers(server(), [peer()]) -> ok.
set_peers(Server, Peers) ->
    case muster_overlay_options:is_peers(Peers) of
        true -> gen_server:call(Server, {set_peers, Peers});
        false ->
            muster_arguments:bad({?MODULE, set_peers, [Server, Peers]}, #{2 => <<"a list of nodes or {Name, Node}">>})
    end.

%% @equiv await_sync(muster_overlay, 5000)
-spec await_sync() -> ok | {error, {timeout, [peer()]}}.
await_sync() ->
    await_sync(?MODULE).

%% @equiv await_sync(Server, 5000)
-spec await_sync(server()) -> ok | {error, {timeout, [peer()]}}.
await_sync(Server) ->
    await_sync(Server, 5000).

%% @doc Sends what there is to send, and waits until all live peers have acknowledged what was here at the call;
%% for at most so many milliseconds, after which those that have not are named. A peer is live if its node is connected
%% and its overlay was heard of since.
-spec await_sync(server(), timeout()) -> ok | {error, {timeout, [peer()]}}.
await_sync(Server, Timeout) when Timeout =:= infinity; is_integer(Timeout), Timeout >= 0, Timeout =< 16#ffffffff ->
    gen_server:call(Server, {await_sync, Timeout}, infinity);
await_sync(Server, Timeout) ->
    Expected = <<"milliseconds, up to 4294967295, or infinity">>,
    muster_arguments:bad({?MODULE, await_sync, [Server, Timeout]}, #{2 => Expected}).

%% @equiv status(muster_overlay)
-spec status() -> status().
status() ->
    status(?MODULE).

%% @doc How much there is, and how each peer does: whether it has acknowledged all that is here, and what went over
%% the wire. At once, whatever the size.
-spec status(server()) -> status().
status(Server) ->
    gen_server:call(Server, status).

%%% Other transports

%% @equiv export_state(muster_overlay)
-spec export_state() -> state().
export_state() ->
    export_state(?MODULE).

%% @doc The state as one term, for {@link receive_full_state/3} elsewhere.
-spec export_state(server()) -> state().
export_state(Server) ->
    gen_server:call(Server, snapshot).

%% @equiv receive_delta(muster_overlay, From, Delta)
-spec receive_delta(From :: term(), muster_crdt_delta:delta()) -> ok | {error, gap | malformed}.
receive_delta(From, Delta) ->
    receive_delta(?MODULE, From, Delta).

%% @doc Takes in what changed elsewhere: `muster_crdt_delta:delta(Old, New)' of two exported states.
%% `{error, gap}' if it builds on what never came here.
-spec receive_delta(server(), From :: term(), muster_crdt_delta:delta()) -> ok | {error, gap | malformed}.
receive_delta(Server, From, Delta) ->
    gen_server:call(Server, {receive_delta, From, Delta}).

%% @equiv receive_full_state(muster_overlay, From, State)
-spec receive_full_state(From :: term(), state()) -> ok | {error, malformed}.
receive_full_state(From, State) ->
    receive_full_state(?MODULE, From, State).

%% @doc Merges another overlay's {@link export_state/1}.
-spec receive_full_state(server(), From :: term(), state()) -> ok | {error, malformed}.
receive_full_state(Server, From, State) ->
    gen_server:call(Server, {receive_full_state, From, State}).
