%% @doc Reads libcluster's topologies: its strategies' module names and options become those of
%% muster's own strategies, so that an existing configuration can be handed to
%% {@link muster_discovery} as it is. Pure; libcluster and Elixir need not be there.
%%
%% ```
%% [{my_cluster, [{strategy, 'Elixir.Cluster.Strategy.Epmd'},
%%                {config, [{hosts, ['app@host1']}]},
%%                {connect, {net_kernel, connect_node, []}}]}]
%% '''
%%
%% What a strategy of muster's cannot do (a strategy of the user's own, or a `resolver' function)
%% is left to libcluster.
-module(muster_libcluster).

-export([topology/1, strategies/0, name_match/1]).

-export_type([native/0]).

-define(FORM, <<"{Name, [{strategy, Strategy}, {config, Options}]}">>).

-type native() :: #{
    name := term(),
    strategy := atom(),
    options := [{atom(), term()}],
    mfas := #{atom() => {module(), atom(), [term()]}},
    filter => fun((binary()) -> boolean())
}.

%% @doc The modules that are understood, and the native strategy of each.
-spec strategies() -> #{module() => atom()}.
strategies() ->
    maps:map(fun(_, {Strategy, _}) -> Strategy end, table()).

%% Module => {strategy, [{option there, option here | drop}]}; an option that is not in the list
%% keeps its name, and the C node's own table refuses it where it means nothing.
table() ->
    Poll = {polling_interval, poll_interval},
    #{
        'Elixir.Cluster.Strategy.Gossip' => {gossip, []},
        %% The timeout is how often Epmd tries again; here lost nodes are connected again anyway.
        'Elixir.Cluster.Strategy.Epmd' => {static, [{hosts, nodes}, {timeout, drop}]},
        'Elixir.Cluster.Strategy.LocalEpmd' => {local_epmd, []},
        'Elixir.Cluster.Strategy.ErlangHosts' =>
            {hosts_file, [{timeout, poll_interval}, {name_match, drop}]},
        'Elixir.Cluster.Strategy.DNSPoll' => {dns, [Poll]},
        'Elixir.Cluster.Strategy.Kubernetes' => {kubernetes, []},
        'Elixir.Cluster.Strategy.Kubernetes.DNS' => {kubernetes_dns, []},
        'Elixir.Cluster.Strategy.Kubernetes.DNSSRV' => {dns_srv, []},
        'Elixir.Raxol.Swarm.Strategy.Tailscale' => {tailscale, [Poll, {tailscale_cli, command}]}
    }.

%% @doc One topology of the list. `foreign': it needs libcluster itself.
-spec topology({term(), term()}) ->
    {native, native()} | {foreign, {term(), term()}} | {error, muster_options:invalid()}.
topology({Name, Given} = Topology) ->
    case muster_options:pairs(Given) of
        {ok, Spec} -> topology(Name, Spec, muster_options:pairs(get(config, Spec, [])));
        error -> {error, {invalid_option, topologies, Topology, ?FORM}}
    end;
topology(Other) ->
    {error, {invalid_option, topologies, Other, ?FORM}}.

topology(_, Spec, error) ->
    {error, {invalid_option, config, get(config, Spec, []), <<"a property list or a map">>}};
topology(Name, Spec, {ok, Config}) ->
    Strategy = get(strategy, Spec, undefined),
    IsName = is_atom(Strategy) andalso not lists:member(Strategy, [undefined, nil, true, false]),
    case {IsName, mfas(Spec)} of
        {false, _} ->
            {error, {invalid_option, strategy, Strategy, <<"a strategy's name, an atom">>}};
        {true, {error, Invalid}} ->
            {error, Invalid};
        {true, {ok, Mfas}} ->
            case translate(Strategy, Config) of
                {native, Native} -> {native, Native#{name => Name, mfas => Mfas}};
                foreign -> {foreign, {Name, Spec}}
            end
    end.

%% A strategy's module and options in our own words.
-spec translate(term(), [{atom(), term()}]) ->
    {native, #{strategy := atom(), options := [{atom(), term()}], _ => _}} | foreign.
translate(Module, Config) ->
    case table() of
        #{Module := {Strategy, Renamed}} ->
            case get(resolver, Config, nil) of
                nil -> {native, native(Module, Strategy, Renamed, Config)};
                _ -> foreign
            end;
        #{} ->
            foreign
    end.

native(Module, Strategy, Renamed, Config) ->
    Kept = lists:append([rename(Option, Renamed) || Option <- Config]),
    Native = #{strategy => Strategy, options => Kept},
    case Module =:= 'Elixir.Cluster.Strategy.ErlangHosts' andalso get(name_match, Config, nil) of
        Match when Match =:= false; Match =:= nil -> Native;
        Match -> Native#{filter => name_match(Match)}
    end.

rename({resolver, nil}, _) ->
    [];
rename({timeout, infinity}, _) ->
    [];
rename({Name, Value}, Renamed) ->
    case lists:keyfind(Name, 1, Renamed) of
        {Name, drop} -> [];
        {Name, New} -> [{New, Value}];
        false -> [{Name, Value}]
    end.

%% @doc libcluster's `name_match' as a test of a node's name before the `@'.
-spec name_match(term()) -> fun((binary()) -> boolean()).
name_match(Atom) when is_atom(Atom) ->
    fun(Name) -> Name =:= atom_to_binary(Atom, utf8) end;
name_match([Atom | _] = Atoms) when is_atom(Atom) ->
    Names = [atom_to_binary(A, utf8) || A <- Atoms],
    fun(Name) -> lists:member(Name, Names) end;
name_match([Char | _] = Text) when is_integer(Char) ->
    fun(Name) -> Name =:= unicode:characters_to_binary(Text) end;
name_match(Part) when is_binary(Part) ->
    fun(Name) -> string:find(Name, Part) =/= nomatch end;
name_match(#{'__struct__' := 'Elixir.Regex'} = Regex) ->
    fun(Name) -> apply('Elixir.Regex', 'match?', [Regex, Name]) end;
name_match({Module, Function}) ->
    name_match({Module, Function, []});
name_match({Module, Function, Arguments}) ->
    fun(Name) -> apply(Module, Function, [Name | Arguments]) =:= true end;
name_match(Fun) when is_function(Fun, 1) ->
    fun(Name) -> Fun(Name) =:= true end;
name_match(_) ->
    fun(_) -> true end.

mfas(Spec) ->
    Given = [
        {Key, Mfa}
     || Key <- [connect, disconnect, list_nodes], Mfa <- [get(Key, Spec, nil)], Mfa =/= nil
    ],
    case [Pair || {_, Mfa} = Pair <- Given, not is_mfa(Mfa)] of
        [] -> {ok, maps:from_list(Given)};
        [{Key, Odd} | _] -> {error, {invalid_option, Key, Odd, <<"{Module, Function, Arguments}">>}}
    end.

is_mfa({Module, Function, Arguments}) ->
    is_atom(Module) andalso is_atom(Function) andalso is_list(Arguments);
is_mfa(_) ->
    false.

get(Key, List, Default) ->
    case lists:keyfind(Key, 1, List) of
        {Key, Value} -> Value;
        false -> Default
    end.
