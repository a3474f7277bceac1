%% Roles from the C node's table and from another member, and what is told of their changes.
-module(muster_topology_roles_tests).
-include_lib("eunit/include/eunit.hrl").

-define(R, muster_topology_roles).

status(Rows, Commander) ->
    ?R:of_status(#{roles => Rows, commander => Commander}, self@h).

of_status_test() ->
    Roles = status([{<<"b@h">>, commander}, {<<"a@h">>, relay}], <<"b@h">>),
    Rows = [{a@h, relay}, {b@h, commander}, {self@h, wingmate}],
    ?assertEqual(Rows, ?R:rows(Roles)),
    ?assertEqual(Rows, ?R:answer(list_nodes, none, Roles)),
    ?assertEqual(relay, ?R:answer({role_of, a@h}, none, Roles)),
    ?assertEqual(wingmate, ?R:answer({role_of, ghost@h}, none, Roles)),
    ?assertEqual({ok, b@h, {1, 2}}, ?R:answer(get_command, {1, 2}, Roles)),
    ?assertEqual({error, no_commander}, ?R:answer(get_command, none, Roles)),
    ?assertEqual({error, no_commander}, ?R:answer(get_command, {1, 2}, status([], none))),
    Without = ?R:without_commander(Roles),
    ?assertEqual([{a@h, relay}, {b@h, wingmate}, {self@h, wingmate}], ?R:rows(Without)),
    ?assertEqual(undefined, ?R:commander(Without)).

%% What the C node's events change is as a new status would be.
events_test() ->
    Roles = ?R:set_commander(<<"a@h">>, ?R:set_rows([{<<"a@h">>, commander}], self@h, status([], none))),
    ?assertEqual(status([{<<"a@h">>, commander}], <<"a@h">>), Roles),
    ?assertEqual(undefined, ?R:commander(?R:set_commander(none, Roles))).

changes_test() ->
    Old = ?R:new([{a@h, commander}, {b@h, wingmate}, {c@h, relay}], a@h),
    New = ?R:new([{a@h, wingmate}, {b@h, commander}, {d@h, wingmate}], b@h),
    ?assertEqual(#{roles => [], gone => [], commander => same}, ?R:changes(Old, Old)),
    ?assertEqual(
        #{
            roles => [{a@h, wingmate}, {b@h, commander}, {d@h, wingmate}],
            gone => [c@h],
            commander => {a@h, b@h}
        },
        ?R:changes(Old, New)
    ).

%% Another member's events, whichever face it has.
after_event_test() ->
    Roles = ?R:new([{a@h, commander}], a@h),
    After = fun(Event) -> ?R:after_event(Event, Roles) end,
    [?assertEqual(undefined, ?R:commander(After({commander_changed, a@h, None}))) || None <- [nil, undefined]],
    ?assertEqual(b@h, ?R:commander(After({commander_changed, a@h, b@h}))),
    ?assertEqual([{a@h, commander}, {b@h, relay}], ?R:rows(After({role_changed, b@h, relay}))),
    [?assertEqual([], ?R:rows(After({role_changed, a@h, None}))) || None <- [nil, undefined]],
    [?assertEqual(Roles, After(Stray)) || Stray <- [{commander_changed, a@h, "b"}, {role_changed, "b", relay}, x]].
