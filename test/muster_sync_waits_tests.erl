-module(muster_sync_waits_tests).

-include_lib("eunit/include/eunit.hrl").

-define(W, muster_sync_waits).

%% This process as the caller, told apart by `Tag'.
caller(Tag) ->
    {self(), Tag}.

replies() ->
    receive
        {Tag, Reply} -> [{Tag, Reply} | replies()]
    after 0 -> []
    end.

all_topologies_answer_test() ->
    {_, Waits} = ?W:add(caller(a), 60000, [one, two], ?W:new()),
    One = ?W:answered(one, [], Waits),
    ?assertEqual([], replies()),
    ?assertEqual(?W:new(), ?W:answered(two, [], One)),
    ?assertEqual([{a, ok}], replies()).

errors_are_told_together_test() ->
    {_, Waits} = ?W:add(caller(a), 60000, [one, two], ?W:new()),
    ?W:answered(two, [<<"no route">>], ?W:answered(one, [<<"no name">>], Waits)),
    ?assertEqual([{a, {error, {sync_failed, <<"no name; no route">>}}}], replies()).

an_answer_counts_once_and_for_those_who_wait_test() ->
    {Id, Waits} = ?W:add(caller(a), 60000, [one, two], ?W:new()),
    One = ?W:answered(one, [], Waits),
    ?assertEqual(One, ?W:answered(one, [<<"late">>], One)),
    ?assertEqual(One, ?W:answered(other, [], One)),
    ?assertEqual(One, ?W:answered(make_ref(), two, [], One)),
    ?assertEqual(?W:new(), ?W:answered(Id, two, [<<"refused">>], One)),
    ?assertEqual([{a, {error, {sync_failed, <<"refused">>}}}], replies()).

time_over_test() ->
    {Id, Waits} = ?W:add(caller(a), 1, [one], ?W:new()),
    receive
        {timeout, Id, sync} -> ok
    after 20000 -> error(no_timer)
    end,
    ?assertEqual(?W:new(), ?W:expired(Id, Waits)),
    ?assertEqual([{a, {error, {timeout, 1}}}], replies()),
    ?assertEqual(?W:new(), ?W:expired(Id, ?W:new())).

nobody_will_answer_test() ->
    {_, A} = ?W:add(caller(a), 60000, [one], ?W:new()),
    {_, B} = ?W:add(caller(b), 60000, [two], A),
    ?assertEqual(?W:new(), ?W:fail(<<"gone">>, B)),
    Failed = {error, {sync_failed, <<"gone">>}},
    ?assertEqual([{a, Failed}, {b, Failed}], lists:sort(replies())).
