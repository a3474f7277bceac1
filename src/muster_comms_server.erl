%% @private
%% The process behind {@link muster_comms}: hands messages to the BEAM's distribution without ever
%% waiting for it, keeps what a busy link cannot take, and asks the node monitor how good the links
%% are.
-module(muster_comms_server).

-behaviour(gen_server).

-export([init/1, handle_call/3, handle_cast/2, handle_info/2, format_status/1]).
-ignore_xref([format_status/1]).

%% A busy link is tried again after that long, then after twice as long, up to the option.
-define(RETRY_MIN_MS, 5).

-record(state, {
    options :: #{atom() => term()},
    limits :: muster_comms_queue:limits(),
    inbox :: pid() | undefined,
    links = #{} :: #{node() => muster_comms_link:link()},
    %% Links that wait to be tried again, and how long this time.
    retries = #{} :: #{node() => pos_integer()},
    %% Attempts to connect to a node that only the user says is there.
    connecting = #{} :: #{Monitor :: reference() => node()},
    %% The node monitor is being asked, and which links have changed meanwhile.
    asking :: reference() | undefined,
    changed = [] :: [node()]
}).

%% @private
init(#{receiver := Receiver} = Options) ->
    %% First the subscription, then the list: a node that comes in between is met twice.
    ok = net_kernel:monitor_nodes(true, [{node_type, all}]),
    Inbox =
        case Receiver of
            true -> muster_comms_inbox:start_link();
            false -> undefined
        end,
    Limits = maps:with([queue_length, queue_bytes], Options),
    S = #state{options = Options, limits = Limits, inbox = Inbox},
    {ok, ask_monitor(lists:foldl(fun(Node, Acc) -> connected(Node, true, Acc) end, S, nodes()))}.

%% @private
handle_call({send, To, Message, Priority}, _From, S) ->
    {Reply, New} = send(To, Message, Priority, S),
    {reply, Reply, New};
handle_call({quality, Node}, _From, S) ->
    {reply, muster_comms_link:quality(now_ms(), link(Node, S)), S};
handle_call(links, _From, #state{links = Links} = S) ->
    Now = now_ms(),
    Others = maps:remove(node(), Links),
    {reply, maps:map(fun(_, L) -> muster_comms_link:quality(Now, L) end, Others), S};
handle_call(stats, _From, #state{links = Links} = S) ->
    {reply, maps:map(fun(_, L) -> muster_comms_link:counters(L) end, Links), S};
handle_call({by_hand, Node, Quality}, _From, #state{options = #{hold_ms := Hold}} = S) ->
    Until =
        case Hold of
            infinity -> infinity;
            _ -> now_ms() + Hold
        end,
    {reply, ok, put_link(Node, muster_comms_link:by_hand(Quality, Until, link(Node, S)), S)};
handle_call(inbox, _From, #state{inbox = Inbox} = S) ->
    {reply, Inbox, S};
handle_call(_, _From, S) ->
    {reply, {error, unknown_call}, S}.

%% @private
handle_cast(_, S) ->
    {noreply, S}.

%% @private
handle_info({nodeup, Node, Info}, S) when is_atom(Node), is_list(Info) ->
    {noreply, nodeup(Node, Info, S)};
handle_info({nodedown, Node, _Info}, S) ->
    {noreply, nodedown(Node, S)};
handle_info({retry, Node}, #state{retries = Retries} = S) when is_map_key(Node, Retries) ->
    {noreply, retry(Node, S)};
handle_info(ask_monitor, #state{asking = undefined} = S) ->
    {noreply, ask_monitor(S)};
handle_info({'DOWN', Asked, process, _, Result}, #state{asking = Asked} = S) ->
    {noreply, answered(Result, S)};
handle_info({'DOWN', Attempt, process, _, Result}, #state{connecting = Attempts} = S) ->
    case maps:take(Attempt, Attempts) of
        {Node, Rest} -> {noreply, attempted(Node, Result, S#state{connecting = Rest})};
        error -> {noreply, S}
    end;
handle_info(_, S) ->
    {noreply, S}.

%% @private
%% What waits may be large, and is nobody's business: a report of a crash shows how much it is.
format_status(Status) ->
    maps:map(
        fun
            (state, #state{links = Links, options = Options}) ->
                Counters = maps:map(fun(_, L) -> muster_comms_link:counters(L) end, Links),
                #{links => Counters, options => Options};
            (message, {send, To, _Message, Priority}) ->
                {send, To, '...', Priority};
            (_, Value) ->
                Value
        end,
        Status
    ).

%%% Sending

send({_, Node} = To, Message, Priority, S) ->
    L = link(Node, S),
    case muster_comms_link:ask(Priority, now_ms(), L) of
        send -> send_now(To, Message, Priority, L, S);
        wait -> wait(To, Message, Priority, L, S);
        drop -> refuse(dropped, Node, Priority, L, S);
        disconnected -> refuse(disconnected, Node, Priority, L, S)
    end.

send_now({_, Node} = To, Message, Priority, L, S) ->
    case hand_over(To, Message) of
        ok ->
            {ok, put_link(Node, muster_comms_link:sent(Priority, L), S)};
        nosuspend ->
            wait(To, Message, Priority, L, S);
        noconnect ->
            case muster_comms_link:is_up(L) of
                %% The BEAM is about to say that it has lost the node.
                true -> refuse(disconnected, Node, Priority, L, S);
                false -> wait(To, Message, Priority, L, connect(Node, S))
            end
    end.

%% Never waits: neither for a connection to be made nor for a full buffer.
hand_over(To, Message) ->
    erlang:send(To, Message, [nosuspend, noconnect]).

wait({_, Node} = To, Message, Priority, L, S) ->
    Bytes = erlang:external_size(Message),
    case muster_comms_link:wait(Priority, Bytes, {To, Message}, L) of
        {ok, Longer} -> {ok, retry_later(Node, ?RETRY_MIN_MS, put_link(Node, Longer, S))};
        full -> refuse(queue_full, Node, Priority, L, S)
    end.

refuse(Reason, Node, Priority, L, S) ->
    {{error, Reason}, put_link(Node, muster_comms_link:refuse(Priority, L), S)}.

%% Where the BEAM is not connected, what waits goes once it is.
retry_later(Node, Ms, #state{retries = Retries, links = Links} = S) ->
    case muster_comms_link:is_up(maps:get(Node, Links)) andalso not is_map_key(Node, Retries) of
        true ->
            #state{options = #{flush_interval_ms := Longest}} = S,
            Wait = min(Ms, Longest),
            erlang:send_after(Wait, self(), {retry, Node}),
            S#state{retries = Retries#{Node => Wait}};
        false ->
            S
    end.

retry(Node, #state{retries = Retries, links = Links} = S) ->
    {Waited, Rest} = maps:take(Node, Retries),
    S1 = S#state{retries = Rest},
    case Links of
        #{Node := L} -> flush(Node, L, 2 * Waited, S1);
        #{} -> S1
    end.

%% What waits, the highest priority first, until the link is busy again.
flush(Node, L, Wait, S) ->
    case muster_comms_link:peek(L) of
        empty ->
            put_link(Node, L, S);
        {_, {To, Message}} ->
            case hand_over(To, Message) of
                ok -> flush(Node, muster_comms_link:went(L), ?RETRY_MIN_MS, S);
                nosuspend -> retry_later(Node, Wait, put_link(Node, L, S));
                noconnect -> put_link(Node, muster_comms_link:drop_all(L), S)
            end
    end.

%%% Nodes that only the user says are there

connect(Node, #state{connecting = Attempts} = S) ->
    case lists:member(Node, maps:values(Attempts)) of
        true ->
            S;
        false ->
            {_, Monitor} = spawn_monitor(fun() -> exit(net_kernel:connect_node(Node)) end),
            S#state{connecting = Attempts#{Monitor => Node}}
    end.

attempted(Node, _Result, #state{links = Links} = S) ->
    case Links of
        #{Node := L} -> flush(Node, L, ?RETRY_MIN_MS, S);
        #{} -> S
    end.

%%% What the BEAM says

%% Hidden nodes, such as C nodes, have a link only once somebody has asked for it.
nodeup(Node, Info, #state{links = Links} = S) ->
    Wanted = Node =/= node() andalso lists:member({node_type, visible}, Info),
    case Wanted orelse is_map_key(Node, Links) of
        true -> connected(Node, true, S);
        false -> S
    end.

nodedown(Node, #state{links = Links} = S) when is_map_key(Node, Links) ->
    connected(Node, false, S);
nodedown(_, S) ->
    S.

connected(Node, Up, #state{changed = Changed} = S) ->
    L = muster_comms_link:up(Up, now_ms(), link(Node, S)),
    S1 = S#state{changed = [Node | Changed]},
    case Up of
        true -> flush(Node, L, ?RETRY_MIN_MS, S1);
        false -> put_link(Node, muster_comms_link:drop_all(L), S1)
    end.

%%% What the node monitor says

%% In a process of its own, as the answer may take a while. By its name each time: a monitor that
%% starts later, or again, is found.
ask_monitor(#state{options = #{node_monitor := Monitor}} = S) ->
    Ask = fun() -> exit({health, muster_node_monitor:list_all(Monitor)}) end,
    {_, Asked} = spawn_monitor(Ask),
    S#state{asking = Asked, changed = []}.

answered(Result, #state{links = Links, changed = Changed, options = Options} = S) ->
    erlang:send_after(maps:get(poll_interval_ms, Options), self(), ask_monitor),
    Measured = lists:foldl(fun measured/2, Links, healths(Result, Changed)),
    Now = now_ms(),
    Kept = maps:filter(fun(_, L) -> not muster_comms_link:is_forgotten(Now, L) end, Measured),
    S#state{asking = undefined, links = Kept}.

%% No monitor: what was measured stays. A record may be older than what the BEAM said meanwhile.
healths({health, Records}, Changed) when is_list(Records) ->
    [H || #{node := Node, connection := _} = H <- Records, not lists:member(Node, Changed)];
healths(_, _) ->
    [].

measured(#{node := Node} = Health, Links) ->
    case Links of
        #{Node := L} -> Links#{Node := muster_comms_link:measured(Health, L)};
        #{} -> Links
    end.

%%% Helpers

link(Node, #state{links = Links, limits = Limits}) ->
    case Links of
        #{Node := L} ->
            L;
        #{} when Node =:= node() ->
            %% Nobody measures it, so this holds until the user says otherwise.
            Now = now_ms(),
            muster_comms_link:by_hand(excellent, Now, muster_comms_link:new(true, Now, Limits));
        #{} ->
            muster_comms_link:new(lists:member(Node, nodes(connected)), now_ms(), Limits)
    end.

put_link(Node, L, #state{links = Links} = S) ->
    S#state{links = Links#{Node => L}}.

now_ms() ->
    erlang:monotonic_time(millisecond).
