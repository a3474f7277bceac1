-module(muster_server_name_tests).

-include_lib("eunit/include/eunit.hrl").

names_test() ->
    ?assert(muster_server_name:is_name(here)),
    ?assert(muster_server_name:is_name({global, <<"any term">>})),
    ?assert(muster_server_name:is_name({via, a_registry, key})),
    [
        ?assertNot(muster_server_name:is_name(Odd))
     || Odd <- [nil, undefined, true, false, "text", {via, "no module", key}, {here, node()}, self()]
    ].

a_server_is_a_name_or_a_pid_test() ->
    ?assert(muster_server_name:is_server(self())),
    ?assert(muster_server_name:is_server(here)),
    ?assertNot(muster_server_name:is_server(nil)).

the_name_in_options_test() ->
    In = fun(Options) -> muster_server_name:in_options(Options, default) end,
    ?assertEqual(here, In([{other, 1}, {name, here}])),
    ?assertEqual({global, x}, In(#{name => {global, x}})),
    [?assertEqual(default, In(Options)) || Options <- [[], #{}, none, [{other, 1} | odd], [7]]].

to_register_test() ->
    ?assertEqual({local, here}, muster_server_name:to_register(here)),
    ?assertEqual({global, x}, muster_server_name:to_register({global, x})).

where_test() ->
    Name = muster_server_name_test,
    ?assertEqual(undefined, muster_server_name:where(Name)),
    true = register(Name, self()),
    try
        ?assertEqual(self(), muster_server_name:where(Name)),
        ?assertEqual(self(), muster_server_name:where(self()))
    after
        unregister(Name)
    end,
    ?assertEqual(undefined, muster_server_name:where({global, Name})),
    ?assertEqual(undefined, muster_server_name:where({via, a_registry_that_is_away, Name})).
