%% @private
%% The sessions of digests with one peer (muster_crdt_sync): when the next one is due, that which was started here, and
%% that which is answered. Pure.
-module(muster_overlay_sessions).

-export([new/3, resume/2, put_off/2, give_up/1, drop/1, set_due/2]).
-export([tick/4, start/4, is_asking/2, is_asked/2, is_astray/3, failed/2, proceed/4]).
-export([is_known/2, accept/4, answer/3, is_talking/2, set_answering/2]).
-export_type([sessions/0]).

-type ms() :: integer().
-type state() :: muster_overlay_state:state().
-type mark() :: muster_crdt_channel:mark() | none.
-opaque sessions() :: #{
    %% The one that was started here.
    asking := none | {muster_crdt_sync:session(), mark(), SentAt :: ms(), Tries :: non_neg_integer()},
    %% The mark of the peer's state that its replies are from.
    theirs := mark(),
    %% The one that the peer has started.
    answering := none | {Id :: term(), muster_crdt_sync:peer_session(), mark()},
    %% Its last message, if it has found a difference and goes on.
    answered_at := ms() | none,
    next := ms(),
    %% Since when reconnections have put off the next one.
    put_off := ms() | none,
    ended := ms(),
    %% From one to the next.
    interval := pos_integer(),
    failures := non_neg_integer()
}.

-define(TRIES, 5).
-define(RETRY_MAX_MS, 5000).
%% A link that comes and goes puts off a session that is due for no longer.
-define(PUT_OFF_MS, 15000).
%% A session that is silent for so long keeps nobody else waiting.
-define(TALKING_MS, 1000).

-spec new(ms(), First :: ms(), Interval :: pos_integer()) -> sessions().
new(Now, First, Interval) ->
    #{
        asking => none,
        theirs => none,
        answering => none,
        answered_at => none,
        next => First,
        put_off => none,
        ended => Now,
        interval => Interval,
        failures => 0
    }.

%%% When

%% The peer is there, or there again: no use in waiting.
-spec resume(ms(), sessions()) -> sessions().
resume(Now, S) ->
    S#{asking := none, next := Now, failures := 0}.

