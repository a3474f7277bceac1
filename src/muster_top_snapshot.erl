%% @doc Everything that muster knows on one node, at one moment, for the eye: see {@link muster_top}.
%%
%% Each part is asked of its own server, all at the same time, and none is waited for longer than the
%% limit: a server that is not there, hangs or dies leaves its part out, with the reason.
-module(muster_top_snapshot).

-export([collect/1, collect/2]).

-export_type([snapshot/0, part/1, options/0]).

-define(TIMEOUT_MS, 2000).
%% What asking another node may take beside the asking there.
-define(DISTANCE_MS, 3000).

%% The default names of the Erlang and the Elixir face; the first one that is there is asked.
-define(DISCOVERY, [muster_discovery, 'Elixir.Raxol.Swarm.Discovery']).
-define(NODE_MONITOR, [muster_node_monitor, 'Elixir.Raxol.Swarm.NodeMonitor']).
-define(TOPOLOGY, [muster_topology, 'Elixir.Raxol.Swarm.Topology']).
-define(OVERLAY, [muster_overlay, 'Elixir.Raxol.Swarm.TacticalOverlay']).

-type options() :: #{
    timeout_ms => pos_integer(),
    discovery => atom(),
    node_monitor => atom(),
    topology => atom(),
    overlay => atom()
}.
%% `timeout_ms': how long the servers have to answer, default 2000. The others name servers that were
%% started under names of their own.

-type part(Value) :: {ok, Value} | none | {error, term()}.
%% `none': no such server runs on that node.

-type snapshot() :: #{
    node := node(),
    at := integer(),
    version := binary(),
    connected := [node()],
    cnode := part(map()),
    peers := part([map()]),
    health := part([muster_node_monitor:health()]),
    discovery := part(map()),
    topology := part(#{
        commander := {node(), muster_topology:token()} | none,
        roles := [{node(), muster_topology:role()}]
    }),
    overlay := part(map())
}.
%% `at': `erlang:system_time(millisecond)'. `connected': the BEAM's visible nodes. `cnode' and `peers' are what
%% {@link muster:info/0} and {@link muster:peers/0} say, `health' is {@link muster_node_monitor:list_all/0},
%% `discovery' {@link muster_discovery:health_info/0} with `topologies', each with its `strategy' and
%% `run_state'.

%% @doc Collects on this node.
-spec collect(options()) -> snapshot().
collect(Options) ->
    Parts = #{
        cnode => fun muster:info/0,
        peers => fun muster:peers/0,
        health => with_server(node_monitor, ?NODE_MONITOR, Options, fun health/1),
        discovery => with_server(discovery, ?DISCOVERY, Options, fun discovery/1),
        topology => with_server(topology, ?TOPOLOGY, Options, fun topology/1),
        overlay => with_server(overlay, ?OVERLAY, Options, fun overlay/1)
    },
    Answers = gather(Parts, maps:get(timeout_ms, Options, ?TIMEOUT_MS)),
    Answers#{
        node => node(),
        at => erlang:system_time(millisecond),
        version => muster:version(),
        connected => nodes()
    }.

%% @doc Collects on a node, which need not have muster started, but must have its code.
-spec collect(node(), options()) -> {ok, snapshot()} | {error, term()}.
collect(Node, Options) when Node =:= node() ->
    {ok, collect(Options)};
collect(Node, Options) ->
    Limit = maps:get(timeout_ms, Options, ?TIMEOUT_MS) + ?DISTANCE_MS,
    %% In a process of its own: to connect to a dead host takes longer than the limit of a call.
    case gather(#{there => fun() -> there(Node, Options, Limit) end}, Limit) of
        #{there := {ok, Snapshot}} -> {ok, Snapshot};
        #{there := {error, Reason}} -> {error, Reason}
    end.

there(Node, Options, Limit) ->
    try
        {ok, erpc:call(Node, ?MODULE, collect, [Options], Limit)}
    catch
        error:{exception, undef, [{?MODULE, _, _, _} | _]} -> {error, too_old};
        error:{erpc, Reason} -> {error, Reason};
        _:Reason -> {error, Reason}
    end.

%%% The parts

with_server(Kind, Defaults, Options, Ask) ->
    Names =
        case Options of
            #{Kind := Name} -> [Name];
            #{} -> Defaults
        end,
    fun() ->
        case [Name || Name <- Names, whereis(Name) =/= undefined] of
            [Server | _] -> {ok, Ask(Server)};
            [] -> none
        end
    end.

health(Server) ->
    muster_node_monitor:list_all(Server).

discovery(Server) ->
    #{topologies := Topologies} = muster_discovery:status(Server),
    Info = muster_discovery:health_info(Server),
    Info#{topologies => maps:map(fun(_, T) -> maps:with([strategy, run_state], T) end, Topologies)}.

topology(Server) ->
    Commander =
        case muster_topology:get_command(Server) of
            {ok, Node, Token} -> {Node, Token};
            {error, no_commander} -> none
        end,
    #{commander => Commander, roles => muster_topology:list_nodes(Server)}.

overlay(Server) ->
    muster_overlay:status(Server).

%%% Asking all at once

%% Runs each function in a process of its own; who is not done in time is ended.
gather(Funs, Ms) ->
    Deadline = erlang:start_timer(Ms, self(), gather),
    Workers = maps:fold(
        fun(Part, Fun, Acc) ->
            {Pid, Monitor} = spawn_monitor(fun() -> exit(outcome(Fun)) end),
            Acc#{Monitor => {Part, Pid}}
        end,
        #{},
        Funs
    ),
    Answers = gathered(Workers, Deadline, #{}),
    _ = erlang:cancel_timer(Deadline),
    receive
        {timeout, Deadline, gather} -> ok
    after 0 -> ok
    end,
    Answers.

gathered(Workers, _Deadline, Answers) when map_size(Workers) =:= 0 ->
    Answers;
gathered(Workers, Deadline, Answers) ->
    receive
        {'DOWN', Monitor, process, _, Reason} when is_map_key(Monitor, Workers) ->
            {{Part, _}, Rest} = maps:take(Monitor, Workers),
            gathered(Rest, Deadline, Answers#{Part => answer(Reason)});
        {timeout, Deadline, gather} ->
            maps:fold(
                fun(Monitor, {Part, Pid}, Acc) ->
                    erlang:demonitor(Monitor, [flush]),
                    exit(Pid, kill),
                    Acc#{Part => {error, timeout}}
                end,
                Answers,
                Workers
            )
    end.

%% A failure is no report in the log of the node that is looked at.
outcome(Fun) ->
    try
        {answer, Fun()}
    catch
        exit:{Reason, {gen_server, call, _}} -> {answer, {error, Reason}};
        _:Reason -> {answer, {error, Reason}}
    end.

answer({answer, Answer}) -> Answer;
answer(Reason) -> {error, Reason}.
