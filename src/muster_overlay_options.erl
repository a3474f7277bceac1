%% @private
%% An overlay's options, checked.
-module(muster_overlay_options).

-export([read/2, is_peers/1]).

%% Names are the face's: each documented module has its own.
-spec read(term(), map()) -> {ok, #{atom() => term()}} | {error, muster_options:invalid()}.
read(Options, #{name := Name, node_monitor := Monitor}) ->
    muster_options:check(Options, #{
        sync_interval_ms => muster_options:integer(500, {10, 3600000}, "milliseconds"),
        anti_entropy_interval_ms => muster_options:integer(60000, {100, 86400000}, "milliseconds"),
        name => {Name, fun is_name/1, <<"an atom">>},
        node_id => {node(), fun is_name/1, <<"a node's name, as an atom">>},
        peers => {[], fun is_peers/1, <<"a list of nodes or {Name, Node}">>},
        node_monitor => {Monitor, fun muster_server_name:is_server/1, <<"a node monitor's name or pid, or none">>},
        comms_manager => {none, fun muster_server_name:is_server/1, <<"a comms manager's name or pid, or none">>},
        data_dir => {undefined, fun is_path/1, <<"a path, as a string or binary">>},
        send => {direct, fun is_send/1, <<"a function of a destination {Name, Node} and a message">>}
    }).

%% Members are addressed as {Name, Node}, so neither is ever more than an atom.
is_name(Name) -> is_atom(Name) andalso muster_server_name:is_name(Name).

-spec is_peers(term()) -> boolean().
is_peers([Peer | Peers]) -> is_peer(Peer) andalso is_peers(Peers);
is_peers(Rest) -> Rest =:= [].

is_peer({Name, Node}) -> is_name(Name) andalso is_name(Node);
is_peer(Node) -> is_name(Node).

is_path(undefined) -> true;
is_path(Path) when is_binary(Path) -> Path =/= <<>> andalso is_list(unicode:characters_to_list(Path));
is_path(Path) -> is_list(Path) andalso Path =/= [] andalso io_lib:char_list(Path).

is_send(Send) -> Send =:= direct orelse is_function(Send, 2).
