%% The status of discovery, fact by fact, the graver first.
-module(muster_discovery_health_tests).

-include_lib("eunit/include/eunit.hrl").

-define(STARTED, #{state => started, last_error => undefined, beam => false, refused => []}).

status(Facts) ->
    muster_discovery_health:status(
        maps:merge(
            #{
                topologies => [?STARTED], foreign => false, cnode => up, kept_out => none,
                draining => false, peers => 0
            },
            Facts
        )
    ).

status_test_() ->
    Failed = ?STARTED#{state := {failed, <<"bad option">>}},
    Silent = ?STARTED#{last_error := <<"no answer">>},
    Refused = ?STARTED#{refused := [["n", integer_to_list(N)] || N <- lists:seq(1, 5)]},
    [
        {Title, ?_assertEqual(Expected, status(Facts))}
     || {Title, Facts, Expected} <- [
            {"all is well", #{}, up},
            {"nothing to do", #{topologies => []}, {down, <<"no strategy was given">>}},
            {"libcluster's", #{topologies => [], foreign => true}, up},
            {"no application", #{cnode => {down, not_started}}, {down, <<"the application muster is not started">>}},
            {"draining", #{draining => true, kept_out => <<"x">>}, {degraded, <<"the node is draining">>}},
            {"kept out", #{kept_out => <<"x">>}, {degraded, <<"the C node stays out of the cluster: x">>}},
            {"restarted", #{cnode => {down, hung}}, {degraded, <<"the C node is being restarted">>}},
            {"all failed", #{topologies => [Failed]}, {down, <<"bad option">>}},
            {"some failed", #{topologies => [Failed, ?STARTED, Silent]}, {degraded, <<"bad option; no answer">>}},
            {"nameless", #{topologies => [?STARTED#{beam := true}]},
                {degraded, <<"this node is not distributed: it has no name yet (-name, -sname)">>}},
            {"refused", #{topologies => [Refused]},
                {degraded,
                    <<"there are no peers but such as refuse this node, or are refused: n1, n2, n3 and 2 more">>}},
            {"refused by some", #{topologies => [Refused], peers => 1}, up}
        ]
    ].
