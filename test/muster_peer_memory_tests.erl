%% What a subscriber is told of its peers across restarts of discovery.
-module(muster_peer_memory_tests).
-include_lib("eunit/include/eunit.hrl").

-define(M, muster_peer_memory).

peer(Node, Metadata) ->
    #{node => Node, metadata => Metadata, topologies => [], up_since => 0, leaving => false}.

%% The events told, and what is remembered, after several events.
told(Events, Memory) ->
    lists:foldl(
        fun(Event, {Told, Acc}) ->
            {More, Next} = ?M:event(Event, Acc),
            {Told ++ More, Next}
        end,
        {[], Memory},
        Events
    ).

events_are_passed_on_test() ->
    Events = [{peer_up, a, #{}}, {peer_update, a, #{<<"k">> => <<"v">>}}, {peer_down, a, <<"gone">>}],
    {Events, _} = told(Events, ?M:new([])).

what_is_known_is_not_told_again_test() ->
    Memory = ?M:new([peer(a, #{<<"k">> => <<"v">>})]),
    {[], _} = told([{peer_up, a, #{<<"k">> => <<"v">>}}, {peer_down, b, <<"gone">>}], Memory).

a_restart_without_changes_tells_nothing_test() ->
    Metadata = #{<<"k">> => <<"v">>},
    Lost = ?M:server_lost(?M:new([peer(a, Metadata), peer(b, #{})])),
    true = ?M:has_doubts(Lost),
    {[], Found} = ?M:server_found([], [a, b], Lost),
    true = ?M:has_doubts(Found),
    %% Peers come back without metadata first.
    {[], Sure} = told([{peer_up, a, #{}}, {peer_update, a, Metadata}, {peer_up, b, #{}}], Found),
    false = ?M:has_doubts(Sure).

changes_during_a_restart_are_told_test() ->
    Lost = ?M:server_lost(?M:new([peer(a, #{<<"k">> => <<"1">>}), peer(b, #{}), peer(c, #{})])),
    {Told, Found} = ?M:server_found([peer(a, #{<<"k">> => <<"2">>}), peer(d, #{})], [a, c, d], Lost),
    [
        {peer_down, b, _},
        {peer_update, a, #{<<"k">> := <<"2">>}},
        {peer_up, d, #{}}
    ] = Told,
    %% c is connected, and nobody has said more of it yet.
    true = ?M:has_doubts(Found),
    {[{peer_down, c, _}], Sure} = ?M:node_down(c, Found),
    false = ?M:has_doubts(Sure),
    %% The server itself tells of those that it knows.
    {[], Sure} = ?M:node_down(a, Sure).

an_update_of_a_doubted_peer_is_told_test() ->
    Lost = ?M:server_lost(?M:new([peer(a, #{<<"k">> => <<"1">>})])),
    {[{peer_update, a, #{<<"k">> := <<"2">>}}], Sure} = ?M:event({peer_up, a, #{<<"k">> => <<"2">>}}, Lost),
    false = ?M:has_doubts(Sure).
