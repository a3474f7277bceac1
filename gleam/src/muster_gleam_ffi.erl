%% @private
%% Between Gleam's types and those of the Erlang modules. No logic: names become atoms where the
%% user gives them, results become `Ok' and `Error', exits of servers that are away become errors, and texts from
%% other nodes are made valid UTF-8, which Gleam's strings are.
-module(muster_gleam_ffi).

-export([identity/1, sleep/1, unsubscribe/1]).
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
-export([start/3, away/3, subscribe/3]).
-export([atom/1, existing/1, node_text/1, is_text/1, text/1, option/1, in_words/1]).

identity(Value) ->
    Value.

sleep(Ms) ->
    timer:sleep(max(0, Ms)),
    nil.

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
