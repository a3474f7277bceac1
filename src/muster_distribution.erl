%% @private
%% What the C node must know to join the cluster its BEAM node is in: name, cookie, epmd, address
%% family, ports, ticks. Collected from the running node; the mapping itself is pure.
-module(muster_distribution).

-export([config/0, from/1, cookie/1, format_error/1]).

-export_type([input/0, config/0, reason/0]).

-type input() :: #{
    node := node(),
    cookie := atom(),
    proto_dist := string(),
    epmd := epmd | none,
    epmd_port := string() | undefined,
    interface := term(),
    listen_min := term(),
    listen_max := term(),
    ticktime := term()
}.
-type config() :: #{atom() => term()}.
-type reason() ::
    {name_too_long, binary(), pos_integer()}
    | {invalid_cookie, atom()}
    | {invalid_setting, atom(), term()}.

%% An atom's limit in the external format that every peer understands.
-define(NAME_MAX, 255).
-define(EPMD_PORT, 4369).

%% The running node's distribution, or `not_alive'.
-spec config() -> not_alive | {ok, config()} | {error, reason()}.
config() ->
    case is_alive() of
        false -> not_alive;
        true -> from(collect())
    end.

collect() ->
    #{
        node => node(),
        cookie => erlang:get_cookie(),
        proto_dist => argument(proto_dist, "inet_tcp"),
        epmd => epmd(),
        epmd_port => argument(epmd_port, env("ERL_EPMD_PORT")),
        interface => application:get_env(kernel, inet_dist_use_interface, undefined),
        listen_min => application:get_env(kernel, inet_dist_listen_min, undefined),
        listen_max => application:get_env(kernel, inet_dist_listen_max, undefined),
        ticktime => application:get_env(kernel, net_ticktime, 60)
    }.

%% Without epmd (another epmd module, or the one fixed port of -erl_epmd_port) only the BEAM
%% knows where its peers listen.
epmd() ->
    case {argument(epmd_module, "erl_epmd"), argument(erl_epmd_port, none)} of
        {"erl_epmd", none} -> epmd;
        _ -> none
    end.

argument(Flag, Default) ->
    case init:get_argument(Flag) of
        {ok, [[Value | _] | _]} -> Value;
        _ -> Default
    end.

env(Name) ->
    case os:getenv(Name) of
        false -> undefined;
        Value -> Value
    end.

%% The distribution map of the control port, from what was collected.
-spec from(input()) -> {ok, config()} | {error, reason()}.
from(#{node := Node} = Input) ->
    {Family, Transport} = transport(Input),
    try
        {ListenMin, ListenMax} = listen_range(Input),
        {ok,
            maps:merge(listen_ip(Input), #{
                name => name(Node),
                beam => atom_to_binary(Node, utf8),
                cookie => cookie_or_throw(maps:get(cookie, Input)),
                epmd_port => epmd_port(Input),
                family => Family,
                transport => Transport,
                listen_min => ListenMin,
                listen_max => ListenMax,
                ticktime_ms => ticktime_ms(maps:get(ticktime, Input))
            })}
    catch
        throw:Reason -> {error, Reason}
    end.

name(Node) ->
    Name = muster_cnode_name:beside(atom_to_binary(Node, utf8)),
    byte_size(Name) =< ?NAME_MAX orelse throw({name_too_long, Name, byte_size(Name)}),
    Name.

transport(#{epmd := none, proto_dist := ProtoDist}) ->
    {family(ProtoDist), other};
transport(#{proto_dist := "inet_tcp"}) ->
    {inet, tcp};
transport(#{proto_dist := "inet6_tcp"}) ->
    {inet6, tcp};
transport(#{proto_dist := "inet_tls"}) ->
    {inet, tls};
transport(#{proto_dist := "inet6_tls"}) ->
    {inet6, tls};
transport(#{proto_dist := ProtoDist}) ->
    {family(ProtoDist), other}.

family("inet6" ++ _) -> inet6;
family(_) -> inet.

%% A cookie as the bytes that the handshake's digest is made of.
-spec cookie(atom()) -> {ok, binary()} | {error, reason()}.
cookie(Cookie) ->
    try
        {ok, atom_to_binary(Cookie, latin1)}
    catch
        error:_ -> {error, {invalid_cookie, Cookie}}
    end.

cookie_or_throw(Cookie) ->
    case cookie(Cookie) of
        {ok, Binary} -> Binary;
        {error, Reason} -> throw(Reason)
    end.

epmd_port(#{epmd_port := undefined}) ->
    ?EPMD_PORT;
epmd_port(#{epmd_port := Text}) ->
    case string:to_integer(Text) of
        {Port, []} when Port >= 1, Port =< 65535 -> Port;
        _ -> throw({invalid_setting, epmd_port, Text})
    end.

listen_ip(#{interface := undefined}) ->
    #{};
listen_ip(#{interface := Address}) ->
    case is_tuple(Address) andalso inet:ntoa(Address) of
        Text when is_list(Text) -> #{listen_ip => list_to_binary(Text)};
        _ -> throw({invalid_setting, inet_dist_use_interface, Address})
    end.

%% As in OTP: without a minimum any port, without a maximum the minimum alone. That one port is
%% the BEAM's own, so the C node then listens on any.
listen_range(#{listen_min := undefined}) ->
    {0, 0};
listen_range(#{listen_min := Min, listen_max := undefined}) ->
    listen_range(Min, Min);
listen_range(#{listen_min := Min, listen_max := Max}) ->
    listen_range(Min, Max).

listen_range(Min, Max) ->
    case {port_number(inet_dist_listen_min, Min), port_number(inet_dist_listen_max, Max)} of
        {One, One} -> {0, 0};
        {Low, High} when Low < High -> {Low, High};
        {Low, High} -> throw({invalid_setting, inet_dist_listen_max, {Low, High}})
    end.

port_number(_Setting, Port) when is_integer(Port), Port >= 0, Port =< 65535 -> Port;
port_number(Setting, Port) -> throw({invalid_setting, Setting, Port}).

ticktime_ms(Seconds) when is_integer(Seconds), Seconds >= 1 -> Seconds * 1000;
ticktime_ms(Seconds) -> throw({invalid_setting, net_ticktime, Seconds}).

%% A reason in words.
-spec format_error(reason()) -> unicode:chardata().
format_error({name_too_long, Name, Size}) ->
    io_lib:format("the C node's name ~ts has ~b bytes, at most ~b are possible", [
        Name, Size, ?NAME_MAX
    ]);
format_error({invalid_cookie, _}) ->
    "the cookie has characters beyond Latin-1, which no handshake can use";
format_error({invalid_setting, Setting, Value}) ->
    io_lib:format("the setting ~ts has the unusable value ~0tp", [Setting, Value]).
