%% @private
%% Who waits in `muster_discovery:await/2,3' for a number of peers: each until there are that
%% many, its time is over, or it dies.
-module(muster_peer_waits).

-export([new/0, add/4, reached/2, expired/2, gone/2]).
-export_type([waits/0, id/0]).

-type id() :: Monitor :: reference().
-type waits() :: #{
    id() => {gen_server:from(), Min :: pos_integer(), timeout(), Timer :: reference() | undefined}
}.

-spec new() -> waits().
new() ->
    #{}.

%% The server passes `{timeout, _, {await, Id}}' to `expired/2', the `DOWN' of the monitor `Id' to
%% `gone/2'.
-spec add(gen_server:from(), pos_integer(), timeout(), waits()) -> waits().
add({Pid, _} = From, Min, Timeout, Waits) ->
    Id = erlang:monitor(process, Pid),
    Timer =
        case Timeout of
            infinity -> undefined;
            _ -> erlang:start_timer(Timeout, self(), {await, Id})
        end,
    Waits#{Id => {From, Min, Timeout, Timer}}.

%% There are so many peers now.
-spec reached(non_neg_integer(), waits()) -> waits().
reached(Count, Waits) ->
    Over = [{Id, From} || {Id, {From, Min, _, _}} <- maps:to_list(Waits), Count >= Min],
    lists:foldl(
        fun({Id, From}, Acc) ->
            gen_server:reply(From, ok),
            remove(Id, Acc)
        end,
        Waits,
        Over
    ).

-spec expired(id(), waits()) -> waits().
expired(Id, Waits) ->
    case Waits of
        #{Id := {From, _, Timeout, _}} ->
            gen_server:reply(From, {error, {timeout, Timeout}}),
            remove(Id, Waits);
        #{} ->
            Waits
    end.

-spec gone(id(), waits()) -> waits().
gone(Id, Waits) ->
    remove(Id, Waits).

remove(Id, Waits) ->
    {{_, _, _, Timer}, Rest} = maps:take(Id, Waits),
    erlang:demonitor(Id, [flush]),
    _ = is_reference(Timer) andalso erlang:cancel_timer(Timer),
    Rest.
