-module(muster_distribution_tests).
-include_lib("eunit/include/eunit.hrl").

input(Changes) ->
    maps:merge(
        #{
            node => 'app@host1', cookie => secret, proto_dist => "inet_tcp", epmd => epmd,
            epmd_port => undefined, interface => undefined, listen_min => undefined,
            listen_max => undefined, ticktime => 60
        },
        Changes
    ).

with(Changes, Keys) ->
    {ok, Config} = muster_distribution:from(input(Changes)),
    maps:with(Keys, Config).

defaults_test() ->
    ?assertEqual(
        {ok, #{
            name => <<"app-muster@host1">>, beam => <<"app@host1">>, cookie => <<"secret">>,
            epmd_port => 4369, family => inet, transport => tcp, listen_min => 0,
            listen_max => 0, ticktime_ms => 60000
        }},
        muster_distribution:from(input(#{}))
    ).

transport_test_() ->
    [
        ?_assertEqual(
            #{family => Family, transport => Transport},
            with(#{proto_dist => ProtoDist, epmd => Epmd}, [family, transport])
        )
     || {ProtoDist, Epmd, Family, Transport} <- [
            {"inet_tcp", epmd, inet, tcp},
            {"inet6_tcp", epmd, inet6, tcp},
            {"inet_tls", epmd, inet, tls},
            {"inet6_tls", epmd, inet6, tls},
            {"gen_tcp", epmd, inet, other},
            {"inet_tcp", none, inet, other},
            {"inet6_tcp", none, inet6, other}
        ]
    ].

listen_range_test_() ->
    [
        ?_assertEqual(
            #{listen_min => ToMin, listen_max => ToMax},
            with(#{listen_min => Min, listen_max => Max}, [listen_min, listen_max])
        )
     || {Min, Max, ToMin, ToMax} <- [
            {9100, 9110, 9100, 9110},
            %% the one port is the BEAM's own
            {9100, undefined, 0, 0},
            {9100, 9100, 0, 0},
            {undefined, 9110, 0, 0}
        ]
    ].

settings_test_() ->
    [
        ?_assertEqual(#{listen_ip => <<"127.0.0.1">>}, with(#{interface => {127, 0, 0, 1}}, [listen_ip])),
        ?_assertEqual(#{listen_ip => <<"::1">>}, with(#{interface => {0, 0, 0, 0, 0, 0, 0, 1}}, [listen_ip])),
        ?_assertEqual(#{epmd_port => 5000}, with(#{epmd_port => "5000"}, [epmd_port])),
        ?_assertEqual(#{ticktime_ms => 8000}, with(#{ticktime => 8}, [ticktime_ms])),
        ?_assertEqual(#{cookie => <<233>>}, with(#{cookie => 'é'}, [cookie]))
    ].

faults_test_() ->
    Long = list_to_atom(lists:duplicate(240, $x) ++ "@hosts.net"),
    Cases = [
        {#{node => Long}, name_too_long},
        {#{cookie => 'λ'}, invalid_cookie},
        {#{epmd_port => "high"}, invalid_setting},
        {#{epmd_port => "70000"}, invalid_setting},
        {#{interface => "lo"}, invalid_setting},
        {#{interface => {1, 2}}, invalid_setting},
        {#{listen_min => 2, listen_max => 1}, invalid_setting},
        {#{listen_min => 2, listen_max => 65536}, invalid_setting},
        {#{ticktime => 0}, invalid_setting}
    ],
    [
        fun() ->
            {error, Reason} = muster_distribution:from(input(Changes)),
            ?assertEqual(Fault, element(1, Reason)),
            ?assert(is_binary(unicode:characters_to_binary(muster_distribution:format_error(Reason))))
        end
     || {Changes, Fault} <- Cases
    ].
