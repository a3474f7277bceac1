%% @private
%% Between Gleam's types and those of the Erlang modules. No logic: names become atoms where the
%% user gives them, results become `Ok' and `Error', exits of servers that are away become errors, and texts from
%% other nodes are made valid UTF-8, which Gleam's strings are.
-module(muster_gleam_ffi).

-export([identity/1, sleep/1, topologies/1, atom/1, in_words/1, unsubscribe/1]).
-export([
    discovery_start/5, discovery_whereis/1, discovery_stop/2,
    discovery_subscribe/2, discovery_unsubscribe/1,
    discovery_snapshot/1, discovery_lookup/2, discovery_health_info/1,
    discovery_sync/2, discovery_await/3,
    discovery_set_metadata/2, discovery_drain/1, discovery_resume/1
]).
-export([
    node_monitor_start/1, node_monitor_health/2, node_monitor_list/2, node_monitor_list_all/1,
    node_monitor_subscribe/2
]).
-export([
    topology_start/1, topology_role/1, topology_role_of/2, topology_command/1, topology_list/1,
    topology_promote/3, topology_request_role/2, topology_node_left/2, topology_subscribe/2
]).
-export([lww_map_get/2]).
%% For the other modules of this face.
-export([start/3, away/3, subscribe/3, existing/1, is_text/1, node_text/1]).

-define(INTERVAL_MIN, 100).
-define(INTERVAL_MAX, 86400000).
-define(CALL_MS, 5000).

identity(Value) ->
    Value.

sleep(Ms) ->
    timer:sleep(max(0, Ms)),
    nil.

%%% Discovery: options

%% A list of the Gleam type Strategy as muster_discovery writes topologies, with names still texts.
topologies(Strategies) ->
    [
        {Label, Name, [{Key, Value} || {_, Key, Value} <- Settings]}
     || {strategy, Label, Name, Settings} <- Strategies
    ].

discovery_start(Name, Interval, Prefix, Seeds, Custom) ->
    try muster_discovery:start_link(options(Name, Interval, Prefix, Seeds, Custom)) of
        {ok, Pid} -> {ok, Pid};
        {error, {already_started, _}} -> {error, {start_failed, <<"the name is taken">>}};
        {error, {invalid_option, _, _, _} = Invalid} -> {error, {invalid_configuration, in_words(Invalid)}};
        {error, {Kind, Text}} when Kind =:= invalid_argument; Kind =:= unknown_strategy ->
            {error, {invalid_configuration, text(Text)}};
        {error, Reason} -> {error, {start_failed, in_words(Reason)}}
    catch
        throw:Fault -> {error, {invalid_configuration, in_words(Fault)}};
        exit:Reason -> {error, {start_failed, in_words(Reason)}}
    end.

options(Name, Interval, Prefix, Seeds, Custom) ->
    is_integer(Interval) andalso Interval >= ?INTERVAL_MIN andalso Interval =< ?INTERVAL_MAX orelse
        throw({invalid_option, sync_interval_ms, Interval, <<"an integer from 100 to 86400000 (milliseconds)">>}),
    Given = [{atom(Key), Value} || {Key, Value} <- maps:to_list(Custom)],
    {Own, Flat} = lists:partition(fun({Key, _}) -> lists:member(Key, muster_discovery_options:names()) end, Given),
    Seeded = [{seeds, static, [{nodes, Seeds}]} || Seeds =/= []],
    maps:merge(
        maps:without([strategy, topologies], maps:from_list(Own)),
        #{
            name => atom(Name),
            telemetry_prefix => prefix(Prefix),
            topologies => [at_interval(T, Interval) || T <- Seeded ++ found_by(Own, Flat, Seeded)]
        }
    ).

found_by(Own, Flat, Seeded) ->
    case {proplists:get_value(strategy, Own), proplists:get_value(topologies, Own), Flat} of
        {undefined, undefined, []} when Seeded =:= [] -> [{gossip, gossip, []}];
        {undefined, undefined, []} -> [];
        %% What the value was is not repeated: it may be a secret.
        {undefined, undefined, [{Option, _} | _]} ->
            throw({invalid_option, Option, '...', <<"a strategy beside it, in the option strategy">>});
        {undefined, Topologies, []} when is_list(Topologies) -> lists:map(fun topology/1, Topologies);
        {undefined, _, []} -> throw({invalid_option, topologies, '...', <<"what strategy.custom makes">>});
        {undefined, _, [{Option, _} | _]} ->
            throw({invalid_option, Option, '...', <<"options of strategies in the topologies themselves">>});
        {Strategy, undefined, _} -> [topology({Strategy, Strategy, Flat})];
        {Strategy, _, _} -> throw({invalid_option, strategy, Strategy, <<"either a strategy or topologies">>})
    end.

