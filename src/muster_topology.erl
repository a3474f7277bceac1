%% @doc The cluster's one commander, and its nodes' roles.
%%
%% ```
%% {ok, _} = muster_topology:start_link([{quorum_size, 2}]),
%% commander = muster_topology:get_role(),
%% {ok, Commander} = muster_topology:get_commander(),
%% [{Node, Role} | _] = muster_topology:list_nodes(),
%% ok = muster_topology:promote('app@host2', wingmate).
%% '''
%%
%% The longest-running node commands. The C nodes beside the BEAMs hold the election and keep the
%% table of roles (`docs/election.md'); each member's answers come from that table, so all give the
%% same. Nodes that run no topology of this name are no members. `docs/topology.md' says what is
%% promised: above all that two commanders at a time are excluded only where `quorum_size' is more
%% than half of the cluster.
%%
%% == Roles ==
%% `commander' (one at a time), `wingmate' (what everybody else starts as), `observer' (votes, but
%% never commands), `relay' (a name for the user's purposes; may command).
%%
%% == Events ==
%% A subscriber gets
%% <ul>
%% <li>`{swarm_event, {commander_changed, Old, New}}', nodes or `undefined' (`nil' from
%%     `Raxol.Swarm.Topology') for none</li>
%% <li>`{swarm_event, {role_changed, Node, Role}}', where the role of a node that has left is
%%     `undefined' (`nil')</li>
%% </ul>
%%
%% == Without a C node ==
%% On `nonode@nohost', and where there is no C node for this platform, the topology is in single-node
%% mode: this node commands if `quorum_size' is 1, nodes are listed as {@link node_joined/2} and the
%% node monitor say. Where other members do have C nodes, it asks one of them instead and has no
%% vote. A topology whose `node_id' is not this node's name is in single-node mode too; it is one for
%% tests.
-module(muster_topology).

-export([
    start_link/0, start_link/1, start_link/2,
    child_spec/1,
    get_role/0, get_role/1, get_role/2,
    get_commander/0, get_commander/1,
    get_command/0, get_command/1,
    list_nodes/0, list_nodes/1,
    node_count/0, node_count/1,
    promote/2, promote/3,
    request_role/1, request_role/2,
    node_joined/1, node_joined/2,
    node_left/1, node_left/2,
    subscribe/0, subscribe/1,
    unsubscribe/0, unsubscribe/1
]).

-export_type([role/0, options/0, server/0, token/0, error/0]).

-type role() :: commander | wingmate | observer | relay.
-type server() :: gen_server:server_ref().
-type token() :: {Term :: pos_integer(), Election :: integer()}.
-type options() :: [{atom(), term()}] | #{atom() => term()}.
%% <dl>
%% <dt>`quorum_size'</dt><dd>With fewer live members there is no commander; 1 to 128, default 1.
%%     More than half of the cluster excludes two commanders at a time; less keeps a small part of
%%     a cluster that was cut working, with a commander of its own.</dd>
%% <dt>`name'</dt><dd>An atom, `{via, Module, Term}' or `{global, Term}', default
%%     `muster_topology'. Topologies of one name on several nodes belong together.</dd>
%% <dt>`node_id'</dt><dd>The member's name, default `node()'; another one only for tests.</dd>
%% <dt>`node_monitor'</dt><dd>The node monitor to subscribe to, default `muster_node_monitor'. It
%%     need not be there.</dd>
%% <dt>`election_timeout_min', `election_timeout_max', `heartbeat_interval'</dt><dd>As of
%%     {@link muster_leader}: 150, 300 and 50 ms.</dd>
%% </dl>
-type error() ::
    unknown_node
    | no_commander
    | timeout
    | {invalid_role, term()}
    | {atom(), binary()}.

%%% Starting

%% @equiv start_link([])
-spec start_link() -> gen_server:start_ret().
start_link() ->
    start_link([]).

