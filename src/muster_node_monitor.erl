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

-behaviour(gen_server).

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
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-export_type([status/0, health/0, option/0, options/0, server/0]).

-include_lib("kernel/include/logger.hrl").

%% How long an answer of the C node is waited for before what is known here must do.
-define(ANSWER_MS, 1000).
-define(ATTACH_MIN_MS, 50).
-define(ATTACH_MAX_MS, 1000).
-define(LOG_META, #{domain => [muster]}).

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
%% `suspect_after_ms' (default 5000, 10..86400000): silence that turns a node suspect; below two
%% ping intervals a single lost answer does. `down_after_ms' (default 30000, up to 86400000):
%% silence that turns it down; must be more than `suspect_after_ms'. `forget_after_ms' (default
%% 3600000, 1..4294967295, or `infinity'): a node that left the BEAM's cluster is dropped from the
%% list after that long.

-type options() :: [option()] | #{atom() => term()}.
-type server() :: gen_server:server_ref().

-record(node, {
    name :: binary(),
    status = healthy :: status(),
    %% What the BEAM says.
    beam = up :: up | down,
    joined_at :: integer(),
    last_seen :: integer(),
    %% When the status began.
    since :: integer(),
    %% A reference while the C node is asked to watch the node; its events count from its reply
    %% on. Those before are about an earlier stay of a node of the same name.
    watch = none :: none | reference() | active,
    forget :: reference() | undefined,
    %% The C node's health map as last pulled.
    pulled = #{} :: map()
}).

-type link() :: up | {down, Reason :: term(), Since :: integer()}.

-record(state, {
    key :: binary(),
    options :: #{atom() => term()},
    cnode :: reference() | undefined,
    link :: link(),
    attach_ms = ?ATTACH_MIN_MS :: pos_integer(),
    nodes = #{} :: #{node() => #node{}},
    %% Names as the C node writes them, of the nodes above: no other name becomes an atom.
    names = #{} :: #{binary() => node()},
    subscribers = muster_subscribers:new() :: muster_subscribers:subscribers(),
    queries = #{} :: #{reference() => {gen_server:from(), node() | all}}
}).

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
            gen_server:start_link(server_name(Name), ?MODULE, Checked, []);
        {error, Invalid} ->
            {error, Invalid}
    end.

%% @doc A child specification; its id is the name.
-spec child_spec(options()) -> supervisor:child_spec().
child_spec(Options) ->
    #{id => name_of(Options), start => {?MODULE, start_link, [Options]}}.

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
        suspect_after_ms => muster_options:integer(5000, Span, "milliseconds"),
        down_after_ms => muster_options:integer(30000, Span, "milliseconds"),
        forget_after_ms =>
            {3600000, fun is_forget_after/1,
                <<"an integer from 1 to 4294967295 (milliseconds) or infinity">>},
        name => {DefaultName, fun is_name/1, <<"an atom, {via, Module, Term} or {global, Term}">>}
    },
    case muster_options:check(Options, Table) of
        {ok, #{suspect_after_ms := Suspect, down_after_ms := Down}} when Down =< Suspect ->
            {error, {invalid_option, down_after_ms, Down, <<"more than suspect_after_ms">>}};
        Checked ->
            Checked
    end.

is_forget_after(infinity) -> true;
is_forget_after(Ms) -> is_integer(Ms) andalso Ms >= 1 andalso Ms =< 4294967295.

is_name({via, Module, _}) -> is_atom(Module);
is_name({global, _}) -> true;
is_name(Name) -> is_atom(Name) andalso not lists:member(Name, [undefined, nil, true, false]).

server_name(Name) when is_atom(Name) -> {local, Name};
server_name(Name) -> Name.

name_of(#{name := Name}) -> Name;
name_of(Options) when is_list(Options) -> proplists:get_value(name, Options, ?MODULE);
name_of(_) -> ?MODULE.

%%% The server

%% @private
init(#{name := Name} = Options) ->
    %% First the subscription, then the list: a node that comes in between is met twice, which
    %% does no harm, instead of never.
    ok = net_kernel:monitor_nodes(true),
    S = #state{key = muster_cnode_key:new(<<>>, [Name]), options = Options, link = {down, starting, now_ms()}},
    {ok, lists:foldl(fun node_up/2, attach(S), nodes())}.

%% @private
handle_call({health, What}, From, S) ->
    {noreply, health(What, From, S)};
handle_call({list, Status}, _From, #state{nodes = Nodes} = S) ->
    {reply, [Node || {Node, #node{status = Its}} <- sorted(Nodes), Its =:= Status], S};
handle_call({subscribe, Pid}, _From, S) ->
    {reply, ok, S#state{subscribers = muster_subscribers:add(Pid, S#state.subscribers)}};
handle_call({unsubscribe, Pid}, _From, S) ->
    {reply, ok, S#state{subscribers = muster_subscribers:remove(Pid, S#state.subscribers)}};
handle_call(_, _From, S) ->
    {reply, {error, unknown_call}, S}.

%% @private
handle_cast(_, S) ->
    {noreply, S}.

%% @private
handle_info({nodeup, Node}, S) when is_atom(Node) ->
    {noreply, node_up(Node, S)};
handle_info({nodedown, Node}, S) when is_atom(Node) ->
    {noreply, node_down(Node, S)};
handle_info({muster_cnode, reply, Tag, Result}, S) ->
    {noreply, reply(Tag, Result, S)};
handle_info({muster_cnode, event, monitor, Key, Event}, #state{key = Key} = S) ->
    {noreply, cnode_event(Event, S)};
handle_info({muster_cnode, up, _Generation}, S) ->
    {noreply, cnode_up(S)};
handle_info({muster_cnode, down, _Generation, Reason}, S) ->
    {noreply, cnode_down(Reason, S)};
handle_info({'DOWN', Monitor, process, _, _}, #state{cnode = Monitor} = S) ->
    {noreply, attach_later(answer_all(cnode_down(cnode_down, S)))};
handle_info({'DOWN', _, process, Pid, _}, S) ->
    {noreply, S#state{subscribers = muster_subscribers:remove(Pid, S#state.subscribers)}};
handle_info(attach, S) ->
    {noreply, attach(S)};
handle_info({timeout, Query, answer}, S) ->
    {noreply, answer(Query, {error, timeout}, S)};
handle_info({timeout, Timer, {forget, Node}}, S) ->
    {noreply, forget(Node, Timer, S)};
handle_info(_, S) ->
    {noreply, S}.

%%% What the BEAM says

node_up(Node, S) when Node =:= node() ->
    S;
node_up(Node, #state{nodes = Nodes} = S) ->
    case Nodes of
        #{Node := #node{beam = up}} ->
            S;
        #{} ->
            S1 = forget_now(Node, S),
            Now = now_ms(),
            Name = atom_to_binary(Node, utf8),
            Record = #node{name = Name, joined_at = Now, last_seen = Now, since = Now},
            tell({node_up, Node}, S1),
            watch(Node, Record, S1#state{names = (S1#state.names)#{Name => Node}})
    end.

node_down(Node, #state{nodes = Nodes, options = Options} = S) ->
    case Nodes of
        #{Node := #node{beam = up, name = Name} = Record} ->
            tell({node_down, Node}, S),
            cast(pause, #{node => Name}, S),
            put_node(
                Node,
                Record#node{
                    beam = down,
                    status = down,
                    since = now_ms(),
                    watch = none,
                    forget = forget_timer(Node, Options)
                },
                S
            );
        #{} ->
            S
    end.

forget_timer(_, #{forget_after_ms := infinity}) -> undefined;
forget_timer(Node, #{forget_after_ms := Ms}) -> erlang:start_timer(Ms, self(), {forget, Node}).

forget(Node, Timer, #state{nodes = Nodes} = S) ->
    case Nodes of
        #{Node := #node{forget = Timer}} -> forget_now(Node, S);
        #{} -> S
    end.

%% Drops a node's record, here and in the C node.
forget_now(Node, #state{nodes = Nodes, names = Names} = S) ->
    case maps:take(Node, Nodes) of
        {#node{name = Name, forget = Timer}, Rest} ->
            _ = is_reference(Timer) andalso erlang:cancel_timer(Timer),
            cast(forget, #{node => Name}, S),
            S#state{nodes = Rest, names = maps:remove(Name, Names)};
        error ->
            S
    end.

%%% What the C node says

cnode_event({status, Name, _From, To}, #state{names = Names, nodes = Nodes} = S) ->
    case Names of
        #{Name := Node} -> status(Node, To, maps:get(Node, Nodes), S);
        _ -> S
    end;
cnode_event(_, S) ->
    S.

status(Node, To, #node{beam = up, watch = active, status = From} = Record, S) when To =/= From ->
    tell({status_change, Node, From, To}, S),
    muster_telemetry:execute(
        [muster, node_monitor, status_change],
        #{system_time => erlang:system_time()},
        #{monitor => maps:get(name, S#state.options), node => Node, from => From, to => To}
    ),
    put_node(Node, Record#node{status = To, since = now_ms()}, S);
status(_Node, _To, _Record, S) ->
    S.

%%% The C node's coming and going

attach(#state{key = Key} = S) ->
    S#state{cnode = muster_cnode:register(monitor, Key, {stop, #{monitor => Key}})}.

attach_later(#state{attach_ms = Ms} = S) ->
    erlang:send_after(Ms, self(), attach),
    S#state{cnode = undefined, attach_ms = min(2 * Ms, ?ATTACH_MAX_MS)}.

%% A new C node knows nothing: it gets the monitor, and each node with what was known of it.
cnode_up(#state{options = Options, nodes = Nodes, link = Link} = S) ->
    Settings = maps:with([ping_interval_ms, suspect_after_ms, down_after_ms], Options),
    S1 = S#state{link = up, attach_ms = ?ATTACH_MIN_MS},
    request(start, start, Settings, S1),
    maps:fold(fun(Node, Record, Acc) -> watch_again(Node, Record, Link, Acc) end, S1, Nodes).

watch_again(Node, #node{beam = up} = Record, Link, S) ->
    watch(Node, Record, silent_ms(Record, Link, S), S);
watch_again(_Node, _Record, _Link, S) ->
    S.

watch(Node, Record, S) ->
    watch(Node, Record, 0, S).

watch(Node, #node{name = Name, status = Status} = Record, SilentMs, #state{link = up} = S) ->
    Watch = make_ref(),
    request(
        {watch, Node, Watch}, watch, #{node => Name, status => Status, silent_ms => SilentMs}, S
    ),
    put_node(Node, Record#node{watch = Watch}, S);
watch(Node, Record, _SilentMs, S) ->
    put_node(Node, Record, S).

%% How long a node was silent when the C node went: time in which nobody pinged is not held
%% against it. For a healthy node the exact time went with the C node; it answered lately.
silent_ms(#node{status = healthy}, _Link, _S) ->
    0;
silent_ms(#node{status = Status, since = Since}, Link, #state{options = Options}) ->
    #{suspect_after_ms := Suspect, down_after_ms := Down} = Options,
    Until =
        case Link of
            {down, _, At} -> At;
            up -> now_ms()
        end,
    Threshold =
        case Status of
            suspect -> Suspect;
            down -> Down
        end,
    Threshold + max(0, Until - Since).

cnode_down(Reason, #state{link = up, nodes = Nodes} = S) ->
    Unwatched = maps:map(fun(_, Record) -> Record#node{watch = none} end, Nodes),
    S#state{link = {down, Reason, now_ms()}, nodes = Unwatched};
cnode_down(Reason, #state{link = {down, _, Since}} = S) ->
    S#state{link = {down, Reason, Since}}.

request(Tag, Op, Arg, #state{key = Key}) ->
    muster_cnode:send_request({message, self(), Tag}, monitor, Op, Arg#{monitor => Key}).

cast(Op, Arg, #state{key = Key, link = up}) ->
    muster_cnode:cast(monitor, Op, Arg#{monitor => Key});
cast(_Op, _Arg, _S) ->
    ok.

reply({query, Query}, Result, S) ->
    answer(Query, Result, S);
reply({watch, Node, Watch}, Result, #state{nodes = Nodes} = S) ->
    case {Nodes, Result} of
        {#{Node := #node{watch = Watch} = Record}, {ok, _}} ->
            put_node(Node, Record#node{watch = active}, S);
        {#{Node := #node{watch = Watch} = Record}, {error, Reason}} ->
            complain({watch, Node}, Reason),
            put_node(Node, Record#node{watch = none}, S);
        _ ->
            S
    end;
reply(start, {error, Reason}, S) ->
    complain(start, Reason),
    S;
reply(_, _, S) ->
    S.

%% A C node that just went is no news here.
complain(_, cnode_down) ->
    ok;
complain(What, Reason) ->
    ?LOG_WARNING("muster_node_monitor: ~0tp failed: ~0tp", [What, Reason], ?LOG_META).

%%% Queries

health(all, From, #state{link = up} = S) ->
    ask(list, #{}, From, all, S);
health(all, From, S) ->
    gen_server:reply(From, all_health([], S)),
    S;
health(Node, From, #state{link = Link, nodes = Nodes} = S) ->
    case {Nodes, Link} of
        {#{Node := #node{name = Name}}, up} ->
            ask(health, #{node => Name}, From, Node, S);
        {#{Node := Record}, {down, Reason, _}} ->
            gen_server:reply(From, {ok, record(Node, Record, {error, Reason})}),
            S;
        {#{}, _} ->
            gen_server:reply(From, {error, unknown}),
            S
    end.

%% The timer's reference names the query.
ask(Op, Arg, From, What, #state{queries = Queries} = S) ->
    Query = erlang:start_timer(?ANSWER_MS, self(), answer),
    request({query, Query}, Op, Arg, S),
    S#state{queries = Queries#{Query => {From, What}}}.

answer(Query, Result, #state{queries = Queries} = S) ->
    case maps:take(Query, Queries) of
        {{From, What}, Rest} ->
            _ = erlang:cancel_timer(Query),
            answer(From, What, Result, S#state{queries = Rest});
        error ->
            S
    end.

answer(From, all, {ok, Maps}, S) ->
    S1 = lists:foldl(fun pulled/2, S, Maps),
    gen_server:reply(From, all_health(Maps, S1)),
    S1;
answer(From, all, {error, Reason}, S) ->
    gen_server:reply(From, [
        record(Node, Record, {error, Reason})
     || {Node, Record} <- sorted(S#state.nodes)
    ]),
    S;
answer(From, Node, Result, S) ->
    S1 = pull(Result, S),
    case S1#state.nodes of
        #{Node := Record} -> gen_server:reply(From, {ok, record(Node, Record, Result)});
        #{} -> gen_server:reply(From, {error, unknown})
    end,
    S1.

answer_all(#state{queries = Queries} = S) ->
    lists:foldl(
        fun(Query, Acc) -> answer(Query, {error, cnode_down}, Acc) end, S, maps:keys(Queries)
    ).

pull({ok, Map}, S) -> pulled(Map, S);
pull({error, _}, S) -> S.

pulled(#{node := Name, silent_ms := SilentMs} = Map, #state{names = Names, nodes = Nodes} = S) ->
    case Names of
        #{Name := Node} ->
            Record = maps:get(Node, Nodes),
            LastSeen = max(Record#node.joined_at, now_ms() - SilentMs),
            put_node(Node, Record#node{pulled = Map, last_seen = LastSeen}, S);
        #{} ->
            S
    end.

all_health(Maps, #state{nodes = Nodes, link = Link}) ->
    ByName = maps:from_list([{Name, Map} || #{node := Name} = Map <- Maps]),
    [record(Node, Record, found(Record, ByName, Link)) || {Node, Record} <- sorted(Nodes)].

found(_, _, {down, Reason, _}) ->
    {error, Reason};
found(#node{name = Name}, ByName, up) ->
    case ByName of
        #{Name := Map} -> {ok, Map};
        #{} -> {error, unknown}
    end.

%% A health record: the C node's figures, or the last ones seen, and the status as announced.
record(Node, #node{pulled = Pulled} = Record, Result) ->
    {Connection, Reason} = connection(Result),
    #{
        node => Node,
        status => Record#node.status,
        rtt_history => [Us / 1000 || Us <- maps:get(rtt_history_us, Pulled, [])],
        avg_rtt_ms => ms(avg_rtt_us, Pulled),
        min_rtt_ms => ms(min_rtt_us, Pulled),
        max_rtt_ms => ms(max_rtt_us, Pulled),
        jitter_ms => ms(jitter_us, Pulled),
        last_seen => Record#node.last_seen,
        joined_at => Record#node.joined_at,
        connection => Connection,
        connection_reason => Reason
    }.

ms(Figure, Pulled) ->
    maps:get(Figure, Pulled, 0.0) / 1000.

connection({ok, #{connection := Connection, reason := Reason}}) ->
    {Connection, Reason};
connection({error, unavailable}) ->
    {unavailable, <<"there is no C node here">>};
connection({error, unknown}) ->
    {not_watched, <<"the C node does not watch this node">>};
connection({error, timeout}) ->
    {cnode_down, <<"the C node did not answer in time">>};
connection({error, _}) ->
    {cnode_down, <<"the C node is about to be restarted">>}.

tell(Event, #state{subscribers = Subscribers}) ->
    muster_subscribers:tell({swarm_event, Event}, Subscribers).

%%% Helpers

put_node(Node, Record, #state{nodes = Nodes} = S) ->
    S#state{nodes = Nodes#{Node => Record}}.

sorted(Nodes) ->
    lists:sort(maps:to_list(Nodes)).

now_ms() ->
    erlang:monotonic_time(millisecond).
