%% A subscription to a node monitor that is not there yet, ends, or hangs.
-module(muster_node_watch_tests).
-include_lib("eunit/include/eunit.hrl").

-define(W, muster_node_watch).
-define(NAME, muster_node_watch_tests_monitor).
-define(DEADLINE, 20000).

start() ->
    {ok, Pid} = muster_node_monitor:start_link([{name, ?NAME}]),
    unlink(Pid),
    Pid.

%% Whose mailbox has nothing of other tests.
own_process(Body) ->
    {spawn, {timeout, 60, Body}}.

%% The next event; the watch gets what else comes.
event(Watch) ->
    receive
        {swarm_event, Event} -> {Event, Watch};
        Message -> event(handled(Message, Watch))
    after ?DEADLINE -> error(no_event)
    end.

handled(Message, Watch) ->
    case ?W:handle(Message, Watch) of
        unknown -> error({not_handled, Message});
        New -> New
    end.

%% All that comes until there is a monitor, or none.
await(IsFound, Watch) ->
    case ?W:is_found(Watch) of
        IsFound ->
            Watch;
        _ ->
            receive
                Message -> await(IsFound, handled(Message, Watch))
            after ?DEADLINE -> error({never, IsFound})
            end
    end.

comes_and_goes_test_() ->
    own_process(fun() ->
        None = ?W:new(?NAME),
        ?assertNot(?W:is_found(None)),
        First = start(),
        Found = await(true, None),
        First ! {nodeup, 'a@h'},
        {{node_up, 'a@h'}, Subscribed} = event(Found),
        exit(First, kill),
        Lost = await(false, Subscribed),
        Second = start(),
        Second ! {nodeup, 'b@h'},
        Second ! {nodedown, 'b@h'},
        Again = await(true, Lost),
        Second ! {nodeup, 'c@h'},
        {{node_up, 'c@h'}, Last} = event(Again),
        ?assertEqual(unknown, ?W:handle({'DOWN', make_ref(), process, Second, x}, Last)),
        ?assertEqual(unknown, ?W:handle(stray, Last)),
        gen_server:stop(Second),
        await(false, Last)
    end).

%% One that hangs is not waited for, and answers when it can.
hangs_test_() ->
    own_process(fun() ->
        Hung = start(),
        ok = sys:suspend(Hung),
        Watch = ?W:new(?NAME),
        ?assert(?W:is_found(Watch)),
        Hung ! {nodeup, 'a@h'},
        ok = sys:resume(Hung),
        {{node_up, 'a@h'}, Subscribed} = event(Watch),
        gen_server:stop(Hung),
        await(false, Subscribed)
    end).

%% Nor is anything left of one that ends before it has answered.
hangs_and_ends_test_() ->
    own_process(fun() ->
        Hung = start(),
        ok = sys:suspend(Hung),
        Watch = ?W:new(Hung),
        exit(Hung, kill),
        Gone = await(false, Watch),
        [?assertNotEqual(unknown, ?W:handle(Message, Gone)) || Message <- messages()]
    end).

messages() ->
    receive
        Message -> [Message | messages()]
    after 0 -> []
    end.

nobody_test_() ->
    own_process(fun() ->
        ?assertNot(?W:is_found(?W:new(none))),
        %% A server is not its own monitor.
        ?assertNot(?W:is_found(?W:new(self())))
    end).
