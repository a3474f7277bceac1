%% @private
%% Keeps an overlay's state on disk: a process that appends what changed to a log, and now and then has a
%% snapshot written, after which the older logs go. The server is never kept waiting.
-module(muster_overlay_store).

-export([open/2, flush/2, append/4, stored/3, changed/2, is_full/1, close/2, is_writer/2]).
-export_type([store/0]).

-include_lib("kernel/include/logger.hrl").

-opaque store() :: #{
    writer := pid(),
    %% What the writer was given last, how many of its writes are not confirmed, and how many
    %% changes it does not have yet.
    given := muster_overlay_state:state(),
    outstanding := non_neg_integer(),
    changes := non_neg_integer()
}.

%% Deltas of about so many keys are made; and no more than so many wait for a slow disk.
-define(CHANGES, 500).
-define(OUTSTANDING, 32).
-define(CLOSE_MS, 4000).
%% Logs are replaced by a snapshot when they are bigger than that, and than the last snapshot.
-define(LOGS_BYTES, 4194304).
%% About as many bytes are made safe at one go.
-define(SYNC_BYTES, 1048576).
-define(LOG_META, #{domain => [muster]}).

%% What the files hold; and the writer is started, linked, with a log of its own.
-spec open(file:name_all(), Name :: atom()) -> {ok, muster_overlay_state:state(), store()} | {error, Reason} when
    Reason :: file:posix() | badarg | {newer_version, file:filename()}.
open(Directory, Name) ->
    case muster_overlay_files:base(Directory, Name) of
        {ok, Base} -> open_at(Base, lists:max([0 | muster_overlay_files:logs(Base)]) + 1);
        {error, Reason} -> {error, Reason}
    end.

%% Nothing is read where nothing can be written.
open_at(Base, Number) ->
    Server = self(),
    case open_log(Base, Number) of
        {ok, Device} ->
            ok = file:close(Device),
            try muster_overlay_files:restore(Base) of
                State ->
                    Writer = spawn_link(fun() -> run(Server, Base, Number) end),
                    {ok, State, #{writer => Writer, given => State, outstanding => 0, changes => 0}}
            catch
                throw:{newer_version, _} = Reason ->
                    _ = file:delete(muster_overlay_files:log(Base, Number)),
                    {error, Reason}
            end;
        {error, Reason} ->
            {error, Reason}
    end.

-spec changed(non_neg_integer(), store()) -> store().
changed(N, #{changes := Changes} = Store) ->
    Store#{changes := Changes + N}.

%% Whether it is time to flush, lest the delta gets too big.
-spec is_full(store()) -> boolean().
is_full(#{changes := Changes}) ->
    Changes >= ?CHANGES.

%% Has written what is new, unless too much waits already.
-spec flush(muster_overlay_state:state(), store()) -> store().
flush(State, #{writer := Writer, given := Given, outstanding := Outstanding} = Store) when Outstanding < ?OUTSTANDING ->
    case muster_overlay_state:is_same(Given, State) of
        true ->
            Store#{changes := 0};
        false ->
            Writer ! {append, muster_crdt_delta:delta(Given, State), compact},
            Store#{given := State, outstanding := Outstanding + 1, changes := 0}
    end;
flush(_State, Store) ->
    Store.

%% Has a delta written as it came from elsewhere, which costs the server nothing but to hand it on, if it made `New'
%% of what was given last. As many may follow, the logs are not replaced by a snapshot now.
-spec append(muster_crdt_delta:delta(), Old, New, store()) -> store() when
    Old :: muster_overlay_state:state(), New :: muster_overlay_state:state().
append(Delta, Old, New, #{writer := Writer, given := Given, outstanding := Outstanding} = Store) ->
    case Outstanding < ?OUTSTANDING andalso muster_overlay_state:is_same(Given, Old) of
        true ->
            Writer ! {append, Delta, later},
            Store#{given := New, outstanding := Outstanding + 1, changes := 0};
        false ->
            Store
    end.

%% So many writes are on disk.
-spec stored(pid(), pos_integer(), store()) -> store().
stored(Writer, Records, #{writer := Writer, outstanding := Outstanding} = Store) ->
    Store#{outstanding := Outstanding - Records};
stored(_, _, Store) ->
    Store.

-spec is_writer(pid(), store() | none) -> boolean().
is_writer(Pid, #{writer := Pid}) -> true;
is_writer(_, _) -> false.

%% Has written the rest, and waits for it.
-spec close(muster_overlay_state:state(), store()) -> ok.
close(State, #{writer := Writer} = Store) ->
    _ = flush(State, Store#{outstanding := 0}),
    unlink(Writer),
    Monitor = erlang:monitor(process, Writer),
    Writer ! close,
    receive
        {'DOWN', Monitor, process, _, _} -> ok
    after ?CLOSE_MS -> ok
    end.

%%% The writer

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

%% A disk that fails ends the writer; the server opens the store anew.
loop(#{server := Server, device := Device, bytes := Bytes, snapshot := Snapshot} = W) ->
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
            #{base := Base} = W,
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
            _ = Before =:= byte_size(muster_overlay_files:header()) andalso
                file:delete(muster_overlay_files:log(Base, Number)),
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
