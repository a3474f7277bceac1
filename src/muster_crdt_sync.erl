%% @doc Anti-entropy: bringing two copies of unknown difference in step, both ways.
%%
%% Both sides pin one immutable value for the whole session and speak only of that: in a value
%% that moves on while it is being read, a key may be missing that was never removed. The one who
%% starts asks for hashes further and further down, and where only one element is left, for that.
%% In the end it knows every place where the two differ, with both sides' dots, and both contexts:
%% from these come two streams of deltas. One it takes in itself, the other it gives to the peer.
%%
%% Hashes are cut to a few bytes; whether all differences were found is checked by the whole sums
%% of the roots. If not, the session goes through it all again with whole hashes.
%%
%% Pure: functions take values and messages and return values and messages, and the caller carries
%% them; messages may be lost, doubled and reordered. Each message has one reply, and both are
%% bounded, except for the peer's context and single huge elements. For what changed since a known
%% value there are deltas (muster_crdt_delta, muster_crdt_channel); a fresh node is best streamed
%% to first (muster_crdt_stream).
-module(muster_crdt_sync).

-export([start/2, handle/2, pending/1, accept/1, answer/2, is_complete/1, digest/1]).
-export_type([digest/0, session/0, peer_session/0, message/0, reply/0]).

-type value() :: muster_crdt:causal().
-type id() :: term().
-type digest() :: {muster_trie:tally(), Context :: non_neg_integer()}.
%% Of each lineage in which the starter is behind, up to where it has seen it; or as told before.
-type behind() :: muster_causal:counters() | as_before.
-type message() ::
    {begin_sync, id(), digest()}
    | {ask, id(), Step :: pos_integer(), muster_crdt_hashes:width(), behind(), Hashes :: [muster_trie:path()],
        Contents :: [muster_trie:path()]}
    | {give, id(), Part :: pos_integer(), more | last, muster_crdt_delta:delta()}.
-type reply() ::
    {in_sync, id()}
    | {differ, id(), digest(), muster_causal:context()}
    | {tell, id(), Step :: pos_integer(), muster_crdt_hashes:hashes(), [content()]}
    | {given, id(), Part :: pos_integer()}
    | {unknown, id()}.
%% The leaves at a path, the dots that the starter has seen without their values.
-type content() :: [{Key :: term(), [muster_trie:sibling()]}].
-type session() :: #{
    id := id(),
    pinned := value(),
    message := message(),
    %% The peer's pinned value is known by these.
    tally := muster_trie:tally(),
    context := muster_causal:context(),
    %% Paths that are asked for, and still to be asked for.
    width := muster_crdt_hashes:width(),
    asked := {Hashes :: [muster_trie:path()], Contents :: [muster_trie:path()]},
    hashes := [muster_trie:path()],
    contents := [muster_trie:path()],
    %% As found so far, once with our side first, once with the peer's; and our root's tally with
    %% the peer's content in all these places.
    lacking := muster_trie:differences(),
    lacked := muster_trie:differences(),
    rebuilt := muster_trie:tally(),
    %% With all differences known: what we lack, what of it was taken in, and what the peer lacks.
    taking := muster_crdt_stream:stream() | done,
    joined := value(),
    giving := muster_crdt_stream:stream() | done
}.
-type peer_session() :: #{
    pinned := value(),
    %% As the first `ask' says.
    behind := muster_causal:counters() | unknown,
    %% Of what the starter gives: the last part that came, the pinned value with it, and whether
    %% that is all.
    part := non_neg_integer(),
    joined := value(),
    complete := boolean()
}.

%% Paths in one message, of hashes and of contents.
-define(BATCH, 256).
%% About the bytes of contents in one reply.
-define(BYTES, 48 * 1024).
%% Keys in one piece that is taken or given.
-define(PIECE, 500).
-define(NOTHING, {delta, [], [], []}).

%% @doc Starts a session with the value as it is now, and gives the first message to the peer.
%% `Id' must tell sessions apart. A message without a reply may be sent again ({@link pending/1}).
-spec start(id(), value()) -> {message(), session()}.
start(Id, #{root := Root} = Value) ->
    Message = {begin_sync, Id, digest(Value)},
    {Message, #{
        id => Id,
        pinned => Value,
        message => Message,
        tally => muster_trie:tally({node, Root}),
        context => muster_causal:new(),
        width => muster_crdt_hashes:narrow(),
        asked => {[], []},
        hashes => [],
        contents => [],
        lacking => [],
        lacked => [],
        rebuilt => muster_trie:tally({node, Root}),
        taking => done,
        joined => Value,
        giving => done
    }}.

