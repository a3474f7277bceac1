%% Members' processes that introduce themselves, end, and are started anew.
-module(muster_group_peers_tests).
-include_lib("eunit/include/eunit.hrl").

-define(P, muster_group_peers).

process() ->
    spawn(fun() -> receive finish -> ok end end).

handle_test() ->
    None = ?P:new(kind, <<"key">>),
    Pid = process(),
    ?assertEqual({hello, Pid, something, true}, ?P:handle({kind, 1, hello, Pid, something, true}, None)),
    [
        ?assertEqual(unknown, ?P:handle(Stray, None))
     || Stray <- [
            {kind, 2, hello, Pid, something, true},
            {other, 1, hello, Pid, something, true},
            {kind, 1, hello, name, something, true},
            {kind, 1, hello, self(), something, true},
            {kind, 1, hello, Pid, something, maybe},
            {'DOWN', make_ref(), process, Pid, x},
            {'DOWN', make_ref(), process, {name, node()}, x}
        ]
    ].

meet_test_() ->
    {spawn, fun meet/0}.

meet() ->
    None = ?P:new(kind, <<"key">>),
    [First, Second] = [process(), process()],
    ?assertEqual([], ?P:pids(None)),
    ?assertEqual(none, ?P:at(node(), None)),
    One = ?P:meet(First, false, None),
    ?assertEqual([First], ?P:pids(One)),
    ?assertEqual(First, ?P:at(node(), One)),
    ?assertEqual([], ?P:saying(true, One)),
    ?assertEqual([First], ?P:saying(true, ?P:meet(First, true, One))),
    %% One a node; the earlier one's end is no news.
    Other = ?P:meet(Second, true, One),
    ?assertEqual(Second, ?P:at(node(), Other)),
    First ! finish,
    Second ! finish,
    receive
        {'DOWN', _, process, Pid, _} = Down when Pid =:= First; Pid =:= Second ->
            ?assertEqual({left, Second}, ?P:handle(Down, Other))
    after 20000 -> error(nothing)
    end,
    ?assertEqual([], ?P:pids(?P:remove(Second, Other))),
    ?assertEqual(One, ?P:remove(Second, One)).

%% All that are known hear of it, and are not asked.
tell_test_() ->
    {spawn, fun tell/0}.

tell() ->
    Peers = ?P:meet(test(), x, ?P:new(kind, <<"key">>)),
    ok = ?P:tell(news, Peers),
    Own = self(),
    receive
        {got, {kind, 1, hello, From, news, false}} -> ?assertEqual(Own, From)
    after 20000 -> error(nothing)
    end.

%% Another process, as nobody is his own peer.
test() ->
    Test = self(),
    spawn(fun() -> receive Message -> Test ! {got, Message} end end).
