%% @doc Everything of a swarm under one supervisor: discovery, node monitor, comms manager, topology
%% and tactical overlay.
%%
%% ```
%% {ok, _} = muster_swarm:start_link([
%%     {discovery, [{strategy, gossip}]},
%%     {topology, [{quorum_size, 2}]},
%%     {tactical_overlay, false}
%% ]).
%% '''
%%
%% They start in that order, and each is restarted by itself (`one_for_one'): a member looks for the
%% others by name, so none need be started again because another was. More than ten restarts within
%% ten seconds end the supervisor. Those that use the node monitor use the one started here, whatever
%% its name. The overlay sends by itself, not by the comms manager, which would add a hop; its own
%% option `comms_manager' changes that.
%%
%% All of them may as well be children of a supervisor of the user's: each has a `child_spec/1', and
%% this module too.
-module(muster_swarm).

-behaviour(supervisor).

-export([start_link/0, start_link/1, start_link/2, child_spec/1]).
-export([init/1]).

-export_type([options/0]).

-type options() :: [{atom(), term()}] | #{atom() => term()}.
%% <dl>
%% <dt>`discovery'</dt><dd>Options of {@link muster_discovery}. Left out unless there are some.</dd>
%% <dt>`node_monitor', `comms_manager', `topology', `tactical_overlay'</dt><dd>Options of
%%     {@link muster_node_monitor}, {@link muster_comms}, {@link muster_topology} and
%%     `muster_overlay'; `false' leaves it out.</dd>
%% <dt>`name'</dt><dd>The supervisor's, default `muster_swarm'.</dd>
%% </dl>

%% In the order in which they start, and what each uses of those before it.
-define(MEMBERS, [
    {discovery, []},
    {node_monitor, []},
    {comms_manager, [node_monitor]},
    {topology, [node_monitor]},
    {tactical_overlay, [node_monitor]}
]).

%% @equiv start_link([])
-spec start_link() -> supervisor:startlink_ret().
start_link() ->
    start_link([]).

%% @doc Starts the supervisor and its members. A wrong option gives
%% `{error, {invalid_option, Name, Value, Expected}}'; one of a member's is in the reason for which
%% that child failed to start.
-spec start_link(options()) -> supervisor:startlink_ret() | {error, muster_options:invalid()}.
start_link(Options) ->
    start_link(Options, #{
        name => ?MODULE,
        discovery => muster_discovery,
        node_monitor => muster_node_monitor,
        comms_manager => muster_comms,
        topology => muster_topology,
        tactical_overlay => muster_overlay
    }).

%% @private
%% The face says which modules the members are, by whose names they are known as children.
-spec start_link(options(), #{atom() => module()}) ->
    supervisor:startlink_ret() | {error, muster_options:invalid()}.
start_link(Options, #{name := DefaultName} = Modules) ->
    Members = [{M, {[], fun is_member/1, <<"the member's options, or false">>}} || {M, _} <- ?MEMBERS],
    Table = (maps:from_list(Members))#{
        name => muster_server_name:rule(DefaultName)
    },
    case muster_options:check(Options, Table) of
        {ok, #{name := Name} = Checked} ->
            supervisor:start_link(muster_server_name:to_register(Name), ?MODULE, {Checked, Modules});
        {error, Invalid} ->
            {error, Invalid}
    end.

is_member(None) when None =:= false; None =:= nil; None =:= undefined -> true;
is_member(Options) -> muster_options:pairs(Options) =/= error.

%% @doc A child specification; its id is the name.
-spec child_spec(options()) -> supervisor:child_spec().
child_spec(Options) ->
    Name = muster_server_name:in_options(Options, ?MODULE),
    #{id => Name, start => {?MODULE, start_link, [Options]}, type => supervisor}.

%% @private
init({Options, Modules}) ->
    {Children, _} = lists:foldl(
        fun(Member, Acc) -> add(Member, Options, Modules, Acc) end, {[], #{}}, ?MEMBERS
    ),
    {ok, {#{strategy => one_for_one, intensity => 10, period => 10}, lists:reverse(Children)}}.

add({Member, Uses}, Options, Modules, {Children, Names}) ->
    Module = maps:get(Member, Modules),
    case own(Member, maps:get(Member, Options)) of
        none ->
            {Children, Names};
        Own ->
            %% The user's own word comes first.
            All = Own ++ maps:to_list(maps:with(Uses, Names)),
            Child = #{id => Module, start => {Module, start_link, [All]}},
            {[Child | Children], Names#{Member => proplists:get_value(name, Own, Module)}}
    end.

own(_, false) ->
    none;
own(Member, None) when None =:= nil; None =:= undefined ->
    own(Member, []);
own(Member, Options) ->
    {ok, Pairs} = muster_options:pairs(Options),
    case {Member, Pairs} of
        %% Without a strategy it would find nothing.
        {discovery, []} -> none;
        _ -> Pairs
    end.
