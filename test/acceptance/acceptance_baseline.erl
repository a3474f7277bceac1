%% What one would do without an election, to compare with: one process of the cluster holds a name in
%% `global', the others monitor it and take the name when it goes. Nothing keeps two from holding
%% it while the cluster is cut.
-module(acceptance_baseline).

-export([start_link/0, state/0, run/0]).

-define(NAME, acceptance_leader).

start_link() ->
    proc_lib:start_link(?MODULE, run, []).

run() ->
    register(?MODULE, self()),
    proc_lib:init_ack({ok, self()}),
    take().

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
        {global_name_conflict, ?NAME, _} -> take();
        {state, From} -> answer(From, self()), lead()
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
        {state, From} -> answer(From, Leader), follow(Leader, Monitor)
    after 200 ->
        %% Of two that held the name before they met, one has lost it.
        case global:whereis_name(?NAME) of
            Leader -> follow(Leader, Monitor);
            _ -> demonitor(Monitor, [flush]), take()
        end
    end.

tell(Leader) ->
    acceptance_node:emit({leader, node(Leader), none}).

answer(From, Leader) ->
    From ! {?MODULE, node(Leader)}.

state() ->
    ?MODULE ! {state, self()},
    receive
        {?MODULE, Leader} -> #{leader => Leader, peers => length(nodes())}
    after 3000 -> #{}
    end.
