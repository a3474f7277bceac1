-module(cluster_nodes_ffi).

-export([become/1, start_another/1, join_and_stay/1]).

-define(HOST, "127.0.0.1").

become(Name) ->
    %% What `erl -name` does by itself.
    _ = os:cmd("epmd -daemon"),
    case net_kernel:start([list_to_atom(unique(Name) ++ "@" ++ ?HOST), longnames]) of
        {ok, _} -> {ok, nil};
        {error, Reason} -> {error, in_words(Reason)}
    end.

start_another(Name) ->
    Options = #{
        name => unique(Name),
        host => ?HOST,
        longnames => true,
        %% Not over the distribution: the two are to find each other by themselves.
        connection => standard_io,
        args => ["-setcookie", atom_to_list(erlang:get_cookie()), "-pa" | code:get_path()]
    },
    {ok, Peer, _Node} = peer:start_link(Options),
    {ok, _} = peer:call(Peer, application, ensure_all_started, [muster]),
    peer:call(Peer, ?MODULE, join_and_stay, [Name]).

%% Discovery is linked to the process that starts it.
join_and_stay(Name) ->
    Caller = self(),
    Stays = spawn(fun() ->
        {ok, _} = cluster:join(Name),
        Caller ! {joined, self()},
        timer:sleep(infinity)
    end),
    receive
        {joined, Stays} -> {ok, Stays}
    after 30000 -> {error, <<"it did not join within 30 s">>}
    end.

%% Several of these examples may run on one machine.
unique(Name) ->
    unicode:characters_to_list([Name, $-, os:getpid()]).

in_words(Reason) ->
    unicode:characters_to_binary(io_lib:format("~0tp", [Reason])).
