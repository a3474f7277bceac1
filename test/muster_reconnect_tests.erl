%% The rules of reconnecting, on an injected clock; and as properties: whatever happens, no node has
%% two attempts at once, none is made to a connected node, no more attempts run than there are
%% workers, and nobody is left behind.
-module(muster_reconnect_tests).
-include_lib("proper/include/proper.hrl").
-include_lib("eunit/include/eunit.hrl").

-define(R, muster_reconnect).
-define(A, <<"a@h">>).
-define(B, <<"b@h">>).
-define(C, <<"c@h">>).

new() ->
    new(#{}).

new(Changes) ->
    ?R:new(maps:merge(
        #{
            workers => 2, backoff_min_ms => 100, backoff_max_ms => 1600, stable_ms => 1000,
            hold_limit_ms => 10000, seed => {1, 2, 3}
        },
        Changes
    )).

%% Events with their times; the effects of each, and the core.
run(Events, Core) ->
    lists:mapfoldl(fun({At, Event}, C) -> ?R:step(Event, At, C) end, Core, Events).

found_is_connected_at_once_test() ->
    {[{connect, ?A, 1, plain}], Core} = ?R:step({found, ?A, t}, 0, new()),
    ?assertEqual(connecting, ?R:phase(?A, Core)),
    {[[], [], []], Core1} = run([{1, {found, ?A, t}}, {2, {up, ?A}}, {3, {ended, ?A, 1, true}}], Core),
    ?assertEqual(up, ?R:phase(?A, Core1)),
    ?assertEqual(infinity, ?R:next(Core1)).

a_connected_node_needs_no_attempt_test() ->
    {[[], []], Core} = run([{0, {up, ?A}}, {1, {found, ?A, t}}], new()),
    ?assertEqual(up, ?R:phase(?A, Core)).

a_node_nobody_wants_is_let_alone_test() ->
    {[[], [], []], Core} = run([{0, {up, ?A}}, {1, {down, ?A}}, {9999, tick}], new()),
    ?assertEqual(none, ?R:phase(?A, Core)).

up(Core) ->
    {_, Core1} = run([{0, {found, ?A, t}}, {0, {up, ?A}}, {0, {ended, ?A, 1, true}}], Core),
    Core1.

%% After a long connection: the shortest wait, then the C node is asked, then a careful attempt.
reconnect_test() ->
    {[], Core} = ?R:step({down, ?A}, 5000, up(new())),
    At = ?R:next(Core),
    ?assert(At >= 5050 andalso At =< 5100),
    {[[], [{ask_link, ?A}], [{connect, ?A, 2, careful}]], Core1} =
        run([{At - 1, tick}, {At, tick}, {At + 1, {link, ?A, up}}], Core),
    ?assertEqual(connecting, ?R:phase(?A, Core1)).

without_a_link_it_waits_for_found_test() ->
    {_, Core} = run([{5000, {down, ?A}}, {5100, tick}, {5101, {link, ?A, down}}], up(new())),
    ?assertEqual(waiting, ?R:phase(?A, Core)),
    ?assertEqual(infinity, ?R:next(Core)),
    ?assertMatch({[{connect, ?A, 2, careful}], _}, ?R:step({found, ?A, t}, 90000, Core)).

