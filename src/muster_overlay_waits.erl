%% @private
%% Who waits in `muster_overlay:await_sync/0,1,2': each until all live peers have acknowledged what was here when it
%% asked, its time is over, or it dies.
-module(muster_overlay_waits).

-export([new/0, is_empty/1, add/4, reached/2, expired/2, gone/2]).
-export_type([waits/0, id/0]).

-type id() :: Monitor :: reference().
-type version() :: non_neg_integer().
-type waits() :: #{id() => {gen_server:from(), version(), Timer :: reference() | none}}.

-spec new() -> waits().
new() ->
    #{}.

-spec is_empty(waits()) -> boolean().
is_empty(Waits) ->
    map_size(Waits) =:= 0.

%% The server passes `{await_sync_timeout, Id}' to `expired/2', and a `DOWN' whose monitor the id may be to `gone/2'.
-spec add(gen_server:from(), version(), timeout(), waits()) -> waits().
add({Pid, _} = From, Version, Timeout, Waits) ->
    Id = erlang:monitor(process, Pid),
    Timer =
        case Timeout of
            infinity -> none;
            _ -> erlang:send_after(Timeout, self(), {await_sync_timeout, Id})
        end,
    Waits#{Id => {From, Version, Timer}}.

%% Tells those whose version everybody has, as the function says.
-spec reached(fun((version()) -> boolean()), waits()) -> waits().
reached(Everywhere, Waits) ->
    Done = maps:filter(fun(_, {_, Version, _}) -> Everywhere(Version) end, Waits),
    maps:fold(
        fun(Id, {From, _, _}, Left) ->
            gen_server:reply(From, ok),
            gone(Id, Left)
        end,
        Waits,
        Done
    ).

%% Whose time is over: who it is, and the version that it waits for, so that it can be told who is behind.
-spec expired(term(), waits()) -> {gen_server:from(), version(), waits()} | nobody.
expired(Id, Waits) ->
    case Waits of
        #{Id := {From, Version, _}} -> {From, Version, gone(Id, Waits)};
        #{} -> nobody
    end.

-spec gone(id(), waits()) -> waits().
gone(Id, Waits) ->
    case maps:take(Id, Waits) of
        {{_, _, Timer}, Others} ->
            erlang:demonitor(Id, [flush]),
            _ = Timer =/= none andalso erlang:cancel_timer(Timer),
            Others;
        error ->
            Waits
    end.
