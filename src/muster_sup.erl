%% @doc The top supervisor of the application.
-module(muster_sup).

-behaviour(supervisor).

-export([start_link/0]).
-export([init/1]).

-spec start_link() -> supervisor:startlink_ret().
start_link() ->
    supervisor:start_link({local, ?MODULE}, ?MODULE, []).

%% @private
init([]) ->
    {ok, {#{strategy => one_for_one, intensity => 10, period => 60}, []}}.
