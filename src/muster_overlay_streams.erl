%% @private
%% Streams that go out: each brings a peer what it has not seen, in messages of bounded size, and has a process of its
%% own, which lives as long as that takes. A peer has one at a time.
%%
%% The receiver says what it has seen (a context). A chunk is an interval of one lineage from there on,
%% with the entries that it brought and that still live: valid by itself, in this order, whatever else
%% happens meanwhile. Entries name all their dots, so that the receiver drops what they replaced
%% (muster_overlay_intake). What was removed altogether is left to the session that follows.
%%
%% The process gets the state from the server piece by piece, so that nobody stalls, and sends at most
%% a few chunks ahead of what is acknowledged. Lost ones are sent again from there on.
-module(muster_overlay_streams).

-export([new/0, start/4, acknowledged/3, ended/2]).
-export_type([streams/0, stream/0, chunk/0]).

%% To whom it goes, and the receiver's reference for it.
-type stream() :: {muster_overlay_roster:id(), Reference :: term()}.
-opaque streams() :: #{Monitor :: reference() => {stream(), pid(), whole | latest}}.

-type chunk() ::
    {begin_load, muster_causal:context()}
    | {part, Interval :: tuple(), [{muster_overlay_state:key(), muster_trie:siblings()}]}
    | end_load.

-define(CHUNK_BYTES, 60000).
-define(CHUNK_ENTRIES, 400).
-define(WINDOW, 8).
-define(REPEAT_MS, 500).
-define(GIVE_UP_MS, 15000).
%% Of so many at once all of the state is gone through, of which each process has a list: some 400 bytes for each entry.
-define(WHOLE, 8).

-spec new() -> streams().
new() ->
    #{}.

%% Starts one from the calling server, in place of another one to this peer; once only. `Seen' is what the receiver has;
%% what it lacks is told here, or to be looked for in all of the server's state. Where that is done for too many already,
%% nothing is started: who hears nothing asks again, or somebody else. For each message that is sent, the server gets
%% `{streamed, Id, Bytes, sent | lost}'.
-spec start(stream(), Lacking, {[{atom(), node()}], muster_overlay_carrier:carrier()}, streams()) -> streams() when
    Lacking :: {Seen :: muster_causal:counters(), muster_overlay_state:latest()}.
start({Id, _} = Stream, {_, Latest} = Lacking, To, Streams) ->
    {ToPeer, ToOthers} = lists:partition(fun({{I, _}, _, _}) -> I =:= Id end, maps:values(Streams)),
    Kind =
        case Latest of
            unknown -> whole;
            _ -> latest
        end,
    case lists:keymember(Stream, 1, ToPeer) orelse (Kind =:= whole andalso is_enough(ToOthers)) of
        true ->
            Streams;
        false ->
            lists:foreach(fun({_, Pid, _}) -> exit(Pid, kill) end, ToPeer),
            Server = self(),
            {Pid, Monitor} = spawn_monitor(fun() -> run(Server, Lacking, sender(Server, Stream, To)) end),
            Streams#{Monitor => {Stream, Pid, Kind}}
    end.

is_enough(Streams) ->
    length([whole || {_, _, whole} <- Streams]) >= ?WHOLE.

%% The receiver has taken in all up to that chunk.
-spec acknowledged(stream(), Sequence :: integer(), streams()) -> ok.
acknowledged(Stream, Sequence, Streams) ->
    Pids = [Pid || {S, Pid, _} <- maps:values(Streams), S =:= Stream],
    lists:foreach(fun(Pid) -> Pid ! {acknowledged, Sequence} end, Pids).

%% A process is gone whose monitor this may be.
-spec ended(reference(), streams()) -> streams().
ended(Monitor, Streams) ->
    maps:remove(Monitor, Streams).

%%% The process

run(Server, {Seen, Latest}, Send) ->
    Monitor = erlang:monitor(process, Server),
    {Context, Entries} = lacking(Server, Seen, Latest),
    Chunks = [{begin_load, Context} | parts(Context, Seen, Entries)] ++ [end_load],
    pace(1, Chunks, [], Send, {Monitor, now_ms()}).

