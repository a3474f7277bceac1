%% @private
%% One link: how good it is, what may go over it, what waits, and what became of all that was
%% asked. Pure: the server sends, and says what came of it.
-module(muster_comms_link).

-export([
    new/3,
    classify/1,
    up/3,
    measured/2,
    by_hand/3,
    quality/2,
    ask/3,
    sent/2,
    wait/4,
    refuse/2,
    peek/1,
    went/1,
    drop_all/1,
    is_up/1,
    is_forgotten/2,
    counters/1
]).

-export_type([link/0, quality/0, counters/0]).

%% How many of the latest samples decide: one late answer changes nothing, three do.
-define(SAMPLES, 5).
%% A link that has been gone for that long is as good as never known.
-define(FORGET_MS, 3600000).
%% States of the C node's connection in which silence is the peer's. In the others the C node is
%% not heard (another cookie, not allowed, TLS, no epmd), which says nothing of the BEAM's own link.
-define(ASKED(Connection),
    (Connection =:= connected orelse Connection =:= timeout orelse Connection =:= silent orelse
        Connection =:= unreachable orelse Connection =:= overloaded)
).

-type quality() :: excellent | good | degraded | poor | disconnected.
-type priority() :: muster_comms_queue:priority().
-type counters() :: #{
    priority() => #{
        sent := non_neg_integer(), dropped := non_neg_integer(), queued := non_neg_integer()
    }
}.

-record(link, {
    %% What the BEAM says, since when.
    up :: boolean(),
    since :: integer(),
    measured :: quality() | undefined,
    by_hand :: {quality(), Until :: integer() | infinity} | undefined,
    queue :: muster_comms_queue:queue(),
    sent = #{} :: #{priority() => pos_integer()},
    dropped = #{} :: #{priority() => pos_integer()}
}).

-opaque link() :: #link{}.

-spec new(Up :: boolean(), Now :: integer(), muster_comms_queue:limits()) -> link().
new(Up, Now, Limits) ->
    #link{up = Up, since = Now, queue = muster_comms_queue:new(Limits)}.

-spec classify(RttMs :: number()) -> quality().
classify(Ms) when Ms < 10 -> excellent;
classify(Ms) when Ms < 50 -> good;
classify(Ms) when Ms < 200 -> degraded;
classify(Ms) when Ms < 1000 -> poor;
classify(_) -> disconnected.

%%% What is known of it

%% The BEAM has connected, or lost the node: what was known is of the connection before.
-spec up(boolean(), Now :: integer(), link()) -> link().
up(Up, Now, L) ->
    L#link{up = Up, since = Now, measured = undefined, by_hand = undefined}.

%% A record of the node monitor's.
-spec measured(muster_node_monitor:health(), link()) -> link().
measured(Health, L) ->
    case assess(Health) of
        nothing_new -> L;
        Quality -> L#link{measured = Quality}
    end.

assess(#{status := down}) ->
    disconnected;
assess(#{status := suspect, connection := Connection}) when ?ASKED(Connection) ->
    poor;
assess(#{status := suspect}) ->
    undefined;
assess(#{rtt_history := []}) ->
    nothing_new;
assess(#{rtt_history := Rtts}) ->
    Latest = lists:sort(lists:sublist(Rtts, ?SAMPLES)),
    classify(lists:nth((length(Latest) + 1) div 2, Latest)).

%% The user's word. It holds until that time, and on for as long as nothing was measured.
-spec by_hand(quality(), Until :: integer() | infinity, link()) -> link().
by_hand(Quality, Until, L) ->
    L#link{by_hand = {Quality, Until}}.

-spec quality(Now :: integer(), link()) -> quality().
quality(Now, #link{up = Up, measured = Measured, by_hand = ByHand} = L) ->
    case {holds(Now, L), Up, Measured} of
        {true, _, _} -> element(1, ByHand);
        {false, false, _} -> disconnected;
        {false, true, undefined} -> good;
        {false, true, _} -> Measured
    end.

holds(_, #link{by_hand = undefined}) -> false;
holds(_, #link{measured = undefined}) -> true;
holds(Now, #link{by_hand = {_, Until}}) -> Now < Until.

%%% What may go

%% `send': it goes now. `wait': it goes after what waits already. `drop': the link is too bad for
%% it. `disconnected': there is no link.
-spec ask(priority(), Now :: integer(), link()) -> send | wait | drop | disconnected.
ask(Priority, Now, #link{up = Up, queue = Queue} = L) ->
    %% Measured, not set: so slow that it counts as disconnected, but the BEAM holds the connection.
    Slow = Up andalso not holds(Now, L),
    case may_go(Priority, quality(Now, L), Slow) of
        true ->
            case muster_comms_queue:clear_for(Priority, Queue) of
                true -> send;
                false -> wait
            end;
        Refused ->
            Refused
    end.

may_go(critical, disconnected, true) ->
    true;
may_go(high, disconnected, true) ->
    true;
may_go(_, disconnected, _) ->
    disconnected;
may_go(normal, poor, _) ->
    drop;
may_go(low, Quality, _) when Quality =:= degraded; Quality =:= poor ->
    drop;
may_go(_, _, _) ->
    true.

%%% What became of it

-spec sent(priority(), link()) -> link().
sent(Priority, #link{sent = Sent} = L) ->
    L#link{sent = add(Priority, 1, Sent)}.

-spec wait(priority(), Bytes :: non_neg_integer(), Item :: term(), link()) -> {ok, link()} | full.
wait(Priority, Bytes, Item, #link{queue = Queue} = L) ->
    case muster_comms_queue:in(Priority, Bytes, Item, Queue) of
        {ok, Longer} -> {ok, L#link{queue = Longer}};
        full -> full
    end.

%% Dropped, or refused.
-spec refuse(priority(), link()) -> link().
refuse(Priority, #link{dropped = Dropped} = L) ->
    L#link{dropped = add(Priority, 1, Dropped)}.

-spec peek(link()) -> {priority(), term()} | empty.
peek(#link{queue = Queue}) ->
    muster_comms_queue:peek(Queue).

%% What `peek/1' gave was sent.
-spec went(link()) -> link().
went(#link{queue = Queue} = L) ->
    {Priority, _} = muster_comms_queue:peek(Queue),
    sent(Priority, L#link{queue = muster_comms_queue:drop(Queue)}).

%% All that waits will never go.
-spec drop_all(link()) -> link().
drop_all(#link{queue = Queue, dropped = Dropped} = L) ->
    case muster_comms_queue:peek(Queue) of
        empty ->
            L;
        {Priority, _} ->
            drop_all(L#link{
                queue = muster_comms_queue:drop(Queue), dropped = add(Priority, 1, Dropped)
            })
    end.

-spec is_up(link()) -> boolean().
is_up(#link{up = Up}) ->
    Up.

-spec is_forgotten(Now :: integer(), link()) -> boolean().
is_forgotten(Now, #link{up = Up, since = Since, by_hand = ByHand}) ->
    not Up andalso ByHand =:= undefined andalso Now - Since >= ?FORGET_MS.

-spec counters(link()) -> counters().
counters(#link{queue = Queue, sent = Sent, dropped = Dropped}) ->
    maps:map(
        fun(Priority, Queued) ->
            #{
                sent => maps:get(Priority, Sent, 0),
                dropped => maps:get(Priority, Dropped, 0),
                queued => Queued
            }
        end,
        muster_comms_queue:lengths(Queue)
    ).

add(Priority, N, Counts) ->
    maps:update_with(Priority, fun(Before) -> Before + N end, N, Counts).
