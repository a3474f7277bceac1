%% Synchronising three nodes over a network that loses, doubles and reorders messages.
%%
%% What must hold:
%% - a delta joined to a value that includes its base gives just what merging the whole would;
%% - an update taken in by an inbox does so, too: none is ever applied without its base;
%% - what an anti-entropy session gives to be merged, on either side, is never more than the two
%%   pinned values merged, and at its end just that;
%% - values keep their one form; and once messages get through, all nodes end with equal terms,
%%   which are the merge of all they had.
%% Nodes change their values between any two messages, and restart: outboxes, inboxes, sessions
%% and the table of lineages are lost, the value is read back from an old copy.
-module(muster_crdt_sync_tests).

-include_lib("proper/include/proper.hrl").
-include_lib("eunit/include/eunit.hrl").

-define(NODES, [a, b, c]).
-define(PAIRS, [{X, Y} || X <- ?NODES, Y <- ?NODES, X =/= Y]).

histories_test_() ->
    {timeout, 3600, fun() -> muster_crdt_gen:check(list(command()), fun history/1, 2000) end}.

command() ->
    Node = oneof(?NODES),
    Pair = oneof(?PAIRS),
    Key = muster_crdt_gen:element(),
    Pick = non_neg_integer(),
    frequency([
        {10, {put, Node, Key}},
        {6, {put, Node, oneof([1, 1.0, x, y])}},
        {8, {remove, Node, Pick}},
        {1, {put_many, Node, integer(1, 150)}},
        {10, {send, Pair}},
        {3, {start, Pair}},
        {3, {start_again, Pair}},
        {24, {deliver, Pick}},
        {3, {duplicate, Pick}},
        {4, {lose, Pick}},
        {2, {stream, Pair, integer(1, 5)}},
        {1, {save, Node}},
        {1, {restart, Node}}
    ]).

history(Commands) ->
    #{values := Values} = State = lists:foldl(fun run/2, fresh(), Commands),
    [ok = muster_crdt_gen:check_form(V) || V <- maps:values(Values)],
    converges(State#{network := []}).

fresh() ->
    #{
        values => maps:from_list([{N, muster_lww_map:new()} || N <- ?NODES]),
        saved => #{},
        outboxes => maps:from_list([{P, new_outbox(P)} || P <- ?PAIRS]),
        inboxes => maps:from_list([{P, muster_crdt_channel:inbox()} || P <- ?PAIRS]),
        recents => maps:from_list([{N, new_recent()} || N <- ?NODES]),
        sessions => #{},
        peers => #{},
        network => []
    }.

new_outbox(_Pair) -> muster_crdt_channel:outbox(make_ref(), muster_lww_map:new()).

new_recent() -> muster_crdt_recent:new(muster_lww_map:new()).

