%% @doc The pure parts of keeping copies of an OR-Set or LWW map in step between nodes.
%%
%% Nothing here sends, waits or remembers: functions take values and messages and return values
%% and messages, and the caller carries them. Messages may be lost, doubled and reordered. There
%% are three ways to bring a copy up to date, all of which may be mixed:
%% <ul>
%% <li><em>Deltas</em>: what changed since a value that the peer is known to have. {@link delta/2}
%%   makes one, {@link join/2} applies it. An {@link outbox()} and an {@link inbox()} see to it
%%   that a delta is only applied on top of what it builds on.</li>
%% <li><em>Anti-entropy</em>: two copies of unknown difference compare the hashes in their tries,
%%   from the root down, and exchange what lies where they differ. See {@link start/2}.</li>
%% <li><em>Streaming</em>: a whole value in bounded pieces, for a fresh node. See
%%   {@link stream/2}.</li>
%% </ul>
-module(muster_crdt_sync).

-export([delta/2, join/2, stream/2, size/1]).
-export([outbox/2, send/2, sent/2, acknowledge/2, inbox/0, 'receive'/3]).
-export([start/2, handle/2, pending/1, accept/1, answer/2]).
-export_type([value/0, delta/0, outbox/0, inbox/0, session/0, peer_session/0, message/0, reply/0]).

-type value() :: muster_crdt:causal().
-type dot() :: {muster_nif:lineage(), muster_nif:counter()}.

%% ------------------------------------------------------------------------------------------
%% Deltas
%%
%% A delta speaks about a set I of dots, and says which of them live: those it does not list are
%% dead. I is given by intervals of lineages, and by single dots that died. Contexts can only
%% take in an interval that follows what they have seen; whether they also have what *happened*
%% before (a lost delta may have held nothing but removals), only sequence numbers can tell.

-type interval() :: {
    muster_causal:replica(), muster_nif:lineage(), Above :: non_neg_integer(), UpTo :: muster_nif:counter()
}.
-opaque delta() :: {
    delta, [interval()], Dead :: [{Key :: term(), [dot()]}], Live :: [{Key :: term(), muster_trie:siblings()}]
}.

