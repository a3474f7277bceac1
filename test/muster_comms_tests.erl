%% A link on its own: how good it is, what may go over it, what waits. As properties: the queue gives
%% the highest priority first and each in the order of asking, keeps its bounds, and what was asked
%% is sent, dropped or waits.
-module(muster_comms_tests).
-include_lib("proper/include/proper.hrl").
-include_lib("eunit/include/eunit.hrl").

-define(L, muster_comms_link).
-define(PRIORITIES, [critical, high, normal, low]).
-define(LIMITS, #{queue_length => 3, queue_bytes => 100}).

link() ->
    ?L:new(true, 0, ?LIMITS).

health(Rtts) ->
    #{node => 'a@h', status => healthy, rtt_history => Rtts, connection => connected}.

measured(Rtts) ->
    ?L:measured(health(Rtts), link()).

with_status(Status, Connection) ->
    ?L:measured((health([1.0]))#{status := Status, connection := Connection}, link()).

%%% Quality

quality_is_by_the_median_of_the_latest_test_() ->
    [
        ?_assertEqual(Quality, ?L:quality(0, measured(Rtts)))
     || {Quality, Rtts} <- [
            {good, []},
            {excellent, [9.9]},
            {good, [10.0]},
            {good, [49.9]},
            {degraded, [50.0]},
            {degraded, [199.9]},
            {poor, [200.0]},
            {poor, [999.9]},
            {disconnected, [1000.0]},
            %% One late answer, or two, are no news; three are.
            {excellent, [900.0, 1.0, 1.0, 1.0, 1.0]},
            {excellent, [900.0, 900.0, 1.0, 1.0, 1.0]},
            {poor, [900.0, 900.0, 900.0, 1.0, 1.0]},
            {excellent, [1.0, 1.0, 1.0, 900.0, 900.0, 900.0, 900.0]}
        ]
    ].

silence_counts_where_the_peer_was_asked_test_() ->
    [
        ?_assertEqual(poor, ?L:quality(0, with_status(suspect, connected))),
        ?_assertEqual(poor, ?L:quality(0, with_status(suspect, timeout))),
        ?_assertEqual(good, ?L:quality(0, with_status(suspect, cookie_mismatch))),
        ?_assertEqual(good, ?L:quality(0, with_status(suspect, tls_required))),
        ?_assertEqual(disconnected, ?L:quality(0, with_status(down, silent)))
    ].

a_monitor_that_begins_anew_is_no_news_test() ->
    ?assertEqual(degraded, ?L:quality(0, ?L:measured(health([]), measured([100.0])))).

the_beams_word_ends_what_was_known_test() ->
    L = ?L:by_hand(poor, infinity, measured([100.0])),
    ?assertEqual(disconnected, ?L:quality(1, ?L:up(false, 1, L))),
    ?assertEqual(good, ?L:quality(2, ?L:up(true, 2, ?L:up(false, 1, L)))).

by_hand_holds_for_its_time_test() ->
    L = ?L:by_hand(poor, 100, measured([1.0])),
    ?assertEqual(poor, ?L:quality(99, L)),
    ?assertEqual(excellent, ?L:quality(100, L)),
    %% And on where nothing was measured.
    ?assertEqual(poor, ?L:quality(100, ?L:by_hand(poor, 100, link()))),
    ?assertEqual(poor, ?L:quality(1 bsl 60, ?L:by_hand(poor, infinity, measured([1.0])))).

forgotten_after_an_hour_test() ->
    Gone = ?L:up(false, 1000, link()),
    ?assertNot(?L:is_forgotten(3600999, Gone)),
    ?assert(?L:is_forgotten(3601000, Gone)),
    ?assertNot(?L:is_forgotten(1 bsl 60, link())),
    ?assertNot(?L:is_forgotten(1 bsl 60, ?L:by_hand(good, 0, Gone))).

%%% Policy

what_goes_by_quality_test_() ->
    Set = fun(Ms) -> ?L:by_hand(?L:classify(Ms), infinity, link()) end,
    [
        ?_assertEqual(Expected, [?L:ask(P, 0, L) || P <- ?PRIORITIES])
     || {L, Expected} <- [
            {Set(1), [send, send, send, send]},
            {Set(10), [send, send, send, send]},
            {Set(50), [send, send, send, drop]},
            {Set(200), [send, send, drop, drop]},
            %% The user says that it is not to be used.
            {Set(1000), [disconnected, disconnected, disconnected, disconnected]},
            %% It is slow, but the BEAM holds it.
            {measured([1000.0]), [send, send, disconnected, disconnected]},
            {?L:up(false, 0, link()), [disconnected, disconnected, disconnected, disconnected]}
        ]
    ].

a_message_waits_behind_its_like_only_test() ->
    {ok, L} = ?L:wait(normal, 1, m, link()),
    ?assertEqual([send, send, wait, wait], [?L:ask(P, 0, L) || P <- ?PRIORITIES]).

a_large_message_waits_alone_test() ->
    {ok, L} = ?L:wait(low, 1000, large, link()),
    ?assertEqual(full, ?L:wait(low, 1, small, L)),
    ?assertEqual({low, large}, ?L:peek(L)),
    {ok, L1} = ?L:wait(low, 1, small, ?L:went(L)),
    ?assertEqual(#{sent => 1, dropped => 0, queued => 1}, maps:get(low, ?L:counters(L1))).

%%% Properties

%% A link in use, beside a model: the messages that wait, in the order of asking.
action() ->
    frequency([
        {6, {ask, oneof(?PRIORITIES), choose(1, 60)}},
        {1, {set, oneof([1, 30, 100, 500, 2000])}},
        %% The link takes so many of what waits, or all of it is lost.
        {2, {takes, choose(1, 4)}},
        {1, lose}
    ]).

prop_all_asked_is_accounted_for() ->
    ?FORALL(Actions, list(action()), begin
        {L, Model, Asked} = lists:foldl(fun act/2, {link(), [], #{}}, Actions),
        Counters = ?L:counters(L),
        lists:all(
            fun(Priority) ->
                #{sent := S, dropped := D, queued := Q} = maps:get(Priority, Counters),
                S + D + Q =:= maps:get(Priority, Asked, 0) andalso
                    Q =:= length([x || {P, _, _} <- Model, P =:= Priority])
            end,
            ?PRIORITIES
        )
    end).

act({ask, Priority, Bytes}, {L, Model, Asked}) ->
    N = lists:sum(maps:values(Asked)),
    Now = maps:update_with(Priority, fun(C) -> C + 1 end, 1, Asked),
    Before = [B || {P, B, _} <- Model, P =:= Priority],
    Room = length(Before) < 3 andalso (Before =:= [] orelse lists:sum(Before) + Bytes =< 100),
    %% Busy: what may be sent has to wait as well.
    case ?L:ask(Priority, 0, L) of
        Goes when Goes =:= send; Goes =:= wait ->
            case ?L:wait(Priority, Bytes, N, L) of
                {ok, L1} ->
                    true = Room,
                    {L1, Model ++ [{Priority, Bytes, N}], Now};
                full ->
                    false = Room,
                    {?L:refuse(Priority, L), Model, Now}
            end;
        _ ->
            {?L:refuse(Priority, L), Model, Now}
    end;
act({set, Ms}, {L, Model, Asked}) ->
    {?L:by_hand(?L:classify(Ms), infinity, L), Model, Asked};
act({takes, 0}, Acc) ->
    Acc;
act({takes, Count}, {L, [], Asked}) ->
    empty = ?L:peek(L),
    act({takes, Count - 1}, {L, [], Asked});
act({takes, Count}, {L, Model, Asked}) ->
    [First | _] = [M || P <- ?PRIORITIES, {P1, _, _} = M <- Model, P1 =:= P],
    {Priority, _, N} = First,
    {Priority, N} = ?L:peek(L),
    act({takes, Count - 1}, {?L:went(L), lists:delete(First, Model), Asked});
act(lose, {L, _, Asked}) ->
    {?L:drop_all(L), [], Asked}.

properties_test_() ->
    {timeout, 60, ?_assert(proper:quickcheck(prop_all_asked_is_accounted_for(), [{numtests, 1000}, quiet]))}.
