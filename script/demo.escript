#!/usr/bin/env escript
%% -*- erlang -*-
%% A cluster of three real BEAM nodes with their C nodes, on loopback: who is connected to whom with
%% what round-trip time, what they share, what a frozen node looks like and what a killed one does.
%%
%%   make demo                                  (or script/demo [--suspect-after MS] [--ping-interval MS])
%%
%% The nodes are driven over their standard input and output, not over the cluster, so that the cluster is
%% just them. Everything that is started here ends here, whatever happens.
-mode(compile).

-define(MONITOR, muster_node_monitor).
-define(DEADLINE_MS, 20000).

main([Ebin | Args]) ->
    true = code:add_patha(Ebin),
    Options = options(Args, #{suspect_after_ms => 1000, ping_interval_ms => 200}),
    process_flag(trap_exit, true),
    Names = ["berlin", "lagos", "quito"],
    Cluster = [start_node(Name, Ebin) || Name <- Names],
    try
        show(Cluster, Options)
    catch
        Class:Reason:Stack ->
            say("the demo failed: ~p:~p~n~p", [Class, Reason, Stack]),
            stop(Cluster),
            halt(1)
    end,
    stop(Cluster),
    say("All nodes and their C nodes are gone again.", []).

options([], Options) ->
    Options;
options(["--suspect-after", Ms | Rest], Options) ->
    options(Rest, Options#{suspect_after_ms => list_to_integer(Ms)});
options(["--ping-interval", Ms | Rest], Options) ->
    options(Rest, Options#{ping_interval_ms => list_to_integer(Ms)});
options(Other, _Options) ->
    io:format(standard_error, "demo: ~p is not one of --suspect-after MS, --ping-interval MS~n", [Other]),
    halt(2).

show(Cluster, Options) ->
    say("Three BEAM nodes are up: ~s", [lists:join(", ", [short(Node) || Node <- Cluster])]),
    [start_muster(Node, Options) || Node <- Cluster],
    say("Each runs muster: its C node joins as a hidden node beside it, ~s and so on.", [cnode_name(hd(Cluster))]),
    say("They find each other by gossip alone (UDP multicast on the loopback interface).", []),
    Began = erlang:monotonic_time(millisecond),
    [start_gossip(Node) || Node <- Cluster],
    [ok = on(Node, muster_discovery, await, [length(Cluster) - 1, ?DEADLINE_MS]) || Node <- Cluster],
    say("All are connected, ~b ms after the first one began to listen.", [erlang:monotonic_time(millisecond) - Began]),
    until("all see each other", fun() -> lists:all(fun(N) -> sees(N, [healthy, healthy]) end, Cluster) end),
    until("some round trips are measured", fun() -> lists:all(fun(N) -> samples(N) >= 5 end, Cluster) end),
    table("Everybody is connected to everybody", Cluster),
    [start_topology(Node) || Node <- Cluster],
    until("all name one commander", fun() -> agreed_commander(Cluster) =/= none end),
    {[C], [A, B]} = lists:partition(fun({Name, _, _}) -> Name =:= agreed_commander(Cluster) end, Cluster),
    say("They have elected a commander, and all name the same: ~s.", [short(C)]),
    say("", []),
    share_a_set(A, B),
    [start_overlay(Node) || Node <- Cluster],
    share_state(C, A, Cluster),

    {_, _, PidB} = B,
    signal("STOP", PidB),
    say("~s is frozen now (SIGSTOP): its sockets stay open, but it answers no more.", [short(B)]),
    until("the others suspect it", fun() -> lists:all(fun(N) -> status(N, B) =:= suspect end, [A, C]) end),
    table(io_lib:format("~s has turned suspect", [short(B)]), [A, C]),

    signal("CONT", PidB),
    until("it is healthy again", fun() -> lists:all(fun(N) -> status(N, B) =:= healthy end, [A, C]) end),
    table(io_lib:format("~s was resumed (SIGCONT) and is healthy again", [short(B)]), [A, C]),
    say("What it was asked while it was frozen it has answered now: those round trips took that long.", []),
    say("", []),

    {_, _, PidC} = C,
    Killed = erlang:monotonic_time(microsecond),
    signal("KILL", PidC),
    until("the others have a new commander", fun() -> new_commander([A, B], C) end),
    say("~s, the commander, is killed (SIGKILL); its C node leaves by itself. ~b ms later both others name ~s.", [
        short(C), (erlang:monotonic_time(microsecond) - Killed) div 1000, short({agreed_commander([A, B]), x, x})
    ]),
    [#{status := active, node := Writer}] = lists:usort([entity(Node) || Node <- [A, B]]),
    say("What ~s wrote is still there on both: unit_1, active.", [short({Writer, x, x})]),
    until("the others see it down", fun() -> lists:all(fun(N) -> status(N, C) =:= down end, [A, B]) end),
    table(io_lib:format("~s is down", [short(C)]), [A, B]),
    until("its C node is gone from epmd", fun() -> not registered(C) end).

%% Nodes

start_node(Name, Ebin) ->
    Full = list_to_atom(Name ++ "_" ++ os:getpid() ++ "@127.0.0.1"),
    {ok, Peer, Full} = peer:start_link(#{
        name => Full, longnames => true, connection => standard_io, args => ["-pa", Ebin, "-kernel", "logger_level", "error"]
    }),
    true = on({Full, Peer, none}, erlang, set_cookie, [cookie()]),
    {Full, Peer, on({Full, Peer, none}, os, getpid, [])}.

cookie() ->
    case get(cookie) of
        undefined ->
            Cookie = binary_to_atom(binary:encode_hex(crypto:strong_rand_bytes(16))),
            put(cookie, Cookie),
            Cookie;
        Cookie ->
            Cookie
    end.

start_muster(Node, Options) ->
    {ok, _} = on(Node, application, ensure_all_started, [muster]),
    %% Under the node's own supervisor, as a user's application would do it.
    Spec = on(Node, ?MONITOR, child_spec, [Options#{down_after_ms => 30000}]),
    {ok, _} = on(Node, supervisor, start_child, [kernel_safe_sup, Spec]).

%% Packets stay on the loopback interface; the port is this demo's own, so that two demos never meet.
start_gossip(Node) ->
    Options = #{
        strategy => gossip,
        multicast_if => "127.0.0.1",
        port => 20000 + list_to_integer(os:getpid()) rem 20000,
        secret => atom_to_list(cookie())
    },
    Spec = #{id => muster_discovery, start => {muster_discovery, start_link, [Options]}},
    {ok, _} = on(Node, supervisor, start_child, [kernel_safe_sup, Spec]).

on({_, Peer, _}, Module, Function, Args) ->
    peer:call(Peer, Module, Function, Args, ?DEADLINE_MS).

signal(Signal, OsPid) ->
    [] = os:cmd("kill -" ++ Signal ++ " " ++ OsPid).

stop(Cluster) ->
    [os:cmd("kill -KILL " ++ OsPid ++ " 2>/dev/null") || {_, _, OsPid} <- Cluster],
    until("all C nodes are gone from epmd", fun() -> not lists:any(fun registered/1, Cluster) end).

registered(Node) ->
    {ok, Names} = erl_epmd:names("127.0.0.1"),
    [Alive, _] = string:split(cnode_name(Node), "@"),
    lists:keymember(Alive, 1, Names).

cnode_name({Name, _, _}) ->
    [Alive, Host] = string:split(atom_to_list(Name), "@"),
    Alive ++ "-muster@" ++ Host.

%% The commander

start_topology(Node) ->
    Spec = #{id => muster_topology, start => {muster_topology, start_link, [#{quorum_size => 2}]}},
    {ok, _} = on(Node, supervisor, start_child, [kernel_safe_sup, Spec]).

%% The one that all of them name, or `none'.
agreed_commander(Nodes) ->
    case lists:usort([on(Node, muster_topology, get_commander, []) || Node <- Nodes]) of
        [{ok, Commander}] -> Commander;
        _ -> none
    end.

new_commander(Nodes, {Old, _, _}) ->
    not lists:member(agreed_commander(Nodes), [none, Old]).

%% A set that two nodes change at the same time

share_a_set(A, B) ->
    Base = on(A, muster_or_set, from_list, [["alpha", "bravo"]]),
    OfA = change(A, Base, [{remove, "alpha"}, {add, "charlie"}]),
    OfB = change(B, Base, [{add, "alpha"}, {remove, "bravo"}]),
    MergedByA = on(A, muster_or_set, merge, [OfA, OfB]),
    MergedByB = on(B, muster_or_set, merge, [OfB, OfA]),
    MergedByA =:= MergedByB orelse error({diverged, MergedByA, MergedByB}),
    say("An observed-remove set of alpha and bravo, changed on both nodes at the same time:", []),
    say("  ~-10s removes alpha, adds charlie          -> ~s", [short(A), elements(OfA)]),
    say("  ~-10s adds alpha anew, removes bravo       -> ~s", [short(B), elements(OfB)]),
    say("  each merges what the other sends                -> ~s, the same term on both", [elements(MergedByA)]),
    say("", []).

change(Node, Set, Changes) ->
    lists:foldl(fun({Change, Element}, Acc) -> on(Node, muster_or_set, Change, [Acc, Element]) end, Set, Changes).

elements(Set) ->
    lists:join(" ", lists:sort(muster_or_set:to_list(Set))).

%% State that all nodes share

start_overlay(Node) ->
    Spec = #{id => muster_overlay, start => {muster_overlay, start_link, [#{}]}},
    {ok, _} = on(Node, supervisor, start_child, [kernel_safe_sup, Spec]).

share_state(Writer, Guide, Cluster) ->
    until("the overlays have met", fun() ->
        lists:all(fun(N) -> length(maps:get(peers, on(N, muster_overlay, get_overlay_state, []))) =:= 2 end, Cluster)
    end),
    Began = erlang:monotonic_time(millisecond),
    ok = on(Writer, muster_overlay, update_entity, [unit_1, #{status => active}]),
    ok = on(Guide, muster_overlay, add_waypoint, [#{id => "alpha", label => "Rally Point"}]),
    until("all hold the entity and the waypoint", fun() ->
        lists:all(fun(N) -> entity(N) =/= none andalso waypoints(N) =/= [] end, Cluster)
    end),
    say("State that all three share, changes being sent every 500 ms: ~s updates an entity, ~s adds a waypoint.", [
        short(Writer), short(Guide)
    ]),
    say("~b ms later each has both:", [erlang:monotonic_time(millisecond) - Began]),
    [say("  ~-10s unit_1: ~s, by ~s; waypoints: ~s", [short(Node) | shared(Node)]) || Node <- Cluster],
    say("", []).

shared(Node) ->
    #{status := Status, node := By} = entity(Node),
    [Status, short({By, x, x}), lists:join(", ", [Label || #{label := Label} <- waypoints(Node)])].

entity(Node) ->
    case on(Node, muster_overlay, get_entity, [unit_1]) of
        {ok, Entity} -> Entity;
        error -> none
    end.

waypoints(Node) ->
    on(Node, muster_overlay, get_all_waypoints, []).

%% Views

view(Node) ->
    lists:sort(fun(#{node := N}, #{node := M}) -> N =< M end, on(Node, ?MONITOR, list_all, [])).

sees(Node, Statuses) ->
    [S || #{status := S} <- view(Node)] =:= Statuses.

samples(Node) ->
    lists:min([length(H) || #{rtt_history := H} <- view(Node)]).

status(Node, {Peer, _, _}) ->
    {ok, #{status := Status}} = on(Node, ?MONITOR, get_health, [Peer]),
    Status.

table(Title, Nodes) ->
    say("", []),
    say("~s", [Title]),
    say("  ~-10s ~-10s ~-12s ~-9s ~9s ~9s ~9s", ["node", "peer", "connection", "status", "RTT us", "avg us", "jitter us"]),
    [row(short(Node), Health) || Node <- Nodes, Health <- view(Node)],
    say("", []).

row(Node, #{node := Peer, connection := Connection, status := Status, rtt_history := History} = Health) ->
    Now = case History of [] -> 0.0; [Newest | _] -> Newest end,
    #{avg_rtt_ms := Average, jitter_ms := Jitter} = Health,
    say("  ~-10s ~-10s ~-12s ~-9s ~9.1f ~9.1f ~9.1f", [
        Node, short({Peer, x, x}), Connection, Status, Now * 1000, Average * 1000, Jitter * 1000
    ]).

short({Name, _, _}) ->
    [Short | _] = string:split(atom_to_list(Name), "_"),
    Short.

say(Format, Args) ->
    io:format(Format ++ "~n", Args).

until(What, Condition) ->
    until(What, Condition, erlang:monotonic_time(millisecond) + ?DEADLINE_MS).

until(What, Condition, Deadline) ->
    case Condition() of
        true ->
            ok;
        false ->
            erlang:monotonic_time(millisecond) < Deadline orelse error({gave_up_waiting_until, What}),
            timer:sleep(5),
            until(What, Condition, Deadline)
    end.
