%% @private
%% The options of {@link muster_discovery}: topologies in all forms become one, values become what
%% the C node reads. Pure. Which options a strategy has, and what each may be, is the C node's
%% table's word alone; here is only what a strategy cannot do without.
-module(muster_discovery_options).

-export([concealed/1, read/2, names/0, argument/2, metadata/1, metadata/2]).

-export_type([config/0, topology/0]).

-type topology() :: #{
    name := term(),
    strategy := atom(),
    %% As the C node reads them.
    options := #{atom() => term()},
    mfas := #{connect := mfa_(), disconnect := mfa_(), list_nodes := mfa_()},
    %% Names that the user gave.
    named := [binary()],
    filter := fun((binary()) -> boolean()),
    %% Why it cannot run.
    missing := none | binary()
}.
-type mfa_() :: {module(), atom(), [term()]}.
-type config() :: #{
    name := term(),
    topologies := [topology()],
    foreign := [{term(), term()}],
    atom() => term()
}.

%% The packets hold 1024 bytes; the rest is for what muster says itself.
-define(METADATA_MAX, 800).
%% Options whose values are atoms for the C node; other atoms are names.
-define(CHOICES, [mode, kubernetes_ip_lookup_mode, records]).
-define(CHOICE_WORDS, [ip, dns, hostname, endpoints, pods, a, aaaa, both, family]).

%% Strategies that have a second name, with options of their own.
preset(epmd) -> {static, [{hosts, nodes}]};
preset(Strategy) -> {Strategy, []}.

%% What a strategy cannot do without.
essential(static, _) -> [nodes];
essential(dns, _) -> [query, node_basename];
essential(dns_srv, #{service := _}) -> [application_name];
essential(dns_srv, _) -> [query, node_basename];
essential(kubernetes, _) -> [kubernetes_selector, kubernetes_node_basename];
essential(kubernetes_dns, _) -> [service, application_name];
essential(tailscale, _) -> [node_basename];
essential(_, _) -> [].

table(DefaultName) ->
    Ms = {1, 86400000},
    Mfa = <<"{Module, Function, Arguments}">>,
    #{
        name => muster_server_name:rule(DefaultName),
        strategy => {undefined, fun is_atom/1, <<"a strategy's name, an atom">>},
        topologies =>
            {undefined, fun(T) -> is_list(T) orelse is_map(T) end, <<"a list of topologies">>},
        connect => {{net_kernel, connect_node, []}, fun is_mfa/1, Mfa},
        disconnect => {{erlang, disconnect_node, []}, fun is_mfa/1, Mfa},
        list_nodes => {{erlang, nodes, [connected]}, fun is_mfa/1, Mfa},
        connect_unproven => {false, fun is_boolean/1, <<"true or false">>},
        connect_workers => muster_options:integer(16, {1, 1024}, "attempts at once"),
        connect_timeout => muster_options:integer(15000, Ms, "milliseconds"),
        backoff_min_ms => muster_options:integer(500, Ms, "milliseconds"),
        backoff_max_ms => muster_options:integer(60000, Ms, "milliseconds"),
        stable_ms => muster_options:integer(30000, {0, 86400000}, "milliseconds"),
        hold_limit_ms => muster_options:integer(600000, {0, 86400000}, "milliseconds"),
        check_interval => muster_options:integer(5000, Ms, "milliseconds"),
        consult => {true, fun is_boolean/1, <<"true or false">>},
        telemetry_prefix =>
            {[muster, discovery], fun is_prefix/1, <<"a list of 1 to 16 atoms">>},
        metadata =>
            {#{}, fun(M) -> element(1, metadata(M)) =:= ok end,
                <<"a map of texts, at most 800 bytes as a term">>},
        capabilities =>
            {[], fun is_capabilities/1, <<"a list of texts, at most 100 bytes in all">>}
    }.

%% @doc The options of an instance; any other is its strategy's.
-spec names() -> [atom()].
names() ->
    maps:keys(table(undefined)).

%% @doc What a child specification may hold of the options: as they are, or, with a secret in
%% them, a function that returns them, which does not show it.
-spec concealed(Options) -> Options | fun(() -> Options).
concealed(Options) ->
    case censored(Options) of
        Options -> Options;
        _ -> muster_concealed:new(Options)
    end.

