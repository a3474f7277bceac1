%% What every project that uses muster does here: start it and see that all its parts are there.
-module(consumer).

-export([check/0, main/0]).

%% For `erl -s consumer main`: says what is wrong and exits with a code.
main() ->
    check(),
    halt(0).

check() ->
    try
        {ok, _} = application:ensure_all_started(muster),
        true = is_pid(whereis(muster_sup)),
        Version = os:getenv("MUSTER_VERSION"),
        {_, Version} = {nif, muster_nif:version()},
        {_, {ok, Version}} = {app, application:get_key(muster, vsn)},
        {_, {ok, #{os_pid := _}}} = {cnode, muster:info()},
        Set = muster_or_set:add(muster_or_set:new(), here),
        {_, [here]} = {or_set, muster_or_set:to_list(Set)},
        {_, 0} = {muster_node, run(filename:join(code:priv_dir(muster), "muster_node"), ["--help"])},
        io:format("consumer: ok (~ts, ~ts)~n", [Version, code:priv_dir(muster)])
    catch
        Class:Reason:Stack ->
            io:format("consumer: ~p ~p~n~p~n", [Class, Reason, Stack]),
            halt(1)
    end.

run(Program, Args) ->
    Port = open_port({spawn_executable, Program}, [{args, Args}, exit_status, hide]),
    wait(Port).

wait(Port) ->
    receive
        {Port, {exit_status, Status}} -> Status;
        {Port, {data, _}} -> wait(Port)
    after 10000 -> timeout
    end.
