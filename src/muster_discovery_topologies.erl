%% @private
%% A discovery server's topologies as the C node runs them: started there, and again whenever the C
%% node is a new one or has refused; and what it says of them. A value in the server's state, which
%% passes its messages to {@link handle/2}. The service is `discovery' in `docs/control-port.md'.
-module(muster_discovery_topologies).

-export([new/2, handle/2, stop/1, resume/1, sync/3, set_metadata/2]).
-export([say_what_lacks/2, is_settled/1, started/1, mfas/1, concealed/1]).
-export([status/1, facts/1, last_sync/1, last_error/1]).

-export_type([topologies/0, happening/0]).

-include_lib("kernel/include/logger.hrl").

-define(RETRY_MS, 5000).
-define(COMPLAINTS_MAX, 100).
-define(LOG_META, #{domain => [muster]}).

-type name() :: term().

-record(topologies, {
    all :: #{name() => muster_discovery_topology:topology()},
    keys :: #{Key :: binary() => name()},
    %% Of each topology, and for the states of peers that refuse us; none without a topology.
    registration :: muster_cnode_registration:registration() | undefined,
    cnode = starting :: starting | up | {down, Reason :: term()},
    generation :: muster_cnode:generation() | undefined,
    %% Why the C node is in no cluster.
    kept_out = none :: none | binary(),
    %% The user wants them to rest.
    stopped = false :: boolean(),
    connect_unproven :: boolean(),
    %% What this node says of itself.
    metadata :: {Version :: integer(), muster_discovery:metadata()},
    %% What was logged: that there is no C node, and who refuses us.
    warned = false :: boolean(),
    complaints = #{} :: #{{Node :: binary(), State :: atom()} => true}
}).

-opaque topologies() :: #topologies{}.
-type happening() ::
    %% The C node is gone, or not there.
    {down, Reason :: term()}
    %% It does not take a topology, and is asked again; in words, if it said something else before.
    | {refused, name(), Reason :: term(), News :: binary() | none}
    %% A node that passes the topology's filter is to be connected: it has proved its name, or need
    %% not.
    | {found | unproven, Node :: binary(), name()}
    | {lost, Node :: binary(), name()}
    | {metadata, Node :: binary(), Version :: integer(), term()}
    %% A topology's backend answered, by itself or when it was asked.
    | {sync, name(), ok, #{duration_us := integer(), listed := integer()}}
    | {sync, name(), error, Text :: binary()}
    %% It was not asked.
    | {not_asked, Id :: term(), name(), Text :: binary()}.

%% From the server's options, and what this node says of itself.
-spec new(#{atom() => term()}, {Version :: integer(), muster_discovery:metadata()}) -> topologies().
new(#{name := Server, topologies := Specs, connect_unproven := ConnectUnproven}, Metadata) ->
    All = maps:from_list([{maps:get(name, Spec), muster_discovery_topology:new(Spec, Server)} || Spec <- Specs]),
    Keys = maps:from_list([{muster_discovery_topology:key(T), Name} || {Name, T} <- maps:to_list(All)]),
    registered(#topologies{all = All, keys = Keys, connect_unproven = ConnectUnproven, metadata = Metadata}).

registered(#topologies{keys = Keys} = Ts) when map_size(Keys) =:= 0 ->
    Ts#topologies{cnode = {down, no_strategy}};
registered(#topologies{keys = Keys} = Ts) ->
    Own = [{discovery, Key, {stop, #{topology => Key}}} || Key <- maps:keys(Keys)],
    Ts#topologies{registration = muster_cnode_registration:new([{node, peers, none} | Own])}.

%%% What the C node says

%% What a message of the server's means to the topologies.
-spec handle(Message :: term(), topologies()) -> {[happening()], topologies()} | unknown.
handle({muster_cnode, event, discovery, Key, Event}, #topologies{keys = Keys} = Ts) ->
    case Keys of
        #{Key := Name} -> event(Event, Name, Ts);
        #{} -> {[], Ts}
    end;
handle({muster_cnode, event, node, peers, {kept_out, Why}}, Ts) ->
    {[], Ts#topologies{kept_out = Why}};
handle({muster_cnode, event, node, peers, Event}, Ts) ->
    {[], complain(Event, Ts)};
handle({muster_cnode, reply, Tag, Result}, Ts) ->
    reply(Tag, Result, Ts);
handle({retry, Generation, Name}, #topologies{generation = Generation} = Ts) ->
    start(Name, Ts),
    {[], Ts};
handle(_, #topologies{registration = undefined}) ->
    unknown;
handle(Message, #topologies{registration = Registration} = Ts) ->
    case muster_cnode_registration:handle(Message, Registration) of
        {Presence, New} -> presence(Presence, Ts#topologies{registration = New});
        unknown -> unknown
    end.

presence({up, Generation}, #topologies{cnode = up, generation = Generation} = Ts) ->
    {[], Ts};
presence({up, Generation}, #topologies{all = All} = Ts) ->
    Up = Ts#topologies{cnode = up, generation = Generation, warned = false},
    send_metadata(Up),
    lists:foreach(fun(Name) -> start(Name, Up) end, maps:keys(All)),
    {[], Up};
presence({down, starting}, Ts) ->
    {[], Ts#topologies{cnode = starting}};
presence({down, Reason}, #topologies{all = All} = Ts) ->
    Interrupted = maps:map(fun(_, T) -> muster_discovery_topology:interrupted(T) end, All),
    {[{down, Reason}], warn_once(Reason, Ts#topologies{cnode = {down, Reason}, all = Interrupted})};
presence({lost, Why}, Ts) ->
    presence({down, Why}, Ts#topologies{kept_out = none});
presence(same, Ts) ->
    {[], Ts}.

warn_once(Reason, #topologies{warned = false} = Ts) when Reason =:= unavailable; Reason =:= not_started ->
    ?LOG_WARNING("muster_discovery finds nothing: ~ts", [muster_discovery_health:in_words(Reason)], ?LOG_META),
    Ts#topologies{warned = true};
warn_once(_, Ts) ->
    Ts.

event({found, Node}, Name, Ts) ->
    to_connect(found, Node, Name, reached(Node, Name, Ts));
event({unreached, Node, State, Text}, Name, Ts) ->
    case is_refusal(State) of
        true ->
            Why = [Node, " (", atom_to_binary(State), ": ", Text, ")"],
            {[], update(Name, fun(T) -> muster_discovery_topology:unreached(Node, Why, T) end, Ts)};
        false ->
            {[], reached(Node, Name, Ts)}
    end;
event({unproven, Node, State, Text}, Name, #topologies{connect_unproven = Connect} = Ts) ->
    case Connect orelse lists:member(Node, spec(named, Name, Ts)) of
        true -> to_connect(unproven, Node, Name, Ts);
        false -> {[], complain({peer, Node, State, Text}, Ts)}
    end;
event({lost, Node, _Text}, Name, Ts) ->
    {[{lost, Node, Name}], reached(Node, Name, Ts)};
event({metadata, Node, Version, Metadata}, _Name, Ts) ->
    {[{metadata, Node, Version, Metadata}], Ts};
event({sync, ok, Details}, Name, Ts) ->
    At = erlang:system_time(millisecond),
    {[{sync, Name, ok, Details}], update(Name, fun(T) -> muster_discovery_topology:synced(At, T) end, Ts)};
event({sync, error, Text}, Name, #topologies{all = All} = Ts) ->
    At = erlang:monotonic_time(),
    {IsNews, Failed} = muster_discovery_topology:sync_failed(Text, At, maps:get(Name, All)),
    _ = IsNews andalso
        ?LOG_WARNING("muster_discovery: topology ~0tp: ~ts", [Name, Text], ?LOG_META),
    {[{sync, Name, error, Text}], Ts#topologies{all = All#{Name := Failed}}};
event(_, _, Ts) ->
    {[], Ts}.

reached(Node, Name, Ts) ->
    update(Name, fun(T) -> muster_discovery_topology:reached(Node, T) end, Ts).

to_connect(How, Node, Name, Ts) ->
    [Alive | _] = binary:split(Node, <<"@">>),
    case passes(spec(filter, Name, Ts), Alive) of
        true -> {[{How, Node, Name}], Ts};
        false -> {[], Ts}
    end.

%% The filter may be the user's own function.
passes(Filter, Alive) ->
    try
        Filter(Alive)
    catch
        Class:Reason ->
            ?LOG_WARNING("muster_discovery: name_match failed for ~ts: ~0tp", [Alive, {Class, Reason}],
                ?LOG_META),
            false
    end.

%% A peer that refuses us, or that we refuse, is named once for each reason.
complain({peer, Node, State, Text}, #topologies{complaints = Complaints} = Ts) ->
    Told = is_map_key({Node, State}, Complaints) orelse map_size(Complaints) >= ?COMPLAINTS_MAX,
    case is_refusal(State) andalso not Told of
        true ->
            ?LOG_WARNING("muster_discovery: ~ts is not connected: ~ts: ~ts", [Node, State, Text],
                ?LOG_META),
            Ts#topologies{complaints = Complaints#{{Node, State} => true}};
        false ->
            Ts
    end;
complain(_, Ts) ->
    Ts.

is_refusal(State) ->
    lists:member(State, [
        cookie_mismatch, name_mismatch, not_allowed, tls_required, unsupported_distribution,
        flags_rejected
    ]).

reply({start, _, _}, _, #topologies{stopped = true} = Ts) ->
    %% Since then.
    {[], Ts};
reply({start, Generation, Name}, Result, #topologies{generation = Generation, all = All} = Ts) ->
    case Result of
        {ok, _} ->
            {[], update(Name, fun muster_discovery_topology:started/1, Ts)};
        {error, Reason} when Reason =:= cnode_down; Reason =:= unavailable ->
            {[], Ts};
        {error, Reason} ->
            Text = text(Reason),
            {IsNews, Failed} = muster_discovery_topology:failed(Text, maps:get(Name, All)),
            News = if IsNews -> Text; true -> none end,
            erlang:send_after(?RETRY_MS, self(), {retry, Generation, Name}),
            {[{refused, Name, Reason, News}], Ts#topologies{all = All#{Name := Failed}}}
    end;
reply({sync, Id, Name}, {error, Reason}, Ts) ->
    {[{not_asked, Id, Name, text(Reason)}], Ts};
reply(_, _, Ts) ->
    {[], Ts}.

text({Kind, Text}) when is_atom(Kind), is_binary(Text) -> Text;
text(Reason) -> unicode:characters_to_binary(io_lib:format("~0tp", [Reason])).

%%% What it is told

start(_, #topologies{stopped = true}) ->
    ok;
start(Name, #topologies{all = All, generation = Generation}) ->
    case muster_discovery_topology:start_argument(maps:get(Name, All)) of
        none -> ok;
        Argument -> send_request({start, Generation, Name}, start, Argument)
    end.

%% They rest until `resume/1': also those whose start is not answered yet.
-spec stop(topologies()) -> topologies().
stop(#topologies{all = All} = Ts) ->
    Runnable = [T || T <- maps:values(All), muster_discovery_topology:start_argument(T) =/= none],
    lists:foreach(
        fun(T) -> muster_cnode:cast(discovery, stop, #{topology => muster_discovery_topology:key(T)}) end, Runnable
    ),
    Ts#topologies{stopped = true, all = maps:map(fun(_, T) -> muster_discovery_topology:stopped(T) end, All)}.

-spec resume(topologies()) -> topologies().
resume(#topologies{cnode = Cnode, all = All} = Ts) ->
    Resumed = Ts#topologies{stopped = false},
    _ = Cnode =:= up andalso lists:foreach(fun(Name) -> start(Name, Resumed) end, maps:keys(All)),
    Resumed.

%% Asks a topology's backend now. Its `sync' tells what came of it, or `not_asked', with the id, that nothing did.
-spec sync(Id :: term(), name(), topologies()) -> ok.
sync(Id, Name, #topologies{all = All}) ->
    Key = muster_discovery_topology:key(maps:get(Name, All)),
    send_request({sync, Id, Name}, sync, #{topology => Key}).

%% This node says something else of itself; some strategies carry it.
-spec set_metadata({Version :: integer(), muster_discovery:metadata()}, topologies()) -> topologies().
set_metadata(Metadata, Ts) ->
    New = Ts#topologies{metadata = Metadata},
    send_metadata(New),
    New.

send_metadata(#topologies{cnode = up, metadata = {Version, Metadata}}) ->
    muster_cnode:cast(discovery, set_metadata, #{version => Version, metadata => Metadata});
send_metadata(_) ->
    ok.

send_request(Tag, Op, Argument) ->
    muster_cnode:send_request({message, self(), Tag}, discovery, Op, Argument).

%%% How they are

%% Logs why nothing will be found, or nothing yet.
-spec say_what_lacks(HasForeign :: boolean(), topologies()) -> ok.
say_what_lacks(HasForeign, #topologies{all = All}) ->
    Missing = [Text || T <- maps:values(All), {missing, Text} <- [muster_discovery_topology:run_state(T)]],
    NoStrategy = [<<"no strategy was given">> || map_size(All) =:= 0, not HasForeign],
    lists:foreach(
        fun(Text) -> ?LOG_WARNING("muster_discovery finds nothing: ~ts", [Text], ?LOG_META) end, NoStrategy ++ Missing
    ),
    %% A node may get its name later; most often it was forgotten.
    Facts = [muster_discovery_topology:facts(T) || T <- maps:values(All)],
    NeedsName = [pending || #{state := pending, beam := true} <- Facts],
    _ = not is_alive() andalso NeedsName =/= [] andalso
        ?LOG_NOTICE("muster_discovery waits: ~ts", [muster_discovery_health:in_words(nameless)], ?LOG_META),
    ok.

%% Whether the C node has taken or refused each, or there is nobody to ask.
-spec is_settled(topologies()) -> boolean().
is_settled(#topologies{cnode = {down, Reason}}) when Reason =:= unavailable; Reason =:= not_started ->
    true;
is_settled(Ts) ->
    in_state(pending, Ts) =:= [].

-spec started(topologies()) -> [name()].
started(Ts) ->
    in_state(started, Ts).

in_state(State, #topologies{all = All}) ->
    [Name || {Name, T} <- maps:to_list(All), muster_discovery_topology:run_state(T) =:= State].

%% How each connects.
-spec mfas(topologies()) -> [{name(), muster_connector:mfas()}].
mfas(#topologies{all = All} = Ts) ->
    [{Name, spec(mfas, Name, Ts)} || Name <- maps:keys(All)].

%% The C node's keys, and what the user may know.
-spec status(topologies()) -> {#{name() => binary()}, #{name() => map()}}.
status(#topologies{all = All}) ->
    {
        maps:map(fun(_, T) -> muster_discovery_topology:key(T) end, All),
        maps:map(fun(_, T) -> muster_discovery_topology:status(T) end, All)
    }.

%% What health depends on.
-spec facts(topologies()) -> map().
facts(#topologies{all = All, cnode = Cnode, kept_out = KeptOut, stopped = Stopped}) ->
    #{
        topologies => [muster_discovery_topology:facts(T) || T <- maps:values(All)],
        cnode => Cnode,
        kept_out => KeptOut,
        draining => Stopped
    }.

-spec last_sync(topologies()) -> integer() | undefined.
last_sync(#topologies{all = All}) ->
    muster_discovery_topology:last_sync(maps:values(All)).

-spec last_error(topologies()) -> binary() | undefined.
last_error(#topologies{all = All}) ->
    muster_discovery_topology:last_error(maps:values(All)).

%% For crash reports.
-spec concealed(topologies()) -> topologies().
concealed(#topologies{all = All} = Ts) ->
    Ts#topologies{all = maps:map(fun(_, T) -> muster_discovery_topology:concealed(T) end, All)}.

spec(What, Name, #topologies{all = All}) ->
    muster_discovery_topology:spec(What, maps:get(Name, All)).

update(Name, Change, #topologies{all = All} = Ts) ->
    Ts#topologies{all = maps:update_with(Name, Change, All)}.
