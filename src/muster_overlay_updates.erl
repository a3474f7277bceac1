%% @private
%% The updates between this overlay and one peer (muster_crdt_channel): what the peer is known to have, which update is
%% due on top of that, what it is told of who else has it, and what came from it. Pure.
-module(muster_overlay_updates).

-export([new/0, resume/1, doubt/1, forget/1]).
-export([mark/3, tick/5, acknowledge/2, acknowledge/3, acknowledged/1, is_based/1, is_from/2]).
-export([is_to_share/1, share/4]).
-export([deliver/4, received/2, has/2]).
-export_type([updates/0]).

-type state() :: muster_overlay_state:state().
-type version() :: non_neg_integer().
-type ms() :: integer().
-type body() :: muster_overlay_peer:body().
-type mark() :: muster_crdt_channel:mark().
-opaque updates() :: #{
    outbox := muster_crdt_channel:outbox(),
    %% Whether the peer has acknowledged anything; if not, there is nothing to build a delta on.
    based := boolean(),
    %% Whether it need not say first that it still has it, as it must after it was away.
    confirmed := boolean(),
    %% The states sent, by their versions here, and the latest that was acknowledged.
    sent := [{Sequence :: pos_integer(), version()}],
    acknowledged := integer(),
    %% Since when an update waits for an answer, and when the last one was sent.
    waiting := ms() | none,
    sent_at := ms() | none,
    %% The update of which the peer is still to be told who else has it: since when, and whether some were named.
    to_share := none | {Sequence :: pos_integer(), version(), ms(), Named :: boolean()},
    inbox := muster_crdt_channel:inbox()
}.

%% A delta of more dots than this, or a bigger message, is streamed instead.
-define(BULK, 1000).
-define(BULK_BYTES, 262144).
%% What a peer has by others' updates moves no base here: one that is further behind than that is sent an update.
-define(STALE, 200).
%% As many as the channel remembers.
-define(SENT, 8).
%% An update that waits for its answer for so long is repeated less and less often, down to every five seconds.
-define(PATIENCE_MS, 2000).
-define(RETRY_MAX_MS, 5000).

-spec new() -> updates().
new() ->
    #{
        outbox => new_outbox(),
        based => false,
        confirmed => true,
        sent => [],
        acknowledged => -1,
        waiting => none,
        sent_at => none,
        to_share => none,
        inbox => muster_crdt_channel:inbox()
    }.

new_outbox() ->
    muster_crdt_channel:outbox(make_ref(), muster_overlay_state:new()).

%% The peer is there, or there again: no use in waiting.
-spec resume(updates()) -> updates().
resume(U) ->
    U#{waiting := none, sent_at := none}.

%% The peer was away, and may have lost what it had acknowledged.
-spec doubt(updates()) -> updates().
doubt(U) ->
    U#{confirmed := false}.

