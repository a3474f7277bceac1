%% @private
%% A stream that comes in, from one peer at a time: its chunks, in their order. What a chunk does to the
%% state is muster_overlay_load's. Pure.
-module(muster_overlay_intake).

-export([start/3, from/1, started/1, is_alive/2, arrived/4, next/2, theirs/1, set_theirs/2]).
-export_type([intake/0]).

%% Without a chunk for so long a load has failed.
-define(ALIVE_MS, 5000).
%% More than the sender has under way; further ones are refused, and come again.
-define(WAITING, 32).

-record(intake, {
    from :: muster_overlay_roster:id(),
    reference :: reference(),
    next = 1 :: pos_integer(),
    %% What the sender has seen.
    theirs = muster_causal:new() :: muster_causal:context(),
    started :: integer(),
    heard :: integer(),
    %% Chunks that came and are still to be taken in.
    chunks = queue:new() :: queue:queue(muster_overlay_load:chunk())
}).
-opaque intake() :: #intake{}.

-spec start(muster_overlay_roster:id(), reference(), Now :: integer()) -> intake().
start(From, Reference, Now) ->
    #intake{from = From, reference = Reference, started = Now, heard = Now}.

-spec from(intake()) -> muster_overlay_roster:id().
from(#intake{from = From}) -> From.

-spec started(intake()) -> integer().
started(#intake{started = Started}) -> Started.

-spec is_alive(Now :: integer(), intake()) -> boolean().
is_alive(Now, #intake{heard = Heard}) -> Now - Heard < ?ALIVE_MS.

%% `first': nothing else waits. `repeated': all up to that one were taken in.
-spec arrived({muster_overlay_roster:id(), Reference :: term()}, Sequence :: term(), term(), intake()) ->
    {first | behind, intake()} | {repeated, UpTo :: non_neg_integer()} | refused.
arrived(Source, Sequence, Chunk, #intake{from = Id, reference = Reference, next = Next, chunks = Chunks} = I) ->
    Waiting = queue:len(Chunks),
    if
        Source =/= {Id, Reference} -> refused;
        Sequence =:= Next + Waiting, Waiting =:= 0 -> {first, I#intake{chunks = queue:in(Chunk, Chunks)}};
        Sequence =:= Next + Waiting, Waiting < ?WAITING -> {behind, I#intake{chunks = queue:in(Chunk, Chunks)}};
        is_integer(Sequence), Sequence < Next -> {repeated, Next - 1};
        true -> refused
    end.

%% The next one, and whether others wait behind it.
-spec next(Now :: integer(), intake()) ->
    {{reference(), Sequence :: pos_integer()}, term(), IsLast :: boolean(), intake()} | empty.
next(Now, #intake{reference = Reference, next = Next, chunks = Chunks} = I) ->
    case queue:out(Chunks) of
        {empty, _} ->
            empty;
        {{value, Chunk}, Left} ->
            Taken = I#intake{next = Next + 1, heard = Now, chunks = Left},
            {{Reference, Next}, Chunk, queue:is_empty(Left), Taken}
    end.

-spec theirs(intake()) -> muster_causal:context().
theirs(#intake{theirs = Theirs}) -> Theirs.

-spec set_theirs(muster_causal:context(), intake()) -> intake().
set_theirs(Theirs, I) -> I#intake{theirs = Theirs}.
