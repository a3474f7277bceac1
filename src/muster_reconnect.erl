%% @private
%% When to connect to which node: the rules of {@link muster_connector}, pure. Events, the time and
%% the seed of the random numbers come in, effects go out; the process carries them out.
%%
%% A node that is wanted is in one of these phases:
%% <dl>
%% <dt>`waiting'</dt><dd>The C node has no link to it. The next `found' moves it on.</dd>
%% <dt>`backoff'</dt><dd>Its wait after a lost connection or a failed attempt is not over.</dd>
%% <dt>`asking'</dt><dd>The wait is over; the C node is asked whether its link is up.</dd>
%% <dt>`queued'</dt><dd>Ready, waiting for a worker.</dd>
%% <dt>`connecting'</dt><dd>A worker has it: never more than one.</dd>
%% <dt>`up'</dt><dd>The BEAM is connected to it.</dd>
%% </dl>
%%
%% == The waits ==
%% A connection that stood for `stable_ms' is worth a quick return; one that stood shorter, or an
%% attempt that failed, is a strike, and each strike doubles the wait, up to `backoff_max_ms'. Of
%% the wait 50 to 100 % is taken at random, so that nodes do not return in step.
%%
%% The first connection to a node is made at once. One that was lost is made again *carefully*:
%% the worker first finds out whether the node sees the same cluster as this one
%% (`muster_connector'), and if not it is `held' and tried again a little later. Such attempts do
%% not overlap, as the next one must know what came of the one before; a hung one makes the others
%% wait for `?CAREFUL_GAP_MS' at most.
-module(muster_reconnect).

-export([new/1, step/3, next/1, info/1, phase/2, by/2, is_up/2, known/1]).

-export_type([core/0, event/0, effect/0, node_name/0, attempt/0, result/0, settings/0, phase/0]).

-define(HOLD_MS, 2000).
-define(CAREFUL_GAP_MS, 1000).

%% Names are what the C node sends: binaries.
-type node_name() :: binary().
-type attempt() :: pos_integer().
-type phase() :: waiting | backoff | asking | queued | connecting | up.
-type result() :: true | false | ignored | timeout | held | {failed, term()}.
-type settings() :: #{
    workers := pos_integer(),
    backoff_min_ms := pos_integer(),
    backoff_max_ms := pos_integer(),
    stable_ms := non_neg_integer(),
    hold_limit_ms := non_neg_integer(),
    seed := rand:seed() | rand:export_state()
}.
-type event() ::
    %% By a topology: its name and cookie are proved, the C node's link to it is up.
    {found, node_name(), By :: term()}
    %% By a topology, and to be connected although the C node can prove nothing.
    | {unproven, node_name(), By :: term()}
    | {lost, node_name(), By :: term()}
    %% The BEAM's connections.
    | {up, node_name()}
    | {down, node_name()}
    %% A worker's end.
    | {ended, node_name(), attempt(), result()}
    %% The C node's answer.
    | {link, node_name(), up | down}
    %% A peer said that it leaves.
    | {leaving, node_name(), boolean()}
    | pause
    | resume
    %% What is down is forgotten until it is found again.
    | {forget, node_name()}
    | tick.
-type effect() ::
    {connect, node_name(), attempt(), careful | plain}
    | {ask_link, node_name()}.

-record(node, {
    phase = waiting :: phase(),
    by = #{} :: #{term() => found | unproven},
    attempt :: attempt() | undefined,
    started = 0 :: integer(),
    until :: integer() | undefined,
    up_since :: integer() | undefined,
    strikes = 0 :: non_neg_integer(),
    careful = plain :: careful | plain,
    %% Since when it is held back.
    held :: integer() | undefined,
    leaving = false :: boolean()
}).

-record(core, {
    settings :: settings(),
    rand :: rand:state(),
    nodes = #{} :: #{node_name() => #node{}},
    %% Every connected node, wanted or not, and since when.
    up = #{} :: #{node_name() => integer()},
    queue = queue:new() :: queue:queue(node_name()),
    busy = 0 :: non_neg_integer(),
    next_attempt = 1 :: attempt(),
    paused = false :: boolean()
}).

-opaque core() :: #core{}.

-spec new(settings()) -> core().
new(#{seed := Seed} = Settings) ->
    #core{settings = Settings, rand = rand:seed_s(exsss, Seed)}.

%% @doc One event at a time (milliseconds, never decreasing).
-spec step(event(), integer(), core()) -> {[effect()], core()}.
step(Event, Now, Core) ->
    {Effects, Core1} = event(Event, Now, Core),
    {More, Core2} = dispatch(Now, Core1),
    {Effects ++ More, Core2}.

%% @doc When to send the next `tick'.
-spec next(core()) -> integer() | infinity.
next(#core{paused = true}) ->
    infinity;
next(#core{nodes = Nodes} = Core) ->
    maps:fold(
        fun
            (_, #node{phase = backoff, until = Until}, Min) -> min(Until, Min);
            (_, _, Min) -> Min
        end,
        gap(Core),
        Nodes
    ).

%% When the next careful attempt may begin. Only matters to those that wait for it, and not where it
%% is a worker that they wait for.
gap(#core{nodes = Nodes, queue = Queue, busy = Busy, settings = #{workers := Workers}}) ->
    Careful = [At || #node{phase = connecting, careful = careful, started = At} <- maps:values(Nodes)],
    case Careful =:= [] orelse Busy >= Workers orelse queue:is_empty(Queue) of
        true -> infinity;
        false -> lists:max(Careful) + ?CAREFUL_GAP_MS
    end.

%% @doc The nodes wanted: phase, strikes, whether held back, by whom wanted.
-spec info(core()) -> #{node_name() => #{atom() => term()}}.
info(#core{nodes = Nodes}) ->
    maps:map(
        fun(_, #node{} = N) ->
            #{
                phase => N#node.phase,
                strikes => N#node.strikes,
                held => N#node.held =/= undefined,
                leaving => N#node.leaving,
                by => maps:keys(N#node.by)
            }
        end,
        Nodes
    ).

-spec phase(node_name(), core()) -> phase() | none.
phase(Name, #core{nodes = Nodes}) ->
    case Nodes of
        #{Name := #node{phase = Phase}} -> Phase;
        #{} -> none
    end.

%% @doc Who wants a node.
-spec by(node_name(), core()) -> [term()].
by(Name, #core{nodes = Nodes}) ->
    case Nodes of
        #{Name := #node{by = By}} -> maps:keys(By);
        #{} -> []
    end.

-spec is_up(node_name(), core()) -> boolean().
is_up(Name, #core{up = Up}) ->
    is_map_key(Name, Up).

-spec known(core()) -> [node_name()].
known(#core{nodes = Nodes}) ->
    maps:keys(Nodes).

%%% Events

event({found, Name, By}, Now, Core) ->
    wanted(Name, By, found, Now, Core);
event({unproven, Name, By}, Now, Core) ->
    wanted(Name, By, unproven, Now, Core);
event({lost, Name, By}, _Now, Core) ->
    {[], lost(Name, By, Core)};
event({up, Name}, Now, Core) ->
    {[], up(Name, Now, Core)};
event({down, Name}, Now, Core) ->
    {[], down(Name, Now, Core)};
event({ended, Name, Attempt, Result}, Now, Core) ->
    {[], ended(Name, Attempt, Result, Now, Core)};
event({link, Name, Link}, _Now, Core) ->
    {[], link(Name, Link, Core)};
event({leaving, Name, Leaving}, Now, Core) ->
    leaving(Name, Leaving, Now, Core);
event({forget, Name}, _Now, Core) ->
    {[], forget(Name, Core)};
event(pause, _Now, Core) ->
    {[], Core#core{paused = true}};
event(resume, Now, Core) ->
    event(tick, Now, Core#core{paused = false});
event(tick, _Now, #core{paused = true} = Core) ->
    {[], Core};
event(tick, Now, #core{nodes = Nodes} = Core) ->
    maps:fold(fun(Name, N, Acc) -> due(Name, N, Now, Acc) end, {[], Core}, Nodes).

wanted(Name, By, How, Now, #core{nodes = Nodes, up = Up} = Core) ->
    N = maps:get(Name, Nodes, #node{}),
    N1 = N#node{by = (N#node.by)#{By => How}, leaving = false},
    case {N1, Up} of
        {_, #{Name := Since}} when N1#node.phase =:= waiting ->
            {[], put_node(Name, N1#node{phase = up, up_since = Since}, Core)};
        {#node{phase = waiting, until = Until}, _} when is_integer(Until), Until > Now ->
            {[], put_node(Name, N1#node{phase = backoff}, Core)};
        {#node{phase = waiting}, _} ->
            {[], enqueue(Name, N1, Core)};
        {#node{phase = asking}, _} when How =:= found ->
            %% Which is the answer; the other may never come.
            {[], enqueue(Name, N1, Core)};
        _ ->
            {[], put_node(Name, N1, Core)}
    end.

%% A worker that is at it goes on; its result finds nobody waiting.
lost(Name, By, #core{nodes = Nodes} = Core) ->
    case Nodes of
        #{Name := #node{by = #{By := _} = Bys} = N} ->
            Left = maps:remove(By, Bys),
            N1 = N#node{by = Left},
            case {map_size(Left), N#node.phase} of
                {0, connecting} -> put_node(Name, N1, Core);
                {0, _} -> remove(Name, Core);
                _ -> put_node(Name, N1, Core)
            end;
        #{} ->
            Core
    end.

up(Name, Now, #core{nodes = Nodes, up = Up} = Core) ->
    Since = maps:get(Name, Up, Now),
    Core1 = Core#core{up = Up#{Name => Since}},
    case Nodes of
        #{Name := #node{phase = connecting} = N} ->
            %% The phase is the worker's until it ends.
            put_node(Name, N#node{up_since = Since}, Core1);
        #{Name := N} ->
            put_node(Name, connected(N, Since), unqueue(Name, Core1));
        #{} ->
            Core1
    end.

connected(N, Since) ->
    N#node{phase = up, up_since = Since, until = undefined, held = undefined, attempt = undefined}.

down(Name, Now, #core{nodes = Nodes, up = Up} = Core) ->
    Core1 = Core#core{up = maps:remove(Name, Up)},
    case Nodes of
        #{Name := #node{phase = up, up_since = Since} = N} ->
            wait(Name, strike(Now - Since, N#node{careful = careful}, Core), Now, Core1);
        #{Name := #node{phase = connecting} = N} ->
            put_node(Name, N#node{up_since = undefined, careful = careful}, Core1);
        #{} ->
            Core1
    end.

strike(Lifetime, N, #core{settings = #{stable_ms := Stable}}) when Lifetime >= Stable ->
    N#node{strikes = 0};
strike(_, #node{strikes = Strikes} = N, _) ->
    N#node{strikes = Strikes + 1}.

ended(Name, Attempt, Result, Now, #core{nodes = Nodes} = Core) ->
    case Nodes of
        #{Name := #node{attempt = Attempt, phase = connecting} = N} ->
            Core1 = Core#core{busy = Core#core.busy - 1},
            case map_size(N#node.by) of
                0 -> remove(Name, Core1);
                _ -> result(Name, N#node{attempt = undefined}, Result, Now, Core1)
            end;
        #{} ->
            Core
    end.

%% Whether there is a connection is what the BEAM says, not what the attempt returned.
result(Name, N, Result, Now, #core{up = Up} = Core) ->
    case {Up, Result} of
        {#{Name := Since}, _} ->
            put_node(Name, connected(N, Since), Core);
        {#{}, held} ->
            N1 = N#node{held = since(N#node.held, Now)},
            {Wait, Core1} = jitter(?HOLD_MS, Core),
            put_node(Name, N1#node{phase = backoff, until = Now + Wait}, Core1);
        {#{}, _} ->
            wait(Name, N#node{strikes = N#node.strikes + 1, held = undefined}, Now, Core)
    end.

since(undefined, Now) -> Now;
since(At, _) -> At.

link(Name, Link, #core{nodes = Nodes} = Core) ->
    case Nodes of
        #{Name := #node{phase = asking} = N} when Link =:= up -> enqueue(Name, N, Core);
        #{Name := #node{phase = asking} = N} -> put_node(Name, N#node{phase = waiting}, Core);
        #{} -> Core
    end.

leaving(Name, Leaving, Now, #core{nodes = Nodes} = Core) ->
    case Nodes of
        #{Name := #node{leaving = Leaving}} ->
            {[], Core};
        #{Name := #node{phase = queued} = N} when Leaving ->
            {[], put_node(Name, N#node{leaving = true, phase = backoff, until = Now},
                unqueue(Name, Core))};
        #{Name := N} ->
            {[], put_node(Name, N#node{leaving = Leaving}, Core)};
        #{} ->
            {[], Core}
    end.

forget(Name, #core{nodes = Nodes, up = Up} = Core) ->
    case Nodes of
        #{Name := #node{phase = Phase}} when Phase =/= connecting, not is_map_key(Name, Up) ->
            remove(Name, Core);
        #{} ->
            Core
    end.

%% A wait that is over. A node that said it leaves waits on, for its next `found'.
due(Name, #node{phase = backoff, until = Until, leaving = Leaving} = N, Now, {Effects, Core}) when
    Until =< Now
->
    case Leaving of
        true ->
            {Effects, put_node(Name, N#node{phase = waiting, until = undefined}, Core)};
        false ->
            case lists:member(found, maps:values(N#node.by)) of
                true -> {[{ask_link, Name} | Effects], put_node(Name, N#node{phase = asking}, Core)};
                false -> {Effects, enqueue(Name, N, Core)}
            end
    end;
due(_, _, _, Acc) ->
    Acc.

%%% Attempts

enqueue(Name, N, #core{queue = Queue} = Core) ->
    put_node(Name, N#node{phase = queued, until = undefined}, Core#core{
        queue = queue:in(Name, Queue)
    }).

unqueue(Name, #core{queue = Queue} = Core) ->
    Core#core{queue = queue:filter(fun(Other) -> Other =/= Name end, Queue)}.

dispatch(_Now, #core{paused = true} = Core) ->
    {[], Core};
dispatch(Now, #core{queue = Queue} = Core) ->
    dispatch(queue:to_list(Queue), Now, [], Core).

dispatch([], _Now, Effects, Core) ->
    {lists:reverse(Effects), Core};
dispatch(_, _Now, Effects, #core{busy = Busy, settings = #{workers := Busy}} = Core) ->
    {lists:reverse(Effects), Core};
dispatch([Name | Rest], Now, Effects, #core{nodes = Nodes} = Core) ->
    N = maps:get(Name, Nodes),
    Careful = carefully(N, Now, Core),
    case N#node.careful =:= careful andalso careful_busy(Now, Core) of
        true ->
            dispatch(Rest, Now, Effects, Core);
        false ->
            #core{busy = Busy, next_attempt = Attempt} = Core,
            N1 = N#node{phase = connecting, attempt = Attempt, started = Now},
            Core1 = (unqueue(Name, put_node(Name, N1, Core)))#core{
                busy = Busy + 1, next_attempt = Attempt + 1
            },
            dispatch(Rest, Now, [{connect, Name, Attempt, Careful} | Effects], Core1)
    end.

%% What was held for too long is tried all the same: what the other side said may be wrong.
carefully(#node{held = Held}, Now, #core{settings = #{hold_limit_ms := Limit}}) when
    is_integer(Held), Now - Held >= Limit
->
    plain;
carefully(#node{careful = Careful}, _, _) ->
    Careful.

careful_busy(Now, #core{nodes = Nodes}) ->
    lists:any(
        fun
            (#node{phase = connecting, careful = careful, started = At}) ->
                Now - At < ?CAREFUL_GAP_MS;
            (_) ->
                false
        end,
        maps:values(Nodes)
    ).

wait(Name, N, Now, Core) ->
    {Wait, Core1} = jitter(backoff(N#node.strikes, Core#core.settings), Core),
    put_node(Name, N#node{phase = backoff, until = Now + Wait, attempt = undefined}, Core1).

backoff(Strikes, #{backoff_min_ms := Min, backoff_max_ms := Max}) ->
    min(Max, Min bsl min(Strikes, 30)).

jitter(Ms, #core{rand = Rand} = Core) ->
    {Random, Rand1} = rand:uniform_s(Rand),
    {round(Ms * (0.5 + Random / 2)), Core#core{rand = Rand1}}.

put_node(Name, N, #core{nodes = Nodes} = Core) ->
    Core#core{nodes = Nodes#{Name => N}}.

remove(Name, #core{nodes = Nodes} = Core) ->
    unqueue(Name, Core#core{nodes = maps:remove(Name, Nodes)}).
