%% @private
%% One subscription of {@link muster_callbacks}: takes the server's events, and has the function called
%% for one after the other, each in a process of its own: whatever the function does to its process,
%% this one goes on.
-module(muster_callback).

-behaviour(gen_server).

-export([start_link/2, attach/1, source/1]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-include_lib("kernel/include/logger.hrl").

-define(RETRY_MIN_MS, 50).
-define(RETRY_MAX_MS, 1000).

-record(state, {
    source :: muster_callbacks:source(),
    callback :: muster_callbacks:callback(),
    %% Of the server; none while it is away.
    server :: reference() | undefined,
    retry_ms = ?RETRY_MIN_MS :: pos_integer(),
    %% Of discovery's peers.
    memory :: muster_peer_memory:memory() | undefined,
    watching = false :: boolean(),
    events = queue:new() :: queue:queue(),
    %% Of the call under way.
    running :: reference() | undefined
}).

-spec start_link(muster_callbacks:source(), muster_callbacks:callback()) -> gen_server:start_ret().
start_link(Source, Callback) ->
    gen_server:start_link(?MODULE, {Source, Callback}, []).

%% Subscribes, for the first time.
-spec attach(pid()) -> ok | {error, not_running | timeout}.
attach(Pid) ->
    gen_server:call(Pid, attach, infinity).

-spec source(pid()) -> muster_callbacks:source() | undefined.
source(Pid) ->
    try
        gen_server:call(Pid, source)
    catch
        exit:_ -> undefined
    end.

init({Source, Callback}) ->
    {ok, #state{source = Source, callback = Callback}}.

handle_call(attach, _From, S) ->
    case subscribe(S) of
        {ok, Peers, S1} -> {reply, ok, S1#state{memory = muster_peer_memory:new(Peers)}};
        {error, Reason} -> {reply, {error, Reason}, S}
    end;
handle_call(source, _From, S) ->
    {reply, S#state.source, S}.

handle_cast(_, S) ->
    {noreply, S}.

handle_info({muster_discovery, Event}, #state{source = {muster_discovery, _}, memory = Memory} = S) ->
    {noreply, told(muster_peer_memory:event(Event, Memory), S)};
handle_info({Tag, Event}, S) when Tag =:= swarm_event; Tag =:= overlay_event; Tag =:= swarm_msg ->
    {noreply, run(enqueue([Event], S))};
handle_info({'DOWN', Call, process, _, Reason}, #state{running = Call} = S) ->
    _ = failed(Reason, S),
    {noreply, run(S#state{running = undefined})};
handle_info({'DOWN', Server, process, _, Reason}, #state{server = Server, source = {_, Name}} = S) ->
    case Reason of
        normal -> {stop, normal, S};
        _ when is_pid(Name) -> {stop, normal, S};
        _ -> {noreply, server_lost(S)}
    end;
handle_info({nodedown, Node}, #state{memory = Memory} = S) ->
    {noreply, told(muster_peer_memory:node_down(Node, Memory), S)};
handle_info(subscribe, S) ->
    {noreply, subscribe_again(S)};
handle_info(_, S) ->
    {noreply, S}.

%%% The server

subscribe(#state{source = {Module, Server}} = S) ->
    Monitor = erlang:monitor(process, Server),
    try
        Peers = subscribe(Module, Server),
        {ok, Peers, S#state{server = Monitor, retry_ms = ?RETRY_MIN_MS}}
    catch
        exit:{timeout, _} ->
            erlang:demonitor(Monitor, [flush]),
            {error, timeout};
        exit:_ ->
            erlang:demonitor(Monitor, [flush]),
            {error, not_running}
    end.

subscribe(muster_discovery, Server) ->
    muster_discovery:subscribe_to_peers(Server);
subscribe(Module, Server) ->
    case Module:subscribe(Server) of
        ok -> [];
        %% A comms manager that receives nothing.
        {error, no_receiver} -> exit(no_receiver)
    end.

server_lost(#state{source = {muster_discovery, _}, memory = Memory} = S) ->
    %% First the subscription, then the list: nobody goes unnoticed in between.
    ok = net_kernel:monitor_nodes(true),
    try_later(S#state{server = undefined, memory = muster_peer_memory:server_lost(Memory), watching = true});
server_lost(S) ->
    try_later(S#state{server = undefined}).

try_later(#state{retry_ms = Ms} = S) ->
    erlang:send_after(Ms, self(), subscribe),
    S#state{retry_ms = min(2 * Ms, ?RETRY_MAX_MS)}.

subscribe_again(#state{memory = Memory} = S) ->
    case subscribe(S) of
        {ok, Peers, S1} -> told(muster_peer_memory:server_found(Peers, nodes(connected), Memory), S1);
        {error, _} -> try_later(S)
    end.

told({Events, Memory}, S) ->
    run(enqueue(Events, watch_while_in_doubt(S#state{memory = Memory}))).

watch_while_in_doubt(#state{watching = true, server = Server, memory = Memory} = S) when Server =/= undefined ->
    case muster_peer_memory:has_doubts(Memory) of
        true ->
            S;
        false ->
            ok = net_kernel:monitor_nodes(false),
            S#state{watching = false}
    end;
watch_while_in_doubt(S) ->
    S.

%%% The function

enqueue(Events, #state{events = Queue} = S) ->
    S#state{events = lists:foldl(fun queue:in/2, Queue, Events)}.

run(#state{running = undefined, events = Queue, callback = Callback} = S) ->
    case queue:out(Queue) of
        {{value, Event}, Rest} ->
            {_, Call} = spawn_monitor(fun() -> call(Callback, Event) end),
            S#state{running = Call, events = Rest};
        {empty, _} ->
            S
    end;
run(S) ->
    S.

%% An exit is not logged by the emulator as an error is: it is by failed/2, whatever it was.
call(Callback, Event) ->
    try
        Callback(Event)
    catch
        Class:Reason:Stack -> exit({?MODULE, Class, Reason, Stack})
    end.

failed(normal, _) ->
    ok;
failed({?MODULE, Class, Reason, Stack}, #state{source = Source}) ->
    ?LOG_ERROR("muster: a callback of ~0tp failed: ~0tp:~0tp ~0tp", [Source, Class, Reason, Stack],
        #{domain => [muster]});
failed(Reason, #state{source = Source}) ->
    ?LOG_ERROR("muster: a callback of ~0tp was ended: ~0tp", [Source, Reason], #{domain => [muster]}).
