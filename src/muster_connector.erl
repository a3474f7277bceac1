%% @private
%% Connects the BEAM to the nodes that discovery found, and connects it again when it lost them.
%% What to do when is decided in {@link muster_reconnect}; this process carries it out: each attempt
%% is a process of its own, at most `workers' at a time, so that one that hangs delays no other.
%%
%% `connect', `disconnect' and `list_nodes' are injected as in libcluster: `{Module, Function,
%% Arguments}', to which the first two get the node appended.
%%
%% A lost connection is not made again while that would overlap partitions ({@link muster_overlap}).
%%
%% The owner gets `{muster_connector, Pid, Event}', `Event' being `{up, Node}', `{down, Node, Reason}',
%% `{attempt, Node, Result, Us}' or `{pruned, Tag, Nodes}'.
-module(muster_connector).

-behaviour(gen_server).

-export([
    start_link/1,
    topology/3,
    found/3, unproven/3, lost/3,
    leaving/3, pause/1, resume/1, cnode_down/1,
    prune/2, info/1,
    attempt/3
]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-export_type([options/0, mfas/0, event/0]).

-type mfas() :: #{connect := mfa_(), disconnect := mfa_(), list_nodes := mfa_()}.
-type mfa_() :: {module(), atom(), [term()]}.
-type options() :: #{
    owner := pid(),
    connect_workers := pos_integer(),
    connect_timeout := pos_integer(),
    backoff_min_ms := pos_integer(),
    backoff_max_ms := pos_integer(),
    stable_ms := non_neg_integer(),
    hold_limit_ms := non_neg_integer(),
    check_interval := pos_integer(),
    consult := boolean(),
    telemetry := {Prefix :: [atom()], Metadata :: #{atom() => term()}}
}.
-type event() ::
    {up, node()}
    | {down, node(), Reason :: term()}
    | {attempt, node(), muster_reconnect:result(), Us :: non_neg_integer()}
    | {pruned, Tag :: term(), [node()]}.

-record(worker, {
    pid :: pid(),
    name :: binary(),
    attempt :: muster_reconnect:attempt(),
    timer :: reference(),
    by :: term(),
    started :: integer()
}).

-record(state, {
    options :: options(),
    core :: muster_reconnect:core(),
    mfas = #{} :: #{term() => mfas()},
    up = #{} :: #{node() => true},
    workers = #{} :: #{reference() => #worker{}},
    asked = #{} :: #{binary() => true},
    timer :: reference() | undefined
}).

%%% Interface

-spec start_link(options()) -> gen_server:start_ret().
start_link(Options) ->
    gen_server:start_link(?MODULE, Options, []).

%% @doc How a topology connects. Before its first node.
-spec topology(pid(), term(), mfas()) -> ok.
topology(Pid, By, Mfas) ->
    gen_server:cast(Pid, {topology, By, Mfas}).

%% @doc A node proved its name and cookie to the C node, whose link to it is up.
-spec found(pid(), binary(), term()) -> ok.
found(Pid, Name, By) ->
    gen_server:cast(Pid, {found, Name, By}).

%% @doc A node is to be connected though nothing is proved: the user named it, or said so.
-spec unproven(pid(), binary(), term()) -> ok.
unproven(Pid, Name, By) ->
    gen_server:cast(Pid, {unproven, Name, By}).

-spec lost(pid(), binary(), term()) -> ok.
lost(Pid, Name, By) ->
    gen_server:cast(Pid, {lost, Name, By}).

%% @doc A peer said that it leaves, or that it stays after all.
-spec leaving(pid(), node(), boolean()) -> ok.
leaving(Pid, Node, Leaving) ->
    gen_server:cast(Pid, {leaving, name(Node), Leaving}).

%% @doc No more attempts until `resume'; what is under way goes on.
-spec pause(pid()) -> ok.
pause(Pid) ->
    gen_server:cast(Pid, pause).

-spec resume(pid()) -> ok.
resume(Pid) ->
    gen_server:cast(Pid, resume).

%% @doc The C node went: what it was asked it will not answer.
-spec cnode_down(pid()) -> ok.
cnode_down(Pid) ->
    gen_server:cast(Pid, cnode_down).

%% @doc Forgets the nodes that are down until they are found again, and disconnects them, which
%% means something where `disconnect' is not the BEAM's. The event `pruned' gives their names.
-spec prune(pid(), Tag :: term()) -> ok.
prune(Pid, Tag) ->
    gen_server:cast(Pid, {prune, Tag}).

-spec info(pid()) -> #{binary() => #{atom() => term()}}.
info(Pid) ->
    gen_server:call(Pid, info).

%%% The server

%% @private
init(Options) ->
    ok = net_kernel:monitor_nodes(true, [{node_type, all}, nodedown_reason]),
    Settings = maps:with([backoff_min_ms, backoff_max_ms, stable_ms, hold_limit_ms], Options),
    Core = muster_reconnect:new(Settings#{
        workers => maps:get(connect_workers, Options),
        seed => erlang:phash2({self(), node(), erlang:unique_integer(), erlang:system_time()})
    }),
    check_later(Options),
    {ok, #state{options = Options, core = Core}}.

%% @private
handle_call(info, _From, #state{core = Core} = S) ->
    {reply, muster_reconnect:info(Core), S};
handle_call(_, _From, S) ->
    {reply, {error, unknown_call}, S}.

%% @private
handle_cast({topology, By, Mfas}, #state{mfas = All} = S) ->
    {noreply, refresh(S#state{mfas = All#{By => Mfas}})};
handle_cast({What, Name, By}, S) when What =:= found; What =:= unproven ->
    {noreply, step({What, Name, By}, S)};
handle_cast({lost, Name, By}, S) ->
    {noreply, step({lost, Name, By}, S)};
handle_cast({leaving, Name, Leaving}, S) ->
    {noreply, step({leaving, Name, Leaving}, S)};
handle_cast(cnode_down, #state{asked = Asked} = S) ->
    {noreply,
        maps:fold(
            fun(Name, _, Acc) -> step({link, Name, down}, Acc) end, S#state{asked = #{}}, Asked
        )};
handle_cast(What, S) when What =:= pause; What =:= resume ->
    {noreply, step(What, S)};
handle_cast({prune, Tag}, S) ->
    {noreply, pruned(Tag, S)};
handle_cast(_, S) ->
    {noreply, S}.

%% @private
handle_info({nodeup, _, _}, S) ->
    {noreply, refresh(S)};
handle_info({nodedown, Node, Info}, S) ->
    %% It may be up again already: it was down in between all the same.
    {noreply, refresh(went_down(Node, proplists:get_value(nodedown_reason, Info, down), S))};
handle_info({muster_cnode, reply, {link, Name}, Result}, #state{asked = Asked} = S) ->
    Link =
        case Result of
            {ok, #{state := connected}} -> up;
            _ -> down
        end,
    {noreply, step({link, Name, Link}, S#state{asked = maps:remove(Name, Asked)})};
handle_info({'DOWN', Monitor, process, _, Reason}, #state{workers = Workers} = S) ->
    case maps:take(Monitor, Workers) of
        {Worker, Rest} -> {noreply, ended(Worker, Reason, S#state{workers = Rest})};
        error -> {noreply, S}
    end;
handle_info({timeout, Timer, tick}, #state{timer = Timer} = S) ->
    {noreply, step(tick, S#state{timer = undefined})};
handle_info({timeout, Timer, {attempt, Monitor}}, #state{workers = Workers} = S) ->
    case Workers of
        #{Monitor := #worker{timer = Timer, pid = Pid}} -> exit(Pid, kill);
        #{} -> ok
    end,
    {noreply, S};
handle_info(check, #state{options = Options} = S) ->
    check_later(Options),
    {noreply, refresh(S)};
handle_info(_, S) ->
    {noreply, S}.

%%% The core's effects

step(Event, #state{core = Core} = S) ->
    {Effects, Core1} = muster_reconnect:step(Event, now_ms(), Core),
    S1 = lists:foldl(fun effect/2, S#state{core = Core1}, Effects),
    reschedule(S1).

effect({ask_link, Name}, #state{asked = Asked} = S) ->
    Whose = {message, self(), {link, Name}},
    muster_cnode:send_request(Whose, node, peer, #{node => Name}),
    S#state{asked = Asked#{Name => true}};
effect({connect, Name, Attempt, How}, #state{options = Options} = S) ->
    Node = node_of(Name),
    {By, #{connect := Connect}} = mfas(Name, S),
    Careful = How =:= careful andalso maps:get(consult, Options),
    {Pid, Monitor} = spawn_monitor(?MODULE, attempt, [Node, Connect, Careful]),
    Timer = erlang:start_timer(maps:get(connect_timeout, Options), self(), {attempt, Monitor}),
    Worker = #worker{
        pid = Pid, name = Name, attempt = Attempt, timer = Timer, by = By,
        started = erlang:monotonic_time()
    },
    S#state{workers = (S#state.workers)#{Monitor => Worker}}.

mfas(Name, #state{core = Core, mfas = All}) ->
    case [{By, maps:get(By, All)} || By <- muster_reconnect:by(Name, Core), is_map_key(By, All)] of
        [First | _] -> First;
        [] -> {none, default_mfas()}
    end.

default_mfas() ->
    #{
        connect => {net_kernel, connect_node, []},
        disconnect => {erlang, disconnect_node, []},
        list_nodes => {erlang, nodes, [connected]}
    }.

reschedule(#state{timer = Timer, core = Core} = S) ->
    _ = is_reference(Timer) andalso erlang:cancel_timer(Timer),
    case muster_reconnect:next(Core) of
        infinity ->
            S#state{timer = undefined};
        At ->
            Wait = max(0, At - now_ms()),
            S#state{timer = erlang:start_timer(Wait, self(), tick)}
    end.

%%% Attempts

%% @private
-spec attempt(node(), mfa_(), boolean()) -> no_return().
attempt(Node, {Module, Function, Arguments}, Careful) ->
    Result =
        try
            case Careful andalso muster_overlap:check(Node) of
                overlap -> held;
                _ -> apply(Module, Function, Arguments ++ [Node])
            end
        of
            R when R =:= true; R =:= false; R =:= ignored; R =:= held -> R;
            Other -> {failed, Other}
        catch
            Class:Reason -> {failed, {Class, Reason}}
        end,
    exit({shutdown, {result, Result}}).

ended(#worker{name = Name, attempt = Attempt, timer = Timer} = Worker, Reason, S) ->
    _ = erlang:cancel_timer(Timer),
    Result =
        case Reason of
            {shutdown, {result, R}} -> R;
            killed -> timeout;
            _ -> {failed, Reason}
        end,
    told(Worker, Result, S),
    %% First what the BEAM says, then what the attempt says of itself.
    step({ended, Name, Attempt, Result}, refresh(S)).

told(#worker{name = Name, by = By, started = Started}, Result, #state{options = Options}) ->
    #{telemetry := {Prefix, Metadata}} = Options,
    Duration = erlang:monotonic_time() - Started,
    Node = node_of(Name),
    Us = erlang:convert_time_unit(Duration, native, microsecond),
    tell({attempt, Node, Result, Us}, Options),
    {Outcome, More} =
        case Result of
            true -> {ok, #{}};
            held -> {held, #{}};
            _ -> {error, #{reason => Result}}
        end,
    muster_telemetry:execute(
        Prefix ++ [connect, Outcome],
        #{duration => Duration},
        maps:merge(Metadata#{node => Node, topology => By}, More)
    ).

pruned(Tag, #state{core = Core, options = Options} = S) ->
    Down = [
        Name
     || Name <- muster_reconnect:known(Core),
        not muster_reconnect:is_up(Name, Core),
        muster_reconnect:phase(Name, Core) =/= connecting
    ],
    lists:foreach(fun(Name) -> disconnect(Name, S) end, Down),
    tell({pruned, Tag, lists:sort([node_of(Name) || Name <- Down])}, Options),
    lists:foldl(fun(Name, Acc) -> step({forget, Name}, Acc) end, S, Down).

disconnect(Name, S) ->
    {_, #{disconnect := {Module, Function, Arguments}}} = mfas(Name, S),
    try
        apply(Module, Function, Arguments ++ [node_of(Name)])
    catch
        _:_ -> ok
    end.

%%% Who is connected

%% Compares what `list_nodes' says with what was known. One that fails says nothing of who is gone.
refresh(#state{up = Up} = S) ->
    {Nodes, IsComplete} = list_nodes(S),
    Now = maps:from_keys(Nodes, true),
    Gone = [Node || IsComplete, Node <- maps:keys(maps:without(Nodes, Up))],
    New = maps:keys(maps:without(maps:keys(Up), Now)),
    S1 = lists:foldl(fun(Node, Acc) -> went_down(Node, down, Acc) end, S, Gone),
    lists:foldl(fun came_up/2, S1, New).

list_nodes(#state{mfas = All}) ->
    Lists = lists:usort([List || #{list_nodes := List} <- maps:values(All)]),
    Mfas = if Lists =:= [] -> [{erlang, nodes, [connected]}]; true -> Lists end,
    Answers = [list(Mfa) || Mfa <- Mfas],
    Nodes = [
        Node
     || Listed <- Answers, is_list(Listed), Node <- Listed, Node =/= node(), not muster_cnode_name:is_one(name(Node))
    ],
    {Nodes, not lists:member(failed, Answers)}.

list({Module, Function, Arguments}) ->
    try
        [Node || Node <- apply(Module, Function, Arguments), is_atom(Node)]
    catch
        _:_ -> failed
    end.

came_up(Node, #state{up = Up, options = Options} = S) ->
    tell({up, Node}, Options),
    step({up, name(Node)}, S#state{up = Up#{Node => true}}).

went_down(Node, Reason, #state{up = Up, options = Options} = S) when is_map_key(Node, Up) ->
    tell({down, Node, Reason}, Options),
    step({down, name(Node)}, S#state{up = maps:remove(Node, Up)});
went_down(_, _, S) ->
    S.

%% Other ways of connecting than the BEAM's send no nodeup.
check_later(#{check_interval := Ms}) ->
    erlang:send_after(Ms, self(), check).

%%% Helpers

tell(Event, #{owner := Owner}) ->
    Owner ! {muster_connector, self(), Event},
    ok.

name(Node) ->
    atom_to_binary(Node, utf8).

%% Of a node that is connected, or that the owner has made an atom of: no other name becomes one.
node_of(Name) ->
    binary_to_existing_atom(Name, utf8).

now_ms() ->
    erlang:monotonic_time(millisecond).