%% @doc The message that waits for a reply.
-spec pending(session()) -> message().
pending(#{message := Message}) ->
    Message.

%% @doc What a value is known by: the same for values that hold and have seen the same, and for hardly any others.
-spec digest(value()) -> digest().
digest(#{root := Root, context := Context}) ->
    {muster_trie:tally({node, Root}), muster_causal:hash(Context)}.

%% @doc The peer's side of a session: what it remembers under the session's id, from the first
%% `begin_sync' of that id on. To other messages of an unknown id it replies `{unknown, Id}'. Should it
%% forget a session and then take a `begin_sync' that came twice for the first one, the starter must
%% notice, and start another: replies from two pinned values do not fit together.
-spec accept(value()) -> peer_session().
accept(Value) ->
    #{pinned => Value, behind => unknown, part => 0, joined => Value, complete => false}.

%% @doc Whether all of the starter's pinned value has come, so that what `answer/2' gave to be merged
%% includes it.
-spec is_complete(peer_session()) -> boolean().
is_complete(#{complete := Complete}) ->
    Complete.

%% @doc The peer's part. `{merge, Value, Reply, PeerSession}' gives a value to be merged into the
%% current one; there may be none or several in a session (see {@link is_complete/1}). The same
%% message always gets the same reply.
-spec answer(message(), peer_session()) ->
    {reply, reply(), peer_session()} | {merge, value(), reply(), peer_session()}.
answer({begin_sync, Id, Digest}, #{pinned := #{context := Context} = Value} = Session) ->
    case digest(Value) of
        Digest -> {reply, {in_sync, Id}, Session};
        Ours -> {reply, {differ, Id, Ours, Context}, Session}
    end;
answer({ask, Id, _, _, as_before, _, _}, #{behind := unknown} = Session) ->
    {reply, {unknown, Id}, Session};
answer({ask, Id, Step, Width, as_before, Hashes, Contents}, #{pinned := #{root := Root}} = Session) when
    length(Hashes) =< ?BATCH, length(Contents) =< ?BATCH
->
    #{behind := Behind} = Session,
    Told = tell(Contents, Behind, Root, ?BYTES),
    {reply, {tell, Id, Step, muster_crdt_hashes:pack(Hashes, Width, Root), Told}, Session};
answer({ask, Id, Step, Width, Behind, Hashes, Contents}, Session) when is_map(Behind) ->
    answer({ask, Id, Step, Width, as_before, Hashes, Contents}, Session#{behind := Behind});
answer({give, Id, Part, _, _}, #{part := Last} = Session) when is_integer(Part), Part =< Last ->
    {reply, {given, Id, Part}, Session};
answer({give, Id, Part, More, Delta}, #{part := Last, joined := Value, complete := Complete} = Session) when
    Part =:= Last + 1
->
    Kept = Session#{part := Part, complete := Complete orelse More =:= last},
    case Delta of
        ?NOTHING -> {reply, {given, Id, Part}, Kept};
        _ -> given({given, Id, Part}, muster_crdt_delta:join(Value, Delta), Kept)
    end;
answer(_, _) ->
    error(badarg).

given(Reply, {ok, Joined}, Session) -> {merge, Joined, Reply, Session#{joined := Joined}};
given(_, {error, gap}, _) -> error(badarg).

%% As many as fit, and at least one.
tell([Path | Paths], Behind, Root, Bytes) when Bytes > 0 ->
    Content = [{Key, [abridge(S, Behind) || S <- Siblings]} || {Key, Siblings} <- muster_trie:at(Path, Root)],
    [Content | tell(Paths, Behind, Root, Bytes - erlang:external_size(Content))];
tell(_Paths, _Behind, _Root, _Bytes) ->
    [].

abridge(Sibling, Behind) ->
    {Lineage, N} = Dot = dot(Sibling),
    case Behind of
        #{Lineage := Seen} when N > Seen -> Sibling;
        #{} -> Dot
    end.

dot(Sibling) -> {element(1, Sibling), element(2, Sibling)}.

%% @doc The starter's part. `{send, Message, Session}' goes on; `{merge, Value, Message, Session}'
%% gives a value to be merged into the current one, and goes on (none or several may come); `done'
%% ends the session: either side has the other's pinned value. `restart' ends it without success;
%% `ignore' is for replies that came twice or late.
-spec handle(reply(), session()) ->
    {send, message(), session()} | {merge, value(), message(), session()} | done | restart | ignore.
handle({in_sync, Id}, #{id := Id, message := {begin_sync, _, _}}) ->
    done;
handle({unknown, Id}, #{id := Id}) ->
    restart;
handle({differ, Id, {{Count, Sum} = Tally, _}, Context}, #{id := Id, message := {begin_sync, _, _}} = Session) when
    is_integer(Count), is_integer(Sum)
->
    #{pinned := #{context := Ours, root := Root}} = Session,
    Seen = muster_causal:counters(Ours),
    Behind = maps:from_list([{L, Above} || {_, L, Above, _} <- muster_crdt_delta:intervals(Seen, Context)]),
    Top = [[] || Tally =/= muster_trie:tally({node, Root})],
    explore(Behind, Session#{tally := Tally, context := Context, hashes := Top});
handle({tell, Id, Step, Hashes, Contents}, #{id := Id, message := {ask, _, Step, _, _, _, _}} = Session) when
    is_binary(Hashes), is_list(Contents)
->
    explore(as_before, learn_contents(Contents, learn_hashes(Hashes, Session)));
handle({given, Id, Part}, #{id := Id, message := {give, _, Part, _, _}} = Session) ->
    exchange(Part + 1, Session);
handle(_, _) ->
    ignore.

%% What is empty there needs no asking; a single leaf is asked for, of more the hashes.
learn_hashes(Hashes, #{asked := {Asked, _}, width := Width, pinned := #{root := Root}} = Session) ->
    lists:foldl(
        fun
            ({Path, none}, Acc) ->
                found({length(Path), empty, muster_trie:slot_at(Path, Root)}, Acc);
            ({Path, one}, #{contents := Contents} = Acc) ->
                Acc#{contents := [Path | Contents]};
            ({Path, many}, #{hashes := Later} = Acc) ->
                Acc#{hashes := [Path | Later]}
        end,
        Session,
        muster_crdt_hashes:differences(Hashes, Asked, Width, Root)
    ).

%% What did not fit into the reply is asked for again.
learn_contents(Told, #{asked := {_, Asked}, contents := Later, pinned := #{root := Root}} = Session) ->
    {Now, Again} = lists:split(length(Told), Asked),
    true = Told =/= [] orelse Asked =:= [],
    New = [Difference || {Path, Content} <- lists:zip(Now, Told), Difference <- beside(Content, Path, Root)],
    lists:foldl(fun found/2, Session#{contents := Again ++ Later}, New).

found({Depth, Theirs, Ours}, #{lacking := Lacking, lacked := Lacked, rebuilt := {Count, Sum}} = Session) ->
    {TheirCount, TheirSum} = muster_trie:tally(Theirs),
    {OurCount, OurSum} = muster_trie:tally(Ours),
    Session#{
        lacking := [{Depth, Ours, Theirs} | Lacking],
        lacked := [{Depth, Theirs, Ours} | Lacked],
        rebuilt := {Count + TheirCount - OurCount, Sum + TheirSum - OurSum}
    }.

beside([{Key, Theirs}], Path, Root) ->
    [{length(Path), {leaf, Key, Theirs}, muster_trie:slot_at(Path, Root)}];
beside(Content, Path, Root) ->
    Ours = maps:from_list(muster_trie:at(Path, Root)),
    Theirs = maps:from_list(Content),
    [
        {length(Path), leaf(Key, Theirs), leaf(Key, Ours)}
     || Key <- maps:keys(maps:merge(Ours, Theirs))
    ].

leaf(Key, Leaves) ->
    case Leaves of
        #{Key := Siblings} -> {leaf, Key, Siblings};
        #{} -> empty
    end.

%% Asks for what is still missing; with all of it, the differences are known.
explore(Behind, #{hashes := [], contents := [], tally := Tally, rebuilt := Rebuilt, width := Width} = Session) ->
    Widest = muster_crdt_hashes:wide(),
    case muster_trie:is_same_tally(Rebuilt, Tally) of
        true -> exchange(1, streams(Session));
        false when Width =:= Widest -> restart;
        false -> explore(Behind, again(Session#{width := Widest}))
    end;
explore(Behind, #{id := Id, message := Last, width := Width, hashes := Hashes, contents := Contents} = Session) ->
    {AskHashes, LaterHashes} = batch(Hashes),
    {AskContents, LaterContents} = batch(Contents),
    Message = {ask, Id, step(Last) + 1, Width, Behind, AskHashes, AskContents},
    {send, Message, Session#{
        message := Message, asked := {AskHashes, AskContents}, hashes := LaterHashes, contents := LaterContents
    }}.

step({ask, _, Step, _, _, _, _}) -> Step;
step({begin_sync, _, _}) -> 0.

batch(Paths) ->
    lists:split(min(?BATCH, length(Paths)), Paths).

again(#{pinned := #{root := Root}} = Session) ->
    Session#{hashes := [[]], lacking := [], lacked := [], rebuilt := muster_trie:tally({node, Root})}.

streams(#{pinned := #{context := Ours}, context := Theirs, lacking := Lacking, lacked := Lacked} = Session) ->
    OurSeen = muster_causal:counters(Ours),
    TheirSeen = muster_causal:counters(Theirs),
    Session#{
        taking := muster_crdt_stream:new(Lacking, OurSeen, TheirSeen, Theirs, ?PIECE),
        giving := muster_crdt_stream:new(Lacked, TheirSeen, OurSeen, Ours, ?PIECE),
        lacking := [],
        lacked := []
    }.

%% One piece is taken, one is given; messages go on, though with nothing in them, until both are
%% done.
exchange(_Part, #{taking := done, giving := done, message := {give, _, _, _, _}}) ->
    done;
exchange(Part, #{id := Id, taking := Taking, joined := Value, giving := Giving} = Session) ->
    {Given, LaterGiving} = piece(Giving),
    {Taken, LaterTaking} = piece(Taking),
    Message = {give, Id, Part, more(LaterGiving), Given},
    Next = Session#{message := Message, taking := LaterTaking, giving := LaterGiving},
    case Taken of
        ?NOTHING ->
            {send, Message, Next};
        _ ->
            {ok, Joined} = muster_crdt_delta:join(Value, Taken),
            {merge, Joined, Message, Next#{joined := Joined}}
    end.

more(done) -> last;
more(_Stream) -> more.

piece(done) ->
    {?NOTHING, done};
piece(Stream) ->
    case muster_crdt_stream:next(Stream) of
        {chunk, Delta, Later} -> {Delta, unless_over(Later)};
        {busy, Later} -> {?NOTHING, Later};
        done -> {?NOTHING, done}
    end.

unless_over(Stream) ->
    case muster_crdt_stream:is_over(Stream) of
        true -> done;
        false -> Stream
    end.
