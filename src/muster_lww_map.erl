%% @doc An observed-remove map of last-writer-wins values.
%%
%% A key that one node writes and another removes at the same time stays; of values written at the
%% same time, the one with the later stamp is read (see {@link muster_lww_register} for the clock).
%% All of them are kept until the next write of that key: to drop the losers when merging would
%% make the outcome depend on the order of merges. Removal leaves nothing behind.
%%
%% ```
%% A = muster_lww_map:put(muster_lww_map:new(), unit_1, #{status => active}),
%% B = muster_lww_map:put(A, unit_1, #{status => resting}),
%% #{status := resting} = muster_lww_map:get(muster_lww_map:merge(A, B), unit_1).
%% '''
%%
%% Keys are told apart by `=:='. A malformed value raises `badarg'. The value is also the Elixir
%% struct `Raxol.Swarm.CRDT.LWWMap'.
-module(muster_lww_map).

-export([new/0, put/3, put/4, get/2, get/3, find/2, is_key/2, remove/2]).
-export([keys/1, to_list/1, to_map/1, size/1, merge/2, equal/2]).
-export_type([lww_map/0, lww_map/2]).

-define(STRUCT, 'Elixir.Raxol.Swarm.CRDT.LWWMap').
-define(NO_MAP, [{error_info, #{module => muster_crdt, cause => ?STRUCT}}]).

-type lww_map() :: lww_map(term(), term()).
-type lww_map(_Key, _Value) :: #{
    '__struct__' := ?STRUCT, root := muster_nif:trie(), context := muster_causal:context()
}.

%% @doc The empty map.
-spec new() -> lww_map().
new() ->
    muster_crdt:new(?STRUCT).

%% @equiv put(Map, Key, Value, node())
-spec put(lww_map(Key, Value), Key, Value) -> lww_map(Key, Value).
put(Map, Key, Value) ->
    put(Map, Key, Value, node()).

%% @doc Writes a value on behalf of a replica; what this map knew of the key is replaced.
-spec put(lww_map(Key, Value), Key, Value, muster_causal:replica()) -> lww_map(Key, Value).
put(#{'__struct__' := ?STRUCT, root := Root, context := Context} = Map, Key, Value, Replica) ->
    Group = muster_causal:group(Replica, Context),
    Stamp = muster_lww_register:now_after(latest_stamp(muster_trie:siblings(Key, Root))),
    [Written | Grown] = muster_nif:trie_add(Root, Group, Key, erlang:phash2(Key), Stamp, Value),
    Map#{root := Written, context := Context#{Replica => Grown}};
put(Map, Key, Value, Replica) ->
    error(badarg, [Map, Key, Value, Replica], ?NO_MAP).

latest_stamp([]) ->
    0;
latest_stamp(Siblings) ->
    {Stamp, _Value} = winner(Siblings),
    Stamp.

%% Of equal stamps the greater value wins.
winner([{_, _, Stamp, Value} | Siblings]) when is_integer(Stamp) ->
    winner(Siblings, {Stamp, Value});
winner(_) ->
    error(badarg).

winner([], Best) ->
    Best;
winner([{_, _, Stamp, Value} | Siblings], Best) when is_integer(Stamp) ->
    case muster_lww_register:precedes(Best, {Stamp, Value}) of
        true -> winner(Siblings, {Stamp, Value});
        false -> winner(Siblings, Best)
    end;
winner(_, _) ->
    error(badarg).

%% @doc The value of a key that is there; else raises `{badkey, Key}'.
-spec get(lww_map(Key, Value), Key) -> Value.
get(Map, Key) ->
    case find(Map, Key) of
        {ok, Value} -> Value;
        error -> error({badkey, Key})
    end.

%% @doc The value of a key, or the default.
-spec get(lww_map(Key, Value), Key, Default) -> Value | Default.
get(Map, Key, Default) ->
    case find(Map, Key) of
        {ok, Value} -> Value;
        error -> Default
    end.

%% @doc The value of a key, if it is there.
-spec find(lww_map(Key, Value), Key) -> {ok, Value} | error.
find(#{'__struct__' := ?STRUCT, root := Root}, Key) ->
    case muster_trie:siblings(Key, Root) of
        [] -> error;
        Siblings -> {ok, element(2, winner(Siblings))}
    end;
find(Map, Key) ->
    error(badarg, [Map, Key], ?NO_MAP).

%% @doc Whether the key is there.
-spec is_key(lww_map(Key, term()), Key) -> boolean().
is_key(#{'__struct__' := ?STRUCT, root := Root}, Key) ->
    muster_trie:is_key(Key, Root);
is_key(Map, Key) ->
    error(badarg, [Map, Key], ?NO_MAP).

%% @doc Removes a key: all that this map has seen of it. The same map if it is not there.
-spec remove(lww_map(Key, Value), Key) -> lww_map(Key, Value).
remove(#{'__struct__' := ?STRUCT, root := _} = Map, Key) ->
    muster_crdt:put_siblings(Key, [], Map);
remove(Map, Key) ->
    error(badarg, [Map, Key], ?NO_MAP).

%% @doc The keys, in no particular order.
-spec keys(lww_map(Key, term())) -> [Key].
keys(#{'__struct__' := ?STRUCT, root := Root}) ->
    muster_trie:keys(Root);
keys(Map) ->
    error(badarg, [Map], ?NO_MAP).

%% @doc Keys with their values, in no particular order.
-spec to_list(lww_map(Key, Value)) -> [{Key, Value}].
to_list(#{'__struct__' := ?STRUCT, root := Root}) ->
    Pair = fun(Key, Siblings, Acc) -> [{Key, element(2, winner(Siblings))} | Acc] end,
    muster_trie:fold(Pair, [], Root);
to_list(Map) ->
    error(badarg, [Map], ?NO_MAP).

%% @doc Keys with their values, as a plain map.
-spec to_map(lww_map(Key, Value)) -> #{Key => Value}.
to_map(Map) ->
    maps:from_list(to_list(Map)).

%% @doc How many keys there are, at once.
-spec size(lww_map()) -> non_neg_integer().
size(#{'__struct__' := ?STRUCT, root := Root}) ->
    muster_trie:size(Root);
size(Map) ->
    error(badarg, [Map], ?NO_MAP).

%% @doc What either has written and neither has removed. Commutative, associative and idempotent.
-spec merge(lww_map(Key, Value), lww_map(Key, Value)) -> lww_map(Key, Value).
merge(#{'__struct__' := ?STRUCT} = A, #{'__struct__' := ?STRUCT} = B) ->
    muster_crdt:merge(A, B);
merge(Map, Other) ->
    error(badarg, [Map, Other], ?NO_MAP).

%% @doc Whether both hold the same keys with the same values, whatever their histories.
-spec equal(lww_map(), lww_map()) -> boolean().
equal(A, B) ->
    to_map(A) =:= to_map(B).
