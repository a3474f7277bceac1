%% @private
%% The hashes below some paths of a trie, packed for anti-entropy.
%%
%% For each path, one node: 16 bits that say which slots are not empty, the lowest slot in the
%% lowest bit, 16 that say which of them hold just one leaf, then of each slot that is not empty the
%% sum of its dots' hashes, cut to so many bytes.
-module(muster_crdt_hashes).

-export([narrow/0, wide/0, pack/3, differences/4]).
-export_type([width/0, hashes/0]).

-type width() :: 4 | 8.
-type hashes() :: binary().

%% Bytes of a sum. That two sums differ and look the same happens once in 2^32 comparisons.
-spec narrow() -> 4.
narrow() -> 4.

%% Bytes of a whole sum.
-spec wide() -> 8.
wide() -> 8.

-spec pack([muster_trie:path()], width(), muster_nif:trie()) -> hashes().
pack(Paths, Width, Root) when Width =:= 4; Width =:= 8 ->
    << <<(pack_node(muster_trie:children(Path, Root), 8 * Width))/binary>> || Path <- Paths >>;
pack(_, _, _) ->
    error(badarg).

pack_node(Children, Bits) ->
    Used = lists:sum([1 bsl Slot || {Slot, _} <- Children]),
    Single = lists:sum([1 bsl Slot || {Slot, {1, _}} <- Children]),
    <<Used:16, Single:16, << <<Sum:Bits>> || {_, {_, Sum}} <- Children >>/binary>>.

%% The slots below the paths where the packed side differs from the trie, and whether it has no
%% leaves there, one, or many. A bucket, which has no slots, counts as one.
-spec differences(hashes(), [muster_trie:path()], width(), muster_nif:trie()) ->
    [{muster_trie:path(), none | one | many}].
differences(<<>>, [], _Width, _Root) ->
    [];
differences(<<Used:16, Single:16, Sums/binary>>, [Path | Paths], Width, Root) ->
    {Theirs, Later} = unpack(0, Used, Single, Width * 8, Sums, []),
    Ours = [look(Child, Width * 8) || Child <- muster_trie:children(Path, Root)],
    Here = [{Path ++ [Slot], Kind} || {Slot, Kind} <- unlike(Theirs, Ours)],
    [{Below, at_bucket(Below, Kind)} || {Below, Kind} <- Here] ++ differences(Later, Paths, Width, Root);
differences(_, _, _, _) ->
    error(badarg).

at_bucket(Path, many) ->
    case muster_trie:is_deepest(Path) of
        true -> one;
        false -> many
    end;
at_bucket(_Path, Kind) ->
    Kind.

%% As the other side sees a child of ours.
look({Slot, {1, Sum}}, Bits) -> {Slot, one, cut(Sum, Bits)};
look({Slot, {_, Sum}}, Bits) -> {Slot, many, cut(Sum, Bits)}.

cut(Sum, Bits) -> Sum band ((1 bsl Bits) - 1).

unpack(_Slot, 0, 0, _Bits, Rest, Children) ->
    {lists:reverse(Children), Rest};
unpack(Slot, Used, Single, Bits, Sums, Children) when Used band 1 =:= 0, Single band 1 =:= 0, Slot < 16 ->
    unpack(Slot + 1, Used bsr 1, Single bsr 1, Bits, Sums, Children);
unpack(Slot, Used, Single, Bits, Sums, Children) when Used band 1 =:= 1 ->
    Kind =
        case Single band 1 of
            1 -> one;
            0 -> many
        end,
    case Sums of
        <<Sum:Bits, Rest/binary>> ->
            unpack(Slot + 1, Used bsr 1, Single bsr 1, Bits, Rest, [{Slot, Kind, Sum} | Children]);
        _ ->
            error(badarg)
    end;
unpack(_, _, _, _, _, _) ->
    error(badarg).

%% Both ascending.
unlike([Same | Theirs], [Same | Ours]) -> unlike(Theirs, Ours);
unlike([{Slot, Kind, _} | Theirs], [{Slot, _, _} | Ours]) -> [{Slot, Kind} | unlike(Theirs, Ours)];
unlike([{Slot, Kind, _} | Theirs], [{Later, _, _} | _] = Ours) when Slot < Later ->
    [{Slot, Kind} | unlike(Theirs, Ours)];
unlike([{Slot, Kind, _} | Theirs], []) -> [{Slot, Kind} | unlike(Theirs, [])];
unlike(Theirs, [{Slot, _, _} | Ours]) -> [{Slot, none} | unlike(Theirs, Ours)];
unlike([], []) -> [].
