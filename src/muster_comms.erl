%% @doc Sends messages to processes on other nodes by priority, as good as the link is, and without
%% ever waiting for it.
%%
%% ```
%% {ok, _} = muster_comms:start_link(),
%% ok = muster_comms:send_msg('app@host2', Data, critical),
%% ok = muster_comms:send_msg('app@host2', Data),
%% excellent = muster_comms:get_link_quality('app@host2').
%% '''
%%
%% A message arrives as `{swarm_msg, Message}' at the process that is registered as `swarm_comms' on
%% the node. A manager has that name there, unless the user has given it to a process of their own;
%% {@link subscribe/1} gives what comes to the subscribers.
%%
%% == Priorities ==
%% <table border="1">
%% <tr><td>`critical', `high'</td><td>always go, as long as there is a connection</td></tr>
%% <tr><td>`normal'</td><td>is dropped while the link is `poor'</td></tr>
%% <tr><td>`low'</td><td>is dropped while the link is `degraded' or `poor'</td></tr>
%% </table>
%% What a busy link (one whose buffer in the BEAM is full) cannot take waits here, in a queue per
%% link and priority that is bounded in messages and bytes; it goes by priority, then by age. A
%% critical message is tried at once, ahead of all that waits. What was dropped is counted:
%% {@link stats/1}.
%%
%% == Quality ==
%% The median of the node monitor's last five round-trip times: below 10 ms `excellent', 50 `good',
%% 200 `degraded', 1,000 `poor', else `disconnected'. A node that does not answer the monitor's pings
%% is `poor' while it is suspect, and `disconnected' when it is down or the BEAM is not connected to
%% it. A connected node that was never measured is `good', this node itself `excellent'.
%% {@link update_link/3} and {@link mark_disconnected/2} override that for a while. See
%% `docs/comms.md'. Wrong arguments raise `badarg' in the calling process, and say what is expected.
-module(muster_comms).

-export([
    start_link/0, start_link/1, start_link/2,
    child_spec/1,
    send_msg/2, send_msg/3, send_msg/4,
    route/4, route/5,
    request_route/4,
    get_link_quality/1, get_link_quality/2,
    get_all_links/0, get_all_links/1,
    update_link/2, update_link/3,
    mark_disconnected/1, mark_disconnected/2,
    stats/0, stats/1,
    subscribe/0, subscribe/1,
    unsubscribe/0, unsubscribe/1
]).

-export_type([priority/0, quality/0, counters/0, options/0, server/0]).

-define(RECEIVER, swarm_comms).
%% What arguments are expected to be. A typing mistake in a priority must not go unnoticed by those who do not look
%% at results.
-define(NODE, <<"a node's name, as an atom">>).
-define(PRIORITY, <<"critical, high, normal or low">>).