%% The peer is there again, and updates may do.
-spec put_off(ms(), sessions()) -> sessions().
put_off(Now, #{next := Next, put_off := PutOff} = S) ->
    Since =
        case PutOff of
            none -> Now;
            _ -> PutOff
        end,
    Later = min(Now + ?RETRY_MAX_MS, Since + ?PUT_OFF_MS),
    (resume(Now, S))#{next := max(Next, Later), put_off := Since}.

%% Both ways.
-spec give_up(sessions()) -> sessions().
give_up(S) ->
    S#{asking := none, answering := none}.

%% Something else takes the place of the one that was started here.
-spec drop(sessions()) -> sessions().
drop(S) ->
    S#{asking := none}.

-spec set_due(ms(), sessions()) -> sessions().
set_due(When, S) ->
    S#{next := When}.

%% Should the last acknowledgement of a session have been lost, there is another one.
is_due(Now, _Sync, _IsBased, #{next := Next}) when Now >= Next -> true;
is_due(Now, Sync, false, #{failures := 0, ended := Ended}) -> Now - Ended >= max(1000, 2 * Sync);
is_due(_, _, _, _) -> false.

%% Ended without success; the next one waits longer.
-spec failed(ms(), sessions()) -> sessions().
failed(Now, #{failures := Failures} = S) ->
    Wait = min(?RETRY_MAX_MS, 100 bsl min(Failures, 6)),
    S#{asking := none, failures := Failures + 1, next := Now + Wait}.

ended(Now, #{interval := Interval} = S) ->
    S#{asking := none, failures := 0, ended := Now, next := Now + Interval, put_off := none}.

%% The side that answered starts one itself only if the other does not.
answered(Now, #{interval := Interval} = S) ->
    Next = Now + Interval + Interval div 4,
    S#{answered_at := none, failures := 0, ended := Now, next := Next, put_off := none}.

%%% The side that starts

%% What is to be said now: nothing, the last message again, or `start/4' what it gives.
-spec tick(ms(), Sync :: pos_integer(), IsBased :: boolean(), sessions()) ->
    {nothing | due | {again, muster_crdt_sync:message(), mark()}, sessions()}.
tick(Now, Sync, _IsBased, #{asking := {Session, Mark, SentAt, Tries}} = S) ->
    IsOverdue = Now - SentAt >= max(500, 2 * Sync),
    if
        not IsOverdue -> {nothing, S};
        Tries >= ?TRIES -> {nothing, failed(Now, S)};
        true -> {{again, muster_crdt_sync:pending(Session), Mark}, S#{asking := {Session, Mark, Now, Tries + 1}}}
    end;
tick(Now, Sync, IsBased, S) ->
    case is_due(Now, Sync, IsBased, S) of
        true -> {due, S};
        false -> {nothing, S}
    end.

-spec start(state(), mark(), ms(), sessions()) -> {muster_crdt_sync:message(), sessions()}.
start(State, Mark, Now, S) ->
    {Message, Session} = muster_crdt_sync:start(make_ref(), State),
    {Message, S#{asking := {Session, Mark, Now, 0}, theirs := none}}.

%% Whether it is under way, and has found a difference.
-spec is_asking(ms(), sessions()) -> boolean().
is_asking(Now, #{asking := {Session, _, SentAt, _}}) ->
    element(1, muster_crdt_sync:pending(Session)) =/= begin_sync andalso Now - SentAt < ?TALKING_MS;
is_asking(_, _) ->
    false.

%% Whether it is of this id.
-spec is_asked(Id :: term(), sessions()) -> boolean().
is_asked(Id, #{asking := {#{id := Id}, _, _, _}}) -> true;
is_asked(_, _) -> false.

%% Whether a reply of this mark is from another state of the peer's than those before: it was started anew, or has
%% forgotten the session, and took a message that came twice for the beginning of one. What the two say does not fit
%% together.
-spec is_astray(mark(), Id :: term(), sessions()) -> boolean().
is_astray(Mark, Id, #{theirs := Theirs} = S) ->
    is_asked(Id, S) andalso Theirs =/= none andalso Mark =/= Theirs.

%% What a reply brings to it: the next message, or the end, with which all of the peer's state has come. `Theirs' is
%% to be merged first.
-spec proceed(muster_crdt_sync:reply(), mark(), ms(), sessions()) ->
    {{send, Theirs :: state() | none, muster_crdt_sync:message(), mark()} | done | nothing, sessions()}.
proceed(Reply, TheirMark, Now, #{asking := {Session, Mark, _, _}} = S) ->
    Send = fun(Theirs, Message, Next) ->
        {{send, Theirs, Message, Mark}, S#{asking := {Next, Mark, Now, 0}, theirs := TheirMark}}
    end,
    case muster_crdt_sync:handle(Reply, Session) of
        {send, Message, Next} -> Send(none, Message, Next);
        {merge, Theirs, Message, Next} -> Send(Theirs, Message, Next);
        done -> {done, ended(Now, S)};
        restart -> {nothing, failed(Now, S)};
        ignore -> {nothing, S}
    end.

%%% The side that answers

%% Whether it is that of a message, which is one of the peer's.
-spec is_known(muster_crdt_sync:message(), sessions()) -> boolean().
is_known(Message, #{answering := {Id, _, _}}) -> element(2, Message) =:= Id;
is_known(_, _) -> false.

%% Begins one by that message, in place of the one before.
-spec accept(muster_crdt_sync:message(), state(), mark(), sessions()) -> sessions().
accept(Message, State, Mark, S) ->
    S#{answering := {element(2, Message), muster_crdt_sync:accept(State), Mark}}.

%% The reply to a message of it, what is to be merged, and whether by now all of the peer's state has come.
-spec answer(muster_crdt_sync:message(), ms(), sessions()) ->
    {muster_crdt_sync:reply(), mark(), Theirs :: state() | none, IsAll :: boolean(), sessions()}.
answer(Message, Now, #{answering := {Id, Session, Mark}} = S) ->
    {Theirs, Reply, Next} =
        case muster_crdt_sync:answer(Message, Session) of
            {reply, R, N} -> {none, R, N};
            {merge, V, R, N} -> {V, R, N}
        end,
    Kept = S#{answering := {Id, Next, Mark}},
    case element(1, Reply) =:= in_sync orelse muster_crdt_sync:is_complete(Next) of
        true -> {Reply, Mark, Theirs, true, answered(Now, Kept)};
        false -> {Reply, Mark, Theirs, false, Kept#{answered_at := Now}}
    end.

%% Whether a session either way is under way and has found a difference; so that what two peers would bring is
%% brought by one.
-spec is_talking(ms(), sessions()) -> boolean().
is_talking(Now, #{answered_at := AnsweredAt} = S) ->
    is_asking(Now, S) orelse (AnsweredAt =/= none andalso Now - AnsweredAt < ?TALKING_MS).

%% The peer is about to bring something by an update instead, or has done so.
-spec set_answering(ms() | none, sessions()) -> sessions().
set_answering(When, S) ->
    S#{answered_at := When}.
