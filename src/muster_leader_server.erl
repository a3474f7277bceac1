%% @private
%% The process behind {@link muster_leader}: carries what the C node says about the group, and what
%% the other members' processes say of themselves, to the user's module.
-module(muster_leader_server).

-behaviour(gen_server).

-export([init/1, handle_continue/2, handle_call/3, handle_cast/2, handle_info/2, terminate/2]).

-include_lib("kernel/include/logger.hrl").

%% Of the messages between the members' processes.
-define(VERSION, 1).
-define(LOG_META, #{domain => [muster]}).

-record(state, {
    module :: module(),
    state :: term(),
    %% What stands for "no leader" in the callbacks: undefined, or Elixir's nil.
    none :: undefined | nil,
    options :: #{atom() => term()},
    key :: binary(),
    registry :: reference() | undefined,
    %% Undefined while the BEAM has no name: then no C node could be of use.
    group :: muster_election_group:group() | undefined,
    %% Who decides: the C node, this process alone (the only voter, and no C node), or nobody.
    mode = init :: init | cnode | alone | {waiting, Reason :: term()},
    term = 0 :: non_neg_integer(),
    token = none :: muster_leader:token() | none,
    leader_node :: node() | undefined,
    %% The leader as last told to the module.
    told = none :: none | pid(),
    voters :: [node()],
    peers = #{} :: #{pid() => reference()},
    nodes = #{} :: #{node() => pid()},
    joined = [] :: [node()]
}).

-type state() :: #state{}.

%% @private
init({Module, Args, None}) ->
    process_flag(trap_exit, true),
    case Module:init(Args) of
        {ok, Options, State} -> init(Options, State, Module, None);
        {error, Reason} -> {stop, Reason};
        ignore -> ignore;
        Other -> {stop, {bad_return_value, Other}}
    end.

init(Options, State, Module, None) ->
    case muster_leader_options:read(Options) of
        {ok, #{id := Id} = Read} ->
            S = #state{
                module = Module,
                state = State,
                none = None,
                options = Read,
                key = <<"leader:", Id/binary>>,
                voters = voters(Read)
            },
            case muster_group_registry:claim(S#state.key, view(S)) of
                {ok, Monitor} -> {ok, S#state{registry = Monitor}, {continue, start}};
                {error, Reason} -> {stop, Reason}
            end;
        {error, Invalid} ->
            {stop, Invalid}
    end.

voters(#{nodes := []}) -> [node()];
voters(#{nodes := Nodes}) -> lists:sort(Nodes).

%% @private
handle_continue(start, S) ->
    ok = net_kernel:monitor_nodes(true),
    guarded(fun() -> introduce(enter(S)) end).

%% @private
handle_call({?MODULE, ready}, _From, S) ->
    {reply, ok, S};
handle_call({?MODULE, inspect, Items}, _From, #state{module = Module, state = State} = S) ->
    {reply, optional(Module, handle_inspect, [Items, State], fun() -> #{} end), S};
handle_call(Request, From, #state{module = Module, state = State} = S) ->
    Default = fun() ->
        ?LOG_WARNING("~0tp: unhandled call: ~0tP", [Module, Request, 20], ?LOG_META),
        {reply, {error, not_handled}, State}
    end,
    case optional(Module, handle_call, [Request, From, State], Default) of
        {reply, Reply, New} -> {reply, Reply, S#state{state = New}};
        {noreply, New} -> {noreply, S#state{state = New}};
        {ok, New} -> {noreply, S#state{state = New}};
        {error, Reason} -> {stop, Reason, S};
        {error, Reason, Reply} -> {stop, Reason, Reply, S};
        Other -> {stop, {bad_return_value, Other}, S}
    end.

%% @private
handle_cast({?MODULE, join, Peer}, S) ->
    guarded(fun() -> join(Peer, S) end);
handle_cast(Message, S) ->
    guarded(fun() -> message(undefined, Message, S) end).

%% @private
handle_info(Message, S) ->
    guarded(fun() -> info(Message, S) end).

info({muster_leader, ?VERSION, message, From, Message}, S) ->
    message(From, Message, S);
info({muster_leader, ?VERSION, hello, Pid, Voters, Ask}, S) ->
    hello(Pid, Voters, Ask, S);
info({'DOWN', Registry, process, _, _}, #state{registry = Registry} = S) ->
    case muster_group_registry:claim(S#state.key, view(S)) of
        {ok, Monitor} -> S#state{registry = Monitor};
        {error, Reason} -> stop(Reason, S)
    end;
info({'DOWN', Monitor, process, Pid, _} = Message, #state{peers = Peers} = S) ->
    case Peers of
        #{Pid := Monitor} -> peer_left(Pid, S);
        #{} -> election(Message, S)
    end;
info({nodeup, Node}, S) when Node =:= node() ->
    introduce(enter(leave_group(S)));
info({nodeup, Node}, S) ->
    say_hello(Node, S),
    S;
info({nodedown, _}, S) ->
    case is_alive() of
        false when S#state.group =/= undefined -> enter(leave_group(S));
        _ -> S
    end;
info({'EXIT', Pid, normal}, S) when is_pid(Pid) ->
    S;
info({'EXIT', Pid, Reason}, S) when is_pid(Pid) ->
    stop(Reason, S);
info(Message, S) ->
    election(Message, S).

election(Message, #state{group = undefined} = S) when
    element(1, Message) =:= muster_cnode; element(1, Message) =:= muster_election_group
->
    %% Of a group that was left.
    S;
election(Message, #state{group = undefined} = S) ->
    message(undefined, Message, S);
election(Message, #state{group = Group} = S) ->
    case muster_election_group:handle(Message, Group) of
        {Happenings, New} -> lists:foldl(fun happening/2, S#state{group = New}, Happenings);
        unknown -> message(undefined, Message, S)
    end.

%% @private
terminate(Reason, #state{module = Module, state = State}) ->
    %% First the work that only a leader may do ends, then the leadership: muster_cnode sees this
    %% process go and tells the C node, which hands over.
    optional(Module, terminate, [Reason, State], fun() -> ok end).

%%% Taking part

enter(#state{options = Options} = S0) ->
    S = S0#state{voters = voters(Options)},
    case is_alive() of
        true ->
            Group = muster_election_group:new(S#state.key, start_argument(S)),
            published(S#state{group = Group, mode = {waiting, starting}});
        false ->
            without_cnode(not_alive, S)
    end.

start_argument(#state{options = Options, voters = Voters}) ->
    #{cnode := Timings, observer := Observer, data_dir := Dir} = Options,
    Argument = Timings#{
        kind => leader,
        bootstrap => [muster_election_group:name(Node) || Node <- Voters],
        observer => Observer
    },
    case Dir of
        undefined -> Argument;
        _ -> Argument#{data_dir => unicode:characters_to_binary(filename:absname(Dir))}
    end.

leave_group(#state{group = undefined} = S) ->
    without_leader({waiting, starting}, S);
leave_group(#state{group = Group} = S) ->
    muster_election_group:close(Group),
    without_leader({waiting, starting}, S#state{group = undefined}).

happening({up, Status}, S) ->
    joined_again(up(Status, S));
happening({down, unavailable}, S) ->
    without_cnode(unavailable, S);
happening({down, Reason}, S) ->
    without_leader({waiting, Reason}, S);
happening({event, Event}, S) ->
    event(Event, S);
happening({reply, {join, Node}, {error, Reason}}, S) ->
    Reason =:= cnode_down orelse
        ?LOG_WARNING("~ts: joining ~ts failed: ~0tp", [S#state.key, Node, Reason], ?LOG_META),
    S;
happening({reply, _, _}, S) ->
    S.

up(#{term := Term, leader := Leader, token := Token} = Status, S) ->
    Members = [Node || #{node := Node, link := open} <- maps:get(members, Status, [])],
    lists:foreach(fun(Name) -> meet(Name, S) end, Members),
    S1 = voters_are(maps:get(voters, Status, []), S#state{mode = cnode}),
    leader_is(Leader, Token, term_is(Term, S1)).

event({leader, Leader, Token}, S) -> leader_is(Leader, Token, S);
event({term, _Old, New}, S) -> term_is(New, S);
event({member, Name, up}, S) -> meet(Name, S), S;
event({voters, Names}, S) -> published(voters_are(Names, S));
event(_, S) -> S.

voters_are([], S) ->
    S;
voters_are(Names, #state{voters = Before, joined = Joined} = S) ->
    Voters = lists:sort([muster_election_group:node_of(Name) || Name <- Names]),
    %% Who was made a voter and then left is not to be joined again.
    S#state{voters = Voters, joined = Joined -- (Before -- Voters)}.

%% No C node, and none will come: the only voter of a group needs none, as nobody can rival it.
%% Where voters may have been added (they are on the disk), it cannot know that it is alone.
without_cnode(Why, #state{mode = Mode} = S) ->
    case {is_only_voter(S), Mode} of
        {true, alone} ->
            S;
        {true, _} ->
            Term = max(S#state.term + 1, erlang:system_time(millisecond)),
            Token = {Term, rand:uniform(1 bsl 59)},
            term_is(Term, leader_now(node(), Token, S#state{mode = alone}));
        {false, {waiting, Why}} ->
            S;
        {false, _} ->
            ?LOG_NOTICE("~ts: no leader, for there is no C node here to elect one (~0tp)",
                [S#state.key, Why], ?LOG_META),
            without_leader({waiting, Why}, S)
    end.

is_only_voter(#state{options = #{observer := Observer, data_dir := Dir}, voters = Voters}) ->
    Voters =:= [node()] andalso not Observer andalso Dir =:= undefined.

without_leader(Mode, S) ->
    told(S#state{mode = Mode, leader_node = undefined, token = none}).

%%% The leader and the term

leader_is(Name, Token, S) ->
    told(leader_now(muster_election_group:node_of(Name), Token, S)).

leader_now(Node, Token, S) ->
    S#state{leader_node = Node, token = Token}.

term_is(New, #state{term = Old} = S) when New =< Old ->
    %% A C node that was restarted begins anew; here terms do not go back.
    told(S);
term_is(New, #state{term = 0} = S) ->
    told(S#state{term = New});
term_is(New, #state{term = Old} = S) ->
    told(callback(handle_term_changed, [Old, New], published(S#state{term = New}))).

%% Tells the module who leads, if that is news: the leader's process, not just its node, so one
%% that has not introduced itself yet is none.
told(#state{told = Told} = S) ->
    case leader(S) of
        Told -> published(S);
        Leader when Leader =:= self() -> become_leader(published(S#state{told = Leader}));
        Leader -> become_follower(Leader, published(S#state{told = Leader}))
    end.

leader(#state{leader_node = undefined}) -> none;
leader(#state{leader_node = Node}) when Node =:= node() -> self();
leader(#state{leader_node = Node, nodes = Nodes}) -> maps:get(Node, Nodes, none).

become_leader(S) ->
    telemetry(become_leader, S),
    try
        callback(handle_become_leader, [], S)
    catch
        throw:{?MODULE, stop, Reason, Failed} ->
            %% It steps down, then ends; its end makes the C node hand over.
            Fallen = Failed#state{leader_node = undefined, told = none, token = none},
            stop(Reason, become_follower(none, published(Fallen)))
    end.

become_follower(Leader, #state{none = None} = S) ->
    telemetry(become_follower, S),
    case Leader of
        none -> callback(handle_become_follower, [None], S);
        _ -> callback(handle_become_follower, [Leader], S)
    end.

telemetry(What, #state{options = #{id := Id}, term = Term, leader_node = Leader}) ->
    muster_telemetry:execute(
        [muster, leader, What],
        #{system_time => erlang:system_time()},
        #{cluster_id => Id, term => Term, leader => Leader}
    ).

%%% The other members' processes

%% To whom it may concern: the declared members, which may have to be connected first, and whoever
%% is connected, as members that were not declared may be among them.
introduce(#state{options = #{nodes := Declared}, joined = Joined} = S) ->
    Nodes = lists:usort(Declared ++ Joined ++ nodes()),
    lists:foreach(fun(Node) -> say_hello(Node, S) end, Nodes),
    S.

meet(Name, S) ->
    say_hello(muster_election_group:node_of(Name), S).

say_hello(Node, _S) when Node =:= node() ->
    ok;
say_hello(Node, #state{key = Key} = S) ->
    case is_alive() of
        true -> muster_group_registry:pass(Node, {Key, introduction(true, S)});
        false -> ok
    end.

introduction(Ask, #state{options = Options}) ->
    {muster_leader, ?VERSION, hello, self(), voters(Options), Ask}.

hello(Pid, Voters, Ask, #state{peers = Peers, nodes = Nodes, options = Options} = S) ->
    _ = Ask andalso (Pid ! introduction(false, S)),
    Node = node(Pid),
    case Nodes of
        _ when Pid =:= self(); is_map_key(Pid, Peers) ->
            S;
        #{Node := Earlier} ->
            hello(Pid, Voters, false, peer_left(Earlier, S));
        #{} ->
            Voters =:= voters(Options) orelse
                ?LOG_WARNING("~ts: ~ts declares other voters (~0tp) than this node (~0tp)",
                    [S#state.key, Node, Voters, voters(Options)], ?LOG_META),
            S1 = S#state{
                peers = Peers#{Pid => erlang:monitor(process, Pid)},
                nodes = Nodes#{Node => Pid}
            },
            told(callback(handle_peer_joined, [Pid], published(S1)))
    end.

peer_left(Pid, #state{peers = Peers, nodes = Nodes} = S) ->
    {Monitor, Rest} = maps:take(Pid, Peers),
    erlang:demonitor(Monitor, [flush]),
    S1 = S#state{peers = Rest, nodes = maps:remove(node(Pid), Nodes)},
    told(callback(handle_peer_left, [Pid], published(S1))).

join(Node, #state{joined = Joined} = S) ->
    S1 = S#state{joined = lists:usort([Node | Joined])},
    say_hello(Node, S1),
    ask_to_join(Node, S1),
    S1.

joined_again(#state{joined = Joined} = S) ->
    lists:foreach(fun(Node) -> ask_to_join(Node, S) end, Joined),
    S.

ask_to_join(Node, #state{group = Group, mode = cnode}) when Node =/= node() ->
    Argument = #{node => muster_election_group:name(Node)},
    muster_election_group:request({join, Node}, join, Argument, Group);
ask_to_join(_, _) ->
    ok.

%%% The user's module

message(From, Message, #state{none = None} = S) ->
    Sender =
        case From of
            undefined -> None;
            _ -> From
        end,
    callback(handle_message, [Sender, Message], S).

callback(Name, Args, #state{module = Module, state = State} = S) ->
    Default = fun() -> default(Name, Args, S) end,
    case optional(Module, Name, Args ++ [State], Default) of
        {ok, New} -> S#state{state = New};
        {error, Reason} -> stop(Reason, S);
        Other -> stop({bad_return_value, Other}, S)
    end.

default(handle_message, [From, Message], #state{module = Module, state = State}) ->
    ?LOG_WARNING("~0tp: unhandled message from ~0tp: ~0tP", [Module, From, Message, 20], ?LOG_META),
    {ok, State};
default(_, _, #state{state = State}) ->
    {ok, State}.

optional(Module, Name, Args, Default) ->
    case erlang:function_exported(Module, Name, length(Args)) of
        true -> apply(Module, Name, Args);
        false -> Default()
    end.

-spec stop(term(), state()) -> no_return().
stop(Reason, S) ->
    throw({?MODULE, stop, Reason, S}).

guarded(Fun) ->
    try Fun() of
        S -> {noreply, S}
    catch
        throw:{?MODULE, stop, Reason, S} -> {stop, Reason, S}
    end.

%%% What others may read

published(S) ->
    ok = muster_group_registry:publish(view(S)),
    S.

view(#state{options = Options} = S) ->
    Leader =
        case leader(S) of
            none -> undefined;
            Pid -> Pid
        end,
    (maps:with([cluster_id, bootstrap, observer, nodes], Options))#{
        key => S#state.key,
        mode => S#state.mode,
        term => S#state.term,
        token => S#state.token,
        leader => Leader,
        leader_node => S#state.leader_node,
        voters => S#state.voters,
        peers => lists:sort(maps:keys(S#state.peers))
    }.