value(Node, #{values := Values}) -> maps:get(Node, Values).

set(Node, Value, #{values := Values} = State) ->
    State#{values := Values#{Node := Value}}.

post(To, From, Message, #{network := Network} = State) ->
    State#{network := Network ++ [{To, From, Message}]}.

run({put, Node, Key}, State) ->
    set(Node, muster_lww_map:put(value(Node, State), Key, erlang:unique_integer(), Node), State);
run({put_many, Node, Count}, State) ->
    lists:foldl(fun(N, S) -> run({put, Node, {many, N}}, S) end, State, lists:seq(1, Count));
run({remove, Node, Pick}, State) ->
    case muster_lww_map:keys(value(Node, State)) of
        [] -> State;
        Keys -> set(Node, muster_lww_map:remove(value(Node, State), pick(Pick, Keys)), State)
    end;
run({send, {From, To} = Pair}, #{outboxes := Outboxes} = State) ->
    Value = value(From, State),
    case muster_crdt_channel:send(Value, maps:get(Pair, Outboxes)) of
        none -> State;
        {Update, Outbox} -> post(To, From, {Update, Value}, State#{outboxes := Outboxes#{Pair := Outbox}})
    end;
run({start, {From, To} = Pair}, #{sessions := Sessions} = State) ->
    Value = value(From, State),
    {Message, Session} = muster_crdt_sync:start({From, make_ref()}, Value),
    post(To, From, {Message, Value}, State#{sessions := Sessions#{Pair => {Session, unknown}}});
run({start_again, {From, To} = Pair}, #{sessions := Sessions} = State) ->
    case Sessions of
        #{Pair := {Session, _}} -> post(To, From, {muster_crdt_sync:pending(Session), unknown}, State);
        #{} -> State
    end;
run({stream, {From, To}, Max}, State) ->
    Value = value(From, State),
    Chunks = chunks(muster_crdt_stream:new(Value, Max)),
    Fresh = lists:foldl(fun join/2, muster_lww_map:new(), Chunks),
    Fresh = muster_lww_map:merge(muster_lww_map:new(), Value),
    Theirs = value(To, State),
    Lacking = chunks(muster_crdt_stream:new(Theirs, Value, Max)),
    true = muster_lww_map:merge(Theirs, Value) == lists:foldl(fun join/2, Theirs, Lacking),
    %% At any time: on a value with a history of its own, and cut off in the middle.
    Some = lists:sublist(Chunks, length(Chunks) div 2 + 1),
    set(To, lists:foldl(fun join/2, value(To, State), Some), State);
run({save, Node}, #{saved := Saved} = State) ->
    State#{saved := Saved#{Node => value(Node, State)}};
run({restart, Node}, #{saved := Saved, outboxes := Outboxes, inboxes := Inboxes, sessions := Sessions} = State) ->
    ok = muster_crdt_gen:forget_lineages(),
    Kept = fun({N, _}, _) -> N =/= Node end,
    Mine = [Pair || {N, _} = Pair <- ?PAIRS, N =:= Node],
    Value = maps:get(Node, Saved, muster_lww_map:new()),
    set(Node, Value, State#{
        recents := (maps:get(recents, State))#{Node := muster_crdt_recent:new(Value)},
        outboxes := maps:merge(Outboxes, maps:from_list([{P, new_outbox(P)} || P <- Mine])),
        inboxes := maps:merge(Inboxes, maps:from_list([{P, muster_crdt_channel:inbox()} || P <- Mine])),
        sessions := maps:filter(Kept, Sessions),
        peers := maps:filter(fun({N, _Id}, _) -> N =/= Node end, maps:get(peers, State))
    });
run({_, _}, #{network := []} = State) ->
    State;
run({deliver, Pick}, #{network := Network} = State) ->
    Item = pick(Pick, Network),
    deliver(Item, State#{network := lists:delete(Item, Network)});
run({duplicate, Pick}, #{network := Network} = State) ->
    State#{network := [pick(Pick, Network) | Network]};
run({lose, Pick}, #{network := Network} = State) ->
    State#{network := lists:delete(pick(Pick, Network), Network)}.

%% Mostly the oldest: else nothing would ever finish.
pick(Pick, List) ->
    lists:nth(1 + (Pick div 4) rem length(List), List).

chunks(Stream) ->
    case muster_crdt_stream:next(Stream) of
        {chunk, Delta, Later} -> [Delta | chunks(Later)];
        {busy, Later} -> chunks(Later);
        done -> []
    end.

join(Delta, Value) ->
    {ok, Joined} = muster_crdt_delta:join(Value, Delta),
    Joined.

deliver({To, From, {{update, _, _, _, _} = Update, Sent}}, #{inboxes := Inboxes, recents := Recents} = State) ->
    Value = value(To, State),
    Inbox = maps:get({To, From}, Inboxes),
    case muster_crdt_channel:deliver(Update, Value, Inbox, maps:get(To, Recents)) of
        resync ->
            resync = muster_crdt_channel:deliver(Update, Value, Inbox),
            State;
        {ok, Acknowledgement, Joined, Kept, Recent} ->
            true = Joined == muster_lww_map:merge(Value, Sent),
            {ok, Acknowledgement, Joined, Kept} = muster_crdt_channel:deliver(Update, Value, Inbox),
            Outboxes = maps:get(outboxes, State),
            Told = heard(Update, maps:get({To, From}, Outboxes), Inbox),
            Next = State#{
                inboxes := Inboxes#{{To, From} := Kept},
                recents := Recents#{To := Recent},
                outboxes := Outboxes#{{To, From} := Told}
            },
            post(From, To, Acknowledgement, set(To, Joined, Next))
    end;
deliver({To, From, {acknowledge, _, _} = Acknowledgement}, #{outboxes := Outboxes} = State) ->
    Outbox = muster_crdt_channel:acknowledge(Acknowledgement, maps:get({To, From}, Outboxes)),
    State#{outboxes := Outboxes#{{To, From} := Outbox}};
deliver({To, From, {{begin_sync, Id, _} = Message, StarterValue}}, #{peers := Peers} = State) ->
    case Peers of
        #{{To, Id} := _} ->
            answer(To, From, Message, State);
        #{} ->
            Peer = {muster_crdt_sync:accept(value(To, State)), StarterValue},
            answer(To, From, Message, State#{peers := Peers#{{To, Id} => Peer}})
    end;
deliver({To, From, {Message, _}}, State) when element(1, Message) =:= ask; element(1, Message) =:= give ->
    answer(To, From, Message, State);
deliver({To, From, {reply, Reply, Pinned}}, #{sessions := Sessions} = State) ->
    case Sessions of
        #{{To, From} := {Session, _}} -> handle(To, From, Reply, Pinned, Session, State);
        #{} -> State
    end.

answer(To, From, Message, #{peers := Peers} = State) ->
    Id = element(2, Message),
    case Peers of
        #{{To, Id} := {Peer, StarterValue}} ->
            #{pinned := Pinned} = Peer,
            case muster_crdt_sync:answer(Message, Peer) of
                {reply, Reply, Kept} ->
                    post(From, To, {reply, Reply, Pinned}, State#{peers := Peers#{{To, Id} := {Kept, StarterValue}}});
                {merge, Theirs, Reply, Kept} ->
                    true =
                        StarterValue =:= unknown orelse
                            is_within(Theirs, muster_lww_map:merge(StarterValue, Pinned)),
                    Merged = muster_lww_map:merge(value(To, State), Theirs),
                    Next = set(To, Merged, State#{peers := Peers#{{To, Id} := {Kept, StarterValue}}}),
                    post(From, To, {reply, Reply, Pinned}, Next)
            end;
        #{} ->
            post(From, To, {reply, {unknown, Id}, unknown}, State)
    end.

handle(To, From, Reply, Pinned, Session, #{sessions := Sessions} = State) ->
    Keep = fun(S) -> State#{sessions := Sessions#{{To, From} := {S, unknown}}} end,
    case muster_crdt_sync:handle(Reply, Session) of
        {send, Message, Next} ->
            post(From, To, {Message, unknown}, Keep(Next));
        {merge, Theirs, Message, Next} ->
            true = is_within(Theirs, both(Session, Pinned)),
            Merged = muster_lww_map:merge(value(To, State), Theirs),
            post(From, To, {Message, unknown}, set(To, Merged, Keep(Next)));
        ignore ->
            State;
        done ->
            #{id := Id, joined := Ours} = Session,
            true = Ours == both(Session, Pinned),
            true = lists:all(fun(Theirs) -> Theirs == Ours end, joined_by_peer({From, Id}, State)),
            State#{sessions := maps:remove({To, From}, Sessions)};
        restart ->
            State#{sessions := maps:remove({To, From}, Sessions)}
    end.

%% Of what a peer says it is not told again.
heard({update, Incarnation, _, _, Delta}, Outbox, Before) when is_map_key(Incarnation, Before) ->
    muster_crdt_channel:heard(Delta, Outbox);
heard(_, Outbox, _) ->
    Outbox.

%% A peer that has restarted since knows nothing of the session.
joined_by_peer(PeerId, #{peers := Peers}) ->
    [Joined || #{PeerId := {#{joined := Joined}, _}} <- [Peers]].

both(#{pinned := Ours}, Theirs) ->
    muster_lww_map:merge(Ours, Theirs).

is_within(Part, Whole) ->
    muster_lww_map:merge(Part, Whole) == Whole.

%% With nothing lost any more, one session for each pair is enough.
converges(#{values := Values} = State) ->
    Expected = lists:foldl(fun muster_lww_map:merge/2, muster_lww_map:new(), maps:values(Values)),
    Synced = lists:foldl(fun(Pair, S) -> drain(run({start, Pair}, S)) end, State, ?PAIRS),
    ok = muster_crdt_gen:check_form(Expected),
    lists:all(fun(V) -> V == Expected end, maps:values(maps:get(values, Synced))).

drain(#{network := []} = State) -> State;
drain(State) -> drain(run({deliver, 0}, State)).

%% ------------------------------------------------------------------------------------------

delta_is_small_test() ->
    Old = muster_or_set:from_list([<<I:64>> || I <- lists:seq(1, 100000)]),
    Added = muster_crdt_delta:delta(Old, muster_or_set:add(Old, <<"new">>)),
    Removed = muster_crdt_delta:delta(Old, muster_or_set:remove(Old, <<1:64>>)),
    ?assert(byte_size(term_to_binary(Added)) < 1024),
    ?assert(byte_size(term_to_binary(Removed)) < 1024),
    ?assertEqual({ok, muster_or_set:remove(Old, <<1:64>>)}, muster_crdt_delta:join(Old, Removed)).

%% Each delta on its own follows what was seen; but one that held only a removal is missing.
lost_removal_asks_for_resync_test() ->
    Empty = muster_or_set:new(),
    V1 = muster_or_set:from_list([x, y]),
    V2 = muster_or_set:remove(V1, x),
    V3 = muster_or_set:add(V2, z),
    {U1, O1} = muster_crdt_channel:send(V1, muster_crdt_channel:outbox(i, Empty)),
    {ok, A1, R1, I1} = muster_crdt_channel:deliver(U1, Empty, muster_crdt_channel:inbox()),
    {U2, O2} = muster_crdt_channel:send(V2, muster_crdt_channel:acknowledge(A1, O1)),
    {update, i, 2, 1, _} = U2,
    {{update, i, 3, Base, _} = U3, _} = muster_crdt_channel:send(V3, O2),
    ?assertEqual(1, Base),
    {ok, _, R3, _} = muster_crdt_channel:deliver(U3, R1, I1),
    ?assertEqual(V3, R3),
    OnTopOfLost = setelement(4, U3, 2),
    ?assertEqual(resync, muster_crdt_channel:deliver(OnTopOfLost, R1, I1)).

%% The receiver restarts and has forgotten what it acknowledged: anti-entropy sets both right.
receiver_restarts_test() ->
    Empty = muster_or_set:new(),
    V1 = muster_or_set:from_list([x]),
    V2 = muster_or_set:add(V1, y),
    {U1, O1} = muster_crdt_channel:send(V1, muster_crdt_channel:outbox(i, Empty)),
    {ok, A1, _, _} = muster_crdt_channel:deliver(U1, Empty, muster_crdt_channel:inbox()),
    O2 = muster_crdt_channel:acknowledge(A1, O1),
    {U2, O3} = muster_crdt_channel:send(V2, O2),
    {U2, O3} = muster_crdt_channel:send(V2, O3),
    ?assertEqual(resync, muster_crdt_channel:deliver(U2, Empty, muster_crdt_channel:inbox())),
    {Mark, O4} = muster_crdt_channel:sent(V2, O3),
    {A4, Inbox} = muster_crdt_channel:received(Mark, muster_crdt_channel:inbox()),
    O5 = muster_crdt_channel:acknowledge(A4, O4),
    ?assertEqual(none, muster_crdt_channel:send(V2, O5)),
    V3 = muster_or_set:add(V2, z),
    {U5, _} = muster_crdt_channel:send(V3, O5),
    ?assertMatch({ok, _, V3, _}, muster_crdt_channel:deliver(U5, V2, Inbox)).

gap_test() ->
    V1 = muster_or_set:from_list([x]),
    V2 = muster_or_set:add(V1, y),
    ?assertEqual({error, gap}, muster_crdt_delta:join(muster_or_set:new(), muster_crdt_delta:delta(V1, V2))).

stream_test() ->
    Set = muster_or_set:merge(
        muster_or_set:from_list(lists:seq(1, 1000), a), muster_or_set:from_list(lists:seq(500, 2000), b)
    ),
    Chunks = chunks(muster_crdt_stream:new(Set, 100)),
    ?assert(lists:all(fun(C) -> muster_crdt_delta:size(C) =< 100 end, Chunks)),
    ?assertEqual(Set, lists:foldl(fun join/2, muster_or_set:new(), Chunks)).

malformed_deltas_test() ->
    Set = muster_or_set:from_list([x]),
    [
        ?assertError(_, muster_crdt_delta:join(Set, Bad))
     || Bad <- [x, {delta, x, [], []}, {delta, [], [x], []}, {delta, [{a, 1, 2, 1}], [], []}, {delta, [], [], [{k, [x]}]}]
    ].

%% Messages of a session between big values stay bounded, however big the elements are.
messages_are_bounded_test() ->
    A = muster_or_set:from_list([<<I:64>> || I <- lists:seq(1, 20000)]),
    B = muster_or_set:merge(A, muster_or_set:from_list([<<I:64>> || I <- lists:seq(19000, 22000)], b)),
    ?assert(largest(in_step(A, B)) < 64 * 1024),
    ?assert(largest(in_step(B, A)) < 64 * 1024),
    Big = put_all(muster_lww_map:new(), [{I, binary:copy(<<I:64>>, 1250)} || I <- lists:seq(1, 300)]),
    ?assert(largest(in_step(Big, muster_lww_map:new())) < 64 * 1024),
    ?assert(largest(in_step(muster_lww_map:new(), Big)) < 64 * 1024).

%% Nodes that differ in 100 of 100,000 elements of about 150 bytes exchange some 40 KB, whoever
%% starts, and whoever lacks them; of two that do not differ, 200 bytes.
a_session_is_cheap_test_() ->
    {timeout, 60, fun() ->
        Old = put_all(muster_lww_map:new(), [{{unit, I}, binary:copy(<<I:64>>, 18)} || I <- lists:seq(1, 100000)]),
        New = put_all(Old, [{{unit, 997 * I}, binary:copy(<<I:64>>, 18)} || I <- lists:seq(1, 100)]),
        ?assert(lists:sum(in_step(Old, New)) < 45000),
        ?assert(lists:sum(in_step(New, Old)) < 45000),
        ?assert(lists:sum(in_step(New, New)) < 200),
        Removed = lists:foldl(fun(I, M) -> muster_lww_map:remove(M, {unit, 991 * I}) end, New, lists:seq(1, 100)),
        ?assert(lists:sum(in_step(Removed, New)) < 45000),
        ?assert(lists:sum(in_step(New, Removed)) < 45000)
    end}.

%% Two dots of one element, whose hashes end in the same 32 bits: cut sums look the same, and only
%% the whole ones tell.
hashes_that_look_the_same_test() ->
    {N, M} = look_alikes(),
    A = with_dot(1, N),
    B = with_dot(2, M),
    ?assertNotEqual(muster_trie:sum(maps:get(root, A)), muster_trie:sum(maps:get(root, B))),
    ?assert(length(in_step(A, B)) > length(in_step(A, with_dot(2, M + 1)))).

look_alikes() ->
    Low = fun(Lineage, N) -> muster_nif:dot_hash(Lineage, N) band 16#ffffffff end,
    Of1 = maps:from_list([{Low(1, N), N} || N <- lists:seq(1, 200000)]),
    look_alike(Of1, Low, 1).

look_alike(Of1, Low, M) ->
    case maps:find(Low(2, M), Of1) of
        {ok, N} -> {N, M};
        error -> look_alike(Of1, Low, M + 1)
    end.

with_dot(Lineage, N) ->
    Value = (muster_or_set:new())#{context := #{Lineage => {Lineage, N}}},
    muster_crdt:put_siblings(x, [{Lineage, N}], Value).

put_all(Map, Pairs) ->
    lists:foldl(fun({Key, Value}, Acc) -> muster_lww_map:put(Acc, Key, Value) end, Map, Pairs).

largest(Sizes) -> lists:max(Sizes).

%% Runs a session; the bytes of each message and reply. Both sides then have what either had.
in_step(A, B) ->
    {Sizes, OurJoined, TheirJoined} = session(A, B),
    Both = muster_crdt:merge(A, B),
    ?assert(OurJoined == Both),
    ?assert(TheirJoined == Both),
    Sizes.

session(A, B) ->
    {Message, Session} = muster_crdt_sync:start(id, A),
    session(Message, Session, muster_crdt_sync:accept(B), A, B, []).

session(Message, Session, Peer, OurValue, TheirValue, Sizes) ->
    {Reply, KeptPeer, Theirs} =
        case muster_crdt_sync:answer(Message, Peer) of
            {reply, R, P} -> {R, P, TheirValue};
            {merge, V, R, P} -> {R, P, muster_crdt:merge(TheirValue, V)}
        end,
    Now = [byte_size(term_to_binary(M)) || M <- [Message, Reply]] ++ Sizes,
    case muster_crdt_sync:handle(Reply, Session) of
        {send, Next, S} -> session(Next, S, KeptPeer, OurValue, Theirs, Now);
        {merge, Value, Next, S} -> session(Next, S, KeptPeer, muster_crdt:merge(OurValue, Value), Theirs, Now);
        done -> {Now, OurValue, Theirs}
    end.