%% `found' again does not cut a wait short.
found_during_the_wait_test() ->
    {Effects, Core} = run([{100, {down, ?A}}, {101, {found, ?A, t}}], up(new())),
    ?assertEqual([[], []], Effects),
    ?assertEqual(backoff, ?R:phase(?A, Core)).

%% Each short-lived connection doubles the wait, up to the limit; a long one starts over.
waits_test() ->
    {Waits, {At, Core}} = lists:mapfoldl(
        fun(N, {Since, C}) ->
            Down = Since + 10,
            {[], C1} = ?R:step({down, ?A}, Down, C),
            At = ?R:next(C1),
            {_, C2} = run(
                [{At, tick}, {At, {link, ?A, up}}, {At, {up, ?A}}, {At, {ended, ?A, N + 1, true}}], C1
            ),
            {At - Down, {At, C2}}
        end,
        {0, up(new())},
        lists:seq(1, 8)
    ),
    lists:foreach(
        fun({Wait, Whole}) -> ?assert(Wait >= Whole div 2 andalso Wait =< Whole) end,
        lists:zip(Waits, [200, 400, 800, 1600, 1600, 1600, 1600, 1600])
    ),
    {[], Core1} = ?R:step({down, ?A}, At + 1000, Core),
    ?assert(?R:next(Core1) - (At + 1000) =< 100).

failures_back_off_test() ->
    {_, Core} = run([{0, {found, ?A, t}}, {10, {ended, ?A, 1, false}}], new()),
    ?assertEqual(backoff, ?R:phase(?A, Core)),
    ?assert(?R:next(Core) =< 210),
    %% A worker's late second word counts for nothing.
    ?assertEqual({[], Core}, ?R:step({ended, ?A, 1, false}, 11, Core)).

%% The BEAM's word counts, not what the attempt returned.
true_without_a_connection_is_a_failure_test() ->
    {_, Core} = run([{0, {found, ?A, t}}, {10, {ended, ?A, 1, true}}], new()),
    ?assertEqual(backoff, ?R:phase(?A, Core)).

held_test() ->
    {_, Core} = run([{5000, {down, ?A}}, {5100, tick}, {5100, {link, ?A, up}}], up(new())),
    Held = fun Held(Now, Attempt, C) ->
        {[], C1} = ?R:step({ended, ?A, Attempt, held}, Now, C),
        At = ?R:next(C1),
        ?assert(At - Now =< 2000),
        case ?R:step(tick, At, C1) of
            {[{ask_link, ?A}], C2} ->
                case ?R:step({link, ?A, up}, At, C2) of
                    {[{connect, ?A, Next, careful}], C3} -> Held(At, Next, C3);
                    {[{connect, ?A, _, plain}], _} -> At
                end
        end
    end,
    %% Held back, again and again, until the limit.
    End = Held(5101, 2, Core),
    ?assert(End >= 15101 andalso End =< 17200).

%% Careful attempts one after the other, but a hung one delays the next by a second at most.
careful_ones_do_not_overlap_test() ->
    Events = [{0, {found, N, t}} || N <- [?A, ?B]] ++ [{0, {up, N}} || N <- [?A, ?B]] ++
        [{0, {ended, ?A, 1, true}}, {0, {ended, ?B, 2, true}}],
    {_, Core} = run(Events, new()),
    {_, Core1} = run([{5000, {down, ?A}}, {5000, {down, ?B}}, {5100, tick}], Core),
    {[[{connect, ?A, 3, careful}], []], Core2} =
        run([{5100, {link, ?A, up}}, {5100, {link, ?B, up}}], Core1),
    ?assertMatch({[{connect, ?B, 4, careful}], _}, ?R:step({ended, ?A, 3, false}, 5101, Core2)),
    ?assertEqual(6100, ?R:next(Core2)),
    ?assertMatch({[{connect, ?B, 4, careful}], _}, ?R:step(tick, 6100, Core2)).

%% With all workers busy a tick would change nothing: none is asked for, again and again.
hung_ones_keep_nobody_busy_test() ->
    Events = [{0, {found, N, t}} || N <- [?A, ?B]] ++ [{0, {up, N}} || N <- [?A, ?B]] ++
        [{0, {ended, ?A, 1, true}}, {0, {ended, ?B, 2, true}}, {5000, {down, ?A}}, {5000, {down, ?B}},
            {5100, tick}, {5100, {link, ?A, up}}, {5100, {link, ?B, up}}],
    {_, Core} = run([{0, {found, N, t}} || N <- [?A, ?B]], new(#{workers => 1})),
    {_, Core1} = run(Events -- [{0, {found, ?A, t}}, {0, {found, ?B, t}}], Core),
    ?assertEqual(connecting, ?R:phase(?A, Core1)),
    ?assertEqual(queued, ?R:phase(?B, Core1)),
    ?assertEqual(infinity, ?R:next(Core1)).

%% Who was asked may be gone, and answer never.
found_while_the_link_is_asked_for_test() ->
    {_, Core} = run([{5000, {down, ?A}}, {5100, tick}], up(new())),
    ?assertEqual(asking, ?R:phase(?A, Core)),
    {[[{connect, ?A, 2, careful}], []], _} =
        run([{5200, {found, ?A, t}}, {5201, {link, ?A, down}}], Core).

a_queued_node_that_comes_up_by_itself_test() ->
    {_, Core} = run([{0, {found, N, t}} || N <- [?A, ?B, ?C]], new()),
    {_, Core1} = run([{1, {up, ?C}}], Core),
    ?assertMatch({[], _}, ?R:step({ended, ?A, 1, timeout}, 1, Core1)).

workers_are_bounded_test() ->
    {Effects, Core} = run([{0, {found, N, t}} || N <- [?A, ?B, ?C]], new()),
    ?assertMatch([[{connect, ?A, 1, _}], [{connect, ?B, 2, _}], []], Effects),
    ?assertMatch({[{connect, ?C, 3, plain}], _}, ?R:step({ended, ?A, 1, timeout}, 1, Core)).

unproven_nodes_ask_nobody_test() ->
    {[[{connect, ?A, 1, plain}], []], Core} =
        run([{0, {unproven, ?A, t}}, {1, {ended, ?A, 1, false}}], new()),
    ?assertMatch({[{connect, ?A, 2, plain}], _}, ?R:step(tick, ?R:next(Core), Core)).

lost_by_all_is_forgotten_test() ->
    {_, Core} = run([{0, {found, ?A, t}}, {0, {found, ?A, u}}, {1, {lost, ?A, t}}], new()),
    ?assertEqual(connecting, ?R:phase(?A, Core)),
    {_, Core1} = run([{2, {lost, ?A, u}}, {3, {ended, ?A, 1, false}}], Core),
    ?assertEqual(none, ?R:phase(?A, Core1)).

leaving_test() ->
    {Effects, Core} = run([{1, {leaving, ?A, true}}, {5000, {down, ?A}}, {5100, tick}], up(new())),
    ?assertEqual([[], [], []], Effects),
    ?assertEqual(waiting, ?R:phase(?A, Core)),
    %% Its C node's link was made anew: it is another one.
    ?assertMatch({[{connect, ?A, 2, _}], _}, ?R:step({found, ?A, t}, 6000, Core)).

pause_test() ->
    {[[], []], Core} = run([{0, pause}, {1, {found, ?A, t}}], new()),
    ?assertEqual(infinity, ?R:next(Core)),
    ?assertMatch({[{connect, ?A, 1, plain}], _}, ?R:step(resume, 2, Core)).

forget_test() ->
    {_, Core} = run([{5000, {down, ?A}}, {5001, {forget, ?A}}], up(new())),
    ?assertEqual(none, ?R:phase(?A, Core)),
    {_, Core1} = run([{1, {forget, ?A}}], up(new())),
    ?assertEqual(up, ?R:phase(?A, Core1)).

%%% Properties

nodes_() ->
    [<<"n1@h">>, <<"n2@h">>, <<"n3@h">>, <<"n4@h">>].

%% What happens next, by weight; `end_one' and `answer' are about what is outstanding.
action() ->
    N = oneof(nodes_()),
    frequency([
        {4, {found, N, oneof([t, u])}},
        {1, {unproven, N, oneof([t, u])}},
        {1, {lost, N, oneof([t, u])}},
        {3, {up, N}},
        {3, {down, N}},
        {5, {end_one, oneof([true, false, ignored, timeout, held, {failed, x}]), nat()}},
        {5, {answer, oneof([up, down]), nat()}},
        {1, {leaving, N, boolean()}},
        {1, {forget, N}},
        {1, oneof([pause, resume])},
        {6, tick}
    ]).

