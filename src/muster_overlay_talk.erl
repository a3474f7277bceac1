%% @private
%% What is said to all the peers each interval, and what a message from one changes: here, in what is known of that
%% peer, and in what the others need not be told. Pure, but for chance: the server sends what is said, and tells what
%% has changed.
-module(muster_overlay_talk).

-export([list/4, heard/5, node_is/4, resume/3, tick/2, tick_peer/3, handle/4]).
-export_type([moment/0, said/0, outcome/0]).

-type id() :: muster_overlay_roster:id().
-type roster() :: muster_overlay_roster:roster().
-type replica() :: muster_overlay_replica:replica().
-type moment() :: #{
    self := id(),
    now := integer(),
    %% Intervals, in ms.
    sync := pos_integer(),
    anti_entropy := pos_integer(),
    is_up := fun((node()) -> boolean()),
    replica := replica(),
    %% From whom a stream comes in.
    loading := none | id(),
    %% Whether somebody waits for all to be in sync.
    awaited := boolean()
}.
-type said() :: [{id(), muster_overlay_peer:body()}].
%% What is to be said, the net changes here, and whether to ask the peer for a stream.
-type outcome() :: #{
    say := said(), changes := [muster_overlay_state:change()], replica := replica(), load := boolean()
}.

%% Peers that nobody has listed, and that are answered.
-define(STRANGERS, 1000).

%%% Who is there

