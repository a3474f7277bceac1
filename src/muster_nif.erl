%% @private
%% One stub for each function of priv/muster_nif.so.
-module(muster_nif).

-export([version/0]).
-on_load(load/0).

-nifs([version/0]).

load() ->
    erlang:load_nif(filename:join(code:priv_dir(muster), "muster_nif"), 0).

%% @doc The version the library was built from.
-spec version() -> string().
version() ->
    erlang:nif_error(not_loaded).
