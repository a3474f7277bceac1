%% @private
%% What the OR-Set and the LWW map share: a value is a trie of live dots and a causal context.
-module(muster_crdt).

-export([new/1, merge/2, equal/2, put_siblings/3, format_error/2]).
-export_type([causal/0]).

-type causal() :: #{
    '__struct__' := module(), root := muster_nif:trie(), context := muster_causal:context()
}.

-spec new(module()) -> causal().
new(Struct) ->
    #{'__struct__' => Struct, root => muster_trie:empty(), context => muster_causal:new()}.

%% A dot stays if both have it, or one has it and the other has not seen it.
-spec merge(causal(), causal()) -> causal().
merge(
    #{'__struct__' := Struct, root := RootA, context := ContextA} = A,
    #{'__struct__' := Struct, root := RootB, context := ContextB}
) ->
    GroupsA = muster_causal:groups(ContextA),
    GroupsB = muster_causal:groups(ContextB),
    Root = muster_nif:trie_merge(RootA, GroupsA, RootB, GroupsB),
    A#{root := Root, context := muster_causal:merge(ContextA, ContextB)};
merge(_, _) ->
    error(badarg).

%% The same keys, whatever their histories.
-spec equal(causal(), causal()) -> boolean().
equal(#{'__struct__' := Struct, root := A}, #{'__struct__' := Struct, root := B}) ->
    muster_trie:size(A) =:= muster_trie:size(B) andalso muster_trie:same_keys(A, B);
equal(_, _) ->
    error(badarg).

-spec put_siblings(term(), muster_trie:siblings(), causal()) -> causal().
put_siblings(Key, Siblings, #{root := Root} = Value) ->
    Value#{root := muster_trie:put(Key, Siblings, Root)}.

%% What the shell, and Elixir's `ArgumentError', say of a value that is none; nothing of one that is
%% malformed inside.
-spec format_error(term(), list()) -> #{pos_integer() => unicode:chardata()}.
format_error(_Reason, [{_Module, Function, [First | Others], Info} | _]) ->
    #{cause := Struct} = proplists:get_value(error_info, Info),
    Values =
        case lists:member(Function, [merge, equal]) of
            true -> lists:enumerate([First | Others]);
            false -> [{1, First}]
        end,
    maps:from_list([{N, ["expected ", in_words(Struct)]} || {N, Value} <- Values, not is(Struct, Value)]).

is(Struct, #{'__struct__' := Struct}) -> true;
is(_, _) -> false.

in_words('Elixir.Raxol.Swarm.CRDT.ORSet') -> "an OR-Set";
in_words('Elixir.Raxol.Swarm.CRDT.LWWMap') -> "an LWW map";
in_words('Elixir.Raxol.Swarm.CRDT.LWWRegister') -> "an LWW register".
