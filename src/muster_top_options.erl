%% @private
%% The command line of muster_top, and its options, checked.
-module(muster_top_options).

-export([parse/1, check/1, usage/0, is_utf8/0]).

-export_type([options/0]).

-type options() :: #{atom() => term()}.

-define(INTERVAL_MS, 1000).

-spec usage() -> string().
usage() ->
    "Shows what muster knows on a node: peers and why they are not connected, round trips, health, roles.\n"
    "\n"
    "  --node NAME@HOST      the node to look at\n"
    "  --cookie-file FILE    the cluster's cookie; default: ~/.erlang.cookie\n"
    "  --name N, --sname N   this node's own name, long or short; default: one that is free, long if the\n"
    "                        host of --node has a dot\n"
    "  --interval MS         time between two looks, 100 to 3600000, default 1000\n"
    "  --once                one look, as plain text\n"
    "  --ascii               no characters beyond ASCII\n"
    "  --help                this text\n"
    "\n"
    "Keys: q quits, p pauses, + and - change the interval, any other key looks at once.\n".

%% Arguments as strings or binaries.
-spec parse([unicode:chardata()]) -> {ok, options()} | help | {error, unicode:chardata()}.
parse(Arguments) ->
    parse([unicode:characters_to_list(Argument) || Argument <- Arguments], #{}).

parse([], #{node := _} = Options) ->
    checked(check(Options));
parse([], _) ->
    {error, "which node? --node NAME@HOST is missing; --help lists the options"};
parse(["--help" | _], _) ->
    help;
parse(["--once" | Rest], Options) ->
    parse(Rest, Options#{once => true});
parse(["--ascii" | Rest], Options) ->
    parse(Rest, Options#{unicode => false});
parse(["--node", Name | Rest], Options) ->
    parse(Rest, Options#{node => Name});
parse(["--cookie-file", Path | Rest], Options) ->
    parse(Rest, Options#{cookie_file => Path});
parse(["--name", Name | Rest], Options) ->
    parse(Rest, Options#{name => {longnames, Name}});
parse(["--sname", Name | Rest], Options) ->
    parse(Rest, Options#{name => {shortnames, Name}});
parse(["--interval", Text | Rest], Options) ->
    case string:to_integer(Text) of
        {Ms, ""} -> parse(Rest, Options#{interval_ms => Ms});
        _ -> {error, io_lib:format("--interval: expected milliseconds, got: ~ts", [Text])}
    end;
parse([Option], _) when Option =:= "--node"; Option =:= "--cookie-file"; Option =:= "--name"; Option =:= "--sname";
    Option =:= "--interval"
->
    {error, [Option, ": a value is missing"]};
parse([Other | _], _) ->
    {error, io_lib:format("~ts is not an option; --help lists them", [Other])}.

checked({ok, Options}) ->
    {ok, Options};
checked({error, {invalid_option, Name, Value, Expected}}) ->
    {error, io_lib:format("~ts: expected ~ts, got: ~0tp", [Name, Expected, Value])}.

-spec check(term()) -> {ok, options()} | {error, muster_options:invalid()}.
check(Options) ->
    Server = {default, fun is_atom/1, <<"a server's name, an atom">>},
    Table = #{
        node => {local, fun is_node/1, <<"a node's name with its host">>},
        cookie_file => {none, fun is_path/1, <<"a path">>},
        name => {none, fun is_name/1, <<"{shortnames | longnames, Name}">>},
        interval_ms => muster_options:integer(?INTERVAL_MS, {100, 3600000}, "milliseconds"),
        timeout_ms => muster_options:integer(2000, {1, 60000}, "milliseconds"),
        once => muster_options:one_of(false, [true, false]),
        unicode => muster_options:one_of(is_utf8(), [true, false]),
        discovery => Server,
        node_monitor => Server,
        topology => Server,
        overlay => Server
    },
    muster_options:check(Options, Table).

is_node(Node) when is_atom(Node) -> is_node(atom_to_list(Node));
is_node(Name) ->
    is_path(Name) andalso
        case string:split(Name, "@") of
            [[_ | _], [_ | _] = Host] -> string:find(Host, "@") =:= nomatch andalso string:length(Name) =< 255;
            _ -> false
        end.

is_name({Domain, Name}) ->
    lists:member(Domain, [shortnames, longnames]) andalso is_path(Name) andalso string:length(Name) =< 255;
is_name(_) ->
    false.

is_path(Path) -> is_list(Path) andalso Path =/= [] andalso io_lib:char_list(Path).

%% What the user's terminal says of itself, as the C library would read it.
-spec is_utf8() -> boolean().
is_utf8() ->
    Set = [Value || Variable <- ["LC_ALL", "LC_CTYPE", "LANG"], (Value = os:getenv(Variable, "")) =/= ""],
    case Set of
        [First | _] -> re:run(First, "utf-?8", [caseless]) =/= nomatch;
        [] -> false
    end.
