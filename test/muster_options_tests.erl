-module(muster_options_tests).
-include_lib("eunit/include/eunit.hrl").

table() ->
    #{
        interval => muster_options:integer(5, {1, 10}, "ms"),
        mode => muster_options:one_of(on, [on, off])
    }.

check_test_() ->
    Interval = <<"an integer from 1 to 10 (ms)">>,
    Form = <<"a property list or a map">>,
    Cases = [
        {[], {ok, #{interval => 5, mode => on}}},
        {#{}, {ok, #{interval => 5, mode => on}}},
        {[{interval, 1}, {mode, off}], {ok, #{interval => 1, mode => off}}},
        {#{interval => 10}, {ok, #{interval => 10, mode => on}}},
        {[{interval, 2}, {interval, 3}], {ok, #{interval => 2, mode => on}}},
        {[{interval, 0}], {error, {invalid_option, interval, 0, Interval}}},
        {[{interval, 11}], {error, {invalid_option, interval, 11, Interval}}},
        {[{interval, 1.0}], {error, {invalid_option, interval, 1.0, Interval}}},
        {[{mode, maybe}], {error, {invalid_option, mode, maybe, <<"on or off">>}}},
        {[{speed, 1}], {error, {invalid_option, speed, 1, <<"one of the options interval, mode">>}}},
        {[{1, 2, 3}], {error, {invalid_option, options, {1, 2, 3}, Form}}},
        {nonsense, {error, {invalid_option, options, nonsense, Form}}},
        {[mode | off], {error, {invalid_option, options, [mode | off], Form}}}
    ],
    [?_assertEqual(Expected, muster_options:check(Given, table())) || {Given, Expected} <- Cases].
