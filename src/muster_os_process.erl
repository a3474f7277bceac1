%% @private
%% Looks at and ends operating system processes by their id. The shell's own `kill' is used, as a
%% small system may have no such program; the id travels as an argument, never in the script.
-module(muster_os_process).

-export([alive/1, kill/1, await_gone/2]).

-define(ANSWER_MS, 1000).
-define(POLL_MS, 10).

%% Whether a process of that id exists.
-spec alive(pos_integer()) -> boolean().
alive(OsPid) ->
    run("kill -0 \"$1\" 2>/dev/null", OsPid) =:= 0.

%% Sends SIGKILL; a process that is gone already is fine.
-spec kill(pos_integer()) -> ok.
kill(OsPid) ->
    _ = run("kill -9 \"$1\" 2>/dev/null", OsPid),
    ok.

%% Waits until the process is gone, at most some milliseconds. Blocks the caller.
-spec await_gone(pos_integer(), non_neg_integer()) -> gone | alive.
await_gone(OsPid, TimeoutMs) ->
    await_until(OsPid, erlang:monotonic_time(millisecond) + TimeoutMs).

await_until(OsPid, Deadline) ->
    case alive(OsPid) of
        false ->
            gone;
        true ->
            case erlang:monotonic_time(millisecond) >= Deadline of
                true ->
                    alive;
                false ->
                    receive after ?POLL_MS -> ok end,
                    await_until(OsPid, Deadline)
            end
    end.

run(Script, OsPid) ->
    Port = open_port({spawn_executable, "/bin/sh"}, [
        {args, ["-c", Script, "sh", integer_to_list(OsPid)]}, exit_status, in
    ]),
    receive
        {Port, {exit_status, Status}} -> Status
    after ?ANSWER_MS ->
        catch erlang:port_close(Port),
        timeout
    end.
