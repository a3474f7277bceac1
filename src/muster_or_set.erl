%% @doc An observed-remove set: a set that many nodes change without asking each other.
%%
%% Where one node adds an element and another removes it at the same time, the element stays.
%% Removal leaves nothing behind: there are no tombstones. Values are plain terms, which may be
%% sent, stored and compared. They may also fork: two updates of one value, a value restored from
%% disk, a node restarted under its old name; whatever branches there are, merging loses nothing.
%%
%% ```
%% A = muster_or_set:add(muster_or_set:new(), "x"),
%% B = muster_or_set:add(muster_or_set:new(), "y"),
%% ["x", "y"] = lists:sort(muster_or_set:to_list(muster_or_set:merge(A, B))).
%% '''
%%
%% Elements are told apart by `=:='. A malformed value, such as another node may send, raises
%% `badarg'. Two values with the same history are `=='; two that merely hold the same elements
%% are not: {@link equal/2} compares elements.
%%
%% The value is also the Elixir struct `Raxol.Swarm.CRDT.ORSet'.
-module(muster_or_set).

-export([new/0, from_list/1, from_list/2, add/2, add/3, remove/2, is_member/2, to_list/1, size/1]).
-export([merge/2, equal/2]).
-export_type([or_set/0, or_set/1]).

-define(STRUCT, 'Elixir.Raxol.Swarm.CRDT.ORSet').
-define(NO_SET, [{error_info, #{module => muster_crdt, cause => ?STRUCT}}]).

-type or_set() :: or_set(term()).
-type or_set(_Element) :: #{
    '__struct__' := ?STRUCT, root := muster_nif:trie(), context := muster_causal:context()
}.

%% @doc The empty set.
-spec new() -> or_set().
new() ->
    muster_crdt:new(?STRUCT).

%% @equiv from_list(List, node())
-spec from_list([Element]) -> or_set(Element).
from_list(List) ->
    from_list(List, node()).

%% @doc The set of the list's elements, added by `Replica'. Much faster than adding one by one.
-spec from_list([Element], muster_causal:replica()) -> or_set(Element).
from_list([], _Replica) ->
    new();
from_list(List, Replica) ->
    [Root | Group] = muster_nif:trie_build(List),
    (new())#{root := Root, context := #{Replica => Group}}.

%% @equiv add(Set, Element, node())
-spec add(or_set(Element), Element) -> or_set(Element).
add(Set, Element) ->
    add(Set, Element, node()).

%% @doc Adds an element on behalf of a replica. An element that is there already is added anew, so
%% that it outlives a concurrent removal.
-spec add(or_set(Element), Element, muster_causal:replica()) -> or_set(Element).
add(#{'__struct__' := ?STRUCT, root := Root, context := Context} = Set, Element, Replica) ->
    Hash = erlang:phash2(Element),
    case Context of
        #{Replica := Group} ->
            [Added | Grown] = muster_nif:trie_add(Root, Group, Element, Hash),
            Set#{root := Added, context := Context#{Replica := Grown}};
        #{} ->
            [Added | Group] = muster_nif:trie_add(Root, {}, Element, Hash),
            Set#{root := Added, context := muster_causal:with_group(Replica, Group, Context)};
        _ ->
            error(badarg)
    end;
add(Set, Element, Replica) ->
    error(badarg, [Set, Element, Replica], ?NO_SET).

%% @doc Removes an element: all that this value has seen of it, not what others add meanwhile.
%% The same value if the element is not there.
-spec remove(or_set(Element), Element) -> or_set(Element).
remove(#{'__struct__' := ?STRUCT, root := Root} = Set, Element) ->
    case muster_nif:trie_remove(Root, Element, erlang:phash2(Element)) of
        unchanged -> Set;
        Removed -> Set#{root := Removed}
    end;
remove(Set, Element) ->
    error(badarg, [Set, Element], ?NO_SET).

%% @doc Whether the element is in the set.
-spec is_member(or_set(Element), Element) -> boolean().
is_member(#{'__struct__' := ?STRUCT, root := Root}, Element) ->
    muster_trie:is_key(Element, Root);
is_member(Set, Element) ->
    error(badarg, [Set, Element], ?NO_SET).

%% @doc The elements, in no particular order.
-spec to_list(or_set(Element)) -> [Element].
to_list(#{'__struct__' := ?STRUCT, root := Root}) ->
    muster_trie:keys(Root);
to_list(Set) ->
    error(badarg, [Set], ?NO_SET).

%% @doc How many elements there are, at once.
-spec size(or_set()) -> non_neg_integer().
size(#{'__struct__' := ?STRUCT, root := Root}) ->
    muster_trie:size(Root);
size(Set) ->
    error(badarg, [Set], ?NO_SET).

%% @doc What either has added and neither has removed. Commutative, associative and idempotent;
%% the cost follows the difference, not the size.
-spec merge(or_set(Element), or_set(Element)) -> or_set(Element).
merge(#{'__struct__' := ?STRUCT} = A, #{'__struct__' := ?STRUCT} = B) ->
    muster_crdt:merge(A, B);
merge(Set, Other) ->
    error(badarg, [Set, Other], ?NO_SET).

%% @doc Whether both hold the same elements, whatever their histories.
-spec equal(or_set(), or_set()) -> boolean().
equal(#{'__struct__' := ?STRUCT} = A, #{'__struct__' := ?STRUCT} = B) ->
    muster_crdt:equal(A, B);
equal(Set, Other) ->
    error(badarg, [Set, Other], ?NO_SET).
