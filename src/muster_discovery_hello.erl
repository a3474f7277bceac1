%% @private
%% What the discovery instances of different nodes tell each other: `{'$muster_discovery', 1, hello,
%% Map}', with a node's metadata, their version and whether it is about to leave. Their making and
%% their checking; who is told when is the server's matter.
-module(muster_discovery_hello).

-export([metadata/2, version/1, message/1, read/1, names/1, send/2]).
-export_type([said/0, heard/0]).

-define(PROTOCOL, 1).
-define(TAG, '$muster_discovery').
%% Instances under these names are introduced to those of any other name.
-define(FACES, [muster_discovery, 'Elixir.Raxol.Swarm.Discovery']).

-type said() :: #{
    version := integer(),
    metadata := muster_discovery:metadata(),
    leaving := boolean(),
    %% Whether an answer is wanted.
    ask := boolean()
}.
-type heard() :: #{
    from := pid(),
    version := integer(),
    %% `none' where it was no map of binaries, or too large.
    metadata := muster_discovery:metadata() | none,
    leaving := boolean(),
    ask := boolean()
}.

%% The user's, which has been checked, and muster's own.
-spec metadata(User :: map(), Capabilities :: [term()]) -> muster_discovery:metadata().
metadata(User, Capabilities) ->
    {ok, Read} = muster_discovery_options:metadata(User),
    Texts = [<<"discovery">> | [iolist_to_binary(io_lib:format("~ts", [C])) || C <- Capabilities]],
    Version =
        case application:get_key(muster, vsn) of
            {ok, Vsn} -> unicode:characters_to_binary(Vsn);
            undefined -> <<"unknown">>
        end,
    Read#{
        <<"muster_version">> => Version,
        <<"capabilities">> => iolist_to_binary(lists:join(",", Texts))
    }.

%% The next one: higher than before, also after a restart.
-spec version(Last :: integer()) -> integer().
version(Last) when is_integer(Last) ->
    max(Last + 1, erlang:system_time(microsecond)).

%% From the calling process.
-spec message(said()) -> tuple().
message(Said) ->
    {?TAG, ?PROTOCOL, hello, Said#{from => self()}}.

%% A message that came, if it is another node's hello.
-spec read(term()) -> {ok, heard()} | ignored.
read({?TAG, ?PROTOCOL, hello, #{from := From, version := Version, metadata := Metadata} = Hello}) when
    is_pid(From), node(From) =/= node(), is_integer(Version)
->
    {ok, #{
        from => From,
        version => Version,
        metadata =>
            case muster_discovery_options:metadata(Metadata, 1024) of
                {ok, Read} -> Read;
                _ -> none
            end,
        leaving => maps:get(leaving, Hello, false) =:= true,
        ask => maps:get(ask, Hello, false) =:= true
    }};
read(_) ->
    ignored.

%% Under which an instance of that name looks for those of other nodes.
-spec names(Own :: term()) -> [atom()].
names(Own) ->
    lists:usort([Own || is_atom(Own)] ++ ?FACES).

%% A node that hangs, or is away, holds nobody up.
-spec send(pid() | {atom(), node()}, tuple()) -> ok.
send(To, Message) ->
    _ = erlang:send(To, Message, [noconnect, nosuspend]),
    ok.
