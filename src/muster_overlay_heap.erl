%% @private
%% What the garbage collector is told of the process that holds an overlay's data, which calls this.
%%
%% The data are binaries beside the heap. The collector counts them, and where there are many more than at the last
%% major collection, it takes them for garbage: left to itself, it makes each collection of a growing overlay a major
%% one, which copies all of the heap, and the minor one after that copies it once more. So it is told to expect some
%% more than there are; and during a load, what is still to come.
-module(muster_overlay_heap).

-export([new/0, holds/3, begin_load/2, end_load/1]).
-export_type([heap/0]).

-record(heap, {
    %% How many words of binaries the collector expects.
    binaries :: pos_integer(),
    %% How many entries there will be, as the sender says, and how many of these are believed.
    announced = 0 :: non_neg_integer(),
    believed = 0 :: non_neg_integer()
}).
-opaque heap() :: #heap{}.

%% Words for each entry of a load, on the heap and of binaries, and for all of them. Less often collected, most of the
%% garbage of a load is never copied.
-define(ENTRY_WORDS, 30).
-define(LOAD_WORDS, 8388608).
%% Anybody may announce anything: it is believed of so many times what has come, or of so much.
-define(BELIEVED_TIMES, 8).
-define(BELIEVED, 1000).

-spec new() -> heap().
new() ->
    #heap{binaries = default(min_bin_vheap_size)}.

%% There are so many entries now, with so many bytes of data. At most twice as many bytes are let become garbage.
-spec holds(Entries :: non_neg_integer(), Bytes :: non_neg_integer(), heap()) -> heap().
holds(Entries, Bytes, Heap) ->
    #heap{binaries = Binaries} = Loading = believe(Entries, Heap),
    Words = Bytes div erlang:system_info(wordsize),
    case 2 * Binaries < 3 * Words orelse Binaries > max(least(Loading), 6 * Words) of
        true -> expect_binaries(3 * Words, Loading);
        false -> Loading
    end.

least(#heap{believed = Believed}) ->
    max(default(min_bin_vheap_size), load_words(Believed)).

load_words(Entries) ->
    min(?LOAD_WORDS, Entries * ?ENTRY_WORDS).

expect_binaries(Words, Heap) ->
    Binaries = max(least(Heap), Words),
    _ = process_flag(min_bin_vheap_size, Binaries),
    Heap#heap{binaries = Binaries}.

%% A load comes in, with which there will be so many entries.
-spec begin_load(Entries :: non_neg_integer(), heap()) -> heap().
begin_load(Entries, Heap) ->
    Heap#heap{announced = Entries}.

%% The collector takes in what it is told when it collects, which is best done before there is much.
believe(Entries, #heap{announced = Announced, believed = Before, binaries = Binaries} = Heap) ->
    case min(Announced, max(?BELIEVED, ?BELIEVED_TIMES * Entries)) of
        More when More > 4 * Before; More =:= Announced, More > Before ->
            _ = process_flag(min_heap_size, max(default(min_heap_size), load_words(More))),
            Expecting = expect_binaries(Binaries, Heap#heap{believed = More}),
            _ = More > 4 * Entries andalso erlang:garbage_collect(),
            Expecting;
        _ ->
            Heap
    end.

-spec end_load(heap()) -> heap().
end_load(Heap) ->
    _ = process_flag(min_heap_size, default(min_heap_size)),
    Heap#heap{announced = 0, believed = 0}.

default(Flag) ->
    {Flag, Words} = erlang:system_info(Flag),
    Words.
