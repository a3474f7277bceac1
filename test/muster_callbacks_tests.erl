%% Subscriptions by functions, with a node monitor as their server: it needs no C node.
-module(muster_callbacks_tests).
-include_lib("eunit/include/eunit.hrl").
-include("support/eventually.hrl").

-define(SOURCE, {muster_node_monitor, callbacks_monitor}).

callbacks_test_() ->
    {foreach, fun setup/0, fun cleanup/1, [
        fun(_) -> {Title, {timeout, 60, Test}} end
     || {Title, Test} <- [
            {"each event, in order, in processes of their own", fun in_order/0},
            {"one that fails goes on with the next event", fun failing/0},
            {"no more after remove, which works once", fun removing/0},
            {"a server that comes back is subscribed to again", fun server_restarted/0},
            {"a server that is stopped ends its subscriptions", fun server_stopped/0},
            {"all of a server's are removed, others stay", fun removing_all/0},
            {"who is not there", fun nobody_there/0},
            {"wrong arguments", fun wrong_arguments/0}
        ]
    ]}.

setup() ->
    Level = maps:get(level, logger:get_primary_config()),
    logger:set_primary_config(level, none),
    start_supervisor(),
    start_monitor(),
    Level.

cleanup(Level) ->
    [gen_server:stop(Name) || Name <- [callbacks_monitor, callbacks_other], whereis(Name) =/= undefined],
    gen_server:stop(muster_callbacks),
    logger:set_primary_config(level, Level).

start_supervisor() ->
    {ok, Supervisor} = muster_callbacks:start_link(),
    unlink(Supervisor).

start_monitor() ->
    {ok, Monitor} = muster_node_monitor:start_link([{name, callbacks_monitor}]),
    unlink(Monitor).

%% As if a node had come and gone.
node_event(Kind, Node) ->
    callbacks_monitor ! {Kind, Node}.

to_me() ->
    Self = self(),
    fun(Event) -> Self ! {told, self(), Event} end.

in_order() ->
    {ok, Id} = muster_callbacks:add(?SOURCE, to_me()),
    [node_event(K, N) || N <- ['a@b', 'c@d'], K <- [nodeup, nodedown]],
    Expected = [{node_up, 'a@b'}, {node_down, 'a@b'}, {node_up, 'c@d'}, {node_down, 'c@d'}],
    Pids = [
        receive
            {told, Pid, Event} -> Pid
        after 20000 -> error({never_told, Event})
        end
     || Event <- Expected
    ],
    4 = length(lists:usort(Pids)),
    ok = muster_callbacks:remove(Id).

failing() ->
    Tell = to_me(),
    Breaks = [fun() -> error(x) end, fun() -> exit(x) end, fun() -> throw(x) end, fun() -> exit(self(), kill) end],
    [{ok, _} = muster_callbacks:add(?SOURCE, fun(Event) -> Tell(Event), Break() end) || Break <- Breaks],
    node_event(nodeup, 'a@b'),
    node_event(nodedown, 'a@b'),
    [await_told(E) || E <- [{node_up, 'a@b'}, {node_down, 'a@b'}], _ <- Breaks].

removing() ->
    {ok, Id} = muster_callbacks:add(?SOURCE, to_me()),
    ok = muster_callbacks:remove(Id),
    {error, not_found} = muster_callbacks:remove(Id),
    {ok, _} = muster_callbacks:add(?SOURCE, to_me()),
    node_event(nodeup, 'a@b'),
    await_told({node_up, 'a@b'}),
    nothing_told().

server_restarted() ->
    {ok, _} = muster_callbacks:add(?SOURCE, to_me()),
    exit(whereis(callbacks_monitor), kill),
    ?eventually(whereis(callbacks_monitor) =:= undefined),
    start_monitor(),
    %% The subscription is back when an event comes through.
    ?eventually(begin
        Node = list_to_atom("n" ++ integer_to_list(erlang:unique_integer([positive])) ++ "@b"),
        node_event(nodeup, Node),
        receive
            {told, _, {node_up, Node}} -> true
        after 100 -> false
        end
    end).

server_stopped() ->
    {ok, Id} = muster_callbacks:add(?SOURCE, to_me()),
    ok = gen_server:stop(callbacks_monitor),
    ?eventually(supervisor:which_children(muster_callbacks) =:= []),
    {error, not_found} = muster_callbacks:remove(Id).

removing_all() ->
    {ok, Other} = muster_node_monitor:start_link([{name, callbacks_other}]),
    unlink(Other),
    [{ok, _} = muster_callbacks:add(?SOURCE, to_me()) || _ <- [1, 2]],
    {ok, Id} = muster_callbacks:add({muster_node_monitor, callbacks_other}, to_me()),
    ok = muster_callbacks:remove_all(?SOURCE),
    [{Id, _, _, _}] = supervisor:which_children(muster_callbacks).

wrong_arguments() ->
    Nothing = fun(_) -> ok end,
    [
        ?assertError(badarg, muster_callbacks:add(Source, Callback))
     || {Source, Callback} <- [
            {callbacks_monitor, Nothing},
            {{lists, callbacks_monitor}, Nothing},
            {{muster_node_monitor, "callbacks_monitor"}, Nothing},
            {?SOURCE, fun() -> ok end}
        ]
    ].

nobody_there() ->
    {error, not_running} = muster_callbacks:add({muster_node_monitor, nobody_at_all}, to_me()),
    {error, not_running} = muster_callbacks:add({muster_discovery, nobody_at_all}, to_me()),
    [] = supervisor:which_children(muster_callbacks),
    gen_server:stop(muster_callbacks),
    {error, not_started} = muster_callbacks:add(?SOURCE, to_me()),
    {error, not_found} = muster_callbacks:remove(<<"x">>),
    start_supervisor().

await_told(Event) ->
    receive
        {told, _, Event} -> ok
    after 20000 -> error({never_told, Event})
    end.

%% Nothing is on its way any more when a subscription that began later has been told.
nothing_told() ->
    receive
        {told, _, Event} -> error({told, Event})
    after 0 -> ok
    end.
