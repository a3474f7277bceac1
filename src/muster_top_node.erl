%% @private
%% Makes the VM of muster_top able to reach a node: a name, the cookie, both without showing them to others.
-module(muster_top_node).

-export([reach/2]).

%% The node as an atom, and what undoes this. A VM that is distributed already stays as it is, but for a
%% cookie from a file, which then counts for that node alone.
-spec reach(local | node() | string(), muster_top_options:options()) ->
    {ok, node(), Undo :: fun(() -> term())} | {error, term()}.
reach(local, _Options) ->
    {ok, node(), fun nothing/0};
reach(Name, Options) ->
    Node = node_name(Name),
    case cookie(Options) of
        {ok, Cookie} ->
            case distributed(Node, Options) of
                {ok, Undo} ->
                    Cookie =:= none orelse erlang:set_cookie(Node, Cookie),
                    {ok, Node, Undo};
                {error, Reason} ->
                    {error, {not_distributed, Reason}}
            end;
        {error, Reason} ->
            {error, Reason}
    end.

node_name(Name) when is_atom(Name) -> Name;
node_name(Name) -> list_to_atom(Name).

%% As in ~/.erlang.cookie: the first line.
cookie(#{cookie_file := none}) ->
    {ok, none};
cookie(#{cookie_file := Path}) ->
    case file:read_file(Path) of
        {ok, Text} ->
            [Line | _] = binary:split(Text, [<<"\r">>, <<"\n">>]),
            case Line of
                <<>> -> {error, {cookie_file, Path, "is empty"}};
                _ when byte_size(Line) > 255 -> {error, {cookie_file, Path, "has a line of more than 255 bytes"}};
                _ -> {ok, binary_to_atom(Line, latin1)}
            end;
        {error, Reason} ->
            {error, {cookie_file, Path, file:format_error(Reason)}}
    end.

distributed(Node, Options) ->
    case is_alive() of
        true -> {ok, fun nothing/0};
        false -> start(name(Node, Options))
    end.

nothing() ->
    ok.

%% Hidden, and not to be connected to: no entry in epmd, no port.
start({Domain, Name}) ->
    case net_kernel:start(Name, #{name_domain => Domain, hidden => true, dist_listen => false}) of
        {ok, _} -> {ok, fun net_kernel:stop/0};
        {error, Reason} -> {error, Reason}
    end.

name(_, #{name := {Domain, Name}}) ->
    {Domain, list_to_atom(Name)};
name(Node, _) ->
    [_, Host] = string:split(atom_to_list(Node), "@"),
    Own = "muster_top_" ++ os:getpid(),
    case lists:any(fun(Character) -> lists:member(Character, ".:") end, Host) of
        true -> {longnames, list_to_atom(Own ++ "@" ++ long_host(net_adm:localhost()))};
        false -> {shortnames, list_to_atom(Own)}
    end.

%% A machine that has no long name still has one that is nobody else's.
long_host(Host) ->
    case lists:member($., Host) of
        true -> Host;
        false -> Host ++ ".invalid"
    end.
