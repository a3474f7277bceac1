-module(muster_cnode_services_tests).

-include_lib("eunit/include/eunit.hrl").

-define(S, muster_cnode_services).
-define(KEY, {election, <<"g">>}).

%% An end in order says goodbye with one argument, a crash with the other; most make no difference.
farewell_test() ->
    Both = ?S:add(self(), {monitor, m}, {stop, m}, ?S:add(self(), ?KEY, {stop, left, crashed}, ?S:new())),
    Of = fun(Reason) -> lists:sort(element(1, ?S:gone(self(), Reason, Both))) end,
    [?assertEqual([{election, stop, left}, {monitor, stop, m}], Of(R)) || R <- [normal, shutdown, {shutdown, x}]],
    [?assertEqual([{election, stop, crashed}, {monitor, stop, m}], Of(R)) || R <- [killed, {badmatch, x}, noproc]].

%% Only the last one of a key says goodbye; one that was never there, and one of no words, do not.
last_one_test() ->
    Other = spawn(fun() -> receive stop -> ok end end),
    Two = ?S:add(Other, ?KEY, {stop, arg}, ?S:add(self(), ?KEY, {stop, arg}, ?S:new())),
    {[], One} = ?S:remove(Other, ?KEY, normal, Two),
    {[], One} = ?S:remove(Other, ?KEY, normal, One),
    {[{election, stop, arg}], None} = ?S:gone(self(), normal, One),
    ?assertEqual(?S:new(), None),
    ?assertMatch({[], _}, ?S:gone(self(), normal, ?S:add(self(), ?KEY, none, ?S:new()))),
    Other ! stop.

tell_test() ->
    Services = ?S:add(self(), ?KEY, none, ?S:new()),
    ok = ?S:tell({election, <<"h">>}, event, Services),
    ok = ?S:tell(?KEY, event, Services),
    ok = ?S:tell_all(hello, Services),
    [
        receive
            Expected -> ok
        after 0 -> error({not_told, Expected})
        end
     || Expected <- [{muster_cnode, event, election, <<"g">>, event}, hello]
    ],
    receive
        {muster_cnode, event, _, _, _} -> error(told_too_much)
    after 0 -> ok
    end.
