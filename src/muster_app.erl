%% @private
%% The OTP application: checks its environment, starts the top supervisor.
-module(muster_app).

-behaviour(application).

-export([start/2, stop/1]).

start(_Type, _Args) ->
    case muster_cnode_program:options(application:get_all_env(muster)) of
        {ok, Options} ->
            muster_telemetry:load(),
            muster_sup:start_link(Options);
        {error, Invalid} ->
            {error, Invalid}
    end.

stop(_State) ->
    ok.
