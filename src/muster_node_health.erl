%% @private
%% A health record as {@link muster_node_monitor} gives it: what the BEAM knows of a node, the C
%% node's figures in milliseconds, and the state of its connection in words.
-module(muster_node_health).

-export([record/3]).

-type known() :: #{
    node := node(),
    status := muster_node_monitor:status(),
    last_seen := integer(),
    joined_at := integer()
}.

%% `Pulled' is the C node's health map as last seen, `#{}' when there was none; `Answer' what it
%% said just now.
-spec record(known(), map(), {ok, map()} | {error, term()}) -> muster_node_monitor:health().
record(Known, Pulled, Answer) ->
    {Connection, Reason} = connection(Answer),
    Known#{
        rtt_history => [Us / 1000 || Us <- maps:get(rtt_history_us, Pulled, [])],
        avg_rtt_ms => ms(avg_rtt_us, Pulled),
        min_rtt_ms => ms(min_rtt_us, Pulled),
        max_rtt_ms => ms(max_rtt_us, Pulled),
        jitter_ms => ms(jitter_us, Pulled),
        connection => Connection,
        connection_reason => Reason
    }.

ms(Figure, Pulled) ->
    maps:get(Figure, Pulled, 0.0) / 1000.

connection({ok, #{connection := Connection, reason := Reason}}) ->
    {Connection, Reason};
connection({error, unavailable}) ->
    {unavailable, <<"there is no C node here">>};
connection({error, unknown}) ->
    {not_watched, <<"the C node does not watch this node">>};
connection({error, timeout}) ->
    {cnode_down, <<"the C node did not answer in time">>};
connection({error, _}) ->
    {cnode_down, <<"the C node is about to be restarted">>}.
