%% @private
%% Callers that wait for something to be reached: each until what it waits for is, its time is over, or it dies. Those of
%% `muster_discovery:await/2,3' wait for a number of peers, those of `muster_overlay:await_sync/0,1,2' for all live peers
%% to have acknowledged what was here when they asked.
-module(muster_waits).

-export([new/0, is_empty/1, add/4, reached/2, expired/2, gone/2]).
-export_type([waits/1, id/0]).

-type id() :: Monitor :: reference().
-type waits(Goal) :: #{id() => {gen_server:from(), Goal, Timer :: reference() | none}}.

-spec new() -> waits(_).
new() ->
    #{}.

-spec is_empty(waits(_)) -> boolean().
is_empty(Waits) ->
    map_size(Waits) =:= 0.

%% The server passes `{timeout, _, {await, Id}}' to `expired/2', and a `DOWN' whose monitor the id may be to `gone/2'.
-spec add(gen_server:from(), Goal, timeout(), waits(Goal)) -> waits(Goal).
add({Pid, _} = From, Goal, Timeout, Waits) ->
    Id = erlang:monitor(process, Pid),
    Timer =
        case Timeout of
            infinity -> none;
            _ -> erlang:start_timer(Timeout, self(), {await, Id})
        end,
    Waits#{Id => {From, Goal, Timer}}.

%% Answers `ok' to those whose goal is reached, as the function says.
-spec reached(fun((Goal) -> boolean()), waits(Goal)) -> waits(Goal).
reached(IsReached, Waits) ->
    Done = maps:filter(fun(_, {_, Goal, _}) -> IsReached(Goal) end, Waits),
    maps:fold(
        fun(Id, {From, _, _}, Left) ->
            gen_server:reply(From, ok),
            gone(Id, Left)
        end,
        Waits,
        Done
    ).

%% Whose time is over: who it is, and what it waits for, so that it can be told what is missing.
-spec expired(term(), waits(Goal)) -> {gen_server:from(), Goal, waits(Goal)} | nobody.
expired(Id, Waits) ->
    case Waits of
        #{Id := {From, Goal, _}} -> {From, Goal, gone(Id, Waits)};
        #{} -> nobody
    end.

-spec gone(id(), waits(Goal)) -> waits(Goal).
gone(Id, Waits) ->
    case maps:take(Id, Waits) of
        {{_, _, Timer}, Others} ->
            erlang:demonitor(Id, [flush]),
            _ = Timer =/= none andalso erlang:cancel_timer(Timer),
            Others;
        error ->
            Waits
    end.
