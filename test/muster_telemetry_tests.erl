%% Telemetry's events, with a stand-in for the module `telemetry' that may not be there.
-module(muster_telemetry_tests).
-include_lib("eunit/include/eunit.hrl").
-include("support/eventually.hrl").

-define(DEADLINE, 20000).

fake_path() ->
    filename:join([filename:dirname(?FILE), "support", "fake_cnode"]).

%% Sends what it is given to the process registered as telemetry_test.
load_telemetry() ->
    Source = [
        "-module(telemetry).",
        "-export([execute/3]).",
        "execute(E, Measured, Meta) -> telemetry_test ! {event, E, Measured, Meta}, ok."
    ],
    Forms = [
        begin
            {ok, Tokens, _} = erl_scan:string(Line),
            {ok, Form} = erl_parse:parse_form(Tokens),
            Form
        end
     || Line <- Source
    ],
    {ok, telemetry, Binary} = compile:forms(Forms),
    {module, telemetry} = code:load_binary(telemetry, "telemetry", Binary).

unload_telemetry() ->
    code:delete(telemetry),
    code:purge(telemetry).

next(Event) ->
    receive
        {event, Event, Measured, Meta} -> {Measured, Meta}
    after ?DEADLINE -> error({no_event, Event})
    end.

absent_test() ->
    ?assertNot(erlang:function_exported(telemetry, execute, 3)),
    ?assertEqual(ok, muster_telemetry:load()),
    ?assertEqual(ok, muster_telemetry:execute([muster, x], #{}, #{})).

setup() ->
    logger:set_primary_config(level, none),
    load_telemetry(),
    {ok, Options} = muster_cnode_program:options([{cnode_path, fake_path()}, {heartbeat_ms, 50}]),
    Options.

cleanup(_) ->
    gen_server:stop(muster_node_monitor),
    gen_server:stop(muster_cnode),
    unload_telemetry(),
    logger:set_primary_config(level, notice).

events_test_() ->
    {setup, fun setup/0, fun cleanup/1, fun(Options) ->
        {timeout, 30, fun() ->
            register(telemetry_test, self()),
            {ok, Cnode} = muster_cnode:start_link(Options),
            {ok, Monitor} = muster_node_monitor:start_link([]),
            unlink(Cnode),
            unlink(Monitor),
            {#{system_time := _}, #{generation := G, os_pid := OsPid, version := <<"0.0.0">>}} =
                next([muster, cnode, up]),
            ?assert(muster_os_process:alive(OsPid)),
            Monitor ! {nodeup, 'a@h'},
            ?eventually(begin
                {ok, #{connection := Connection}} = muster_node_monitor:get_health('a@h'),
                Connection =:= connected
            end),
            {ok, sent} = muster_cnode:call(fake, send, [
                {event, monitor, <<"muster_node_monitor">>, {status, <<"a@h">>, healthy, suspect}}
            ]),
            {#{system_time := _}, Change} = next([muster, node_monitor, status_change]),
            ?assertEqual(
                #{monitor => muster_node_monitor, node => 'a@h', from => healthy, to => suspect},
                Change
            ),
            {error, cnode_down} = muster_cnode:call(fake, exit, 7),
            {#{uptime_ms := Uptime}, Down} = next([muster, cnode, down]),
            ?assert(is_integer(Uptime) andalso Uptime >= 0),
            ?assertEqual(#{generation => G, reason => {exited, 7}}, Down),
            {_, #{generation := G2}} = next([muster, cnode, up]),
            ?assert(G2 > G),
            unregister(telemetry_test)
        end}
    end}.
