%% @private
%% Between `distribute/discovery/beam_adapter' and muster_discovery.
-module(muster_gleam_discovery).

-export([
    topologies/1,
    start/5, whereis/1, stop/2,
    subscribe/2, unsubscribe/1,
    snapshot/1, lookup/2, health_info/1,
    sync/2, await/3,
    set_metadata/2, drain/1, resume/1
]).
-compile({no_auto_import, [whereis/1]}).

-import(muster_gleam_ffi, [atom/1, node_text/1, text/1, option/1, in_words/1]).

-define(INTERVAL_MIN, 100).
-define(INTERVAL_MAX, 86400000).
-define(CALL_MS, 5000).

%%% Options

%% A list of the Gleam type Strategy as muster_discovery writes topologies, with names still texts.
topologies(Strategies) ->
    [
        {Label, Name, [{Key, Value} || {_, Key, Value} <- Settings]}
     || {strategy, Label, Name, Settings} <- Strategies
    ].

start(Name, Interval, Prefix, Seeds, Custom) ->
    try muster_discovery:start_link(options(Name, Interval, Prefix, Seeds, Custom)) of
        {ok, Pid} -> {ok, Pid};
        {error, {already_started, _}} -> {error, {start_failed, <<"the name is taken">>}};
        {error, {invalid_option, nodes, Seeds, Expected}} ->
            {error, {invalid_configuration, in_words({invalid_option, seed_peers, Seeds, Expected})}};
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
    [atom(Part) || Part <- Parts].

%%% A running one

whereis(Name) ->
    running(Name, fun(Server) ->
        case erlang:whereis(Server) of
            undefined -> exit(noproc);
            Pid -> {ok, Pid}
        end
    end).

stop(Name, Ms) ->
    running(Name, fun(Server) ->
        Limit = min(max(0, Ms), 16#FFFFFFFF),
        muster_callbacks:remove_all({muster_discovery, Server}),
        case stop_within(Server, Limit) of
            ok -> {ok, nil};
            {error, {shutdown_timeout, _}} -> {error, {shutdown_timeout, Limit}}
        end
    end, fun(Reason) -> {stop_failed, Reason} end).

stop_within(Server, Ms) ->
    Pid = erlang:whereis(Server),
    is_pid(Pid) andalso unlink(Pid),
    case muster_discovery:stop(Server, Ms) of
        {error, _} = TooLong ->
            is_pid(Pid) andalso exit(Pid, kill),
            TooLong;
        ok ->
            ok
    end.

subscribe(Name, Callback) ->
    Told = fun(Event) -> Callback(discovery_event(Event)) end,
    running(Name, fun(Server) ->
        case muster_callbacks:add({muster_discovery, Server}, Told) of
            {ok, Id} -> {ok, Id};
            {error, timeout} -> {error, {subscription_failed, <<"no answer within 5000 ms">>}};
            {error, not_running} -> {error, {subscription_failed, <<"discovery is not running">>}};
            {error, not_started} -> {error, {subscription_failed, <<"the application muster is not started">>}}
        end
    end).

unsubscribe(Id) ->
    case muster_callbacks:remove(Id) of
        ok -> {ok, nil};
        {error, not_found} -> {error, {subscription_failed, <<"there is no such subscription: ", Id/binary>>}}
    end.

discovery_event({peer_down, Node, Reason}) -> {peer_down, node_text(Node), text(Reason)};
discovery_event({Kind, Node, Metadata}) -> {Kind, node_text(Node), texts(Metadata)}.

snapshot(Name) ->
    running(Name, fun(Server) -> {ok, lists:map(fun peer_info/1, muster_discovery:snapshot(Server))} end).

lookup(Name, Peer) ->
    running(Name, fun(Server) ->
        case muster_discovery:lookup(Server, Peer) of
            {ok, Found} -> {ok, peer_info(Found)};
            {error, {peer_not_found, _}} -> {error, {peer_not_found, Peer}}
        end
    end).

peer_info(#{node := Node, metadata := Metadata}) ->
    {peer_info, node_text(Node), texts(Metadata)}.

health_info(Name) ->
    Info = running(Name, fun(Server) -> {ok, muster_discovery:health_info(Server)} end),
    case Info of
        {ok, #{status := Status, last_sync_time := Sync, last_error := Error, known_peers := Peers}} ->
            {health_info, Status, option(Sync), option(Error), Peers};
        {error, {timeout, Ms}} ->
            {health_info, {down, <<"no answer within ", (integer_to_binary(Ms))/binary, " ms">>}, none, none, 0};
        {error, {_, Reason}} ->
            {health_info, {down, Reason}, none, none, 0}
    end.

sync(Name, Ms) ->
    running(Name, fun(Server) ->
        case is_integer(Ms) andalso Ms >= 1 andalso Ms =< 16#FFFFFFFF of
            true -> result(muster_discovery:sync(Server, Ms));
            false ->
                Expected = <<"an integer from 1 to 4294967295 (milliseconds)">>,
                {error, {invalid_configuration, in_words({invalid_option, sync_timeout_ms, Ms, Expected})}}
        end
    end).

await(Name, Peers, Ms) ->
    running(Name, fun(Server) ->
        result(muster_discovery:await(Server, max(0, Peers), min(max(0, Ms), 16#FFFFFFFF)))
    end).

set_metadata(Name, Metadata) ->
    running(Name, fun(Server) -> result(muster_discovery:set_metadata(Server, Metadata)) end).

drain(Name) ->
    running(Name, fun(Server) -> result(muster_discovery:drain(Server)) end).

resume(Name) ->
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

texts(Metadata) ->
    maps:from_list([{text(Key), text(Value)} || {Key, Value} <- maps:to_list(Metadata)]).
