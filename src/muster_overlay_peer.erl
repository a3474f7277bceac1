%% @private
%% One peer, as an overlay sees it: what it is known to have, the session with it, and what is to be
%% said to it next. Pure: time comes in, messages go out.
%%
%% A peer of which it is not known what it has is asked by a session of digests; from then on it gets
%% deltas on top of what it last acknowledged. What is too much for one message is offered, and
%% streamed if the peer wants it (see muster_overlay_load): the peer chooses from whom, so that it
%% is not told everything by everybody. docs/overlay.md lists the messages.
-module(muster_overlay_peer).

-export([new/3]).
-export([tick/4, is_to_share/1, share/4, handle/4, acknowledged/1, has_sent/2, resume/2, reconnected/2, forget_base/1]).
-export([is_talking/2, is_asking/2, is_acknowledged/2, is_based/1]).
-export_type([peer/0, body/0, outcome/0]).

-type state() :: muster_overlay_state:state().
-type ms() :: integer().
-type mark() :: muster_crdt_channel:mark() | none.
-type body() ::
    {update, muster_crdt_channel:update()}
    | {acknowledge, muster_crdt_channel:acknowledgement()}
    | {has, Incarnation :: term(), Base :: pos_integer()}
    | {shared, Incarnation :: term(), UpTo :: pos_integer(), [Id :: term()]}
    | {resync, Incarnation :: term()}
    | {sync, muster_crdt_sync:message(), mark()}
    | {reply, muster_crdt_sync:reply(), mark(), [muster_crdt_channel:acknowledgement()]}
    | {offer, Context :: muster_causal:context()}
    | {busy, Id :: term()}.
-type peer() :: #{
    outbox := muster_crdt_channel:outbox(),
    %% Whether the peer has acknowledged anything; if not, there is nothing to build a delta on.
    based := boolean(),
    %% Whether it must first say that it still has it, after it was away.
    confirmed := boolean(),
    inbox := muster_crdt_channel:inbox(),
    %% The states sent, by their versions here, and the latest that was acknowledged.
    sent := [{Sequence :: pos_integer(), Version :: non_neg_integer()}],
    acknowledged := integer(),
    %% The update of which the peer is still to be told who else has it: since when, and whether some were named.
    to_share := none | {Sequence :: pos_integer(), Version :: non_neg_integer(), ms(), Named :: boolean()},
    %% Since when an update waits for an answer, and when the last one was sent.
    waiting := ms() | none,
    sent_at := ms() | none,
    session := none | {muster_crdt_sync:session(), mark(), SentAt :: ms(), Tries :: non_neg_integer()},
    next_session := ms(),
    ended := ms(),
    %% From one session to the next.
    interval := pos_integer(),
    failures := non_neg_integer(),
    answering := none | {Id :: term(), muster_crdt_sync:peer_session(), mark()},
    %% The last message of a session that was started there, has found a difference and goes on.
    answered_at := ms() | none
}.
-type here() :: {state(), Version :: non_neg_integer(), muster_crdt_recent:recent(), Busy :: boolean()}.
%% What came of a message: bodies to be sent, whether keys may have changed (which ones, the states tell),
%% and whether to ask the peer for a stream.
-type outcome() :: #{
    send := [body()],
    state := state(),
    keys := all | none,
    recent => muster_crdt_recent:recent(),
    load => true
}.

%% More dots than this, or a bigger message, are streamed.
-define(BULK, 1000).
-define(BULK_BYTES, 262144).
%% What a peer has by others' updates moves no base here: one that is further behind than that is sent an update.
-define(STALE, 200).
%% As many as the channel remembers.
-define(SENT, 8).
-define(TRIES, 5).
-define(RETRY_MAX_MS, 5000).
%% A session that is silent for so long keeps nobody else waiting.
-define(TALKING_MS, 1000).
%% An update that waits for its answer for so long is repeated less and less often.
-define(PATIENCE_MS, 2000).

