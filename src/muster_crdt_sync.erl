%% @doc Anti-entropy: bringing two copies of unknown difference in step, both ways.
%%
%% Both sides pin one immutable value for the whole session and speak only of that: in a value
%% that moves on while it is being read, a key may be missing that was never removed. The one who
%% starts asks for hashes further and further down, then for the complete content of the paths
%% where they differ, "nothing" said explicitly. With all of them it knows the peer's pinned value
%% and may adopt its context; it returns its own content of the same paths, from which the peer
%% knows the starter's. Either merges the other's value into its *current* one.
%%
%% Pure: functions take values and messages and return values and messages, and the caller carries
%% them; messages may be lost, doubled and reordered. For what changed since a known value there
%% are deltas (muster_crdt_delta, muster_crdt_channel); a fresh node is best streamed to first.
-module(muster_crdt_sync).

-export([start/2, handle/2, pending/1, accept/1, answer/2]).
-export_type([session/0, peer_session/0, message/0, reply/0]).

-type value() :: muster_crdt:causal().
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
-type session() :: #{
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
-type peer_session() :: #{
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
