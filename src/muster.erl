%% @doc muster at a glance: is its C node there, what does it see.
-module(muster).

-export([version/0, available/0, info/0, peers/0]).

%% @doc The version of this package.
-spec version() -> binary().
version() ->
    _ = application:load(muster),
    {ok, Version} = application:get_key(muster, vsn),
    list_to_binary(Version).

%% @doc Whether there is a C node for this platform; see {@link muster_cnode:available/0}.
-spec available() -> boolean().
available() ->
    muster_cnode:available().

%% @doc The C node about itself: its version, OS process, name, port, peers; see service `node' in
%% `docs/control-port.md'. Errors as of {@link muster_cnode:call/4}.
-spec info() -> {ok, map()} | {error, term()}.
info() ->
    muster_cnode:call(node, info, #{}).

%% @doc The C node's peers, each a map with its name (a binary), the state of the connection, the
%% reason in words, and since how many milliseconds (`since_ms') that state lasts.
-spec peers() -> {ok, [map()]} | {error, term()}.
peers() ->
    muster_cnode:call(node, peers, #{}).
