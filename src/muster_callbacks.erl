%% @doc Functions that are called with a server's events, each in a process of its own.
%%
%% ```
%% Log = fun({Kind, Node, _}) -> io:format("~p ~p~n", [Kind, Node]) end,
%% {ok, Id} = muster_callbacks:add({muster_discovery, muster_discovery}, Log),
%% ok = muster_callbacks:remove(Id).
%% '''
%%
%% For those who have no process to `subscribe/1' with. A function is called for one event after the other,
%% never in the server's process: one that is slow, crashes or hangs delays and loses nothing for
%% others, nor does a crash lose the events behind it. What crashed is logged.
%%
%% The subscription outlives the server: when that is started again under its name, it is taken up again.
%% With {@link muster_discovery} nothing gets lost or told twice by that: what has changed meanwhile
%% is told afterwards, and nothing else is. Of other servers the events in between are missing. A
%% server that is stopped (with the reason `normal') ends its subscriptions.
%%
%% They run under the application's supervisor, so `muster' must be started. A function of a module that is loaded anew
%% goes with its code, as everywhere in Erlang: at the second time its subscription ends. `fun Module:Function/1' stays.
-module(muster_callbacks).

-behaviour(supervisor).

-export([add/2, remove/1, remove_all/1]).
-export([start_link/0]).
-export([init/1]).

-export_type([id/0, source/0, callback/0]).

-define(MODULES, [muster_discovery, muster_node_monitor, muster_topology, muster_overlay, muster_comms]).

-type id() :: binary().
-type source() :: {
    muster_discovery | muster_node_monitor | muster_topology | muster_overlay | muster_comms, atom() | pid()
}.
%% The module, and the server's name or pid. Of `muster_comms' the function gets each message.
-type callback() :: fun((Event :: term()) -> term()).

%% @doc Has the function called for each event from now on. `{error, not_running}': there is no such server
%% at the moment; `{error, timeout}': it did not answer within 5 s; `{error, not_started}': the application is
%% not.
-spec add(source(), callback()) -> {ok, id()} | {error, not_running | timeout | not_started}.
add(Source, Callback) ->
    ok = muster_arguments:check({?MODULE, add, [Source, Callback]}, [
        {1, is_source(Source), <<"a module that has events, and a server of it: its name or pid">>},
        {2, is_function(Callback, 1), <<"a function of one argument">>}
    ]),
    Id = <<"muster-", (integer_to_binary(erlang:unique_integer([positive])))/binary>>,
    Child = #{
        id => Id,
        start => {muster_callback, start_link, [Source, Callback]},
        restart => temporary,
        shutdown => 1000
    },
    try supervisor:start_child(?MODULE, Child) of
        {ok, Pid} ->
            case muster_callback:attach(Pid) of
                ok ->
                    {ok, Id};
                {error, Reason} ->
                    _ = remove(Id),
                    {error, Reason}
            end
    catch
        exit:{noproc, _} -> {error, not_started}
    end.

is_source({Module, Server}) ->
    lists:member(Module, ?MODULES) andalso (is_pid(Server) orelse is_atom(Server));
is_source(_) ->
    false.

%% @doc Ends a subscription: the function is not called again. A call that is under way goes on. May be used
%% inside the function itself.
-spec remove(id()) -> ok | {error, not_found}.
remove(Id) ->
    try supervisor:terminate_child(?MODULE, Id) of
        Result -> Result
    catch
        exit:{noproc, _} -> {error, not_found}
    end.

%% @doc Ends all subscriptions to a server.
-spec remove_all(source()) -> ok.
remove_all(Source) ->
    Children =
        try
            supervisor:which_children(?MODULE)
        catch
            exit:{noproc, _} -> []
        end,
    lists:foreach(
        fun({Id, Pid, _, _}) ->
            case is_pid(Pid) andalso muster_callback:source(Pid) of
                Source -> remove(Id);
                _ -> ok
            end
        end,
        Children
    ).

%%% Under the application's supervisor

%% @private
-spec start_link() -> supervisor:startlink_ret().
start_link() ->
    supervisor:start_link({local, ?MODULE}, ?MODULE, []).

%% @private
init([]) ->
    {ok, {#{strategy => one_for_one}, []}}.
