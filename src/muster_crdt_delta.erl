%% @doc Deltas: what one value of an OR-Set or LWW map lacks of another.
%%
%% A delta speaks about a set I of dots, and says which of them live: those it does not list are
%% dead. I is given by intervals of lineages, and by single dots that died. Contexts can only
%% take in an interval that follows what they have seen; whether they also have what *happened*
%% before (a lost delta may have held nothing but removals), only sequence numbers can tell.
-module(muster_crdt_delta).

-export([delta/2, join/2, join/3, is_ahead/2, size/1]).
-export([intervals/2, lacks/5]).
-export_type([delta/0, interval/0, dot/0]).

-type value() :: muster_crdt:causal().
-type dot() :: {muster_nif:lineage(), muster_nif:counter()}.
-type interval() :: {
    muster_causal:replica(), muster_nif:lineage(), Above :: non_neg_integer(), UpTo :: muster_nif:counter()
}.
-type delta() :: {
    delta, [interval()], Dead :: [{Key :: term(), [dot()]}], Live :: [{Key :: term(), muster_trie:siblings()}]
}.

%% Lineages and counters go up to here. A context with more in it could never be written to again.
-define(MAX, 16#7ffffffffffffff).

%% @doc What is to be joined to a value that includes `Old' so that it includes `New'. Cost and size
%% follow the difference; for a big one there is {@link muster_crdt_stream}.
-spec delta(Old :: value(), New :: value()) -> delta().
delta(#{root := OldRoot, context := OldContext}, #{root := NewRoot, context := NewContext}) ->
    OldSeen = muster_causal:counters(OldContext),
    NewSeen = muster_causal:counters(NewContext),
    Compare = fun(Key, Old, New, {Dead, Live}) ->
        {Died, Added} = lacks(Key, Old, OldSeen, New, NewSeen),
        {Died ++ Dead, Added ++ Live}
    end,
    {Dead, Live} = muster_trie:diff(Compare, {[], []}, OldRoot, NewRoot),
    {delta, intervals(OldSeen, NewContext), Dead, Live};
delta(_, _) ->
    error(badarg).

%% @private
%% What a key's old siblings lack of the new ones: its dots that died, its siblings that are new.
-spec lacks(Key, muster_trie:siblings(), muster_causal:counters(), muster_trie:siblings(), muster_causal:counters()) ->
    {Dead :: [{Key, [dot()]}], Live :: [{Key, muster_trie:siblings()}]}.
lacks(Key, Old, OldSeen, New, NewSeen) ->
    {
        of_key(Key, [D || D <- dots(Old) -- dots(New), muster_causal:is_seen(D, NewSeen)]),
        of_key(Key, [S || S <- New, not muster_causal:is_seen(dot(S), OldSeen)])
    }.

%% @private
%% What a context has seen and another has not.
-spec intervals(muster_causal:counters(), muster_causal:context()) -> [interval()].
intervals(Seen, Context) ->
    [
        {Replica, Lineage, maps:get(Lineage, Seen, 0), N}
     || {Replica, Lineage, N} <- muster_causal:entries(Context), not muster_causal:is_seen({Lineage, N}, Seen)
    ].

of_key(_Key, []) -> [];
of_key(Key, Items) -> [{Key, Items}].

dot(Sibling) -> {element(1, Sibling), element(2, Sibling)}.

dots(Siblings) -> [dot(S) || S <- Siblings].

%% @doc How many keys a delta speaks of.
-spec size(delta()) -> non_neg_integer().
size({delta, _Intervals, Dead, Live}) ->
    length(Dead) + length(Live).

%% @doc Applies a delta. `{error, gap}' if it follows dots that the value has not seen: then only
%% anti-entropy helps. Raises `badarg' for what is no delta.
-spec join(value(), delta()) -> {ok, value()} | {error, gap}.
join(Value, Delta) ->
    case join(Value, Delta, muster_crdt_recent:none()) of
        {ok, Joined, _} -> {ok, Joined};
        Gap -> Gap
    end.

%% @doc The same, with a memory of the value's latest changes (see {@link muster_crdt_recent}). Only
%% with that does the cost follow the delta where part of it is known already, by way of a third
%% node: else all elements are looked at then.
-spec join(value(), delta(), muster_crdt_recent:recent()) ->
    {ok, value(), muster_crdt_recent:recent()} | {error, gap}.
join(#{root := _, context := Context} = Value, {delta, Intervals, Dead, Live}, Recent) when
    is_list(Intervals), is_list(Dead), is_list(Live)
->
    Seen = muster_causal:counters(Context),
    case lists:all(fun(Interval) -> follows(Interval, Seen) end, Intervals) of
        true ->
            UpToDate = muster_crdt_recent:observe(Value, Recent),
            Stale = stale(Value, Seen, Intervals, Live, UpToDate),
            {ok, apply_delta(Value, Seen, Intervals, Stale ++ Dead, Live), UpToDate};
        false ->
            {error, gap}
    end;
join(_, _, _) ->
    error(badarg).

%% @doc Whether a delta follows just what the value has seen: no gap, and nothing known already.
-spec is_ahead(value(), delta()) -> boolean().
is_ahead(#{context := Context}, {delta, Intervals, _Dead, _Live}) ->
    Seen = muster_causal:counters(Context),
    lists:all(fun({_Replica, Lineage, Above, _UpTo}) -> Above =:= maps:get(Lineage, Seen, 0) end, Intervals).

follows({_Replica, Lineage, Above, UpTo}, Seen) when
    is_integer(Lineage), 0 < Lineage, Lineage =< ?MAX,
    is_integer(Above), is_integer(UpTo), 0 =< Above, Above < UpTo, UpTo =< ?MAX
->
    Above =:= 0 orelse muster_causal:is_seen({Lineage, Above}, Seen);
follows(_, _) ->
    error(badarg).

apply_delta(Value, Seen, Intervals, Dead, Live) ->
    Removed = lists:foldl(fun bury/2, Value, Dead),
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
%% seen part of an interval already, by way of a third node, and not all of that part is listed.
stale(Value, Seen, Intervals, Live, Recent) ->
    case [{L, Above, min(UpTo, N)} || {_, L, Above, UpTo} <- Intervals, (N = maps:get(L, Seen, 0)) > Above] of
        [] ->
            [];
        Known ->
            Listed = maps:from_list([{D, live} || {_, S} <- Live, D <- dots(S), muster_causal:is_seen(D, Seen)]),
            Counts = lists:foldl(fun count/2, #{}, maps:keys(Listed)),
            Open = [Part || {L, Above, UpTo} = Part <- Known, maps:get(L, Counts, 0) < UpTo - Above],
            [{Key, [D || D <- Dots, not is_map_key(D, Listed)]} || {Key, Dots} <- living(Open, Value, Recent)]
    end.

count({Lineage, _N}, Counts) ->
    maps:update_with(Lineage, fun(Count) -> Count + 1 end, 1, Counts).

%% Our live dots in parts of lineages.
living([], _Value, _Recent) ->
    [];
living(Parts, #{root := Root}, Recent) ->
    case muster_crdt_recent:find(Parts, Recent) of
        {ok, Dots} ->
            Dots;
        unknown ->
            ByLineage = maps:from_list([{L, {Above, UpTo}} || {L, Above, UpTo} <- Parts]),
            Collect = fun(Key, Siblings, Acc) ->
                of_key(Key, [D || D <- dots(Siblings), is_within(D, ByLineage)]) ++ Acc
            end,
            muster_trie:fold(Collect, [], Root)
    end.

is_within({Lineage, N}, ByLineage) ->
    case ByLineage of
        #{Lineage := {Above, UpTo}} -> Above < N andalso N =< UpTo;
        #{} -> false
    end.
