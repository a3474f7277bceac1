%% @private
%% The options that a leader process's `init' returns, checked; and the timings, which the topology
%% has as well.
-module(muster_leader_options).

-export([read/1, timings/0, check_timings/2, is_node/1]).

-include_lib("kernel/include/logger.hrl").

%% The group's key for the C node is at most 255 bytes, and has a prefix.
-define(ID_MAX, 200).
-define(LOG_META, #{domain => [muster]}).
%% How much of `election_timeout_min' a leader's lease lasts: what two clocks may drift apart is taken off.
-define(LEASE_PERCENT, 98).

%% `bootstrap' as given, `voters' the nodes in it (this one alone if it is empty), `cnode' the
%% timings as the C node gets them.
-spec read(term()) -> {ok, #{atom() => term()}} | {error, muster_options:invalid()}.
read(Options) ->
    Table = (timings())#{
        cluster_id => {undefined, fun is_id/1,
            <<"an atom, a string or a binary, not empty, of at most 200 bytes">>},
        bootstrap => {[], fun is_bootstrap/1,
            <<"a list of nodes or {Name, Node}, each node once, at most 128">>},
        data_dir => {undefined, fun is_path/1, <<"a path, as a string or binary">>},
        observer => muster_options:one_of(false, [true, false])
    },
    case muster_options:check(Options, Table) of
        {ok, #{cluster_id := undefined}} ->
            {error, {invalid_option, cluster_id, undefined, element(3, maps:get(cluster_id, Table))}};
        {ok, Checked} ->
            check(Checked);
        {error, _} = Error ->
            Error
    end.

check(#{cluster_id := Id, bootstrap := Bootstrap, observer := Observer} = Options) ->
    Nodes = [node_of(Peer) || Peer <- Bootstrap],
    case Observer andalso (Nodes =:= [] orelse lists:member(node(), Nodes)) of
        true ->
            {error, {invalid_option, observer, true,
                <<"false, or a bootstrap that lists other nodes and not this one">>}};
        false ->
            case check_timings(Options, text(Id)) of
                {ok, Timings} -> {ok, Options#{id => id(Id), nodes => Nodes, cnode => Timings}};
                {error, Invalid} -> {error, Invalid}
            end
    end.

-spec timings() -> muster_options:table().
timings() ->
    Max = 3600000,
    #{
        election_timeout_min => muster_options:integer(150, {2, Max}, "milliseconds"),
        election_timeout_max => muster_options:integer(300, {3, Max}, "milliseconds"),
        heartbeat_interval => muster_options:integer(50, {1, Max}, "milliseconds")
    }.

%% The timings for the C node. A heartbeat that is too slow for any lease is a warning, as in the
%% model, and the slowest usable one is taken instead.
-spec check_timings(#{atom() => term()}, iodata()) ->
    {ok, #{atom() => pos_integer()}} | {error, muster_options:invalid()}.
check_timings(#{election_timeout_min := Min, election_timeout_max := Max}, _) when Max =< Min ->
    {error, {invalid_option, election_timeout_max, Max, <<"more than election_timeout_min">>}};
check_timings(#{election_timeout_min := Min, heartbeat_interval := Heartbeat} = Options, Of) ->
    Timings = maps:with(maps:keys(timings()), Options),
    case too_slow(Heartbeat, Min) of
        false ->
            {ok, Timings};
        {true, Than, Ms} ->
            Usable = max(1, Min div 3),
            ?LOG_WARNING(
                "~ts: heartbeat_interval (~b ms) >= ~ts (~b ms) - elections may be unstable; ~b ms will be used",
                [Of, Heartbeat, Than, Ms, Usable],
                ?LOG_META
            ),
            {ok, Timings#{heartbeat_interval := Usable}}
    end.

too_slow(Heartbeat, Min) when Heartbeat >= Min ->
    {true, "election_timeout_min", Min};
too_slow(Heartbeat, Min) ->
    Lease = Min * ?LEASE_PERCENT div 100,
    Heartbeat >= Lease andalso Lease > 1 andalso {true, "a leader's lease", Lease}.

is_id(Id) when is_atom(Id) ->
    not lists:member(Id, [undefined, nil, '']) andalso fits(Id);
is_id(Id) ->
    is_text(Id) andalso fits(Id).

fits(Id) ->
    Size = byte_size(id(Id)),
    Size > 0 andalso Size =< ?ID_MAX.

is_text([]) -> false;
is_text(Text) when is_list(Text) -> io_lib:char_list(Text);
is_text(Text) -> is_binary(Text) andalso is_list(unicode:characters_to_list(Text)).

id(Id) when is_atom(Id) -> atom_to_binary(Id, utf8);
id(Id) -> unicode:characters_to_binary(Id).

text(Id) -> io_lib:format("leader group ~ts", [id(Id)]).

is_path(Path) when is_binary(Path) -> Path =/= <<>>;
is_path(Path) -> is_list(Path) andalso Path =/= [] andalso io_lib:char_list(Path).

is_bootstrap(List) when is_list(List), length(List) =< 128 ->
    lists:all(fun is_peer/1, List) andalso
        length(lists:usort([node_of(P) || P <- List])) =:= length(List);
is_bootstrap(_) ->
    false.

is_peer({Name, Node}) -> is_atom(Name) andalso is_node(Node);
is_peer(Node) -> is_node(Node).

node_of({_Name, Node}) -> Node;
node_of(Node) -> Node.

-spec is_node(term()) -> boolean().
is_node(Node) when is_atom(Node) ->
    case binary:split(atom_to_binary(Node, utf8), <<"@">>, [global]) of
        [<<_, _/binary>>, <<_, _/binary>>] -> true;
        _ -> false
    end;
is_node(_) ->
    false.
