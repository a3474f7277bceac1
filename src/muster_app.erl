%% @doc The OTP application: starts the top supervisor.
-module(muster_app).

-behaviour(application).

-export([start/2, stop/1]).

%% @private
start(_Type, _Args) ->
    muster_sup:start_link().

%% @private
stop(_State) ->
    ok.
