%% @doc Sending deltas to a peer so that none is ever applied without what it builds on.
%%
%% Per peer, the sender keeps the last value the peer acknowledged; a delta is always made against
%% that, and names it. The receiver takes a delta only on top of the base it has.
%%
%% Pure: functions take and return what is remembered and sent. Messages may be lost, doubled and
%% reordered; a sender or receiver that restarts begins anew, with a new incarnation.
-module(muster_crdt_channel).

-export([outbox/2, send/2, sent/2, heard/2, acknowledge/2, inbox/0, deliver/3, deliver/4, received/2]).
-export_type([outbox/0, inbox/0, update/0, acknowledgement/0, mark/0]).

-type value() :: muster_crdt:causal().
-type sequence() :: non_neg_integer().
-type outbox() :: #{
    incarnation := term(),
    sequence := sequence(),
    base := {sequence(), value()},
    unacknowledged := [{sequence(), value()}]
}.
-type inbox() :: #{Incarnation :: term() => sequence()}.
-type update() :: {update, Incarnation :: term(), sequence(), Base :: sequence(), muster_crdt_delta:delta()}.
-type acknowledgement() :: {acknowledge, Incarnation :: term(), sequence()}.
-type mark() :: {Incarnation :: term(), sequence()}.

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
            {{Incarnation, Sequence}, Sent} = sent(Value, Outbox),
            {{update, Incarnation, Sequence, BaseSequence, muster_crdt_delta:delta(Base, Value)}, Sent}
    end.

%% Not `=:=', which compares word by word, and at one go.
is_same(#{root := RootA, context := Context}, #{root := RootB, context := Context}) ->
    muster_trie:sum(RootA) =:= muster_trie:sum(RootB) andalso
        muster_trie:size(RootA) =:= muster_trie:size(RootB);
is_same(_, _) ->
    false.

%% @doc Notes that `Value' goes to the peer some other way, such as anti-entropy. With the mark,
%% the peer's {@link received/2} makes later updates build on it.
-spec sent(value(), outbox()) -> {mark(), outbox()}.
sent(Value, #{incarnation := Incarnation, sequence := Last, unacknowledged := Unacknowledged} = Outbox) ->
    case Unacknowledged of
        [{Last, Newest} | _] ->
            case is_same(Value, Newest) of
                true -> {{Incarnation, Last}, Outbox};
                false -> number(Value, Outbox)
            end;
        [] ->
            number(Value, Outbox)
    end.

number(Value, #{incarnation := Incarnation, sequence := Last, unacknowledged := Unacknowledged} = Outbox) ->
    Sequence = Last + 1,
    Kept = lists:sublist([{Sequence, Value} | Unacknowledged], ?UNACKNOWLEDGED),
    {{Incarnation, Sequence}, Outbox#{sequence := Sequence, unacknowledged := Kept}}.

%% @doc The peer itself has sent this delta, in the life in which it acknowledged the base: it need not be
%% told of that again.
-spec heard(muster_crdt_delta:delta(), outbox()) -> outbox().
heard(_Delta, #{base := {0, _}} = Outbox) ->
    Outbox;
heard(Delta, #{base := {Sequence, Base}, unacknowledged := Unacknowledged} = Outbox) ->
    Outbox#{
        base := {Sequence, with(Delta, Base)},
        unacknowledged := [{S, with(Delta, Value)} || {S, Value} <- Unacknowledged]
    }.

%% Only where that is cheap: if part of it is known there, the peer is told some of it again.
with(Delta, Value) ->
    case muster_crdt_delta:is_ahead(Value, Delta) of
        true ->
            {ok, Joined} = muster_crdt_delta:join(Value, Delta),
            Joined;
        false ->
            Value
    end.

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
-spec deliver(update(), value(), inbox()) -> {ok, acknowledgement(), value(), inbox()} | resync.
deliver(Update, Value, Inbox) ->
    case deliver(Update, Value, Inbox, muster_crdt_recent:none()) of
        {ok, Acknowledgement, Joined, Kept, _} -> {ok, Acknowledgement, Joined, Kept};
        resync -> resync
    end.

%% @doc The same, with a memory of the value's latest changes (see {@link muster_crdt_recent}).
-spec deliver(update(), value(), inbox(), muster_crdt_recent:recent()) ->
    {ok, acknowledgement(), value(), inbox(), muster_crdt_recent:recent()} | resync.
deliver({update, Incarnation, Sequence, Base, Delta}, Value, Inbox, Recent) when
    is_integer(Sequence), is_integer(Base), Base < Sequence
->
    Acknowledgement = {acknowledge, Incarnation, Sequence},
    case maps:get(Incarnation, Inbox, 0) of
        Last when Sequence =< Last -> {ok, Acknowledgement, Value, Inbox, Recent};
        Last when Base =< Last -> take(Delta, Acknowledgement, Value, Recent);
        _ -> resync
    end;
deliver(_, _, _, _) ->
    error(badarg).

%% A new incarnation ends the one before it.
take(Delta, {acknowledge, Incarnation, Sequence} = Acknowledgement, Value, Recent) ->
    case muster_crdt_delta:join(Value, Delta, Recent) of
        {ok, Joined, Kept} -> {ok, Acknowledgement, Joined, #{Incarnation => Sequence}, Kept};
        {error, gap} -> resync
    end.

%% @doc The value that the sender marked as sent has come here some other way, and is merged.
-spec received(mark(), inbox()) -> {acknowledgement(), inbox()}.
received({Incarnation, Sequence}, Inbox) ->
    Last = maps:get(Incarnation, Inbox, 0),
    {{acknowledge, Incarnation, Sequence}, #{Incarnation => max(Last, Sequence)}}.
