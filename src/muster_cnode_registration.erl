%% @private
%% A service's registration with {@link muster_cnode}, made again, with growing waits, whenever that server has ended. A
%% value in the state of the service, which passes its messages to {@link handle/2}.
-module(muster_cnode_registration).

-export([new/1, close/1, handle/2]).

-export_type([registration/0, presence/0]).

-define(WAIT_MIN_MS, 50).
-define(WAIT_MAX_MS, 1000).

-type keys() :: [{muster_cnode:service(), muster_cnode:key(), muster_cnode:on_exit()}, ...].
-type presence() ::
    %% There is a C node, which knows nothing of the service yet. Told once for each key, and again after each restart.
    {up, muster_cnode:generation()}
    %% It is gone, or not there.
    | {down, Reason :: term()}
    %% So is muster_cnode; what was asked of it will not be answered.
    | {lost, not_started | cnode_down}
    %% Nothing new.
    | same.

-record(registration, {
    keys :: keys(),
    %% Of muster_cnode; none while it is away.
    monitor :: reference() | undefined,
    wait_ms = ?WAIT_MIN_MS :: pos_integer()
}).

-opaque registration() :: #registration{}.

%% The calling process's, for each of these keys.
-spec new(keys()) -> registration().
new(Keys) ->
    register(#registration{keys = Keys}).

register(#registration{keys = Keys} = R) ->
    Register = fun({Service, Key, OnExit}) -> muster_cnode:register(Service, Key, OnExit) end,
    [Monitor | Others] = lists:map(Register, Keys),
    %% One will do.
    lists:foreach(fun(Other) -> erlang:demonitor(Other, [flush]) end, Others),
    R#registration{monitor = Monitor}.

%% Ends it: the C node is told what each key has for that.
-spec close(registration()) -> ok.
close(#registration{keys = Keys, monitor = Monitor}) ->
    _ = is_reference(Monitor) andalso erlang:demonitor(Monitor, [flush]),
    lists:foreach(fun({Service, Key, _}) -> muster_cnode:unregister(Service, Key) end, Keys).

%% A message of the service's, if it says whether there is a C node.
-spec handle(Message :: term(), registration()) -> {presence(), registration()} | unknown.
handle({muster_cnode, up, Generation}, R) ->
    {{up, Generation}, R#registration{wait_ms = ?WAIT_MIN_MS}};
handle({muster_cnode, down, _Generation, Reason}, R) ->
    {{down, Reason}, R};
handle({'DOWN', Monitor, process, _, Reason}, #registration{monitor = Monitor, wait_ms = Ms} = R) ->
    erlang:send_after(Ms, self(), {?MODULE, renew}),
    Why =
        case Reason of
            noproc -> not_started;
            _ -> cnode_down
        end,
    {{lost, Why}, R#registration{monitor = undefined, wait_ms = min(2 * Ms, ?WAIT_MAX_MS)}};
handle({?MODULE, renew}, #registration{monitor = undefined} = R) ->
    {same, register(R)};
handle({?MODULE, renew}, R) ->
    %% Of one that was closed.
    {same, R};
handle(_, _) ->
    unknown.
