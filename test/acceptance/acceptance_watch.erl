%% What the acceptance runs know of the topology, and of who leads at which instant.
-module(acceptance_watch).

-export([start_link/1, state/0, spans/0]).
-export([watcher/0, asker/0]).

-define(TICK_MS, 3).

start_link(What) ->
    proc_lib:start_link(?MODULE, What, []).

%%% The topology's events

watcher() ->
    ok = net_kernel:monitor_nodes(true),
    ok = muster_topology:subscribe(),
    tell_nodes(),
    tell_commander(),
    proc_lib:init_ack({ok, self()}),
    watch().

watch() ->
    receive
        {swarm_event, {commander_changed, _, Commander}} ->
            acceptance_node:emit({commander, or_none(Commander)}),
            watch();
        {nodeup, _} ->
            tell_nodes(),
            watch();
        _ ->
            watch()
    end.

tell_nodes() ->
    acceptance_node:emit({nodes, length(nodes())}).

%% What was so before the subscription.
tell_commander() ->
    case muster_topology:get_commander() of
        {ok, Node} -> acceptance_node:emit({commander, Node});
        {error, no_commander} -> ok
    end.

or_none(undefined) -> none;
or_none(Node) -> Node.

state() ->
    Command =
        case muster_topology:get_command() of
            {ok, Node, Token} -> {Node, Token};
            {error, no_commander} -> none
        end,
    Running = erlang:monotonic_time() - erlang:system_info(start_time),
    Started = acceptance_node:moment() - erlang:convert_time_unit(Running, native, nanosecond),
    #{command => Command, roles => muster_topology:list_nodes(), started => Started}.

%%% Who leads, asked all the time

%% Per token the first answer that this node led, and the last question that was answered so: it led
%% at each instant between.
asker() ->
    register(?MODULE, self()),
    proc_lib:init_ack({ok, self()}),
    ask(#{}).

ask(Spans) ->
    receive
        {spans, From} ->
            From ! {?MODULE, Spans},
            ask(Spans)
    after ?TICK_MS ->
        ask(asked(command, fun command/0, asked(group, fun group/0, Spans)))
    end.

asked(What, Ask, Spans) ->
    Asked = acceptance_node:moment(),
    case Ask() of
        none ->
            Spans;
        Token ->
            Key = {What, Token},
            {First, _} = maps:get(Key, Spans, {acceptance_node:moment(), Asked}),
            Spans#{Key => {First, Asked}}
    end.

group() ->
    try muster_leader:token(acceptance_member) of
        {ok, Token} -> Token;
        {error, not_leader} -> none
    catch
        exit:_ -> none
    end.

command() ->
    Self = node(),
    try muster_topology:get_command() of
        {ok, Self, Token} -> Token;
        _ -> none
    catch
        exit:_ -> none
    end.

%% As a list: whoever reads it knows no tuples as keys.
spans() ->
    ?MODULE ! {spans, self()},
    receive
        {?MODULE, Spans} ->
            [{What, Token, First, Last} || {{What, Token}, {First, Last}} <- maps:to_list(Spans)]
    after 5000 -> exit(asker)
    end.
