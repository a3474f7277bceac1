%% @private
%% The node monitor whose nodes are an overlay's peers: it may start later, and be started anew. The server is told of
%% its nodes by `{swarm_event, {node_up, Node}}', and to look for it again by `watch_nodes'.
-module(muster_overlay_watch).

-export([new/1, look/1, lost/2, is_there/1, say_if_missing/2]).
-export_type([watch/0]).

-include_lib("kernel/include/logger.hrl").

-opaque watch() :: {gen_server:server_ref() | none, Monitor :: reference() | undefined}.

-define(LOOK_MS, 1000).

-spec new(gen_server:server_ref() | none) -> watch().
new(Server) ->
    {Server, undefined}.

%% Subscribes, if it is there.
-spec look(watch()) -> watch().
look({Server, undefined} = Watch) when Server =/= none ->
    case muster_server_name:where(Server) of
        Pid when is_pid(Pid) ->
            Monitor = erlang:monitor(process, Pid),
            %% The reply is not waited for.
            _ = gen_server:send_request(Pid, {subscribe, self()}),
            {Server, Monitor};
        undefined ->
            look_again(Watch)
    end;
look(Watch) ->
    Watch.

look_again(Watch) ->
    erlang:send_after(?LOOK_MS, self(), watch_nodes),
    Watch.

%% A process is gone whose monitor this may be.
-spec lost(reference(), watch()) -> watch().
lost(Monitor, {Server, Monitor}) -> look_again({Server, undefined});
lost(_, Watch) -> Watch.

-spec is_there(watch()) -> boolean().
is_there({_, Monitor}) ->
    Monitor =/= undefined.

%% For an overlay that has no peers. The usual cause is that nobody thought of it; a supervisor that starts one later
%% has done so by now.
-spec say_if_missing(Name :: atom(), watch()) -> ok.
say_if_missing(Name, {Server, undefined}) when Server =/= none ->
    Text = "overlay ~tp: shares with nobody: no node monitor ~tp runs here, and no peers are given",
    ?LOG_NOTICE(Text, [Name, Server], #{domain => [muster]});
say_if_missing(_, _) ->
    ok.
