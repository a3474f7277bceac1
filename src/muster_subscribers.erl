%% @private
%% The processes that a server tells of its events: each once, and forgotten when it dies.
-module(muster_subscribers).

-export([new/0, add/2, remove/2, down/3, tell/2]).
-export_type([subscribers/0]).

-type subscribers() :: #{pid() => Monitor :: reference()}.

-spec new() -> subscribers().
new() ->
    #{}.

%% Monitors the process; the server passes the `DOWN' on to `down/3'. Twice is as good as once.
-spec add(pid(), subscribers()) -> subscribers().
add(Pid, Subscribers) when is_pid(Pid), not is_map_key(Pid, Subscribers) ->
    Subscribers#{Pid => erlang:monitor(process, Pid)};
%% Or no process, by a call that no function of ours makes.
add(_, Subscribers) ->
    Subscribers.

-spec remove(pid(), subscribers()) -> subscribers().
remove(Pid, Subscribers) ->
    case maps:take(Pid, Subscribers) of
        {Monitor, Rest} ->
            erlang:demonitor(Monitor, [flush]),
            Rest;
        error ->
            Subscribers
    end.

%% A process is dead by the word of its own monitor: anybody can send a message that looks like one.
-spec down(Monitor :: reference(), pid(), subscribers()) -> subscribers().
down(Monitor, Pid, Subscribers) ->
    case Subscribers of
        #{Pid := Monitor} -> maps:remove(Pid, Subscribers);
        #{} -> Subscribers
    end.

%% A subscriber on another node that hangs must not hold up the server.
-spec tell(term(), subscribers()) -> ok.
tell(Message, Subscribers) ->
    maps:foreach(fun(Pid, _) -> erlang:send(Pid, Message, [nosuspend, noconnect]) end, Subscribers).