-spec list([muster_overlay:peer()], muster_overlay_roster:listing(), moment(), roster()) -> roster().
list(Peers, Listing, #{self := {Name, _}} = Moment, Roster) ->
    List = fun(Peer, R) -> list_peer(muster_overlay_roster:identify(Peer, Name), Listing, Moment, R) end,
    lists:foldl(List, Roster, Peers).

list_peer({Self, _}, _Listing, #{self := Self}, Roster) ->
    Roster;
list_peer({Id, Addresses}, Listing, Moment, Roster) ->
    case muster_overlay_roster:is_known(Id, Roster) of
        true -> muster_overlay_roster:list(Id, Listing, Roster);
        false -> meet(Id, Addresses, Listing, Moment, Roster)
    end.

%% A message of so many bytes has come. `full': too many have spoken whom nobody has listed.
-spec heard(id(), From :: {atom(), node()}, Bytes :: non_neg_integer(), moment(), roster()) -> {ok, roster()} | full.
heard(Id, From, Bytes, #{now := Now} = Moment, Roster) ->
    case muster_overlay_roster:is_known(Id, Roster) of
        true ->
            {ok, muster_overlay_roster:heard(Id, From, Bytes, Now, Roster)};
        false ->
            case muster_overlay_roster:strangers(Roster) < ?STRANGERS of
                true -> heard(Id, From, Bytes, Moment, meet(Id, [From], no, Moment, Roster));
                false -> full
            end
    end.

meet({_, Node} = Id, Addresses, Listing, #{now := Now, anti_entropy := Interval, is_up := IsUp} = Moment, Roster) ->
    %% Spread, so that not all of a node's peers take their turn at once.
    Spread = Interval - Interval div 10 + rand:uniform(Interval div 5 + 1),
    Protocol = muster_overlay_peer:new(Now, Now + patience(Id, Moment), Spread),
    muster_overlay_roster:add(Id, Addresses, {Listing, IsUp(Node), Now}, Protocol, Roster).

%% One of two starts. Who has nothing does not wait.
patience(Id, #{self := Self, sync := Sync, replica := Replica}) ->
    case Self < Id orelse muster_overlay_state:size(muster_overlay_replica:state(Replica)) =:= 0 of
        true -> 0;
        false -> 2 * Sync + 500
    end.

%% A node came or went.
-spec node_is(Up :: boolean(), node(), moment(), roster()) -> roster().
node_is(Up, Node, #{now := Now} = Moment, Roster) ->
    Resume = fun(Id, Protocol) -> muster_overlay_peer:reconnected(Now + patience(Id, Moment), Protocol) end,
    muster_overlay_roster:node_is(Up, Node, {Now, Resume}, Roster).

%% A stream from that peer is over, or has failed. What is still different, a session finds.
-spec resume(id(), moment(), roster()) -> roster().
resume(Id, #{now := Now}, Roster) ->
    with_protocol(Id, muster_overlay_peer:resume(Now, muster_overlay_roster:protocol(Id, Roster)), Roster).

%%% Each interval

-spec tick(moment(), roster()) -> {said(), roster()}.
tick(Moment, Roster) ->
    Tick = fun(Id, R) -> tick_peer(Id, Moment, R) end,
    {Said, Ticked} = lists:mapfoldl(Tick, Roster, muster_overlay_roster:ids(Roster)),
    {Shared, Told} = share(Moment, Ticked),
    {lists:append(Said) ++ Shared, Told}.

%% While a stream comes in, nothing is said: what it brings would be said back.
-spec tick_peer(id(), moment(), roster()) -> {said(), roster()}.
tick_peer(Id, #{now := Now, loading := Loading} = Moment, Roster) ->
    case muster_overlay_roster:standing(Id, Now, Roster) of
        active when Loading =:= none -> speak(Id, Moment, Roster);
        {forgotten, keep} -> {[], without_base(Id, Roster)};
        {forgotten, remove} when Loading =/= Id -> {[], muster_overlay_roster:remove(Id, Roster)};
        _ -> {[], Roster}
    end.

speak(Id, #{now := Now, sync := Sync, replica := Replica} = Moment, Roster) ->
    {State, Version} = {muster_overlay_replica:state(Replica), muster_overlay_replica:version(Replica)},
    Protocol = muster_overlay_roster:protocol(Id, Roster),
    Acknowledged = muster_overlay_peer:acknowledged(Protocol),
    Hearsay = muster_overlay_roster:hearsay(Roster),
    Reach = muster_overlay_hearsay:reach(Id, Acknowledged, Version, {Now, hold(Moment)}, Hearsay),
    {Bodies, Ticked} = muster_overlay_peer:tick({State, Version, Reach}, Now, Sync, Protocol),
    {[{Id, Body} || Body <- Bodies], with_protocol(Id, Ticked, Roster)}.

%% One interval for the sender's word who else has it, and one to spare. Who waits for all to be in sync does not
%% wait for that.
hold(#{awaited := true}) -> 0;
hold(#{sync := Sync}) -> 3 * Sync.

without_base(Id, Roster) ->
    Protocol = muster_overlay_roster:protocol(Id, Roster),
    case muster_overlay_peer:is_based(Protocol) of
        true -> with_protocol(Id, muster_overlay_peer:forget_base(Protocol), Roster);
        false -> Roster
    end.

%% Tells the peers who else has what they have from here.
share(#{now := Now, sync := Sync}, Roster) ->
    Partners = muster_overlay_roster:partners(Roster),
    Share = fun({Id, Protocol}, R) ->
        {Bodies, Shared} = muster_overlay_peer:share(lists:keydelete(Id, 1, Partners), Now, Sync, Protocol),
        {[{Id, Body} || Body <- Bodies], with_protocol(Id, Shared, R)}
    end,
    {Said, Told} = lists:mapfoldl(
        Share, Roster, [Partner || {_, Protocol} = Partner <- Partners, muster_overlay_peer:is_to_share(Protocol)]
    ),
    {lists:append(Said), Told}.

with_protocol(Id, Protocol, Roster) ->
    muster_overlay_roster:set_protocol(Id, Protocol, Roster).

%%% A message from a peer

%% Raises where it is malformed.
-spec handle(muster_overlay_peer:body(), id(), moment(), roster()) -> {outcome(), roster()}.
handle({shared, Incarnation, Sequence, Others}, Id, #{replica := Replica}, Roster) ->
    Known = [Other || Other <- Others, muster_overlay_roster:is_known(Other, Roster)],
    Mark = {Incarnation, Sequence},
    Nothing = #{say => [], changes => [], replica => Replica, load => false},
    case muster_overlay_peer:has_sent(Mark, muster_overlay_roster:protocol(Id, Roster)) of
        true ->
            Hearsay = muster_overlay_hearsay:shared(Id, Mark, Known, muster_overlay_roster:hearsay(Roster)),
            {Nothing, muster_overlay_roster:set_hearsay(Hearsay, Roster)};
        false ->
            {Nothing, Roster}
    end;
handle(Body, Id, #{now := Now, replica := Replica, loading := Loading}, Roster) ->
    Recent = muster_overlay_replica:recent(Replica),
    Busy = Loading =/= none orelse is_busy(Body, Id, Now, Roster),
    Here = {muster_overlay_replica:state(Replica), muster_overlay_replica:version(Replica), Recent, Busy},
    {#{send := Bodies, state := New, keys := Keys} = Outcome, Protocol} =
        muster_overlay_peer:handle(Body, Here, Now, muster_overlay_roster:protocol(Id, Roster)),
    Remembering = muster_overlay_replica:remember(maps:get(recent, Outcome, Recent), Replica),
    {Changes, Adopted} = adopt(Keys, New, Remembering),
    Load = maps:get(load, Outcome, false) andalso Loading =:= none,
    {
        #{say => [{Id, Said} || Said <- Bodies], changes => Changes, replica => Adopted, load => Load},
        with_protocol(Id, Protocol, overheard(Body, Id, Now, {Replica, Adopted}, Roster))
    }.

adopt(none, _New, Replica) -> {[], Replica};
adopt(Keys, New, Replica) -> muster_overlay_replica:adopt(Keys, New, Replica).

%% What the peer's update has changed is hearsay for the others.
overheard({update, {update, Incarnation, Sequence, _, _}}, Id, Now, {Before, After}, Roster) ->
    Version = muster_overlay_replica:version(After),
    case Version > muster_overlay_replica:version(Before) of
        true ->
            Hearsay = muster_overlay_roster:hearsay(Roster),
            Heard = muster_overlay_hearsay:heard(Version, {Id, {Incarnation, Sequence}}, Now, Hearsay),
            muster_overlay_roster:set_hearsay(Heard, Roster);
        false ->
            Roster
    end;
overheard(_, _, _, _, Roster) ->
    Roster.

%% Two sessions at a time would bring the same twice.
is_busy({sync, {begin_sync, _, _}, _}, Id, Now, Roster) ->
    muster_overlay_roster:any_other(Id, fun(Peer) -> muster_overlay_peer:is_talking(Now, Peer) end, Roster);
is_busy({reply, {differ, _, _, _}, _, _}, Id, Now, Roster) ->
    muster_overlay_roster:any_other(Id, fun(Peer) -> muster_overlay_peer:is_asking(Now, Peer) end, Roster);
is_busy({has, _, _, _}, Id, Now, Roster) ->
    muster_overlay_roster:any_other(Id, fun(Peer) -> muster_overlay_peer:is_talking(Now, Peer) end, Roster);
is_busy(_, _, _, _) ->
    false.
