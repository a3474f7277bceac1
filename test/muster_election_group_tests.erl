%% A member's group while muster_cnode itself ends: a process of its name plays it.
-module(muster_election_group_tests).
-include_lib("eunit/include/eunit.hrl").

-define(G, muster_election_group).
-define(DEADLINE, 20000).

%% Tells the test what it is asked, and answers nothing.
start_cnode() ->
    Test = self(),
    Pid = spawn(fun Loop() ->
        receive
            Message -> Test ! {asked, Message}, Loop()
        end
    end),
    true = register(muster_cnode, Pid),
    Pid.

%% What becomes of the group until something happens.
happenings(Group) ->
    receive
        {asked, _} ->
            happenings(Group);
        Message ->
            case ?G:handle(Message, Group) of
                {[], New} -> happenings(New);
                {Happenings, New} -> {Happenings, New}
            end
    after ?DEADLINE -> error(nothing_happened)
    end.

%% Each request is answered; and only where nothing starts it again there is no C node here.
ended_test_() ->
    %% In a process whose mailbox has nothing of other tests.
    {spawn, {timeout, 60, fun() ->
        Cnode = start_cnode(),
        Group = ?G:request(second, leave, #{}, ?G:request(first, join, #{}, ?G:new(<<"g">>, #{}))),
        exit(Cnode, kill),
        {Happenings, Lost} = happenings(Group),
        Unanswered = [{reply, Tag, {error, cnode_down}} || Tag <- [first, second]],
        ?assertEqual(Unanswered, lists:sort(lists:droplast(Happenings))),
        ?assertEqual({down, cnode_down}, lists:last(Happenings)),
        {NotThere, Again} = happenings(Lost),
        ?assertEqual([{down, unavailable}], NotThere),
        Second = start_cnode(),
        %% It is asked again, for what had not been started.
        Registered = registered(Again),
        {[], Started} = ?G:handle({muster_cnode, up, 1}, Registered),
        receive
            {asked, {'$gen_cast', {request, _, election, start, #{group := <<"g">>}}}} -> ok
        after ?DEADLINE -> error(not_started)
        end,
        %% An answer that is late is nobody's.
        ?assertEqual({[], Started}, ?G:handle({muster_cnode, reply, {?G, make_ref()}, {ok, #{}}}, Started)),
        exit(Second, kill),
        ok = ?G:close(Started)
    end}}.

registered(Group) ->
    receive
        {asked, {'$gen_cast', {register, _, election, <<"g">>, _}}} ->
            Group;
        Message ->
            {_, New} = ?G:handle(Message, Group),
            registered(New)
    after ?DEADLINE -> error(not_registered)
    end.
