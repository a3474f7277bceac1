%% Starts what every node of the cluster runs.
-module(rebar3_cluster_app).

-behaviour(application).
-behaviour(supervisor).

-export([start/2, stop/1]).
-export([init/1]).

start(_Type, _Args) ->
    supervisor:start_link({local, ?MODULE}, ?MODULE, []).

stop(_State) ->
    ok.

init([]) ->
    {ok,
        {#{strategy => rest_for_one}, [
            muster_discovery:child_spec([{strategy, gossip} | gossip()]),
            muster_node_monitor:child_spec([{ping_interval_ms, 200}]),
            muster_topology:child_spec([{quorum_size, 2}]),
            #{id => guest_book, start => {guest_book, start_link, []}}
        ]}}.

%% This example must not leave the machine: packets stay on the loopback interface, under a port
%% and a secret of this run. On a LAN, `{strategy, gossip}' with a secret is all it takes.
gossip() ->
    [
        {multicast_if, "127.0.0.1"},
        {port, list_to_integer(os:getenv("GOSSIP_PORT"))},
        {secret, os:getenv("GOSSIP_SECRET")}
    ].
