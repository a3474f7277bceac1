%% @private
%% What an overlay shares: one observed-remove map of `{Kind, Id}' for entities, waypoints and
%% annotations, so that one digest, one delta and one acknowledgement speak for all three.
%%
%% A write wins over a concurrent removal: ids of waypoints are an OR-Set. Of concurrent writes of one
%% id the one with the later stamp is read, everywhere the same.
%%
%% Data are kept encoded. The server's heap then holds references to binaries that no garbage
%% collection walks or copies (at 200,000 entries a major one takes 60 instead of 250 ms), and what
%% goes to peers or to disk is not encoded again.
-module(muster_overlay_state).

-export([new/0, put/4, remove/2, find/2, size/1, decode/1, join/2, merge/2, check/2]).
-export([is_same/2, digest/1, touched/3, changes/3, apply_to_counts/2, counts/1]).
-export([missing/2, latest/3, paths/1, piece/2, read/3]).
-export_type([state/0, kind/0, key/0, encoded/0, change/0, counts/0, latest/0]).

-type kind() :: entity | waypoint | annotation.
-type key() :: {kind(), Id :: term()}.
-type encoded() :: binary().
-type state() :: muster_lww_map:lww_map(key(), encoded()).
%% A net change of what is read.
-type change() :: {key(), Before :: encoded() | none, After :: encoded() | none}.
%% How many there are of each kind, and how many bytes of data.
-type counts() :: #{kind() | bytes => non_neg_integer()}.
%% A state's context, with the entries that somebody lacks, and perhaps others.
-type latest() :: {muster_causal:context(), [{key(), muster_trie:siblings()}]} | unknown.

%% External terms begin with this; 80 would be compressed ones, which may be far bigger than they look.
-define(EXTERNAL, 131).
-define(COMPRESSED, 80).
%% With up to this many entries in a piece, handing one out takes about a millisecond.
-define(PIECE, 1000).
%% Looking up so many of the latest changes takes milliseconds.
-define(LATEST, 2000).

-spec new() -> state().
new() ->
    muster_lww_map:new().

-spec put(key(), Data :: term(), node(), state()) -> {change(), state()}.
put(Key, Data, Replica, State) ->
    Encoded = term_to_binary(Data),
    {{Key, find(Key, State), Encoded}, muster_lww_map:put(State, Key, Encoded, Replica)}.

-spec remove(key(), state()) -> {change(), state()} | unchanged.
remove(Key, State) ->
    case find(Key, State) of
        none -> unchanged;
        Before -> {{Key, Before, none}, muster_lww_map:remove(State, Key)}
    end.

-spec find(key(), state()) -> encoded() | none.
find(Key, State) ->
    muster_lww_map:get(State, Key, none).

-spec size(state()) -> non_neg_integer().
size(State) ->
    muster_lww_map:size(State).

-spec decode(encoded()) -> term().
decode(Encoded) ->
    binary_to_term(Encoded).

-spec join(muster_crdt_delta:delta(), state()) -> {ok, state()} | {error, gap}.
join(Delta, State) ->
    muster_crdt_delta:join(State, Delta).

-spec merge(state(), state()) -> {ok, state()}.
merge(Theirs, Ours) ->
    {ok, muster_lww_map:merge(Ours, Theirs)}.

%% Raises `badarg' where what came from elsewhere is none that an overlay writes: all that is known of these keys,
%% also what is not read as long as something later is there.
-spec check([key()], state()) -> ok.
check(Keys, #{root := Root}) ->
    lists:foreach(fun(Key) -> check_key(Key, muster_trie:siblings(Key, Root)) end, Keys).

check_key({Kind, _Id} = Key, Siblings) when Kind =:= entity; Kind =:= waypoint; Kind =:= annotation ->
    lists:foreach(fun(Sibling) -> check_sibling(Key, Sibling) end, Siblings);
check_key(_, _) ->
    error(badarg).

check_sibling({Kind, Id}, {_, _, Stamp, <<?EXTERNAL, Tag, _/binary>> = Encoded}) when
    Tag =/= ?COMPRESSED, is_integer(Stamp)
->
    case {Kind, decode(Encoded)} of
        {annotation, #{}} -> ok;
        {annotation, _} -> error(badarg);
        {_, #{id := Id}} -> ok;
        _ -> error(badarg)
    end;
check_sibling(_, _) ->
    error(badarg).

%%% Changes

%% Whether two states hold and have seen the same. Not `=:=', which compares word by word, and at one go.
-spec is_same(state(), state()) -> boolean().
is_same(#{root := A, context := Context}, #{root := B, context := Context}) ->
    muster_trie:sum(A) =:= muster_trie:sum(B) andalso muster_trie:size(A) =:= muster_trie:size(B);
is_same(_, _) ->
    false.

%% The same for states that hold and have seen the same, wherever they are.
-spec digest(state()) -> non_neg_integer().
digest(State) ->
    erlang:phash2(muster_crdt_sync:digest(State), 1 bsl 32).

%% The net changes of these keys between two states.
-spec changes([key()], Old :: state(), New :: state()) -> [change()].
changes(Keys, Old, New) ->
    [
        Change
     || Key <- Keys,
        {_, Before, After} = Change <- [{Key, find(Key, Old), find(Key, New)}],
        Before =/= After
    ].

%% The keys that may differ between two states, where it is not known already.
-spec touched([key()] | all, Old :: state(), New :: state()) -> [key()].
touched(all, #{root := Old}, #{root := New}) ->
    muster_trie:diff(fun(Key, _, _, Keys) -> [Key | Keys] end, [], Old, New);
touched(Keys, _, _) ->
    lists:usort(Keys).

-spec apply_to_counts([change()], counts()) -> counts().
apply_to_counts(Changes, Counts) ->
    lists:foldl(fun count/2, Counts, Changes).

count({{Kind, _}, Before, After}, #{bytes := Bytes} = Counts) ->
    {{Less, Freed}, {More, Taken}} = {measure(Before), measure(After)},
    Counts#{Kind := map_get(Kind, Counts) + More - Less, bytes := Bytes + Taken - Freed}.

measure(none) -> {0, 0};
measure(Encoded) -> {1, byte_size(Encoded)}.

%% O(n).
-spec counts(state()) -> counts().
counts(#{root := Root} = State) ->
    Zero = #{entity => 0, waypoint => 0, annotation => 0, bytes => 0},
    Count = fun(Key, Siblings, Acc) -> count({Key, none, datum(Siblings, Key, State)}, Acc) end,
    muster_trie:fold(Count, Zero, Root).

%% How many dots the first context has not seen of the second: at most so many writes are missing.
-spec missing(muster_causal:context(), muster_causal:context()) -> non_neg_integer().
missing(Same, Same) ->
    0;
missing(Ours, Theirs) ->
    missing(muster_causal:entries(Theirs), muster_causal:counters(Ours), 0).

missing([{_, Lineage, N} | Entries], Seen, Sum) ->
    case Seen of
        #{Lineage := Known} when Known >= N -> missing(Entries, Seen, Sum);
        #{Lineage := Known} -> missing(Entries, Seen, Sum + N - Known);
        #{} -> missing(Entries, Seen, Sum + N)
    end;
missing([], _Seen, Sum) ->
    Sum.

%% What who has seen this lacks, if it is not much and still remembered: the entries, and what this state has seen.
-spec latest(muster_causal:counters(), state(), muster_crdt_recent:recent()) -> latest().
latest(Seen, #{root := Root, context := Context}, Recent) ->
    Parts = [{Lineage, Above, UpTo} || {_, Lineage, Above, UpTo} <- muster_crdt_delta:intervals(Seen, Context)],
    Few = lists:sum([UpTo - Above || {_, Above, UpTo} <- Parts]) =< ?LATEST,
    case Few andalso muster_crdt_recent:find(Parts, Recent) of
        {ok, Dots} -> {Context, [{Key, muster_trie:siblings(Key, Root)} || Key <- lists:usort([K || {K, _} <- Dots])]};
        _ -> unknown
    end.

%%% Reading it all, in pieces

%% The paths whose pieces together are the state.
-spec paths(state()) -> [muster_trie:path()].
paths(State) ->
    Slots = lists:seq(0, 15),
    case ?MODULE:size(State) of
        Few when Few =< ?PIECE -> [[]];
        Some when Some =< 16 * ?PIECE -> [[A] || A <- Slots];
        _ -> [[A, B] || A <- Slots, B <- Slots]
    end.

-spec piece(muster_trie:path(), state()) -> [{key(), muster_trie:siblings()}].
piece(Path, #{root := Root}) ->
    muster_trie:at(Path, Root).

%% What is at a path, of some kinds.
-spec read([kind()], muster_trie:path(), state()) -> [{key(), encoded()}].
read(Kinds, Path, State) ->
    [
        {Key, datum(Siblings, Key, State)}
     || {{Kind, _} = Key, Siblings} <- piece(Path, State), lists:member(Kind, Kinds)
    ].

datum([{_, _, _, Encoded}], _Key, _State) -> Encoded;
datum(_, Key, State) -> find(Key, State).
