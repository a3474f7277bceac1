%% @private
%% One topology of a discovery server: what it was given, whether the C node runs it, and what has
%% become of it since. Pure; the server keeps one for each name.
-module(muster_discovery_topology).

-export([new/2, key/1, spec/2, run_state/1, start_argument/1, status/1, concealed/1, public/1]).
-export([started/1, failed/2, interrupted/1, stopped/1]).
-export([synced/2, sync_failed/3, unreached/3, reached/2]).
-export([facts/1, last_sync/1, last_error/1]).
-export_type([topology/0, run_state/0]).

%% What the C node said to it; `missing': what was not given, without which it is never started.
-type run_state() :: pending | started | {failed, Text :: binary()} | {missing, binary()}.

-record(topology, {
    spec :: muster_discovery_options:topology(),
    key :: binary(),
    state = pending :: run_state(),
    last_sync :: integer() | undefined,
    last_error :: binary() | undefined,
    error_at = 0 :: integer(),
    %% Listed nodes that refuse us, or that we refuse.
    refused = #{} :: #{Name :: binary() => Why :: iodata()}
}).

-opaque topology() :: #topology{}.

%% Of the server of that name.
-spec new(muster_discovery_options:topology(), Server :: term()) -> topology().
new(#{name := Name, missing := Missing} = Spec, Server) ->
    State =
        case Missing of
            none -> pending;
            Text -> {missing, Text}
        end,
    #topology{spec = Spec, key = muster_cnode_key:new(<<>>, [Server, Name]), state = State}.

%% By which the C node knows it.
-spec key(topology()) -> binary().
key(#topology{key = Key}) ->
    Key.

%% Something of what was given.
-spec spec(filter | mfas | named, topology()) -> term().
spec(What, #topology{spec = Spec}) ->
    maps:get(What, Spec).

-spec run_state(topology()) -> run_state().
run_state(#topology{state = State}) ->
    State.

%% The argument of the C node's `start', or `none' for one that lacks something.
-spec start_argument(topology()) -> map() | none.
start_argument(#topology{state = {missing, _}}) ->
    none;
start_argument(#topology{key = Key, spec = #{strategy := Strategy, options := Options}}) ->
    #{topology => Key, strategy => Strategy, options => Options}.

-spec status(topology()) -> map().
status(#topology{spec = #{strategy := Strategy, options := Options}} = T) ->
    #{
        strategy => Strategy,
        options => public(Options),
        run_state => T#topology.state,
        last_sync_time => T#topology.last_sync
    }.

%% For crash reports.
-spec concealed(topology()) -> topology().
concealed(#topology{spec = #{options := Options} = Spec} = T) ->
    T#topology{spec = Spec#{options := public(Options)}}.

-spec public(map()) -> map().
public(Options) ->
    maps:without([secret, old_secrets], Options).

%%% The C node's doing

-spec started(topology()) -> topology().
started(T) ->
    T#topology{state = started}.

%% Whether that is news, too.
-spec failed(Text :: binary(), topology()) -> {boolean(), topology()}.
failed(Text, #topology{state = Was} = T) ->
    State = {failed, Text},
    {State =/= Was, T#topology{state = State}}.

%% The C node went. One that it did not take is no better with the next.
-spec interrupted(topology()) -> topology().
interrupted(#topology{state = started} = T) ->
    T#topology{state = pending, refused = #{}};
interrupted(T) ->
    T.

%% The user wants it to rest.
-spec stopped(topology()) -> topology().
stopped(#topology{state = {missing, _}} = T) ->
    T;
stopped(T) ->
    T#topology{state = pending, refused = #{}}.

%%% The backend's answers

-spec synced(UnixMs :: integer(), topology()) -> topology().
synced(UnixMs, T) ->
    T#topology{last_sync = UnixMs, last_error = undefined}.

%% Whether that is news, too. `At' orders the errors of several topologies.
-spec sync_failed(Text :: binary(), At :: integer(), topology()) -> {boolean(), topology()}.
sync_failed(Text, At, #topology{last_error = Was} = T) ->
    {Text =/= Was, T#topology{last_error = Text, error_at = At}}.

-spec unreached(Name :: binary(), Why :: iodata(), topology()) -> topology().
unreached(Name, Why, #topology{refused = Refused} = T) ->
    T#topology{refused = Refused#{Name => Why}}.

%% As far as the handshake, at least; or nobody tries any more.
-spec reached(Name :: binary(), topology()) -> topology().
reached(Name, #topology{refused = Refused} = T) ->
    T#topology{refused = maps:remove(Name, Refused)}.

%%% Health

%% As {@link muster_discovery_health} takes them.
-spec facts(topology()) -> muster_discovery_health:topology().
facts(#topology{spec = #{mfas := #{connect := {Module, _, _}}}} = T) ->
    #{
        state => T#topology.state,
        last_error => T#topology.last_error,
        beam => Module =:= net_kernel,
        refused => maps:values(T#topology.refused)
    }.

%% When the last of them answered.
-spec last_sync([topology()]) -> integer() | undefined.
last_sync(Topologies) ->
    case [Sync || #topology{last_sync = Sync} <- Topologies, is_integer(Sync)] of
        [] -> undefined;
        Syncs -> lists:max(Syncs)
    end.

%% The latest error among them.
-spec last_error([topology()]) -> binary() | undefined.
last_error(Topologies) ->
    Errors = [{At, Text} || #topology{last_error = Text, error_at = At} <- Topologies, is_binary(Text)],
    case lists:sort(Errors) of
        [] -> undefined;
        Sorted -> element(2, lists:last(Sorted))
    end.
