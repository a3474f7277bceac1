%% The examples in the Erlang modules' documentation and in docs/crdts.md run, and their matches match.
-module(muster_crdt_doc_tests).

-include_lib("eunit/include/eunit.hrl").

modules_test_() ->
    [
        {atom_to_list(Module), fun() -> run_all(examples(source(Module), "^%% ```(?!erlang)\n((?:%%.*\n)*?)%% '''")) end}
     || Module <- [muster_or_set, muster_lww_register, muster_lww_map]
    ].

guide_test() ->
    run_all(examples("docs/crdts.md", "^```erlang\n((?:.*\n)*?)```")).

source(Module) ->
    proplists:get_value(source, Module:module_info(compile)).

examples(Path, Pattern) ->
    {ok, Text} = file:read_file(Path),
    {match, Found} = re:run(Text, Pattern, [multiline, global, {capture, all_but_first, list}]),
    [re:replace(Code, "^%% ", "", [multiline, global, {return, list}]) || [Code] <- Found].

run_all(Examples) ->
    ?assertNotEqual([], Examples),
    lists:foreach(fun run/1, Examples).

run(Code) ->
    {ok, Tokens, _} = erl_scan:string(Code),
    {ok, Expressions} = erl_parse:parse_exprs(Tokens),
    {value, _, _} = erl_eval:exprs(Expressions, []).
