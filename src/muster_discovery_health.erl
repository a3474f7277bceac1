%% @private
%% How well discovery works, in one status with a reason: from what its server knows of the C node and
%% of each topology.
-module(muster_discovery_health).

-export([status/1, in_words/1]).

-export_type([facts/0, topology/0]).

-type topology() :: #{
    state := pending | started | {failed | missing, Text :: binary()},
    last_error := binary() | undefined,
    %% Whether it is the BEAM that connects, and not a function of the user's.
    beam := boolean(),
    %% Listed nodes that refuse us, or that we refuse, with the reason.
    refused := [iodata()]
}.
-type facts() :: #{
    topologies := [topology()],
    %% Whether some are libcluster's own.
    foreign := boolean(),
    cnode := starting | up | {down, Reason :: term()},
    %% Why the C node is in no cluster.
    kept_out := none | binary(),
    draining := boolean(),
    peers := non_neg_integer()
}.

%% Peers that refuse us and are named in the reason.
-define(REFUSED_SHOWN, 3).

-spec status(facts()) -> muster_discovery:health().
status(#{topologies := [], foreign := false}) ->
    {down, <<"no strategy was given">>};
status(#{topologies := []}) ->
    up;
status(#{cnode := {down, Reason}}) when Reason =:= unavailable; Reason =:= not_started ->
    {down, in_words(Reason)};
status(#{draining := true}) ->
    {degraded, <<"the node is draining">>};
status(#{cnode := up, kept_out := Why}) when is_binary(Why) ->
    {degraded, <<"the C node stays out of the cluster: ", Why/binary>>};
status(#{topologies := Topologies, cnode := Cnode} = Facts) ->
    Dead = [Text || #{state := {_, Text}} <- Topologies],
    Errors = [Text || #{state := started, last_error := Text} <- Topologies, is_binary(Text)],
    case {Dead, Errors, Cnode} of
        {_, _, _} when length(Dead) =:= length(Topologies) -> {down, joined(Dead)};
        {_, _, {down, _}} -> {degraded, <<"the C node is being restarted">>};
        {_, _, starting} -> {degraded, <<"the C node is starting">>};
        {[], [], up} -> alive(Facts);
        _ -> {degraded, joined(Dead ++ Errors)}
    end.

%% Without a name of its own this node is not found, and the BEAM connects to nobody.
alive(#{topologies := Topologies, peers := Peers}) ->
    Nameless = not is_alive() andalso lists:any(fun(#{beam := Beam}) -> Beam end, Topologies),
    case lists:append([Refused || #{refused := Refused} <- Topologies]) of
        _ when Nameless ->
            {degraded, in_words(nameless)};
        [_ | _] = Refused when Peers =:= 0 ->
            {degraded, nobody_but(Refused)};
        _ ->
            up
    end.

nobody_but(Refused) ->
    {Shown, Others} = lists:split(min(?REFUSED_SHOWN, length(Refused)), Refused),
    More = [io_lib:format(" and ~b more", [length(Others)]) || Others =/= []],
    unicode:characters_to_binary([
        "there are no peers but such as refuse this node, or are refused: ",
        lists:join(", ", Shown),
        More
    ]).

-spec in_words(unavailable | not_started | nameless) -> binary().
in_words(unavailable) -> <<"there is no C node for this platform, or it is disabled">>;
in_words(not_started) -> <<"the application muster is not started">>;
in_words(nameless) -> <<"this node is not distributed: it has no name yet (-name, -sname)">>.

joined(Texts) ->
    unicode:characters_to_binary(lists:join("; ", Texts)).
