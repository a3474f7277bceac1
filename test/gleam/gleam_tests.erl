%% What the Gleam modules do once they are compiled: the package's own tests, and a cluster of real nodes.
%%
%%   erl -pa … -s gleam_tests main     the nodes get the same code path
%%
%% Each test prints a line `ok NAME' or `FAILED NAME'.
-module(gleam_tests).

-export([main/0]).
%% Called in the nodes.
-export([keep/3, record/3, recorded/1, break/2, telemetry/1]).

-include("../support/eventually.hrl").

-define(ADAPTER, 'distribute@discovery@beam_adapter').
-define(ADAPTERS, 'distribute@discovery@adapters').
-define(STRATEGY, 'distribute@discovery@strategy').
-define(BEHAVIOUR, 'distribute@discovery@behaviour').
-define(DISCOVERY, 'distribute@discovery').
-define(TYPES, 'distribute@discovery@types').
-define(LEADER, 'muster@leader').
-define(MONITOR, 'muster@node_monitor').
-define(TOPOLOGY, 'muster@topology').
-define(OVERLAY, 'muster@overlay').
-define(COMMS, 'muster@comms').
-define(DEADLINE_MS, 60000).

main() ->
    {ok, _} = application:ensure_all_started(muster),
    Results = [run(Name, Fun) || {Name, Fun} <- unit_tests() ++ cluster_tests()],
    erlang:halt(
        case lists:all(fun(Ok) -> Ok end, Results) of
            true -> 0;
            false -> 1
        end
    ).

run(Name, Fun) ->
    {_, Test} = spawn_monitor(Fun),
    Outcome =
        receive
            {'DOWN', Test, process, _, Reason} -> Reason
        after ?DEADLINE_MS -> timeout
        end,
    case Outcome of
        normal -> io:format("ok     ~ts~n", [Name]);
        _ -> io:format("FAILED ~ts~n~p~n", [Name, Outcome])
    end,
    Outcome =:= normal.

%% As gleeunit does: the functions called …_test of the modules called …_test.
unit_tests() ->
    Modules = [
        list_to_atom(filename:basename(File, ".beam"))
     || Path <- code:get_path(), File <- filelib:wildcard(filename:join(Path, "*_test.beam"))
    ],
    [
        {io_lib:format("~ts: ~ts", [Module, Name]), fun Module:Name/0}
     || Module <- lists:sort(Modules),
        {Name, 0} <- Module:module_info(exports),
        lists:suffix("_test", atom_to_list(Name))
    ].

cluster_tests() ->
    [
        {"two nodes by a list: events, snapshot, lookup, health", fun two_nodes/0},
        {"metadata of other nodes, and bytes that are no text", fun metadata/0},
        {"callbacks that hang, crash or kill themselves are nobody else's trouble", fun bad_callbacks/0},
        {"subscriptions end, also from inside the callback", fun unsubscribing/0},
        {"a killed adapter is started again: nothing told twice, nothing lost", fun adapter_killed/0},
        {"the documents' examples, with gossip", fun spec_examples/0},
        {"the code in the guides", fun guides/0},
        {"wrong options are named, secrets are not", fun wrong_options/0},
        {"stopping, and a server that does not", fun stopping/0},
        {"adapters of backends that fail are degraded and say why", fun failing_backends/0},
        {"several strategies, seeds, custom options by their names", fun strategies/0},
        {"telemetry under the given prefix", fun telemetry_prefix/0},
        {"the intervals reach the strategies", fun intervals/0},
        {"what is not running says so", fun not_running/0},
        {"a leader group of two", fun leader/0},
        {"the topology: a commander, roles, events", fun topology/0},
        {"the overlay: entities, waypoints, annotations, events", fun overlay/0},
        {"messages by priority", fun comms/0},
        {"the node monitor: health, events", fun node_monitor/0}
    ].

%%% Discovery

