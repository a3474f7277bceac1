%% A node of the acceptance runs: muster in an application as a user's would be, driven over two
%% file descriptors that the harness (beams.py) passes, so that the cluster is left to itself.
%%
%% What happens is told with the moment at which it did: os:perf_counter/1 reads CLOCK_MONOTONIC,
%% which all processes of a machine share with the harness.
-module(acceptance_node).

-behaviour(application).
-behaviour(supervisor).

-export([main/1, emit/1, emit/2, moment/0]).
-export([boot/1, connect/1, state/0, end_member/0, timed/3, load/1]).
-export([start/2, stop/1, init/1]).

-define(APP, acceptance).

%% `erl -run acceptance_node main IN OUT'
main([In, Out]) ->
    Port = open_port({fd, list_to_integer(In), list_to_integer(Out)}, [{packet, 4}, binary, eof]),
    persistent_term:put(?MODULE, Port),
    register(?MODULE, self()),
    emit(ready),
    serve(Port).

serve(Port) ->
    receive
        {Port, {data, Bytes}} ->
            {call, Number, Module, Function, Args} = binary_to_term(Bytes),
            _ = spawn(fun() -> answer(Number, Module, Function, Args) end),
            serve(Port);
        {Port, eof} ->
            halt(0, [{flush, false}]);
        _ ->
            serve(Port)
    end.

answer(Number, Module, Function, Args) ->
    Result =
        try
            {ok, apply(Module, Function, Args)}
        catch
            Class:Reason -> {Class, Reason}
        end,
    say({reply, Number, plain(Result)}).

moment() ->
    os:perf_counter(nanosecond).

emit(What) ->
    emit(moment(), What).

emit(At, What) ->
    say({event, At, plain(What)}).

say(Term) ->
    true = port_command(persistent_term:get(?MODULE), term_to_binary(Term)),
    ok.

%% What the harness's reader understands.
plain(Pid) when is_pid(Pid) -> node(Pid);
plain(Other) when is_reference(Other); is_function(Other); is_port(Other) -> opaque;
plain(Tuple) when is_tuple(Tuple) -> list_to_tuple(plain(tuple_to_list(Tuple)));
plain([Head | Tail]) -> [plain(Head) | plain(Tail)];
plain(Map) when is_map(Map) -> maps:map(fun(_, Value) -> plain(Value) end, Map);
plain(Other) -> Other.

%%% The application

%% Options: `voters', the nodes of a leader group; `topology', options of one; `ask', whether to ask all
%% the time who leads; `baseline', what muster is compared with, and no muster: the number of the others.
boot(Options) ->
    Muster = [muster || not is_map_key(baseline, Options)],
    _ = application:load(
        {application, ?APP, [
            {mod, {?MODULE, Options}},
            {applications, [kernel, stdlib] ++ Muster},
            {registered, []},
            {vsn, "1"}
        ]}
    ),
    {ok, _} = application:ensure_all_started(?APP),
    ok.

%% All at once: a peer that is cut off takes its time.
connect(Nodes) ->
    lists:foreach(fun(Node) -> spawn(fun() -> net_kernel:connect_node(Node) end) end, Nodes).

start(_Type, Options) ->
    supervisor:start_link({local, acceptance_sup}, ?MODULE, Options).

stop(_State) ->
    ok.

init(Options) ->
    Children = group(Options) ++ topology(Options) ++ asker(Options),
    {ok, {#{intensity => 1000, period => 1}, Children}}.

group(#{voters := Voters}) ->
    [#{id => member, start => {acceptance_member, start_link, [Voters]}}];
group(#{baseline := Peers}) ->
    [#{id => member, start => {acceptance_baseline, start_link, [Peers]}}];
group(_) ->
    [].

topology(#{topology := Options}) ->
    [
        #{id => topology, start => {muster_topology, start_link, [Options]}},
        #{id => watcher, start => {acceptance_watch, start_link, [watcher]}}
    ];
topology(_) ->
    [].

asker(#{ask := true}) ->
    [#{id => asker, start => {acceptance_watch, start_link, [asker]}}];
asker(_) ->
    [].

%% How the member and its topology see things; without those that are not there.
state() ->
    States = [
        Module:state()
     || {Name, Module} <- [
            {acceptance_member, acceptance_member},
            {acceptance_baseline, acceptance_baseline},
            {muster_topology, acceptance_watch}
        ],
        whereis(Name) =/= undefined
    ],
    lists:foldl(fun maps:merge/2, #{}, States).

%% A user's way to end a member, and to have it back.
end_member() ->
    supervisor:terminate_child(acceptance_sup, member).

%% A call whose beginning is an event.
timed(Module, Function, Args) ->
    emit(called),
    apply(Module, Function, Args).

%% Makes the BEAM as busy as can be: processes that never wait, some that make much garbage, and some
%% that have large heaps (48 MB) collected again and again.
load(Processes) ->
    Spin = fun Spin(N) -> Spin(N + 1) end,
    Litter = fun Litter(Old) -> Litter([lists:seq(1, 300000) | lists:sublist(Old, 5)]) end,
    Collect = fun Collect(Old) -> garbage_collect(), Collect(Old) end,
    lists:foreach(fun(_) -> spawn(fun() -> Spin(0) end) end, lists:seq(1, Processes)),
    lists:foreach(fun(_) -> spawn(fun() -> Litter([]) end) end, lists:seq(1, 8)),
    lists:foreach(fun(_) -> spawn(fun() -> Collect(lists:seq(1, 3000000)) end) end, lists:seq(1, 8)).
