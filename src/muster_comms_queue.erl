%% @private
%% What waits for one link: a queue per priority, each bounded in messages and bytes.
-module(muster_comms_queue).

-export([new/1, in/4, peek/1, drop/1, clear_for/2, lengths/1]).

-export_type([queue/0, priority/0, limits/0]).

-type priority() :: critical | high | normal | low.
-type limits() :: #{queue_length := pos_integer(), queue_bytes := pos_integer()}.

-record(lane, {
    length = 0 :: non_neg_integer(),
    bytes = 0 :: non_neg_integer(),
    items = queue:new() :: queue:queue({Bytes :: non_neg_integer(), term()})
}).

-record(queue, {
    limits :: limits(),
    %% In the order in which they go.
    critical = #lane{} :: #lane{},
    high = #lane{} :: #lane{},
    normal = #lane{} :: #lane{},
    low = #lane{} :: #lane{}
}).

-opaque queue() :: #queue{}.

-spec new(limits()) -> queue().
new(Limits) ->
    #queue{limits = Limits}.

%% A message that is larger than `queue_bytes' still waits where nothing else of its priority does:
%% otherwise it could never go over a link that is busy.
-spec in(priority(), Bytes :: non_neg_integer(), term(), queue()) -> {ok, queue()} | full.
in(Priority, Bytes, Item, #queue{limits = #{queue_length := Most, queue_bytes := MostBytes}} = Q) ->
    case lane(Priority, Q) of
        #lane{length = Length, bytes = Waiting} when
            Length >= Most; Length > 0, Waiting + Bytes > MostBytes
        ->
            full;
        #lane{length = Length, bytes = Waiting, items = Items} ->
            Longer = #lane{
                length = Length + 1, bytes = Waiting + Bytes, items = queue:in({Bytes, Item}, Items)
            },
            {ok, put_lane(Priority, Longer, Q)}
    end.

%% What goes next: the oldest of the highest priority.
-spec peek(queue()) -> {priority(), term()} | empty.
peek(Q) ->
    case first(Q) of
        empty ->
            empty;
        Priority ->
            {value, {_, Item}} = queue:peek((lane(Priority, Q))#lane.items),
            {Priority, Item}
    end.

%% Without that one.
-spec drop(queue()) -> queue().
drop(Q) ->
    Priority = first(Q),
    #lane{length = Length, bytes = Waiting, items = Items} = lane(Priority, Q),
    {{value, {Bytes, _}}, Rest} = queue:out(Items),
    put_lane(Priority, #lane{length = Length - 1, bytes = Waiting - Bytes, items = Rest}, Q).

%% Whether a message of a priority has nothing to wait behind.
-spec clear_for(priority(), queue()) -> boolean().
clear_for(critical, Q) -> none(critical, Q);
clear_for(high, Q) -> none(high, Q) andalso clear_for(critical, Q);
clear_for(normal, Q) -> none(normal, Q) andalso clear_for(high, Q);
clear_for(low, Q) -> none(low, Q) andalso clear_for(normal, Q).

-spec lengths(queue()) -> #{priority() => non_neg_integer()}.
lengths(#queue{critical = C, high = H, normal = N, low = L}) ->
    #{
        critical => C#lane.length,
        high => H#lane.length,
        normal => N#lane.length,
        low => L#lane.length
    }.

first(#queue{critical = #lane{length = N}}) when N > 0 -> critical;
first(#queue{high = #lane{length = N}}) when N > 0 -> high;
first(#queue{normal = #lane{length = N}}) when N > 0 -> normal;
first(#queue{low = #lane{length = N}}) when N > 0 -> low;
first(_) -> empty.

none(Priority, Q) ->
    (lane(Priority, Q))#lane.length =:= 0.

lane(critical, #queue{critical = Lane}) -> Lane;
lane(high, #queue{high = Lane}) -> Lane;
lane(normal, #queue{normal = Lane}) -> Lane;
lane(low, #queue{low = Lane}) -> Lane.

put_lane(critical, Lane, Q) -> Q#queue{critical = Lane};
put_lane(high, Lane, Q) -> Q#queue{high = Lane};
put_lane(normal, Lane, Q) -> Q#queue{normal = Lane};
put_lane(low, Lane, Q) -> Q#queue{low = Lane}.
