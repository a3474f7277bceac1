%% @private
%% Owns the port to one C node process, and does nothing else: forwards frames to its client
%% (muster_cnode), writes the client's frames, answers heartbeats itself. It runs at high priority
%% so that a busy BEAM still answers, and it never waits for anything while the C node lives.
%%
%% Its client gets `{muster_port_owner, Pid, {frame, Binary}}' and `{muster_port_owner, Pid, hung}';
%% the exit of this process (reason `{exited, Status}', `hung' or `normal') means that the
%% operating system process is gone.
-module(muster_port_owner).

-export([start_link/1, send/2, stop/1]).
-export([init/2]).

-export_type([options/0]).

-type options() :: #{
    path := file:filename_all(),
    heartbeat_ms := pos_integer(),
    heartbeat_limit := pos_integer(),
    _ => _
}.

%% The port's own queue; beyond it frames wait here, up to PENDING_MAX bytes.
-define(BUSY_LIMITS, {65536, 262144}).
-define(PENDING_MAX, (16 * 1024 * 1024)).
-define(RETRY_MS, 5).
%% How long a C node may take from its start to its first heartbeat, at least: on a cold or busy
%% machine that is no sign of a hang, and killing it would only make it start over.
-define(START_MS, 10000).
%% How long a C node may take to leave the cluster after its stdin closed.
-define(LEAVE_MS, 1500).
-define(KILL_RETRY_MS, 1000).

-record(state, {
    port :: port(),
    os_pid :: pos_integer(),
    client :: pid(),
    heartbeat_ms :: pos_integer(),
    limit :: pos_integer(),
    %% Own ticks since the last heartbeat; negative while the first is awaited. Counted, not read
    %% off a clock, so that time in which this machine or the BEAM was suspended is not held
    %% against the C node.
    missed :: integer(),
    pending = queue:new() :: queue:queue(binary()),
    pending_bytes = 0 :: non_neg_integer()
}).

%% Starts the C node, linked to the caller, who gets its frames. `{error, {already_started, Pid}}'
%% while an earlier one still waits for its C node to exit.
-spec start_link(options()) -> {ok, pid(), OsPid :: pos_integer()} | {error, term()}.
start_link(Options) ->
    proc_lib:start_link(?MODULE, init, [self(), Options], 5000, [{priority, high}]).

%% Sends one frame to the C node. Never blocks.
-spec send(pid(), binary()) -> ok.
send(Owner, Frame) ->
    Owner ! {frame, Frame},
    ok.

%% Closes the C node's stdin; it leaves the cluster in order, or is killed when it does not.
-spec stop(pid()) -> ok.
stop(Owner) ->
    Owner ! stop,
    ok.

init(Client, Options) ->
    process_flag(trap_exit, true),
    try
        true = register_self(),
        open(Options)
    of
        {Port, OsPid} ->
            #{heartbeat_ms := Interval, heartbeat_limit := Limit} = Options,
            proc_lib:init_ack(Client, {ok, self(), OsPid}),
            schedule_tick(Interval),
            loop(#state{
                port = Port,
                os_pid = OsPid,
                client = Client,
                heartbeat_ms = Interval,
                limit = Limit,
                missed = min(0, Limit - ?START_MS) div Interval
            })
    catch
        throw:Reason -> fail(Client, Reason);
        error:Reason -> fail(Client, Reason)
    end.

register_self() ->
    try
        register(?MODULE, self())
    catch
        error:badarg -> throw({already_started, whereis(?MODULE)})
    end.

fail(Client, Reason) ->
    unlink(Client),
    proc_lib:init_ack(Client, {error, Reason}).

open(#{path := Path}) ->
    Port = open_port({spawn_executable, Path}, [
        {args, ["--port"]},
        {packet, 4},
        {busy_limits_port, ?BUSY_LIMITS},
        binary,
        exit_status,
        use_stdio
    ]),
    case erlang:port_info(Port, os_pid) of
        {os_pid, OsPid} -> {Port, OsPid};
        undefined -> throw(exited_at_once)
    end.

loop(#state{port = Port, client = Client} = S) ->
    receive
        {Port, {data, Frame}} ->
            loop(from_cnode(Frame, S));
        {frame, Frame} ->
            loop(write(Frame, S));
        tick ->
            tick(S);
        retry ->
            loop(flush(S));
        {Port, {exit_status, Status}} ->
            exit({exited, Status});
        {'EXIT', Port, Reason} ->
            %% The pipe broke; whether the process is gone is another matter.
            leave(S),
            exit({exited, Reason});
        stop ->
            leave(S);
        {'EXIT', Client, _} ->
            leave(S);
        _ ->
            loop(S)
    end.

%% Any frame but a heartbeat is the client's.
from_cnode(Frame, #state{client = Client} = S) ->
    case is_heartbeat(Frame) of
        true ->
            %% The answer is the same term.
            write_first(Frame, S#state{missed = 0});
        false ->
            Client ! {?MODULE, self(), {frame, Frame}},
            S
    end.

%% `{heartbeat, N}' in each of the forms that atoms have in the external format.
is_heartbeat(<<131, 104, 2, 119, 9, "heartbeat", _/binary>>) -> true;
is_heartbeat(<<131, 104, 2, 100, 0, 9, "heartbeat", _/binary>>) -> true;
is_heartbeat(<<131, 104, 2, 118, 0, 9, "heartbeat", _/binary>>) -> true;
is_heartbeat(<<131, 104, 2, 115, 9, "heartbeat", _/binary>>) -> true;
is_heartbeat(_) -> false.