%% @doc Options as a property list or a map, or a function that returns them.
-spec read(term(), atom()) -> {ok, config()} | {error, muster_options:invalid()}.
read(Options, DefaultName) when is_function(Options, 0) ->
    read(Options(), DefaultName);
read(Options, DefaultName) ->
    Read =
        case muster_options:pairs(Options) of
            {ok, Pairs} -> read_pairs(Pairs, table(DefaultName));
            error -> {error, {invalid_option, options, Options, <<"a property list or a map">>}}
        end,
    case Read of
        {error, {invalid_option, Name, Value, Expected}} ->
            {_, Shown} = censored({Name, Value}),
            {error, {invalid_option, Name, Shown, Expected}};
        {ok, Config} ->
            {ok, Config}
    end.

%% Errors end up in logs: what a secret was is not repeated, wherever in the value it stood.
censored({Name, _}) when Name =:= secret; Name =:= old_secrets ->
    {Name, '...'};
censored([Head | Tail]) ->
    [censored(Head) | censored(Tail)];
censored(Tuple) when is_tuple(Tuple) ->
    list_to_tuple(censored(tuple_to_list(Tuple)));
censored(Map) when is_map(Map) ->
    maps:from_list(censored(maps:to_list(Map)));
censored(Term) ->
    Term.

