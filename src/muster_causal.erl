%% @private
%% Causal contexts: which dots a value has seen, live or removed since.
%%
%% A context maps each replica's name to its group, `{Lineage, N, Lineage, N, ...}'. A lineage
%% never forks, so `Lineage, N' means exactly its dots up to N. Groups are ordered by N, the
%% highest first, then by lineage, so that equal contexts are equal terms.
-module(muster_causal).

-export([new/0, group/2, groups/1, with_group/3, merge/2, entries/1, counters/1, is_seen/2, hash/1]).
-export([advance/4]).
-export_type([context/0, counters/0, replica/0]).

-type replica() :: term().
-type context() :: #{replica() => muster_nif:group()}.
-type counters() :: #{muster_nif:lineage() => muster_nif:counter()}.

-spec new() -> context().
new() ->
    #{}.

%% The group of a replica, empty if it is not known.
-spec group(replica(), context()) -> muster_nif:group().
group(Replica, Context) ->
    case Context of
        #{Replica := Group} -> Group;
        #{} -> {};
        _ -> error(badarg)
    end.

-spec with_group(replica(), muster_nif:group(), context()) -> context().
with_group(Replica, Group, Context) ->
    Context#{Replica => Group}.

-spec groups(context()) -> [muster_nif:group()].
groups(Context) when is_map(Context) ->
    maps:values(Context);
groups(_) ->
    error(badarg).

%% What either has seen.
-spec merge(context(), context()) -> context().
merge(Same, Same) when is_map(Same) ->
    Same;
merge(A, B) when is_map(A), is_map(B) ->
    maps:fold(fun merge_group/3, A, B);
merge(_, _) ->
    error(badarg).

merge_group(Replica, Group, Context) ->
    case Context of
        #{Replica := Group} -> Context;
        #{Replica := Other} -> Context#{Replica := from_map(merge_counters(to_map(Other), to_map(Group)))};
        #{} -> Context#{Replica => Group}
    end.

merge_counters(A, B) ->
    maps:fold(fun(Lineage, N, Into) -> Into#{Lineage => max(N, maps:get(Lineage, Into, 0))} end, A, B).

to_map(Group) ->
    maps:from_list(pairs(Group)).

pairs(Group) when is_tuple(Group), tuple_size(Group) rem 2 =:= 0 ->
    [pair(Group, I) || I <- lists:seq(1, tuple_size(Group), 2)];
pairs(_) ->
    error(badarg).

pair(Group, I) ->
    case {element(I, Group), element(I + 1, Group)} of
        {Lineage, N} = Pair when is_integer(Lineage), is_integer(N), N > 0 -> Pair;
        _ -> error(badarg)
    end.

from_map(Counters) ->
    Ordered = lists:sort([{-N, Lineage} || {Lineage, N} <- maps:to_list(Counters)]),
    list_to_tuple(lists:append([[Lineage, -N] || {N, Lineage} <- Ordered])).

-spec entries(context()) -> [{replica(), muster_nif:lineage(), muster_nif:counter()}].
entries(Context) when is_map(Context) ->
    [{Replica, Lineage, N} || {Replica, Group} <- maps:to_list(Context), {Lineage, N} <- pairs(Group)];
entries(_) ->
    error(badarg).

%% The highest counter seen of each lineage, whoever began it.
-spec counters(context()) -> counters().
counters(Context) ->
    maps:from_list([{Lineage, N} || {_, Lineage, N} <- entries(Context)]).

-spec is_seen({muster_nif:lineage(), muster_nif:counter()}, counters()) -> boolean().
is_seen({Lineage, N}, Counters) ->
    N =< maps:get(Lineage, Counters, 0).

%% The context that has also seen the lineage up to N.
-spec advance(replica(), muster_nif:lineage(), muster_nif:counter(), context()) -> context().
advance(Replica, Lineage, N, Context) ->
    merge(Context, #{Replica => {Lineage, N}}).

%% The same for equal contexts on every node: the sum of their last dots' hashes, mod 2^59.
-spec hash(context()) -> non_neg_integer().
hash(Context) ->
    Hashes = [muster_nif:dot_hash(Lineage, N) || {_, Lineage, N} <- entries(Context)],
    lists:sum(Hashes) band 16#7ffffffffffffff.
