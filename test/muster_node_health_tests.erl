-module(muster_node_health_tests).

-include_lib("eunit/include/eunit.hrl").

-define(KNOWN, #{node => a@h, status => healthy, last_seen => 7, joined_at => 3}).

figures_are_milliseconds_test() ->
    Pulled = #{
        rtt_history_us => [1500, 500], avg_rtt_us => 1000.0, min_rtt_us => 500, max_rtt_us => 1500,
        jitter_us => 250.0
    },
    Answer = {ok, #{connection => connected, reason => <<"dialled">>}},
    ?assertEqual(
        ?KNOWN#{
            rtt_history => [1.5, 0.5], avg_rtt_ms => 1.0, min_rtt_ms => 0.5, max_rtt_ms => 1.5,
            jitter_ms => 0.25, connection => connected, connection_reason => <<"dialled">>
        },
        muster_node_health:record(?KNOWN, Pulled, Answer)
    ).

nothing_measured_test() ->
    ?assertMatch(
        #{rtt_history := [], avg_rtt_ms := 0.0, jitter_ms := 0.0, connection := unavailable},
        muster_node_health:record(?KNOWN, #{}, {error, unavailable})
    ).

why_there_is_no_answer_test() ->
    Connection = fun(Why) ->
        #{connection := State, connection_reason := Text} =
            muster_node_health:record(?KNOWN, #{}, {error, Why}),
        ?assert(is_binary(Text)),
        State
    end,
    ?assertEqual(
        [not_watched, cnode_down, cnode_down],
        [Connection(Why) || Why <- [unknown, timeout, {down, crashed}]]
    ).
