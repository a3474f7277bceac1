%% muster_cnode and its port owner against a fake C node that misbehaves on request.
-module(muster_cnode_tests).
-include_lib("eunit/include/eunit.hrl").
-include("support/eventually.hrl").

-define(DEADLINE, 20000).

fake_path() ->
    filename:join([filename:dirname(?FILE), "support", "fake_cnode"]).

options(Changes) ->
    {ok, Options} = muster_cnode_program:options(
        maps:to_list(maps:merge(#{cnode_path => fake_path(), heartbeat_ms => 50}, Changes))
    ),
    Options.

start(Changes) ->
    %% The supervisor's link, without its death taking the test along.
    process_flag(trap_exit, true),
    logger:set_primary_config(level, none),
    {ok, Pid} = muster_cnode:start_link(options(Changes)),
    Pid.

stop(_) ->
    os:unsetenv("FAKE_CNODE"),
    case whereis(muster_cnode) of
        undefined -> ok;
        Pid -> gen_server:stop(Pid)
    end,
    ?eventually(whereis(muster_port_owner) =:= undefined),
    logger:set_primary_config(level, notice).

with_fake(Changes, Body) ->
    {setup, fun() -> start(Changes) end, fun stop/1, fun(_) -> {timeout, 30, Body} end}.

%% Registers; a C node that is still starting is first said not to be there.
up() ->
    muster_cnode:register(fake, key),
    receive
        {muster_cnode, down, _, _} -> next_up();
        {muster_cnode, up, Generation} -> Generation
    after ?DEADLINE -> error(never_up)
    end.

next_up() ->
    receive
        {muster_cnode, up, Generation} -> Generation
    after ?DEADLINE -> error(never_up_again)
    end.

next_down() ->
    receive
        {muster_cnode, down, Generation, Reason} -> {Generation, Reason}
    after ?DEADLINE -> error(never_down)
    end.

os_pid() ->
    {os_pid, OsPid} = erlang:port_info(port(), os_pid),
    OsPid.

port() ->
    [Port] = [P || {links, Links} <- [process_info(whereis(muster_port_owner), links)], P <- Links, is_port(P)],
    Port.

requests_test_() ->
    with_fake(#{}, fun() ->
        up(),
        ?assertEqual(
            {ok, #{service => s, op => o, arg => #{a => 1}}}, muster_cnode:call(s, o, #{a => 1})
        ),
        ?assertEqual({error, {bad, <<"x">>}}, muster_cnode:call(fake, fail, {bad, <<"x">>})),
        ?assertEqual({error, timeout}, muster_cnode:call(fake, never, 0, 50)),
        muster_cnode:send_request({message, self(), tag}, s, o, 2),
        receive
            {muster_cnode, reply, tag, Result} ->
                ?assertEqual({ok, #{service => s, op => o, arg => 2}}, Result)
        after ?DEADLINE -> error(no_reply)
        end,
        muster_cnode:cast(s, c, 3),
        {ok, Seen} = muster_cnode:call(fake, seen, 0),
        ?assert(lists:member({s, c, 3}, Seen)),
        ?assert(muster_cnode:available())
    end).

big_frames_test_() ->
    with_fake(#{}, fun() ->
        up(),
        %% More than the port's queue takes while the C node looks away.
        muster_cnode:send_request({message, self(), slept}, fake, sleep, 300),
        Big = binary:copy(<<"x">>, 100000),
        [muster_cnode:send_request({message, self(), N}, s, o, {N, Big}) || N <- lists:seq(1, 30)],
        Ns = [
            receive
                {muster_cnode, reply, N, {ok, #{arg := {N, Big}}}} -> N
            after ?DEADLINE -> error({no_reply, N})
            end
         || N <- lists:seq(1, 30)
        ],
        ?assertEqual(lists:seq(1, 30), Ns)
    end).

heartbeats_are_answered_test_() ->
    with_fake(#{heartbeat_ms => 20}, fun() ->
        up(),
        ?eventually(element(2, muster_cnode:call(fake, answers, 0)) > 5)
    end).

events_test_() ->
    with_fake(#{}, fun() ->
        up(),
        muster_cnode:register(fake, other),
        {ok, sent} = muster_cnode:call(fake, send, [
            {event, fake, key, 1}, {event, fake, nobodys, 2}, {event, fake, other, 3}
        ]),
        Got = [
            receive
                {muster_cnode, event, fake, K, V} -> {K, V}
            after ?DEADLINE -> error(no_event)
            end
         || _ <- [1, 2]
        ],
        ?assertEqual([{key, 1}, {other, 3}], Got),
        muster_cnode:unregister(fake, key),
        {ok, sent} = muster_cnode:call(fake, send, [{event, fake, key, 4}, {event, fake, other, 5}]),
        receive
            {muster_cnode, event, fake, Key, Value} -> ?assertEqual({other, 5}, {Key, Value})
        after ?DEADLINE -> error(no_event)
        end
    end).

on_exit_test_() ->
    with_fake(#{}, fun() ->
        up(),
        Test = self(),
        Service = spawn(fun() ->
            muster_cnode:register(s, k, {stop, #{k => 1}}),
            receive
                {muster_cnode, up, _} -> Test ! registered
            end,
            receive finish -> ok end
        end),
        receive registered -> ok after ?DEADLINE -> error(not_registered) end,
        Service ! finish,
        ?eventually(lists:member({s, stop, #{k => 1}}, element(2, muster_cnode:call(fake, seen, 0))))
    end).

crash_test_() ->
    with_fake(#{}, fun() ->
        G1 = up(),
        muster_cnode:send_request({message, self(), pending}, fake, never, 0),
        ?assertEqual({error, cnode_down}, muster_cnode:call(fake, exit, 3)),
        receive
            {muster_cnode, reply, pending, Pending} -> ?assertEqual({error, cnode_down}, Pending)
        after ?DEADLINE -> error(no_reply)
        end,
        ?assertEqual({G1, {exited, 3}}, next_down()),
        ?assertEqual({error, cnode_down}, muster_cnode:call(s, o, 0)),
        G2 = next_up(),
        ?assert(G2 > G1),
        ?assertMatch({ok, _}, muster_cnode:call(s, o, 0)),
        %% Once each.
        receive
            {muster_cnode, What, _} -> error({told_twice, What});
            {muster_cnode, What, _, _} -> error({told_twice, What})
        after 0 -> ok
        end
    end).

back_off_test_() ->
    with_fake(#{}, fun() ->
        up(),
        Pauses = [
            begin
                {error, cnode_down} = muster_cnode:call(fake, exit, 1),
                next_down(),
                Down = erlang:monotonic_time(millisecond),
                next_up(),
                erlang:monotonic_time(millisecond) - Down
            end
         || _ <- [1, 2, 3, 4]
        ],
        [?assert(Pause >= Min) || {Pause, Min} <- lists:zip(Pauses, [100, 200, 400, 800])]
    end).

missing_heartbeats_test_() ->
    with_fake(#{heartbeat_limit => 300}, fun() ->
        G1 = up(),
        OsPid = os_pid(),
        {ok, mute} = muster_cnode:call(fake, mute, 0),
        ?assertEqual({G1, hung}, next_down()),
        ?assert(next_up() > G1),
        ?assertNot(muster_os_process:alive(OsPid))
    end).

stopped_process_test_() ->
    with_fake(#{heartbeat_limit => 300}, fun() ->
        G1 = up(),
        OsPid = os_pid(),
        os:cmd("kill -STOP " ++ integer_to_list(OsPid)),
        ?assertEqual({G1, hung}, next_down()),
        ?assert(next_up() > G1),
        ?assertNot(muster_os_process:alive(OsPid))
    end).

%% Neither cookies nor what strategies were given get into a status or a crash report.
secrets_stay_inside_test_() ->
    with_fake(#{}, fun() ->
        up(),
        Cnode = whereis(muster_cnode),
        %% As a distributed node would have it.
        Replace = {muster_cnode_cookies:new(), muster_cnode_cookies:sent(hush)},
        sys:replace_state(Cnode, fun(S) -> replaced(Replace, S) end),
        ?assertNotEqual(nomatch, shows_hush(sys:get_state(Cnode))),
        ?assertEqual(nomatch, shows_hush(sys:get_status(Cnode))),
        Request = {request, {message, self(), tag}, discovery, start, #{secret => <<"hush">>}},
        [
            ?assertEqual(nomatch, shows_hush(muster_cnode_server:format_status(Status)))
         || Status <- [
                #{message => {'$gen_cast', Request}}, #{message => Request}, #{log => [{in, Request}]},
                #{message => {'$gen_cast', {cast, node, set_cookie, #{cookie => <<"hush">>}}}},
                #{message => {'$gen_call', {self(), tag}, {call, discovery, start, <<"hush">>}}}
            ]
        ],
        Harmless = #{message => check, reason => r},
        ?assertEqual(Harmless, muster_cnode_server:format_status(Harmless))
    end).

replaced({Old, New}, Old) -> New;
replaced(Replace, Tuple) when is_tuple(Tuple) -> list_to_tuple([replaced(Replace, E) || E <- tuple_to_list(Tuple)]);
replaced(_, Term) -> Term.

shows_hush(Term) ->
    string:find(io_lib:format("~p", [Term]), "hush").

owner_killed_test_() ->
    with_fake(#{}, fun() ->
        G1 = up(),
        OsPid = os_pid(),
        os:cmd("kill -STOP " ++ integer_to_list(OsPid)),
        exit(whereis(muster_port_owner), kill),
        ?assertEqual({G1, killed}, next_down()),
        ?assert(next_up() > G1),
        ?eventually(not muster_os_process:alive(OsPid))
    end).

server_killed_test_() ->
    with_fake(#{}, fun() ->
        G1 = up(),
        OsPid = os_pid(),
        exit(whereis(muster_cnode), kill),
        ?eventually(whereis(muster_cnode) =:= undefined),
        unlink(start(#{})),
        ?assert(up() > G1),
        ?assertNot(muster_os_process:alive(OsPid))
    end).

no_orphan_after_stop_test_() ->
    with_fake(#{}, fun() ->
        up(),
        OsPid = os_pid(),
        os:cmd("kill -STOP " ++ integer_to_list(OsPid)),
        gen_server:stop(muster_cnode),
        ?assertNot(muster_os_process:alive(OsPid)),
        ?assertEqual({error, not_started}, muster_cnode:call(s, o, 0)),
        ?assertNot(muster_cnode:available())
    end).

strange_starts_test_() ->
    [
        {Way, {setup, fun() -> os:putenv("FAKE_CNODE", Way), start(#{}) end, fun stop/1,
            fun(_) -> {timeout, 30, fun() ->
                %% Survives, and works once the C node does.
                FirstOwner = whereis(muster_port_owner),
                Way =:= "garbage" orelse
                    ?eventually(not lists:member(whereis(muster_port_owner), [FirstOwner, undefined])),
                os:unsetenv("FAKE_CNODE"),
                ?assert(is_integer(up()))
            end} end}}
     || Way <- ["version", "refuse", "garbage"]
    ].

unavailable_test_() ->
    [
        with_fake(Changes, fun() ->
            muster_cnode:register(fake, key),
            ?assertMatch({_, unavailable}, next_down()),
            ?assertNot(muster_cnode:available()),
            ?assertEqual({error, unavailable}, muster_cnode:call(s, o, 0))
        end)
     || Changes <- [
            #{cnode_path => "/nowhere/muster_node"},
            #{cnode_path => ?FILE},
            #{cnode_path => <<"/">>},
            #{cnode => disabled}
        ]
    ].

options_test_() ->
    [
        ?_assertMatch({error, {invalid_option, Name, Value, _}}, muster_cnode_program:options([{Name, Value}]))
     || {Name, Value} <- [
            {cnode, true}, {cnode_path, []}, {cnode_path, 1}, {cnode_priority, high}, {heartbeat_ms, 9},
            {heartbeat_ms, 60001}, {heartbeat_limit, 19}, {heartbeat_limit, 999}
        ]
    ] ++ [
        ?_assertEqual(
            {ok, #{
                cnode => enabled,
                cnode_path => undefined,
                cnode_priority => raised,
                heartbeat_ms => 500,
                heartbeat_limit => 3000
            }},
            muster_cnode_program:options([{another_modules, option}])
        )
    ].