two_nodes() ->
    with_nodes(2, fun([A, B]) ->
        {ok, _} = start(A, static([B])),
        {ok, Id} = subscribe(A, events),
        <<_, _/binary>> = call(A, ?TYPES, subscription_id_value, [Id]),
        {ok, Handle} = start(B, static([A])),
        <<"t">> = call(A, ?TYPES, handle_id, [Handle]),
        ?eventually(lists:member({peer_up, name(B), #{}}, told(A, events)) orelse
            [peer_up] =:= [K || {K, N, _} <- told(A, events), N =:= name(B), K =:= peer_up]),
        ?eventually(await_peers(A, 1)),
        {ok, [{peer_info, BName, #{<<"capabilities">> := <<"discovery">>}}]} =
            eventually_ok(fun() -> with_metadata(A, name(B)) end),
        BName = name(B),
        {ok, {peer_info, BName, _}} = adapter(A, lookup, [BName]),
        {error, {peer_not_found, <<"nobody@nowhere">>}} = adapter(A, lookup, [<<"nobody@nowhere">>]),
        ?eventually(adapter(A, health, []) =:= up),
        {health_info, up, {some, Ms}, none, 1} = eventually_synced(A),
        true = abs(Ms - erlang:system_time(millisecond)) < 600000,
        {ok, nil} = adapter(A, sync, []),
        stop_node(B),
        ?eventually(lists:keymember(peer_down, 1, told(A, events))),
        {ok, []} = adapter(A, snapshot, [])
    end).

metadata() ->
    with_nodes(2, fun([A, B]) ->
        {ok, _} = start(A, static([B])),
        {ok, _} = start(B, static([A])),
        ?eventually(await_peers(A, 1)),
        {ok, _} = subscribe(A, events),
        {ok, nil} = adapter(B, set_metadata, [#{<<"zone">> => <<"north">>}]),
        Name = name(B),
        ?eventually([M || {peer_update, N, #{<<"zone">> := <<"north">>} = M} <- told(A, events), N =:= Name] =/= []),
        {error, {invalid_configuration, _}} =
            adapter(B, set_metadata, [#{<<"big">> => binary:copy(<<"x">>, 2000)}]),
        ok = call(B, muster_discovery, set_metadata, [t, #{<<"odd", 255>> => <<254, 253>>}]),
        ?eventually([M || {peer_update, _, #{<<"odd", 195, 191>> := _} = M} <- told(A, events)] =/= []),
        [
            true = is_list(unicode:characters_to_list(Text))
         || {peer_update, _, M} <- told(A, events), {K, V} <- maps:to_list(M), Text <- [K, V]
        ]
    end).

bad_callbacks() ->
    with_nodes(2, fun([A, B]) ->
        {ok, _} = start(A, static([B])),
        {ok, _} = start(B, static([A])),
        ?eventually(await_peers(A, 1)),
        Ids = [call(A, ?MODULE, break, [t, How]) || How <- [hang, crash, exit, kill]],
        {ok, _} = subscribe(A, good),
        Server = call(A, erlang, whereis, [t]),
        lists:foreach(
            fun(N) ->
                Value = integer_to_binary(N),
                {ok, nil} = adapter(B, set_metadata, [#{<<"n">> => Value}]),
                ?eventually(seen(A, good, Value)),
                %% The broken ones go on too, but for the one that hangs.
                ?eventually(lists:all(fun(How) -> seen(A, How, Value) end, [crash, exit, kill]))
            end,
            [1, 2, 3]
        ),
        %% It is still at its first event.
        1 = length(told(A, hang)),
        Server = call(A, erlang, whereis, [t]),
        [{ok, nil} = adapter(A, unsubscribe, [Id]) || {ok, Id} <- Ids],
        4 = length(Ids)
    end).

seen(Node, Key, Value) ->
    [] =/= [N || {peer_update, _, #{<<"n">> := N}} <- told(Node, Key), N =:= Value].

unsubscribing() ->
    with_nodes(2, fun([A, B]) ->
        {ok, _} = start(A, static([B])),
        {ok, Id} = subscribe(A, once),
        {ok, Other} = subscribe(A, always),
        {ok, OwnEnd} = call(A, ?MODULE, break, [t, unsubscribe]),
        {ok, nil} = adapter(A, unsubscribe, [Id]),
        {error, {subscription_failed, Text}} = adapter(A, unsubscribe, [Id]),
        {_, _} = binary:match(Text, call(A, ?TYPES, subscription_id_value, [Id])),
        {error, {subscription_failed, _}} =
            adapter(A, unsubscribe, [call(A, ?BEHAVIOUR, new_subscription_id, [<<"made up">>])]),
        {ok, _} = start(B, static([A])),
        ?eventually(told(A, always) =/= []),
        ?eventually(told(A, unsubscribe) =/= []),
        ?eventually(element(1, adapter(A, unsubscribe, [OwnEnd])) =:= error),
        {ok, nil} = adapter(B, set_metadata, [#{<<"n">> => <<"1">>}]),
        ?eventually(seen(A, always, <<"1">>)),
        1 = length(told(A, unsubscribe)),
        [] = told(A, once),
        {ok, nil} = adapter(A, unsubscribe, [Other])
    end).

adapter_killed() ->
    with_nodes(3, fun([A, B, C]) ->
        [{ok, _} = start(N, static([A])) || N <- [B, C]],
        Options = options(static([B, C])),
        Spec = call(A, 'distribute@discovery@adapter', child_spec, [adapter_with(static([B, C])), Options]),
        {ok, _} = call(A, ?MODULE, keep, [gleam@otp@static_supervisor, start, [
            gleam@otp@static_supervisor:add(gleam@otp@static_supervisor:new(one_for_one), Spec)
        ]]),
        {ok, nil} = adapter(A, await, [2, 30000]),
        {ok, nil} = adapter(B, set_metadata, [#{<<"n">> => <<"1">>}]),
        ?eventually(element(1, with_metadata(A, name(B), #{<<"n">> => <<"1">>})) =:= ok),
        {ok, _} = subscribe(A, events),
        kill(A, t),
        %% What is asked meanwhile is asked again.
        {ok, _} = adapter(A, snapshot, []),
        ?eventually(element(1, with_metadata(A, name(B), #{<<"n">> => <<"1">>})) =:= ok),
        {ok, nil} = adapter(A, await, [2, 30000]),
        {ok, nil} = adapter(B, set_metadata, [#{<<"n">> => <<"2">>}]),
        ?eventually(told(A, events) =/= []),
        ?eventually(seen(A, events, <<"2">>)),
        BName = name(B),
        [{peer_update, BName, #{<<"n">> := <<"2">>}}] = told(A, events),
        stop_node(C),
        CName = name(C),
        ?eventually([{peer_down, CName}] =:= [{K, N} || {K, N, _} <- tl(told(A, events))]),
        %% A node that goes while the adapter is away.
        true = call(A, erlang, is_pid, [call(A, erlang, whereis, [t])]),
        kill(A, t),
        stop_node(B),
        ?eventually([{peer_down, BName}] =:= [{K, N} || {K, N, _} <- tl(tl(told(A, events)))])
    end).

kill(Node, Name) ->
    Pid = call(Node, erlang, whereis, [Name]),
    true = call(Node, erlang, exit, [Pid, kill]),
    ?eventually(not call(Node, erlang, is_process_alive, [Pid])).

spec_examples() ->
    with_nodes(2, fun([A, B]) ->
        {ok, {started, _, _}} = call(A, ?MODULE, keep, [spec_examples, start_app, []]),
        {ok, {started, _, _}} = call(B, ?MODULE, keep, [spec_examples, child_spec, []]),
        {ok, Handle} = call(A, ?ADAPTER, handle, [<<"distribute_discovery">>]),
        {ok, nil} = call(A, ?ADAPTER, await, [Handle, 1, 30000]),
        ?eventually(call(A, ?DISCOVERY, health, []) =:= up),
        [nil = call(A, spec_examples, Name, []) || Name <- [usage, health, lookup, snapshot]],
        {ok, nil} = call(A, spec_examples, subscribe, []),
        Name = name(B),
        {ok, {peer_info, Name, _}} = call(A, ?DISCOVERY, lookup, [Name]),
        {ok, [{peer_info, Name, _}]} = call(A, ?DISCOVERY, snapshot, [])
    end).

%% Each block in a node of its own: what it exports, but what waits for peers that are not there.
guides() ->
    Modules = [
        list_to_atom(filename:basename(File, ".beam"))
     || Path <- code:get_path(), File <- filelib:wildcard(filename:join(Path, "documents@*.beam"))
    ],
    Ran = [{Module, run_guide(Module)} || Module <- lists:sort(Modules)],
    true = lists:member({documents@readme_1, [main]}, Ran),
    Functions = lists:append([Names || {_, Names} <- Ran]),
    [] = [start_app, watch, show, start, in_kubernetes, command, scheduler, share, talk, merged] -- Functions.

%% The README's program waits for a peer.
run_guide(documents@readme_1) ->
    with_nodes(2, fun([A, B]) ->
        {ok, {started, _, _}} = call(B, ?MODULE, keep, [spec_examples, start_app, []]),
        nil = call(A, ?MODULE, keep, [documents@readme_1, main, []]),
        [main]
    end);
run_guide(Module) ->
    with_nodes(1, fun([A]) ->
        Exports = lists:keysort(1, Module:module_info(exports)),
        [
            begin
                Result = call(A, ?MODULE, keep, [Module, Name, guide_arguments(Name, Arity, A)]),
                {Module, Name, Result, true} = {Module, Name, Result, is_fine(Result)},
                Name
            end
         || {Name, Arity} <- Exports, not lists:member(Name, [module_info, two_ways_at_once, online, status])
        ]
    end).

guide_arguments(_, 0, _) -> [];
guide_arguments(start, 1, _) -> [<<"a secret">>];
guide_arguments(scheduler, 1, A) -> [[name(A)]];
guide_arguments(talk, 1, A) -> [name(A)].

%% What there is to be, with one node and a quorum of two.
is_fine({error, Reason}) -> Reason =:= no_commander;
is_fine({failed, _}) -> false;
is_fine(_) -> true.

wrong_options() ->
    with_nodes(1, fun([A]) ->
        Adapter = adapter_with(static([A])),
        Expect = fun(Options, Parts) ->
            {error, {invalid_configuration, Text}} = start_as(A, ?ADAPTER:new(), Options),
            [{Text, Part, {_, _}} = {Text, Part, binary:match(Text, Part)} || Part <- Parts],
            Text
        end,
        Default = ?BEHAVIOUR:default_options(<<"t">>),
        Expect(setelement(3, Default, 5), [<<"sync_interval_ms">>, <<"5">>, <<"100">>]),
        Expect(setelement(2, Default, <<>>), [<<"name">>]),
        Expect(setelement(2, Default, binary:copy(<<"x">>, 256)), [<<"name">>]),
        Expect(setelement(5, Default, <<"a..b">>), [<<"telemetry_prefix">>, <<"a..b">>]),
        Expect(setelement(6, Default, [<<"no host">>]), [<<"seed_peers">>, <<"no host">>]),
        ListedAs = #{<<"strategy">> => <<"static">>, <<"nodes">> => [<<"nobody">>]},
        Expect(setelement(7, Default, ListedAs), [<<"nodes">>, <<"nobody">>]),
        Custom = fun(Map) -> setelement(7, Default, Map) end,
        Expect(Custom(#{<<"strategy">> => <<"smoke_signals">>}), [<<"smoke_signals">>]),
        Expect(Custom(#{<<"strategy">> => 1}), [<<"strategy">>, <<"1">>]),
        Expect(Custom(#{<<"strategy">> => <<"gossip">>, <<"port">> => <<"many">>}), [<<"port">>, <<"many">>]),
        Expect(Custom(#{<<"strategy">> => <<"gossip">>, <<"port">> => 1.5}), [<<"port">>, <<"1.5">>]),
        Expect(Custom(#{<<"strategy">> => <<"gossip">>, <<"prot">> => 1}), [<<"prot">>]),
        Expect(Custom(#{<<"strategy">> => <<"gossip">>, <<"topologies">> => []}), [<<"strategy">>]),
        Expect(Custom(#{<<"topologies">> => <<"x">>}), [<<"topologies">>]),
        Expect(Custom(#{<<"topologies">> => [<<"x">>]}), [<<"topologies">>]),
        Expect(Custom(#{<<"connect_workers">> => 0}), [<<"connect_workers">>, <<"1024">>]),
        Expect(Custom(#{<<"port">> => 1}), [<<"port">>, <<"strategy">>]),
        nomatch = binary:match(Expect(Custom(#{<<"secret">> => <<"hush">>}), [<<"secret">>]), <<"hush">>),
        Secret = #{<<"strategy">> => <<"gossip">>, <<"secret">> => 1.25},
        nomatch = binary:match(Expect(Custom(Secret), [<<"secret">>]), <<"1.25">>),
        {ok, _} = start_as(A, Adapter, Default),
        {error, {start_failed, <<"the name is taken">>}} = start_as(A, Adapter, Default),
        {ok, Handle} = call(A, ?ADAPTER, handle, [<<"t">>]),
        Name = call(A, ?TYPES, handle_id, [Handle]),
        Odd = call(A, ?TYPES, new_handle, [Name, self(), <<"odd">>]),
        {error, {invalid_configuration, _}} = call(A, ?ADAPTER, sync, [Odd])
    end).

stopping() ->
    with_nodes(1, fun([A]) ->
        {ok, Handle} = start(A, static([A])),
        {ok, _} = subscribe(A, events),
        {ok, nil} = call(A, ?ADAPTER, stop, [Handle, 5000]),
        {ok, nil} = call(A, ?ADAPTER, stop, [Handle, 5000]),
        [] = call(A, supervisor, which_children, [muster_callbacks]),
        {down, <<"discovery is not running">>} = call(A, ?ADAPTER, health, [Handle]),
        {error, {sync_failed, <<"discovery is not running">>}} = call(A, ?ADAPTER, snapshot, [Handle]),
        {ok, Slow} = start(A, static([A])),
        %% As one that is busy for long; suspended while the other process lives.
        true = call(A, ?MODULE, keep, [erlang, suspend_process, [call(A, erlang, whereis, [t])]]),
        {error, {shutdown_timeout, 50}} = call(A, ?ADAPTER, stop, [Slow, 50]),
        ?eventually(call(A, erlang, whereis, [t]) =:= undefined)
    end).

failing_backends() ->
    with_nodes(1, fun([A]) ->
        Silent = [
            {texts, <<"nameservers">>, [<<"127.0.0.1:1">>]}, {number, <<"timeout">>, 100},
            {number, <<"poll_interval">>, 100}
        ],
        Adapters = [
            ?ADAPTERS:dns_srv(<<"_app._tcp.example.test.">>, <<"app">>, Silent),
            ?ADAPTERS:dns(<<"app.example.test.">>, <<"app">>, Silent),
            ?ADAPTERS:kubernetes_dns(<<"web">>, <<"app">>, Silent),
            ?ADAPTERS:kubernetes(<<"app=web">>, <<"app">>, [
                {text, <<"kubernetes_master">>, <<"127.0.0.1:1">>}, {text, <<"kubernetes_namespace">>, <<"default">>},
                {text, <<"kubernetes_ip_lookup_mode">>, <<"pods">>}, {text, <<"mode">>, <<"ip">>}
            ]),
            ?ADAPTERS:tailscale(<<"app">>, [{text, <<"command">>, <<"/no/such/tailscale">>}]),
            ?ADAPTERS:hosts_file([{text, <<"path">>, <<"/no/such/file">>}])
        ],
        lists:foreach(
            fun(Adapter) ->
                {ok, Handle} = start_as(A, Adapter, ?BEHAVIOUR:default_options(<<"t">>)),
                ?eventually(element(4, call(A, ?ADAPTER, health_info, [Handle])) =/= none),
                {degraded, <<_, _/binary>>} = call(A, ?ADAPTER, health, [Handle]),
                {error, {sync_failed, <<_, _/binary>>}} = call(A, ?ADAPTER, sync, [Handle]),
                {ok, []} = call(A, ?ADAPTER, snapshot, [Handle]),
                {ok, nil} = call(A, ?ADAPTER, stop, [Handle, 5000])
            end,
            Adapters
        )
    end).

strategies() ->
    with_nodes(3, fun([A, B, C]) ->
        More = ?STRATEGY:labelled(?STRATEGY:static([name(C)]), <<"more">>),
        Both = ?ADAPTER:with([?STRATEGY:static([name(B)]), More]),
        {ok, _} = start_as(A, Both, ?BEHAVIOUR:default_options(<<"t">>)),
        {ok, nil} = adapter(A, await, [2, 30000]),
        [more, static] = lists:sort(maps:keys(maps:get(topologies, call(A, muster_discovery, status, [t])))),
        %% Seeds alone, by their names.
        Seeds = setelement(6, ?BEHAVIOUR:default_options(<<"seeded">>), [name(B), name(C)]),
        {ok, _} = start_as(A, ?ADAPTER:new(), Seeds),
        #{topologies := #{seeds := _} = Only} = call(A, muster_discovery, status, [seeded]),
        1 = map_size(Only),
        %% Options by their names, and seeds beside.
        Named = setelement(7, setelement(2, Seeds, <<"named">>), #{
            <<"strategy">> => <<"local_epmd">>, <<"poll_interval">> => 200, <<"connect_workers">> => 2,
            <<"metadata">> => #{<<"k">> => <<"v">>}
        }),
        {ok, _} = start_as(A, ?ADAPTER:new(), Named),
        #{topologies := #{seeds := _, local_epmd := #{options := #{poll_interval := 200}}}} =
            call(A, muster_discovery, status, [named]),
        #{<<"k">> := <<"v">>} = call(A, muster_discovery, get_metadata, [named]),
        %% Every node of this host.
        {ok, Local} = start_as(B, ?ADAPTERS:local_epmd([{number, <<"poll_interval">>, 100}]),
            ?BEHAVIOUR:default_options(<<"t">>)),
        {ok, nil} = call(B, ?ADAPTER, await, [Local, 2, 30000]),
        {ok, nil} = call(B, ?ADAPTER, drain, [Local]),
        {degraded, <<"the node is draining">>} = call(B, ?ADAPTER, health, [Local]),
        {ok, nil} = call(B, ?ADAPTER, resume, [Local]),
        ?eventually(call(B, ?ADAPTER, health, [Local]) =:= up)
    end).

telemetry_prefix() ->
    with_nodes(2, fun([A, B]) ->
        %% A module of that name is what muster looks for.
        ok = call(A, ?MODULE, telemetry, [start]),
        Options = setelement(5, ?BEHAVIOUR:default_options(<<"t">>), <<"my.cluster">>),
        {ok, _} = start_as(A, adapter_with(static([B])), Options),
        {ok, nil} = adapter(A, await, [1, 30000]),
        Names = fun() -> call(A, ?MODULE, telemetry, [names]) end,
        ?eventually([] =:= [[my, cluster, peer_up], [my, cluster, connect, ok], [my, cluster, sync]] -- Names()),
        [] = [N || [muster, discovery | _] = N <- Names()]
    end).

intervals() ->
    with_nodes(1, fun([A]) ->
        Options = setelement(3, ?BEHAVIOUR:default_options(<<"t">>), 1234),
        Told = fun(Adapter) ->
            {ok, Handle} = start_as(A, Adapter, Options),
            #{topologies := Topologies} = call(A, muster_discovery, status, [t]),
            {ok, nil} = call(A, ?ADAPTER, stop, [Handle, 5000]),
            [#{options := Given}] = maps:values(Topologies),
            Given
        end,
        #{interval_ms := 1234} = Told(?ADAPTERS:gossip([])),
        #{interval_ms := 200} = Told(?ADAPTERS:gossip([{number, <<"interval_ms">>, 200}])),
        #{poll_interval := 1234} = Told(?ADAPTERS:local_epmd([])),
        #{polling_interval := 300} = Polled =
            Told(?ADAPTERS:dns(<<"q">>, <<"app">>, [{number, <<"polling_interval">>, 300}])),
        false = maps:is_key(poll_interval, Polled),
        #{broadcast_only := true} = Told(?ADAPTERS:gossip([{flag, <<"broadcast_only">>, true}]))
    end).

not_running() ->
    with_nodes(1, fun([A]) ->
        {down, _} = call(A, ?DISCOVERY, health, []),
        {error, {sync_failed, <<"discovery is not running">>}} = call(A, ?DISCOVERY, snapshot, []),
        {error, {sync_failed, _}} = call(A, ?DISCOVERY, lookup, [<<"a@b">>]),
        {error, {subscription_failed, _}} = call(A, ?DISCOVERY, subscribe, [fun erlang:is_atom/1]),
        {error, {subscription_failed, _}} = call(A, ?DISCOVERY, unsubscribe, [?TYPES:new_subscription_id(<<"x">>)]),
        [] = call(A, ?MONITOR, list_all, [?MONITOR:named(<<"nobody">>)]),
        [] = call(A, ?MONITOR, list_healthy, [?MONITOR:named(<<>>)]),
        {error, nil} = call(A, ?MONITOR, get_health, [?MONITOR:named(<<"nobody">>), <<"a@b">>]),
        {error, not_running} = call(A, ?MONITOR, subscribe, [?MONITOR:named(<<"nobody">>), fun erlang:is_atom/1]),
        {error, not_running} = call(A, ?TOPOLOGY, get_commander, [?TOPOLOGY:named(<<"nobody">>)]),
        {error, Text} = call(A, ?MONITOR, start_link, [[{ping_interval_ms, 1}]]),
        {_, _} = binary:match(Text, <<"ping_interval_ms: expected an integer from 10">>),
        {error, _} = call(A, ?TOPOLOGY, start_link, [[{quorum_size, 0}]]),
        {error, _} = call(A, ?LEADER, start_link, [?LEADER:new(<<>>, [], nil)])
    end).

%%% Election, topology, health

leader() ->
    with_nodes(2, fun([A, B] = Nodes) ->
        connect(A, B),
        Voters = [name(N) || N <- Nodes],
        Started = [{N, call(N, ?MODULE, keep, [group_member, start, [Voters]])} || N <- Nodes],
        Members = [{N, Member} || {N, {ok, Member}} <- Started],
        2 = length(Members),
        Leading = fun() -> [N || {N, Member} <- Members, call(N, ?LEADER, is_leader, [Member])] end,
        ?eventually(length(Leading()) =:= 1),
        [First] = Leading(),
        [Second] = Nodes -- [First],
        {_, Of} = lists:keyfind(First, 1, Members),
        {_, OfSecond} = lists:keyfind(Second, 1, Members),
        {ok, {token, Term, _}} = call(First, ?LEADER, token, [Of]),
        {error, nil} = call(Second, ?LEADER, token, [OfSecond]),
        true = Term > 0,
        ?eventually(call(Second, ?LEADER, term, [OfSecond]) >= Term),
        ?eventually(call(Second, ?LEADER, leader, [OfSecond]) =:= call(First, ?LEADER, leader, [Of])),
        true = lists:sort(Voters) =:= lists:sort(call(Second, ?LEADER, voters, [OfSecond])),
        ?eventually(length(call(First, ?LEADER, peers, [Of])) =:= 1),
        nil = call(First, ?LEADER, broadcast, [Of, {word, <<"hello">>}]),
        ?eventually(lists:member({message, true, <<"hello">>}, told(Second, group))),
        nil = call(Second, ?LEADER, send, [OfSecond, {word, <<"own">>}]),
        ?eventually(lists:member({message, false, <<"own">>}, told(Second, group))),
        %% What is not a message of this type does not reach the callback.
        stray = call(Second, erlang, send, [call(Second, erlang, whereis, [scheduler]), stray]),
        ?eventually(lists:member(became_leader, told(First, group))),
        ?eventually(lists:member({became_follower, true}, told(Second, group))),
        {ok, nil} = call(First, ?LEADER, transfer, [Of, name(Second)]),
        ?eventually(Leading() =:= [Second]),
        {error, <<_, _/binary>>} = call(First, ?LEADER, transfer, [Of, <<>>]),
        nil = call(Second, ?LEADER, send, [OfSecond, {word, <<"end">>}]),
        ?eventually(lists:member(terminated, told(Second, group))),
        ?eventually(not call(Second, ?LEADER, is_leader, [OfSecond]))
    end).

topology() ->
    with_nodes(2, fun([A, B] = Nodes) ->
        connect(A, B),
        [{ok, _} = call(N, ?MODULE, keep, [?TOPOLOGY, start_link, [[{quorum_size, 2}]]]) || N <- Nodes],
        Topology = ?TOPOLOGY:named(<<"muster_topology">>),
        Ask = fun(N, Function, Args) -> call(N, ?TOPOLOGY, Function, [Topology | Args]) end,
        ?eventually([{ok, 2}] =:= lists:usort([{ok, length(element(2, Ask(N, list_nodes, [])))} || N <- Nodes])),
        ?eventually(case [Ask(N, get_commander, []) || N <- Nodes] of [{ok, X}, {ok, X}] -> true; _ -> false end),
        {ok, Commander} = Ask(A, get_commander, []),
        [Other] = [name(N) || N <- Nodes] -- [Commander],
        {ok, {Commander, {token, _, _}}} = Ask(A, get_command, []),
        {ok, commander} = Ask(A, get_role_of, [Commander]),
        {error, unknown_node} = Ask(A, get_role_of, [<<"nobody@nowhere">>]),
        {error, unknown_node} = Ask(A, promote, [<<"nobody@nowhere">>, relay]),
        {ok, _} = call(A, ?TOPOLOGY, subscribe, [Topology, fun_recording(topology)]),
        ?eventually(Ask(A, promote, [Other, commander]) =:= {ok, nil}),
        ?eventually(lists:any(
            fun(E) -> element(1, E) =:= commander_changed andalso element(3, E) =:= {some, Other} end, told(A, topology)
        )),
        ?eventually(lists:member({role_changed, Commander, {some, wingmate}}, told(A, topology))),
        ?eventually(Ask(B, get_commander, []) =:= {ok, Other})
    end).

overlay() ->
    with_nodes(2, fun([A, B] = Nodes) ->
        connect(A, B),
        lists:foreach(
            fun({N, Other}) ->
                Options = [{sync_interval_ms, 50}, {peers, [name(Other)]}],
                {ok, _} = call(N, ?MODULE, keep, [?OVERLAY, start_link, [Options]])
            end,
            [{A, B}, {B, A}]
        ),
        Overlay = ?OVERLAY:named(<<"muster_overlay">>),
        Ask = fun(N, Function, Args) -> call(N, ?OVERLAY, Function, [Overlay | Args]) end,
        {ok, _} = Ask(B, subscribe, [fun_recording(overlay)]),
        Data = #{<<"status">> => <<"active">>},
        Name = name(A),
        {ok, nil} = Ask(A, update_entity, [<<"unit 1">>, Data]),
        {ok, nil} = Ask(A, add_waypoint, [<<"wp">>, Data]),
        {ok, nil} = Ask(A, add_annotation, [<<"note">>, Data]),
        %% Written by a member that knows no texts.
        ok = call(A, muster_overlay, update_entity, [unit_2, #{status => active}]),
        ok = call(A, muster_overlay, add_waypoint, [#{id => 7}]),
        ?eventually(Ask(A, await_sync, [10000]) =:= {ok, nil}),
        %% Longer than a timer can be.
        {ok, nil} = Ask(A, await_sync, [1 bsl 40]),
        [
            begin
                {ok, {entity, <<"unit 1">>, Name, At, Data}} = Ask(N, get_entity, [<<"unit 1">>]),
                true = is_integer(At),
                ?eventually([{entity, <<"unit 1">>, Name, At, Data}] =:= Ask(N, get_all_entities, [])),
                ?eventually({ok, {waypoint, <<"wp">>, Data}} =:= Ask(N, get_waypoint, [<<"wp">>])),
                [{waypoint, <<"wp">>, Data}] = Ask(N, get_all_waypoints, []),
                ?eventually({ok, Data} =:= Ask(N, get_annotation, [<<"note">>]))
            end
         || N <- Nodes
        ],
        {error, nil} = Ask(B, get_entity, [<<"nobody">>]),
        {ok, nil} = Ask(B, remove_entity, [<<"unit 1">>]),
        {ok, nil} = Ask(B, remove_waypoint, [<<"wp">>]),
        {ok, nil} = Ask(B, remove_annotation, [<<"note">>]),
        ?eventually(length(told(B, overlay)) >= 6),
        Kinds = [element(1, E) || E <- told(B, overlay)],
        [entity_updated, annotation_added, waypoint_added] -- Kinds =:= [] orelse error(Kinds),
        [entity_removed, waypoint_removed, annotation_removed] = lists:nthtail(3, Kinds),
        [true = is_binary(element(2, E)) || E <- lists:nthtail(3, told(B, overlay))],
        ?eventually(Ask(A, get_all_entities, []) =:= []),
        {error, not_running} = call(A, ?OVERLAY, update_entity, [?OVERLAY:named(<<"nobody">>), <<"x">>, Data]),
        {error, Text} = call(A, ?OVERLAY, start_link, [[{sync_interval_ms, 1}]]),
        {_, _} = binary:match(Text, <<"sync_interval_ms">>)
    end).

comms() ->
    with_nodes(2, fun([A, B] = Nodes) ->
        connect(A, B),
        [{ok, _} = call(N, ?MODULE, keep, [?COMMS, start_link, [[]]]) || N <- Nodes],
        Comms = ?COMMS:named(<<"muster_comms">>),
        {ok, _} = call(B, ?COMMS, subscribe, [Comms, fun_recording(comms)]),
        [{ok, nil} = call(A, ?COMMS, send, [Comms, name(B), P, P]) || P <- [critical, high, normal, low]],
        %% Not of Gleam's.
        ok = call(A, muster_comms, send_msg, [element(2, B), stray]),
        {ok, nil} = call(A, ?COMMS, send, [Comms, name(B), last, critical]),
        ?eventually(lists:member(last, told(B, comms)) andalso length(told(B, comms)) =:= 5),
        [critical, high, last, low, normal] = lists:sort(told(B, comms)),
        {error, not_connected} = call(A, ?COMMS, send, [Comms, <<"nobody@nowhere">>, x, normal]),
        {error, not_running} = call(A, ?COMMS, send, [?COMMS:named(<<"nobody">>), name(B), x, normal]),
        good = call(A, ?COMMS, get_link_quality, [Comms, name(B)]),
        nil = call(A, ?COMMS, update_link, [Comms, name(B), 500.0]),
        poor = call(A, ?COMMS, get_link_quality, [Comms, name(B)]),
        true = lists:member({name(B), poor}, call(A, ?COMMS, get_all_links, [Comms])),
        nil = call(A, ?COMMS, mark_disconnected, [Comms, name(B)]),
        {error, not_connected} = call(A, ?COMMS, send, [Comms, name(B), x, critical]),
        disconnected = call(A, ?COMMS, get_link_quality, [Comms, <<"nobody@nowhere">>]),
        disconnected = call(A, ?COMMS, get_link_quality, [Comms, <<>>])
    end).

node_monitor() ->
    with_nodes(2, fun([A, B]) ->
        Options = [{name, <<"m">>}, {ping_interval_ms, 50}, never_forget],
        {ok, Monitor} = call(A, ?MODULE, keep, [?MONITOR, start_link, [Options]]),
        Monitor = ?MONITOR:named(<<"m">>),
        {ok, Subscription} = call(A, ?MONITOR, subscribe, [Monitor, fun_recording(monitor)]),
        connect(A, B),
        Name = name(B),
        ?eventually(lists:member({node_up, Name}, told(A, monitor))),
        [Name] = call(A, ?MONITOR, list_healthy, [Monitor]),
        [] = call(A, ?MONITOR, list_suspect, [Monitor]),
        ?eventually(case call(A, ?MONITOR, get_health, [Monitor, Name]) of
            {ok, {health, Name, healthy, [_ | _], Avg, Min, Max, _, _, _, <<"connected">>, _}} ->
                Min =< Avg andalso Avg =< Max andalso Min > 0;
            _ -> false
        end),
        [{health, Name, _, _, _, _, _, _, _, _, _, _}] = call(A, ?MONITOR, list_all, [Monitor]),
        {error, nil} = call(A, ?MONITOR, get_health, [Monitor, <<"never@heard.of">>]),
        stop_node(B),
        ?eventually(lists:member({node_down, Name}, told(A, monitor))),
        nil = call(A, 'muster@subscription', cancel, [Subscription]),
        nil = call(A, 'muster@subscription', cancel, [Subscription]),
        [] = call(A, supervisor, which_children, [muster_callbacks])
    end).

%%% Adapters

static(Nodes) ->
    [?STRATEGY:static([name(N) || N <- Nodes])].

adapter_with(Strategies) ->
    ?ADAPTER:with(Strategies).

options(_Strategies) ->
    ?BEHAVIOUR:default_options(<<"t">>).

start(Node, Strategies) ->
    start_as(Node, adapter_with(Strategies), options(Strategies)).

%% As Gleam would: the record's function, called in the node.
start_as(Node, Adapter, Options) ->
    Start = element(2, Adapter),
    call(Node, ?MODULE, keep, [erlang, apply, [Start, [Options]]]).

adapter(Node, Function, Args) ->
    {ok, Handle} = eventually_ok(fun() -> call(Node, ?ADAPTER, handle, [<<"t">>]) end),
    call(Node, ?ADAPTER, Function, [Handle | Args]).

subscribe(Node, Key) ->
    adapter(Node, subscribe, [fun_recording(Key)]).

await_peers(Node, Count) ->
    adapter(Node, await, [Count, 20000]) =:= {ok, nil}.

with_metadata(Node, Name) ->
    case adapter(Node, snapshot, []) of
        {ok, [{peer_info, Name, Metadata}]} = Ok when map_size(Metadata) > 0 -> Ok;
        Other -> {error, Other}
    end.

with_metadata(Node, Name, Wanted) ->
    case adapter(Node, lookup, [Name]) of
        {ok, {peer_info, Name, Metadata}} = Ok ->
            case maps:with(maps:keys(Wanted), Metadata) of
                Wanted -> Ok;
                _ -> {error, Metadata}
            end;
        Other ->
            {error, Other}
    end.

eventually_synced(Node) ->
    ?eventually(element(3, adapter(Node, health_info, [])) =/= none),
    adapter(Node, health_info, []).

eventually_ok(Fun) ->
    ?eventually(element(1, Fun()) =:= ok),
    Fun().

%%% Nodes

with_nodes(Count, Fun) ->
    Nodes = [start_node() || _ <- lists:seq(1, Count)],
    try
        Fun(Nodes)
    after
        lists:foreach(fun stop_node/1, Nodes)
    end.

start_node() ->
    Paths = lists:append([["-pa", Path] || Path <- code:get_path(), not lists:prefix(code:root_dir(), Path)]),
    Name = "g" ++ os:getpid() ++ "-" ++ integer_to_list(erlang:unique_integer([positive])),
    {ok, Peer, Node} = peer:start(#{
        name => Name,
        host => "127.0.0.1",
        longnames => true,
        connection => standard_io,
        wait_boot => 30000,
        args => [
            "-setcookie", "gleam_tests", "-kernel", "logger_level", "critical",
            "-kernel", "prevent_overlapping_partitions", "false" | Paths
        ]
    }),
    {ok, _} = peer:call(Peer, application, ensure_all_started, [muster]),
    ?MODULE = peer:call(Peer, ?MODULE, keep, [ets, new, [?MODULE, [named_table, public]]]),
    {Peer, Node}.

stop_node({Peer, _}) ->
    try
        peer:stop(Peer)
    catch
        exit:_ -> ok
    end.

name({_, Node}) ->
    atom_to_binary(Node, utf8).

call({Peer, _}, Module, Function, Args) ->
    peer:call(Peer, Module, Function, Args, 30000).

connect(A, {_, Node}) ->
    true = call(A, net_kernel, connect_node, [Node]).

fun_recording(Key) ->
    fun(Event) -> record(Key, Event, nil) end.

told(Node, Key) ->
    call(Node, ?MODULE, recorded, [Key]).

%%% In the nodes

%% Starts what links to its caller in a process that stays.
keep(Module, Function, Args) ->
    Caller = self(),
    Ref = make_ref(),
    spawn(fun() ->
        process_flag(trap_exit, true),
        Caller ! {Ref, try apply(Module, Function, Args) catch error:Reason -> {failed, Reason} end},
        timer:sleep(infinity)
    end),
    receive
        {Ref, Result} -> Result
    end.

record(Key, Event, Result) ->
    ets:insert(?MODULE, {{Key, erlang:unique_integer([monotonic])}, Event}),
    Result.

recorded(Key) ->
    [Event || {_, Event} <- lists:sort(ets:match_object(?MODULE, {{Key, '_'}, '_'}))].

%% Subscribes a callback that does not behave.
break(Name, How) ->
    {ok, Handle} = ?ADAPTER:handle(atom_to_binary(Name, utf8)),
    Callback = fun(Event) ->
        record(How, Event, nil),
        case How of
            hang -> timer:sleep(infinity);
            crash -> error(crash);
            exit -> exit(nobody_minds);
            kill -> exit(self(), kill);
            unsubscribe ->
                [{own_id, Id}] = ets:lookup(?MODULE, own_id),
                {ok, nil} = ?ADAPTER:unsubscribe(Handle, Id)
        end
    end,
    {ok, Id} = ?ADAPTER:subscribe(Handle, Callback),
    How =:= unsubscribe andalso ets:insert(?MODULE, {own_id, Id}),
    {ok, Id}.

%% A module `telemetry' that remembers what it is called with.
telemetry(start) ->
    Forms = [
        {attribute, 1, module, telemetry},
        {attribute, 1, export, [{execute, 3}]},
        {function, 1, execute, 3, [
            {clause, 1, [{var, 1, 'Name'}, {var, 1, '_'}, {var, 1, '_'}], [], [
                {call, 1, {remote, 1, {atom, 1, ?MODULE}, {atom, 1, record}}, [
                    {atom, 1, telemetry}, {var, 1, 'Name'}, {atom, 1, ok}
                ]}
            ]}
        ]}
    ],
    {ok, telemetry, Code} = compile:forms(Forms),
    {module, telemetry} = code:load_binary(telemetry, "telemetry.beam", Code),
    ok;
telemetry(names) ->
    recorded(telemetry).
