%% @private
%% Reading the hash trie on which the CRDTs are built. Writing it is native: see muster_nif.
%%
%% The form is described in c_src/core/trie_node.h: a node is a tuple of a bit map (16 bits for the
%% leaves, above them 16 for the children), the count of leaves and the sum of their dots' hashes;
%% then three words for each leaf (key, head, tail), the highest slot first, then the children, the
%% lowest slot first: each is found by counting the bits of the map from its slot on. A slot is four bits of
%% `erlang:phash2/1', the highest first. Below all 27 bits lie buckets, whose map is 0.
%%
%% A malformed trie raises `badarg'; as depth is bounded, nothing here loops.
-module(muster_trie).

-export([empty/0, size/1, sum/1, is_key/2, siblings/2, fold/3, keys/1]).
-export([put/3, diff/4, same_keys/2, differences/2, next_differences/2]).
-export([children/2, tally/1, is_same_tally/2, is_deepest/1, at/2, slot_at/2]).
-export_type([siblings/0, sibling/0, path/0, slot/0, tally/0, differences/0]).

%% The live dots of a key, in ascending order; with stamp and value in a map.
-type siblings() :: [sibling()].
-type sibling() ::
    {muster_nif:lineage(), muster_nif:counter()}
    | {muster_nif:lineage(), muster_nif:counter(), integer(), term()}.
%% Slots, from the root down.
-type path() :: [0..15].
-type slot() :: empty | {leaf, Key :: term(), siblings()} | {node, tuple()}.
-type tally() :: {Leaves :: non_neg_integer(), Sum :: non_neg_integer()}.
%% Two sides of one place in the trie, as many slots below the root.
-type differences() :: [{Depth :: 0..7, A :: slot(), B :: slot()}].

