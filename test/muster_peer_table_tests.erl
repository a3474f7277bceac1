-module(muster_peer_table_tests).
-include_lib("proper/include/proper.hrl").
-include_lib("eunit/include/eunit.hrl").

-define(T, muster_peer_table).

run(News) ->
    {Events, Table} = lists:mapfoldl(fun ?T:step/2, ?T:new(), News),
    {lists:append(Events), Table}.

events(News) ->
    {Events, _} = run(News),
    Events.

events_test_() ->
    M = #{<<"a">> => <<"b">>},
    [
        ?_assertEqual(Expected, events(News))
     || {News, Expected} <- [
            %% Connected and listed, in either order; once.
            {[{up, n}, {found, n, t}, {found, n, u}], [{peer_up, n, #{}}]},
            {[{found, n, t}, {up, n}], [{peer_up, n, #{}}]},
            {[{up, n}], []},
            {[{found, n, t}], []},
            %% Its own word is as good as a listing.
            {[{up, n}, {hello, n, 1, M, false}], [{peer_up, n, M}]},
            {[{found, n, t}, {up, n}, {down, n, closed}],
                [{peer_up, n, #{}}, {peer_down, n, <<"closed">>}]},
            %% A listing that leaves it out ends nothing.
            {[{found, n, t}, {up, n}, {lost, n, t}], [{peer_up, n, #{}}]},
            {[{found, n, t}, {up, n}, {lost, n, t}, {down, n, x}, {up, n}],
                [{peer_up, n, #{}}, {peer_down, n, <<"x">>}]},
            %% The higher version wins, whichever way it came.
            {[{found, n, t}, {up, n}, {metadata, n, 2, M}, {hello, n, 1, #{}, false}],
                [{peer_up, n, #{}}, {peer_update, n, M}]},
            {[{found, n, t}, {up, n}, {hello, n, 1, M, false}, {metadata, n, 2, M}],
                [{peer_up, n, #{}}, {peer_update, n, M}]},
            {[{found, n, t}, {metadata, n, 1, M}, {up, n}], [{peer_up, n, M}]},
            %% After a restart with its clock set back the versions begin lower.
            {[{found, n, t}, {up, n}, {hello, n, 9, #{}, false}, {down, n, x}, {up, n}, {hello, n, 3, M, false}],
                [{peer_up, n, #{}}, {peer_down, n, <<"x">>}, {peer_up, n, #{}}, {peer_update, n, M}]}
        ]
    ].

nothing_is_kept_of_who_is_gone_test() ->
    {_, Table} = run([{up, n}, {hello, n, 1, #{}, true}, {down, n, x}, {lost, m, t}, {metadata, o, 1, #{}}]),
    ?assertEqual(?T:new(), Table).

%% Ups and downs of a node alternate, and what they add up to is the snapshot.
prop_alternate() ->
    N = oneof([a, b, c]),
    M = oneof([#{}, #{<<"k">> => <<"1">>}, #{<<"k">> => <<"2">>}]),
    News = oneof([
        {up, N}, {down, N, x}, {found, N, oneof([t, u])}, {lost, N, oneof([t, u])},
        {hello, N, nat(), M, boolean()}, {metadata, N, nat(), M}, {forget, N}
    ]),
    ?FORALL(List, list(News), begin
        {Events, Table} = run(List),
        Seen = lists:foldl(fun apply_event/2, #{}, Events),
        Seen =:= maps:from_list([{Node, Meta} || #{node := Node, metadata := Meta} <- ?T:peers(Table)])
            andalso map_size(Seen) =:= ?T:count(Table)
    end).

apply_event({peer_up, N, M}, Seen) when not is_map_key(N, Seen) -> Seen#{N => M};
apply_event({peer_update, N, M}, Seen) when map_get(N, Seen) =/= M -> Seen#{N := M};
apply_event({peer_down, N, R}, Seen) when is_map_key(N, Seen), is_binary(R) -> maps:remove(N, Seen).

properties_test() ->
    ?assert(proper:quickcheck(prop_alternate(), [{numtests, 2000}, quiet])).