history() ->
    list({oneof([0, 1, 50, 700, 5000]), action()}).

prop_attempts() ->
    ?FORALL({Workers, History}, {range(1, 3), history()}, begin
        Core = new(#{workers => Workers}),
        check(History, 0, Core, #{}, #{}, Workers)
    end).

%% Running: attempt => node; Asked: node => true.
check([], Now, Core, Running, _Asked, Workers) ->
    settles(Now, Core, Running, Workers);
check([{Wait, Action} | Rest], Now, Core, Running, Asked, Workers) ->
    At = Now + Wait,
    case concrete(Action, Running, Asked) of
        none ->
            check(Rest, At, Core, Running, Asked, Workers);
        {Event, Running1, Asked1} ->
            {Effects, Core1} = ?R:step(Event, At, Core),
            ToUp = [N || {connect, N, _, _} <- Effects, ?R:is_up(N, Core1)],
            case ToUp =:= [] andalso effects(Effects, Running1, Asked1) of
                {ok, Running2, Asked2} when map_size(Running2) =< Workers ->
                    check(Rest, At, Core1, Running2, Asked2, Workers);
                Bad ->
                    io:format(user, "~p~n", [{Event, Effects, Bad}]),
                    false
            end
    end.

concrete({end_one, Result, Pick}, Running, Asked) ->
    case lists:sort(maps:to_list(Running)) of
        [] -> none;
        All ->
            {Attempt, Name} = lists:nth(1 + Pick rem length(All), All),
            {{ended, Name, Attempt, Result}, maps:remove(Attempt, Running), Asked}
    end;
concrete({answer, Link, Pick}, Running, Asked) ->
    case lists:sort(maps:keys(Asked)) of
        [] -> none;
        All ->
            Name = lists:nth(1 + Pick rem length(All), All),
            {{link, Name, Link}, Running, maps:remove(Name, Asked)}
    end;
concrete(Event, Running, Asked) ->
    {Event, Running, Asked}.

effects([], Running, Asked) ->
    {ok, Running, Asked};
effects([{connect, Name, Attempt, _} | Rest], Running, Asked) ->
    case lists:member(Name, maps:values(Running)) orelse is_map_key(Attempt, Running) of
        true -> {twice, Name, Attempt};
        false -> effects(Rest, Running#{Attempt => Name}, Asked)
    end;
effects([{ask_link, Name} | Rest], Running, Asked) ->
    effects(Rest, Running, Asked#{Name => true}).

%% Whatever happened: once all attempts ended and the network is well, each node that is wanted gets
%% connected.
settles(Now, Core, Running, Workers) ->
    Ends = [{ended, Name, Attempt, false} || {Attempt, Name} <- maps:to_list(Running)],
    {Effects, Core1} = lists:mapfoldl(fun(E, C) -> ?R:step(E, Now, C) end, Core, [resume | Ends]),
    well(200, Now, lists:append(Effects), Core1, Workers).

well(0, _, _, Core, _) ->
    Left = [N || {N, #{phase := P}} <- maps:to_list(?R:info(Core)), P =/= up],
    Left =:= [] orelse (io:format(user, "left behind: ~p~n", [?R:info(Core)]) =:= nope);
well(N, Now, [], Core, Workers) ->
    %% The C node tells of each link that comes up.
    Founds = [{found, Name, t} || {Name, #{phase := waiting}} <- maps:to_list(?R:info(Core))],
    Asked = [{link, Name, up} || {Name, #{phase := asking}} <- maps:to_list(?R:info(Core))],
    At =
        case ?R:next(Core) of
            infinity -> Now + 1000;
            Next -> max(Now, Next)
        end,
    {Effects, Core1} = lists:mapfoldl(
        fun(E, C) -> ?R:step(E, At, C) end, Core, Founds ++ Asked ++ [tick]
    ),
    well(N - 1, At, lists:append(Effects), Core1, Workers);
well(N, Now, [{connect, Name, Attempt, _} | Rest], Core, Workers) ->
    {E1, Core1} = ?R:step({up, Name}, Now, Core),
    {E2, Core2} = ?R:step({ended, Name, Attempt, true}, Now, Core1),
    well(N, Now, Rest ++ E1 ++ E2, Core2, Workers);
well(N, Now, [{ask_link, Name} | Rest], Core, Workers) ->
    {E, Core1} = ?R:step({link, Name, up}, Now, Core),
    well(N, Now, Rest ++ E, Core1, Workers).

properties_test_() ->
    {timeout, 120, ?_assert(proper:quickcheck(prop_attempts(), [{numtests, 3000}, {on_output, fun output/2}]))}.

%% All but the dots.
output(".", _) -> ok;
output(Format, Arguments) -> io:format(user, Format, Arguments).