topology({Label, Strategy, Options}) when is_binary(Label), is_binary(Strategy), is_list(Options) ->
    {atom(Label), atom(Strategy), lists:map(fun setting/1, Options)};
topology({_, Strategy, _}) ->
    throw({invalid_option, strategy, Strategy, <<"a strategy's name, a text">>});
topology(_) ->
    throw({invalid_option, topologies, '...', <<"what strategy.custom makes">>}).

setting({Key, Value}) when is_atom(Key) -> {Key, Value};
setting({Key, Value}) -> {atom(Key), Value};
setting(_) -> throw({invalid_option, topologies, '...', <<"what strategy.custom makes">>}).

%% The steady pace, where the strategy has one and was given none.
at_interval({Label, Strategy, Options}, Interval) ->
    Names = intervals(Strategy),
    case Names =:= [] orelse lists:any(fun(Name) -> lists:keymember(Name, 1, Options) end, Names) of
        true -> {Label, Strategy, Options};
        false -> {Label, Strategy, [{hd(Names), Interval} | Options]}
    end.

intervals(gossip) -> [interval_ms];
intervals(Polling) when
    Polling =:= local_epmd; Polling =:= hosts_file; Polling =:= dns; Polling =:= dns_srv;
    Polling =:= kubernetes; Polling =:= kubernetes_dns; Polling =:= tailscale
->
    [poll_interval, polling_interval];
intervals(_) -> [].

prefix(Text) ->
    Parts = binary:split(Text, <<".">>, [global]),
    lists:member(<<>>, Parts) andalso
        throw({invalid_option, telemetry_prefix, Text, <<"names parted by dots">>}),
    lists:map(fun atom/1, Parts).

%%% Discovery: a running one

discovery_whereis(Name) ->
    running(Name, fun(Server) ->
        case whereis(Server) of
            undefined -> exit(noproc);
            Pid -> {ok, Pid}
        end
    end).

