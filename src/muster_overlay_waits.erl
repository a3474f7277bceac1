%% @private
%% Who waits in `muster_overlay:await_sync/0,1,2': each until all live peers have acknowledged what was here when it
%% asked, or its time is over.
-module(muster_overlay_waits).

-export([new/0, is_empty/1, add/4, reached/2, expired/2]).
-export_type([waits/0]).

-type version() :: non_neg_integer().
-opaque waits() :: [{gen_server:from(), version(), Timer :: reference() | none}].

-spec new() -> waits().
new() ->
    [].

-spec is_empty(waits()) -> boolean().
is_empty(Waits) ->
    Waits =:= [].

%% The server passes `{await_sync_timeout, From}' to `expired/2'.
-spec add(gen_server:from(), version(), timeout(), waits()) -> waits().
add(From, Version, Timeout, Waits) ->
    Timer =
        case Timeout of
            infinity -> none;
            _ -> erlang:send_after(Timeout, self(), {await_sync_timeout, From})
        end,
    [{From, Version, Timer} | Waits].

%% Tells those whose version everybody has, as the function says.
-spec reached(fun((version()) -> boolean()), waits()) -> waits().
reached(Everywhere, Waits) ->
    {Done, Left} = lists:partition(fun({_, Version, _}) -> Everywhere(Version) end, Waits),
    lists:foreach(
        fun({From, _, Timer}) ->
            _ = Timer =/= none andalso erlang:cancel_timer(Timer),
            gen_server:reply(From, ok)
        end,
        Done
    ),
    Left.

%% Whose time is over: the version that it waits for, so that it can be told who is behind.
-spec expired(term(), waits()) -> {version(), waits()} | nobody.
expired(From, Waits) ->
    case lists:keytake(From, 1, Waits) of
        {value, {_, Version, _}, Others} -> {Version, Others};
        false -> nobody
    end.
