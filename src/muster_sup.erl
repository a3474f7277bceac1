%% @private
%% The top supervisor of the application.
-module(muster_sup).

-behaviour(supervisor).

-export([start_link/1]).
-export([init/1]).

%% Options as checked by muster_cnode_program:options/1.
-spec start_link(#{atom() => term()}) -> supervisor:startlink_ret().
start_link(Options) ->
    supervisor:start_link({local, ?MODULE}, ?MODULE, Options).

init(Options) ->
    Cnode = #{
        id => muster_cnode,
        start => {muster_cnode, start_link, [Options]},
        %% The C node's orderly leave takes up to 4 s before it is ended by force.
        shutdown => 5000
    },
    Registry = #{
        id => muster_group_registry,
        start => {muster_group_registry, start_link, []}
    },
    Callbacks = #{
        id => muster_callbacks,
        start => {muster_callbacks, start_link, []},
        type => supervisor
    },
    {ok, {#{strategy => one_for_one, intensity => 10, period => 60}, [Registry, Cnode, Callbacks]}}.
