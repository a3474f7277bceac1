%% @private
%% One stub for each function of priv/muster_nif.so.
%%
%% A trie is the term described in c_src/core/trie_node.h, a group of lineages and a context those
%% of c_src/core/causal_context.h. All functions are pure, except that adding and building mint
%% dots. A malformed argument raises `badarg'. What takes long moves to a dirty scheduler.
-module(muster_nif).

-export([version/0]).
-export([trie_add/4, trie_add/6, trie_put/6, trie_remove/3, trie_merge/4, trie_build/1]).
-export([trie_find/3, dot_hash/2]).
-export_type([trie/0, group/0, hash/0, lineage/0, counter/0]).

-on_load(load/0).

-nifs([version/0]).
-nifs([trie_add/4, trie_add/6, trie_put/6, trie_remove/3, trie_merge/4, trie_build/1]).
-nifs([trie_find/3, dot_hash/2]).

-type trie() :: tuple().
-type lineage() :: 1..16#7ffffffffffffff.
-type counter() :: 1..16#7ffffffffffffff.
%% `{Lineage, N, Lineage, N, ...}', the highest N first.
-type group() :: tuple().
%% `erlang:phash2(Key)'.
-type hash() :: 0..16#7ffffff.

-define(FAULT, {?MODULE, load_error}).

%% A library that cannot be loaded must not hide behind `undef': the module loads all the same,
%% and every call says what is wrong with which file. Only where an older library is in use does
%% a failing upgrade keep the new code out.
load() ->
    Path = filename:join(priv_dir(), "muster_nif"),
    case erlang:load_nif(Path, 0) of
        ok ->
            persistent_term:erase(?FAULT),
            ok;
        {error, {upgrade, _}} = Error ->
            Error;
        {error, {Reason, Text}} ->
            persistent_term:put(?FAULT, describe(Path, Reason, Text)),
            ok
    end.

priv_dir() ->
    case code:priv_dir(muster) of
        {error, bad_name} ->
            filename:join([filename:dirname(code:which(?MODULE)), "..", "priv"]);
        Dir ->
            Dir
    end.

describe(Path, Reason, Text) ->
    iolist_to_binary(
        io_lib:format("muster cannot load its native library ~ts.so (~p: ~ts); `make native` builds it", [
            Path, Reason, Text
        ])
    ).

fault() ->
    {nif_not_loaded, persistent_term:get(?FAULT, ?MODULE)}.

%% @doc The version the library was built from.
-spec version() -> string().
version() ->
    erlang:nif_error(fault()).

%% @doc Head and tail of the key's leaf, `[]' if it has none.
-spec trie_find(trie(), term(), hash()) ->
    nonempty_improper_list(lineage() | [tuple()], counter() | []) | [].
trie_find(_Root, _Key, _Hash) ->
    erlang:nif_error(fault()).

%% @doc Mints a dot that continues a lineage of the group, or a fresh one, and makes it the only
%% dot of the key.
-spec trie_add(trie(), group(), term(), hash()) -> nonempty_improper_list(trie(), group()).
trie_add(_Root, _Group, _Key, _Hash) ->
    erlang:nif_error(fault()).

%% @doc The same for a key with a stamp and a value.
-spec trie_add(trie(), group(), term(), hash(), integer(), term()) ->
    nonempty_improper_list(trie(), group()).
trie_add(_Root, _Group, _Key, _Hash, _Stamp, _Value) ->
    erlang:nif_error(fault()).

%% @doc Makes `Head' and `Tail' the key's leaf. The group is handed through as it is.
-spec trie_put(trie(), group(), term(), hash(), lineage() | [tuple()], counter() | []) ->
    nonempty_improper_list(trie(), group()).
trie_put(_Root, _Group, _Key, _Hash, _Head, _Tail) ->
    erlang:nif_error(fault()).

%% @doc The trie without the key.
-spec trie_remove(trie(), term(), hash()) -> trie() | unchanged.
trie_remove(_Root, _Key, _Hash) ->
    erlang:nif_error(fault()).

%% @doc Merges two tries; `Groups' are all the groups of their contexts.
-spec trie_merge(trie(), [group()], trie(), [group()]) -> trie().
trie_merge(_RootA, _GroupsA, _RootB, _GroupsB) ->
    erlang:nif_error(fault()).

%% @doc A trie of many keys, under a fresh lineage, which becomes the group.
-spec trie_build([term()]) -> nonempty_improper_list(trie(), group()).
trie_build(_Keys) ->
    erlang:nif_error(fault()).

%% @doc The hash of a dot, the same on every node: SipHash-2-4 of lineage and counter, mod 2^59.
-spec dot_hash(lineage(), counter()) -> 0..16#7ffffffffffffff.
dot_hash(_Lineage, _N) ->
    erlang:nif_error(fault()).
