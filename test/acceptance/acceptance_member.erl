%% A member of the leader group of the acceptance runs: tells what it is told, and when.
-module(acceptance_member).

-behaviour(muster_leader).

-export([start_link/1, state/0]).
-export([init/1, handle_become_leader/1, handle_become_follower/2, terminate/2]).

-define(KEY, <<"leader:acceptance">>).

start_link(Voters) ->
    muster_leader:start_link(?MODULE, ?MODULE, Voters, []).

init(Voters) ->
    Bootstrap = [{?MODULE, Voter} || Voter <- Voters],
    {ok, #{cluster_id => acceptance, bootstrap => Bootstrap}, none}.

handle_become_leader(State) ->
    At = acceptance_node:moment(),
    {ok, #{token := Token}} = muster_group_registry:view(self()),
    acceptance_node:emit(At, {leader, node(), Token}),
    {ok, State}.

handle_become_follower(Leader, State) ->
    At = acceptance_node:moment(),
    {ok, #{token := Token}} = muster_group_registry:view(self()),
    acceptance_node:emit(At, {leader, at(Leader), Token}),
    {ok, State}.

terminate(_Reason, _State) ->
    acceptance_node:emit(terminated).

at(undefined) -> none;
at(Pid) -> node(Pid).

%% What the process knows, and what its C node says.
state() ->
    Known = #{
        leader => at(muster_leader:leader(?MODULE)), peers => muster_leader:peer_count(?MODULE)
    },
    case muster_election_group:status(?KEY, 1000) of
        {ok, Status} ->
            With = [is_leader, token, term, missing, abstaining, members],
            maps:merge(Known, maps:with(With, Status));
        {error, _} ->
            Known
    end.