discovery_stop(Name, Ms) ->
    running(Name, fun(Server) ->
        Limit = min(max(0, Ms), 16#FFFFFFFF),
        muster_callbacks:remove_all({muster_discovery, Server}),
        case stop_within(Server, Limit) of
            ok -> {ok, nil};
            {error, {shutdown_timeout, _}} -> {error, {shutdown_timeout, Limit}}
        end
    end, fun(Reason) -> {stop_failed, Reason} end).

stop_within(Server, Ms) ->
    Pid = whereis(Server),
    is_pid(Pid) andalso unlink(Pid),
    case muster_discovery:stop(Server, Ms) of
        {error, _} = TooLong ->
            is_pid(Pid) andalso exit(Pid, kill),
            TooLong;
        ok ->
            ok
    end.

discovery_subscribe(Name, Callback) ->
    Told = fun(Event) -> Callback(discovery_event(Event)) end,
    running(Name, fun(Server) ->
        case muster_callbacks:add({muster_discovery, Server}, Told) of
            {ok, Id} -> {ok, Id};
            {error, timeout} -> {error, {subscription_failed, <<"no answer within 5000 ms">>}};
            {error, not_running} -> {error, {subscription_failed, <<"discovery is not running">>}};
            {error, not_started} -> {error, {subscription_failed, <<"the application muster is not started">>}}
        end
    end).

discovery_unsubscribe(Id) ->
    case muster_callbacks:remove(Id) of
        ok -> {ok, nil};
        {error, not_found} -> {error, {subscription_failed, <<"there is no such subscription: ", Id/binary>>}}
    end.

discovery_event({peer_down, Node, Reason}) -> {peer_down, node_text(Node), text(Reason)};
discovery_event({Kind, Node, Metadata}) -> {Kind, node_text(Node), texts(Metadata)}.

discovery_snapshot(Name) ->
    running(Name, fun(Server) -> {ok, lists:map(fun peer_info/1, muster_discovery:snapshot(Server))} end).

discovery_lookup(Name, Peer) ->
    running(Name, fun(Server) ->
        case muster_discovery:lookup(Server, Peer) of
            {ok, Found} -> {ok, peer_info(Found)};
            {error, {peer_not_found, _}} -> {error, {peer_not_found, Peer}}
        end
    end).

peer_info(#{node := Node, metadata := Metadata}) ->
    {peer_info, node_text(Node), texts(Metadata)}.

discovery_health_info(Name) ->
    Info = running(Name, fun(Server) -> {ok, muster_discovery:health_info(Server)} end),
    case Info of
        {ok, #{status := Status, last_sync_time := Sync, last_error := Error, known_peers := Peers}} ->
            {health_info, Status, option(Sync), option(Error), Peers};
        {error, {timeout, Ms}} ->
            {health_info, {down, <<"no answer within ", (integer_to_binary(Ms))/binary, " ms">>}, none, none, 0};
        {error, {_, Reason}} ->
            {health_info, {down, Reason}, none, none, 0}
    end.

discovery_sync(Name, Ms) ->
    running(Name, fun(Server) ->
        case is_integer(Ms) andalso Ms >= 1 andalso Ms =< 16#FFFFFFFF of
            true -> result(muster_discovery:sync(Server, Ms));
            false ->
                Expected = <<"an integer from 1 to 4294967295 (milliseconds)">>,
                {error, {invalid_configuration, in_words({invalid_option, sync_timeout_ms, Ms, Expected})}}
        end
    end).

discovery_await(Name, Peers, Ms) ->
    running(Name, fun(Server) ->
        result(muster_discovery:await(Server, max(0, Peers), min(max(0, Ms), 16#FFFFFFFF)))
    end).

discovery_set_metadata(Name, Metadata) ->
    running(Name, fun(Server) -> result(muster_discovery:set_metadata(Server, Metadata)) end).

discovery_drain(Name) ->
    running(Name, fun(Server) -> result(muster_discovery:drain(Server)) end).

discovery_resume(Name) ->
    running(Name, fun(Server) -> result(muster_discovery:resume(Server)) end).

result(ok) -> {ok, nil};
result({error, {invalid_option, _, _, _} = Invalid}) -> {error, {invalid_configuration, in_words(Invalid)}};
result({error, {sync_failed, Text}}) -> {error, {sync_failed, text(Text)}};
result({error, {timeout, Ms}}) -> {error, {timeout, Ms}}.

running(Name, Function) ->
    running(Name, Function, fun(Reason) -> {sync_failed, Reason} end).

running(Name, Function, Failed) ->
    try
        Function(atom(Name))
    catch
        throw:{not_a_name, _} = Fault -> {error, {invalid_configuration, in_words(Fault)}};
        exit:{timeout, _} -> {error, {timeout, ?CALL_MS}};
        exit:_ -> {error, Failed(<<"discovery is not running">>)}
    end.

%%% The node monitor

node_monitor_start(Options) ->
    start(muster_node_monitor, Options, fun monitor_option/1).

monitor_option(never_forget) -> {forget_after_ms, infinity};
monitor_option(Option) -> Option.

node_monitor_health(Name, Node) ->
    case away(Name, fun(Server) -> muster_node_monitor:get_health(Server, existing(Node)) end, {error, unknown}) of
        {ok, Health} -> {ok, health(Health)};
        {error, unknown} -> {error, nil}
    end.

node_monitor_list(Name, healthy) ->
    lists:map(fun node_text/1, away(Name, fun muster_node_monitor:list_healthy/1, []));
node_monitor_list(Name, suspect) ->
    lists:map(fun node_text/1, away(Name, fun muster_node_monitor:list_suspect/1, [])).

node_monitor_list_all(Name) ->
    lists:map(fun health/1, away(Name, fun muster_node_monitor:list_all/1, [])).

node_monitor_subscribe(Name, Callback) ->
    subscribe(muster_node_monitor, Name, fun(Event) -> Callback(monitor_event(Event)) end).

monitor_event({status_change, Node, From, To}) -> {status_change, node_text(Node), From, To};
monitor_event({Kind, Node}) -> {Kind, node_text(Node)}.

health(#{node := Node, status := Status, rtt_history := History, avg_rtt_ms := Avg, min_rtt_ms := Min,
    max_rtt_ms := Max, jitter_ms := Jitter, last_seen := Seen, joined_at := Joined,
    connection := Connection, connection_reason := Reason}) ->
    {health, node_text(Node), Status, History, Avg, Min, Max, Jitter, Seen, Joined,
        node_text(Connection), text(Reason)}.

%%% The topology

topology_start(Options) ->
    start(muster_topology, Options, fun topology_option/1).

topology_option({node_monitor, Name}) -> {node_monitor, atom(Name)};
topology_option(Option) -> Option.

topology_role(Name) ->
    topology(Name, fun(Server) -> {ok, muster_topology:get_role(Server)} end).

topology_role_of(Name, Node) ->
    topology(Name, fun(Server) -> muster_topology:get_role(Server, existing(Node)) end).

topology_command(Name) ->
    topology(Name, fun(Server) ->
        case muster_topology:get_command(Server) of
            {ok, Node, {Term, Election}} -> {ok, {node_text(Node), {token, Term, Election}}};
            {error, Reason} -> {error, Reason}
        end
    end).

topology_list(Name) ->
    topology(Name, fun(Server) -> {ok, [{node_text(N), Role} || {N, Role} <- muster_topology:list_nodes(Server)]} end).

topology_promote(Name, Node, Role) ->
    topology(Name, fun(Server) ->
        case existing(Node) of
            '' -> {error, unknown_node};
            Known -> muster_topology:promote(Server, Known, Role)
        end
    end).

topology_request_role(Name, Role) ->
    topology(Name, fun(Server) -> muster_topology:request_role(Server, Role) end).

topology_node_left(Name, Node) ->
    away(Name, fun(Server) -> muster_topology:node_left(Server, existing(Node)) end, ok),
    nil.

topology_subscribe(Name, Callback) ->
    subscribe(muster_topology, Name, fun(Event) -> Callback(topology_event(Event)) end).

topology_event({commander_changed, Old, New}) -> {commander_changed, option_node(Old), option_node(New)};
topology_event({role_changed, Node, Role}) -> {role_changed, node_text(Node), option(Role)}.

topology(Name, Function) ->
    case away(Name, Function, {error, not_running}) of
        ok -> {ok, nil};
        {ok, Value} -> {ok, Value};
        {error, timeout} -> {error, not_agreed};
        {error, Known} when Known =:= unknown_node; Known =:= no_commander; Known =:= not_running -> {error, Known};
        {error, Reason} -> {error, {refused, in_words(Reason)}}
    end.

%%% What they share

%% A server of muster, with its options as Gleam has them and what makes them Erlang's.
start(Module, Options, Function) ->
    try
        Read = [
            case Option of
                {name, Name} -> {name, atom(Name)};
                _ -> Function(Option)
            end
         || Option <- Options
        ],
        case Module:start_link(Read) of
            {ok, Pid} -> {ok, {Pid, atom_to_binary(proplists:get_value(name, Read, Module), utf8)}};
            {error, Reason} -> {error, in_words(Reason)}
        end
    catch
        throw:Fault -> {error, in_words(Fault)}
    end.

away(Name, Function, Away) ->
    try
        Function(atom(Name))
    catch
        exit:_ -> Away;
        throw:{not_a_name, _} -> Away
    end.

subscribe(Module, Name, Callback) ->
    case away(Name, fun(Server) -> muster_callbacks:add({Module, Server}, Callback) end, {error, not_running}) of
        {ok, Id} -> {ok, Id};
        {error, timeout} -> {error, no_answer};
        {error, _} -> {error, not_running}
    end.

unsubscribe(Id) ->
    _ = muster_callbacks:remove(Id),
    nil.

lww_map_get(Map, Key) ->
    case muster_lww_map:find(Map, Key) of
        {ok, Value} -> {ok, Value};
        error -> {error, nil}
    end.

%% A name that the user gave; throws what in_words/1 can say of it.
atom(Text) when is_binary(Text), Text =/= <<>> ->
    try
        binary_to_atom(Text, utf8)
    catch
        error:_ -> throw({not_a_name, Text})
    end;
atom(Other) ->
    throw({not_a_name, Other}).

%% A node that is asked for: one that nobody ever heard of is no atom.
existing(Text) ->
    try
        binary_to_existing_atom(Text, utf8)
    catch
        error:_ -> ''
    end.

is_text(Term) ->
    is_binary(Term) andalso is_list(unicode:characters_to_list(Term)).

node_text(Atom) ->
    atom_to_binary(Atom, utf8).

option(undefined) -> none;
option(Value) -> {some, Value}.

option_node(undefined) -> none;
option_node(Node) -> {some, node_text(Node)}.

texts(Metadata) ->
    maps:from_list([{text(Key), text(Value)} || {Key, Value} <- maps:to_list(Metadata)]).

%% Other nodes may send any bytes.
text(Bytes) when is_binary(Bytes) ->
    case unicode:characters_to_binary(Bytes) of
        Bytes -> Bytes;
        _ -> unicode:characters_to_binary(Bytes, latin1)
    end;
text(Other) ->
    unicode:characters_to_binary(io_lib:format("~0tp", [Other])).

in_words({invalid_option, Name, Value, Expected}) ->
    unicode:characters_to_binary(io_lib:format("~ts: expected ~ts, got: ~0tp", [Name, Expected, Value]));
in_words({not_a_name, Value}) ->
    unicode:characters_to_binary(io_lib:format("expected a name of 1 to 255 characters, got: ~0tp", [Value]));
in_words({already_started, _}) ->
    <<"it is started already">>;
in_words({_, Text}) when is_binary(Text) ->
    text(Text);
in_words(Reason) when is_atom(Reason) ->
    node_text(Reason);
in_words(Reason) ->
    unicode:characters_to_binary(io_lib:format("~0tp", [Reason])).
