%% libcluster's topologies in muster's words, strategy by strategy.
-module(muster_libcluster_tests).
-include_lib("eunit/include/eunit.hrl").

%% Called by name.
-export([is_a/1, is/2]).


%% {libcluster's strategy, its config, ours, our options as the C node gets them}
table() ->
    [
        {'Elixir.Cluster.Strategy.Gossip',
            [
                {port, 45892}, {if_addr, <<"0.0.0.0">>}, {multicast_if, {192, 168, 1, 1}},
                {multicast_addr, {233, 252, 1, 32}}, {multicast_ttl, 1}, {broadcast_only, true},
                {secret, "pass"}
            ],
            gossip, #{
                port => 45892, if_addr => <<"0.0.0.0">>, multicast_if => <<"192.168.1.1">>,
                multicast_addr => <<"233.252.1.32">>, multicast_ttl => 1, broadcast_only => true,
                secret => <<"pass">>
            }},
        {'Elixir.Cluster.Strategy.Gossip', [{secret, nil}], gossip, #{}},
        {'Elixir.Cluster.Strategy.Epmd', [{hosts, ['a@h', <<"b@h">>]}, {timeout, 30000}], static, #{
            nodes => [<<"a@h">>, <<"b@h">>]
        }},
        {'Elixir.Cluster.Strategy.LocalEpmd', [], local_epmd, #{}},
        {'Elixir.Cluster.Strategy.ErlangHosts', [{timeout, 30000}], hosts_file, #{
            poll_interval => 30000
        }},
        {'Elixir.Cluster.Strategy.ErlangHosts', [{timeout, infinity}, {name_match, "a"}], hosts_file,
            #{}},
        {'Elixir.Cluster.Strategy.DNSPoll',
            [{polling_interval, 7000}, {query, <<"app.example.com">>}, {node_basename, <<"app">>}],
            dns, #{
                poll_interval => 7000, query => <<"app.example.com">>, node_basename => <<"app">>
            }},
        {'Elixir.Cluster.Strategy.DNSPoll',
            [{poll_interval, 1}, {query, "q"}, {node_basename, app}, {resolver, nil}], dns, #{
                poll_interval => 1, query => <<"q">>, node_basename => <<"app">>
            }},
        {'Elixir.Cluster.Strategy.Kubernetes',
            [
                {mode, hostname}, {kubernetes_node_basename, <<"app">>},
                {kubernetes_selector, <<"app=app">>}, {kubernetes_namespace, <<"ns">>},
                {kubernetes_service_name, <<"svc">>}, {kubernetes_ip_lookup_mode, pods},
                {kubernetes_master, <<"k8s.example.">>}, {kubernetes_cluster_name, <<"cluster">>},
                {kubernetes_service_account_path, <<"/sa">>}, {polling_interval, 10000}
            ],
            kubernetes, #{
                mode => hostname, kubernetes_node_basename => <<"app">>,
                kubernetes_selector => <<"app=app">>, kubernetes_namespace => <<"ns">>,
                kubernetes_service_name => <<"svc">>, kubernetes_ip_lookup_mode => pods,
                kubernetes_master => <<"k8s.example.">>, kubernetes_cluster_name => <<"cluster">>,
                kubernetes_service_account_path => <<"/sa">>, polling_interval => 10000
            }},
        {'Elixir.Cluster.Strategy.Kubernetes.DNS',
            [{service, <<"app-headless">>}, {application_name, <<"app">>}, {polling_interval, 1}],
            kubernetes_dns, #{
                service => <<"app-headless">>, application_name => <<"app">>, polling_interval => 1
            }},
        {'Elixir.Cluster.Strategy.Kubernetes.DNSSRV',
            [
                {service, <<"svc">>}, {application_name, <<"app">>}, {namespace, <<"ns">>},
                {polling_interval, 10000}
            ],
            dns_srv, #{
                service => <<"svc">>, application_name => <<"app">>, namespace => <<"ns">>,
                polling_interval => 10000
            }},
        {'Elixir.Raxol.Swarm.Strategy.Tailscale',
            [{node_basename, <<"raxol">>}, {tag_filter, <<"tag:raxol">>}, {use_dns_names, false},
                {poll_interval, 5000}, {tailscale_cli, <<"/usr/bin/tailscale">>}],
            tailscale, #{
                node_basename => <<"raxol">>, tag_filter => <<"tag:raxol">>, use_dns_names => false,
                poll_interval => 5000, command => <<"/usr/bin/tailscale">>
            }}
    ].

read(Topologies) ->
    muster_discovery_options:read([{topologies, Topologies}], some_name).

table_test_() ->
    [
        ?_assertMatch(
            {ok, #{
                topologies := [#{name := t, strategy := Ours, options := Options, missing := none}],
                foreign := []
            }},
            read([{t, [{strategy, Theirs}, {config, Config}]}])
        )
     || {Theirs, Config, Ours, Options} <- table()
    ].

%% As maps too, and each strategy of the list has a row.
forms_test() ->
    {ok, #{topologies := [One]}} = read(#{t => #{
        strategy => 'Elixir.Cluster.Strategy.Epmd', config => #{hosts => ['a@h']}
    }}),
    ?assertMatch(#{strategy := static, named := [<<"a@h">>]}, One),
    ?assertEqual(
        lists:usort([S || {S, _, _, _} <- table()]), lists:sort(maps:keys(muster_libcluster:strategies()))
    ).

connect_test() ->
    Own = {my, connect, [x]},
    {ok, #{topologies := [#{mfas := Mfas}]}} =
        read([{t, [{strategy, 'Elixir.Cluster.Strategy.Gossip'}, {connect, Own}, {list_nodes, nil}]}]),
    ?assertEqual(
        #{
            connect => Own, disconnect => {erlang, disconnect_node, []},
            list_nodes => {erlang, nodes, [connected]}
        },
        Mfas
    ),
    ?assertMatch(
        {error, {invalid_option, disconnect, me, _}},
        read([{t, [{strategy, 'Elixir.Cluster.Strategy.Gossip'}, {disconnect, me}]}])
    ).

foreign_test_() ->
    Resolver = fun(_) -> [] end,
    [
        ?_assertMatch({ok, #{topologies := [], foreign := [{t, Spec}]}}, read([{t, Spec}]))
     || Spec <- [
            [{strategy, 'Elixir.My.Strategy'}, {config, [{f, Resolver}]}],
            [{strategy, 'Elixir.Cluster.Strategy.Rancher'}],
            [{strategy, 'Elixir.Cluster.Strategy.DNSPoll'}, {config, [
                {query, "q"}, {node_basename, "a"}, {resolver, Resolver}
            ]}]
        ]
    ].

name_match_test_() ->
    [
        ?_assertEqual(Expected, [(muster_libcluster:name_match(Match))(N) || N <- [<<"a">>, <<"b1">>]])
     || {Match, Expected} <- [
            {a, [true, false]}, {[a, b1], [true, true]}, {"b1", [false, true]},
            {<<"1">>, [false, true]}, {fun(N) -> N =:= <<"a">> end, [true, false]},
            {{?MODULE, is_a}, [true, false]}, {{?MODULE, is, [<<"b1">>]}, [false, true]}
        ]
    ].

is_a(Name) -> Name =:= <<"a">>.
is(Name, Other) -> Name =:= Other.
