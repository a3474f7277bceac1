-module(muster_peer_waits_tests).

-include_lib("eunit/include/eunit.hrl").

-define(W, muster_peer_waits).

replies() ->
    receive
        {Tag, Reply} -> [{Tag, Reply} | replies()]
    after 0 -> []
    end.

as_many_as_asked_for_test() ->
    Two = ?W:add({self(), two}, 2, infinity, ?W:new()),
    Both = ?W:add({self(), five}, 5, 60000, Two),
    ?assertEqual(Both, ?W:reached(1, Both)),
    ?assertEqual([], replies()),
    Left = ?W:reached(3, Both),
    ?assertEqual([{two, ok}], replies()),
    ?assertEqual(?W:new(), ?W:reached(5, Left)),
    ?assertEqual([{five, ok}], replies()).

time_over_test() ->
    Waits = ?W:add({self(), a}, 2, 1, ?W:new()),
    Id =
        receive
            {timeout, _, {await, Monitor}} -> Monitor
        after 20000 -> error(no_timer)
        end,
    ?assertEqual(?W:new(), ?W:expired(Id, Waits)),
    ?assertEqual([{a, {error, {timeout, 1}}}], replies()),
    ?assertEqual(?W:new(), ?W:expired(Id, ?W:new())).

the_caller_dies_test() ->
    Caller = spawn(fun() -> receive stop -> ok end end),
    Waits = ?W:add({Caller, a}, 2, infinity, ?W:new()),
    Caller ! stop,
    receive
        {'DOWN', Id, process, Caller, _} -> ?assertEqual(?W:new(), ?W:gone(Id, Waits))
    after 20000 -> error(no_monitor)
    end.
