%% @private
%% The process behind {@link muster_leader}: carries what the C node says about the group, and what
%% the other members' processes say of themselves, to the user's module.
-module(muster_leader_server).

-behaviour(gen_server).

-export([init/1, handle_continue/2, handle_call/3, handle_cast/2, handle_info/2, terminate/2]).

-include_lib("kernel/include/logger.hrl").

%% Of the user's messages between the members' processes.
-define(VERSION, 1).
-define(LOG_META, #{domain => [muster]}).

-record(state, {
    callbacks :: muster_leader_callbacks:callbacks(),
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
    %% The other members' processes, which say who their declared voters are.
    peers :: muster_group_peers:peers(),
    joined = [] :: [node()]
}).

-type state() :: #state{}.

%% @private
init({Module, Args, None}) ->
    process_flag(trap_exit, true),
    case muster_leader_callbacks:init(Module, Args, None) of
        {ok, Options, Callbacks} -> init(Options, Callbacks);
        Other -> Other
    end.

init(Options, Callbacks) ->
    case muster_leader_options:read(Options) of
        {ok, #{id := Id} = Read} ->
            Key = <<"leader:", Id/binary>>,
            S = #state{
                callbacks = Callbacks,
                options = Read,
                key = Key,
                voters = voters(Read),
                peers = muster_group_peers:new(muster_leader, Key)
            },
            case muster_group_registry:claim(Key, view(S)) of
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
handle_call({?MODULE, inspect, Items}, _From, #state{callbacks = Callbacks} = S) ->
    {reply, muster_leader_callbacks:inspect(Items, Callbacks), S};
handle_call(Request, From, #state{callbacks = Callbacks} = S) ->
    case muster_leader_callbacks:call(Request, From, Callbacks) of
        {reply, Reply, New} -> {reply, Reply, S#state{callbacks = New}};
        {noreply, New} -> {noreply, S#state{callbacks = New}};
        {stop, Reason} -> {stop, Reason, S};
        {stop, Reason, Reply} -> {stop, Reason, Reply, S}
    end.

%% @private
handle_cast({?MODULE, join, Peer}, S) ->
    guarded(fun() -> join(Peer, S) end);
handle_cast(Message, S) ->
    guarded(fun() -> message(none, Message, S) end).

%% @private
handle_info(Message, S) ->
    guarded(fun() -> info(Message, S) end).

info({muster_leader, ?VERSION, message, From, Message}, S) ->
    message(From, Message, S);
info({'DOWN', Registry, process, _, _}, #state{registry = Registry} = S) ->
    case muster_group_registry:claim(S#state.key, view(S)) of
        {ok, Monitor} -> S#state{registry = Monitor};
        {error, Reason} -> stop(Reason, S)
    end;
info({nodeup, Node}, S) when Node =:= node() ->
    introduce(enter(leave_group(S)));
info({nodeup, Node}, S) when is_atom(Node) ->
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
info(Message, #state{peers = Peers} = S) ->
    case muster_group_peers:handle(Message, Peers) of
        {hello, Pid, Voters, Ask} -> hello(Pid, Voters, Ask, S);
        {left, Pid} -> peer_left(Pid, S);
        unknown -> election(Message, S)
    end.

election(Message, #state{group = undefined} = S) when
    element(1, Message) =:= muster_cnode;
    element(1, Message) =:= muster_cnode_registration;
    element(1, Message) =:= muster_election_group
->
    %% Of a group that was left.
    S;
election(Message, #state{group = undefined} = S) ->
    message(none, Message, S);
election(Message, #state{group = Group} = S) ->
    case muster_election_group:handle(Message, Group) of
        {Happenings, New} -> lists:foldl(fun happening/2, S#state{group = New}, Happenings);
        unknown -> message(none, Message, S)
    end.

%% @private
terminate(Reason, #state{callbacks = Callbacks}) ->
    %% First the work that only a leader may do ends, then the leadership: muster_cnode sees this
    %% process go and tells the C node, which hands over.
    muster_leader_callbacks:terminate(Reason, Callbacks).

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
    Tell = fun(Callbacks) -> muster_leader_callbacks:term_changed(Old, New, Callbacks) end,
    told(callback(Tell, published(S#state{term = New}))).

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
leader(#state{leader_node = Node, peers = Peers}) -> muster_group_peers:at(Node, Peers).

become_leader(S) ->
    telemetry(become_leader, S),
    try
        callback(fun muster_leader_callbacks:become_leader/1, S)
    catch
        throw:{?MODULE, stop, Reason, Failed} ->
            %% It steps down, then ends; its end makes the C node hand over.
            Fallen = Failed#state{leader_node = undefined, told = none, token = none},
            stop(Reason, become_follower(none, published(Fallen)))
    end.

become_follower(Leader, S) ->
    telemetry(become_follower, S),
    callback(fun(Callbacks) -> muster_leader_callbacks:become_follower(Leader, Callbacks) end, S).

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

say_hello(Node, #state{peers = Peers} = S) ->
    muster_group_peers:say_hello(Node, declared(S), Peers).

declared(#state{options = Options}) ->
    voters(Options).

hello(Pid, Voters, true, #state{peers = Peers} = S) ->
    muster_group_peers:answer(Pid, declared(S), Peers),
    hello(Pid, Voters, false, S);
hello(Pid, Voters, false, #state{peers = Peers} = S) ->
    case muster_group_peers:at(node(Pid), Peers) of
        Pid -> S;
        none -> peer_joined(Pid, Voters, S);
        Earlier -> peer_joined(Pid, Voters, peer_left(Earlier, S))
    end.

peer_joined(Pid, Voters, #state{peers = Peers} = S) ->
    Voters =:= declared(S) orelse
        ?LOG_WARNING("~ts: ~ts declares other voters (~0tp) than this node (~0tp)",
            [S#state.key, node(Pid), Voters, declared(S)], ?LOG_META),
    S1 = S#state{peers = muster_group_peers:meet(Pid, Voters, Peers)},
    told(callback(fun(Callbacks) -> muster_leader_callbacks:peer_joined(Pid, Callbacks) end, published(S1))).

peer_left(Pid, #state{peers = Peers} = S) ->
    S1 = S#state{peers = muster_group_peers:remove(Pid, Peers)},
    told(callback(fun(Callbacks) -> muster_leader_callbacks:peer_left(Pid, Callbacks) end, published(S1))).

join(Node, #state{joined = Joined} = S) ->
    S1 = S#state{joined = lists:usort([Node | Joined])},
    say_hello(Node, S1),
    ask_to_join(Node, S1).

joined_again(#state{joined = Joined} = S) ->
    lists:foldl(fun ask_to_join/2, S, Joined).

ask_to_join(Node, #state{group = Group, mode = cnode} = S) when Node =/= node() ->
    Argument = #{node => muster_election_group:name(Node)},
    S#state{group = muster_election_group:request({join, Node}, join, Argument, Group)};
ask_to_join(_, S) ->
    S.

%%% The user's module

message(From, Message, S) ->
    callback(fun(Callbacks) -> muster_leader_callbacks:message(From, Message, Callbacks) end, S).

callback(Call, #state{callbacks = Callbacks} = S) ->
    case Call(Callbacks) of
        {ok, New} -> S#state{callbacks = New};
        {stop, Reason} -> stop(Reason, S)
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
        peers => muster_group_peers:pids(S#state.peers)
    }.
