%% @private
%% What an overlay has here: the state, how often it has changed, how many there are of each kind, and which changes
%% are the latest. Whatever changes it gives the net changes of what is read. Pure.
-module(muster_overlay_replica).

-export([new/1, put/4, remove/2, adopt/3, remember/1, remember/2]).
-export([state/1, version/1, counts/1, recent/1, latest/2]).
-export_type([replica/0]).

-type state() :: muster_overlay_state:state().
-type change() :: muster_overlay_state:change().

-record(replica, {
    state :: state(),
    %% Counts the changes of the state.
    version = 0 :: non_neg_integer(),
    counts :: muster_overlay_state:counts(),
    recent :: muster_crdt_recent:recent()
}).
-opaque replica() :: #replica{}.

-spec new(state()) -> replica().
new(State) ->
    Counts = muster_overlay_state:counts(State),
    #replica{state = State, counts = Counts, recent = muster_crdt_recent:new(State)}.

-spec put(muster_overlay_state:key(), Data :: term(), node(), replica()) -> {[change()], replica()}.
put(Key, Data, Self, #replica{state = State} = R) ->
    {Change, New} = muster_overlay_state:put(Key, Data, Self, State),
    changed([Change], New, R).

-spec remove(muster_overlay_state:key(), replica()) -> {[change()], replica()}.
remove(Key, #replica{state = State} = R) ->
    case muster_overlay_state:remove(Key, State) of
        unchanged -> {[], R};
        {Change, New} -> changed([Change], New, R)
    end.

%% Takes over what came of the state elsewhere, where it differs at no other keys than these. Raises if that is not
%% what an overlay holds.
-spec adopt([muster_overlay_state:key()] | all, New :: state(), replica()) -> {[change()], replica()}.
adopt(Keys, New, #replica{state = Old} = R) ->
    case muster_overlay_state:is_same(Old, New) of
        true ->
            {[], R};
        false ->
            Touched = muster_overlay_state:touched(Keys, Old, New),
            Changes = muster_overlay_state:changes(Touched, Old, New),
            ok = muster_overlay_state:check(Touched, New),
            changed(Changes, New, R)
    end.

changed(Changes, New, #replica{version = Version, counts = Counts} = R) ->
    Counted = muster_overlay_state:apply_to_counts(Changes, Counts),
    {Changes, R#replica{state = New, version = Version + 1, counts = Counted}}.

%% What was changed here is known to the memory of the latest changes only once it has looked.
-spec remember(replica()) -> replica().
remember(#replica{state = State, recent = Recent} = R) ->
    R#replica{recent = muster_crdt_recent:observe(State, Recent)}.

%% The same, where it has looked already.
-spec remember(muster_crdt_recent:recent(), replica()) -> replica().
remember(Recent, R) ->
    R#replica{recent = Recent}.

-spec state(replica()) -> state().
state(#replica{state = State}) -> State.

-spec version(replica()) -> non_neg_integer().
version(#replica{version = Version}) -> Version.

-spec counts(replica()) -> muster_overlay_state:counts().
counts(#replica{counts = Counts}) -> Counts.

-spec recent(replica()) -> muster_crdt_recent:recent().
recent(#replica{recent = Recent}) -> Recent.

%% What who has seen this lacks, if it is not much and still remembered.
-spec latest(muster_causal:counters(), replica()) -> muster_overlay_state:latest().
latest(Seen, #replica{state = State, recent = Recent}) ->
    muster_overlay_state:latest(Seen, State, Recent).