-define(HEADER, 3).
-define(SLOT_BITS, 4).
-define(LAST_SLOT, 15).
-define(ALL_SLOTS, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]).
-define(NO_SLOTS, [
    empty, empty, empty, empty, empty, empty, empty, empty, empty, empty, empty, empty, empty, empty, empty, empty
]).
-define(KEYS_AT_ONCE, 1000).
-define(SUM_MASK, 16#7ffffffffffffff).
-define(TOP_SHIFT, 24).
-define(DEPTH, 7).
%% One bit longer than `phash2', to be cut in pieces of four.
-define(HASH(Key), (erlang:phash2(Key) bsl 1)).
%% Tables, as shifting by a variable and counting bits are calls and dear in Erlang.
-define(BIT(Index), element((Index) + 1, {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768})).
-define(BITS_SET, {
    0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 1, 2, 2, 3, 2, 3, 3, 4, 2, 3, 3, 4, 3, 4, 4, 5,
    1, 2, 2, 3, 2, 3, 3, 4, 2, 3, 3, 4, 3, 4, 4, 5, 2, 3, 3, 4, 3, 4, 4, 5, 3, 4, 4, 5, 4, 5, 5, 6,
    1, 2, 2, 3, 2, 3, 3, 4, 2, 3, 3, 4, 3, 4, 4, 5, 2, 3, 3, 4, 3, 4, 4, 5, 3, 4, 4, 5, 4, 5, 5, 6,
    2, 3, 3, 4, 3, 4, 4, 5, 3, 4, 4, 5, 4, 5, 5, 6, 3, 4, 4, 5, 4, 5, 5, 6, 4, 5, 5, 6, 5, 6, 6, 7,
    1, 2, 2, 3, 2, 3, 3, 4, 2, 3, 3, 4, 3, 4, 4, 5, 2, 3, 3, 4, 3, 4, 4, 5, 3, 4, 4, 5, 4, 5, 5, 6,
    2, 3, 3, 4, 3, 4, 4, 5, 3, 4, 4, 5, 4, 5, 5, 6, 3, 4, 4, 5, 4, 5, 5, 6, 4, 5, 5, 6, 5, 6, 6, 7,
    2, 3, 3, 4, 3, 4, 4, 5, 3, 4, 4, 5, 4, 5, 5, 6, 3, 4, 4, 5, 4, 5, 5, 6, 4, 5, 5, 6, 5, 6, 6, 7,
    3, 4, 4, 5, 4, 5, 5, 6, 4, 5, 5, 6, 5, 6, 6, 7, 4, 5, 5, 6, 5, 6, 6, 7, 5, 6, 6, 7, 6, 7, 7, 8
}).
%% The bits set in a 16-bit integer. Macros, as the compiler's inlining leaves calls where it pays.
-define(POPCOUNT(Bits), (element(((Bits) band 255) + 1, ?BITS_SET) + element(((Bits) bsr 8) + 1, ?BITS_SET))).
%% The bits of a node's map from a slot on.
-define(CHILDREN_FROM(Map, Bit), ((Map bsr 16) band (16#10000 - Bit))).
-define(LEAVES_FROM(Map, Bit), (Map band (16#10000 - Bit))).
%% The child, and the position of the leaf, to whose slot the first of these bits belongs.
-define(CHILD(Children, Node), element(tuple_size(Node) + 1 - ?POPCOUNT(Children), Node)).
-define(LEAF_POSITION(Leaves), (?HEADER - 2 + 3 * ?POPCOUNT(Leaves))).
-define(ALL_CHILDREN, 16#ffff0000).
%% See is_key/3: 28 bits of hash, then the mark.
-define(TRACK(Key), (erlang:phash2(Key) * 32 + 8)).
-define(TRACK_SHIFT, 28).
-define(NEXT(Track), ((Track band 16#fffffff) * 16)).
-define(END_OF_TRACK, 16#80000000).

-spec empty() -> muster_nif:trie().
empty() ->
    {0, 0, 0}.

-spec size(muster_nif:trie()) -> non_neg_integer().
size(Root) ->
    natural(element(2, Root)).

%% The sum of the hashes of all live dots, mod 2^59.
-spec sum(muster_nif:trie()) -> non_neg_integer().
sum(Root) ->
    natural(element(3, Root)).

natural(N) when is_integer(N), N >= 0 -> N;
natural(_) -> error(badarg).

%% In Erlang: with few levels to go down, calling a NIF costs more than it saves. Of the levels near
%% the root nearly all are full of children, which then need no counting.
-spec is_key(term(), muster_nif:trie()) -> boolean().
is_key(Key, Root) ->
    is_key(Key, Root, ?TRACK(Key)).

%% The track is the hash moving up, so that the bits in turn are always the same, and behind it a
%% mark that says when it has all gone.
is_key(Key, Bucket, ?END_OF_TRACK) when is_tuple(Bucket) ->
    is_in_bucket(Key, ?HEADER + 1, Bucket);
is_key(Key, Node, Track) when element(1, Node) =:= ?ALL_CHILDREN ->
    is_key(Key, element((Track bsr ?TRACK_SHIFT) + ?HEADER + 1, Node), ?NEXT(Track));
is_key(Key, Node, Track) when is_integer(element(1, Node)) ->
    Map = element(1, Node),
    Bit = ?BIT(Track bsr ?TRACK_SHIFT),
    if
        Map band (Bit * 16#10000) =/= 0 ->
            is_key(Key, ?CHILD(?CHILDREN_FROM(Map, Bit), Node), ?NEXT(Track));
        Map band Bit =/= 0 ->
            element(?LEAF_POSITION(?LEAVES_FROM(Map, Bit)), Node) =:= Key;
        true ->
            false
    end;
is_key(_Key, _Malformed, _Track) ->
    error(badarg).

is_in_bucket(Key, Position, Bucket) when Position < tuple_size(Bucket) ->
    element(Position, Bucket) =:= Key orelse is_in_bucket(Key, Position + 3, Bucket);
is_in_bucket(_Key, _Position, _Bucket) ->
    false.

%% What is known of a key; `[]' if it is not there.
-spec siblings(term(), muster_nif:trie()) -> siblings().
siblings(Key, Root) ->
    case muster_nif:trie_find(Root, Key, erlang:phash2(Key)) of
        [] -> [];
        [Siblings] when is_list(Siblings) -> Siblings;
        [Lineage | N] -> [{Lineage, N}]
    end.

leaf_siblings(Position, Node) ->
    case element(Position + 2, Node) of
        [] -> element(Position + 1, Node);
        N -> [{element(Position + 1, Node), N}]
    end.

%% What is in a slot: a child, or a leaf at a position of this node.
slot(Index, Node) ->
    Map = natural(element(1, Node)),
    Bit = ?BIT(Index),
    if
        Map band (Bit * 16#10000) =/= 0 -> {node, ?CHILD(?CHILDREN_FROM(Map, Bit), Node)};
        Map band Bit =/= 0 -> {leaf, ?LEAF_POSITION(?LEAVES_FROM(Map, Bit))};
        true -> empty
    end.

%% All leaves, in no particular order.
-spec fold(fun((Key :: term(), siblings(), Acc) -> Acc), Acc, muster_nif:trie()) -> Acc.
fold(Fun, Acc, Root) ->
    fold_node(fun(At, Node, Inner) -> Fun(element(At, Node), leaf_siblings(At, Node), Inner) end, Acc, Root, 0).

-spec keys(muster_nif:trie()) -> [term()].
keys(Root) ->
    keys_node([], Root, 0).

keys_node(Acc, Node, Depth) ->
    First = first_child(Node, Depth),
    keys_children(keys_leaves(Acc, Node, First - 3), Node, tuple_size(Node), First, Depth + 1).

keys_leaves(Acc, Node, Position) when Position > ?HEADER ->
    keys_leaves([element(Position, Node) | Acc], Node, Position - 3);
keys_leaves(Acc, _Node, _Position) ->
    Acc.

keys_children(Acc, Node, Position, First, Depth) when Position >= First ->
    keys_children(keys_node(Acc, element(Position, Node), Depth), Node, Position - 1, First, Depth);
keys_children(Acc, _Node, _Position, _First, _Depth) ->
    Acc.

fold_node(Fun, Acc, Node, Depth) ->
    First = first_child(Node, Depth),
    Leaves = fold_leaves(Fun, Acc, Node, First - 3),
    fold_children(Fun, Leaves, Node, tuple_size(Node), First, Depth + 1).

fold_leaves(Fun, Acc, Node, Position) when Position > ?HEADER ->
    fold_leaves(Fun, Fun(Position, Node, Acc), Node, Position - 3);
fold_leaves(_Fun, Acc, _Node, _Position) ->
    Acc.

fold_children(Fun, Acc, Node, Position, First, Depth) when Position >= First ->
    Inner = fold_node(Fun, Acc, element(Position, Node), Depth),
    fold_children(Fun, Inner, Node, Position - 1, First, Depth);
fold_children(_Fun, Acc, _Node, _Position, _First, _Depth) ->
    Acc.

%% The position after a node's last leaf.
first_child(Node, Depth) when is_tuple(Node), Depth < ?DEPTH ->
    case element(1, Node) of
        Map when is_integer(Map), Map >= 0, Map =< 16#ffffffff ->
            ?HEADER + 1 + 3 * ?POPCOUNT(Map band 16#ffff);
        _ ->
            error(badarg)
    end;
first_child(Bucket, ?DEPTH) when is_tuple(Bucket), (tuple_size(Bucket) - ?HEADER) rem 3 =:= 0 ->
    tuple_size(Bucket) + 1;
first_child(_, _) ->
    error(badarg).

%% Gives the key these siblings; none of them removes it.
-spec put(term(), siblings(), muster_nif:trie()) -> muster_nif:trie().
put(Key, [], Root) ->
    case muster_nif:trie_remove(Root, Key, erlang:phash2(Key)) of
        unchanged -> Root;
        Removed -> Removed
    end;
put(Key, [{Lineage, N}], Root) ->
    put_leaf(Key, Lineage, N, Root);
put(Key, Siblings, Root) ->
    put_leaf(Key, Siblings, [], Root).

put_leaf(Key, Head, Tail, Root) ->
    [Changed | _] = muster_nif:trie_put(Root, {}, Key, erlang:phash2(Key), Head, Tail),
    Changed.

%% Every key whose siblings differ, with those of both sides. Cost follows the difference, as in
%% a merge: subtrees with the same hashes of dots are skipped.
-spec diff(
    fun((Key :: term(), A :: siblings(), B :: siblings(), Acc) -> Acc),
    Acc,
    muster_nif:trie(),
    muster_nif:trie()
) -> Acc.
diff(Fun, Acc, A, B) ->
    diff_all(Fun, Acc, next_differences(differences(A, B), ?KEYS_AT_ONCE)).

diff_all(_Fun, Acc, {[], []}) ->
    Acc;
diff_all(Fun, Acc, {Keys, Rest}) ->
    Folded = lists:foldl(fun({Key, A, B}, Inner) -> Fun(Key, A, B, Inner) end, Acc, Keys),
    diff_all(Fun, Folded, next_differences(Rest, ?KEYS_AT_ONCE)).

%% Whether two tries have the same keys.
-spec same_keys(muster_nif:trie(), muster_nif:trie()) -> boolean().
same_keys(A, B) ->
    try
        diff(fun one_sided/4, true, A, B)
    catch
        throw:one_sided -> false
    end.

one_sided(_Key, [_ | _], [_ | _], Acc) -> Acc;
one_sided(_Key, _A, _B, _Acc) -> throw(one_sided).

%% The same step by step: pairs of slots that are still to be compared.
-spec differences(muster_nif:trie(), muster_nif:trie()) -> differences().
differences(A, B) ->
    [{0, {node, A}, {node, B}}].

%% Looks at no more than `Budget' pairs of slots: the keys that differ there, and what is left,
%% `[]' at the end.
-spec next_differences(differences(), Budget :: pos_integer()) ->
    {[{Key :: term(), A :: siblings(), B :: siblings()}], differences()}.
next_differences(Pairs, Budget) ->
    compare(Pairs, Budget, []).

compare([], _Budget, Keys) ->
    {Keys, []};
compare(Pairs, 0, Keys) ->
    {Keys, Pairs};
compare([{_Depth, {node, A}, {node, B}} | Pairs], Budget, Keys) when
    element(2, A) =:= element(2, B), element(3, A) =:= element(3, B)
->
    compare(Pairs, Budget - 1, Keys);
compare([{Depth, A, B} | Pairs], Budget, Keys) when
    Depth < ?DEPTH, element(1, A) =:= node; Depth < ?DEPTH, element(1, B) =:= node
->
    Below = pair(slots(A, Depth), slots(B, Depth), Depth + 1, Pairs),
    compare(Below, Budget - 1, Keys);
compare([{Depth, A, B} | Pairs], Budget, Keys) ->
    compare(Pairs, Budget - 1, differing(leaves(A, Depth), leaves(B, Depth), Keys)).

pair([empty | A], [empty | B], Depth, Pairs) ->
    pair(A, B, Depth, Pairs);
pair([{node, NodeA} | A], [{node, NodeB} | B], Depth, Pairs) when
    element(2, NodeA) =:= element(2, NodeB), element(3, NodeA) =:= element(3, NodeB)
->
    pair(A, B, Depth, Pairs);
pair([SlotA | A], [SlotB | B], Depth, Pairs) ->
    pair(A, B, Depth, [{Depth, SlotA, SlotB} | Pairs]);
pair([], [], _Depth, Pairs) ->
    Pairs.

differing([{Key, A}], [{Key, B}], Keys) ->
    differ(Key, A, B, Keys);
differing(LeavesA, LeavesB, Keys) ->
    OfB = maps:from_list(LeavesB),
    OfA = maps:from_list(LeavesA),
    OnlyB = [{Key, [], B} || {Key, B} <- LeavesB, not is_map_key(Key, OfA)],
    lists:foldl(fun({Key, A}, Acc) -> differ(Key, A, maps:get(Key, OfB, []), Acc) end, OnlyB ++ Keys, LeavesA).

differ(_Key, Same, Same, Keys) -> Keys;
differ(Key, A, B, Keys) -> [{Key, A, B} | Keys].

read_slot(Index, Node) ->
    case slot(Index, Node) of
        {leaf, Position} -> {leaf, element(Position, Node), leaf_siblings(Position, Node)};
        Other -> Other
    end.

%% The 16 slots below one. A leaf that lies above is where its hash says.
slots({node, Node}, _Depth) ->
    [read_slot(Index, Node) || Index <- ?ALL_SLOTS];
slots({leaf, Key, _} = Leaf, Depth) ->
    At = index(Key, Depth),
    [if Index =:= At -> Leaf; true -> empty end || Index <- ?ALL_SLOTS];
slots(empty, _Depth) ->
    ?NO_SLOTS.

index(Key, Depth) ->
    (?HASH(Key) bsr (?TOP_SHIFT - ?SLOT_BITS * Depth)) band ?LAST_SLOT.

leaves(empty, _Depth) ->
    [];
leaves({leaf, Key, Siblings}, _Depth) ->
    [{Key, Siblings}];
leaves({node, Node}, Depth) ->
    fold_node(fun(At, N, Acc) -> [{element(At, N), leaf_siblings(At, N)} | Acc] end, [], Node, Depth).

%% What lies below a path of less than 7 slots, for each slot that is not empty.
-spec children(path(), muster_nif:trie()) -> [{0..15, tally()}].
children(Path, Root) when length(Path) < ?DEPTH ->
    Slots = lists:zip(?ALL_SLOTS, slots(slot_at(Path, Root), length(Path))),
    [{Index, tally(Slot)} || {Index, Slot} <- Slots, Slot =/= empty];
children(_, _) ->
    error(badarg).

%% How many leaves a slot has, and the sum of their dots' hashes.
-spec tally(slot()) -> tally().
tally(empty) ->
    {0, 0};
tally({node, Node}) ->
    {?MODULE:size(Node), sum(Node)};
tally({leaf, _Key, Siblings}) ->
    Sum = lists:sum([muster_nif:dot_hash(element(1, S), element(2, S)) || S <- Siblings]),
    {1, Sum band ?SUM_MASK}.

%% Whether two tallies are the same; sums may have been added and subtracted without cutting.
-spec is_same_tally({integer(), integer()}, {integer(), integer()}) -> boolean().
is_same_tally({CountA, SumA}, {CountB, SumB}) ->
    CountA =:= CountB andalso (SumA - SumB) band ?SUM_MASK =:= 0.

%% Whether a path ends at a bucket, below which there are no slots.
-spec is_deepest(path()) -> boolean().
is_deepest(Path) ->
    length(Path) >= ?DEPTH.

%% The leaves at a path.
-spec at(path(), muster_nif:trie()) -> [{Key :: term(), siblings()}].
at(Path, Root) ->
    leaves(slot_at(Path, Root), length(Path)).

%% What is at the end of a path. A leaf may lie above it: it is there only if its hash says so.
-spec slot_at(path(), muster_nif:trie()) -> slot().
slot_at(Path, Root) ->
    descend(Path, {node, Root}, ?TOP_SHIFT).

descend([Index | Path], {node, Node}, Shift) when Shift >= 0 ->
    descend(Path, read_slot(Index, Node), Shift - ?SLOT_BITS);
descend(Path, {leaf, Key, _} = Leaf, Shift) when Path =/= [] ->
    case is_on(Path, ?HASH(Key), Shift) of
        true -> Leaf;
        false -> empty
    end;
descend([], Slot, _Shift) ->
    Slot;
descend(_Path, empty, _Shift) ->
    empty;
descend(_Path, _Slot, _Shift) ->
    error(badarg).

is_on([Index | Path], Hash, Shift) when Shift >= 0 ->
    (Hash bsr Shift) band ?LAST_SLOT =:= Index andalso is_on(Path, Hash, Shift - ?SLOT_BITS);
is_on(Path, _Hash, _Shift) ->
    Path =:= [].
