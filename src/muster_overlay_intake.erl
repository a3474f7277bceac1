%% @private
%% A stream that comes in, from one peer at a time: its chunks in their order, and what each brings. Pure.
%%
%% A chunk is an interval of one lineage, with the entries that it brought and that still live: valid by itself, in
%% this order, whatever else happens meanwhile. Entries name all their dots, so that what they replaced is dropped
%% here. See muster_overlay_streams for the sender.
-module(muster_overlay_intake).

-export([idle/0, start/3, source/2, has_failed/2, started/1, arrived/4, next/2, take/3]).
-export_type([intake/0, taken/0]).

%% Without a chunk for so long a load has failed.
-define(ALIVE_MS, 5000).
%% More than the sender has under way; further ones are refused, and come again.
-define(WAITING, 32).

-record(intake, {
    from :: muster_overlay_roster:id(),
    reference :: reference(),
    next = 1 :: pos_integer(),
    %% What the sender has seen.
    theirs = #{} :: muster_causal:counters(),
    started :: integer(),
    heard :: integer(),
    %% Chunks that came and are still to be taken in.
    chunks = queue:new() :: queue:queue(muster_overlay_streams:chunk())
}).
-opaque intake() :: idle | #intake{}.
%% What a chunk brought: word how many entries there will be at most, the net changes with the delta that made them, or
%% word that this was all.
-type taken() ::
    {begun, non_neg_integer()}
    | {part, muster_crdt_delta:delta(), [muster_overlay_state:change()], muster_overlay_replica:replica()}
    | all.

-spec idle() -> intake().
idle() ->
    idle.

-spec start(muster_overlay_roster:id(), reference(), Now :: integer()) -> intake().
start(From, Reference, Now) ->
    #intake{from = From, reference = Reference, started = Now, heard = Now}.

%% From whom one comes in.
-spec source(Now :: integer(), intake()) -> muster_overlay_roster:id() | none.
source(Now, #intake{from = From, heard = Heard}) when Now - Heard < ?ALIVE_MS -> From;
source(_, _) -> none.

-spec has_failed(Now :: integer(), intake()) -> boolean().
has_failed(Now, I) ->
    I =/= idle andalso source(Now, I) =:= none.

-spec started(intake()) -> {muster_overlay_roster:id(), At :: integer()}.
started(#intake{from = From, started = Started}) ->
    {From, Started}.

%% What is to be done about a chunk: it is next, it waits behind others, or all up to some number were taken in before.
-spec arrived({muster_overlay_roster:id(), Reference :: term()}, Sequence :: term(), term(), intake()) ->
    {next | behind | {got, UpTo :: non_neg_integer()} | refused, intake()}.
arrived({Id, Reference}, Sequence, Chunk, #intake{from = Id, reference = Reference} = I) ->
    #intake{next = Next, chunks = Chunks} = I,
    Waiting = queue:len(Chunks),
    if
        Sequence =:= Next + Waiting, Waiting =:= 0 -> {next, I#intake{chunks = queue:in(Chunk, Chunks)}};
        Sequence =:= Next + Waiting, Waiting < ?WAITING -> {behind, I#intake{chunks = queue:in(Chunk, Chunks)}};
        is_integer(Sequence), Sequence < Next -> {{got, Next - 1}, I};
        true -> {refused, I}
    end;
%% The end of a load came twice.
arrived(_Stream, Sequence, end_load, I) when is_integer(Sequence) ->
    {{got, Sequence}, I};
arrived(_Stream, _Sequence, _Chunk, I) ->
    {refused, I}.

%% The next one, and whether others wait behind it.
-spec next(Now :: integer(), intake()) ->
    {{reference(), Sequence :: pos_integer()}, term(), IsLast :: boolean(), intake()} | empty.
next(_Now, idle) ->
    empty;
next(Now, #intake{reference = Reference, next = Next, chunks = Chunks} = I) ->
    case queue:out(Chunks) of
        {empty, _} ->
            empty;
        {{value, Chunk}, Left} ->
            Taken = I#intake{next = Next + 1, heard = Now, chunks = Left},
            {{Reference, Next}, Chunk, queue:is_empty(Left), Taken}
    end.

%% Takes in a chunk. Raises where it is malformed.
-spec take(muster_overlay_streams:chunk(), muster_overlay_replica:replica(), intake()) -> {taken(), intake()}.
take({begin_load, Theirs}, Replica, I) ->
    #{context := Ours} = State = muster_overlay_replica:state(Replica),
    Entries = muster_overlay_state:size(State) + muster_overlay_state:missing(Ours, Theirs),
    {{begun, Entries}, I#intake{theirs = muster_causal:counters(Theirs)}};
take({part, _, _} = Part, Replica, #intake{theirs = Theirs} = I) ->
    State = muster_overlay_replica:state(Replica),
    Delta = delta(Part, Theirs, State),
    {ok, New} = muster_overlay_state:join(Delta, State),
    {Changes, Adopted} = muster_overlay_replica:adopt(touched(Part, State), New, Replica),
    {{part, Delta, Changes, Adopted}, I};
take(end_load, _Replica, I) ->
    {all, I}.

%% Of the entries those dots that lie in the interval live, and those here that the sender has seen and does not list
%% are dead.
delta({part, {_, Lineage, Above, UpTo} = Interval, Entries}, Theirs, #{root := Root}) ->
    Live = [
        {Key, [S || S <- Siblings, element(1, S) =:= Lineage, element(2, S) > Above, element(2, S) =< UpTo]}
     || {Key, Siblings} <- Entries
    ],
    Dead = [
        {Key, Dots}
     || {Key, Siblings} <- Entries,
        Dots <- [replaced(Siblings, muster_trie:siblings(Key, Root), Theirs)],
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

%% Where part of the interval was here already, more may have died than is named.
touched({part, {_, Lineage, Above, _}, Entries}, #{context := Context}) ->
    case maps:get(Lineage, muster_causal:counters(Context), 0) =< Above of
        true -> [Key || {Key, _} <- Entries];
        false -> all
    end.
