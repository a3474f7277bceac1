%% @private
%% The process behind {@link muster_topology}: this node's member of the commander's election, whose
%% table the C node holds; or, without a C node, another member's word or a table of its own.
-module(muster_topology_server).

-behaviour(gen_server).

-export([init/1, handle_continue/2, handle_call/3, handle_cast/2, handle_info/2]).

-include_lib("kernel/include/logger.hrl").

%% So long after the start questions about the commander wait for the first one: an abstention and two elections, by
%% default, and less than a caller waits.
-define(FIRST_MS, 2000).
-define(AGAIN_MS, 50).
-define(LOG_META, #{domain => [muster]}).

-record(state, {
    options :: #{atom() => term()},
    self :: node(),
    key :: binary(),
    registry :: reference(),
    group :: muster_election_group:group() | undefined,
    %% Who is asked: the C node, this server's own table, another member with a C node, or nobody
    %% as yet.
    mode = waiting :: cnode | alone | {through, muster_topology_through:through()} | waiting,
    %% What subscribers were told last.
    roles :: muster_topology_roles:roles(),
    table :: muster_topology_alone:table(),
    %% Members without a C node of their own, as far as this one speaks for them: by hand, or
    %% because they said so.
    guests = #{} :: #{node() => joined | introduced},
    %% Other members' processes, which say whether there is a C node beside them.
    peers :: muster_group_peers:peers(),
    node_watch :: muster_node_watch:watch(),
    early = muster_topology_early:new() :: muster_topology_early:early(),
    subscribers = muster_subscribers:new() :: muster_subscribers:subscribers()
}).

%% @private
init(#{name := Name, node_id := Self, node_monitor := NodeMonitor, quorum_size := Quorum} = Options) ->
    Key = key(Name),
    case muster_group_registry:claim(Key, #{}) of
        {ok, Registry} ->
            ok = net_kernel:monitor_nodes(true),
            S = #state{
                options = Options,
                self = Self,
                key = Key,
                registry = Registry,
                roles = muster_topology_roles:new([{Self, wingmate}], undefined),
                table = muster_topology_alone:new(Self, Quorum),
                peers = muster_group_peers:new(muster_topology, Key),
                node_watch = muster_node_watch:new(NodeMonitor)
            },
            {ok, enter(S), {continue, introduce}};
        {error, Reason} ->
            {stop, Reason}
    end.

%% Erlang's and Elixir's default name mean the same topology.
key(Name) when Name =:= muster_topology; Name =:= 'Elixir.Raxol.Swarm.Topology' ->
    <<"topology">>;
key(Name) ->
    muster_cnode_key:new(<<"topology:">>, [Name]).

%% @private
handle_continue(introduce, S) ->
    lists:foreach(fun(Node) -> say_hello(Node, S) end, nodes()),
    {noreply, S}.

%% @private
handle_call(Request, From, #state{early = Early} = S) ->
    case muster_topology_early:wait(Request, From, Early) of
        {waits, New} -> {noreply, S#state{early = New}};
        no -> call(Request, From, S)
    end.

call(get_role, From, #state{self = Self} = S) ->
    ask({role_of, Self}, From, S);
call({role_of, Node}, From, S) ->
    ask({role_of, Node}, From, S);
call(get_command, From, S) ->
    ask(get_command, From, S);
call(list_nodes, From, S) ->
    ask(list_nodes, From, S);
call({promote, self, Role}, From, #state{self = Self} = S) ->
    call({promote, Self, Role}, From, S);
call({promote, Node, Role}, From, S) ->
    case muster_topology_roles:is_role(Role) of
        true -> promote(Node, Role, From, S);
        false -> {reply, {error, {invalid_role, Role}}, S}
    end;
call({subscribe, Pid}, _From, S) ->
    {reply, ok, subscribed(Pid, S)};
call({follow, Pid}, _From, #state{roles = Roles} = S) ->
    %% Another member's process: what was told so far, and from now on what is told.
    {reply, {muster_topology_roles:rows(Roles), muster_topology_roles:commander(Roles)}, subscribed(Pid, S)};
call({unsubscribe, Pid}, _From, S) ->
    {reply, ok, S#state{subscribers = muster_subscribers:remove(Pid, S#state.subscribers)}};
call(_, _From, S) ->
    {reply, {error, unknown_call}, S}.

subscribed(Pid, #state{subscribers = Subscribers} = S) ->
    S#state{subscribers = muster_subscribers:add(Pid, Subscribers)}.

%% @private
handle_cast({node_joined, Node}, S) when is_atom(Node) ->
    {noreply, guest(Node, joined, S)};
handle_cast({node_left, Node}, S) when is_atom(Node) ->
    {noreply, left(Node, S)};
handle_cast(_, S) ->
    {noreply, S}.

%% @private
handle_info({swarm_event, {What, Node}}, S) when is_atom(Node) ->
    {noreply, node_event(What, Node, S)};
handle_info({nodeup, Node}, #state{self = nonode@nohost} = S) when Node =:= node() ->
    %% The BEAM has got its name.
    {noreply, renamed(Node, S)};
handle_info({nodeup, Node}, S) when is_atom(Node) ->
    say_hello(Node, S),
    {noreply, S};
handle_info({again, Request, From}, S) ->
    {noreply, call_again({Request, From}, S)};
handle_info(no_longer_early, S) ->
    {noreply, early(over, S)};
handle_info({'DOWN', Registry, process, _, _}, #state{registry = Registry} = S) ->
    case muster_group_registry:claim(S#state.key, #{}) of
        {ok, Monitor} -> {noreply, S#state{registry = Monitor}};
        {error, Reason} -> {stop, Reason, S}
    end;
handle_info({'DOWN', Monitor, process, Pid, _}, #state{subscribers = Known} = S) when
    map_get(Pid, Known) =:= Monitor
->
    {noreply, S#state{subscribers = muster_subscribers:down(Monitor, Pid, Known)}};
handle_info(Message, #state{peers = Peers} = S) ->
    case muster_group_peers:handle(Message, Peers) of
        {hello, Pid, HasCnode, Ask} when is_boolean(HasCnode) -> {noreply, hello(Pid, HasCnode, Ask, S)};
        {left, Pid} -> {noreply, peer_gone(Pid, S)};
        _ -> {noreply, through(Message, S)}
    end.

through(Message, #state{mode = {through, Through}, roles = Roles} = S) ->
    case muster_topology_through:handle(Message, Through) of
        {roles, New} -> told(New, S);
        {event, Event} -> told(muster_topology_roles:after_event(Event, Roles), S);
        unknown -> watch(Message, S)
    end;
through(Message, S) ->
    watch(Message, S).

watch(Message, #state{node_watch = Watch} = S) ->
    case muster_node_watch:handle(Message, Watch) of
        unknown -> election(Message, S);
        New -> S#state{node_watch = New}
    end.

election(_, #state{group = undefined} = S) ->
    S;
election(Message, #state{group = Group} = S) ->
    case muster_election_group:handle(Message, Group) of
        {Happenings, New} -> lists:foldl(fun happening/2, S#state{group = New}, Happenings);
        unknown -> S
    end.

%%% Taking part

%% On a BEAM without a name, and for a member that is not this node, there is nothing to wait for.
enter(#state{self = Self} = S) ->
    case is_alive() andalso Self =:= node() of
        true ->
            erlang:send_after(?FIRST_MS, self(), no_longer_early),
            S#state{group = muster_election_group:new(S#state.key, start_argument(S))};
        false ->
            say_why(is_alive(), S),
            alone(S)
    end.

%% Others can join only where this node has a name.
say_why(false, #state{options = #{quorum_size := Quorum, name := Name}}) when Quorum > 1 ->
    ?LOG_NOTICE(
        "~0tp: no commander, for quorum_size is ~b and this node is alone: it is not distributed "
        "(-name, -sname)",
        [Name, Quorum],
        ?LOG_META
    );
say_why(_, _) ->
    ok.

start_argument(#state{options = #{cnode := Timings, quorum_size := Quorum}}) ->
    Started = erlang:system_info(start_time),
    Age = erlang:convert_time_unit(erlang:monotonic_time() - Started, native, millisecond),
    Timings#{kind => commander, quorum_size => Quorum, age_ms => Age}.

renamed(Node, #state{options = #{node_id := nonode@nohost}, table = Table} = S) ->
    Renamed = muster_topology_alone:rename(Node, Table),
    Roles = muster_topology_roles:without_commander(muster_topology_alone:roles(Renamed)),
    enter(told(Roles, set_mode(waiting, S#state{self = Node, table = Renamed})));
renamed(_, S) ->
    S.

happening({up, Status}, #state{peers = Peers} = S) ->
    S1 = said(set_mode(cnode, S)),
    maps:foreach(fun(Node, _) -> tell_cnode(node_joined, Node, S1) end, S1#state.guests),
    lists:foreach(fun(Pid) -> tell_cnode(join, node(Pid), S1) end, muster_group_peers:saying(true, Peers)),
    told(from_status(Status, S1), S1);
happening({down, unavailable}, #state{mode = Mode} = S) when Mode =:= cnode; Mode =:= waiting ->
    without_cnode(S);
happening({down, unavailable}, S) ->
    %% As before.
    S;
happening({down, _}, S) ->
    changed(set_mode(waiting, S));
happening({event, {roles, Rows}}, #state{self = Self, roles = Roles} = S) ->
    told(muster_topology_roles:set_rows(Rows, Self, Roles), S);
happening({event, {leader, Name, _Token}}, #state{roles = Roles} = S) ->
    told(muster_topology_roles:set_commander(Name, Roles), S);
happening({event, _}, S) ->
    S;
happening({reply, {ask, Question, From}, {ok, Status}}, S) ->
    Roles = from_status(Status, S),
    S1 = told(Roles, S),
    gen_server:reply(From, muster_topology_roles:answer(Question, maps:get(token, Status, none), Roles)),
    S1;
happening({reply, {ask, Question, From}, {error, _}}, S) ->
    gen_server:reply(From, from_own(Question, S)),
    S;
happening({reply, {promote, Node, Role, From}, Result}, #state{early = Early} = S) ->
    _ =
        case Result =:= {error, unknown_node} andalso muster_topology_early:is_settling(Early) of
            true -> erlang:send_after(?AGAIN_MS, self(), {again, {promote, Node, Role}, From});
            false -> gen_server:reply(From, promoted(Result))
        end,
    S.

from_status(Status, #state{self = Self}) ->
    muster_topology_roles:of_status(Status, Self).

promoted({ok, _}) -> ok;
promoted({error, Reason}) when Reason =:= cnode_down; Reason =:= unavailable -> {error, no_commander};
promoted({error, Reason}) -> {error, Reason}.

%% No C node, and none will come. Another member's is as good for asking.
without_cnode(#state{peers = Peers} = S) ->
    S1 = said(set_mode(waiting, S)),
    case muster_group_peers:saying(true, Peers) of
        [] -> alone(S1);
        [Pid | _] -> through_member(Pid, S1)
    end.

through_member(Pid, S) ->
    early(over, set_mode({through, muster_topology_through:open(Pid)}, S)).

alone(#state{table = Table} = S) ->
    Entered = muster_topology_alone:enter(erlang:system_time(millisecond), rand:uniform(1 bsl 59), Table),
    early(over, changed(set_mode(alone, S#state{table = Entered}))).

set_mode(Mode, #state{mode = {through, Through}} = S) ->
    muster_topology_through:close(Through),
    S#state{mode = Mode};
set_mode(Mode, S) ->
    S#state{mode = Mode}.

%%% Asking

%% Those who asked at the start, and waited, get their answers.
early(Next, #state{early = Early} = S) ->
    {Waited, New} = muster_topology_early:next(Next, Early),
    lists:foldl(fun call_again/2, S#state{early = New}, Waited).

call_again({Request, From}, S) ->
    case call(Request, From, S) of
        {reply, Reply, New} ->
            gen_server:reply(From, Reply),
            New;
        {noreply, New} ->
            New
    end.

ask(Question, From, #state{mode = cnode, group = Group} = S) ->
    {noreply, S#state{group = muster_election_group:request({ask, Question, From}, status, #{}, Group)}};
ask(Question, From, #state{mode = {through, Through}} = S) ->
    muster_topology_through:ask(Question, From, from_own(Question, S), Through),
    {noreply, S};
ask(Question, _From, S) ->
    {reply, from_own(Question, S), S}.

from_own(Question, #state{table = Table} = S) ->
    muster_topology_roles:answer(Question, muster_topology_alone:token(Table), own(S)).

%% What this server knows by itself. While nobody can be asked, that is the rows that were last seen.
own(#state{mode = alone, table = Table}) ->
    muster_topology_alone:roles(Table);
own(#state{roles = Roles}) ->
    muster_topology_roles:without_commander(Roles).

%%% Changes

promote(Node, Role, From, #state{mode = cnode, group = Group} = S) ->
    Argument = #{node => muster_election_group:name(Node), role => Role},
    {noreply, S#state{group = muster_election_group:request({promote, Node, Role, From}, promote, Argument, Group)}};
promote(Node, Role, From, #state{mode = {through, Through}} = S) ->
    muster_topology_through:ask({promote, Node, Role}, From, {error, no_commander}, Through),
    {noreply, S};
promote(Node, Role, _From, #state{mode = alone, table = Table} = S) ->
    case muster_topology_alone:promote(Node, Role, Table) of
        {ok, New} -> {reply, ok, changed(S#state{table = New})};
        {error, Reason} -> {reply, {error, Reason}, S}
    end;
promote(_Node, _Role, _From, S) ->
    {reply, {error, no_commander}, S}.

guest(Node, _How, #state{self = Node} = S) ->
    S;
guest(Node, How, #state{guests = Guests, table = Table} = S) ->
    tell_cnode(node_joined, Node, S),
    if_alone(S#state{
        guests = maps:merge(#{Node => How}, Guests),
        table = muster_topology_alone:join(Node, Table)
    }).

left(Node, #state{self = Node} = S) ->
    S;
left(Node, #state{guests = Guests, table = Table} = S) ->
    tell_cnode(node_left, Node, S),
    if_alone(S#state{guests = maps:remove(Node, Guests), table = muster_topology_alone:leave(Node, Table)}).

if_alone(#state{mode = alone} = S) -> changed(S);
if_alone(S) -> S.

tell_cnode(Op, Node, #state{mode = cnode, group = Group}) ->
    muster_election_group:cast(Op, #{node => muster_election_group:name(Node)}, Group);
tell_cnode(_, _, _) ->
    ok.

%% The C nodes watch each other; the node monitor speaks for nodes that have none, and in single-node
%% mode for all.
node_event(node_up, Node, #state{mode = alone} = S) ->
    guest(Node, introduced, S);
node_event(node_down, Node, #state{mode = alone} = S) ->
    left(Node, S);
node_event(node_down, Node, #state{guests = Guests} = S) when is_map_key(Node, Guests) ->
    left(Node, S);
node_event(_, _, S) ->
    S.

%%% Other members' processes

say_hello(Node, #state{self = Self, peers = Peers} = S) ->
    case Self =:= node() of
        true -> muster_group_peers:say_hello(Node, has_cnode(S), Peers);
        false -> ok
    end.

%% Says again whether there is a C node here, which has changed.
said(#state{peers = Peers} = S) ->
    muster_group_peers:tell(has_cnode(S), Peers),
    S.

has_cnode(#state{mode = Mode}) ->
    Mode =:= cnode.

hello(Pid, HasCnode, Ask, #state{peers = Peers} = S) ->
    Earlier = muster_group_peers:at(node(Pid), Peers),
    %% A stranger may have asked before it could say that there is a C node here now.
    _ = (Ask orelse Earlier =/= Pid) andalso muster_group_peers:answer(Pid, has_cnode(S), Peers),
    S1 =
        case Earlier of
            _ when Earlier =:= none; Earlier =:= Pid -> S;
            _ -> peer_gone(Earlier, S)
        end,
    known(Pid, HasCnode, S1#state{peers = muster_group_peers:meet(Pid, HasCnode, S1#state.peers)}).

known(Pid, true, #state{mode = alone} = S) ->
    through_member(Pid, S);
known(Pid, true, #state{guests = Guests} = S) ->
    %% The C nodes need not have heard of each other.
    tell_cnode(join, node(Pid), S),
    case Guests of
        %% Listed as one without; its C node has come and speaks for itself.
        #{node(Pid) := introduced} -> S#state{guests = maps:remove(node(Pid), Guests)};
        #{} -> S
    end;
known(Pid, false, S) ->
    no_more_through(Pid, S).

peer_gone(Pid, #state{peers = Peers, guests = Guests} = S) ->
    S1 = no_more_through(Pid, S#state{peers = muster_group_peers:remove(Pid, Peers)}),
    case is_map_key(node(Pid), Guests) of
        true -> left(node(Pid), S1);
        false -> S1
    end.

%% The member is gone, or its C node is.
no_more_through(Pid, #state{mode = {through, Through}} = S) ->
    case muster_topology_through:member(Through) of
        Pid -> without_cnode(changed(set_mode(waiting, S)));
        _ -> S
    end;
no_more_through(_, S) ->
    S.

%%% Subscribers

changed(S) ->
    told(own(S), S).

told(Roles, #state{roles = Before, options = #{none := None}} = S) ->
    #{roles := Changed, gone := Gone, commander := Commander} = muster_topology_roles:changes(Before, Roles),
    lists:foreach(fun({Node, Role}) -> tell({role_changed, Node, Role}, S) end, Changed),
    lists:foreach(fun(Node) -> tell({role_changed, Node, None}, S) end, Gone),
    _ = Commander =/= same andalso commander_changed(Commander, S),
    New = S#state{roles = Roles},
    case muster_topology_roles:commander(Roles) of
        undefined -> New;
        _ -> early(settling, New)
    end.

commander_changed({Old, New}, #state{options = #{none := None, name := Name}} = S) ->
    tell({commander_changed, or_none(Old, None), or_none(New, None)}, S),
    muster_telemetry:execute(
        [muster, topology, commander_changed],
        #{system_time => erlang:system_time()},
        #{topology => Name, from => Old, to => New}
    ).

or_none(undefined, None) -> None;
or_none(Node, _) -> Node.

tell(Event, #state{subscribers = Subscribers}) ->
    muster_subscribers:tell({swarm_event, Event}, Subscribers).
