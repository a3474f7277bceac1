%% @private
%% The C node's program: the application's options about it, and where it is.
-module(muster_cnode_program).

-export([options/1, executable/1]).

-include_lib("kernel/include/file.hrl").

%% The application's environment, checked.
-spec options([{atom(), term()}]) -> {ok, #{atom() => term()}} | {error, muster_options:invalid()}.
options(Env) ->
    Table = #{
        cnode => muster_options:one_of(enabled, [enabled, disabled]),
        cnode_path => {undefined, fun is_path/1, <<"a path, as a string or binary">>},
        cnode_priority => muster_options:one_of(raised, [raised, normal, realtime]),
        heartbeat_ms => muster_options:integer(500, {10, 60000}, "milliseconds"),
        heartbeat_limit => muster_options:integer(3000, {20, 600000}, "milliseconds")
    },
    case muster_options:check(maps:with(maps:keys(Table), maps:from_list(Env)), Table) of
        {ok, #{heartbeat_ms := Interval, heartbeat_limit := Limit}} when Limit < 2 * Interval ->
            {error, {invalid_option, heartbeat_limit, Limit, <<"at least twice heartbeat_ms">>}};
        Checked ->
            Checked
    end.

is_path(Path) when is_binary(Path) -> Path =/= <<>>;
is_path(Path) -> Path =/= [] andalso io_lib:char_list(Path).

%% Its path, or why there is none.
-spec executable(#{atom() => term()}) -> {ok, file:name_all()} | {error, iolist()}.
executable(#{cnode := disabled}) ->
    {error, "disabled by the option cnode"};
executable(#{cnode_path := undefined}) ->
    case code:priv_dir(muster) of
        {error, bad_name} -> {error, "the application's priv directory is not to be found"};
        Dir -> is_executable(filename:join(Dir, "muster_node"))
    end;
executable(#{cnode_path := Path}) ->
    is_executable(Path).

is_executable(Path) ->
    case file:read_file_info(Path) of
        {ok, #file_info{type = regular, mode = Mode}} when Mode band 8#111 =/= 0 ->
            {ok, Path};
        {ok, _} ->
            {error, io_lib:format("~ts is no executable file", [Path])};
        {error, Reason} ->
            {error, io_lib:format("~ts: ~ts", [Path, file:format_error(Reason)])}
    end.
