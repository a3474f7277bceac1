%% @private
%% Which changes of the state here came by which peer's updates, and who else is said to have them: what need
%% not be passed on. Pure.
%%
%% In a full mesh everybody hears a change from where it was made. Were all to pass it on until they know that
%% the others have it, one change would cost n² messages. So who sent an update tells, a sync interval after it
%% was acknowledged, who else has acknowledged as much (`shared'). What was heard is passed on only to those
%% that are not among them, or where no word comes: its sender may be gone.
-module(muster_overlay_hearsay).

-export([new/0, heard/4, shared/4, forget/2, reach/5]).
-export_type([hearsay/0, reach/0]).

-type id() :: term().
-type version() :: integer().
-type mark() :: muster_crdt_channel:mark().
-opaque hearsay() :: #{
    %% The latest changes that were heard, the last one first.
    heard := [{version(), id(), mark(), At :: integer()}],
    %% Up to which update a peer has told who else has them, and of whom.
    shared := #{id() => {Incarnation :: term(), Told :: integer(), #{id() => Sequence :: integer()}}}
}.
%% Up to which version a peer is known to have all, and whether what is missing is to be said now.
-type reach() :: {version(), due | held}.

%% What is forgotten is passed on as if it had been made here.
-define(HEARD, 128).

-spec new() -> hearsay().
new() ->
    #{heard => [], shared => #{}}.

%% The state's latest version came about by an update of that mark from a peer.
-spec heard(version(), {id(), mark()}, Now :: integer(), hearsay()) -> hearsay().
heard(Version, {From, Mark}, Now, #{heard := Heard} = Hearsay) ->
    Hearsay#{heard := lists:sublist([{Version, From, Mark, Now} | Heard], ?HEARD)}.

%% A peer says that those others have what it has sent up to that mark.
-spec shared(id(), mark(), [id()], hearsay()) -> hearsay().
shared(From, {Incarnation, Sequence}, Others, #{shared := Shared} = Hearsay) ->
    {Told, Known} =
        case Shared of
            #{From := {Incarnation, T, K}} -> {T, K};
            #{} -> {0, #{}}
        end,
    Now = maps:from_list([{Id, max(Sequence, maps:get(Id, Known, 0))} || Id <- Others]),
    Hearsay#{shared := Shared#{From => {Incarnation, max(Told, Sequence), maps:merge(Known, Now)}}}.

-spec forget(id(), hearsay()) -> hearsay().
forget(Id, #{shared := Shared} = Hearsay) ->
    Left = maps:map(fun(_, {I, Told, Known}) -> {I, Told, maps:remove(Id, Known)} end, maps:remove(Id, Shared)),
    Hearsay#{shared := Left}.

%% What a peer that has acknowledged one version is known to have. What was heard, and of which nobody has
%% told yet who has it, is held for so long.
-spec reach(id(), Acknowledged :: version(), Version :: version(), {Now, HoldMs}, hearsay()) -> reach() when
    Now :: integer(), HoldMs :: integer().
reach(_Id, Version, Version, _, _) ->
    {Version, held};
reach(Id, Acknowledged, Version, {Now, Hold}, #{heard := Heard, shared := Shared}) ->
    Unknown = lists:reverse(lists:takewhile(fun({V, _, _, _}) -> V > Acknowledged end, Heard)),
    {Known, Left} = advance(Id, Acknowledged, Unknown, Shared),
    IsHeld = fun({_, From, Mark, At}) -> Now - At < Hold andalso not is_told(From, Mark, Shared) end,
    %% Changes made here are in no such list.
    case length(Left) =:= Version - Known andalso lists:all(IsHeld, Left) of
        true -> {Known, held};
        false -> {Known, due}
    end.

advance(Id, Known, [{Version, From, Mark, _} | Later] = Left, Shared) when Version =:= Known + 1 ->
    case From =:= Id orelse has(Id, From, Mark, Shared) of
        true -> advance(Id, Version, Later, Shared);
        false -> {Known, Left}
    end;
advance(_Id, Known, Left, _Shared) ->
    {Known, Left}.

has(Id, From, {Incarnation, Sequence}, Shared) ->
    case Shared of
        #{From := {Incarnation, _, #{Id := UpTo}}} -> Sequence =< UpTo;
        #{} -> false
    end.

is_told(From, {Incarnation, Sequence}, Shared) ->
    case Shared of
        #{From := {Incarnation, Told, _}} -> Sequence =< Told;
        #{} -> false
    end.