tick(#state{missed = Missed, heartbeat_ms = Interval, limit = Limit} = S) when
    (Missed + 1) * Interval >= Limit
->
    hung(S);
tick(#state{pending_bytes = Bytes} = S) when Bytes > ?PENDING_MAX ->
    hung(S);
tick(#state{missed = Missed, heartbeat_ms = Interval} = S) ->
    schedule_tick(Interval),
    loop(S#state{missed = Missed + 1}).

schedule_tick(Interval) ->
    erlang:send_after(Interval, self(), tick).

write(Frame, #state{pending_bytes = 0} = S) ->
    case command(Frame, S) of
        true -> S;
        false -> wait(queue:in(Frame, S#state.pending), byte_size(Frame), S)
    end;
write(Frame, #state{pending = Pending, pending_bytes = Bytes} = S) ->
    S#state{pending = queue:in(Frame, Pending), pending_bytes = Bytes + byte_size(Frame)}.

%% A heartbeat's answer overtakes what waits.
write_first(Frame, #state{pending_bytes = 0} = S) ->
    write(Frame, S);
write_first(Frame, #state{pending = Pending, pending_bytes = Bytes} = S) ->
    case command(Frame, S) of
        true ->
            S;
        false ->
            S#state{pending = queue:in_r(Frame, Pending), pending_bytes = Bytes + byte_size(Frame)}
    end.

wait(Pending, Bytes, S) ->
    erlang:send_after(?RETRY_MS, self(), retry),
    S#state{pending = Pending, pending_bytes = Bytes}.

flush(#state{pending = Pending, pending_bytes = Bytes} = S) ->
    case queue:out(Pending) of
        {empty, _} ->
            S;
        {{value, Frame}, Rest} ->
            case command(Frame, S) of
                true -> flush(S#state{pending = Rest, pending_bytes = Bytes - byte_size(Frame)});
                false -> wait(Pending, Bytes, S)
            end
    end.

%% False while the port is busy. A port that is gone takes everything: its exit is on the way.
command(Frame, #state{port = Port}) ->
    try
        erlang:port_command(Port, Frame, [nosuspend])
    catch
        error:badarg -> true
    end.

-spec hung(#state{}) -> no_return().
hung(#state{client = Client} = S) ->
    Client ! {?MODULE, self(), hung},
    kill(S),
    exit(hung).

%% A process in an uninterruptible wait outlives SIGKILL for a while; a second C node beside it
%% would be refused by epmd, so there is nothing better to do than to wait.
kill(#state{port = Port, os_pid = OsPid} = S) ->
    muster_os_process:kill(OsPid),
    receive
        {Port, {exit_status, _}} -> ok;
        {'EXIT', Port, _} -> ok
    after ?KILL_RETRY_MS ->
        kill(S)
    end.

leave(#state{port = Port, os_pid = OsPid}) ->
    catch erlang:port_close(Port),
    case muster_os_process:await_gone(OsPid, ?LEAVE_MS) of
        gone -> ok;
        alive -> end_by_force(OsPid)
    end.

end_by_force(OsPid) ->
    muster_os_process:kill(OsPid),
    case muster_os_process:await_gone(OsPid, ?KILL_RETRY_MS) of
        gone -> ok;
        alive -> end_by_force(OsPid)
    end.
