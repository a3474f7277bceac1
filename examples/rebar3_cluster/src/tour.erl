%% Shows, on one of two nodes, that they are a cluster; ends the node, with 0 only if all came true.
-module(tour).

-export([main/0]).

-define(DEADLINE_MS, 30000).

main() ->
    try
        {ok, _} = application:ensure_all_started(rebar3_cluster),
        run(),
        halt(0)
    catch
        Class:Reason:Stack ->
            io:format(standard_error, "~s: ~p ~p~n~p~n", [node(), Class, Reason, Stack]),
            halt(1)
    end.

run() ->
    ok = muster_discovery:await(1, ?DEADLINE_MS),
    [#{node := Peer}] = muster_discovery:snapshot(),
    say("found ~s by gossip; discovery is ~0p", [short(Peer), muster_discovery:health()]),

    RttMs = until("a healthy peer with a measured round trip", fun() -> rtt_of_healthy(Peer) end),
    say("~s is healthy, ~b us away", [short(Peer), round(RttMs * 1000)]),

    Commander = until("a commander that both name", fun() -> agreed_commander(Peer) end),
    say("~s commands, both say; this node is ~s", [short(Commander), muster_topology:get_role()]),

    ok = guest_book:sign({here, short(node())}),
    Guests = until("both in the shared set", fun() -> signed_by_both(here) end),
    say("the shared set holds ~s", [lists:join(" and ", Guests)]),

    %% Whoever has seen all of it stays until the other has too.
    ok = guest_book:sign({done, short(node())}),
    until("the other to be done", fun() -> signed_by_both(done) end),
    guest_book:hand_to(Peer).

rtt_of_healthy(Peer) ->
    case muster_node_monitor:get_health(Peer) of
        {ok, #{status := healthy, rtt_history := [RttMs | _]}} -> {found, RttMs};
        Other -> Other
    end.

agreed_commander(Peer) ->
    Here = muster_topology:get_commander(),
    case {Here, rpc:call(Peer, muster_topology, get_commander, [])} of
        {{ok, Node}, {ok, Node}} -> {found, Node};
        Other -> Other
    end.

signed_by_both(What) ->
    case [Name || {Signed, Name} <- guest_book:entries(), Signed =:= What] of
        [_, _] = Both -> {found, Both};
        Other -> Other
    end.

until(What, Condition) ->
    until(What, Condition, erlang:monotonic_time(millisecond) + ?DEADLINE_MS).

until(What, Condition, Deadline) ->
    case Condition() of
        {found, Value} ->
            Value;
        Other ->
            erlang:monotonic_time(millisecond) < Deadline orelse error({waited_in_vain_for, What, Other}),
            timer:sleep(20),
            until(What, Condition, Deadline)
    end.

say(Format, Args) ->
    io:format("~-4s " ++ Format ++ "~n", [short(node()) | Args]).

short(Node) ->
    hd(string:split(atom_to_list(Node), "-")).
