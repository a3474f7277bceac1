%% @private
%% Who waits in `muster_discovery:await/2,3' for a number of peers, as {@link muster_waits} has it.
-module(muster_peer_waits).

-export([new/0, add/4, reached/2, expired/2, gone/2]).
-export_type([waits/0]).

-type waits() :: muster_waits:waits({Min :: pos_integer(), timeout()}).

-spec new() -> waits().
new() ->
    muster_waits:new().

-spec add(gen_server:from(), pos_integer(), timeout(), waits()) -> waits().
add(From, Min, Timeout, Waits) ->
    muster_waits:add(From, {Min, Timeout}, Timeout, Waits).

%% There are so many peers now.
-spec reached(non_neg_integer(), waits()) -> waits().
reached(Count, Waits) ->
    muster_waits:reached(fun({Min, _}) -> Count >= Min end, Waits).

-spec expired(muster_waits:id(), waits()) -> waits().
expired(Id, Waits) ->
    case muster_waits:expired(Id, Waits) of
        {From, {_, Timeout}, Left} ->
            gen_server:reply(From, {error, {timeout, Timeout}}),
            Left;
        nobody ->
            Waits
    end.

-spec gone(muster_waits:id(), waits()) -> waits().
gone(Id, Waits) ->
    muster_waits:gone(Id, Waits).
