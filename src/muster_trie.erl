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
-export([put/3, diff/4, same_keys/2]).
-export([children/2, is_deepest/1, at/2]).
-export_type([siblings/0, sibling/0, path/0]).

%% The live dots of a key, in ascending order; with stamp and value in a map.
-type siblings() :: [sibling()].
-type sibling() ::
    {muster_nif:lineage(), muster_nif:counter()}
    | {muster_nif:lineage(), muster_nif:counter(), integer(), term()}.
%% Slots, from the root down.
-type path() :: [0..15].

-define(HEADER, 3).
-define(SLOT_BITS, 4).
-define(LAST_SLOT, 15).
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
    diff_slots(Fun, Acc, {node, A}, {node, B}, 0).

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

%% A slot is `empty', `{leaf, Key, Siblings}' or `{node, Node}'.
diff_slots(_Fun, Acc, Same, Same, _Depth) when Same =:= empty ->
    Acc;
diff_slots(Fun, Acc, {node, A} = SlotA, {node, B} = SlotB, Depth) ->
    case element(2, A) =:= element(2, B) andalso element(3, A) =:= element(3, B) of
        true -> Acc;
        false when Depth < ?DEPTH -> diff_nodes(Fun, Acc, A, B, Depth);
        false -> diff_lists(Fun, Acc, leaves(SlotA, Depth), leaves(SlotB, Depth))
    end;
diff_slots(Fun, Acc, SlotA, SlotB, Depth) ->
    diff_lists(Fun, Acc, leaves(SlotA, Depth), leaves(SlotB, Depth)).

diff_nodes(Fun, Acc, A, B, Depth) ->
    lists:foldl(
        fun(Index, Inner) -> diff_slots(Fun, Inner, read_slot(Index, A), read_slot(Index, B), Depth + 1) end,
        Acc,
        lists:seq(0, ?LAST_SLOT)
    ).

%% Only where a leaf or nothing faces a subtree.
diff_lists(Fun, Acc, LeavesA, LeavesB) ->
    OfB = maps:from_list(LeavesB),
    {Rest, Both} = lists:foldl(
        fun({Key, A}, {Left, Inner}) ->
            case Left of
                #{Key := A} -> {maps:remove(Key, Left), Inner};
                #{Key := B} -> {maps:remove(Key, Left), Fun(Key, A, B, Inner)};
                #{} -> {Left, Fun(Key, A, [], Inner)}
            end
        end,
        {OfB, Acc},
        LeavesA
    ),
    maps:fold(fun(Key, B, Inner) -> Fun(Key, [], B, Inner) end, Both, Rest).

read_slot(Index, Node) ->
    case slot(Index, Node) of
        {leaf, Position} -> {leaf, element(Position, Node), leaf_siblings(Position, Node)};
        Other -> Other
    end.

leaves(empty, _Depth) ->
    [];
leaves({leaf, Key, Siblings}, _Depth) ->
    [{Key, Siblings}];
leaves({node, Node}, Depth) ->
    fold_node(fun(At, N, Acc) -> [{element(At, N), leaf_siblings(At, N)} | Acc] end, [], Node, Depth).

%% What lies below a path of less than 7 slots: for each slot that is not empty, how many leaves and
%% the sum of their dots' hashes. A leaf that lies above counts where its hash says.
-spec children(path(), muster_nif:trie()) ->
    [{0..15, Count :: non_neg_integer(), Sum :: non_neg_integer()}].
children(Path, Root) when length(Path) < ?DEPTH ->
    case descend(Path, {node, Root}) of
        {node, Node} ->
            [tally(Index, S) || Index <- lists:seq(0, ?LAST_SLOT), (S = read_slot(Index, Node)) =/= empty];
        {leaf, Key, _} = Leaf ->
            Shift = ?TOP_SHIFT - ?SLOT_BITS * length(Path),
            [tally((?HASH(Key) bsr Shift) band ?LAST_SLOT, Leaf)];
        empty ->
            []
    end;
children(_, _) ->
    error(badarg).

%% Whether a path ends at a bucket, below which there are no slots.
-spec is_deepest(path()) -> boolean().
is_deepest(Path) ->
    length(Path) >= ?DEPTH.

tally(Index, {node, Node}) ->
    {Index, ?MODULE:size(Node), sum(Node)};
tally(Index, {leaf, _Key, Siblings}) ->
    Sum = lists:sum([muster_nif:dot_hash(element(1, S), element(2, S)) || S <- Siblings]),
    {Index, 1, Sum band 16#7ffffffffffffff}.

%% The leaves at a path.
-spec at(path(), muster_nif:trie()) -> [{Key :: term(), siblings()}].
at(Path, Root) ->
    leaves(descend(Path, {node, Root}), length(Path)).

%% What is at the end of the path. A leaf may lie above it: it is there only if its hash says so.
descend(Path, Slot) ->
    descend(Path, Slot, ?TOP_SHIFT).

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
    empty.

is_on([Index | Path], Hash, Shift) when Shift >= 0 ->
    (Hash bsr Shift) band ?LAST_SLOT =:= Index andalso is_on(Path, Hash, Shift - ?SLOT_BITS);
is_on(Path, _Hash, _Shift) ->
    Path =:= [].
