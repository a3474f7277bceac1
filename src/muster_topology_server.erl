%% @private
%% The process behind {@link muster_topology}: this node's member of the commander's election, whose
%% table the C node holds; or, without a C node, a small table of its own.
-module(muster_topology_server).

-behaviour(gen_server).

-export([init/1, handle_continue/2, handle_call/3, handle_cast/2, handle_info/2]).

-include_lib("kernel/include/logger.hrl").

-define(VERSION, 1).
-define(SUBSCRIBE_MS, 1000).
%% So long after the start questions about the commander wait for the first one: an abstention and two elections, by
%% default, and less than a caller waits.
-define(FIRST_MS, 2000).
-define(AGAIN_MS, 50).
-define(ROLES, [commander, wingmate, observer, relay]).
-define(LOG_META, #{domain => [muster]}).

-record(state, {
    options :: #{atom() => term()},
    self :: node(),
    key :: binary(),
    registry :: reference() | undefined,
    group :: muster_election_group:group() | undefined,
    %% Who is asked: the C node, this server's own table, another member with a C node, or nobody
    %% as yet.
    mode = waiting :: cnode | alone | {through, node()} | waiting,
    %% What subscribers were told last.
    roles = [] :: [{node(), muster_topology:role()}],
    commander :: node() | undefined,
    %% Single-node mode: the rows, who was promoted to command, and the command's token.
    table = #{} :: #{node() => wingmate | observer | relay},
    pin :: node() | undefined,
    token = {0, 0} :: {non_neg_integer(), integer()},
    %% Members without a C node of their own, as far as this one speaks for them: by hand, or
    %% because they said so.
    guests = #{} :: #{node() => joined | introduced},
    %% Other members' processes.
    peers = #{} :: #{pid() => {reference(), HasCnode :: boolean()}},
    node_monitor :: reference() | undefined,
    %% The time right after the start: who asked before there was a commander; then `settling', as its table may yet
    %% lack others that have just started.
    early = [] :: [{Request :: term(), gen_server:from()}] | settling | over,
    subscribers = muster_subscribers:new() :: muster_subscribers:subscribers()
}).

%% @private
init(#{name := Name, node_id := Self} = Options) ->
    S = #state{options = Options, self = Self, key = key(Name), table = #{Self => wingmate}},
    case muster_group_registry:claim(S#state.key, #{}) of
        {ok, Monitor} ->
            ok = net_kernel:monitor_nodes(true),
            S1 = S#state{registry = Monitor, roles = [{Self, wingmate}]},
            {ok, enter(S1), {continue, introduce}};
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
    {noreply, watch_nodes(S)}.

%% @private
handle_call(Request, From, #state{early = Early} = S) when
    is_list(Early), Request =:= get_command; is_list(Early), element(1, Request) =:= promote
->
    {noreply, S#state{early = [{Request, From} | Early]}};
handle_call(get_role, From, #state{self = Self} = S) ->
    ask({role_of, Self}, From, S);
handle_call({role_of, Node}, From, S) ->
    ask({role_of, Node}, From, S);
handle_call(get_command, From, S) ->
    ask(get_command, From, S);
handle_call(list_nodes, From, S) ->
    ask(list_nodes, From, S);
handle_call({promote, self, Role}, From, #state{self = Self} = S) ->
    handle_call({promote, Self, Role}, From, S);
handle_call({promote, Node, Role}, From, S) ->
    case lists:member(Role, ?ROLES) of
        true -> promote(Node, Role, From, S);
        false -> {reply, {error, {invalid_role, Role}}, S}
    end;
handle_call({subscribe, Pid}, _From, S) ->
    {reply, ok, S#state{subscribers = muster_subscribers:add(Pid, S#state.subscribers)}};
handle_call({unsubscribe, Pid}, _From, S) ->
    {reply, ok, S#state{subscribers = muster_subscribers:remove(Pid, S#state.subscribers)}};
handle_call(_, _From, S) ->
    {reply, {error, unknown_call}, S}.

%% @private
handle_cast({node_joined, Node}, S) when is_atom(Node) ->
    {noreply, guest(Node, joined, S)};
handle_cast({node_left, Node}, S) when is_atom(Node) ->
    {noreply, left(Node, S)};
handle_cast(_, S) ->
    {noreply, S}.

%% @private
handle_info({swarm_event, Event}, S) ->
    {noreply, swarm_event(Event, S)};
handle_info({muster_topology, ?VERSION, hello, Pid, HasCnode, Ask}, S) ->
    {noreply, hello(Pid, HasCnode, Ask, S)};
handle_info({nodeup, Node}, #state{self = nonode@nohost} = S) when Node =:= node() ->
    %% The BEAM has got its name.
    {noreply, renamed(Node, S)};
handle_info({nodeup, Node}, S) ->
    _ = Node =/= node() andalso say_hello(Node, S),
    {noreply, S};
handle_info({'DOWN', Registry, process, _, _}, #state{registry = Registry} = S) ->
    case muster_group_registry:claim(S#state.key, #{}) of
        {ok, Monitor} -> {noreply, S#state{registry = Monitor}};
        {error, Reason} -> {stop, Reason, S}
    end;
handle_info({'DOWN', Monitor, process, _, _}, #state{node_monitor = Monitor} = S) ->
    erlang:send_after(?SUBSCRIBE_MS, self(), watch_nodes),
    {noreply, S#state{node_monitor = undefined}};
handle_info({'DOWN', _, process, Pid, _}, #state{peers = Peers} = S) when is_map_key(Pid, Peers) ->
    {noreply, peer_gone(Pid, S)};
handle_info({'DOWN', _, process, Pid, _}, #state{subscribers = Known} = S) when
    is_map_key(Pid, Known)
->
    {noreply, S#state{subscribers = muster_subscribers:remove(Pid, Known)}};
handle_info(watch_nodes, S) ->
    {noreply, watch_nodes(S)};
handle_info({again, Request, From}, S) ->
    {noreply, ask_again({Request, From}, S)};
handle_info(no_longer_early, S) ->
    {noreply, not_early(over, S)};
handle_info(Message, #state{group = Group} = S) when Group =/= undefined ->
    case muster_election_group:handle(Message, Group) of
        {Happenings, New} ->
            {noreply, lists:foldl(fun happening/2, S#state{group = New}, Happenings)};
        unknown ->
            {noreply, S}
    end;
handle_info(_, S) ->
    {noreply, S}.

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

renamed(Node, #state{options = #{node_id := nonode@nohost}} = S) ->
    #state{table = #{nonode@nohost := Role} = Table, pin = Pin} = S,
    Renamed = (maps:remove(nonode@nohost, Table))#{Node => Role},
    NewPin =
        case Pin of
            nonode@nohost -> Node;
            _ -> Pin
        end,
    enter(changed(S#state{self = Node, table = Renamed, pin = NewPin, mode = waiting}));
renamed(_, S) ->
    S.

happening({up, Status}, S) ->
    S1 = said(S#state{mode = cnode}),
    maps:foreach(fun(Node, _) -> tell_cnode(node_joined, Node, S1) end, S1#state.guests),
    maps:foreach(
        fun
            (Pid, {_, true}) -> tell_cnode(join, node(Pid), S1);
            (_, {_, false}) -> ok
        end,
        S1#state.peers
    ),
    from_status(Status, S1);
happening({down, unavailable}, S) ->
    without_cnode(S);
happening({down, _}, S) ->
    changed(S#state{mode = waiting});
happening({event, {roles, Roles}}, #state{commander = Commander} = S) ->
    told(named(Roles), Commander, S);
happening({event, {leader, Commander, _Token}}, #state{roles = Roles} = S) ->
    told(Roles, muster_election_group:node_of(Commander), S);
happening({event, _}, S) ->
    S;
happening({reply, {ask, What, From}, Result}, S) ->
    S1 =
        case Result of
            {ok, Status} -> from_status(Status, S);
            {error, _} -> S
        end,
    gen_server:reply(From, from_cnode(What, Result, S1)),
    S1;
happening({reply, {promote, _, _, From}, {ok, _}}, S) ->
    gen_server:reply(From, ok),
    S;
happening({reply, {promote, Node, Role, From}, {error, unknown_node}}, #state{early = settling} = S) ->
    erlang:send_after(?AGAIN_MS, self(), {again, {promote, Node, Role}, From}),
    S;
happening({reply, {promote, _, _, From}, {error, Reason}}, S) when
    Reason =:= cnode_down; Reason =:= unavailable
->
    gen_server:reply(From, {error, no_commander}),
    S;
happening({reply, {promote, _, _, From}, {error, Reason}}, S) ->
    gen_server:reply(From, {error, Reason}),
    S;
happening({reply, _, _}, S) ->
    S.

from_status(Status, S) ->
    {Roles, Commander} = table(Status, S),
    told(Roles, Commander, S).

table(#{roles := Roles, commander := Commander}, #state{self = Self}) ->
    Named = named(Roles),
    WithSelf =
        case lists:keymember(Self, 1, Named) of
            true -> Named;
            false -> lists:sort([{Self, wingmate} | Named])
        end,
    {WithSelf, muster_election_group:node_of(Commander)}.

named(Roles) ->
    lists:sort([{muster_election_group:node_of(Name), Role} || {Name, Role} <- Roles]).

%% No C node, and none will come. Another member's is as good for asking.
without_cnode(#state{mode = {through, _}} = S) ->
    S;
without_cnode(#state{peers = Peers} = S) ->
    S1 = said(S#state{mode = alone}),
    case [Pid || {Pid, {_, true}} <- maps:to_list(Peers)] of
        [] -> alone(S1);
        [Pid | _] -> through(Pid, S1)
    end.

%%% Asking

%% Those who asked at the start get their answers.
not_early(Now, #state{early = Early} = S) when is_list(Early) ->
    lists:foldr(fun ask_again/2, S#state{early = Now}, Early);
not_early(over, S) ->
    S#state{early = over};
not_early(settling, S) ->
    S.

ask_again({Request, From}, S) ->
    case handle_call(Request, From, S) of
        {reply, Reply, New} ->
            gen_server:reply(From, Reply),
            New;
        {noreply, New} ->
            New
    end.

ask(What, From, #state{mode = cnode, group = Group} = S) ->
    muster_election_group:request({ask, What, From}, status, #{}, Group),
    {noreply, S};
ask(What, From, #state{mode = {through, Node}} = S) ->
    forward(What, From, Node, S),
    {noreply, S};
ask(What, _From, S) ->
    {reply, from_own(What, S), S}.

from_cnode(What, {ok, Status}, S) ->
    {Roles, Commander} = table(Status, S),
    answer(What, Roles, Commander, maps:get(token, Status, none));
from_cnode(What, {error, _}, S) ->
    from_own(What, S).

from_own(What, #state{token = Token} = S) ->
    {Roles, Commander} = own(S),
    answer(What, Roles, Commander, Token).

answer(list_nodes, Roles, _, _) ->
    Roles;
answer({role_of, Node}, Roles, _, _) ->
    proplists:get_value(Node, Roles, wingmate);
answer(get_command, _, undefined, _) ->
    {error, no_commander};
answer(get_command, _, _, none) ->
    {error, no_commander};
answer(get_command, _, Commander, Token) ->
    {ok, Commander, Token}.

%%% Single-node mode

alone(S) ->
    Term = max(element(1, S#state.token) + 1, erlang:system_time(millisecond)),
    not_early(over, changed(S#state{mode = alone, token = {Term, rand:uniform(1 bsl 59)}})).

%% The table as this server has it. While the C node is away, the rows that were last seen.
own(#state{mode = alone, table = Table} = S) ->
    Commander = own_commander(S),
    Rows = maps:to_list(Table),
    Role = fun
        (Node, _) when Node =:= Commander -> commander;
        (_, Row) -> Row
    end,
    {lists:sort([{Node, Role(Node, Row)} || {Node, Row} <- Rows]), Commander};
own(#state{roles = Roles}) ->
    Uncommanded = fun
        (commander) -> wingmate;
        (Role) -> Role
    end,
    {[{Node, Uncommanded(Role)} || {Node, Role} <- Roles], undefined}.

%% Only this node is there to vote, whoever else is listed.
own_commander(#state{options = #{quorum_size := Quorum}}) when Quorum > 1 ->
    undefined;
own_commander(#state{pin = Pin, table = Table}) when is_map_key(Pin, Table) ->
    Pin;
own_commander(#state{self = Self, table = Table}) ->
    case Table of
        #{Self := wingmate} -> Self;
        #{} -> undefined
    end.

own_promote(Node, Role, #state{table = Table, pin = Pin} = S) ->
    case {Table, own_commander(S), S#state.options} of
        {#{Node := _}, _, #{quorum_size := 1}} ->
            {Row, NewPin} =
                case Role of
                    commander -> {wingmate, Node};
                    _ when Pin =:= Node -> {Role, undefined};
                    _ -> {Role, Pin}
                end,
            {ok, new_command(S#state{table = Table#{Node := Row}, pin = NewPin})};
        {#{Node := _}, _, _} ->
            {{error, no_commander}, S};
        _ ->
            {{error, unknown_node}, S}
    end.

%% Each command has its own token.
new_command(#state{commander = Before, token = {Term, _}} = S) ->
    case own_commander(S) of
        Before -> changed(S);
        _ -> changed(S#state{token = {Term + 1, rand:uniform(1 bsl 59)}})
    end.

changed(S) ->
    {Roles, Commander} = own(S),
    told(Roles, Commander, S).

%%% Changes

promote(Node, Role, From, #state{mode = cnode, group = Group} = S) ->
    Argument = #{node => muster_election_group:name(Node), role => Role},
    muster_election_group:request({promote, Node, Role, From}, promote, Argument, Group),
    {noreply, S};
promote(Node, Role, From, #state{mode = {through, Via}} = S) ->
    forward({promote, Node, Role}, From, Via, S),
    {noreply, S};
promote(Node, Role, _From, #state{mode = alone} = S) ->
    {Reply, New} = own_promote(Node, Role, S),
    {reply, Reply, New};
promote(_Node, _Role, _From, S) ->
    {reply, {error, no_commander}, S}.

guest(Node, _How, #state{self = Node} = S) ->
    S;
guest(Node, How, #state{guests = Guests, table = Table} = S) ->
    S1 = S#state{
        guests = maps:merge(#{Node => How}, Guests),
        table = maps:merge(#{Node => wingmate}, Table)
    },
    tell_cnode(node_joined, Node, S1),
    if_alone(S1).

left(Node, #state{self = Node} = S) ->
    S;
left(Node, #state{guests = Guests, table = Table} = S) ->
    tell_cnode(node_left, Node, S),
    if_alone(S#state{guests = maps:remove(Node, Guests), table = maps:remove(Node, Table)}).

if_alone(#state{mode = alone} = S) -> new_command(S);
if_alone(S) -> S.

tell_cnode(Op, Node, #state{mode = cnode, group = Group}) ->
    Argument = #{node => muster_election_group:name(Node)},
    muster_election_group:request({told, Op, Node}, Op, Argument, Group);
tell_cnode(_, _, _) ->
    ok.

%%% The node monitor

watch_nodes(#state{options = #{node_monitor := Server}} = S) ->
    case muster_server_name:where(Server) of
        Pid when is_pid(Pid), Pid =/= self() ->
            Monitor = erlang:monitor(process, Pid),
            try
                ok = muster_node_monitor:subscribe(Pid)
            catch
                exit:_ -> ok
            end,
            S#state{node_monitor = Monitor};
        _ ->
            erlang:send_after(?SUBSCRIBE_MS, self(), watch_nodes),
            S
    end.

%% The C nodes watch each other; the monitor speaks for nodes that have none, and in single-node
%% mode for all.
swarm_event({node_up, Node}, #state{mode = alone} = S) ->
    guest(Node, introduced, S);
swarm_event({node_down, Node}, #state{mode = alone} = S) ->
    left(Node, S);
swarm_event({node_down, Node}, #state{guests = Guests} = S) when is_map_key(Node, Guests) ->
    left(Node, S);
%% From the member that is asked.
swarm_event({commander_changed, _, New}, #state{mode = {through, _}, roles = Roles} = S) ->
    Commander =
        case New of
            nil -> undefined;
            _ -> New
        end,
    told(Roles, Commander, S);
swarm_event({role_changed, Node, Role}, #state{mode = {through, _}, commander = Now} = S) ->
    Others = lists:keydelete(Node, 1, S#state.roles),
    case lists:member(Role, ?ROLES) of
        true -> told(lists:sort([{Node, Role} | Others]), Now, S);
        false -> told(Others, Now, S)
    end;
swarm_event(_, S) ->
    S.

%%% Other members' processes

say_hello(Node, #state{key = Key} = S) ->
    case is_alive() andalso S#state.self =:= node() of
        true -> muster_group_registry:pass(Node, {Key, introduction(true, S)});
        false -> ok
    end.

introduction(Ask, #state{mode = Mode}) ->
    {muster_topology, ?VERSION, hello, self(), Mode =:= cnode, Ask}.

%% Says again whether there is a C node here, which has changed.
said(#state{peers = Peers} = S) ->
    maps:foreach(fun(Pid, _) -> Pid ! introduction(false, S) end, Peers),
    S.

hello(Pid, HasCnode, Ask, #state{peers = Peers} = S) ->
    %% A stranger may have asked before it could say that there is a C node here now.
    _ = (Ask orelse not is_map_key(Pid, Peers)) andalso (Pid ! introduction(false, S)),
    Monitor =
        case Peers of
            #{Pid := {Known, _}} -> Known;
            #{} -> erlang:monitor(process, Pid)
        end,
    known(Pid, HasCnode, S#state{peers = Peers#{Pid => {Monitor, HasCnode}}}).

known(Pid, true, #state{mode = alone} = S) ->
    through(Pid, S);
known(Pid, true, #state{guests = Guests} = S) ->
    %% The C nodes need not have heard of each other.
    tell_cnode(join, node(Pid), S),
    case Guests of
        %% Listed as one without; its C node has come and speaks for itself.
        #{node(Pid) := introduced} -> S#state{guests = maps:remove(node(Pid), Guests)};
        #{} -> S
    end;
known(_, false, S) ->
    S.

through(Pid, S) ->
    Server = self(),
    _ = spawn(fun() -> gen_server:call(Pid, {subscribe, Server}) end),
    _ = gen_server:cast(Pid, {node_joined, node()}),
    not_early(over, S#state{mode = {through, node(Pid)}}).

peer_gone(Pid, #state{peers = Peers, guests = Guests, mode = Mode} = S) ->
    Node = node(Pid),
    S1 = S#state{peers = maps:remove(Pid, Peers)},
    case {Mode, Guests} of
        {{through, Node}, _} -> without_cnode(changed(S1#state{mode = waiting}));
        {_, #{Node := _}} -> left(Node, S1);
        _ -> S1
    end.

%% The member that is asked may hang: this server does not.
forward(What, From, Node, #state{peers = Peers} = S) ->
    [Pid | _] = [P || P <- maps:keys(Peers), node(P) =:= Node],
    Failed = from_own(failed(What), S#state{mode = waiting}),
    spawn(fun() ->
        Reply =
            try
                gen_server:call(Pid, What)
            catch
                exit:_ -> Failed
            end,
        gen_server:reply(From, Reply)
    end).

failed({promote, _, _}) -> get_command;
failed(What) -> What.

%%% Subscribers

told(Roles, Commander, #state{roles = Before, commander = Old} = S) ->
    #state{options = #{none := None, name := Name}} = S,
    Changed = [{Node, Role} || {Node, Role} <- Roles, not lists:member({Node, Role}, Before)],
    Gone = [{Node, None} || {Node, _} <- Before, not lists:keymember(Node, 1, Roles)],
    lists:foreach(fun({Node, Role}) -> tell({role_changed, Node, Role}, S) end, Changed ++ Gone),
    case Commander of
        Old ->
            ok;
        _ ->
            tell({commander_changed, or_none(Old, None), or_none(Commander, None)}, S),
            muster_telemetry:execute(
                [muster, topology, commander_changed],
                #{system_time => erlang:system_time()},
                #{topology => Name, from => Old, to => Commander}
            )
    end,
    New = S#state{roles = Roles, commander = Commander},
    case Commander of
        undefined -> New;
        _ -> not_early(settling, New)
    end.

or_none(undefined, None) -> None;
or_none(Node, _) -> Node.

tell(Event, #state{subscribers = Subscribers}) ->
    muster_subscribers:tell({swarm_event, Event}, Subscribers).