%% Nothing is known any more of what the peer has.
-spec forget(updates()) -> updates().
forget(#{inbox := Inbox, sent_at := SentAt}) ->
    (new())#{inbox := Inbox, sent_at := SentAt}.

%%% To the peer

%% The state goes to the peer by a session; what it acknowledges by this mark it has.
-spec mark(state(), version(), updates()) -> {mark(), updates()}.
mark(State, Version, #{outbox := Outbox, sent := Sent} = U) ->
    {{_, Sequence} = Mark, Marked} = muster_crdt_channel:sent(State, Outbox),
    {Mark, U#{outbox := Marked, sent := note(Sequence, Version, Sent)}}.

note(Sequence, Version, [{Sequence, _} | Earlier]) -> [{Sequence, Version} | Earlier];
note(Sequence, Version, Sent) -> lists:sublist([{Sequence, Version} | Sent], ?SENT).

%% What is to be said each interval. What the peer has, or will have, from others is not.
-spec tick({state(), version()}, muster_overlay_hearsay:reach(), ms(), Sync :: pos_integer(), updates()) ->
    {[body()], updates()}.
tick({State, Version}, {Known, When}, Now, Sync, #{based := true, outbox := #{base := {_, Base}}} = U) ->
    #{acknowledged := Acknowledged} = U,
    case Acknowledged < Version andalso is_beyond(?STALE, Base, State) of
        true -> tick_known({State, Version}, Now, Sync, U);
        false when Known < Version, When =:= held -> {[], U#{acknowledged := max(Known, Acknowledged)}};
        false -> tick_known({State, Version}, Now, Sync, U#{acknowledged := max(Known, Acknowledged)})
    end;
tick(Current, _Reach, Now, Sync, U) ->
    tick_known(Current, Now, Sync, U).

tick_known({_, Version}, _Now, _Sync, #{acknowledged := Version} = U) ->
    {[], U#{waiting := none}};
tick_known({State, Version}, Now, Sync, #{based := true, outbox := #{base := {_, Base}}} = U) ->
    case is_due(Now, Sync, U) andalso U of
        false ->
            {[], U};
        #{confirmed := false, outbox := #{base := {Sequence, _}}} ->
            {Mark, Marked} = mark(State, Version, U),
            {[{has, Sequence, Mark, muster_crdt_sync:digest(State)}], waits(Now, Marked)};
        _ ->
            case is_beyond(?BULK, Base, State) of
                true -> {[offer(State)], waits(Now, U)};
                false -> update(State, Version, Now, U)
            end
    end;
tick_known(_, _, _, U) ->
    {[], U}.

update(State, Version, Now, #{outbox := Outbox, sent := Sent} = U) ->
    case muster_crdt_channel:send(State, Outbox) of
        none ->
            {[], U#{acknowledged := Version, waiting := none}};
        {{update, _, Sequence, _, Delta} = Update, Sending} ->
            Body =
                case erlang:external_size(Delta) > ?BULK_BYTES of
                    true -> offer(State);
                    false -> {update, Update}
                end,
            {[Body], waits(Now, U#{outbox := Sending, sent := note(Sequence, Version, Sent)})}
    end.

offer(#{context := Context}) ->
    {offer, Context}.

waits(Now, #{waiting := none} = U) -> U#{waiting := Now, sent_at := Now};
waits(Now, U) -> U#{sent_at := Now}.

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

%%% What the peer has

%% By a session, or by an update.
-spec acknowledge(muster_crdt_channel:acknowledgement(), updates()) -> updates().
acknowledge({acknowledge, _, Sequence} = Acknowledgement, U) ->
    #{outbox := Outbox, sent := Sent, acknowledged := Before} = U,
    case muster_crdt_channel:acknowledge(Acknowledgement, Outbox) of
        Outbox ->
            U#{confirmed := is_of(Acknowledgement, Outbox) orelse maps:get(confirmed, U)};
        #{base := {Sequence, _}} = Based ->
            {_, Version} = lists:keyfind(Sequence, 1, Sent),
            Later = [Entry || {S, _} = Entry <- Sent, S > Sequence],
            Known = U#{outbox := Based, based := true, confirmed := true, sent := Later},
            Known#{acknowledged := max(Version, Before), waiting := none}
    end.

is_of({acknowledge, Incarnation, Sequence}, #{incarnation := Incarnation, base := {Base, _}}) -> Sequence =:= Base;
is_of(_, _) -> false.

%% An update that was acknowledged is news for the others.
-spec acknowledge(muster_crdt_channel:acknowledgement(), ms(), updates()) -> updates().
acknowledge(Acknowledgement, Now, #{sent := Sent, acknowledged := Before} = U) ->
    #{outbox := #{base := {Base, _}}} = Acknowledged = acknowledge(Acknowledgement, U),
    case lists:keyfind(Base, 1, Sent) of
        {_, Version} when Version > Before ->
            Acknowledged#{to_share := {Base, Version, unshared_since(Now, Acknowledged), false}};
        _ ->
            Acknowledged
    end.

unshared_since(_, #{to_share := {_, _, Since, false}}) -> Since;
unshared_since(Now, _) -> Now.

-spec acknowledged(updates()) -> integer().
acknowledged(#{acknowledged := Acknowledged}) ->
    Acknowledged.

-spec is_based(updates()) -> boolean().
is_based(#{based := Based}) ->
    Based.

%% Whether it was these updates that had this incarnation.
-spec is_from(Incarnation :: term(), updates()) -> boolean().
is_from(Incarnation, #{outbox := #{incarnation := Ours}}) ->
    Incarnation =:= Ours.

%%% What the peer is told of the others

-spec is_to_share(updates()) -> boolean().
is_to_share(#{to_share := ToShare}) ->
    ToShare =/= none.

%% Tells the peer who of the others has what it has acknowledged: once all have, and before that once, after one
%% and a half intervals. For so long it waits, too, where another update is under way, to tell of that with it.
-spec share([{Id :: term(), Acknowledged :: integer()}], ms(), Sync :: pos_integer(), updates()) ->
    {[body()], updates()}.
share(_Others, _Now, _Sync, #{to_share := none} = U) ->
    {[], U};
share([], _Now, _Sync, U) ->
    {[], U#{to_share := none}};
share(Others, Now, Sync, #{to_share := {Sequence, Version, Since, IsNamed}} = U) ->
    #{waiting := Waiting, outbox := #{incarnation := Incarnation}} = U,
    Have = [Id || {Id, Acknowledged} <- Others, Acknowledged >= Version],
    Body = {shared, Incarnation, Sequence, Have},
    IsOld = 2 * (Now - Since) >= 3 * Sync,
    if
        length(Have) =:= length(Others), IsOld orelse Waiting =:= none -> {[Body], U#{to_share := none}};
        IsOld, not IsNamed -> {[Body], U#{to_share := {Sequence, Version, Since, true}}};
        true -> {[], U}
    end.

%%% From the peer

-spec deliver(muster_crdt_channel:update(), state(), muster_crdt_recent:recent(), updates()) ->
    {ok, muster_crdt_channel:acknowledgement(), Joined :: state(), muster_crdt_recent:recent(), updates()} | resync.
deliver(Update, State, Recent, #{inbox := Inbox} = U) ->
    case muster_crdt_channel:deliver(Update, State, Inbox, Recent) of
        {ok, Acknowledgement, Joined, NewInbox, NewRecent} ->
            {ok, Acknowledgement, Joined, NewRecent, heard(Update, U#{inbox := NewInbox}, Inbox)};
        resync ->
            resync
    end.

%% What it says is not said back to it: not of the first update in a life of the peer's, which may have
%% lost since what it had acknowledged in the last one.
heard({update, Incarnation, _, _, Delta}, #{outbox := Outbox} = U, Before) when is_map_key(Incarnation, Before) ->
    U#{outbox := muster_crdt_channel:heard(Delta, Outbox)};
heard(_, U, _) ->
    U.

%% What the peer has marked has come here by a session, or by others.
-spec received(mark(), updates()) -> {muster_crdt_channel:acknowledgement(), updates()}.
received(Mark, #{inbox := Inbox} = U) ->
    {Acknowledgement, NewInbox} = muster_crdt_channel:received(Mark, Inbox),
    {Acknowledgement, U#{inbox := NewInbox}}.

%% Whether what the peer has sent up to that mark is here.
-spec has(mark(), updates()) -> boolean().
has({Incarnation, Sequence}, #{inbox := Inbox}) ->
    case Inbox of
        #{Incarnation := Last} -> Sequence =< Last;
        #{} -> false
    end.
