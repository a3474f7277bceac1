%% @private
%% A server's subscription to the node monitor, which may start later, be started anew, or hang: it is looked for until
%% it is there, and its answer is not waited for. A value in the server's state, which passes its messages to
%% {@link handle/2}; the monitor's events come to the server itself.
-module(muster_node_watch).

-export([new/1, handle/2, is_found/1]).

-export_type([watch/0]).

-define(LOOK_MS, 1000).

-record(watch, {
    %% Its name or pid; `none': there is nothing to watch.
    server :: pid() | muster_server_name:name(),
    %% Of the monitor's process, while there is one.
    monitor :: reference() | undefined,
    %% The subscription that is not answered yet.
    request :: gen_server:request_id() | undefined
}).

-opaque watch() :: #watch{}.

-spec new(pid() | muster_server_name:name()) -> watch().
new(Server) ->
    look(#watch{server = Server}).

%% Whether there is a monitor at present; it may not have answered yet.
-spec is_found(watch()) -> boolean().
is_found(#watch{monitor = Monitor}) ->
    Monitor =/= undefined.

%% A message of the server's, if it is about the subscription.
-spec handle(Message :: term(), watch()) -> watch() | unknown.
handle({'DOWN', Monitor, process, _, _}, #watch{monitor = Monitor} = W) ->
    look_later(W#watch{monitor = undefined});
handle({?MODULE, look}, #watch{monitor = undefined} = W) ->
    look(W);
handle(Message, #watch{request = Request} = W) when Request =/= undefined ->
    case gen_server:check_response(Message, Request) of
        no_reply -> unknown;
        _ -> W#watch{request = undefined}
    end;
handle(_, _) ->
    unknown.

look(#watch{server = none} = W) ->
    W;
look(#watch{server = Server} = W) ->
    case muster_server_name:where(Server) of
        Pid when is_pid(Pid), Pid =/= self() ->
            Monitor = erlang:monitor(process, Pid),
            %% As muster_node_monitor:subscribe/1, which waits.
            W#watch{monitor = Monitor, request = gen_server:send_request(Pid, {subscribe, self()})};
        _ ->
            look_later(W)
    end.

look_later(W) ->
    erlang:send_after(?LOOK_MS, self(), {?MODULE, look}),
    W.
