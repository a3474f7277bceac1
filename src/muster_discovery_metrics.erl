%% @private
%% What a discovery server counts, and its telemetry events but those of the attempts to connect, which
%% {@link muster_connector} emits.
-module(muster_discovery_metrics).

-export([new/1, synced/4, told/2, attempted/2, counts/1]).

-export_type([metrics/0]).

-record(metrics, {
    %% The events' prefix, and whose they are.
    prefix :: [atom()],
    server :: term(),
    counts = #{
        syncs => 0, failures => 0, last_duration_us => 0, events => 0, connects => 0, connect_failures => 0, held => 0
    } :: muster_discovery:metrics()
}).

-opaque metrics() :: #metrics{}.

%% From the server's options.
-spec new(#{atom() => term()}) -> metrics().
new(#{name := Server, telemetry_prefix := Prefix}) ->
    #metrics{prefix = Prefix, server = Server}.

-spec counts(metrics()) -> muster_discovery:metrics().
counts(#metrics{counts = Counts}) ->
    Counts.

%% A topology's backend answered, or not.
-spec synced(Topology :: term(), ok, #{duration_us := integer(), listed := integer()}, metrics()) -> metrics();
    (Topology :: term(), error, Text :: binary(), metrics()) -> metrics().
synced(Topology, ok, #{duration_us := Us, listed := Listed}, M) ->
    execute(sync, #{duration_us => Us, listed => Listed}, #{topology => Topology, result => ok}, M),
    #metrics{counts = Counts} = Counted = count(syncs, M),
    Counted#metrics{counts = Counts#{last_duration_us := Us}};
synced(Topology, error, Text, M) ->
    execute(sync, #{}, #{topology => Topology, result => error, reason => Text}, M),
    count(failures, M).

%% Subscribers were told of a peer.
-spec told(muster_peer_table:event(), metrics()) -> metrics().
told({peer_down, Node, Reason}, M) ->
    execute(peer_down, #{}, #{node => Node, reason => Reason}, M),
    count(events, M);
told({Kind, Node, Metadata}, M) ->
    execute(Kind, #{}, #{node => Node, metadata => Metadata}, M),
    count(events, M).

%% What an attempt to connect came to.
-spec attempted(muster_reconnect:result(), metrics()) -> metrics().
attempted(true, M) -> count(connects, M);
attempted(held, M) -> count(held, M);
attempted(_, M) -> count(connect_failures, M).

count(What, #metrics{counts = Counts} = M) ->
    M#metrics{counts = maps:update_with(What, fun(Was) -> Was + 1 end, Counts)}.

execute(Kind, Measurements, Metadata, #metrics{prefix = Prefix, server = Server}) ->
    muster_telemetry:execute(
        Prefix ++ [Kind],
        Measurements#{system_time => erlang:system_time()},
        Metadata#{server => Server}
    ).
