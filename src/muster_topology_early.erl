%% @private
%% The time right after a topology's start. Who asks for the commander, or promotes, waits for the first one; then
%% the table is `settling', as it may yet lack others that have just started. Pure.
-module(muster_topology_early).

-export([new/0, wait/3, next/2, is_settling/1]).

-export_type([early/0]).

-type waiting() :: {Request :: term(), gen_server:from()}.
-opaque early() :: {waiting, [waiting()]} | settling | over.

-spec new() -> early().
new() ->
    {waiting, []}.

%% Whether a request is one that waits now.
-spec wait(Request :: term(), gen_server:from(), early()) -> {waits, early()} | no.
wait(get_command, From, {waiting, Waiting}) -> {waits, {waiting, [{get_command, From} | Waiting]}};
wait({promote, _, _} = Request, From, {waiting, Waiting}) -> {waits, {waiting, [{Request, From} | Waiting]}};
wait(_, _, _) -> no.

%% There is a commander, or nobody is to wait any longer. Those that have waited are to be answered, in this order.
-spec next(settling | over, early()) -> {[waiting()], early()}.
next(Next, {waiting, Waiting}) -> {lists:reverse(Waiting), Next};
next(over, _) -> {[], over};
next(settling, Early) -> {[], Early}.

-spec is_settling(early()) -> boolean().
is_settling(Early) ->
    Early =:= settling.
