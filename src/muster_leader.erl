%% @doc Leader groups: processes on several nodes of which at most one leads.
%%
%% ```
%% -module(scheduler).
%% -behaviour(muster_leader).
%% -export([init/1, handle_become_leader/1, handle_become_follower/2]).
%%
%% init(Nodes) ->
%%     {ok, [{cluster_id, scheduler}, {bootstrap, [{scheduler, N} || N <- Nodes]}], idle}.
%%
%% handle_become_leader(_) -> {ok, start_the_work()}.
%% handle_become_follower(_Leader, Work) -> stop_the_work(Work), {ok, idle}.
%% '''
%% ```
%% {ok, _} = muster_leader:start_link(scheduler, scheduler, ['n1@h', 'n2@h', 'n3@h'], []),
%% true = muster_leader:is_leader(scheduler).
%% '''
%%
%% A group is named by its `cluster_id'; a node has at most one process in it. The C nodes beside
%% the BEAMs hold the election (`docs/election.md'); this process tells the module what came of it.
%% A majority of the *declared* voters decides, those in `bootstrap', which must be the same list
%% on every node. `docs/leader.md' says what is promised, and how this differs from the Go package
%% that it is modelled on.
%%
%% == Options, as `init/1' returns them ==
%% <dl>
%% <dt>`cluster_id'</dt><dd>Required: an atom, a string or a binary.</dd>
%% <dt>`bootstrap'</dt><dd>The voters: nodes or `{Name, Node}', each node once, this one included.
%%     Empty (the default): this node is the only voter. A node that is not in the list takes part
%%     without a vote and never leads.</dd>
%% <dt>`election_timeout_min', `election_timeout_max'</dt><dd>A silent leader is replaced after a
%%     random time between the two, ms, default 150 and 300. Shorter replaces sooner, longer
%%     forgives a slower network.</dd>
%% <dt>`heartbeat_interval'</dt><dd>How often a leader is heard, ms, default 50. A third of
%%     `election_timeout_min' or less lets two heartbeats in a row be lost. As much as
%%     `election_timeout_min' or more is a warning, and a third of it is taken instead.</dd>
%% <dt>`data_dir'</dt><dd>A directory where term, vote and configuration are kept. With one, there
%%     is at most one leader per term, ever, and voters may join and leave.</dd>
%% <dt>`observer'</dt><dd>`true': this node never becomes a voter, default `false'. For nodes that
%%     are not in `bootstrap'.</dd>
%% </dl>
%% A wrong option ends the start with `{invalid_option, Name, Value, Expected}'.
%%
%% == Callbacks ==
%% Only `init/1' must be there. Each of the others returns `{ok, State}', or `{error, Reason}', which
%% ends the process with that reason; a leader's end hands the leadership over. When
%% `handle_become_leader/1' returns an error, the process steps down first:
%% `handle_become_follower(undefined, State)' is called, then `terminate/2'.
%%
%% <dl>
%% <dt>`handle_become_leader(State)'</dt><dd>This process leads.</dd>
%% <dt>`handle_become_follower(Leader, State)'</dt><dd>Another process leads, or `undefined': none
%%     is known. Called whenever that changes; the first time not before a leader is known.</dd>
%% <dt>`handle_peer_joined(Peer, State)', `handle_peer_left(Peer, State)'</dt><dd>A process of the
%%     group on another node can be reached, or no more.</dd>
%% <dt>`handle_term_changed(Old, New, State)'</dt><dd>Terms rise. The first one is no change.</dd>
%% <dt>`handle_message(From, Message, State)'</dt><dd>Any message. `From' is the member that sent it
%%     with {@link broadcast/2}, {@link broadcast_bootstrap/2} or {@link send/3}, else
%%     `undefined'.</dd>
%% <dt>`handle_call(Request, From, State)'</dt><dd>As of a `gen_server': `{reply, Reply, State}',
%%     `{noreply, State}' and `gen_server:reply/2'; `{error, Reason}' or `{error, Reason, Reply}'
%%     ends the process.</dd>
%% <dt>`handle_inspect(Items, State)'</dt><dd>A map to put into what {@link inspect/2}
%%     returns.</dd>
%% <dt>`terminate(Reason, State)'</dt><dd>The process ends. It is still the leader if it was: what
%%     only a leader may do is ended here, and only then another one is elected.</dd>
%% </dl>
%%
%% == Asking ==
%% Every function takes the process: its pid or name, on this node or another. The callbacks use
%% them too, with `self()': none of them waits for the process. On a dead process they exit with
%% `noproc'.
-module(muster_leader).

-export([
    start_link/3, start_link/4, start_link/5,
    call/2, call/3,
    send/2, send/3,
    is_leader/1,
    leader/1,
    term/1,
    token/1,
    peers/1,
    peer_count/1,
    has_peer/2,
    observers/1,
    voters/1,
    cluster_id/1,
    bootstrap/1,
    join/2,
    leave/2,
    transfer/2,
    broadcast/2,
    broadcast_bootstrap/2,
    inspect/1, inspect/2
]).

-export_type([
    options/0, name/0, server/0, peer/0, member/0, token/0, leader/0, inspection/0, error/0
]).

%% How long the C node may take to say whether this node leads: one that takes longer is as good as
%% gone.
-define(STATUS_MS, 1000).
-define(VERSION, 1).

-type options() :: [{atom(), term()}] | #{atom() => term()}.
-type name() :: atom() | {local, atom()} | {global, term()} | {via, module(), term()}.
-type server() :: pid() | atom() | {atom(), node()} | {global, term()} | {via, module(), term()}.
-type peer() :: pid() | node() | {atom(), node()}.
%% A member: its process, its node, or its process's name and node.
-type member() :: node() | {Name :: atom(), node()}.
-type leader() :: pid() | undefined | nil.
%% `nil' for modules that `use Muster.Leader'.
-type token() :: {Term :: pos_integer(), Election :: integer()}.
%% Goes with what a leader does, so that whoever is asked to do it can turn down an earlier leader:
%% terms rise, and no two leaderships share both numbers.
-type inspection() :: #{
    cluster := binary(),
    role := leader | follower | candidate | observer | none,
    is_leader := boolean(),
    leader := pid() | undefined,
    leader_node := node() | undefined,
    term := non_neg_integer(),
    token := token() | none,
    peers := [pid()],
    voters := [node()],
    quorum := pos_integer(),
    missing := non_neg_integer(),
    missing_voters := [node()],
    reason := binary(),
    atom() => term()
}.
%% `quorum': the voters that are needed. `missing': how many of them cannot be reached, hence why
%% there is no leader. `missing_voters': those that cannot be reached. `reason' says in words why
%% there is no leader; empty if there is one.
-type error() :: not_leader | busy | invalid | cnode_down | unavailable | timeout | atom()
    | {atom(), binary()}.

-callback init(Args :: term()) ->
    {ok, options(), State :: term()} | {error, Reason :: term()} | ignore.
-callback handle_message(From :: leader(), Message :: term(), State :: term()) ->
    {ok, NewState :: term()} | {error, Reason :: term()}.
-callback handle_call(Request :: term(), From :: gen_server:from(), State :: term()) ->
    {reply, Reply :: term(), NewState :: term()}
    | {noreply, NewState :: term()}
    | {ok, NewState :: term()}
    | {error, Reason :: term()}
    | {error, Reason :: term(), Reply :: term()}.
-callback terminate(Reason :: term(), State :: term()) -> term().
-callback handle_inspect(Items :: [term()], State :: term()) -> #{atom() => term()}.
-callback handle_become_leader(State :: term()) ->
    {ok, NewState :: term()} | {error, Reason :: term()}.
-callback handle_become_follower(Leader :: leader(), State :: term()) ->
    {ok, NewState :: term()} | {error, Reason :: term()}.
-callback handle_peer_joined(Peer :: pid(), State :: term()) ->
    {ok, NewState :: term()} | {error, Reason :: term()}.
-callback handle_peer_left(Peer :: pid(), State :: term()) ->
    {ok, NewState :: term()} | {error, Reason :: term()}.
-callback handle_term_changed(Old :: pos_integer(), New :: pos_integer(), State :: term()) ->
    {ok, NewState :: term()} | {error, Reason :: term()}.

-optional_callbacks([
    handle_message/3,
    handle_call/3,
    terminate/2,
    handle_inspect/2,
    handle_become_leader/1,
    handle_become_follower/2,
    handle_peer_joined/2,
    handle_peer_left/2,
    handle_term_changed/3
]).

%%% Starting

%% @doc Starts a member without a registered name. `Args' go to `Module:init/1', the options to
%% `gen_server:start_link/3'.
-spec start_link(module(), term(), [gen_server:start_opt()]) -> gen_server:start_ret().
start_link(Module, Args, Opts) ->
    gen_server:start_link(muster_leader_server, start_argument(Module, Args, undefined), Opts).

%% @doc The same under a name. A second process of a group on one node is refused with
%% `{already_started, Pid}'.
-spec start_link(name(), module(), term(), [gen_server:start_opt()]) -> gen_server:start_ret().
start_link(Name, Module, Args, Opts) ->
    start_link(Name, Module, Args, Opts, undefined).

%% @private
%% With what stands for no leader.
-spec start_link(name() | none, module(), term(), [gen_server:start_opt()], undefined | nil) ->
    gen_server:start_ret().
start_link(none, Module, Args, Opts, None) ->
    gen_server:start_link(muster_leader_server, start_argument(Module, Args, None), Opts);
start_link(Name, Module, Args, Opts, None) when is_atom(Name) ->
    start_link({local, Name}, Module, Args, Opts, None);
start_link(Name, Module, Args, Opts, None) ->
    gen_server:start_link(Name, muster_leader_server, start_argument(Module, Args, None), Opts).

start_argument(Module, Args, None) ->
    %% What is exported decides which callbacks there are.
    _ = code:ensure_loaded(Module),
    {Module, Args, None}.

%%% Messages

%% @equiv call(Server, Request, 5000)
-spec call(server(), term()) -> term().
call(Server, Request) ->
    call(Server, Request, 5000).

%% @doc A request for `handle_call/3'; the same as `gen_server:call/3'.
-spec call(server(), term(), timeout()) -> term().
call(Server, Request, Timeout) ->
    gen_server:call(Server, Request, Timeout).

%% @doc A message for `handle_message/3', from no member.
-spec send(server(), term()) -> ok.
send(Server, Message) ->
    gen_server:cast(Server, Message).

%% @doc A message for the `handle_message/3' of another member's process, `From' being `Server'.
-spec send(server(), pid(), term()) -> ok.
send(Server, Peer, Message) ->
    ask(send, Server, [Peer, Message]).

%%% What it knows

%% @doc Whether this process leads: its C node is asked, which compares the clock with the lease,
%% so `true' was true when the answer was given, whatever this process has heard of. `false' if the
%% C node does not answer.
-spec is_leader(server()) -> boolean().
is_leader(Server) ->
    ask(is_leader, Server, []).

%% @doc The leader's process, or `undefined'. What was last heard: the leader itself should ask
%% {@link is_leader/1}.
-spec leader(server()) -> pid() | undefined.
leader(Server) ->
    ask(leader, Server, []).

%% @doc The term; 0 before the first one.
-spec term(server()) -> non_neg_integer().
term(Server) ->
    ask(term, Server, []).

%% @doc The fencing token of this process's leadership, if it leads at this moment.
-spec token(server()) -> {ok, token()} | {error, not_leader}.
token(Server) ->
    ask(token, Server, []).

%% @doc The group's processes on other nodes that can be reached.
-spec peers(server()) -> [pid()].
peers(Server) ->
    ask(peers, Server, []).

%% @doc How many there are.
-spec peer_count(server()) -> non_neg_integer().
peer_count(Server) ->
    length(peers(Server)).

%% @doc Whether a process is one of them.
-spec has_peer(server(), pid()) -> boolean().
has_peer(Server, Pid) ->
    lists:member(Pid, peers(Server)).

%% @doc The processes that have no vote, this one included if it has none.
-spec observers(server()) -> [pid()].
observers(Server) ->
    ask(observers, Server, []).

%% @doc The voters' nodes, in the configuration that this node knows of.
-spec voters(server()) -> [node()].
voters(Server) ->
    ask(voters, Server, []).

%% @doc The option `cluster_id', as given.
-spec cluster_id(server()) -> atom() | string() | binary().
cluster_id(Server) ->
    ask(cluster_id, Server, []).

%% @doc The option `bootstrap', as given.
-spec bootstrap(server()) -> [member()].
bootstrap(Server) ->
    ask(bootstrap, Server, []).

%%% What it does

%% @doc Takes up a node that is not in `bootstrap'. It observes; with a data directory the leader
%% makes it a voter once a majority holds the new configuration. Returns at once. The other node
%% must declare the same voters; which need not include itself.
-spec join(server(), peer()) -> ok.
join(Server, Peer) ->
    ok = check_peer(join, [Server, Peer]),
    gen_server:cast(Server, {muster_leader_server, join, node_of(Peer)}).

%% @doc Takes another member out of the group, for good: a voter only with a data directory (else
%% `{error, unsupported}'), once a majority holds the new configuration. Any member may ask for it,
%% but not for itself (`{error, invalid}'). The leader stays until it has been transferred from. (A
%% process that just stops is still counted as a voter.)
-spec leave(server(), peer()) -> ok | {error, error()}.
leave(Server, Peer) ->
    ok = check_peer(leave, [Server, Peer]),
    ask(request, Server, [leave, node_of(Peer)]).

%% @doc Hands the leadership to another voter: for the leader. `ok' says that the attempt has begun;
%% if that voter finds no majority, nothing changes.
-spec transfer(server(), peer()) -> ok | {error, error()}.
transfer(Server, Peer) ->
    ok = check_peer(transfer, [Server, Peer]),
    ask(request, Server, [transfer, node_of(Peer)]).

%% @doc Sends a message to all peers, for their `handle_message/3'.
-spec broadcast(server(), term()) -> ok.
broadcast(Server, Message) ->
    ask(broadcast, Server, [Message]).

%% @doc Sends a message to all in `bootstrap' but this node, whether or not they are known to be
%% there: to those names, and to the group's processes on nodes that were given without one.
-spec broadcast_bootstrap(server(), term()) -> ok.
broadcast_bootstrap(Server, Message) ->
    ask(broadcast_bootstrap, Server, [Message]).

%% @equiv inspect(Server, [])
-spec inspect(server()) -> inspection().
inspect(Server) ->
    inspect(Server, []).

%% @doc How the election stands, for the eye, with what `handle_inspect/2' makes of the items added.
%% From inside a callback without the latter.
-spec inspect(server(), [term()]) -> inspection().
inspect(Server, Items) ->
    Own = ask(inspect, Server, []),
    case where(Server) of
        Pid when Pid =:= self() -> Own;
        _ -> maps:merge(Own, gen_server:call(Server, {muster_leader_server, inspect, Items}))
    end.

%%% Inside

%% Answers on the process's own node from its view, not from the process: it may be the one that
%% asks.
ask(What, Server, Args) ->
    case where(Server) of
        Pid when is_pid(Pid), node(Pid) =:= node() ->
            case muster_group_registry:view(Pid) of
                {ok, #{mode := init}} when Pid =/= self() ->
                    %% Its first steps come right after its start.
                    ok = gen_server:call(Pid, {muster_leader_server, ready}),
                    ask(What, Server, Args);
                {ok, View} -> answer(What, Args, Pid, View);
                error -> exit({noproc, {?MODULE, What, [Server | Args]}})
            end;
        undefined ->
            exit({noproc, {?MODULE, What, [Server | Args]}});
        Elsewhere ->
            ask_elsewhere(What, Server, Elsewhere, Args)
    end.

ask_elsewhere(What, Server, Pid, Args) when is_pid(Pid) ->
    ask_at(node(Pid), What, Server, Pid, Args);
ask_elsewhere(What, Server, {Name, Node}, Args) ->
    ask_at(Node, What, Server, Name, Args).

ask_at(Node, request, Server, There, [Op, Of]) ->
    ask_at(Node, Op, Server, There, [Of]);
ask_at(Node, What, Server, There, Args) ->
    try
        erpc:call(Node, ?MODULE, What, [There | Args], 5000)
    catch
        exit:{exception, Reason} -> exit(Reason);
        error:{erpc, noconnection} -> exit({{nodedown, Node}, {?MODULE, What, [Server | Args]}});
        error:{erpc, timeout} -> exit({timeout, {?MODULE, What, [Server | Args]}})
    end.

where({global, _} = Name) -> muster_server_name:where(Name);
where({Name, Node}) when Node =:= node() -> whereis(Name);
where({_Name, _Node} = Elsewhere) -> Elsewhere;
where(Server) -> muster_server_name:where(Server).

answer(is_leader, [], Pid, View) ->
    token_of(Pid, View) =/= none;
answer(token, [], Pid, View) ->
    case token_of(Pid, View) of
        none -> {error, not_leader};
        Token -> {ok, Token}
    end;
answer(request, [Op, Node], _Pid, #{mode := cnode, key := Key}) ->
    Argument = #{group => Key, node => muster_election_group:name(Node)},
    case muster_cnode:call(election, Op, Argument) of
        {ok, _} -> ok;
        {error, Reason} -> {error, Reason}
    end;
answer(request, [_Op, _Node], _Pid, #{mode := alone}) ->
    {error, invalid};
answer(request, [_Op, _Node], _Pid, _View) ->
    {error, not_leader};
answer(send, [Peer, Message], Pid, _View) ->
    _ = Peer ! packet(Pid, Message),
    ok;
answer(broadcast, [Message], Pid, #{peers := Peers}) ->
    Packet = packet(Pid, Message),
    lists:foreach(fun(Peer) -> Peer ! Packet end, Peers);
answer(broadcast_bootstrap, [Message], Pid, #{bootstrap := Bootstrap} = View) ->
    Packet = packet(Pid, Message),
    lists:foreach(fun(Member) -> send_to(Member, Packet, View) end, Bootstrap);
answer(observers, [], Pid, #{peers := Peers, voters := Voters}) ->
    [P || P <- [Pid | Peers], not lists:member(node(P), Voters)];
answer(inspect, [], Pid, View) ->
    muster_leader_inspection:of_member(Pid, View, status(View));
answer(What, [], _Pid, View) ->
    maps:get(What, View).

packet(Pid, Message) ->
    {muster_leader, ?VERSION, message, Pid, Message}.

send_to({_Name, Node}, _Packet, _View) when Node =:= node() ->
    ok;
send_to({_Name, _Node} = Member, Packet, _View) ->
    %% Connecting, if need be, is another process's matter.
    case erlang:send(Member, Packet, [noconnect]) of
        ok -> ok;
        noconnect -> _ = spawn(fun() -> Member ! Packet end)
    end;
send_to(Node, _Packet, _View) when Node =:= node() ->
    ok;
send_to(Node, Packet, #{key := Key}) ->
    muster_group_registry:pass(Node, {Key, Packet}).

%% The token of the leadership that holds at this moment, or none.
token_of(Pid, #{mode := alone, leader := Pid, token := Token}) ->
    Token;
token_of(_Pid, #{mode := cnode} = View) ->
    case status(View) of
        {ok, #{is_leader := true, token := Token}} -> Token;
        _ -> none
    end;
token_of(_Pid, _View) ->
    none.

status(#{mode := cnode, key := Key}) ->
    muster_election_group:status(Key, ?STATUS_MS);
status(_) ->
    {error, none}.

check_peer(Function, [_, Peer] = Arguments) ->
    Expected = <<"a process, a node or {Name, Node}">>,
    muster_arguments:check({?MODULE, Function, Arguments}, [{2, is_peer(Peer), Expected}]).

is_peer({Name, Node}) -> is_atom(Name) andalso is_atom(Node);
is_peer(Peer) -> is_pid(Peer) orelse is_atom(Peer).

node_of(Pid) when is_pid(Pid) -> node(Pid);
node_of({_Name, Node}) -> Node;
node_of(Node) when is_atom(Node) -> Node.
