-module(muster_discovery_options_tests).
-include_lib("proper/include/proper.hrl").
-include_lib("eunit/include/eunit.hrl").

-define(O, muster_discovery_options).

argument_test_() ->
    [
        ?_assertEqual(Expected, ?O:argument(Name, Value))
     || {Name, Value, Expected} <- [
            {secret, <<"s">>, {ok, <<"s">>}}, {secret, "s", {ok, <<"s">>}},
            {node_basename, app, {ok, <<"app">>}}, {port, 1, {ok, 1}},
            {broadcast_only, true, {ok, true}}, {poll_interval, infinity, {ok, infinity}},
            {mode, ip, {ok, ip}}, {mode, <<"hostname">>, {ok, hostname}},
            {kubernetes_ip_lookup_mode, <<"pods">>, {ok, pods}}, {records, "aaaa", {ok, aaaa}},
            {mode, <<"not an atom of this vm yet">>, {ok, <<"not an atom of this vm yet">>}},
            {if_addr, {127, 0, 0, 1}, {ok, <<"127.0.0.1">>}},
            {if_addr, {0, 0, 0, 0, 0, 0, 0, 1}, {ok, <<"::1">>}},
            {nameservers, [{{8, 8, 8, 8}, 53}, {0, 0, 0, 0, 0, 0, 0, 1}],
                {ok, [<<"8.8.8.8:53">>, <<"::1">>]}},
            {nameservers, [{{0, 0, 0, 0, 0, 0, 0, 1}, 53}], {ok, [<<"[::1]:53">>]}},
            {nodes, ['a@h', "b@h", <<"c@h">>], {ok, [<<"a@h">>, <<"b@h">>, <<"c@h">>]}},
            {nodes, [], {ok, []}}, {secret, nil, none}, {secret, undefined, none},
            {secret, {a, b}, error}, {secret, 1.5, error}, {nodes, [a | b], error},
            {secret, self(), error}, {secret, [1114112], error}
        ]
    ].

flat_and_topology_are_the_same_test() ->
    {ok, #{topologies := [A]}} = ?O:read([{strategy, epmd}, {hosts, ['a@h']}, {name, x}], d),
    {ok, #{topologies := [B]}} = ?O:read(#{topologies => [{epmd, epmd, #{hosts => ['a@h']}}]}, d),
    Comparable = fun(T) -> maps:remove(filter, T) end,
    ?assertEqual(Comparable(A), Comparable(B)),
    ?assertMatch(
        #{name := epmd, strategy := static, options := #{nodes := [<<"a@h">>]}, named := [<<"a@h">>]}, A
    ).

%% What is wrong with a list of nodes is said under the name that the user gave it.
nodes_are_checked_test_() ->
    Expected = <<"a list of nodes, each a name with its host, such as 'app@host'">>,
    [
        ?_assertEqual({error, {invalid_option, Name, Wrong, Expected}}, ?O:read(Options(Wrong), d))
     || {Name, Options} <- [
            {hosts, fun(V) -> [{strategy, epmd}, {hosts, V}] end},
            {nodes, fun(V) -> [{strategy, static}, {nodes, V}] end},
            {hosts, fun(V) ->
                [{topologies, [{t, [{strategy, 'Elixir.Cluster.Strategy.Epmd'}, {config, [{hosts, V}]}]}]}]
            end}
        ],
        Wrong <- ['app@host', <<"app@host">>, [app], ['app@host', <<"@host">>], ['app@'], [7]]
    ].

telemetry_prefix_test() ->
    Read = fun(Prefix) -> ?O:read([{telemetry_prefix, Prefix}], d) end,
    ?assertMatch({ok, #{telemetry_prefix := [muster, discovery]}}, ?O:read([], d)),
    ?assertMatch({ok, #{telemetry_prefix := [my, cluster]}}, Read([my, cluster])),
    [
        ?assertMatch({error, {invalid_option, telemetry_prefix, Wrong, _}}, Read(Wrong))
     || Wrong <- [[], [<<"my">>], [my | cluster], my, lists:duplicate(17, a)]
    ].

names_test() ->
    ?assert(lists:member(connect_workers, ?O:names())),
    ?assertNot(lists:member(secret, ?O:names())).

metadata_test_() ->
    [
        ?_assertEqual({ok, #{<<"a">> => <<"b">>}}, ?O:metadata(#{a => "b"})),
        ?_assertMatch({error, {invalid_option, metadata, _, _}}, ?O:metadata(#{a => 1})),
        ?_assertMatch({error, {invalid_option, metadata, _, _}}, ?O:metadata([])),
        ?_assertMatch(
            {error, {invalid_option, metadata, _, _}}, ?O:metadata(#{a => binary:copy(<<"x">>, 800)})
        )
    ].

%% Errors end up in logs.
secrets_are_not_repeated_test_() ->
    [
        ?_test(begin
            {error, {invalid_option, _, _, _} = Error} = ?O:read(Options, d),
            ?assertEqual(nomatch, string:find(io_lib:format("~p", [Error]), "hush"))
        end)
     || Options <- [
            [{secret, "hush"}],
            [{strategy, gossip}, {secret, {"hush", a}}],
            [{strategy, gossip}, {secret, "s"}, {old_secrets, ["hush", self()]}],
            [{topologies, [{t, gossip, [{secret, "hush"}, odd | tail]}]}],
            [{topologies, [{t, [{config, #{secret => "hush"}}, 1]}]}],
            [{strategy, gossip}, {secret, "hush"} | tail],
            #{topologies => #{t => {#{secret => "hush"}}}}
        ]
    ].

%% Whatever comes, the answer is a configuration or an error that names something.
prop_read() ->
    ?FORALL(Options, oneof([list({option_name(), term()}), term(), list(term())]), begin
        try ?O:read(Options, d) of
            {ok, #{topologies := T}} when is_list(T) -> true;
            {error, {invalid_option, _, _, Expected}} when is_binary(Expected) -> true
        catch
            Class:Reason:Stack ->
                io:format(user, "~p~n", [{Options, Class, Reason, Stack}]),
                false
        end
    end).

option_name() ->
    oneof([name, strategy, topologies, connect, metadata, capabilities, nodes, hosts, secret, mode]).

properties_test_() ->
    {timeout, 60, ?_assert(proper:quickcheck(prop_read(), [{numtests, 1000}, quiet]))}.