%% The first session is due at once on one side, and a little later on the other.
-spec new(ms(), FirstSession :: ms(), Interval :: pos_integer()) -> peer().
new(Now, FirstSession, Interval) ->
    #{
        outbox => new_outbox(),
        based => false,
        confirmed => true,
        inbox => muster_crdt_channel:inbox(),
        sent => [],
        acknowledged => -1,
        to_share => none,
        waiting => none,
        sent_at => none,
        session => none,
        next_session => FirstSession,
        ended => Now,
        interval => Interval,
        failures => 0,
        answering => none,
        answered_at => none
    }.

new_outbox() ->
    muster_crdt_channel:outbox(make_ref(), muster_overlay_state:new()).

%% The peer is there, or there again: no use in waiting.
-spec resume(ms(), peer()) -> peer().
resume(Now, Peer) ->
    Peer#{session := none, next_session := Now, failures := 0, waiting := none, sent_at := none}.

%% The peer is connected again. If it is known what it has, updates do, once it says that it has not lost
%% that.
-spec reconnected(ms(), peer()) -> peer().
reconnected(Now, #{based := true, next_session := Next} = Peer) ->
    (resume(Now, Peer))#{next_session := max(Next, Now + ?RETRY_MAX_MS), confirmed := false};
reconnected(Now, Peer) ->
    resume(Now, Peer).

%% Whether a session with the peer has found a difference and is under way; so that what two peers would
%% bring is brought by one.
-spec is_talking(ms(), peer()) -> boolean().
is_talking(Now, #{answered_at := AnsweredAt} = Peer) ->
    is_asking(Now, Peer) orelse (AnsweredAt =/= none andalso Now - AnsweredAt < ?TALKING_MS).

%% The same, of a session that was started here.
-spec is_asking(ms(), peer()) -> boolean().
is_asking(Now, #{session := {Session, _, SentAt, _}}) ->
    element(1, muster_crdt_sync:pending(Session)) =/= begin_sync andalso Now - SentAt < ?TALKING_MS;
is_asking(_, _) ->
    false.

%% A peer that is away for long: its base is not kept for it any more.
-spec forget_base(peer()) -> peer().
forget_base(Peer) ->
    Peer#{
        outbox := new_outbox(),
        based := false,
        confirmed := true,
        sent := [],
        acknowledged := -1,
        to_share := none,
        session := none,
        answering := none,
        waiting := none
    }.

-spec is_acknowledged(Version :: non_neg_integer(), peer()) -> boolean().
is_acknowledged(Version, #{acknowledged := Acknowledged}) ->
    Acknowledged >= Version.

-spec acknowledged(peer()) -> integer().
acknowledged(#{acknowledged := Acknowledged}) ->
    Acknowledged.

%% Whether the peer has sent updates up to that mark in this life, and they are here.
-spec has_sent(muster_crdt_channel:mark(), peer()) -> boolean().
has_sent({Incarnation, Sequence}, #{inbox := Inbox}) when is_integer(Sequence) ->
    case Inbox of
        #{Incarnation := Last} -> Sequence =< Last;
        #{} -> false
    end;
has_sent(_, _) ->
    false.

-spec is_based(peer()) -> boolean().
is_based(#{based := Based}) ->
    Based.

%%% Each sync interval

-spec tick({state(), Version :: non_neg_integer(), muster_overlay_hearsay:reach()}, ms(), Sync, peer()) ->
    {[body()], peer()}
when
    Sync :: pos_integer().
tick({State, Version, Reach}, Now, Sync, Peer) ->
    {FromSession, Peer1} = tick_session({State, Version}, Now, Sync, Peer),
    {FromUpdates, Peer2} = tick_heard({State, Version}, Reach, Now, Sync, Peer1),
    {FromSession ++ FromUpdates, Peer2}.

tick_session(_, Now, Sync, #{session := {Session, Mark, SentAt, Tries}} = Peer) ->
    Overdue = Now - SentAt >= max(500, 2 * Sync),
    if
        not Overdue ->
            {[], Peer};
        Tries >= ?TRIES ->
            {[], failed(Now, Peer)};
        true ->
            {[{sync, muster_crdt_sync:pending(Session), Mark}], Peer#{session := {Session, Mark, Now, Tries + 1}}}
    end;
tick_session({State, Version}, Now, Sync, Peer) ->
    case is_session_due(Now, Sync, Peer) of
        true ->
            {Mark, Marked} = mark(State, Version, Peer),
            {Message, Session} = muster_crdt_sync:start(make_ref(), State),
            {[{sync, Message, Mark}], Marked#{session := {Session, Mark, Now, 0}}};
        false ->
            {[], Peer}
    end.

%% Should the last acknowledgement of a session have been lost, there is another one.
is_session_due(Now, _Sync, #{next_session := Next}) when Now >= Next -> true;
is_session_due(Now, Sync, #{based := false, failures := 0, ended := Ended}) -> Now - Ended >= max(1000, 2 * Sync);
is_session_due(_, _, _) -> false.

%% Ends a session without success; the next one waits longer.
failed(Now, #{failures := Failures} = Peer) ->
    Wait = min(?RETRY_MAX_MS, 100 bsl min(Failures, 6)),
    Peer#{session := none, failures := Failures + 1, next_session := Now + Wait}.

mark(State, Version, #{outbox := Outbox, sent := Sent} = Peer) ->
    {{_, Sequence} = Mark, Marked} = muster_crdt_channel:sent(State, Outbox),
    {Mark, Peer#{outbox := Marked, sent := note(Sequence, Version, Sent)}}.

note(Sequence, Version, [{Sequence, _} | Earlier]) -> [{Sequence, Version} | Earlier];
note(Sequence, Version, Sent) -> lists:sublist([{Sequence, Version} | Sent], ?SENT).

%% What the peer has, or will have, from others is not sent.
tick_heard({State, Version}, {Known, When}, Now, Sync, #{based := true, outbox := #{base := {_, Base}}} = Peer) ->
    #{acknowledged := Acknowledged} = Peer,
    case Acknowledged < Version andalso is_beyond(?STALE, Base, State) of
        true -> tick_updates({State, Version}, Now, Sync, Peer);
        false when Known < Version, When =:= held -> {[], Peer#{acknowledged := max(Known, Acknowledged)}};
        false -> tick_updates({State, Version}, Now, Sync, Peer#{acknowledged := max(Known, Acknowledged)})
    end;
tick_heard(Current, _, Now, Sync, Peer) ->
    tick_updates(Current, Now, Sync, Peer).

tick_updates({_, Version}, _Now, _Sync, #{acknowledged := Version} = Peer) ->
    {[], Peer#{waiting := none}};
tick_updates({State, Version}, Now, Sync, #{based := true, outbox := #{base := {_, Base}}} = Peer) ->
    case is_due(Now, Sync, Peer) andalso Peer of
        false ->
            {[], Peer};
        #{confirmed := false, outbox := #{incarnation := Incarnation, base := {Sequence, _}}} ->
            {[{has, Incarnation, Sequence}], waits(Now, Peer)};
        _ ->
            case is_beyond(?BULK, Base, State) of
                true -> {[offer(State)], waits(Now, Peer)};
                false -> update(State, Version, Now, Peer)
            end
    end;
tick_updates(_, _, _, Peer) ->
    {[], Peer}.

update(State, Version, Now, #{outbox := Outbox, sent := Sent} = Peer) ->
    case muster_crdt_channel:send(State, Outbox) of
        none ->
            {[], Peer#{acknowledged := Version, waiting := none}};
        {{update, _, Sequence, _, Delta} = Update, Sending} ->
            Body =
                case erlang:external_size(Delta) > ?BULK_BYTES of
                    true -> offer(State);
                    false -> {update, Update}
                end,
            {[Body], waits(Now, Peer#{outbox := Sending, sent := note(Sequence, Version, Sent)})}
    end.

-spec is_to_share(peer()) -> boolean().
is_to_share(#{to_share := ToShare}) ->
    ToShare =/= none.

%% Tells the peer who of the others has what it has acknowledged: once all have, and before that once, after one
%% and a half intervals. For so long it waits, too, where another update is under way, to tell of that with it.
-spec share([{Id :: term(), peer()}], ms(), Sync :: pos_integer(), peer()) -> {[body()], peer()}.
share(_Others, _Now, _Sync, #{to_share := none} = Peer) ->
    {[], Peer};
share([], _Now, _Sync, Peer) ->
    {[], Peer#{to_share := none}};
share(Others, Now, Sync, #{to_share := {Sequence, Version, Since, IsNamed}, outbox := Outbox} = Peer) ->
    #{waiting := Waiting} = Peer,
    #{incarnation := Incarnation} = Outbox,
    Have = [Id || {Id, Other} <- Others, is_acknowledged(Version, Other)],
    Body = {shared, Incarnation, Sequence, Have},
    IsOld = 2 * (Now - Since) >= 3 * Sync,
    if
        length(Have) =:= length(Others), IsOld orelse Waiting =:= none -> {[Body], Peer#{to_share := none}};
        IsOld, not IsNamed -> {[Body], Peer#{to_share := {Sequence, Version, Since, true}}};
        true -> {[], Peer}
    end.

waits(Now, #{waiting := none} = Peer) -> Peer#{waiting := Now, sent_at := Now};
waits(Now, Peer) -> Peer#{sent_at := Now}.

is_due(_Now, _Sync, #{waiting := none}) ->
    true;
is_due(Now, _Sync, #{waiting := Since}) when Now - Since < ?PATIENCE_MS ->
    true;
is_due(Now, Sync, #{waiting := Since, sent_at := SentAt}) ->
    Now - SentAt >= max(Sync, min(?RETRY_MAX_MS, (Now - Since) div 2)).

%% Whether the difference is more than a delta should hold, without making one: dots that are new,
%% and those that died, of which there are at most so many.
is_beyond(Limit, #{context := Old} = Base, #{context := New} = State) ->
    Ahead = muster_overlay_state:missing(Old, New),
    2 * Ahead + muster_overlay_state:size(Base) - muster_overlay_state:size(State) > 2 * Limit.

offer(#{context := Context}) ->
    {offer, Context}.

%%% A message from the peer

%% `Busy' says that a stream or another session brings what this peer would, so that this is no time
%% for a session with it.
-spec handle(body(), here(), ms(), peer()) -> {outcome(), peer()}.
handle({update, {update, Incarnation, _, _, _} = Update}, {State, _, Recent, _}, _Now, #{inbox := Inbox} = Peer) ->
    case muster_crdt_channel:deliver(Update, State, Inbox, Recent) of
        {ok, Acknowledgement, Joined, NewInbox, NewRecent} ->
            Outcome = #{send => [{acknowledge, Acknowledgement}], state => Joined, keys => all, recent => NewRecent},
            {Outcome, heard(Update, Peer#{inbox := NewInbox}, Inbox)};
        resync ->
            {nothing([{resync, Incarnation}], State), Peer}
    end;
handle({has, Incarnation, Sequence}, {State, _, _, _}, _Now, #{inbox := Inbox} = Peer) when is_integer(Sequence) ->
    case Inbox of
        #{Incarnation := Last} when Last >= Sequence ->
            {nothing([{acknowledge, {acknowledge, Incarnation, Sequence}}], State), Peer};
        #{} ->
            {nothing([{resync, Incarnation}], State), Peer}
    end;
handle({acknowledge, Acknowledgement}, {State, _, _, _}, Now, Peer) ->
    {nothing([], State), to_share(Now, Peer, acknowledged(Acknowledgement, Peer))};
handle({resync, Incarnation}, {State, _, _, _}, Now, #{outbox := #{incarnation := Incarnation}} = Peer) ->
    {nothing([], State), (forget_base(Peer))#{next_session := Now}};
handle({resync, _}, {State, _, _, _}, _Now, Peer) ->
    {nothing([], State), Peer};
handle({offer, Theirs}, {#{context := Ours} = State, _, _, Loading}, Now, Peer) ->
    case not Loading andalso muster_overlay_state:missing(Ours, Theirs) > 0 of
        true -> {load(State), Peer#{session := none}};
        %% Nothing new: what there is are removals, which a session finds.
        false -> {nothing([], State), Peer#{next_session := Now}}
    end;
handle({busy, Id}, {State, _, _, _}, Now, #{session := {#{id := Id}, _, _, _}} = Peer) ->
    {nothing([], State), failed(Now, Peer)};
handle({busy, _}, {State, _, _, _}, _Now, Peer) ->
    {nothing([], State), Peer};
handle({sync, Message, _}, {State, _, _, true}, _Now, Peer) ->
    {nothing([{busy, element(2, Message)}], State), Peer};
handle({sync, Message, Mark}, {State, Version, _, false}, Now, Peer) ->
    answer(Message, Mark, State, Version, Now, Peer);
handle({reply, {differ, Id, _, _}, _, _}, {State, _, _, true}, Now, #{session := {#{id := Id}, _, _, _}} = Peer) ->
    {nothing([], State), failed(Now, Peer)};
handle({reply, Reply, Mark, Acknowledgements}, {State, _, _, _}, Now, Peer) ->
    Acked = lists:foldl(fun acknowledged/2, Peer, Acknowledgements),
    reply(Reply, Mark, State, Now, Acked).

%% What it says is not said back to it: not of the first update in a life of the peer's, which may have
%% lost since what it had acknowledged in the last one.
heard({update, Incarnation, _, _, Delta}, #{outbox := Outbox} = Peer, Before) when is_map_key(Incarnation, Before) ->
    Peer#{outbox := muster_crdt_channel:heard(Delta, Outbox)};
heard(_, Peer, _) ->
    Peer.

nothing(Bodies, State) ->
    #{send => Bodies, state => State, keys => none}.

load(State) ->
    (nothing([], State))#{load => true}.

%% An update that was acknowledged is news for the others.
to_share(Now, #{sent := Sent, acknowledged := Before}, #{outbox := #{base := {Base, _}}} = Peer) ->
    case lists:keyfind(Base, 1, Sent) of
        {_, Version} when Version > Before -> Peer#{to_share := {Base, Version, since(Now, Peer), false}};
        _ -> Peer
    end.

since(_, #{to_share := {_, _, Since, false}}) -> Since;
since(Now, _) -> Now.

acknowledged({acknowledge, _, Sequence} = Acknowledgement, Peer) ->
    #{outbox := Outbox, sent := Sent, acknowledged := Before} = Peer,
    case muster_crdt_channel:acknowledge(Acknowledgement, Outbox) of
        Outbox ->
            Peer#{confirmed := is_of(Acknowledgement, Outbox) orelse maps:get(confirmed, Peer)};
        #{base := {Sequence, _}} = Based ->
            {_, Version} = lists:keyfind(Sequence, 1, Sent),
            Later = [Entry || {S, _} = Entry <- Sent, S > Sequence],
            Known = Peer#{outbox := Based, based := true, confirmed := true, sent := Later},
            Known#{acknowledged := max(Version, Before), waiting := none}
    end.

is_of({acknowledge, Incarnation, Sequence}, #{incarnation := Incarnation, base := {Base, _}}) -> Sequence =:= Base;
is_of(_, _) -> false.

%%% Sessions

%% The peer's side.
answer(Message, Mark, State, Version, Now, #{answering := Answering} = Peer) ->
    Id = element(2, Message),
    case {Answering, element(1, Message)} of
        {{Id, Session, OwnMark}, _} ->
            answer_in(Session, Message, {Mark, OwnMark}, State, Now, Peer);
        {_, begin_sync} ->
            {OwnMark, Marked} = mark(State, Version, Peer),
            answer_in(muster_crdt_sync:accept(State), Message, {Mark, OwnMark}, State, Now, Marked);
        _ ->
            {nothing([{reply, {unknown, Id}, none, []}], State), Peer}
    end.

answer_in(Session, Message, {Mark, OwnMark}, State, Now, #{inbox := Inbox} = Peer) ->
    Keep = fun(Answering, P) -> P#{answering := {element(2, Message), Answering, OwnMark}} end,
    case muster_crdt_sync:answer(Message, Session) of
        {reply, {in_sync, _} = Reply, Answering} ->
            {Acknowledgement, NewInbox} = muster_crdt_channel:received(Mark, Inbox),
            Bodies = [{reply, Reply, OwnMark, [Acknowledgement]}],
            {nothing(Bodies, State), Keep(Answering, answered(Now, Peer#{inbox := NewInbox}))};
        {reply, Reply, Answering} ->
            {Acknowledgements, Taken} = taken(Answering, Mark, Now, Peer#{answered_at := Now}),
            {nothing([{reply, Reply, OwnMark, Acknowledgements}], State), Keep(Answering, Taken)};
        {merge, Theirs, Reply, Answering} ->
            {Acknowledgements, Taken} = taken(Answering, Mark, Now, Peer#{answered_at := Now}),
            Outcome = #{
                send => [{reply, Reply, OwnMark, Acknowledgements}],
                state => muster_lww_map:merge(State, Theirs),
                keys => all
            },
            {Outcome, Keep(Answering, Taken)}
    end.

%% The starter's state has come when its last piece has.
taken(Answering, Mark, Now, #{inbox := Inbox} = Peer) ->
    case muster_crdt_sync:is_complete(Answering) of
        true ->
            {Acknowledgement, NewInbox} = muster_crdt_channel:received(Mark, Inbox),
            {[Acknowledgement], answered(Now, Peer#{inbox := NewInbox})};
        false ->
            {[], Peer}
    end.

%% The side that started. Where much is missing on either side, a stream comes first.
reply(
    {differ, Id, _, Theirs} = Reply,
    Mark,
    #{context := Ours} = State,
    Now,
    #{session := {#{id := Id}, _, _, _}} = Peer
) ->
    case {muster_overlay_state:missing(Ours, Theirs), muster_overlay_state:missing(Theirs, Ours)} of
        {Here, _} when Here > ?BULK -> {load(State), Peer#{session := none}};
        {_, There} when There > ?BULK -> {nothing([offer(State)], State), failed(Now, Peer)};
        _ -> proceed(Reply, Mark, State, Now, Peer)
    end;
reply(Reply, Mark, State, Now, #{session := {_, _, _, _}} = Peer) ->
    proceed(Reply, Mark, State, Now, Peer);
reply(_, _, State, _, Peer) ->
    {nothing([], State), Peer}.

proceed(Reply, TheirMark, State, Now, #{session := {Session, Mark, _, _}, inbox := Inbox} = Peer) ->
    case muster_crdt_sync:handle(Reply, Session) of
        {send, Message, Next} ->
            {nothing([{sync, Message, Mark}], State), Peer#{session := {Next, Mark, Now, 0}}};
        {merge, Theirs, Message, Next} ->
            Outcome = #{send => [{sync, Message, Mark}], state => muster_lww_map:merge(State, Theirs), keys => all},
            {Outcome, Peer#{session := {Next, Mark, Now, 0}}};
        %% Only now the peer's state has come as a whole.
        done ->
            {Acknowledgement, NewInbox} = muster_crdt_channel:received(TheirMark, Inbox),
            {nothing([{acknowledge, Acknowledgement}], State), (ended(Now, Peer))#{inbox := NewInbox}};
        restart ->
            {nothing([], State), failed(Now, Peer)};
        ignore ->
            {nothing([], State), Peer}
    end.

ended(Now, #{interval := Interval} = Peer) ->
    Peer#{session := none, failures := 0, ended := Now, next_session := Now + Interval}.

%% The side that answered starts one itself only if the other does not.
answered(Now, #{interval := Interval} = Peer) ->
    Peer#{answered_at := none, failures := 0, ended := Now, next_session := Now + Interval + Interval div 4}.
