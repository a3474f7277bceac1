%% @doc Watches the cluster's nodes: who is there, how fast each answers, who stopped answering.
%%
%% `node_up' and `node_down' follow the BEAM's own view (`net_kernel:monitor_nodes/1'); the C node
%% pings each node and says when one turns suspect, down, or healthy again. The C node holds the
%% samples, this server pulls them when asked, and keeps working on its own knowledge while there
%% is no C node: then the status follows the BEAM alone. So it does where the cluster's
%% distribution is one that C nodes do not speak (TLS, no epmd).
%%
%% == Events ==
%% A subscriber gets
%% <ul>
%% <li>`{swarm_event, {node_up, Node}}' and `{swarm_event, {node_down, Node}}' when the BEAM
%%     connects to or loses a node. The status that goes with it (`healthy' in a fresh record,
%%     `down') is not announced a second time by a `status_change'.</li>
%% <li>`{swarm_event, {status_change, Node, From, To}}' when a connected node stops answering for
%%     `suspect_after_ms', for `down_after_ms', or answers again.</li>
%% </ul>
%% Several instances may run side by side under different names. Every function also takes the
%% server as its first argument.
-module(muster_node_monitor).

-export([
    start_link/0, start_link/1, start_link/2,
    child_spec/1,
    get_health/1, get_health/2,
    list_healthy/0, list_healthy/1,
    list_suspect/0, list_suspect/1,
    list_all/0, list_all/1,
    subscribe/0, subscribe/1,
    unsubscribe/0, unsubscribe/1
]).

-export_type([status/0, health/0, option/0, options/0, server/0]).

%% In the place of a default that follows from other options.
-define(BY_INTERVAL, 0).

-type status() :: healthy | suspect | down.

-type health() :: #{
    node := node(),
    status := status(),
    rtt_history := [float()],
    avg_rtt_ms := float(),
    min_rtt_ms := float(),
    max_rtt_ms := float(),
    jitter_ms := float(),
    last_seen := integer(),
    joined_at := integer(),
    connection := atom(),
    connection_reason := binary()
}.
%% `rtt_history': the last 60 round-trip times, newest first; empty, and the four figures 0.0, as
%% long as nothing was measured. All RTTs are floats in milliseconds. `last_seen' (the last answer,
%% or the record's beginning) and `joined_at' are `erlang:monotonic_time(millisecond)' of this
%% node. `connection' is the state of the C node's own connection to the node (`connected',
%% `cookie_mismatch', ...), or `unavailable' where there is no C node, `cnode_down' while it
%% restarts or does not answer, `not_watched' for a node that was down when it restarted;
%% `connection_reason' says it in words.

-type option() ::
    {ping_interval_ms, 10..3600000}
    | {suspect_after_ms, pos_integer()}
    | {down_after_ms, pos_integer()}
    | {forget_after_ms, pos_integer() | infinity}
    | {name, atom() | {via, module(), term()} | {global, term()}}.
%% `ping_interval_ms' (default 1000): shorter gives finer RTTs, longer costs less.
%% `suspect_after_ms' (default 5000, or three ping intervals if that is more; up to 86400000): silence
%% that turns a node suspect; must be more than `ping_interval_ms'. Below two ping intervals a single
%% lost answer does. `down_after_ms' (default 30000, or twice `suspect_after_ms' if that is more; up to
%% 86400000): silence that turns it down; must be more than `suspect_after_ms'. `forget_after_ms' (default
%% 3600000, 1..4294967295, or `infinity'): a node that left the BEAM's cluster is dropped from the
%% list after that long.

-type options() :: [option()] | #{atom() => term()}.
-type server() :: gen_server:server_ref().

%%% Interface

%% @equiv start_link([])
-spec start_link() -> gen_server:start_ret().
start_link() ->
    start_link([]).

%% @doc Starts a monitor, registered as `muster_node_monitor' unless the option `name' says
%% otherwise. A wrong option gives `{error, {invalid_option, Name, Value, Expected}}', where
%% `Expected' is a text (a binary).
-spec start_link(options()) -> gen_server:start_ret() | {error, muster_options:invalid()}.
start_link(Options) ->
    start_link(Options, ?MODULE).

%% @private
%% The default name is the face's: each documented module has its own.
-spec start_link(options(), atom()) -> gen_server:start_ret() | {error, muster_options:invalid()}.
start_link(Options, DefaultName) ->
    case check(Options, DefaultName) of
        {ok, #{name := Name} = Checked} ->
            gen_server:start_link(muster_server_name:to_register(Name), muster_node_monitor_server, Checked, []);
        {error, Invalid} ->
            {error, Invalid}
    end.

%% @doc A child specification; its id is the name.
-spec child_spec(options()) -> supervisor:child_spec().
child_spec(Options) ->
    #{id => muster_server_name:in_options(Options, ?MODULE), start => {?MODULE, start_link, [Options]}}.

%% @equiv get_health(muster_node_monitor, Node)
-spec get_health(node()) -> {ok, health()} | {error, unknown}.
get_health(Node) ->
    get_health(?MODULE, Node).

%% @doc A node's health, or `{error, unknown}' for one that was never seen or is forgotten. A C
%% node that does not answer within a second is left out of it.
-spec get_health(server(), node()) -> {ok, health()} | {error, unknown}.
get_health(Server, Node) ->
    Good = [{2, is_atom(Node), <<"a node's name, as an atom">>}],
    ok = muster_arguments:check({?MODULE, get_health, [Server, Node]}, Good),
    gen_server:call(Server, {health, Node}).

%% @equiv list_healthy(muster_node_monitor)
-spec list_healthy() -> [node()].
list_healthy() ->
    list_healthy(?MODULE).

%% @doc The names of the nodes that answer.
-spec list_healthy(server()) -> [node()].
list_healthy(Server) ->
    gen_server:call(Server, {list, healthy}).

%% @equiv list_suspect(muster_node_monitor)
-spec list_suspect() -> [node()].
list_suspect() ->
    list_suspect(?MODULE).

%% @doc The names of the nodes that have been silent for a while.
-spec list_suspect(server()) -> [node()].
list_suspect(Server) ->
    gen_server:call(Server, {list, suspect}).

%% @equiv list_all(muster_node_monitor)
-spec list_all() -> [health()].
list_all() ->
    list_all(?MODULE).

%% @doc The health of every node, in the order of their names.
-spec list_all(server()) -> [health()].
list_all(Server) ->
    gen_server:call(Server, {health, all}).

%% @equiv subscribe(muster_node_monitor)
-spec subscribe() -> ok.
subscribe() ->
    subscribe(?MODULE).

%% @doc Subscribes the calling process to events. Twice is as good as once; a subscriber that
%% dies is forgotten.
-spec subscribe(server()) -> ok.
subscribe(Server) ->
    gen_server:call(Server, {subscribe, self()}).

%% @equiv unsubscribe(muster_node_monitor)
-spec unsubscribe() -> ok.
unsubscribe() ->
    unsubscribe(?MODULE).

%% @doc Ends the calling process's subscription.
-spec unsubscribe(server()) -> ok.
unsubscribe(Server) ->
    gen_server:call(Server, {unsubscribe, self()}).

%%% Options

check(Options, DefaultName) ->
    Span = {1, 86400000},
    Table = #{
        ping_interval_ms => muster_options:integer(1000, {10, 3600000}, "milliseconds"),
        suspect_after_ms => muster_options:integer(?BY_INTERVAL, Span, "milliseconds"),
        down_after_ms => muster_options:integer(?BY_INTERVAL, Span, "milliseconds"),
        forget_after_ms =>
            {3600000, fun is_forget_after/1,
                <<"an integer from 1 to 4294967295 (milliseconds) or infinity">>},
        name => muster_server_name:rule(DefaultName)
    },
    case muster_options:check(Options, Table) of
        {ok, Checked} -> check_order(with_thresholds(Checked));
        {error, Invalid} -> {error, Invalid}
    end.

%% A node that is asked rarely is silent for long without fault.
with_thresholds(#{ping_interval_ms := Ping, suspect_after_ms := Suspect0, down_after_ms := Down0} = Checked) ->
    Suspect = given(Suspect0, max(5000, 3 * Ping)),
    Checked#{suspect_after_ms := Suspect, down_after_ms := given(Down0, max(30000, 2 * Suspect))}.

given(?BY_INTERVAL, Default) -> Default;
given(Given, _) -> Given.

check_order(#{ping_interval_ms := Ping, suspect_after_ms := Suspect}) when Suspect =< Ping ->
    {error, {invalid_option, suspect_after_ms, Suspect, <<"more than ping_interval_ms">>}};
check_order(#{suspect_after_ms := Suspect, down_after_ms := Down}) when Down =< Suspect ->
    {error, {invalid_option, down_after_ms, Down, <<"more than suspect_after_ms">>}};
check_order(Checked) ->
    {ok, Checked}.

is_forget_after(infinity) -> true;
is_forget_after(Ms) -> is_integer(Ms) andalso Ms >= 1 andalso Ms =< 4294967295.
