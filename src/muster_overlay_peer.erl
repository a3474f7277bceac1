%% @private
%% One peer, as an overlay sees it: the sessions with it, the updates between the two, and what a message of the one
%% kind means for the other. Pure: time comes in, messages go out.
%%
%% A peer of which it is not known what it has is asked by a session of digests; from then on it gets
%% deltas on top of what it last acknowledged. What is too much for one message is offered, and
%% streamed if the peer wants it (see muster_overlay_streams): the peer chooses from whom, so that it
%% is not told everything by everybody. docs/overlay.md lists the messages.
-module(muster_overlay_peer).

-export([new/3, resume/2, reconnected/2, forget_base/1]).
-export([tick/4, is_to_share/1, share/4, handle/4, acknowledged/1, has_sent/2]).
-export([is_talking/2, is_asking/2, is_acknowledged/2, is_based/1]).
-export_type([peer/0, body/0, outcome/0]).

-type state() :: muster_overlay_state:state().
-type ms() :: integer().
-type mark() :: muster_crdt_channel:mark() | none.
-type body() ::
    {update, muster_crdt_channel:update()}
    | {acknowledge, muster_crdt_channel:acknowledgement()}
    | {has, Base :: pos_integer(), muster_crdt_channel:mark(), muster_crdt_sync:digest()}
    | {shared, Incarnation :: term(), UpTo :: pos_integer(), [Id :: term()]}
    | {resync, Incarnation :: term()}
    | {sync, muster_crdt_sync:message(), mark()}
    | {reply, muster_crdt_sync:reply(), mark(), [muster_crdt_channel:acknowledgement()]}
    | {offer, Context :: muster_causal:context()}
    | {busy, Id :: term()}.
