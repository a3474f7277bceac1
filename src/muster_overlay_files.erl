%% @private
%% An overlay's files, and what can be read back from them.
%%
%% A snapshot, `NAME.snapshot', and after it logs, `NAME.log.1' and so on, each beginning with a line that
%% says what it is, then records: size, CRC-32, external term. A snapshot's records are pieces of the
%% map, the last one its context; a log's are deltas. What cannot be read is copied aside and cut off: a
%% torn end is what a power failure leaves behind.
-module(muster_overlay_files).

-export([base/2, restore/1, snapshot/1, log/2, logs/1, header/0, record/1]).

-export_type([error/0]).

-include_lib("kernel/include/logger.hrl").

-define(HEADER, <<"muster overlay 1\n">>).
-define(HEADER_MAX, 32).
-define(LOG_META, #{domain => [muster]}).

-type error() :: file:posix() | badarg | {newer_version, file:filename()}.

%% The files' common beginning, whatever the working directory is later; not where a newer muster has written. Several
%% overlays may share a directory.
-spec base(file:name_all(), atom()) -> {ok, string()} | {error, error()}.
base(Directory, Name) ->
    Path = filename:join(filename:absname(Directory), uri_string:quote(atom_to_binary(Name, utf8))),
    Base = unicode:characters_to_list(Path),
    case filelib:ensure_dir(Base) of
        ok ->
            case lists:filter(fun is_newer/1, files(Base)) of
                [] -> {ok, Base};
                [File | _] -> {error, {newer_version, File}}
            end;
        {error, Reason} ->
            {error, Reason}
    end.

files(Base) ->
    [snapshot(Base) | [log(Base, N) || N <- logs(Base)]].

is_newer(File) ->
    case re:run(beginning(File), "^muster overlay ([0-9]+)\n", [{capture, all_but_first, list}]) of
        {match, [Version]} -> Version =/= "1";
        nomatch -> false
    end.

beginning(File) ->
    case file:open(File, [read, raw, binary]) of
        {ok, Device} ->
            Read = file:read(Device, ?HEADER_MAX),
            ok = file:close(Device),
            case Read of
                {ok, Bytes} -> Bytes;
                _ -> <<>>
            end;
        {error, _} ->
            <<>>
    end.

-spec snapshot(string()) -> string().
snapshot(Base) ->
    Base ++ ".snapshot".

-spec log(string(), pos_integer()) -> string().
log(Base, N) ->
    Base ++ ".log." ++ integer_to_list(N).

%% The numbers of the logs that are there, in order.
-spec logs(string()) -> [pos_integer()].
logs(Base) ->
    Prefix = filename:basename(Base) ++ ".log.",
    Names =
        case file:list_dir(filename:dirname(Base)) of
            {ok, Listed} -> Listed;
            {error, _} -> []
        end,
    lists:sort([
        N
     || Name <- Names,
        Suffix <- [string:prefix(Name, Prefix)],
        Suffix =/= nomatch,
        {N, []} <- [string:to_integer(Suffix)],
        N > 0
    ]).

-spec header() -> binary().
header() ->
    ?HEADER.

-spec record(term()) -> [binary()].
record(Term) ->
    Payload = term_to_binary(Term),
    [<<(byte_size(Payload)):32, (erlang:crc32(Payload)):32>>, Payload].

%% The state that was kept.
-spec restore(string()) -> muster_overlay_state:state().
restore(Base) ->
    [Snapshot | Logs] = files(Base),
    lists:foldl(fun from_log/2, from_snapshot(Snapshot), Logs).

from_snapshot(File) ->
    case replay(File, fun piece/2, {unfinished, muster_overlay_state:new()}) of
        {complete, State} ->
            State;
        {unfinished, #{root := Root}} ->
            muster_trie:size(Root) > 0 andalso
                ?LOG_ERROR("overlay: ~ts has no end and is not used", [File], ?LOG_META),
            muster_overlay_state:new()
    end.

piece({piece, Entries}, {unfinished, State}) ->
    Put = fun({Key, Siblings}, Acc) -> muster_crdt:put_siblings(Key, Siblings, Acc) end,
    {unfinished, lists:foldl(Put, State, Entries)};
piece({context, Context}, {unfinished, State}) when is_map(Context) ->
    {complete, State#{context := Context}}.

from_log(File, State) ->
    replay(File, fun delta/2, State).

%% A gap follows a snapshot that was lost: peers have what is missing here.
delta({delta, Delta}, State) ->
    case muster_overlay_state:join(Delta, State) of
        {ok, Joined} -> Joined;
        {error, gap} -> State
    end.

%% Folds over a file's records up to the first that is none.
replay(File, Fun, Acc) ->
    case file:read_file(File) of
        {ok, <<"muster overlay 1\n", Records/binary>>} ->
            records(File, byte_size(?HEADER), Records, Fun, Acc);
        {ok, <<>>} ->
            Acc;
        {ok, _} ->
            aside(File, 0, "it is none of an overlay's"),
            Acc;
        {error, enoent} ->
            Acc;
        {error, Reason} ->
            ?LOG_ERROR("overlay: ~ts cannot be read: ~ts", [File, file:format_error(Reason)], ?LOG_META),
            Acc
    end.

records(_File, _At, <<>>, _Fun, Acc) ->
    Acc;
records(File, At, <<Size:32, Crc:32, Payload:Size/binary, Rest/binary>>, Fun, Acc) ->
    try
        Crc = erlang:crc32(Payload),
        Fun(binary_to_term(Payload), Acc)
    of
        Next -> records(File, At + 8 + Size, Rest, Fun, Next)
    catch
        error:_ ->
            aside(File, At, "a record is damaged"),
            Acc
    end;
records(File, At, _Torn, _Fun, Acc) ->
    aside(File, At, "its end is torn off"),
    Acc.

aside(File, At, Why) ->
    Copy = File ++ ".damaged-" ++ integer_to_list(erlang:system_time(second)),
    case file:copy(File, Copy) of
        {ok, _} ->
            _ = truncate(File, At),
            ?LOG_ERROR("overlay: ~ts, from byte ~b: ~ts; it is kept as ~ts", [File, At, Why, Copy], ?LOG_META);
        %% The disk is full: what there is stays as it is.
        {error, Reason} ->
            _ = file:delete(Copy),
            Text = [File, At, Why, Copy, file:format_error(Reason)],
            ?LOG_ERROR("overlay: ~ts, from byte ~b: ~ts; it cannot be kept as ~ts: ~ts", Text, ?LOG_META)
    end.

truncate(File, At) ->
    case file:open(File, [read, write, raw]) of
        {ok, Device} ->
            {ok, At} = file:position(Device, At),
            ok = file:truncate(Device),
            file:close(Device);
        {error, _} = Error ->
            Error
    end.