%% @doc Starts this node's member. A wrong option gives
%% `{error, {invalid_option, Name, Value, Expected}}'.
-spec start_link(options()) -> gen_server:start_ret() | {error, muster_options:invalid()}.
start_link(Options) ->
    start_link(Options, #{name => ?MODULE, node_monitor => muster_node_monitor, none => undefined}).

%% @private
%% Names and what stands for no node are the face's: each documented module has its own.
-spec start_link(options(), map()) -> gen_server:start_ret() | {error, muster_options:invalid()}.
start_link(Options, #{name := DefaultName, node_monitor := DefaultMonitor, none := None}) ->
    Table = (muster_leader_options:timings())#{
        quorum_size => muster_options:integer(1, {1, 128}, "members"),
        name => muster_server_name:rule(DefaultName),
        node_id => {node(), fun muster_leader_options:is_node/1, <<"a node's name, as an atom">>},
        node_monitor => {DefaultMonitor, fun muster_server_name:is_server/1, <<"a node monitor's name or pid">>}
    },
    case muster_options:check(Options, Table) of
        {ok, Checked} -> start_checked(Checked#{none => None});
        {error, Invalid} -> {error, Invalid}
    end.

start_checked(#{name := Name} = Options) ->
    case muster_leader_options:check_timings(Options, io_lib:format("~0tp", [Name])) of
        {ok, Timings} ->
            Argument = Options#{cnode => Timings},
            gen_server:start_link(muster_server_name:to_register(Name), muster_topology_server, Argument, []);
        {error, Invalid} ->
            {error, Invalid}
    end.

%% @doc A child specification; its id is the name.
-spec child_spec(options()) -> supervisor:child_spec().
child_spec(Options) ->
    #{id => muster_server_name:in_options(Options, ?MODULE), start => {?MODULE, start_link, [Options]}}.

%%% Asking

%% @equiv get_role(muster_topology)
-spec get_role() -> role().
get_role() ->
    get_role(?MODULE).

%% @doc This node's role.
-spec get_role(server()) -> role().
get_role(Server) ->
    gen_server:call(Server, get_role).

%% @doc A member's role.
-spec get_role(server(), node()) -> {ok, role()} | {error, unknown_node}.
get_role(Server, Node) ->
    ok = check_node(get_role, [Server, Node]),
    case lists:keyfind(Node, 1, list_nodes(Server)) of
        {Node, Role} -> {ok, Role};
        false -> {error, unknown_node}
    end.

%% @equiv get_commander(muster_topology)
-spec get_commander() -> {ok, node()} | {error, no_commander}.
get_commander() ->
    get_commander(?MODULE).

%% @doc The commander. On the commander's own node the lease is looked at, so it is the commander
%% at that moment; elsewhere the one that was last heard. Right after the start it waits for the
%% first one, as does {@link promote/3}, for at most 2 s.
-spec get_commander(server()) -> {ok, node()} | {error, no_commander}.
get_commander(Server) ->
    case get_command(Server) of
        {ok, Node, _} -> {ok, Node};
        {error, no_commander} -> {error, no_commander}
    end.

%% @equiv get_command(muster_topology)
-spec get_command() -> {ok, node(), token()} | {error, no_commander}.
get_command() ->
    get_command(?MODULE).

%% @doc The commander with the fencing token of its command, for those who act on its orders: terms
%% rise, and no two commands share both numbers.
-spec get_command(server()) -> {ok, node(), token()} | {error, no_commander}.
get_command(Server) ->
    gen_server:call(Server, get_command).

%% @equiv list_nodes(muster_topology)
-spec list_nodes() -> [{node(), role()}].
list_nodes() ->
    list_nodes(?MODULE).

%% @doc The members and their roles, in the order of their names.
-spec list_nodes(server()) -> [{node(), role()}].
list_nodes(Server) ->
    gen_server:call(Server, list_nodes).

%% @equiv node_count(muster_topology)
-spec node_count() -> non_neg_integer().
node_count() ->
    node_count(?MODULE).

%% @doc How many members there are.
-spec node_count(server()) -> non_neg_integer().
node_count(Server) ->
    length(list_nodes(Server)).

%%% Changing

%% @equiv promote(muster_topology, Node, Role)
-spec promote(node(), role()) -> ok | {error, error()}.
promote(Node, Role) ->
    promote(?MODULE, Node, Role).

%% @doc Gives a member a role, by any member; `ok' once a majority knows of it. Within 2 s of the start it also waits
%% for a node that is no member yet. A node promoted to
%% `commander' takes the command, and keeps it, however old others are, while it lives; with any
%% other role the commander gives its command away.
-spec promote(server(), node(), role()) -> ok | {error, error()}.
promote(Server, Node, Role) ->
    ok = check_node(promote, [Server, Node, Role]),
    gen_server:call(Server, {promote, Node, Role}, 15000).

%% @equiv request_role(muster_topology, Role)
-spec request_role(role()) -> ok | {error, error()}.
request_role(Role) ->
    request_role(?MODULE, Role).

%% @doc The same for this node.
-spec request_role(server(), role()) -> ok | {error, error()}.
request_role(Server, Role) ->
    gen_server:call(Server, {promote, self, Role}, 15000).

%% @equiv node_joined(muster_topology, Node)
-spec node_joined(node()) -> ok.
node_joined(Node) ->
    node_joined(?MODULE, Node).

%% @doc Lists a node that takes no part itself. It neither votes nor is elected, but may be promoted
%% by hand.
-spec node_joined(server(), node()) -> ok.
node_joined(Server, Node) ->
    ok = check_node(node_joined, [Server, Node]),
    gen_server:cast(Server, {node_joined, Node}).

%% @equiv node_left(muster_topology, Node)
-spec node_left(node()) -> ok.
node_left(Node) ->
    node_left(?MODULE, Node).

%% @doc A member is gone for good. It counts for no majority any more; if it was the commander,
%% there is an election.
-spec node_left(server(), node()) -> ok.
node_left(Server, Node) ->
    ok = check_node(node_left, [Server, Node]),
    gen_server:cast(Server, {node_left, Node}).

check_node(Function, [_, Node | _] = Arguments) ->
    muster_arguments:check({?MODULE, Function, Arguments}, [{2, is_atom(Node), <<"a node's name, as an atom">>}]).

%%% Events

%% @equiv subscribe(muster_topology)
-spec subscribe() -> ok.
subscribe() ->
    subscribe(?MODULE).

%% @doc Subscribes the calling process to events. Twice is as good as once; a subscriber that dies
%% is forgotten.
-spec subscribe(server()) -> ok.
subscribe(Server) ->
    gen_server:call(Server, {subscribe, self()}).

%% @equiv unsubscribe(muster_topology)
-spec unsubscribe() -> ok.
unsubscribe() ->
    unsubscribe(?MODULE).

%% @doc Ends the calling process's subscription.
-spec unsubscribe(server()) -> ok.
unsubscribe(Server) ->
    gen_server:call(Server, {unsubscribe, self()}).