-record(peer, {
    updates = muster_overlay_updates:new() :: muster_overlay_updates:updates(),
    sessions :: muster_overlay_sessions:sessions()
}).
-opaque peer() :: #peer{}.
%% `Busy' says that a stream or another session brings what this peer would, so that this is no time for a session
%% with it.
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

%% Where more dots than this are missing, finding them by hashes takes more bytes than what is streamed besides them.
-define(FEW, 20).

%% The first session is due at once on one side, and a little later on the other.
-spec new(ms(), FirstSession :: ms(), Interval :: pos_integer()) -> peer().
new(Now, FirstSession, Interval) ->
    #peer{sessions = muster_overlay_sessions:new(Now, FirstSession, Interval)}.

%% The peer is there, or there again: no use in waiting.
-spec resume(ms(), peer()) -> peer().
resume(Now, #peer{updates = U, sessions = S}) ->
    #peer{updates = muster_overlay_updates:resume(U), sessions = muster_overlay_sessions:resume(Now, S)}.

%% The peer is connected again. If it is known what it has, updates do, once it says that it has not lost
%% that.
-spec reconnected(ms(), peer()) -> peer().
reconnected(Now, #peer{updates = U, sessions = S} = Peer) ->
    case muster_overlay_updates:is_based(U) of
        true ->
            Resumed = muster_overlay_updates:doubt(muster_overlay_updates:resume(U)),
            Peer#peer{updates = Resumed, sessions = muster_overlay_sessions:put_off(Now, S)};
        false ->
            resume(Now, Peer)
    end.

%% A peer that is away for long: its base is not kept for it any more.
-spec forget_base(peer()) -> peer().
forget_base(#peer{updates = U, sessions = S}) ->
    #peer{updates = muster_overlay_updates:forget(U), sessions = muster_overlay_sessions:give_up(S)}.

%% Whether a session with the peer has found a difference and is under way.
-spec is_talking(ms(), peer()) -> boolean().
is_talking(Now, #peer{sessions = S}) ->
    muster_overlay_sessions:is_talking(Now, S).

%% The same, of a session that was started here.
-spec is_asking(ms(), peer()) -> boolean().
is_asking(Now, #peer{sessions = S}) ->
    muster_overlay_sessions:is_asking(Now, S).

-spec is_acknowledged(Version :: non_neg_integer(), peer()) -> boolean().
is_acknowledged(Version, Peer) ->
    acknowledged(Peer) >= Version.

-spec acknowledged(peer()) -> integer().
acknowledged(#peer{updates = U}) ->
    muster_overlay_updates:acknowledged(U).

%% Whether the peer has sent updates up to that mark in this life, and they are here.
-spec has_sent(muster_crdt_channel:mark(), peer()) -> boolean().
has_sent({_, Sequence} = Mark, #peer{updates = U}) ->
    is_integer(Sequence) andalso muster_overlay_updates:has(Mark, U).

-spec is_based(peer()) -> boolean().
is_based(#peer{updates = U}) ->
    muster_overlay_updates:is_based(U).

%%% Each sync interval

-spec tick({state(), Version :: non_neg_integer(), muster_overlay_hearsay:reach()}, ms(), Sync, peer()) ->
    {[body()], peer()}
when
    Sync :: pos_integer().
tick({State, Version, Reach}, Now, Sync, Peer) ->
    {FromSession, #peer{updates = U} = Peer1} = tick_session({State, Version}, Now, Sync, Peer),
    {FromUpdates, Ticked} = muster_overlay_updates:tick({State, Version}, Reach, Now, Sync, U),
    {FromSession ++ FromUpdates, Peer1#peer{updates = Ticked}}.

tick_session({State, Version}, Now, Sync, #peer{updates = U, sessions = S} = Peer) ->
    case muster_overlay_sessions:tick(Now, Sync, muster_overlay_updates:is_based(U), S) of
        {nothing, Ticked} ->
            {[], Peer#peer{sessions = Ticked}};
        {{again, Message, Mark}, Ticked} ->
            {[{sync, Message, Mark}], Peer#peer{sessions = Ticked}};
        {due, Ticked} ->
            {Mark, Marked} = muster_overlay_updates:mark(State, Version, U),
            {Message, Started} = muster_overlay_sessions:start(State, Mark, Now, Ticked),
            {[{sync, Message, Mark}], #peer{updates = Marked, sessions = Started}}
    end.

-spec is_to_share(peer()) -> boolean().
is_to_share(#peer{updates = U}) ->
    muster_overlay_updates:is_to_share(U).

%% Tells the peer who of the others has what it has acknowledged.
-spec share([{Id :: term(), peer()}], ms(), Sync :: pos_integer(), peer()) -> {[body()], peer()}.
share(Others, Now, Sync, #peer{updates = U} = Peer) ->
    Acknowledged = [{Id, acknowledged(Other)} || {Id, Other} <- Others],
    {Bodies, Shared} = muster_overlay_updates:share(Acknowledged, Now, Sync, U),
    {Bodies, Peer#peer{updates = Shared}}.

%%% A message from the peer

-spec handle(body(), here(), ms(), peer()) -> {outcome(), peer()}.
handle({update, {update, Incarnation, _, _, _} = Update}, {State, _, Recent, _}, _Now, Peer) ->
    #peer{updates = U, sessions = S} = Peer,
    case muster_overlay_updates:deliver(Update, State, Recent, U) of
        {ok, Acknowledgement, Joined, NewRecent, Delivered} ->
            Outcome = #{send => [{acknowledge, Acknowledgement}], state => Joined, keys => all, recent => NewRecent},
            {Outcome, #peer{updates = Delivered, sessions = muster_overlay_sessions:set_answering(none, S)}};
        resync ->
            {nothing([{resync, Incarnation}], State), Peer}
    end;
handle({has, Base, {_, Sequence} = Mark, Digest}, {State, _, _, Busy}, Now, Peer) when
    is_integer(Base), is_integer(Sequence), Base =< Sequence
->
    case muster_crdt_sync:digest(State) of
        Digest -> has_all(Mark, State, Peer);
        _ when Busy -> {nothing([], State), Peer};
        _ -> has(Base, Mark, State, Now, Peer)
    end;
handle({acknowledge, Acknowledgement}, {State, _, _, _}, Now, #peer{updates = U} = Peer) ->
    {nothing([], State), Peer#peer{updates = muster_overlay_updates:acknowledge(Acknowledgement, Now, U)}};
handle({resync, Incarnation}, {State, _, _, _}, Now, #peer{updates = U} = Peer) ->
    case muster_overlay_updates:is_from(Incarnation, U) of
        true -> {nothing([], State), session_is_due(Now, forget_base(Peer))};
        false -> {nothing([], State), Peer}
    end;
handle({offer, Theirs}, {#{context := Ours} = State, _, _, Loading}, Now, Peer) ->
    case not Loading andalso muster_overlay_state:missing(Ours, Theirs) > 0 of
        true -> load(State, Peer);
        %% Nothing new: what there is are removals, which a session finds.
        false -> {nothing([], State), session_is_due(Now, Peer)}
    end;
handle({busy, Id}, {State, _, _, _}, Now, Peer) ->
    case is_asked(Id, Peer) of
        true -> {nothing([], State), session_failed(Now, Peer)};
        false -> {nothing([], State), Peer}
    end;
handle({sync, Message, _}, {State, _, _, true}, _Now, Peer) ->
    {nothing([{busy, element(2, Message)}], State), Peer};
handle({sync, Message, Mark}, {State, Version, _, false}, Now, Peer) ->
    answer(Message, Mark, State, Version, Now, Peer);
handle({reply, Reply, Mark, Acknowledgements}, {State, _, _, Busy}, Now, #peer{updates = U, sessions = S} = Peer) ->
    Id = element(2, Reply),
    Acknowledged = Peer#peer{updates = lists:foldl(fun muster_overlay_updates:acknowledge/2, U, Acknowledgements)},
    case is_asked(Id, Peer) andalso {muster_overlay_sessions:is_astray(Mark, Id, S), element(1, Reply)} of
        false -> {nothing([], State), Peer};
        {true, _} -> {nothing([], State), session_failed(Now, Peer)};
        {false, differ} when Busy -> {nothing([], State), session_failed(Now, Peer)};
        {false, differ} -> differ(Reply, Mark, State, Now, Acknowledged);
        {false, _} -> proceed(Reply, Mark, State, Now, Acknowledged)
    end.

%% What the peer would say came from another already.
has_all(Mark, State, Peer) ->
    {Acknowledgement, Received} = received(Mark, Peer),
    {nothing([{acknowledge, Acknowledgement}], State), Received}.

%% Its update is on the way then: others need not say the same meanwhile.
has(Base, {Incarnation, _}, State, Now, #peer{updates = U, sessions = S} = Peer) ->
    case muster_overlay_updates:has({Incarnation, Base}, U) of
        true ->
            Answering = Peer#peer{sessions = muster_overlay_sessions:set_answering(Now, S)},
            {nothing([{acknowledge, {acknowledge, Incarnation, Base}}], State), Answering};
        false ->
            {nothing([{resync, Incarnation}], State), Peer}
    end.

received(Mark, #peer{updates = U} = Peer) ->
    {Acknowledgement, Received} = muster_overlay_updates:received(Mark, U),
    {Acknowledgement, Peer#peer{updates = Received}}.

nothing(Bodies, State) ->
    #{send => Bodies, state => State, keys => none}.

with(none, Bodies, State) ->
    nothing(Bodies, State);
with(Theirs, Bodies, State) ->
    #{send => Bodies, state => muster_lww_map:merge(State, Theirs), keys => all}.

load(State, #peer{sessions = S} = Peer) ->
    {(nothing([], State))#{load => true}, Peer#peer{sessions = muster_overlay_sessions:drop(S)}}.

session_is_due(When, #peer{sessions = S} = Peer) ->
    Peer#peer{sessions = muster_overlay_sessions:set_due(When, S)}.

session_failed(Now, #peer{sessions = S} = Peer) ->
    Peer#peer{sessions = muster_overlay_sessions:failed(Now, S)}.

is_asked(Id, #peer{sessions = S}) ->
    muster_overlay_sessions:is_asked(Id, S).

%%% Sessions

%% One that the peer has started.
answer(Message, Mark, State, Version, Now, #peer{updates = U, sessions = S} = Peer) ->
    case muster_overlay_sessions:is_known(Message, S) of
        true ->
            answer(Message, Mark, State, Now, Peer);
        false when element(1, Message) =:= begin_sync ->
            {OwnMark, Marked} = muster_overlay_updates:mark(State, Version, U),
            Accepted = muster_overlay_sessions:accept(Message, State, OwnMark, S),
            answer(Message, Mark, State, Now, #peer{updates = Marked, sessions = Accepted});
        false ->
            {nothing([{reply, {unknown, element(2, Message)}, none, []}], State), Peer}
    end.

answer(Message, Mark, State, Now, #peer{sessions = S} = Peer) ->
    {Reply, OwnMark, Theirs, IsAll, Answered} = muster_overlay_sessions:answer(Message, Now, S),
    {Acknowledgements, Received} =
        case IsAll of
            true ->
                {Acknowledgement, P} = received(Mark, Peer),
                {[Acknowledgement], P};
            false ->
                {[], Peer}
        end,
    Outcome = with(Theirs, [{reply, Reply, OwnMark, Acknowledgements}], State),
    {Outcome, Received#peer{sessions = Answered}}.

%% One that was started here. Where much is missing on either side, a stream comes first.
differ({differ, _, _, Theirs} = Reply, Mark, #{context := Ours} = State, Now, Peer) ->
    case {muster_overlay_state:missing(Ours, Theirs), muster_overlay_state:missing(Theirs, Ours)} of
        {Here, _} when Here > ?FEW -> load(State, Peer);
        {_, There} when There > ?FEW -> {nothing([{offer, Ours}], State), session_failed(Now, Peer)};
        _ -> proceed(Reply, Mark, State, Now, Peer)
    end.

proceed(Reply, TheirMark, State, Now, #peer{sessions = S} = Peer) ->
    case muster_overlay_sessions:proceed(Reply, TheirMark, Now, S) of
        {{send, Theirs, Message, Mark}, Proceeded} ->
            {with(Theirs, [{sync, Message, Mark}], State), Peer#peer{sessions = Proceeded}};
        %% Only now the peer's state has come as a whole.
        {done, Ended} ->
            {Acknowledgement, Received} = received(TheirMark, Peer),
            {nothing([{acknowledge, Acknowledgement}], State), Received#peer{sessions = Ended}};
        {nothing, Left} ->
            {nothing([], State), Peer#peer{sessions = Left}}
    end.
