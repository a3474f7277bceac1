%% @private
%% The process that writes an overlay's files: appends what changed to a log, and now and then has a snapshot written,
%% after which the older logs go.
-module(muster_overlay_writer).

-export([start_link/1, append/3, close/1]).

-include_lib("kernel/include/logger.hrl").

-define(CLOSE_MS, 4000).
%% Logs are replaced by a snapshot when they are bigger than that, and than the last snapshot.
-define(LOGS_BYTES, 4194304).
%% About as many bytes are made safe at one go.
-define(SYNC_BYTES, 1048576).
%% Bytes of a log without changes.
-define(EMPTY, byte_size(muster_overlay_files:header())).
-define(LOG_META, #{domain => [muster]}).

%% What the files hold; and a writer with a log of its own, for the calling server, from which it reads snapshots. A disk
%% that fails later ends it. Nothing is read where nothing can be written.
-spec start_link(string()) -> {ok, muster_overlay_state:state(), pid()} | {error, file:posix() | badarg}.
start_link(Base) ->
    Server = self(),
    %% One that nothing was written to is used again.
    Used = [N || N <- muster_overlay_files:logs(Base), filelib:file_size(muster_overlay_files:log(Base, N)) > ?EMPTY],
    Number = lists:max([0 | Used]) + 1,
    case open_log(Base, Number) of
        {ok, Device} ->
            ok = file:close(Device),
            State = muster_overlay_files:restore(Base),
            {ok, State, spawn_link(fun() -> run(Server, Base, Number) end)};
        {error, Reason} ->
            {error, Reason}
    end.

%% Has a delta written, after which `{stored, Writer, Records}' tells the server how many are. `later': as many may
%% follow, the logs are not replaced by a snapshot now.
-spec append(muster_crdt_delta:delta(), compact | later, pid()) -> ok.
append(Delta, When, Writer) ->
    Writer ! {append, Delta, When},
    ok.

%% Waits for what is being written.
-spec close(pid()) -> ok.
close(Writer) ->
    unlink(Writer),
    Monitor = erlang:monitor(process, Writer),
    Writer ! close,
    receive
        {'DOWN', Monitor, process, _, _} -> ok
    after ?CLOSE_MS -> ok
    end.

run(Server, Base, Number) ->
    process_flag(trap_exit, true),
    loop(
        compacted(#{
            server => Server,
            base => Base,
            number => Number,
            device => opened(open_log(Base, Number)),
            bytes => logs_bytes(Base),
            limit => limit(Base),
            snapshot => none
        })
    ).

%% One that nothing can be written to is not left behind.
open_log(Base, Number) ->
    File = muster_overlay_files:log(Base, Number),
    case file:write_file(File, muster_overlay_files:header()) of
        ok ->
            file:open(File, [append, raw, binary]);
        {error, Reason} ->
            _ = file:delete(File),
            {error, Reason}
    end.

opened({ok, Device}) -> Device;
opened({error, Reason}) -> exit({disk, Reason}).

logs_bytes(Base) ->
    lists:sum([filelib:file_size(muster_overlay_files:log(Base, N)) || N <- muster_overlay_files:logs(Base)]).

limit(Base) ->
    max(?LOGS_BYTES, filelib:file_size(muster_overlay_files:snapshot(Base))).

loop(#{server := Server, base := Base, device := Device, bytes := Bytes, snapshot := Snapshot} = W) ->
    receive
        {append, Delta, When} ->
            {Written, Records, Compact} = appended(Delta, When, W),
            Server ! {stored, self(), Records},
            Appended = W#{bytes := Bytes + Written},
            loop(
                case Compact of
                    true -> compacted(Appended);
                    false -> Appended
                end
            );
        {'DOWN', Monitor, process, _, Reason} when {Monitor, Reason} =:= {Snapshot, normal} ->
            loop(superseded(W));
        {'DOWN', Snapshot, process, _, Reason} ->
            _ = file:delete(temporary(Base)),
            ?LOG_ERROR("overlay: no snapshot could be written to ~ts: ~tP", [Base, Reason, 8], ?LOG_META),
            loop(W#{snapshot := none, bytes := 0});
        {'EXIT', Server, _} ->
            ok;
        close ->
            file:close(Device)
    end.

%% What a full disk leaves half written is taken back: it would only be in the way when there is room again.
appended(Delta, When, #{device := Device, base := Base, number := Number}) ->
    {ok, Before} = file:position(Device, eof),
    try
        Appended = append_all(Delta, When, Device, {0, 0, false}),
        must(file:datasync(Device)),
        Appended
    catch
        exit:Reason ->
            _ = file:position(Device, Before) =:= {ok, Before} andalso file:truncate(Device),
            _ = Before =:= ?EMPTY andalso file:delete(muster_overlay_files:log(Base, Number)),
            exit(Reason)
    end.

%% What waits already is made safe along with it.
append_all(Delta, When, Device, {Bytes, Records, Compact}) ->
    Record = muster_overlay_files:record({delta, Delta}),
    must(file:write(Device, Record)),
    Appended = {Bytes + iolist_size(Record), Records + 1, Compact orelse When =:= compact},
    receive
        {append, Next, Then} when element(1, Appended) < ?SYNC_BYTES -> append_all(Next, Then, Device, Appended)
    after 0 -> Appended
    end.

must(ok) -> ok;
must({error, Reason}) -> exit({disk, Reason}).

%% Begins a snapshot where there is much to replay. From here on another log is written: what the older ones hold is in
%% the snapshot.
compacted(#{snapshot := none, bytes := Bytes, limit := Limit, base := Base, number := Number} = W) when Bytes > Limit ->
    #{server := Server, device := Device} = W,
    must(file:close(Device)),
    Next = opened(open_log(Base, Number + 1)),
    {_, Monitor} = spawn_monitor(fun() -> write_snapshot(Server, Base) end),
    W#{device := Next, number := Number + 1, bytes := 0, snapshot := Monitor};
compacted(W) ->
    W.

superseded(#{base := Base, number := Number} = W) ->
    Older = [N || N <- muster_overlay_files:logs(Base), N < Number],
    lists:foreach(fun(N) -> file:delete(muster_overlay_files:log(Base, N)) end, Older),
    W#{snapshot := none, limit := limit(Base)}.

temporary(Base) ->
    muster_overlay_files:snapshot(Base) ++ ".tmp".

write_snapshot(Server, Base) ->
    {Pin, Paths, Context} = muster_overlay_pin:take(Server),
    Temporary = temporary(Base),
    Device = opened(file:open(Temporary, [write, raw, binary])),
    Write = fun(Data) -> must(file:write(Device, Data)) end,
    Write(muster_overlay_files:header()),
    lists:foreach(
        fun(Path) -> Write(muster_overlay_files:record({piece, muster_overlay_pin:piece(Pin, Path)})) end, Paths
    ),
    Write(muster_overlay_files:record({context, Context})),
    must(file:sync(Device)),
    must(file:close(Device)),
    must(file:rename(Temporary, muster_overlay_files:snapshot(Base))),
    ok = muster_overlay_pin:release(Pin).
