%% @doc A big delta, or a whole value, in pieces, made one after the other with bounded work each.
%%
%% ```
%% copy(Stream, Value) ->
%%     case muster_crdt_stream:next(Stream) of
%%         {chunk, Delta, Rest} ->
%%             {ok, Joined} = muster_crdt_delta:join(Value, Delta),
%%             copy(Rest, Joined);
%%         {busy, Rest} ->
%%             copy(Rest, Value);
%%         done ->
%%             Value
%%     end.
%% '''
%%
%% A piece is a valid delta: intervals of lineages with the dots that live in them. It may be joined
%% at any time once those before it have been. Dots that died come with what replaces them, and
%% where nothing does, at the end.
%%
%% First the differences are gone through and sorted by their dots, some at a time, into runs;
%% then the runs are merged, as far as each piece needs.
-module(muster_crdt_stream).

-export([new/2, new/3, new/5, next/1, is_over/1]).
-export_type([stream/0]).

-type value() :: muster_crdt:causal().
-type dot() :: muster_crdt_delta:dot().
%% A live dot, and of its key those that died.
-type entry() :: {dot(), Key :: term(), muster_trie:sibling(), Dead :: [dot()]}.
-opaque stream() :: #{
    max := pos_integer(),
    %% What is still to be looked at, and what the two sides have seen.
    differences := muster_trie:differences(),
    old_seen := muster_causal:counters(),
    new_seen := muster_causal:counters(),
    %% Sorted lists, that with the first entry first; and keys at which dots only died.
    runs := gb_sets:set([entry(), ...]),
    dead := [{Key :: term(), [dot()]}],
    %% What is still to be sent, in the order of lineages.
    intervals := [muster_crdt_delta:interval()]
}.

%% Pairs of slots looked at in one step.
-define(BUDGET, 1000).
%% About the bytes of a piece, except that one entry always fits.
-define(BYTES, 48 * 1024).

%% @doc A whole value in pieces of at most `Max' keys and some 48 KB.
-spec new(value(), Max :: pos_integer()) -> stream().
new(#{root := _, context := _} = Value, Max) ->
    new(Value#{root := muster_trie:empty(), context := muster_causal:new()}, Value, Max);
new(_, _) ->
    error(badarg).

%% @doc The same of what a value that includes `Old' lacks of `New'.
-spec new(Old :: value(), New :: value(), Max :: pos_integer()) -> stream().
new(#{root := OldRoot, context := Old}, #{root := NewRoot, context := New}, Max) ->
    new(muster_trie:differences(OldRoot, NewRoot), muster_causal:counters(Old), muster_causal:counters(New), New, Max);
new(_, _, _) ->
    error(badarg).

%% @private
%% The same, where the differences were found some other way.
-spec new(
    muster_trie:differences(),
    OldSeen :: muster_causal:counters(),
    NewSeen :: muster_causal:counters(),
    New :: muster_causal:context(),
    Max :: pos_integer()
) -> stream().
new(Differences, OldSeen, NewSeen, New, Max) when is_integer(Max), Max > 0 ->
    #{
        max => Max,
        differences => Differences,
        old_seen => OldSeen,
        new_seen => NewSeen,
        runs => gb_sets:new(),
        dead => [],
        intervals => lists:keysort(2, muster_crdt_delta:intervals(OldSeen, New))
    };
new(_, _, _, _, _) ->
    error(badarg).

%% @doc The next piece. `busy' says that part of the work was done, and this is to be called again.
-spec next(stream()) -> {chunk, muster_crdt_delta:delta(), stream()} | {busy, stream()} | done.
next(#{differences := []} = Stream) ->
    chunk(Stream);
next(#{differences := Differences} = Stream) ->
    {Keys, Later} = muster_trie:next_differences(Differences, ?BUDGET),
    Collected = collect(Keys, Stream#{differences := Later}),
    case Later of
        [] -> chunk(Collected);
        _ -> {busy, Collected}
    end.

%% @doc Whether {@link next/1} would be `done'.
-spec is_over(stream()) -> boolean().
is_over(#{differences := Differences, intervals := Intervals, dead := Dead}) ->
    Differences =:= [] andalso Intervals =:= [] andalso Dead =:= [].

collect(Keys, #{old_seen := OldSeen, new_seen := NewSeen, runs := Runs, dead := Dead} = Stream) ->
    Lacking = [muster_crdt_delta:lacks(Key, Old, OldSeen, New, NewSeen) || {Key, Old, New} <- Keys],
    Entries = [Entry || {Died, [Live]} <- Lacking, Entry <- entries(Live, Died)],
    Stream#{
        runs := with_run(lists:sort(Entries), Runs),
        dead := [Only || {[Only], []} <- Lacking] ++ Dead
    }.

%% The dead go with the first of the living, which is sent first, too: nobody finds the key empty
%% in between.
entries({Key, [First | Siblings]}, Died) ->
    Dead = [Dot || {_, Dots} <- Died, Dot <- Dots],
    [entry(Key, First, Dead) | [entry(Key, S, []) || S <- Siblings]].

entry(Key, Sibling, Dead) ->
    {{element(1, Sibling), element(2, Sibling)}, Key, Sibling, Dead}.

with_run([], Runs) -> Runs;
with_run(Run, Runs) -> gb_sets:add_element(Run, Runs).

chunk(#{intervals := [], dead := []}) ->
    done;
chunk(#{intervals := [], dead := Dead, max := Max} = Stream) ->
    {Now, Later} = lists:split(min(Max, length(Dead)), Dead),
    {chunk, {delta, [], Now, []}, Stream#{dead := Later}};
chunk(#{intervals := Intervals, max := Max, runs := Runs} = Stream) ->
    {Covered, Left, Entries, RunsLeft} = cover(Intervals, Runs, [], [], Max, ?BYTES),
    Dead = [{Key, Dots} || {_, Key, _, [_ | _] = Dots} <- Entries],
    Live = [{Key, [Sibling]} || {_, Key, Sibling, _} <- Entries],
    {chunk, {delta, lists:reverse(Covered), Dead, Live}, Stream#{intervals := Left, runs := RunsLeft}}.

%% Takes intervals with the entries in them, up to so many of both together, and so many bytes.
cover([{_, Lineage, _, _} = Interval | Later] = Intervals, Runs, Covered, Entries, Max, Bytes) when
    Max > 0, Bytes > 0
->
    case first(Lineage, Runs) of
        {Entry, Others} ->
            cover(Intervals, Others, Covered, [Entry | Entries], Max - 1, Bytes - erlang:external_size(Entry));
        none ->
            cover(Later, Runs, [Interval | Covered], Entries, Max - 1, Bytes)
    end;
cover([Interval | Later], Runs, Covered, Entries, _Max, _Bytes) ->
    {Before, After} = cut(Interval, Entries),
    {Before ++ Covered, After ++ Later, Entries, Runs};
cover([], Runs, Covered, Entries, _Max, _Bytes) ->
    {Covered, [], Entries, Runs}.

first(Lineage, Runs) ->
    case gb_sets:is_empty(Runs) orelse gb_sets:take_smallest(Runs) of
        {[{{Lineage, _}, _, _, _} = Entry | Run], Others} -> {Entry, with_run(Run, Others)};
        _ -> none
    end.

%% Behind the last entry.
cut({Replica, Lineage, Above, UpTo}, [{{Lineage, N}, _, _, _} | _]) when N < UpTo ->
    {[{Replica, Lineage, Above, N}], [{Replica, Lineage, N, UpTo}]};
cut({_, Lineage, _, _} = Interval, [{{Lineage, _}, _, _, _} | _]) ->
    {[Interval], []};
cut(Interval, _Entries) ->
    {[], [Interval]}.
