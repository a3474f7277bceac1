%% @private
%% The server of {@link muster_cnode}: starts the C node and restarts it with back-off, tells it
%% which cluster to join, and carries requests and events to and fro.
-module(muster_cnode_server).

-behaviour(gen_server).

-export([
    init/1,
    handle_continue/2,
    handle_call/3,
    handle_cast/2,
    handle_info/2,
    terminate/2,
    format_status/1
]).
-ignore_xref([format_status/1]).

-include_lib("kernel/include/logger.hrl").

-define(PROTOCOL, 1).
-define(BACKOFF_MIN_MS, 100).
-define(BACKOFF_MAX_MS, 5000).
%% A C node that lived that long is taken for a working one: its end starts at the shortest
%% back-off again.
-define(STABLE_MS, 5000).
%% How often the cookie is looked at, of whose change the BEAM tells nobody, and what kept the C
%% node out of the cluster is tried again.
-define(CHECK_MS, 1000).
-define(STOP_MS, 4000).
-define(LOG_META, #{domain => [muster]}).

-type phase() ::
    %% none for this platform, or none wanted
    unavailable
    %% between two
    | down
    %% started, configured, not heard of yet: requests are accepted, they wait in the pipe
    | starting
    | up
    %% told to leave, its exit is awaited
    | stopping.

-record(state, {
    options :: #{atom() => term()},
    phase = down :: phase(),
    down_reason = starting :: term(),
    generation = 0 :: muster_cnode:generation(),
    owner :: pid() | undefined,
    os_pid :: pos_integer() | undefined,
    up_since = 0 :: integer(),
    backoff = ?BACKOFF_MIN_MS :: pos_integer(),
    requests = muster_cnode_requests:new() :: muster_cnode_requests:requests(),
    services = muster_cnode_services:new() :: muster_cnode_services:services(),
    cluster = muster_cnode_cluster:new() :: muster_cnode_cluster:cluster()
}).

%% @private
init(Options) ->
    process_flag(trap_exit, true),
    %% For the node's own coming alive; other nodes' are the services' matter.
    ok = net_kernel:monitor_nodes(true),
    schedule_check(),
    {ok, #state{options = Options}, {continue, start}}.

%% @private
handle_continue(start, S) ->
    {noreply, start_cnode(S)}.

%% @private
handle_call(available, _From, S) ->
    {reply, S#state.phase =/= unavailable, S};
handle_call({call, Service, Op, Arg}, From, S) ->
    {noreply, request({from, From}, Service, Op, Arg, S)};
handle_call(_, _From, S) ->
    {reply, {error, unknown_call}, S}.

%% @private
handle_cast({request, ReplyTo, Service, Op, Arg}, S) ->
    {noreply, request(ReplyTo, Service, Op, Arg, S)};
handle_cast({cast, Service, Op, Arg}, S) ->
    {noreply, cast_to_cnode(Service, Op, Arg, S)};
handle_cast({register, Pid, Service, Key, OnExit}, S) ->
    {noreply, add_service(Pid, {Service, Key}, OnExit, S)};
handle_cast({unregister, Pid, Service, Key}, S) ->
    Left = muster_cnode_services:remove(Pid, {Service, Key}, normal, S#state.services),
    {noreply, say_farewell(Left, S)};
handle_cast(_, S) ->
    {noreply, S}.

%% @private
handle_info({muster_port_owner, Owner, What}, #state{owner = Owner} = S) ->
    case What of
        {frame, Binary} -> {noreply, frame(Binary, S)};
        hung -> {noreply, went_down(hung, S)}
    end;
handle_info({'EXIT', Owner, Reason}, #state{owner = Owner} = S) ->
    {noreply, owner_exited(Reason, S)};
handle_info({'DOWN', _, process, {muster_port_owner, _}, _}, #state{owner = undefined} = S) ->
    {noreply, start_cnode(S)};
handle_info(restart, #state{owner = undefined} = S) ->
    {noreply, start_cnode(S)};
handle_info({'DOWN', _, process, Pid, Reason}, S) ->
    {noreply, say_farewell(muster_cnode_services:gone(Pid, Reason, S#state.services), S)};
handle_info({nodeup, Node}, S) when Node =:= node() ->
    {noreply, distribute(S)};
handle_info({nodedown, Node}, #state{cluster = Cluster} = S) ->
    case muster_cnode_cluster:is_beside(Node, Cluster) of
        true -> {noreply, renamed(S)};
        false -> {noreply, S}
    end;
handle_info(check, S) ->
    schedule_check(),
    {noreply, send_cookies(distribute(S))};
handle_info({'EXIT', Pid, Reason}, #state{owner = Owner} = S) when Pid =/= Owner, is_pid(Pid) ->
    %% Linked to nobody but the owner and the supervisor, whose exits must end this process.
    case Reason of
        normal -> {noreply, S};
        _ -> {stop, Reason, S}
    end;
handle_info(_, S) ->
    {noreply, S}.

%% @private
terminate(_Reason, #state{owner = undefined}) ->
    ok;
terminate(_Reason, #state{owner = Owner}) ->
    muster_port_owner:stop(Owner),
    receive
        {'EXIT', Owner, _} -> ok
    after ?STOP_MS ->
        exit(Owner, kill)
    end.

%% @private
%% Cookies, and the options of strategies among the requests, stay out of crash reports.
format_status(Status) ->
    maps:map(
        fun
            (state, S) -> S#state{cluster = muster_cnode_cluster:concealed(S#state.cluster)};
            (message, Message) -> without_argument(Message);
            (log, Events) -> [without_arguments(Event) || Event <- Events];
            (_, Value) -> Value
        end,
        Status
    ).

without_argument({'$gen_cast', Request}) -> {'$gen_cast', without_argument(Request)};
without_argument({'$gen_call', From, Request}) -> {'$gen_call', From, without_argument(Request)};
without_argument({request, ReplyTo, Service, Op, _}) -> {request, ReplyTo, Service, Op, '...'};
without_argument({cast, Service, Op, _}) -> {cast, Service, Op, '...'};
without_argument({call, Service, Op, _}) -> {call, Service, Op, '...'};
without_argument(Message) -> Message.

without_arguments(Event) when is_tuple(Event) ->
    list_to_tuple([without_argument(Element) || Element <- tuple_to_list(Event)]);
without_arguments(Event) ->
    Event.

%%% Starting and ending the C node

start_cnode(#state{options = Options} = S) ->
    case muster_cnode_program:executable(Options) of
        {ok, Path} -> start_cnode(Path, S);
        {error, Why} -> unavailable(Why, S)
    end.

unavailable(Why, S) ->
    ?LOG_NOTICE("muster runs without a C node: ~ts", [Why], ?LOG_META),
    notify({muster_cnode, down, S#state.generation, unavailable}, S),
    S#state{phase = unavailable, down_reason = unavailable}.

start_cnode(Path, #state{options = Options} = S) ->
    case muster_port_owner:start_link(Options#{path => Path}) of
        {ok, Owner, OsPid} ->
            configure(S#state{
                phase = starting,
                generation = erlang:unique_integer([positive, monotonic]),
                owner = Owner,
                os_pid = OsPid
            });
        {error, {already_started, _}} ->
            %% Of a predecessor of this process: its C node is still leaving.
            erlang:monitor(process, muster_port_owner),
            S;
        {error, Reason} ->
            ?LOG_ERROR("muster's C node ~ts cannot be started: ~0tp", [Path, Reason], ?LOG_META),
            restart_later(S)
    end.

configure(#state{options = #{heartbeat_ms := Interval, cnode_priority := Priority}} = S) ->
    send({configure, ?PROTOCOL, #{heartbeat_ms => Interval, priority => Priority}}, S),
    distribute(S).

owner_exited(Reason, #state{phase = stopping} = S) ->
    start_cnode(gone(Reason, S));
owner_exited(Reason, S) ->
    restart_later(gone(Reason, went_down(Reason, S))).

gone(Reason, #state{os_pid = OsPid} = S) ->
    case Reason of
        {exited, _} -> ok;
        hung -> ok;
        normal -> ok;
        %% The owner itself was killed or failed, and may have left its C node behind.
        _ -> muster_os_process:kill(OsPid)
    end,
    S#state{owner = undefined, os_pid = undefined}.

restart_later(#state{backoff = Backoff} = S) ->
    erlang:send_after(Backoff, self(), restart),
    S#state{backoff = min(2 * Backoff, ?BACKOFF_MAX_MS)}.

went_down(_Reason, #state{phase = down} = S) ->
    S;
went_down(Reason, S) ->
    ?LOG_WARNING("muster's C node ~ts; it will be restarted", [in_words(Reason, S)], ?LOG_META),
    leave_phase(down, Reason, S).

in_words({exited, Status}, #state{phase = starting, options = Options}) when is_integer(Status) ->
    Path =
        case muster_cnode_program:executable(Options) of
            {ok, Program} -> Program;
            {error, Why} -> Why
        end,
    io_lib:format("exited with status ~b before it said a word (does `~ts --version' run here?)", [Status, Path]);
in_words({exited, Status}, _) when is_integer(Status) ->
    io_lib:format("exited with status ~b", [Status]);
in_words(hung, _) ->
    "sent no heartbeats and was killed";
in_words(Reason, _) ->
    io_lib:format("is gone (~0tp)", [Reason]).

leave_phase(Phase, Reason, #state{phase = Was, generation = Generation} = S) ->
    {Askers, None} = muster_cnode_requests:take_all(S#state.requests),
    lists:foreach(fun(Asker) -> reply(Asker, {error, cnode_down}) end, Askers),
    UptimeMs = now_ms() - S#state.up_since,
    case Was of
        up ->
            notify({muster_cnode, down, Generation, Reason}, S),
            muster_telemetry:execute(
                [muster, cnode, down],
                #{system_time => erlang:system_time(), uptime_ms => UptimeMs},
                #{generation => Generation, reason => Reason}
            );
        _ ->
            ok
    end,
    S#state{
        phase = Phase,
        down_reason = Reason,
        requests = None,
        cluster = muster_cnode_cluster:leave(S#state.cluster),
        backoff = backoff(Was, UptimeMs, S)
    }.

backoff(up, UptimeMs, _) when UptimeMs >= ?STABLE_MS -> ?BACKOFF_MIN_MS;
backoff(_, _, #state{backoff = Backoff}) -> Backoff.

%%% The cluster

%% Tells a C node that runs which one to join, if that is news.
distribute(#state{phase = Phase, cluster = Cluster} = S) when Phase =:= starting; Phase =:= up ->
    {News, New} = muster_cnode_cluster:join(Cluster),
    cluster_news(News, S#state{cluster = New});
distribute(S) ->
    S.

cluster_news(none, S) ->
    S;
cluster_news({distribute, Config}, S) ->
    request(distribute, node, distribute, Config, S);
cluster_news(renamed, S) ->
    renamed(S);
cluster_news({kept_out, Why} = Event, S) ->
    _ = Why =/= none andalso
        ?LOG_ERROR("muster's C node stays out of the cluster: ~ts", [Why], ?LOG_META),
    notify_key({node, peers}, Event, S),
    S.

renamed(#state{owner = Owner} = S) when is_pid(Owner) ->
    muster_port_owner:stop(Owner),
    leave_phase(stopping, renamed, S);
renamed(S) ->
    S.

peer_event(Event, #state{cluster = Cluster} = S) ->
    {IsMismatch, New} = muster_cnode_cluster:peer_event(Event, Cluster),
    case IsMismatch of
        true -> send_cookies(S#state{cluster = New});
        false -> S#state{cluster = New}
    end.

send_cookies(#state{cluster = Cluster} = S) ->
    {Arguments, New} = muster_cnode_cluster:new_cookies(Cluster),
    Send = fun(Argument, Acc) -> cast_to_cnode(node, set_cookie, Argument, Acc) end,
    lists:foldl(Send, S#state{cluster = New}, Arguments).

%%% Frames from the C node

frame(Binary, S) ->
    %% It is our own program, and its names are binaries by protocol: no atoms from the network.
    try binary_to_term(Binary) of
        Term -> term(Term, S)
    catch
        error:badarg ->
            ?LOG_WARNING("muster's C node sent a malformed frame", [], ?LOG_META),
            S
    end.

term({log, Level, Text}, S) ->
    logger:log(Level, "~ts", [Text], ?LOG_META),
    S;
term(_, #state{phase = Phase} = S) when Phase =/= starting, Phase =/= up ->
    %% Said before it went.
    S;
term({reply, Id, Result}, #state{requests = Requests} = S) ->
    case muster_cnode_requests:take(Id, Requests) of
        {Asker, Rest} -> answered(Asker, Result, S#state{requests = Rest});
        error -> S
    end;
term({event, node, peers, Event}, S) ->
    notify_key({node, peers}, Event, S),
    peer_event(Event, S);
term({event, Service, Key, Event}, S) ->
    notify_key({Service, Key}, Event, S),
    S;
term({hello, ?PROTOCOL, Info}, #state{phase = starting} = S) ->
    came_up(Info, S);
term({hello, Version, _}, #state{owner = Owner} = S) ->
    ?LOG_ERROR("muster's C node speaks version ~0tp of the control protocol, expected ~b",
        [Version, ?PROTOCOL], ?LOG_META),
    muster_port_owner:stop(Owner),
    S;
term({refused, Reason}, S) ->
    ?LOG_ERROR("muster's C node refused its configuration: ~ts", [Reason], ?LOG_META),
    S;
term(Term, S) ->
    ?LOG_WARNING("muster's C node sent an unknown frame: ~0tP", [Term, 20], ?LOG_META),
    S.

came_up(Info, #state{generation = Generation, os_pid = OsPid} = S) ->
    notify({muster_cnode, up, Generation}, S),
    muster_telemetry:execute(
        [muster, cnode, up],
        #{system_time => erlang:system_time()},
        #{
            generation => Generation,
            os_pid => OsPid,
            version => maps:get(version, Info, <<>>)
        }
    ),
    S#state{phase = up, up_since = now_ms()}.

answered(distribute, Result, #state{cluster = Cluster} = S) ->
    {News, New} = muster_cnode_cluster:answered(Result, Cluster),
    cluster_news(News, S#state{cluster = New});
answered(Asker, Result, S) ->
    reply(Asker, Result),
    S.

%%% Requests

request(Asker, _, _, _, #state{phase = unavailable} = S) ->
    reply(Asker, {error, unavailable}),
    S;
request(Asker, _, _, _, #state{phase = Phase} = S) when Phase =:= down; Phase =:= stopping ->
    reply(Asker, {error, cnode_down}),
    S;
request(Asker, Service, Op, Arg, #state{requests = Requests} = S) ->
    {Id, New} = muster_cnode_requests:add(Asker, Requests),
    send({call, Id, Service, Op, Arg}, S),
    S#state{requests = New}.

cast_to_cnode(Service, Op, Arg, #state{phase = Phase} = S) when Phase =:= up; Phase =:= starting ->
    send({cast, Service, Op, Arg}, S),
    S;
cast_to_cnode(_, _, _, S) ->
    S.

send(Term, #state{owner = Owner}) ->
    muster_port_owner:send(Owner, term_to_binary(Term)).

reply({from, From}, Result) ->
    gen_server:reply(From, Result);
reply({message, Pid, Tag}, Result) ->
    Pid ! {muster_cnode, reply, Tag, Result},
    ok;
reply(distribute, _) ->
    ok.

%%% Services

add_service(Pid, ServiceKey, OnExit, #state{services = Services, cluster = Cluster} = S) ->
    Pid ! presence(S),
    KeptOut = muster_cnode_cluster:kept_out(Cluster),
    _ = KeptOut =/= none andalso ServiceKey =:= {node, peers} andalso
        (Pid ! {muster_cnode, event, node, peers, {kept_out, KeptOut}}),
    S#state{services = muster_cnode_services:add(Pid, ServiceKey, OnExit, Services)}.

presence(#state{phase = up, generation = Generation}) ->
    {muster_cnode, up, Generation};
presence(#state{down_reason = Reason, generation = Generation}) ->
    {muster_cnode, down, Generation, Reason}.

say_farewell({Farewells, Services}, S) ->
    lists:foldl(
        fun({Service, Op, Arg}, Acc) -> cast_to_cnode(Service, Op, Arg, Acc) end,
        S#state{services = Services},
        Farewells
    ).

notify(Message, #state{services = Services}) ->
    muster_cnode_services:tell_all(Message, Services).

notify_key(ServiceKey, Event, #state{services = Services}) ->
    muster_cnode_services:tell(ServiceKey, Event, Services).

schedule_check() ->
    erlang:send_after(?CHECK_MS, self(), check).

now_ms() ->
    erlang:monotonic_time(millisecond).