sender(Server, {Id, Reference}, {Addresses, Carrier}) ->
    fun(Sequence, Chunk) ->
        Body = {chunk, Reference, Sequence, Chunk},
        Sent = muster_overlay_carrier:send(Addresses, Body, Carrier),
        Server ! {streamed, Id, erlang:external_size(Body), Sent}
    end.

lacking(_Server, Seen, {Context, Entries}) ->
    {Context, unseen_of(Entries, Seen, #{})};
lacking(Server, Seen, unknown) ->
    {Pin, Paths, Context} = muster_overlay_pin:take(Server),
    Collect = fun(Path, Acc) -> unseen_of(muster_overlay_pin:piece(Pin, Path), Seen, Acc) end,
    Entries = lists:foldl(Collect, #{}, Paths),
    ok = muster_overlay_pin:release(Pin),
    {Context, Entries}.

unseen_of(Entries, Seen, Acc) ->
    lists:foldl(fun(Entry, Found) -> unseen(Entry, Seen, Found) end, Acc, Entries).

%% By lineage, as chunks are. An entry with several new dots comes with each.
unseen({Key, Siblings}, Seen, Acc) ->
    lists:foldl(
        fun(Sibling, Inner) ->
            {Lineage, N} = {element(1, Sibling), element(2, Sibling)},
            case muster_causal:is_seen({Lineage, N}, Seen) of
                true -> Inner;
                false -> maps:update_with(Lineage, fun(L) -> [{N, Key, Siblings} | L] end, [{N, Key, Siblings}], Inner)
            end
        end,
        Acc,
        Siblings
    ).

parts(Context, Seen, Entries) ->
    lists:flatmap(
        fun({Replica, Lineage, UpTo}) ->
            case maps:get(Lineage, Seen, 0) of
                Known when Known >= UpTo -> [];
                Known -> cut(Replica, Lineage, Known, UpTo, lists:sort(maps:get(Lineage, Entries, [])))
            end
        end,
        muster_causal:entries(Context)
    ).

cut(Replica, Lineage, Above, UpTo, Entries) ->
    case take(Entries, ?CHUNK_ENTRIES, ?CHUNK_BYTES, []) of
        {Taken, []} ->
            [{part, {Replica, Lineage, Above, UpTo}, without_numbers(Taken)}];
        {[{Last, _, _} | _] = Taken, Rest} ->
            [{part, {Replica, Lineage, Above, Last}, without_numbers(Taken)} | cut(Replica, Lineage, Last, UpTo, Rest)]
    end.

take([Entry | Rest], Count, Bytes, Taken) when Count > 0, Bytes > 0 ->
    take(Rest, Count - 1, Bytes - erlang:external_size(Entry), [Entry | Taken]);
take(Rest, _Count, _Bytes, Taken) ->
    {Taken, Rest}.

without_numbers(Taken) ->
    [{Key, Siblings} || {_, Key, Siblings} <- Taken].

%% `Sent' are those without an acknowledgement, the oldest first.
pace(_Next, [], [], _Send, _) ->
    ok;
pace(Next, [Chunk | Chunks], Sent, Send, Life) when length(Sent) < ?WINDOW ->
    Send(Next, Chunk),
    pace(Next + 1, Chunks, Sent ++ [{Next, Chunk}], Send, Life);
pace(Next, Chunks, Sent, Send, {Monitor, Heard} = Life) ->
    receive
        {acknowledged, Sequence} ->
            pace(Next, Chunks, [S || {N, _} = S <- Sent, N > Sequence], Send, {Monitor, now_ms()});
        {'DOWN', Monitor, process, _, _} ->
            ok
    after ?REPEAT_MS ->
        case now_ms() - Heard > ?GIVE_UP_MS of
            true ->
                ok;
            false ->
                lists:foreach(fun({N, Chunk}) -> Send(N, Chunk) end, Sent),
                pace(Next, Chunks, Sent, Send, Life)
        end
    end.

now_ms() ->
    erlang:monotonic_time(millisecond).
