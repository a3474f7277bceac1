%% @private
%% Where this node's members of election groups are found: by their pid, for questions that must be answered
%% inside a callback too, and by their group, for processes of the same group on other nodes, which
%% introduce themselves to it.
%%
%% A public table holds, per process, what it last said of itself (its view). This server owns the
%% table, drops the rows of processes that have died, and hands on introductions. It runs under the
%% application's supervisor; where the application is not started, the first member starts
%% it.
-module(muster_group_registry).

-behaviour(gen_server).

-export([start_link/0, claim/2, publish/1, view/1, pass/2, send/2]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-export_type([view/0]).

-type view() :: #{atom() => term()}.

-define(TABLE, ?MODULE).
-define(VERSION, 1).

%% For the supervisor: takes over one that a member has started.
-spec start_link() -> gen_server:start_ret().
start_link() ->
    case gen_server:start_link({local, ?MODULE}, ?MODULE, [], []) of
        {error, {already_started, Pid}} ->
            link(Pid),
            {ok, Pid};
        Other ->
            Other
    end.

%% Makes the calling process this node's member of a group, with a first view. Returns a monitor of
%% the registry: on its `DOWN' message, claim again.
-spec claim(binary(), view()) -> {ok, reference()} | {error, {already_started, pid()}}.
claim(Key, View) ->
    ensure(),
    Monitor = erlang:monitor(process, ?MODULE),
    case gen_server:call(?MODULE, {claim, Key, self(), View}) of
        ok ->
            {ok, Monitor};
        {error, _} = Error ->
            erlang:demonitor(Monitor, [flush]),
            Error
    end.

ensure() ->
    case whereis(?MODULE) of
        undefined ->
            _ = gen_server:start({local, ?MODULE}, ?MODULE, [], []),
            ok;
        _ ->
            ok
    end.

%% What the calling process has to say of itself now.
-spec publish(view()) -> ok.
publish(View) ->
    try ets:insert(?TABLE, {self(), View}) of
        true -> ok
    catch
        %% The table went with its owner; the monitor tells.
        error:badarg -> ok
    end.

-spec view(pid()) -> {ok, view()} | error.
view(Pid) ->
    %% The row of a process that has died goes a moment later.
    try is_process_alive(Pid) andalso ets:lookup(?TABLE, Pid) of
        [{Pid, View}] -> {ok, View};
        _ -> error
    catch
        error:badarg -> error
    end.

%% Sends a message to a group's member on another node, if there is one.
-spec pass(node(), {binary(), term()}) -> ok.
pass(Node, {Key, Message}) ->
    send({?MODULE, Node}, {?MODULE, ?VERSION, Key, Message}).

%% Sends a message to a process elsewhere. Never waits: where it would have to, for a connection or for a node that
%% hangs, another process does that, and the message may be overtaken by later ones.
-spec send(pid() | {atom(), node()}, term()) -> ok.
send(Destination, Message) ->
    case erlang:send(Destination, Message, [noconnect, nosuspend]) of
        ok ->
            ok;
        _ ->
            _ = spawn(fun() -> erlang:send(Destination, Message) end),
            ok
    end.

%%% The server

init([]) ->
    ?TABLE = ets:new(?TABLE, [named_table, public, {read_concurrency, true}]),
    {ok, #{}}.

handle_call({claim, Key, Pid, View}, _From, S) ->
    case ets:lookup(?TABLE, {group, Key}) of
        [{_, Other}] when Other =/= Pid ->
            case is_process_alive(Other) of
                true -> {reply, {error, {already_started, Other}}, S};
                false -> {reply, ok, claimed(Key, Pid, View, S)}
            end;
        _ ->
            {reply, ok, claimed(Key, Pid, View, S)}
    end;
handle_call(_, _From, S) ->
    {reply, {error, unknown_call}, S}.

claimed(Key, Pid, View, S) ->
    true = ets:insert(?TABLE, [{{group, Key}, Pid}, {Pid, View}]),
    S#{erlang:monitor(process, Pid) => Key}.

handle_cast(_, S) ->
    {noreply, S}.

handle_info({?MODULE, ?VERSION, Key, Message}, S) ->
    case ets:lookup(?TABLE, {group, Key}) of
        [{_, Pid}] -> Pid ! Message;
        [] -> none
    end,
    {noreply, S};
handle_info({'DOWN', Monitor, process, Pid, _}, S) ->
    true = ets:delete(?TABLE, Pid),
    case maps:take(Monitor, S) of
        {Key, Rest} ->
            true = ets:delete_object(?TABLE, {{group, Key}, Pid}),
            {noreply, Rest};
        error ->
            {noreply, S}
    end;
handle_info(_, S) ->
    {noreply, S}.
