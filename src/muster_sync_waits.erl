%% @private
%% Who waits in `muster_discovery:sync/1,2': for each the topologies whose backends have not answered
%% yet, and what the others' errors were. All that is done is a timer and the replies.
-module(muster_sync_waits).

-export([new/0, add/4, expired/2, answered/3, answered/4, fail/2]).
-export_type([waits/0, id/0]).

-type id() :: Timer :: reference().
-type waits() :: #{id() => {gen_server:from(), Ms :: integer(), Waiting :: [term()], Errors :: [binary()]}}.

-spec new() -> waits().
new() ->
    #{}.

%% The id is the timer's, whose message `{timeout, Id, sync}' the server passes to `expired/2'.
-spec add(gen_server:from(), integer(), [Topology :: term(), ...], waits()) -> {id(), waits()}.
add(From, Ms, Topologies, Waits) ->
    Id = erlang:start_timer(Ms, self(), sync),
    {Id, Waits#{Id => {From, Ms, Topologies, []}}}.

-spec expired(id(), waits()) -> waits().
expired(Id, Waits) ->
    case maps:take(Id, Waits) of
        {{From, Ms, _, _}, Rest} ->
            gen_server:reply(From, {error, {timeout, Ms}}),
            Rest;
        error ->
            Waits
    end.

%% A topology's backend answered: whoever waits for it is one step further.
-spec answered(Topology :: term(), [Error :: binary()], waits()) -> waits().
answered(Topology, Errors, Waits) ->
    lists:foldl(fun(Id, Acc) -> answered(Id, Topology, Errors, Acc) end, Waits, maps:keys(Waits)).

%% The same for one of them.
-spec answered(id(), Topology :: term(), [Error :: binary()], waits()) -> waits().
answered(Id, Topology, Errors, Waits) ->
    case Waits of
        #{Id := {From, Ms, Waiting, Known}} ->
            case {lists:member(Topology, Waiting), lists:delete(Topology, Waiting)} of
                {false, _} -> Waits;
                {true, []} -> over(Id, result(Known ++ Errors), Waits);
                {true, Left} -> Waits#{Id := {From, Ms, Left, Known ++ Errors}}
            end;
        #{} ->
            Waits
    end.

%% No backend will answer.
-spec fail(binary(), waits()) -> waits().
fail(Text, Waits) ->
    lists:foldl(fun(Id, Acc) -> over(Id, result([Text]), Acc) end, Waits, maps:keys(Waits)).

over(Id, Result, Waits) ->
    {{From, _, _, _}, Rest} = maps:take(Id, Waits),
    _ = erlang:cancel_timer(Id),
    gen_server:reply(From, Result),
    Rest.

result([]) -> ok;
result(Texts) -> {error, {sync_failed, unicode:characters_to_binary(lists:join("; ", Texts))}}.
