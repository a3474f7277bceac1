%% @doc Deltas: what changed between two values of an OR-Set or LWW map, and whole values in pieces.
%%
%% A delta speaks about a set I of dots, and says which of them live: those it does not list are
%% dead. I is given by intervals of lineages, and by single dots that died. Contexts can only
%% take in an interval that follows what they have seen; whether they also have what *happened*
%% before (a lost delta may have held nothing but removals), only sequence numbers can tell.
-module(muster_crdt_delta).

-export([delta/2, join/2, stream/2, size/1]).
-export_type([delta/0]).

-type value() :: muster_crdt:causal().
-type dot() :: {muster_nif:lineage(), muster_nif:counter()}.
-type interval() :: {
    muster_causal:replica(), muster_nif:lineage(), Above :: non_neg_integer(), UpTo :: muster_nif:counter()
}.
-type delta() :: {
    delta, [interval()], Dead :: [{Key :: term(), [dot()]}], Live :: [{Key :: term(), muster_trie:siblings()}]
}.

%% @doc What is to be joined to a value that includes `Old' so that it includes `New', which must
%% have come from `Old' by any updates and merges. Cost and size follow the difference.
-spec delta(Old :: value(), New :: value()) -> delta().
delta(#{root := OldRoot, context := OldContext}, #{root := NewRoot, context := NewContext}) ->
    Seen = muster_causal:counters(OldContext),
    Compare = fun(Key, Old, New, {Dead, Live}) ->
        {
            prepend(Key, dots(Old) -- dots(New), Dead),
            prepend(Key, [S || S <- New, not muster_causal:is_seen(dot(S), Seen)], Live)
        }
    end,
    {Dead, Live} = muster_trie:diff(Compare, {[], []}, OldRoot, NewRoot),
    {delta, intervals(Seen, NewContext), Dead, Live};
delta(_, _) ->
    error(badarg).

intervals(Seen, Context) ->
    [
        {Replica, Lineage, maps:get(Lineage, Seen, 0), N}
     || {Replica, Lineage, N} <- muster_causal:entries(Context), not muster_causal:is_seen({Lineage, N}, Seen)
    ].

prepend(_Key, [], Acc) -> Acc;
prepend(Key, Items, Acc) -> [{Key, Items} | Acc].

dot(Sibling) -> {element(1, Sibling), element(2, Sibling)}.

dots(Siblings) -> [dot(S) || S <- Siblings].

%% @doc How many keys a delta speaks of.
-spec size(delta()) -> non_neg_integer().
size({delta, _Intervals, Dead, Live}) ->
    length(Dead) + length(Live).

%% @doc Applies a delta. `{error, gap}' if it follows dots that the value has not seen: then only
%% anti-entropy helps. Raises `badarg' for what is no delta.
-spec join(value(), delta()) -> {ok, value()} | {error, gap}.
join(#{root := _, context := Context} = Value, {delta, Intervals, Dead, Live}) when
    is_list(Intervals), is_list(Dead), is_list(Live)
->
    Seen = muster_causal:counters(Context),
    case lists:all(fun(Interval) -> follows(Interval, Seen) end, Intervals) of
        true -> {ok, apply_delta(Value, Seen, Intervals, Dead, Live)};
        false -> {error, gap}
    end;
join(_, _) ->
    error(badarg).

follows({_Replica, Lineage, Above, UpTo}, Seen) when
    is_integer(Lineage), is_integer(Above), is_integer(UpTo), 0 =< Above, Above < UpTo
->
    Above =:= 0 orelse muster_causal:is_seen({Lineage, Above}, Seen);
follows(_, _) ->
    error(badarg).

apply_delta(Value, Seen, Intervals, Dead, Live) ->
    Stale = stale(Value, Seen, Intervals, Live),
    Removed = lists:foldl(fun bury/2, Value, Stale ++ Dead),
    Added = lists:foldl(fun(Entry, Acc) -> revive(Entry, Seen, Acc) end, Removed, Live),
    #{context := Context} = Added,
    Added#{context := lists:foldl(fun advance/2, Context, Intervals)}.

advance({Replica, Lineage, _Above, UpTo}, Context) ->
    muster_causal:advance(Replica, Lineage, UpTo, Context).

bury({Key, Dots}, #{root := Root} = Value) ->
    Siblings = muster_trie:siblings(Key, Root),
    case [S || S <- Siblings, not lists:member(dot(S), Dots)] of
        Siblings -> Value;
        Left -> muster_crdt:put_siblings(Key, Left, Value)
    end.

revive({Key, Siblings}, Seen, #{root := Root} = Value) ->
    case [S || S <- Siblings, not muster_causal:is_seen(dot(S), Seen)] of
        [] -> Value;
        New -> muster_crdt:put_siblings(Key, lists:usort(New ++ muster_trie:siblings(Key, Root)), Value)
    end.

%% Live dots of ours that the delta speaks of and does not list. There can be none unless we have
%% seen, by way of a third node, part of an interval already; then all our dots are asked.
stale(#{root := Root}, Seen, Intervals, Live) ->
    Known = maps:from_list([
        {Lineage, {Above, UpTo}}
     || {_, Lineage, Above, UpTo} <- Intervals, maps:get(Lineage, Seen, 0) > Above
    ]),
    case map_size(Known) of
        0 -> [];
        _ -> stale_dots(Root, Known, maps:from_list([{D, live} || {_, Siblings} <- Live, D <- dots(Siblings)]))
    end.

stale_dots(Root, Known, Living) ->
    Collect = fun(Key, Siblings, Acc) ->
        prepend(Key, [D || D <- dots(Siblings), is_within(D, Known), not is_map_key(D, Living)], Acc)
    end,
    muster_trie:fold(Collect, [], Root).

is_within({Lineage, N}, Known) ->
    case Known of
        #{Lineage := {Above, UpTo}} -> Above < N andalso N =< UpTo;
        #{} -> false
    end.

%% @doc A whole value as deltas of about `Max' elements each. Each may be joined at any time if
%% those before it of the same lineage have been; joined to nothing, together they are the value.
%% Removals of what the receiver has from elsewhere are left to anti-entropy.
-spec stream(value(), Max :: pos_integer()) -> [delta()].
stream(#{root := Root, context := Context}, Max) when is_integer(Max), Max > 0 ->
    Collect = fun(Key, Siblings, Acc) ->
        lists:foldl(
            fun(S, Inner) -> maps:update_with(element(1, S), fun(L) -> [{Key, S} | L] end, [{Key, S}], Inner) end,
            Acc,
            Siblings
        )
    end,
    ByLineage = muster_trie:fold(Collect, #{}, Root),
    lists:flatmap(
        fun({Replica, Lineage, N}) ->
            Living = lists:sort([{element(2, S), Key, S} || {Key, S} <- maps:get(Lineage, ByLineage, [])]),
            stream_lineage(Replica, Lineage, 0, N, Living, Max)
        end,
        muster_causal:entries(Context)
    );
stream(_, _) ->
    error(badarg).

stream_lineage(Replica, Lineage, Above, N, Living, Max) ->
    case length(Living) > Max of
        true ->
            {Now, Later} = lists:split(Max, Living),
            {UpTo, _, _} = lists:last(Now),
            [
                chunk(Replica, Lineage, Above, UpTo, Now)
                | stream_lineage(Replica, Lineage, UpTo, N, Later, Max)
            ];
        false ->
            [chunk(Replica, Lineage, Above, N, Living)]
    end.

chunk(Replica, Lineage, Above, UpTo, Living) ->
    {delta, [{Replica, Lineage, Above, UpTo}], [], [{Key, [S]} || {_N, Key, S} <- Living]}.
