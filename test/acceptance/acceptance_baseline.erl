%% What one would do without an election, to compare with: one process of the cluster holds a name in
%% `global', the others monitor it and take the name when it goes. Nothing keeps two from holding
%% it while the cluster is cut; it is taken only in a whole cluster, and a member that was cut off has
%% to be started anew.
-module(acceptance_baseline).

-export([start_link/1, state/0, run/1]).

-define(NAME, acceptance_leader).

%% `Peers' is the number of the others.
start_link(Peers) ->
    proc_lib:start_link(?MODULE, run, [Peers]).

run(Peers) ->
    register(?MODULE, self()),
    proc_lib:init_ack({ok, self()}),
    join(Peers).

%% Whoever takes the name before it has met the others holds it a second time.
join(Peers) ->
    case length(nodes()) < Peers of
        true -> wait(Peers);
        false -> ok = global:sync(), take()
    end.

wait(Peers) ->
    receive
        {state, From} -> answer(From, none)
    after 20 -> ok
    end,
    join(Peers).

take() ->
    case global:register_name(?NAME, self(), fun global:random_notify_name/3) of
        yes ->
            tell(self()),
            lead();
        no ->
            follow(global:whereis_name(?NAME))
    end.

lead() ->
    receive
        {global_name_conflict, ?NAME} -> take();
        {state, From} -> answer(From, node()), lead()
    end.

follow(undefined) ->
    take();
follow(Leader) ->
    Monitor = monitor(process, Leader),
    tell(Leader),
    follow(Leader, Monitor).

follow(Leader, Monitor) ->
    receive
        {'DOWN', Monitor, process, _, _} -> take();
        {state, From} -> answer(From, node(Leader)), follow(Leader, Monitor)
    end.

tell(Leader) ->
    acceptance_node:emit({leader, node(Leader), none}).

answer(From, Leader) ->
    From ! {?MODULE, Leader}.

state() ->
    ?MODULE ! {state, self()},
    receive
        {?MODULE, Leader} -> #{leader => Leader, peers => length(nodes())}
    after 3000 -> #{}
    end.
