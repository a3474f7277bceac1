#!/usr/bin/env escript
%% What `rebar3 hex build` would put into the package, as rebar3_hex_build:create_package/3 and
%% rebar3_hex_file:expand_paths/2 find it, which cannot be fetched from here. Run in muster's folder.
%%
%%   rebar3_hex_files.escript files        the files, one a line
%%   rebar3_hex_files.escript app_src      src/muster.app.src as it is rewritten: with the version itself

main(["files"]) ->
    {application, muster, App} = app_src(),
    Paths = lists:flatmap(fun filelib:wildcard/1, proplists:get_value(files, App)),
    Files = [File || Path <- Paths, File <- below(Path), filelib:is_regular(File), not left_out(File)],
    [io:format("~ts~n", [File]) || File <- lists:usort(Files)];
main(["app_src"]) ->
    {application, muster, App} = app_src(),
    {ok, Version} = file:read_file("VERSION"),
    Vsn = {vsn, string:trim(binary_to_list(Version))},
    io:format("~tp.~n", [{application, muster, lists:keyreplace(vsn, 1, App, Vsn)}]).

app_src() ->
    {ok, [AppSrc]} = file:consult("src/muster.app.src"),
    AppSrc.

below(Path) ->
    case filelib:is_dir(Path) of
        true -> filelib:wildcard(filename:join(Path, "**"));
        false -> [Path]
    end.

left_out(File) ->
    re:run(File, "(~|\\.o|\\.so|\\.swp)$") =/= nomatch.