%% @doc What is to be joined to a value that includes `Old' so that it includes `New', which must
%% have come from `Old' by any updates and merges. Cost and size follow the difference.
-spec delta(Old :: value(), New :: value()) -> delta().
delta(#{root := OldRoot, context := OldContext}, #{root := NewRoot, context := NewContext}) ->
    Seen = muster_causal:counters(OldContext),
    Compare = fun(Key, Old, New, {Dead, Live}) ->
        {
            prepend(Key, dots(Old) -- dots(New), Dead),
            prepend(Key, [S || S <- New, not muster_causal:is_seen(dot(S), Seen)], Live)
        }
    end,
    {Dead, Live} = muster_trie:diff(Compare, {[], []}, OldRoot, NewRoot),
    {delta, intervals(Seen, NewContext), Dead, Live};
delta(_, _) ->
    error(badarg).

intervals(Seen, Context) ->
    [
        {Replica, Lineage, maps:get(Lineage, Seen, 0), N}
     || {Replica, Lineage, N} <- muster_causal:entries(Context), not muster_causal:is_seen({Lineage, N}, Seen)
    ].

prepend(_Key, [], Acc) -> Acc;
prepend(Key, Items, Acc) -> [{Key, Items} | Acc].

dot(Sibling) -> {element(1, Sibling), element(2, Sibling)}.

dots(Siblings) -> [dot(S) || S <- Siblings].

%% @doc How many keys a delta speaks of.
-spec size(delta()) -> non_neg_integer().
size({delta, _Intervals, Dead, Live}) ->
    length(Dead) + length(Live).

%% @doc Applies a delta. `{error, gap}' if it follows dots that the value has not seen: then only
%% anti-entropy helps. Raises `badarg' for what is no delta.
-spec join(value(), delta()) -> {ok, value()} | {error, gap}.
join(#{root := _, context := Context} = Value, {delta, Intervals, Dead, Live}) when
    is_list(Intervals), is_list(Dead), is_list(Live)
->
    Seen = muster_causal:counters(Context),
    case lists:all(fun(Interval) -> follows(Interval, Seen) end, Intervals) of
        true -> {ok, apply_delta(Value, Seen, Intervals, Dead, Live)};
        false -> {error, gap}
    end;
join(_, _) ->
    error(badarg).

follows({_Replica, Lineage, Above, UpTo}, Seen) when
    is_integer(Lineage), is_integer(Above), is_integer(UpTo), 0 =< Above, Above < UpTo
->
    Above =:= 0 orelse muster_causal:is_seen({Lineage, Above}, Seen);
follows(_, _) ->
    error(badarg).

apply_delta(Value, Seen, Intervals, Dead, Live) ->
    Stale = stale(Value, Seen, Intervals, Live),
    Removed = lists:foldl(fun bury/2, Value, Stale ++ Dead),
    Added = lists:foldl(fun(Entry, Acc) -> revive(Entry, Seen, Acc) end, Removed, Live),
    #{context := Context} = Added,
    Added#{context := lists:foldl(fun advance/2, Context, Intervals)}.

advance({Replica, Lineage, _Above, UpTo}, Context) ->
    muster_causal:advance(Replica, Lineage, UpTo, Context).

bury({Key, Dots}, #{root := Root} = Value) ->
    Siblings = muster_trie:siblings(Key, Root),
    case [S || S <- Siblings, not lists:member(dot(S), Dots)] of
        Siblings -> Value;
        Left -> muster_crdt:put_siblings(Key, Left, Value)
    end.

revive({Key, Siblings}, Seen, #{root := Root} = Value) ->
    case [S || S <- Siblings, not muster_causal:is_seen(dot(S), Seen)] of
        [] -> Value;
        New -> muster_crdt:put_siblings(Key, lists:usort(New ++ muster_trie:siblings(Key, Root)), Value)
    end.

%% Live dots of ours that the delta speaks of and does not list. There can be none unless we have
%% seen, by way of a third node, part of an interval already; then all our dots are asked.
stale(#{root := Root}, Seen, Intervals, Live) ->
    Known = maps:from_list([
        {Lineage, {Above, UpTo}}
     || {_, Lineage, Above, UpTo} <- Intervals, maps:get(Lineage, Seen, 0) > Above
    ]),
    case map_size(Known) of
        0 -> [];
        _ -> stale_dots(Root, Known, maps:from_list([{D, live} || {_, Siblings} <- Live, D <- dots(Siblings)]))
    end.

stale_dots(Root, Known, Living) ->
    Collect = fun(Key, Siblings, Acc) ->
        prepend(Key, [D || D <- dots(Siblings), is_within(D, Known), not is_map_key(D, Living)], Acc)
    end,
    muster_trie:fold(Collect, [], Root).

is_within({Lineage, N}, Known) ->
    case Known of
        #{Lineage := {Above, UpTo}} -> Above < N andalso N =< UpTo;
        #{} -> false
    end.

%% @doc A whole value as deltas of about `Max' elements each. Each may be joined at any time if
%% those before it of the same lineage have been; joined to nothing, together they are the value.
%% Removals of what the receiver has from elsewhere are left to anti-entropy.
-spec stream(value(), Max :: pos_integer()) -> [delta()].
stream(#{root := Root, context := Context}, Max) when is_integer(Max), Max > 0 ->
    Collect = fun(Key, Siblings, Acc) ->
        lists:foldl(
            fun(S, Inner) -> maps:update_with(element(1, S), fun(L) -> [{Key, S} | L] end, [{Key, S}], Inner) end,
            Acc,
            Siblings
        )
    end,
    ByLineage = muster_trie:fold(Collect, #{}, Root),
    lists:flatmap(
        fun({Replica, Lineage, N}) ->
            Living = lists:sort([{element(2, S), Key, S} || {Key, S} <- maps:get(Lineage, ByLineage, [])]),
            stream_lineage(Replica, Lineage, 0, N, Living, Max)
        end,
        muster_causal:entries(Context)
    );
stream(_, _) ->
    error(badarg).

stream_lineage(Replica, Lineage, Above, N, Living, Max) ->
    case length(Living) > Max of
        true ->
            {Now, Later} = lists:split(Max, Living),
            {UpTo, _, _} = lists:last(Now),
            [
                chunk(Replica, Lineage, Above, UpTo, Now)
                | stream_lineage(Replica, Lineage, UpTo, N, Later, Max)
            ];
        false ->
            [chunk(Replica, Lineage, Above, N, Living)]
    end.

chunk(Replica, Lineage, Above, UpTo, Living) ->
    {delta, [{Replica, Lineage, Above, UpTo}], [], [{Key, [S]} || {_N, Key, S} <- Living]}.

%% ------------------------------------------------------------------------------------------
%% Sequence numbers for deltas
%%
%% Per peer, the sender keeps the last value the peer acknowledged; a delta is always made against
%% that, and names it. The receiver takes a delta only on top of the base it has.

-type sequence() :: non_neg_integer().
-opaque outbox() :: #{
    incarnation := term(),
    sequence := sequence(),
    base := {sequence(), value()},
    unacknowledged := [{sequence(), value()}]
}.
-opaque inbox() :: #{Incarnation :: term() => sequence()}.
-type update() :: {update, Incarnation :: term(), sequence(), Base :: sequence(), delta()}.
-type acknowledgement() :: {acknowledge, Incarnation :: term(), sequence()}.

-define(UNACKNOWLEDGED, 8).

%% @doc What the sender remembers of one peer. `Incarnation' must never have been used before by
%% this sender, e.g. a reference; `Empty' is a value of the type without content.
-spec outbox(Incarnation :: term(), Empty :: value()) -> outbox().
outbox(Incarnation, Empty) ->
    #{incarnation => Incarnation, sequence => 0, base => {0, Empty}, unacknowledged => []}.

%% @doc The update that brings the peer to `Value'; `none' if it has acknowledged just that.
-spec send(value(), outbox()) -> {update(), outbox()} | none.
send(Value, #{base := {BaseSequence, Base}} = Outbox) ->
    case is_same(Value, Base) of
        true ->
            none;
        false ->
            {Sequence, #{incarnation := Incarnation} = Sent} = sent(Value, Outbox),
            {{update, Incarnation, Sequence, BaseSequence, delta(Base, Value)}, Sent}
    end.

%% Not `=:=', which compares word by word, and at one go.
is_same(#{root := RootA, context := Context}, #{root := RootB, context := Context}) ->
    muster_trie:sum(RootA) =:= muster_trie:sum(RootB) andalso
        muster_trie:size(RootA) =:= muster_trie:size(RootB);
is_same(_, _) ->
    false.

%% @doc Notes that `Value' was sent some other way, such as anti-entropy; the number may be
%% acknowledged like that of an update.
-spec sent(value(), outbox()) -> {sequence(), outbox()}.
sent(Value, #{sequence := Last, unacknowledged := Unacknowledged} = Outbox) ->
    Sequence = Last + 1,
    Kept = lists:sublist([{Sequence, Value} | Unacknowledged], ?UNACKNOWLEDGED),
    {Sequence, Outbox#{sequence := Sequence, unacknowledged := Kept}}.

%% @doc The peer has what was sent under this number: later deltas build on it.
-spec acknowledge(acknowledgement(), outbox()) -> outbox().
acknowledge(
    {acknowledge, Incarnation, Sequence},
    #{incarnation := Incarnation, base := {Base, _}, unacknowledged := Unacknowledged} = Outbox
) when Sequence > Base ->
    case lists:keyfind(Sequence, 1, Unacknowledged) of
        false ->
            Outbox;
        Acknowledged ->
            Later = [Entry || {S, _} = Entry <- Unacknowledged, S > Sequence],
            Outbox#{base := Acknowledged, unacknowledged := Later}
    end;
acknowledge({acknowledge, _, _}, Outbox) ->
    Outbox.

%% @doc What the receiver remembers of one peer.
-spec inbox() -> inbox().
inbox() ->
    #{}.

%% @doc Takes in an update. `resync' asks for anti-entropy: the update builds on something that
%% never came here. An update that came before is just acknowledged again.
-spec 'receive'(update(), value(), inbox()) -> {ok, acknowledgement(), value(), inbox()} | resync.
'receive'({update, Incarnation, Sequence, Base, Delta}, Value, Inbox) when
    is_integer(Sequence), is_integer(Base), Base < Sequence
->
    Acknowledgement = {acknowledge, Incarnation, Sequence},
    case maps:get(Incarnation, Inbox, 0) of
        Last when Sequence =< Last -> {ok, Acknowledgement, Value, Inbox};
        Last when Base =< Last -> take(Delta, Acknowledgement, Value);
        _ -> resync
    end;
'receive'(_, _, _) ->
    error(badarg).

%% A new incarnation ends the one before it.
take(Delta, {acknowledge, Incarnation, Sequence} = Acknowledgement, Value) ->
    case join(Value, Delta) of
        {ok, Joined} -> {ok, Acknowledgement, Joined, #{Incarnation => Sequence}};
        {error, gap} -> resync
    end.

%% ------------------------------------------------------------------------------------------
%% Anti-entropy
%%
%% Both sides pin one immutable value for the whole session and speak only of that: in a value
%% that moves on while it is being read, a key may be missing that was never removed. The one who
%% starts asks for hashes further and further down, then for the complete content of the paths
%% where they differ, "nothing" said explicitly. With all of them it knows the peer's pinned value
%% and may adopt its context; it returns its own content of the same paths, from which the peer
%% knows the starter's. Either merges the other's value into its *current* one.

-type id() :: term().
-type digest() :: {Live :: non_neg_integer(), Count :: non_neg_integer(), Context :: non_neg_integer()}.
-type message() ::
    {begin_sync, id(), digest()}
    | {ask, id(), Hashes :: [muster_trie:path()], Contents :: [muster_trie:path()]}
    | {give, id(), Part :: pos_integer(), Parts :: pos_integer(), muster_causal:context(), contents()}.
-type reply() ::
    {in_sync, id()}
    | {tell, id(), muster_causal:context(), [{muster_trie:path(), hashes()}], contents()}
    | {given, id(), Part :: pos_integer()}
    | {unknown, id()}.
-type contents() :: [{muster_trie:path(), [{Key :: term(), muster_trie:siblings()}]}].
-type hashes() :: [{0..15, Count :: non_neg_integer(), Sum :: non_neg_integer()}].
-opaque session() :: #{
    id := id(),
    pinned := value(),
    message := message(),
    context := muster_causal:context(),
    %% Paths still to be asked for.
    hashes := [muster_trie:path()],
    contents := [muster_trie:path()],
    %% What came, and of that the parts still to be returned.
    got := contents(),
    parts := [[muster_trie:path()]]
}.
-opaque peer_session() :: #{
    pinned := value(), got := #{Part :: pos_integer() => contents()}
}.

%% Up to this count of leaves on both sides a path's content is asked for, not its hashes.
-define(SMALL, 32).
%% Paths in one message, which bounds its size.
-define(BATCH, 32).

%% @doc Starts a session with the value as it is now, and gives the first message to the peer.
%% `Id' must tell sessions apart. A message without a reply may be sent again ({@link pending/1}).
-spec start(id(), value()) -> {message(), session()}.
start(Id, Value) ->
    Message = {begin_sync, Id, digest(Value)},
    {Message, #{
        id => Id,
        pinned => Value,
        message => Message,
        context => muster_causal:new(),
        hashes => [],
        contents => [],
        got => [],
        parts => []
    }}.

%% @doc The message that waits for a reply.
-spec pending(session()) -> message().
pending(#{message := Message}) ->
    Message.

digest(#{root := Root, context := Context}) ->
    {muster_trie:sum(Root), muster_trie:size(Root), muster_causal:hash(Context)}.

%% @doc The peer's side of a session: what it remembers under the session's id, from the first
%% `begin_sync' of that id on. To other messages of an unknown id it replies `{unknown, Id}'.
-spec accept(value()) -> peer_session().
accept(Value) ->
    #{pinned => Value, got => #{}}.

%% @doc The peer's part. `{merge, Value, Reply, PeerSession}' gives the starter's value, to be
%% merged into the current one. The same message always gets the same reply.
-spec answer(message(), peer_session()) ->
    {reply, reply(), peer_session()} | {merge, value(), reply(), peer_session()}.
answer({begin_sync, Id, Digest}, #{pinned := Value} = Session) ->
    case digest(Value) of
        Digest -> {reply, {in_sync, Id}, Session};
        _ -> {reply, tell(Id, [[]], [], Value), Session}
    end;
answer({ask, Id, Hashes, Contents}, #{pinned := Value} = Session) ->
    {reply, tell(Id, Hashes, Contents, Value), Session};
answer({give, Id, Part, Parts, Context, Contents}, #{pinned := Value, got := Got} = Session) when
    is_integer(Part), is_integer(Parts), is_list(Contents)
->
    Gathered = Got#{Part => Contents},
    Kept = Session#{got := Gathered},
    case map_size(Gathered) of
        Parts -> {merge, rebuild(Value, Context, lists:append(maps:values(Gathered))), {given, Id, Part}, Kept};
        _ -> {reply, {given, Id, Part}, Kept}
    end;
answer(_, _) ->
    error(badarg).

tell(Id, Hashes, Contents, #{root := Root, context := Context}) ->
    {tell, Id, Context, [{Path, muster_trie:children(Path, Root)} || Path <- Hashes], contents(Contents, Root)}.

contents(Paths, Root) ->
    [{Path, muster_trie:at(Path, Root)} || Path <- Paths].

%% @doc The starter's part. `{send, Message, Session}' goes on; `{merge, Value, Message, Session}'
%% gives the peer's value, to be merged into the current one, and goes on; `done' ends the
%% session; `restart' ends it without success; `ignore' is for replies that came twice or late.
-spec handle(reply(), session()) ->
    {send, message(), session()} | {merge, value(), message(), session()} | done | restart | ignore.
handle({in_sync, Id}, #{id := Id, message := {begin_sync, _, _}}) ->
    done;
handle({unknown, Id}, #{id := Id}) ->
    restart;
handle({tell, Id, Context, Hashes, Contents}, #{id := Id, message := Message} = Session) ->
    case is_reply(Message, paths(Hashes), paths(Contents)) of
        true -> ask(learn(Context, Hashes, Contents, Session));
        false -> ignore
    end;
handle({given, Id, Part}, #{id := Id, message := {give, _, Part, Parts, _, _}} = Session) ->
    case Part of
        Parts ->
            done;
        _ ->
            Giving = give(Part + 1, Parts, Session),
            {send, pending(Giving), Giving}
    end;
handle(_, _) ->
    ignore.

is_reply({begin_sync, _, _}, [[]], []) -> true;
is_reply({ask, _, Hashes, Contents}, Hashes, Contents) -> true;
is_reply(_, _, _) -> false.

paths(ByPath) ->
    [Path || {Path, _} <- ByPath].

%% The peer's context is the same in each reply, as its value is pinned.
learn(Context, Hashes, Contents, #{pinned := #{root := Root}, got := Got} = Session) ->
    #{hashes := LaterHashes, contents := LaterContents} = Session,
    Different = [Path || {Above, Theirs} <- Hashes, Path <- differences(Above, Theirs, Root)],
    {Small, Big} = lists:partition(fun({Path, Count}) -> is_small(Path, Count) end, Different),
    Session#{
        context := Context,
        hashes := paths(Big) ++ LaterHashes,
        contents := paths(Small) ++ LaterContents,
        got := Contents ++ Got
    }.

is_small(Path, Count) ->
    Count =< ?SMALL orelse muster_trie:is_deepest(Path).

%% The slots below a path where the two sides differ, each with the greater count of leaves.
differences(Path, Theirs, Root) ->
    OurSlots = by_slot(muster_trie:children(Path, Root)),
    TheirSlots = by_slot(Theirs),
    [
        {Path ++ [Slot], max(OurCount, TheirCount)}
     || Slot <- maps:keys(maps:merge(OurSlots, TheirSlots)),
        {OurCount, _} = Our <- [maps:get(Slot, OurSlots, {0, 0})],
        {TheirCount, _} = Their <- [maps:get(Slot, TheirSlots, {0, 0})],
        Our =/= Their
    ].

by_slot(Children) ->
    maps:from_list([{Slot, {Count, Sum}} || {Slot, Count, Sum} <- Children]).

%% Asks for what is still missing; with all of it, the peer's value is known.
ask(#{hashes := [], contents := [], got := Got, pinned := Pinned, context := Context} = Session) ->
    Parts = batches(paths(Got)),
    Giving = give(1, length(Parts), Session#{parts := Parts}),
    {merge, rebuild(Pinned, Context, Got), pending(Giving), Giving};
ask(#{id := Id, hashes := Hashes, contents := Contents} = Session) ->
    {AskHashes, LaterHashes} = batch(Hashes),
    {AskContents, LaterContents} = batch(Contents),
    Message = {ask, Id, AskHashes, AskContents},
    {send, Message, Session#{hashes := LaterHashes, contents := LaterContents, message := Message}}.

batch(Paths) ->
    lists:split(min(?BATCH, length(Paths)), Paths).

%% At least one: with no paths at all, there is still the context to be given.
batches(Paths) ->
    case batch(Paths) of
        {Batch, []} -> [Batch];
        {Batch, Later} -> [Batch | batches(Later)]
    end.

give(Part, Parts, #{id := Id, pinned := #{root := Root, context := Context}, parts := [Paths | Later]} = Session) ->
    Session#{parts := Later, message := {give, Id, Part, Parts, Context, contents(Paths, Root)}}.

%% The other side's pinned value: ours, with the other's content wherever we differ, and the
%% other's context.
rebuild(Pinned, Context, Contents) when is_map(Context) ->
    (lists:foldl(fun replace/2, Pinned, Contents))#{context := Context};
rebuild(_, _, _) ->
    error(badarg).

replace({Path, Content}, #{root := Root} = Value) ->
    Theirs = maps:from_list(Content),
    Gone = [{Key, []} || {Key, _} <- muster_trie:at(Path, Root), not is_map_key(Key, Theirs)],
    Put = fun({Key, Siblings}, Acc) -> muster_crdt:put_siblings(Key, Siblings, Acc) end,
    lists:foldl(Put, Value, Gone ++ Content).
