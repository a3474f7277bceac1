%% @private
%% The server of {@link muster_node_monitor}: who is there as the BEAM says, who answers as the C
%% node says, and what is told of it. Figures are pulled from the C node when somebody asks.
-module(muster_node_monitor_server).

-behaviour(gen_server).

-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-include_lib("kernel/include/logger.hrl").

%% How long an answer of the C node is waited for before what is known here must do.
-define(ANSWER_MS, 1000).
-define(LOG_META, #{domain => [muster]}).

-record(node, {
    name :: binary(),
    status = healthy :: muster_node_monitor:status(),
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
    registration :: muster_cnode_registration:registration(),
    link :: link(),
    nodes = #{} :: #{node() => #node{}},
    %% Names as the C node writes them, of the nodes above: no other name becomes an atom.
    names = #{} :: #{binary() => node()},
    subscribers = muster_subscribers:new() :: muster_subscribers:subscribers(),
    queries = #{} :: #{reference() => {gen_server:from(), node() | all}}
}).

%% @private
init(#{name := Name} = Options) ->
    %% First the subscription, then the list: a node that comes in between is met twice, which
    %% does no harm, instead of never.
    ok = net_kernel:monitor_nodes(true),
    Key = muster_cnode_key:new(<<>>, [Name]),
    S = #state{
        key = Key,
        options = Options,
        registration = muster_cnode_registration:new([{monitor, Key, {stop, #{monitor => Key}}}]),
        link = {down, starting, now_ms()}
    },
    {ok, lists:foldl(fun node_up/2, S, nodes())}.

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
handle_info({timeout, Query, answer}, S) ->
    {noreply, answer(Query, {error, timeout}, S)};
handle_info({timeout, Timer, {forget, Node}}, S) ->
    {noreply, forget(Node, Timer, S)};
handle_info({'DOWN', Monitor, process, Pid, _}, #state{subscribers = Known} = S) when
    map_get(Pid, Known) =:= Monitor
->
    {noreply, S#state{subscribers = muster_subscribers:down(Monitor, Pid, Known)}};
handle_info(Message, #state{registration = Registration} = S) ->
    case muster_cnode_registration:handle(Message, Registration) of
        {Presence, New} -> {noreply, presence(Presence, S#state{registration = New})};
        unknown -> {noreply, S}
    end.

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

presence({up, _Generation}, S) -> cnode_up(S);
presence({down, Reason}, S) -> cnode_down(Reason, S);
presence({lost, _Why}, S) -> answer_all(cnode_down(cnode_down, S));
presence(same, S) -> S.

%% A new C node knows nothing: it gets the monitor, and each node with what was known of it.
cnode_up(#state{options = Options, nodes = Nodes, link = Link} = S) ->
    Settings = maps:with([ping_interval_ms, suspect_after_ms, down_after_ms], Options),
    S1 = S#state{link = up},
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

%% The C node's figures, or the last ones seen, and the status as announced.
record(Node, #node{pulled = Pulled, status = Status} = Record, Answer) ->
    Known = #{
        node => Node,
        status => Status,
        last_seen => Record#node.last_seen,
        joined_at => Record#node.joined_at
    },
    muster_node_health:record(Known, Pulled, Answer).

tell(Event, #state{subscribers = Subscribers}) ->
    muster_subscribers:tell({swarm_event, Event}, Subscribers).

%%% Helpers

put_node(Node, Record, #state{nodes = Nodes} = S) ->
    S#state{nodes = Nodes#{Node => Record}}.

sorted(Nodes) ->
    lists:sort(maps:to_list(Nodes)).

now_ms() ->
    erlang:monotonic_time(millisecond).
