%% @private
%% The receiving end: holds the name `swarm_comms', to which other nodes' managers send, and passes
%% what comes on to the subscribers. A process of its own, so that a flood from outside does not
%% hold up what is to be sent.
%%
%% A process of the user's, or another manager's inbox, may have the name: then this one waits
%% until that process has ended.
-module(muster_comms_inbox).

-behaviour(gen_server).

-export([start_link/0]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-define(NAME, swarm_comms).

-record(state, {
    %% The monitor of the process that has the name instead.
    holder :: reference() | undefined,
    subscribers = muster_subscribers:new() :: muster_subscribers:subscribers()
}).

-spec start_link() -> gen_server:start_ret().
start_link() ->
    gen_server:start_link(?MODULE, [], []).

init([]) ->
    {ok, claim(#state{})}.

claim(S) ->
    try register(?NAME, self()) of
        true -> S#state{holder = undefined}
    catch
        %% Should it be free again by now, the monitor says so at once.
        error:badarg -> S#state{holder = erlang:monitor(process, ?NAME)}
    end.

handle_call({subscribe, Pid}, _From, S) ->
    {reply, ok, S#state{subscribers = muster_subscribers:add(Pid, S#state.subscribers)}};
handle_call({unsubscribe, Pid}, _From, S) ->
    {reply, ok, S#state{subscribers = muster_subscribers:remove(Pid, S#state.subscribers)}};
handle_call(_, _From, S) ->
    {reply, {error, unknown_call}, S}.

handle_cast(_, S) ->
    {noreply, S}.

handle_info({swarm_msg, _} = Message, #state{subscribers = Subscribers} = S) ->
    ok = muster_subscribers:tell(Message, Subscribers),
    {noreply, S};
handle_info({'DOWN', Holder, process, _, _}, #state{holder = Holder} = S) ->
    {noreply, claim(S)};
handle_info({'DOWN', _, process, Pid, _}, S) ->
    {noreply, S#state{subscribers = muster_subscribers:remove(Pid, S#state.subscribers)}};
handle_info(_, S) ->
    {noreply, S}.
