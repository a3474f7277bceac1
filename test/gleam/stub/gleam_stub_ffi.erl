%% The stand-ins' other half.
-module(gleam_stub_ffi).

-behaviour(supervisor).

-export([identity/1, dict_get/2, println/1, sleep/1, sleep_forever/0]).
-export([supervisor/2, init/1, start_child/1]).

identity(Value) -> Value.

dict_get(Dict, Key) ->
    case Dict of
        #{Key := Value} -> {ok, Value};
        #{} -> {error, nil}
    end.

println(Text) ->
    io:put_chars([Text, $\n]),
    nil.

sleep(Ms) ->
    timer:sleep(Ms),
    nil.

sleep_forever() ->
    timer:sleep(infinity),
    nil.

%% As gleam_otp's static_supervisor: an Erlang supervisor whose children are started by functions.
supervisor(Strategy, Children) ->
    case supervisor:start_link(?MODULE, {Strategy, lists:reverse(Children)}) of
        {ok, Pid} -> {ok, Pid};
        {error, {shutdown, {failed_to_start_child, _, Reason}}} -> {error, Reason}
    end.

init({Strategy, Children}) ->
    Specs = [
        #{id => Id, start => {?MODULE, start_child, [Start]}}
     || {Id, Start} <- lists:zip(lists:seq(1, length(Children)), Children)
    ],
    {ok, {#{strategy => Strategy, intensity => 2, period => 5}, Specs}}.

start_child(Start) ->
    Start().
