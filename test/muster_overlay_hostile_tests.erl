%% What peers may send that no overlay would: the server lives, reads and writes still work, and what is
%% kept stays bounded.
-module(muster_overlay_hostile_tests).

-include_lib("proper/include/proper.hrl").
-include_lib("eunit/include/eunit.hrl").
-include("support/eventually.hrl").

-define(MAX, 16#7ffffffffffffff).

%%% One server, its peer is this process

with_server(Test) ->
    {timeout, 120, fun() ->
        true = register(ov_hostile, self()),
        {ok, Server} = muster_overlay:start_link([
            {name, ov_victim},
            {node_monitor, none},
            {peers, [{ov_hostile, node()}]},
            {sync_interval_ms, 10},
            {anti_entropy_interval_ms, 100}
        ]),
        ok = muster_overlay:update_entity(Server, u, #{n => 1}),
        try
            Test(Server),
            works(Server)
        after
            unregister(ov_hostile),
            gen_server:stop(Server)
        end
    end}.

say(Server, Body) -> Server ! {muster_overlay, 1, {ov_hostile, node()}, Body}.

works(Server) ->
    ok = muster_overlay:update_entity(Server, {works, Server}, #{n => 2}),
    {ok, #{n := 2}} = muster_overlay:get_entity(Server, {works, Server}),
    #{entities := #{}} = muster_overlay:get_overlay_state(Server),
    #{peers := #{}} = muster_overlay:status(Server),
    ok.

memory(Server) ->
    works(Server),
    erlang:garbage_collect(Server),
    {memory, Bytes} = process_info(Server, memory),
    Bytes.

refused(Server) ->
    #{peers := Peers} = muster_overlay:status(Server),
    #{refused_messages := N} = maps:get({ov_hostile, node()}, Peers),
    N.

%% What a write of such an entry would send.
delta(Key, Data) ->
    Empty = muster_lww_map:new(),
    muster_crdt_delta:delta(Empty, muster_lww_map:put(Empty, Key, Data, evil)).

update(Delta) -> {update, {update, make_ref(), 1, 0, Delta}}.

%%% What is well-formed as a CRDT, but not as an overlay's

malformed_test_() ->
    with_server(fun(Server) ->
        Before = muster_overlay:export_state(Server),
        Good = term_to_binary(#{id => 1}),
        Loser = fun(Data) -> {delta, [{r, 1, 0, 2}], [], [{{entity, 1}, [{1, 1, 5, Data}, {1, 2, 9, Good}]}]} end,
        Deltas = [
            delta({bogus, 1}, Good),
            delta(no_pair, Good),
            delta({entity, 1}, no_binary),
            delta({entity, 2}, Good),
            delta({entity, 1}, <<131, 104, 255>>),
            %% Not what is read, as long as the other is there.
            Loser(no_binary),
            Loser(term_to_binary(no_map)),
            %% No write could follow these counters.
            {delta, [{node(), 77, 0, ?MAX + 1}], [], []},
            {delta, [{node(), ?MAX + 1, 0, 1}], [], []},
            {delta, [{node(), 0, 0, 1}], [], []},
            {delta, [{node(), 1, 0, 1} | improper], [], []},
            {delta, [], [{{entity, u}, [x | y]}], []},
            {delta, [], [], [{{entity, u}, [{1, 1, 1}]}]},
            nothing
        ],
        [
            begin
                ?assertEqual({error, malformed}, muster_overlay:receive_delta(Server, someone, Delta)),
                Refused = refused(Server),
                say(Server, update(Delta)),
                ?assertEqual({Delta, Refused + 1}, {Delta, refused(Server)})
            end
         || Delta <- Deltas
        ],
        Map = muster_lww_map:new(),
        States = [
            muster_lww_map:put(Map, {bogus, 1}, Good, evil),
            Map#{context := #{node() => {77, ?MAX + 1}}},
            Map#{context := #{node() => {77}}},
            Map#{root := {1, 1, 1}},
            nothing
        ],
        [
            ?assertEqual({State, Refused}, {State, muster_overlay:receive_full_state(Server, someone, State)})
         || State <- States, Refused <- [{error, malformed}]
        ],
        ?assertEqual(Before, muster_overlay:export_state(Server))
    end).

%% The clock of a peer may be years ahead: what is written after seeing that wins over it.
a_stamp_far_in_the_future_test_() ->
    with_server(fun(Server) ->
        [
            begin
                Data = term_to_binary(#{id => u, far => true}),
                say(Server, update({delta, [{r, Lineage, 0, 1}], [], [{{entity, u}, [{Lineage, 1, Stamp, Data}]}]})),
                {ok, #{far := true}} = muster_overlay:get_entity(Server, u),
                ok = muster_overlay:update_entity(Server, u, #{n => Lineage}),
                {ok, #{n := Lineage}} = muster_overlay:get_entity(Server, u)
            end
         || {Lineage, Stamp} <- [{77, 1 bsl 58}, {78, 1 bsl 62}, {79, 1 bsl 100}]
        ]
    end).

%%% Messages of no peer's

messages_test_() ->
    with_server(fun(Server) ->
        Odd = [
            {streamed, {ov_hostile, node()}, x, sent},
            {stored, self()},
            {swarm_event, {node_up, 1}},
            {swarm_event, x},
            {nodeup, 1},
            {nodedown, x},
            {await_sync_timeout, x},
            {timeout, x, {await, x}},
            {timeout, make_ref(), sync},
            {'DOWN', make_ref(), process, self(), x},
            {make_ref(), ok},
            {[alias | make_ref()], ok},
            take_chunk,
            reopen_store,
            sync,
            {muster_overlay},
            {muster_overlay, 1, x, y},
            {muster_overlay, 1, {"name", node()}, x},
            %% From the future.
            {muster_overlay, 2, {ov_hostile, node()}, {update, x}},
            {'$gen_cast', {release, x}},
            {'$gen_cast', x},
            {'$gen_call', {self(), make_ref()}, {subscribe, "nobody"}},
            {'$gen_call', {self(), make_ref()}, {subscribe, nobody}},
            {'$gen_call', {self(), make_ref()}, {put, {entity, 1}, no_map}}
        ],
        [Server ! Message || Message <- Odd],
        works(Server),
        %% Nothing is written where nothing is to be kept.
        ?assertNot(filelib:is_file("undefined")),
        ?assertError(badarg, muster_overlay:await_sync(Server, 1 bsl 80)),
        Server ! {muster_overlay, 1, {ov_hostile, node()}, [im | proper]},
        ?assertEqual(1, refused(Server))
    end).

%% Whoever speaks is answered, but not remembered without bound.
strangers_test_() ->
    with_server(fun(Server) ->
        Stranger = fun(N) -> {list_to_atom("stranger" ++ integer_to_list(N)), node()} end,
        [Server ! {muster_overlay, 1, Stranger(N), {resync, x}} || N <- lists:seq(1, 3000)],
        #{peers := Peers} = muster_overlay:status(Server),
        ?assertEqual(1001, map_size(Peers))
    end).

floods_test_() ->
    with_server(fun(Server) ->
        Before = memory(Server),
        Digest = {{0, 0}, 0},
        [say(Server, {sync, {begin_sync, make_ref(), Digest}, {make_ref(), 1}}) || _ <- lists:seq(1, 10000)],
        [say(Server, {acknowledge, {acknowledge, make_ref(), N}}) || N <- lists:seq(1, 10000)],
        [say(Server, {chunk, make_ref(), N, {begin_load, #{}}}) || N <- lists:seq(1, 10000)],
        [say(Server, {load, make_ref(), #{not_a => context}}) || _ <- lists:seq(1, 100)],
        ?assert(memory(Server) - Before < 1000000),
        %% A stream that was asked for, but does not keep to what may be under way.
        #{context := Ahead} = muster_lww_map:put(muster_lww_map:new(), {entity, 1}, x, evil),
        say(Server, {offer, Ahead}),
        Reference = receive_load(),
        ok = sys:suspend(Server),
        Ballast = fun(N) -> #{N => list_to_tuple(lists:seq(1, 1000))} end,
        [say(Server, {chunk, Reference, N, {begin_load, Ballast(N)}}) || N <- lists:seq(1, 5000)],
        ok = sys:resume(Server),
        ?assert(memory(Server) - Before < 2000000)
    end).

%% Each would need a list of all that is here.
many_that_have_nothing_test_() ->
    with_server(fun(Server) ->
        [ok = muster_overlay:update_entity(Server, N, #{n => N}) || N <- lists:seq(1, 2500)],
        Fresh = fun(N) -> {list_to_atom("fresh" ++ integer_to_list(N)), node()} end,
        [Server ! {muster_overlay, 1, Fresh(N), {load, make_ref(), #{}}} || N <- lists:seq(1, 100)],
        works(Server),
        {monitors, Streams} = process_info(Server, monitors),
        ?assert(length(Streams) >= 8 andalso length(Streams) < 20)
    end).

who_waits_may_die_test_() ->
    with_server(fun(Server) ->
        %% A live peer that acknowledges nothing.
        say(Server, {resync, x}),
        Before = memory(Server),
        Wait = fun() -> gen_server:send_request(Server, {await_sync, infinity}) end,
        Waiters = [spawn_monitor(Wait) || _ <- lists:seq(1, 5000)],
        [
            receive
                {'DOWN', Monitor, process, _, _} -> ok
            end
         || {_, Monitor} <- Waiters
        ],
        ?assert(memory(Server) - Before < 500000)
    end).

receive_load() ->
    receive
        {muster_overlay, 1, {ov_victim, _}, {load, Reference, _}} -> Reference
    after 20000 -> error(no_load)
    end.

%%% Messages of real peers, spoiled somewhere

spoiled_test_() ->
    {timeout, 300, fun() ->
        Recorded = list_to_tuple(record()),
        Faults = list({integer(1, tuple_size(Recorded)), non_neg_integer(), odd()}),
        muster_crdt_gen:check(Faults, fun(Fs) -> lives(Fs, Recorded) end, 500)
    end}.

lives(Faults, Recorded) ->
    Server = victim(),
    lists:foreach(
        fun({Which, At, Odd}) ->
            Body = element(Which, Recorded),
            {Spoiled, _} = spoil(At rem size_of(Body), Odd, Body),
            say(Server, Spoiled)
        end,
        Faults
    ),
    works(Server) =:= ok.

%% Kept from one test to the next: what one leaves behind must not help another.
victim() ->
    case whereis(ov_spoiled) of
        undefined ->
            Options = [{name, ov_spoiled}, {node_monitor, none}, {sync_interval_ms, 10}],
            {ok, Server} = muster_overlay:start_link(Options),
            Server;
        Server ->
            Server
    end.

odd() ->
    oneof([
        term(),
        oneof([[], <<>>, #{}, {}, -1, 0, 1 bsl 59, 1 bsl 100, 1.0, as_before, none, all]),
        [x | y],
        lists:duplicate(5000, [])
    ]).

size_of(Term) when is_tuple(Term) -> size_of(tuple_to_list(Term));
size_of([Head | Tail]) -> 1 + size_of(Head) + size_of(Tail);
size_of(Map) when is_map(Map) -> 1 + size_of(maps:to_list(Map));
size_of(_) -> 1.

%% Replaces the part at which counting has come to 0; else says how far it is.
spoil(0, Odd, _Term) ->
    {Odd, done};
spoil(At, Odd, Term) when is_tuple(Term) ->
    {Parts, Left} = spoil(At, Odd, tuple_to_list(Term)),
    {restored(fun list_to_tuple/1, Parts), Left};
spoil(At, Odd, Map) when is_map(Map) ->
    {Parts, Left} = spoil(At - 1, Odd, maps:to_list(Map)),
    {restored(fun maps:from_list/1, Parts), Left};
spoil(At, Odd, [Head | Tail]) ->
    case spoil(At - 1, Odd, Head) of
        {Spoiled, done} ->
            {[Spoiled | Tail], done};
        {Head, Left} ->
            {Rest, Further} = spoil(Left, Odd, Tail),
            {[Head | Rest], Further}
    end;
spoil(At, _Odd, Term) ->
    {Term, At - 1}.

restored(Restore, Parts) ->
    try
        Restore(Parts)
    catch
        error:_ -> Parts
    end.

%% All that two overlays say to each other that come to know and to differ from each other, restart and load.
record() ->
    Self = self(),
    Send = fun({Name, _}, Message) ->
        Self ! Message,
        _ = whereis(Name) =/= undefined andalso (Name ! Message)
    end,
    Start = fun(Name, Peer) ->
        {ok, _} = muster_overlay:start_link([
            {name, Name},
            {node_monitor, none},
            {send, Send},
            {peers, [{Peer, node()}]},
            {sync_interval_ms, 10},
            {anti_entropy_interval_ms, 100}
        ])
    end,
    Start(ov_rec_a, ov_rec_b),
    [ok = muster_overlay:add_waypoint(ov_rec_a, #{id => N}) || N <- lists:seq(1, 1100)],
    Start(ov_rec_b, ov_rec_a),
    Same = fun() -> muster_overlay:export_state(ov_rec_a) =:= muster_overlay:export_state(ov_rec_b) end,
    ?eventually(Same()),
    ok = muster_overlay:update_entity(ov_rec_b, u, #{n => 1}),
    ok = muster_overlay:remove_waypoint(ov_rec_b, 1),
    ?eventually(Same()),
    ok = gen_server:stop(ov_rec_b),
    [ok = muster_overlay:remove_waypoint(ov_rec_a, N) || N <- lists:seq(1, 1090)],
    Start(ov_rec_b, ov_rec_a),
    ?eventually(Same()),
    [ok = gen_server:stop(Name) || Name <- [ov_rec_a, ov_rec_b]],
    %% Of each kind a few, as they are many that look the same.
    Kind = fun(Body) -> {element(1, Body), is_tuple(element(2, Body)) andalso element(1, element(2, Body))} end,
    Sort = fun(Body, Acc) ->
        maps:update_with(Kind(Body), fun(Bodies) -> lists:sublist([Body | Bodies], 4) end, [Body], Acc)
    end,
    lists:append(maps:values(lists:foldl(Sort, #{}, all_recorded()))).

all_recorded() ->
    receive
        {muster_overlay, 1, _, Body} -> [Body | all_recorded()]
    after 0 -> []
    end.
