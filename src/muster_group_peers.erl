%% @private
%% The processes of an election group on other nodes, as far as they have introduced themselves: one a node, and what it
%% said of itself. For the servers that take part in elections; {@link muster_group_registry} carries the introductions,
%% `{Server, 1, hello, Pid, Says, Ask}'. A value in the server's state, which passes its messages to {@link handle/2}.
-module(muster_group_peers).

-export([new/2, say_hello/3, answer/3, tell/2, handle/2]).
-export([meet/3, remove/2, at/2, pids/1, saying/2]).

-export_type([peers/0]).

-define(VERSION, 1).

-record(peers, {
    %% What tells this kind of group's introductions from others'.
    server :: atom(),
    key :: binary(),
    known = #{} :: #{node() => {pid(), Monitor :: reference(), Says :: term()}}
}).

-opaque peers() :: #peers{}.

-spec new(Server :: atom(), Key :: binary()) -> peers().
new(Server, Key) ->
    #peers{server = Server, key = Key}.

%%% Introductions. None of these waits for the other node.

%% Introduces the calling process to the group's on another node, if there is one, and asks who that is.
-spec say_hello(node(), Says :: term(), peers()) -> ok.
say_hello(Node, _Says, _Peers) when Node =:= node() ->
    ok;
say_hello(Node, Says, #peers{key = Key} = P) ->
    case is_alive() of
        true -> muster_group_registry:pass(Node, {Key, hello(Says, true, P)});
        false -> ok
    end.

%% To one that has introduced itself.
-spec answer(pid(), Says :: term(), peers()) -> ok.
answer(Pid, Says, P) ->
    muster_group_registry:send(Pid, hello(Says, false, P)).

%% To all that are known: the caller has something else to say of itself.
-spec tell(Says :: term(), peers()) -> ok.
tell(Says, P) ->
    lists:foreach(fun(Pid) -> answer(Pid, Says, P) end, pids(P)).

hello(Says, Ask, #peers{server = Server}) ->
    {Server, ?VERSION, hello, self(), Says, Ask}.

%% A message of the server's, if it is an introduction, or the end of one that is known.
-spec handle(Message :: term(), peers()) ->
    {hello, pid(), Says :: term(), Ask :: boolean()} | {left, pid()} | unknown.
handle({Server, ?VERSION, hello, Pid, Says, Ask}, #peers{server = Server}) when
    is_pid(Pid), Pid =/= self(), is_boolean(Ask)
->
    {hello, Pid, Says, Ask};
handle({'DOWN', Monitor, process, Pid, _}, #peers{known = Known}) when is_pid(Pid) ->
    case Known of
        #{node(Pid) := {Pid, Monitor, _}} -> {left, Pid};
        #{} -> unknown
    end;
handle(_, _) ->
    unknown.

%%% Who is known

%% Takes down what a process says of itself; from then on its end is told. It takes the place of its node's earlier one.
-spec meet(pid(), Says :: term(), peers()) -> peers().
meet(Pid, Says, #peers{known = Known} = P) ->
    case Known of
        #{node(Pid) := {Pid, Monitor, _}} -> P#peers{known = Known#{node(Pid) := {Pid, Monitor, Says}}};
        #{node(Pid) := {Earlier, _, _}} -> meet(Pid, Says, remove(Earlier, P));
        #{} -> P#peers{known = Known#{node(Pid) => {Pid, erlang:monitor(process, Pid), Says}}}
    end.

-spec remove(pid(), peers()) -> peers().
remove(Pid, #peers{known = Known} = P) ->
    case Known of
        #{node(Pid) := {Pid, Monitor, _}} ->
            erlang:demonitor(Monitor, [flush]),
            P#peers{known = maps:remove(node(Pid), Known)};
        #{} ->
            P
    end.

-spec at(node(), peers()) -> pid() | none.
at(Node, #peers{known = Known}) ->
    case Known of
        #{Node := {Pid, _, _}} -> Pid;
        #{} -> none
    end.

%% In order.
-spec pids(peers()) -> [pid()].
pids(#peers{known = Known}) ->
    lists:sort([Pid || {Pid, _, _} <- maps:values(Known)]).

%% Those that say this of themselves.
-spec saying(Says :: term(), peers()) -> [pid()].
saying(Says, #peers{known = Known}) ->
    lists:sort([Pid || {Pid, _, Its} <- maps:values(Known), Its =:= Says]).
