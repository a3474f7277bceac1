%% @doc The BEAM's side of the C node: starts it, restarts it, and carries requests and events
%% between it and the services that use it. The protocol is in `docs/control-port.md'.
%%
%% A service (a process) calls {@link register/3} and then gets, as messages:
%% <ul>
%% <li>`{muster_cnode, up, Generation}': a C node is there and knows nothing of the service yet.
%%     Sent at once if one is up, and again after each restart, with a higher generation: the
%%     service then pushes its state.</li>
%% <li>`{muster_cnode, down, Generation, Reason}': it is gone, or (at once after registering)
%%     not there; `Reason' is `unavailable' where there is none for this platform.</li>
%% <li>`{muster_cnode, event, Service, Key, Event}'.</li>
%% </ul>
%% Events of the service `node', key `peers', come from here too: `{kept_out, Text | none}', why the
%% C node is in no cluster.
%%
%% Requests are answered exactly once. Those that are outstanding when the C node goes are
%% answered `{error, cnode_down}'.
%%
%% == Configuration of the application `muster' ==
%% <dl>
%% <dt>`cnode'</dt><dd>`enabled' (default) or `disabled': whether to start a C node.</dd>
%% <dt>`cnode_path'</dt><dd>The program's path; default: `muster_node' in the application's
%%     `priv' directory.</dd>
%% <dt>`cnode_priority'</dt><dd>`raised' (default): on a busy machine the C node runs sooner, as far
%%     as the system lets it; `normal': as other programs do; `realtime': before all ordinary
%%     programs, where it may.</dd>
%% <dt>`heartbeat_ms'</dt><dd>Interval of the C node's heartbeats, 10..60000 ms, default 500.</dd>
%% <dt>`heartbeat_limit'</dt><dd>A C node silent that long is killed and restarted; 20..600000 ms,
%%     at least twice `heartbeat_ms', default 3000; to its first heartbeat it has at least 10 s.
%%     Shorter finds a hung C node sooner, longer forgives a busier machine.</dd>
%% </dl>
-module(muster_cnode).

-export([
    start_link/1,
    available/0,
    call/3, call/4,
    send_request/4,
    cast/3,
    register/2, register/3,
    unregister/2
]).

-export_type([service/0, key/0, reply_to/0, result/0, on_exit/0, generation/0]).

-compile({no_auto_import, [register/2, unregister/1]}).

-define(CALL_TIMEOUT_MS, 5000).

-type service() :: atom().
-type key() :: term().
-type generation() :: non_neg_integer().
-type reply_to() :: {from, gen_server:from()} | {message, pid(), Tag :: term()}.
-type result() :: {ok, term()} | {error, term()}.
-type on_exit() :: none | {Op :: atom(), Arg :: term()} | {Op :: atom(), Arg :: term(), Crashed :: term()}.

%%% Interface

%% @private
-spec start_link(#{atom() => term()}) -> gen_server:start_ret().
start_link(Options) ->
    gen_server:start_link({local, ?MODULE}, muster_cnode_server, Options, []).

%% @doc Whether there is a C node for this platform, running or about to be restarted. `false' too
%% when the application `muster' is not started.
-spec available() -> boolean().
available() ->
    try
        gen_server:call(?MODULE, available)
    catch
        exit:_ -> false
    end.

%% @doc Calls an operation of a C node's service; waits at most 5 s.
-spec call(service(), Op :: atom(), Arg :: term()) -> result().
call(Service, Op, Arg) ->
    call(Service, Op, Arg, ?CALL_TIMEOUT_MS).

%% @doc The same with a time-out in milliseconds. Errors beside the operation's own: `timeout',
%% `cnode_down' (about to be restarted), `unavailable' (no C node for this platform),
%% `not_started' (the application `muster' is not started).
-spec call(service(), Op :: atom(), Arg :: term(), timeout()) -> result().
call(Service, Op, Arg, Timeout) ->
    try
        gen_server:call(?MODULE, {call, Service, Op, Arg}, Timeout)
    catch
        exit:{timeout, _} -> {error, timeout};
        exit:{noproc, _} -> {error, not_started};
        exit:_ -> {error, cnode_down}
    end.

%% @doc Requests without waiting. `{from, From}': the reply goes straight to the caller of a
%% `gen_server' that got `From' in `handle_call'. `{message, Pid, Tag}': `Pid' gets
%% `{muster_cnode, reply, Tag, Result}'. If this server is not running, no reply ever comes: a
%% process that must know monitors it, as {@link register/3} does.
-spec send_request(reply_to(), service(), Op :: atom(), Arg :: term()) -> ok.
send_request(ReplyTo, Service, Op, Arg) ->
    gen_server:cast(?MODULE, {request, ReplyTo, Service, Op, Arg}).

%% @doc Sends an operation whose answer nobody wants. Lost while the C node is down.
-spec cast(service(), Op :: atom(), Arg :: term()) -> ok.
cast(Service, Op, Arg) ->
    gen_server:cast(?MODULE, {cast, Service, Op, Arg}).

%% @equiv register(Service, Key, none)
-spec register(service(), key()) -> reference().
register(Service, Key) ->
    register(Service, Key, none).

%% @doc Registers the calling process for a service's events under a key. Returns a monitor of
%% this server, at once: on its `DOWN' message, which also comes when the server is not running,
%% register again. `OnExit' is an operation sent to the C node when the process exits or
%% unregisters and nobody else has the same key, so that no state is left behind. `Crashed' is its
%% argument when the process did not mean to end (a supervisor will start it again): when its exit
%% reason is not `normal', `shutdown' or `{shutdown, _}'.
-spec register(service(), key(), on_exit()) -> reference().
register(Service, Key, OnExit) ->
    Monitor = erlang:monitor(process, ?MODULE),
    gen_server:cast(?MODULE, {register, self(), Service, Key, OnExit}),
    Monitor.

%% @doc Undoes {@link register/3}; the monitor stays the caller's to remove.
-spec unregister(service(), key()) -> ok.
unregister(Service, Key) ->
    gen_server:cast(?MODULE, {unregister, self(), Service, Key}).
