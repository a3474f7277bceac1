%% @private
%% The receiving end: holds the name `swarm_comms', to which other nodes' managers send, and passes
%% what comes on to the subscribers. A process of its own, so that a flood from outside does not
%% hold up what is to be sent; and no gen_server, which a malformed call or system message would
%% end: everybody may send to that name.
%%
%% A process of the user's, or another manager's inbox, may have the name: then this one waits
%% until that process has ended.
-module(muster_comms_inbox).

-export([start_link/0, subscribe/2, unsubscribe/2]).
-export([init/1, loop/1]).

-define(NAME, swarm_comms).
-define(ANSWER_MS, 5000).

-record(state, {
    %% The monitor of the manager: a link does not tell of a normal end.
    manager :: reference(),
    %% The monitor of the process that has the name instead.
    holder :: reference() | undefined,
    subscribers = muster_subscribers:new() :: muster_subscribers:subscribers()
}).

%% Ends with the calling process, and that one with it.
-spec start_link() -> pid().
start_link() ->
    proc_lib:spawn_link(?MODULE, init, [self()]).

-spec subscribe(pid(), Subscriber :: pid()) -> ok.
subscribe(Inbox, Pid) ->
    call(Inbox, {add, Pid}).

-spec unsubscribe(pid(), Subscriber :: pid()) -> ok.
unsubscribe(Inbox, Pid) ->
    call(Inbox, {remove, Pid}).

call(Inbox, Request) ->
    Monitor = erlang:monitor(process, Inbox),
    Inbox ! {?MODULE, self(), Monitor, Request},
    receive
        {Monitor, ok} ->
            erlang:demonitor(Monitor, [flush]),
            ok;
        {'DOWN', Monitor, process, _, Reason} ->
            exit({Reason, {?MODULE, call, [Inbox, Request]}})
    after ?ANSWER_MS ->
        erlang:demonitor(Monitor, [flush]),
        exit({timeout, {?MODULE, call, [Inbox, Request]}})
    end.

%%% The process

-spec init(Manager :: pid()) -> no_return().
init(Manager) ->
    loop(claim(#state{manager = erlang:monitor(process, Manager)})).

claim(S) ->
    try register(?NAME, self()) of
        true -> S#state{holder = undefined}
    catch
        %% Should it be free again by now, the monitor says so at once.
        error:badarg -> S#state{holder = erlang:monitor(process, ?NAME)}
    end.

-spec loop(#state{}) -> no_return().
loop(#state{manager = Manager} = S) ->
    receive
        {'DOWN', Manager, process, _, _} -> exit(normal);
        Message -> ?MODULE:loop(handle(Message, S))
    end.

handle({swarm_msg, _} = Message, #state{subscribers = Subscribers} = S) ->
    ok = muster_subscribers:tell(Message, Subscribers),
    S;
handle({'DOWN', Holder, process, _, _}, #state{holder = Holder} = S) when is_reference(Holder) ->
    claim(S);
handle({'DOWN', Monitor, process, Pid, _}, #state{subscribers = Subscribers} = S) ->
    S#state{subscribers = muster_subscribers:down(Monitor, Pid, Subscribers)};
handle({?MODULE, From, Tag, {What, Pid}}, S) when is_pid(From), is_pid(Pid) ->
    _ = erlang:send(From, {Tag, ok}, [nosuspend, noconnect]),
    S#state{subscribers = changed(What, Pid, S#state.subscribers)};
handle(_, S) ->
    S.

changed(add, Pid, Subscribers) -> muster_subscribers:add(Pid, Subscribers);
changed(remove, Pid, Subscribers) -> muster_subscribers:remove(Pid, Subscribers);
changed(_, _, Subscribers) -> Subscribers.