read_pairs(Pairs, Table) ->
    {Own, Flat} = lists:partition(fun({K, _}) -> is_map_key(K, Table) end, Pairs),
    %% Elixir's way to say that an option is not given.
    Given = [O || {_, Value} = O <- Own, Value =/= nil],
    case {muster_options:check(Given, Table), Flat} of
        {{ok, #{strategy := undefined}}, [{Name, Value} | _]} ->
            not_an_option(Name, Value, Table);
        {{ok, #{topologies := T}}, [{Name, Value} | _]} when T =/= undefined ->
            not_an_option(Name, Value, Table);
        {{ok, Checked}, _} ->
            topologies(Checked, Flat);
        {{error, Invalid}, _} ->
            {error, Invalid}
    end.

not_an_option(Name, Value, Table) ->
    Names = lists:join(", ", [atom_to_list(N) || N <- lists:sort(maps:keys(Table))]),
    Expected = unicode:characters_to_binary(["one of the options ", Names]),
    {error, {invalid_option, Name, Value, Expected}}.

topologies(#{strategy := Strategy, topologies := Topologies} = Checked, Flat) ->
    Given =
        case {Strategy, Topologies} of
            {undefined, undefined} -> [];
            {undefined, Map} when is_map(Map) -> maps:to_list(Map);
            {undefined, List} when length(List) >= 0 -> List;
            {undefined, _} -> improper;
            {_, undefined} -> [{Strategy, Strategy, Flat}];
            {_, _} -> both
        end,
    case Given of
        both ->
            {error,
                {invalid_option, strategy, Strategy, <<"either a strategy or topologies">>}};
        improper ->
            {error, {invalid_option, topologies, Topologies, <<"a list of topologies">>}};
        _ ->
            read_all(Given, Checked, [], [])
    end.

read_all([], Checked, Native, Foreign) ->
    Names = [Name || #{name := Name} <- Native] ++ [Name || {Name, _} <- Foreign],
    case Names -- lists:usort(Names) of
        [] ->
            Rest = maps:without([strategy, topologies, connect, disconnect, list_nodes], Checked),
            {ok, Rest#{
                topologies => lists:reverse(Native),
                foreign => lists:reverse(Foreign)
            }};
        [Twice | _] ->
            {error, {invalid_option, topologies, Twice, <<"names that differ">>}}
    end;
read_all([Topology | Rest], Checked, Native, Foreign) ->
    case read_one(Topology, Checked) of
        {native, One} -> read_all(Rest, Checked, [One | Native], Foreign);
        {foreign, One} -> read_all(Rest, Checked, Native, [One | Foreign]);
        {error, Invalid} -> {error, Invalid}
    end.

read_one({Name, Strategy, Options}, Checked) ->
    read_one({Name, [{strategy, Strategy}, {config, Options}]}, Checked);
read_one(Topology, Checked) ->
    case muster_libcluster:topology(Topology) of
        %% Its Epmd is the only one that lists nodes.
        {native, Native} -> as_given([{hosts, nodes}], finish(Native, Checked));
        {foreign, {Name, Spec}} -> own_or_foreign(Name, Spec, Checked);
        {error, Invalid} -> {error, Invalid}
    end.

%% A module's name as Elixir writes it, or one of our strategies.
own_or_foreign(Name, Spec, Checked) ->
    {strategy, Strategy} = lists:keyfind(strategy, 1, Spec),
    case atom_to_list(Strategy) of
        "Elixir." ++ _ -> {foreign, {Name, Spec}};
        _ -> own(Name, Strategy, Spec, Checked)
    end.

own(Name, Given, Spec, Checked) ->
    {Strategy, Renamed} = preset(Given),
    {ok, Config} = muster_options:pairs(proplists:get_value(config, Spec, [])),
    Options = [
        case lists:keyfind(K, 1, Renamed) of
            {K, New} -> {New, V};
            false -> {K, V}
        end
     || {K, V} <- Config
    ],
    Mfas = maps:from_list([P || {K, V} = P <- Spec, lists:member(K, mfa_keys()), V =/= nil]),
    Native = #{name => Name, strategy => Strategy, options => Options, mfas => Mfas},
    as_given(Renamed, finish(Native, Checked)).

%% An error names the option as the user did.
as_given(Renamed, {error, {invalid_option, Name, Value, Expected}}) ->
    case lists:keyfind(Name, 2, Renamed) of
        {Given, Name} -> {error, {invalid_option, Given, Value, Expected}};
        false -> {error, {invalid_option, Name, Value, Expected}}
    end;
as_given(_, Finished) ->
    Finished.

mfa_keys() ->
    [connect, disconnect, list_nodes].

finish(#{strategy := Strategy, options := Options, mfas := Mfas} = Native, Checked) ->
    case arguments(Options, #{}) of
        {ok, Arguments} ->
            {native, #{
                name => maps:get(name, Native),
                strategy => Strategy,
                options => Arguments,
                mfas => maps:merge(maps:with(mfa_keys(), Checked), Mfas),
                named => named(Strategy, Arguments),
                filter => maps:get(filter, Native, fun(_) -> true end),
                missing => missing(Strategy, Arguments)
            }};
        {error, Invalid} ->
            {error, Invalid}
    end.

named(static, #{nodes := Nodes}) when is_list(Nodes) -> Nodes;
named(_, _) -> [].

missing(Strategy, Arguments) ->
    case [Option || Option <- essential(Strategy, Arguments), is_empty(Arguments, Option)] of
        [] ->
            none;
        Options ->
            Given = [shown(Strategy, Option) || Option <- Options],
            unicode:characters_to_binary(
                io_lib:format("strategy ~ts: option ~ts is missing", [
                    Strategy, lists:join(" and ", Given)
                ])
            )
    end.

shown(static, nodes) -> "nodes (hosts)";
shown(_, Option) -> atom_to_list(Option).

is_empty(Arguments, Option) ->
    lists:member(maps:get(Option, Arguments, <<>>), [<<>>, []]).

arguments([], Arguments) ->
    {ok, Arguments};
arguments([{Name, Value} | Rest], Arguments) ->
    case argument(Name, Value) of
        {ok, _} when is_map_key(Name, Arguments) ->
            arguments(Rest, Arguments);
        {ok, Read} ->
            case Name =/= nodes orelse is_names(Read) of
                true -> arguments(Rest, Arguments#{Name => Read});
                false ->
                    {error, {invalid_option, Name, Value,
                        <<"a list of nodes, each a name with its host, such as 'app@host'">>}}
            end;
        none ->
            arguments(Rest, Arguments);
        error ->
            {error, {invalid_option, Name, Value,
                <<"a text, a number, an atom, an address, or a list of these">>}}
    end.

%% Only what is easily mistaken: the C node knows how long a name may be, and of what it is made.
is_names(Nodes) when is_list(Nodes) -> lists:all(fun is_name_with_host/1, Nodes);
is_names(_) -> false.

is_name_with_host(Node) when is_binary(Node) ->
    case binary:split(Node, <<"@">>, [global]) of
        [<<_, _/binary>>, <<_, _/binary>>] -> true;
        _ -> false
    end;
is_name_with_host(_) ->
    false.

%% @doc A value as the C node reads it: texts are binaries whatever they were, so are names and
%% addresses; `nil' and `undefined' are options that are not given.
-spec argument(atom(), term()) -> {ok, term()} | none | error.
argument(_, nil) ->
    none;
argument(_, undefined) ->
    none;
argument(Name, Value) ->
    try
        {ok, value(Name, Value)}
    catch
        throw:odd -> error
    end.

value(Name, Value) when is_binary(Value) ->
    case lists:member(Name, ?CHOICES) of
        true -> choice(Value);
        false -> Value
    end;
value(_, Value) when is_integer(Value); is_boolean(Value); Value =:= infinity ->
    Value;
value(Name, Value) when is_atom(Value) ->
    case lists:member(Name, ?CHOICES) of
        true -> Value;
        false -> atom_to_binary(Value, utf8)
    end;
value(_, []) ->
    [];
value(Name, [Char | _] = Value) when is_integer(Char) ->
    try unicode:characters_to_binary(Value) of
        Binary when is_binary(Binary) -> value(Name, Binary);
        _ -> throw(odd)
    catch
        error:_ -> throw(odd)
    end;
value(Name, Value) when is_list(Value) ->
    try
        [value(Name, Element) || Element <- Value]
    catch
        error:_ -> throw(odd)
    end;
value(Name, {Address, Port}) when is_tuple(Address), is_integer(Port) ->
    Text = value(Name, Address),
    case tuple_size(Address) of
        4 -> <<Text/binary, ":", (integer_to_binary(Port))/binary>>;
        _ -> <<"[", Text/binary, "]:", (integer_to_binary(Port))/binary>>
    end;
value(_, Value) when is_tuple(Value) ->
    case inet:ntoa(Value) of
        {error, _} -> throw(odd);
        Text -> list_to_binary(Text)
    end;
value(_, _) ->
    throw(odd).

%% Written out, these words are atoms whatever else this VM has loaded; the C node judges.
choice(Text) ->
    case [Word || Word <- ?CHOICE_WORDS, atom_to_binary(Word, utf8) =:= Text] of
        [Word] -> Word;
        [] -> Text
    end.

%% @doc Metadata with texts in any form; refused when too long for a packet.
-spec metadata(term()) -> {ok, #{binary() => binary()}} | {error, muster_options:invalid()}.
metadata(Map) ->
    metadata(Map, ?METADATA_MAX).

-spec metadata(term(), pos_integer()) ->
    {ok, #{binary() => binary()}} | {error, muster_options:invalid()}.
metadata(Map, Max) when is_map(Map) ->
    Expected = <<"a map of texts, at most 800 bytes as a term">>,
    try maps:from_list([{text(K), text(V)} || {K, V} <- maps:to_list(Map)]) of
        Read ->
            case byte_size(term_to_binary(Read)) =< Max of
                true -> {ok, Read};
                false -> {error, {invalid_option, metadata, Map, Expected}}
            end
    catch
        throw:odd -> {error, {invalid_option, metadata, Map, Expected}}
    end;
metadata(Other, _Max) ->
    {error, {invalid_option, metadata, Other, <<"a map of texts">>}}.

text(Text) when is_binary(Text) ->
    Text;
text(Text) when is_atom(Text) ->
    atom_to_binary(Text, utf8);
text(Text) when is_list(Text) ->
    try unicode:characters_to_binary(Text) of
        Binary when is_binary(Binary) -> Binary;
        _ -> throw(odd)
    catch
        error:_ -> throw(odd)
    end;
text(_) ->
    throw(odd).

is_capabilities(List) ->
    try
        iolist_size([text(Text) || Text <- List]) =< 100
    catch
        _:_ -> false
    end.

is_prefix(Prefix) when length(Prefix) >= 1, length(Prefix) =< 16 ->
    lists:all(fun is_atom/1, Prefix);
is_prefix(_) ->
    false.

is_mfa({Module, Function, Arguments}) ->
    is_atom(Module) andalso is_atom(Function) andalso is_list(Arguments);
is_mfa(_) ->
    false.
