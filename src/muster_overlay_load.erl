%% @private
%% Streams to a peer what it has not seen, in messages of bounded size: the sender's process, which
%% lives as long as that takes, and what the receiver does with a chunk.
%%
%% The receiver says what it has seen (a context). A chunk is an interval of one lineage from there on,
%% with the entries that it brought and that still live: valid by itself, in this order, whatever else
%% happens meanwhile. Entries name all their dots, so that the receiver drops what they replaced. What
%% was removed altogether is left to the session that follows.
%%
%% The process gets the state from the server piece by piece, so that nobody stalls, and sends at most
%% a few chunks ahead of what is acknowledged. Lost ones are sent again from there on.
-module(muster_overlay_load).

-export([start/3, acknowledged/2, delta/3]).
-export_type([chunk/0, send/0]).

-type chunk() ::
    {begin_load, muster_causal:context()}
    | {part, Interval :: tuple(), [{muster_overlay_state:key(), muster_trie:siblings()}]}
    | end_load.
-type send() :: fun((Sequence :: pos_integer(), chunk()) -> term()).

-define(CHUNK_BYTES, 60000).
-define(CHUNK_ENTRIES, 512).
-define(WINDOW, 8).
-define(REPEAT_MS, 500).
-define(GIVE_UP_MS, 15000).

%% `Seen' is what the receiver has.
-spec start(pid(), Seen :: muster_causal:counters(), send()) -> {pid(), reference()}.
start(Server, Seen, Send) ->
    spawn_monitor(fun() -> run(Server, Seen, Send) end).

-spec acknowledged(pid(), pos_integer()) -> ok.
acknowledged(Pid, Sequence) ->
    Pid ! {acknowledged, Sequence},
    ok.

run(Server, Seen, Send) ->
    Monitor = erlang:monitor(process, Server),
    {Pin, Paths, Context} = muster_overlay_pin:take(Server),
    Unseen = fun(Entry, Acc) -> unseen(Entry, Seen, Acc) end,
    Entries = lists:foldl(
        fun(Path, Acc) -> lists:foldl(Unseen, Acc, muster_overlay_pin:piece(Pin, Path)) end, #{}, Paths
    ),
    ok = muster_overlay_pin:release(Pin),
    Chunks = [{begin_load, Context} | parts(Context, Seen, Entries)] ++ [end_load],
    pace(1, Chunks, [], Send, {Monitor, now_ms()}).

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

%% What a part brings to the receiver's state, as a delta: of the entries those dots that lie in the interval
%% live, and those here that the sender has seen and does not list are dead.
-spec delta(chunk(), Theirs :: muster_causal:context(), muster_overlay_state:state()) -> muster_crdt_delta:delta().
delta({part, {_, Lineage, Above, UpTo} = Interval, Entries}, Theirs, #{root := Root}) ->
    Seen = muster_causal:counters(Theirs),
    Live = [
        {Key, [S || S <- Siblings, element(1, S) =:= Lineage, element(2, S) > Above, element(2, S) =< UpTo]}
     || {Key, Siblings} <- Entries
    ],
    Dead = [
        {Key, Dots}
     || {Key, Siblings} <- Entries,
        Dots <- [replaced(Siblings, muster_trie:siblings(Key, Root), Seen)],
        Dots =/= []
    ],
    {delta, [Interval], Dead, Live}.

replaced(_Theirs, [], _Seen) ->
    [];
replaced(Theirs, Ours, Seen) ->
    Named = [dot(S) || S <- Theirs],
    [Dot || S <- Ours, Dot <- [dot(S)], muster_causal:is_seen(Dot, Seen), not lists:member(Dot, Named)].

dot(Sibling) ->
    {element(1, Sibling), element(2, Sibling)}.