-type priority() :: muster_comms_queue:priority().
-type quality() :: muster_comms_link:quality().
-type counters() :: muster_comms_link:counters().
-type server() :: gen_server:server_ref().
-type options() :: [{atom(), term()}] | #{atom() => term()}.
%% <dl>
%% <dt>`name'</dt><dd>An atom, `{via, Module, Term}' or `{global, Term}', default `muster_comms'; not
%%     `swarm_comms', which is the receiver's.</dd>
%% <dt>`node_monitor'</dt><dd>The node monitor that is asked for round-trip times, default
%%     `muster_node_monitor'. It need not be there.</dd>
%% <dt>`poll_interval_ms'</dt><dd>How often it is asked, 10 to 3600000, default 1000: no use in
%%     less than its `ping_interval_ms'.</dd>
%% <dt>`hold_ms'</dt><dd>So long {@link update_link/3} and {@link mark_disconnected/2} hold against
%%     what is measured; 0 to 4294967295 or `infinity', default 10000.</dd>
%% <dt>`flush_interval_ms'</dt><dd>The longest wait before a busy link is tried again (the first is
%%     5 ms, each next one twice the last); 1 to 3600000, default 100.</dd>
%% <dt>`queue_length', `queue_bytes'</dt><dd>What may wait per link and priority: 1 to 1000000
%%     messages, default 1000, of 1 to 1073741824 bytes in all (as `erlang:external_size/1' counts),
%%     default 1048576. A single message may be larger.</dd>
%% <dt>`receiver'</dt><dd>Whether to receive, under the name `swarm_comms', default `true'. `false'
%%     leaves the name to the user.</dd>
%% </dl>

%%% Starting

%% @equiv start_link([])
-spec start_link() -> gen_server:start_ret().
start_link() ->
    start_link([]).

%% @doc Starts a manager. A wrong option gives `{error, {invalid_option, Name, Value, Expected}}'.
-spec start_link(options()) -> gen_server:start_ret() | {error, muster_options:invalid()}.
start_link(Options) ->
    start_link(Options, #{name => ?MODULE, node_monitor => muster_node_monitor}).

%% @private
%% The default names are the face's: each documented module has its own.
-spec start_link(options(), map()) -> gen_server:start_ret() | {error, muster_options:invalid()}.
start_link(Options, #{name := DefaultName, node_monitor := DefaultMonitor}) ->
    Interval = {1, 3600000},
    Table = #{
        name =>
            {DefaultName, fun is_name/1,
                <<"an atom but swarm_comms, {via, Module, Term} or {global, Term}">>},
        node_monitor => {DefaultMonitor, fun is_server/1, <<"a node monitor's name or pid">>},
        poll_interval_ms => muster_options:integer(1000, {10, 3600000}, "milliseconds"),
        hold_ms =>
            {10000, fun is_hold/1,
                <<"an integer from 0 to 4294967295 (milliseconds) or infinity">>},
        flush_interval_ms => muster_options:integer(100, Interval, "milliseconds"),
        queue_length => muster_options:integer(1000, {1, 1000000}, "messages"),
        queue_bytes => muster_options:integer(1048576, {1, 1073741824}, "bytes"),
        receiver => muster_options:one_of(true, [true, false])
    },
    case muster_options:check(Options, Table) of
        {ok, #{name := Name} = Checked} ->
            gen_server:start_link(muster_server_name:to_register(Name), muster_comms_server, Checked, []);
        {error, Invalid} ->
            {error, Invalid}
    end.

is_hold(infinity) -> true;
is_hold(Ms) -> is_integer(Ms) andalso Ms >= 0 andalso Ms =< 4294967295.

is_name(Name) -> muster_server_name:is_name(Name) andalso Name =/= ?RECEIVER.

is_server(Server) -> is_pid(Server) orelse is_name(Server).

%% @doc A child specification; its id is the name.
-spec child_spec(options()) -> supervisor:child_spec().
child_spec(Options) ->
    #{id => muster_server_name:in_options(Options, ?MODULE), start => {?MODULE, start_link, [Options]}}.

%%% Sending

%% @equiv send_msg(Node, Message, normal)
-spec send_msg(node(), term()) -> ok | {error, disconnected | queue_full}.
send_msg(Node, Message) ->
    send_msg(Node, Message, normal).

%% @equiv send_msg(muster_comms, Node, Message, Priority)
-spec send_msg(node(), term(), priority()) -> ok | {error, disconnected | queue_full}.
send_msg(Node, Message, Priority) ->
    send_msg(?MODULE, Node, Message, Priority).

%% @doc Sends `{swarm_msg, Message}' to the process `swarm_comms' on a node. `ok': it was handed to
%% the BEAM, waits its turn, or was dropped because the link is too bad for its priority. As with any
%% message to another node, `ok' does not say that it arrived.
%%
%% `{error, disconnected}': there is no connection, or the link is as slow as none and the priority
%% is `normal' or `low'. `{error, queue_full}': the link is busy and too much waits for it.
-spec send_msg(server(), node(), term(), priority()) -> ok | {error, disconnected | queue_full}.
send_msg(Server, Node, Message, Priority) ->
    Good = [{2, is_node_name(Node), ?NODE}, {4, is_priority(Priority), ?PRIORITY}],
    ok = muster_arguments:check({?MODULE, send_msg, [Server, Node, Message, Priority]}, Good),
    case send(Server, {?RECEIVER, Node}, {swarm_msg, Message}, Priority, infinity) of
        {error, dropped} -> ok;
        Result -> Result
    end.

%% @equiv route(Server, To, Message, Priority, infinity)
-spec route(server(), {RegisteredName :: atom(), node()}, term(), priority()) ->
    ok | {error, disconnected | queue_full | dropped | no_manager}.
route(Server, To, Message, Priority) ->
    route(Server, To, Message, Priority, infinity).

%% @doc The same for any registered process, which gets the message as it is. For servers that build
%% on it: what was dropped for its priority is told, `{error, dropped}', and a manager that is not
%% there, ends meanwhile, or does not answer within so many milliseconds, is `{error, no_manager}'
%% instead of an exit. One that hangs may still send the message later.
-spec route(server(), {RegisteredName :: atom(), node()}, term(), priority(), timeout()) ->
    ok | {error, disconnected | queue_full | dropped | no_manager}.
route(Server, To, Message, Priority, Timeout) ->
    ok = check_route(route, [Server, To, Message, Priority, Timeout]),
    try
        send(Server, To, Message, Priority, Timeout)
    catch
        exit:_ -> {error, no_manager}
    end.

%% @doc The same for a server that must not wait: the result comes as a message, for
%% `gen_server:check_response/2'.
-spec request_route(server(), {RegisteredName :: atom(), node()}, term(), priority()) -> gen_server:request_id().
request_route(Server, To, Message, Priority) ->
    ok = check_route(request_route, [Server, To, Message, Priority]),
    gen_server:send_request(Server, {send, To, Message, Priority}).

check_route(Function, [_, To, _, Priority | _] = Arguments) ->
    Good = [{2, is_process_name(To), <<"{RegisteredName, Node}">>}, {4, is_priority(Priority), ?PRIORITY}],
    muster_arguments:check({?MODULE, Function, Arguments}, Good).

send(Server, To, Message, Priority, Timeout) ->
    gen_server:call(Server, {send, To, Message, Priority}, Timeout).

%%% Links

%% @equiv get_link_quality(muster_comms, Node)
-spec get_link_quality(node()) -> quality().
get_link_quality(Node) ->
    get_link_quality(?MODULE, Node).

%% @doc How good the link to a node is; `disconnected' also for a node that nobody knows.
-spec get_link_quality(server(), node()) -> quality().
get_link_quality(Server, Node) ->
    ok = muster_arguments:check({?MODULE, get_link_quality, [Server, Node]}, [{2, is_node_name(Node), ?NODE}]),
    gen_server:call(Server, {quality, Node}).

%% @equiv get_all_links(muster_comms)
-spec get_all_links() -> #{node() => quality()}.
get_all_links() ->
    get_all_links(?MODULE).

%% @doc The quality of every link: to the nodes that the BEAM is connected to, those it was connected
%% to within the last hour, and those that were set by hand.
-spec get_all_links(server()) -> #{node() => quality()}.
get_all_links(Server) ->
    gen_server:call(Server, links).

%% @equiv update_link(muster_comms, Node, RttMs)
-spec update_link(node(), number()) -> ok.
update_link(Node, RttMs) ->
    update_link(?MODULE, Node, RttMs).

%% @doc Says what a link's round-trip time is, in milliseconds. It counts for `hold_ms', whatever is
%% measured, and on for as long as nothing is; the node's coming or going ends it. To a node that the
%% BEAM is not connected to, the next message makes it try.
-spec update_link(server(), node(), number()) -> ok.
update_link(Server, Node, RttMs) ->
    Good = [{2, is_node_name(Node), ?NODE}, {3, is_rtt(RttMs), <<"a number of milliseconds, 0 or more">>}],
    ok = muster_arguments:check({?MODULE, update_link, [Server, Node, RttMs]}, Good),
    by_hand(Server, Node, muster_comms_link:classify(RttMs)).

%% @equiv mark_disconnected(muster_comms, Node)
-spec mark_disconnected(node()) -> ok.
mark_disconnected(Node) ->
    mark_disconnected(?MODULE, Node).

%% @doc Says that a link is not to be used: nothing goes, critical messages neither, for as long as
%% with {@link update_link/3}. The BEAM's connection stays.
-spec mark_disconnected(server(), node()) -> ok.
mark_disconnected(Server, Node) ->
    ok = muster_arguments:check({?MODULE, mark_disconnected, [Server, Node]}, [{2, is_node_name(Node), ?NODE}]),
    by_hand(Server, Node, disconnected).

by_hand(Server, Node, Quality) ->
    gen_server:call(Server, {by_hand, Node, Quality}).

%% @equiv stats(muster_comms)
-spec stats() -> #{node() => counters()}.
stats() ->
    stats(?MODULE).

%% @doc What became of all messages, per link and priority: `sent' (handed to the BEAM), `dropped'
%% (refused with an error, too low for the link, or waiting when the link went) and `queued'. A link
%% that has been gone for an hour is forgotten with its counters.
-spec stats(server()) -> #{node() => counters()}.
stats(Server) ->
    gen_server:call(Server, stats).

%%% Receiving

%% @equiv subscribe(muster_comms)
-spec subscribe() -> ok | {error, no_receiver}.
subscribe() ->
    subscribe(?MODULE).

%% @doc Subscribes the calling process to what comes for this node, as `{swarm_msg, Message}'. Twice
%% is as good as once; a subscriber that dies is forgotten. `{error, no_receiver}' with the option
%% `{receiver, false}'. As long as another process has the name `swarm_comms', nothing comes.
-spec subscribe(server()) -> ok | {error, no_receiver}.
subscribe(Server) ->
    with_inbox(Server, fun muster_comms_inbox:subscribe/2).

%% @equiv unsubscribe(muster_comms)
-spec unsubscribe() -> ok | {error, no_receiver}.
unsubscribe() ->
    unsubscribe(?MODULE).

%% @doc Ends the calling process's subscription.
-spec unsubscribe(server()) -> ok | {error, no_receiver}.
unsubscribe(Server) ->
    with_inbox(Server, fun muster_comms_inbox:unsubscribe/2).

with_inbox(Server, Call) ->
    case gen_server:call(Server, inbox) of
        undefined -> {error, no_receiver};
        Inbox -> Call(Inbox, self())
    end.

%%% Arguments

is_node_name(Node) -> muster_leader_options:is_node(Node).

is_process_name({Name, Node}) -> is_atom(Name) andalso muster_server_name:is_name(Name) andalso is_node_name(Node);
is_process_name(_) -> false.

is_priority(Priority) -> lists:member(Priority, [critical, high, normal, low]).

is_rtt(Ms) -> is_number(Ms) andalso Ms >= 0.
