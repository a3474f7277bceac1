%% @private
%% Wrong arguments raise `badarg' in the calling process, at the function that was called, and say what
%% is expected: the shell's report and Elixir's `ArgumentError' show it.
-module(muster_arguments).

-export([check/2, bad/2]).
-export([format_error/2]).

-type call() :: {module(), Function :: atom(), Arguments :: [term()]}.

%% Raises unless all these arguments, by their positions, are good.
-spec check(call(), [{Position :: pos_integer(), IsGood :: boolean(), Expected :: binary()}]) -> ok.
check(Call, Checks) ->
    case [{Position, Expected} || {Position, false, Expected} <- Checks] of
        [] -> ok;
        Wrong -> bad(Call, maps:from_list(Wrong))
    end.

%% What is expected, by the positions of the wrong arguments.
-spec bad(call(), #{pos_integer() => binary()}) -> no_return().
bad({Module, Function, Arguments}, Expected) ->
    {current_stacktrace, Stack} = process_info(self(), current_stacktrace),
    Callers = lists:dropwhile(fun({M, F, _, _}) -> M =:= ?MODULE orelse {M, F} =:= {Module, Function} end, tl(Stack)),
    Info = [{error_info, #{module => ?MODULE, cause => Expected}}],
    erlang:raise(error, badarg, [{Module, Function, Arguments, Info} | Callers]).

-spec format_error(term(), [tuple()]) -> #{pos_integer() => unicode:chardata()}.
format_error(badarg, [{_Module, _Function, _Arguments, Info} | _]) ->
    #{cause := Expected} = proplists:get_value(error_info, Info),
    maps:map(fun(_, Text) -> <<"expected ", Text/binary>> end, Expected).
