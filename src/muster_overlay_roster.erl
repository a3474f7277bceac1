%% @private
%% The peers that an overlay knows: who they are, where they are found, whether they are there, what
%% went to and fro. Pure; what is said to each is muster_overlay_peer's.
-module(muster_overlay_roster).

-export([canonical/1, aliases/1, identify/2, shown/2]).
-export([new/0, add/5, list/3, unlist/2, remove/2, is_known/2, strangers/1, ids/1, listed/2]).
-export([protocol/2, any_other/3, partners/1, set_protocol/3, addresses/2, standing/3, node_is/4]).
-export([heard/5, sent/4, refused/2]).
-export([behind/3, status/4]).
-export_type([roster/0, id/0, listing/0]).

%% The canonical name, and the node.
-type id() :: {atom(), node()}.
%% By the options or `set_peers', by the node monitor, or only heard of: such a one is answered.
-type listing() :: given | monitored | no.

-record(peer, {
    protocol :: muster_overlay_peer:peer(),
    %% Where its messages are sent: once it has spoken, just one address.
    addresses :: [{atom(), node()}],
    listed :: listing(),
    up :: boolean(),
    since :: integer(),
    heard = never :: integer() | never,
    sent_messages = 0 :: non_neg_integer(),
    sent_bytes = 0 :: non_neg_integer(),
    lost_messages = 0 :: non_neg_integer(),
    received_messages = 0 :: non_neg_integer(),
    received_bytes = 0 :: non_neg_integer(),
    refused_messages = 0 :: non_neg_integer()
}).

-opaque roster() :: #{id() => #peer{}}.

%% So long the base of a peer that is away is kept.
-define(AWAY_MS, 300000).

%% Erlang's and Elixir's default names mean the same overlay.
-define(DEFAULT_NAMES, [muster_overlay, 'Elixir.Raxol.Swarm.TacticalOverlay']).

-spec new() -> roster().
new() ->
    #{}.

%% The other names under which the overlay of a name may run on a node.
-spec aliases(atom()) -> [atom()].
aliases(Name) ->
    case lists:member(Name, ?DEFAULT_NAMES) of
        true -> lists:delete(Name, ?DEFAULT_NAMES);
        false -> []
    end.

-spec canonical(atom()) -> atom().
canonical(Name) ->
    case lists:member(Name, ?DEFAULT_NAMES) of
        true -> muster_overlay;
        false -> Name
    end.

%% Who a peer is that a user names, and under which names an overlay like this one may be found there.
-spec identify(muster_overlay:peer(), Name :: atom()) -> {id(), Addresses :: [{atom(), node()}]}.
identify({Name, Node}, _) -> {{canonical(Name), Node}, [{Name, Node}]};
identify(Node, muster_overlay) -> {{muster_overlay, Node}, [{Name, Node} || Name <- ?DEFAULT_NAMES]};
identify(Node, Name) -> {{Name, Node}, [{Name, Node}]}.

%% How a user is told of it.
-spec shown(id(), Name :: atom()) -> muster_overlay:peer().
shown({Name, Node}, Name) -> Node;
shown(Id, _) -> Id.

-spec add(id(), [{atom(), node()}], {listing(), Up :: boolean(), Now :: integer()}, Protocol, roster()) -> roster() when
    Protocol :: muster_overlay_peer:peer().
add(Id, Addresses, {Listed, Up, Now}, Protocol, Roster) ->
    Roster#{Id => #peer{protocol = Protocol, addresses = Addresses, listed = Listed, up = Up, since = Now}}.

%% What the user has given stays so.
-spec list(id(), listing(), roster()) -> roster().
list(Id, Listing, Roster) ->
    case Roster of
        #{Id := #peer{listed = given}} -> Roster;
        #{Id := Peer} -> Roster#{Id := Peer#peer{listed = Listing}}
    end.

-spec unlist(listing(), roster()) -> roster().
unlist(Listing, Roster) ->
    Unlist = fun
        (_, #peer{listed = L} = Peer) when L =:= Listing -> Peer#peer{listed = no};
        (_, Peer) -> Peer
    end,
    maps:map(Unlist, Roster).

-spec remove(id(), roster()) -> roster().
remove(Id, Roster) ->
    maps:remove(Id, Roster).

-spec is_known(id(), roster()) -> boolean().
is_known(Id, Roster) ->
    is_map_key(Id, Roster).

%% How many are known only because they have spoken.
-spec strangers(roster()) -> non_neg_integer().
strangers(Roster) ->
    length([no || #peer{listed = no} <- maps:values(Roster)]).

-spec ids(roster()) -> [id()].
ids(Roster) ->
    maps:keys(Roster).

-spec listed(Name :: atom(), roster()) -> [muster_overlay:peer()].
listed(Name, Roster) ->
    lists:sort([shown(Id, Name) || {Id, #peer{listed = Listed}} <- maps:to_list(Roster), Listed =/= no]).

-spec protocol(id(), roster()) -> muster_overlay_peer:peer().
protocol(Id, Roster) ->
    #{Id := #peer{protocol = Protocol}} = Roster,
    Protocol.

-spec any_other(id(), fun((muster_overlay_peer:peer()) -> boolean()), roster()) -> boolean().
any_other(Id, Is, Roster) ->
    lists:any(fun({Other, #peer{protocol = Protocol}}) -> Other =/= Id andalso Is(Protocol) end, maps:to_list(Roster)).

%% Those that are talked to, and have answered since they are there.
-spec partners(roster()) -> [{id(), muster_overlay_peer:peer()}].
partners(Roster) ->
    [
        {Id, Protocol}
     || {Id, #peer{up = true, protocol = Protocol} = Peer} <- maps:to_list(Roster),
        Peer#peer.listed =/= no,
        is_integer(Peer#peer.heard) andalso Peer#peer.heard >= Peer#peer.since
    ].

-spec set_protocol(id(), muster_overlay_peer:peer(), roster()) -> roster().
set_protocol(Id, Protocol, Roster) ->
    #{Id := Peer} = Roster,
    Roster#{Id := Peer#peer{protocol = Protocol}}.

-spec addresses(id(), roster()) -> [{atom(), node()}].
addresses(Id, Roster) ->
    #{Id := #peer{addresses = Addresses}} = Roster,
    Addresses.

%% `active': there is to be talked to. `quiet': not now. `forgotten': it has been away for so long, or has not said
%% anything without being listed, that nothing is to be kept for it; it stays only if the user has given it.
-spec standing(id(), Now :: integer(), roster()) -> active | quiet | {forgotten, keep | remove}.
standing(Id, Now, Roster) ->
    #{Id := Peer} = Roster,
    case Peer of
        #peer{up = true, listed = Listed} when Listed =/= no -> active;
        #peer{up = true, heard = Heard} when is_integer(Heard), Now - Heard =< ?AWAY_MS -> quiet;
        #peer{since = Since} when Now - Since =< ?AWAY_MS -> quiet;
        #peer{listed = given} -> {forgotten, keep};
        _ -> {forgotten, remove}
    end.

%% A node came or went; `Resume' changes what is known of its overlay.
-spec node_is(boolean(), node(), {Now :: integer(), Resume}, roster()) -> roster() when
    Resume :: fun((id(), Protocol) -> Protocol), Protocol :: muster_overlay_peer:peer().
node_is(Up, Node, {Now, Resume}, Roster) ->
    Changed = fun
        ({_, N} = Id, #peer{up = Was, protocol = Protocol} = Peer) when N =:= Node, Was =/= Up ->
            Peer#peer{up = Up, since = Now, protocol = Resume(Id, Protocol)};
        (_, Peer) ->
            Peer
    end,
    maps:map(Changed, Roster).

%%% Counting

-spec heard(id(), From :: {atom(), node()}, Bytes :: non_neg_integer(), Now :: integer(), roster()) -> roster().
heard(Id, From, Bytes, Now, Roster) ->
    #{Id := #peer{received_messages = Messages, received_bytes = Sum} = Peer} = Roster,
    Roster#{
        Id := Peer#peer{
            heard = Now, addresses = [From], received_messages = Messages + 1, received_bytes = Sum + Bytes
        }
    }.

-spec sent(id(), Bytes :: non_neg_integer(), IsSent :: boolean(), roster()) -> roster().
sent(Id, Bytes, IsSent, Roster) ->
    case Roster of
        #{Id := #peer{sent_messages = Messages, sent_bytes = Sum} = Peer} when IsSent ->
            Roster#{Id := Peer#peer{sent_messages = Messages + 1, sent_bytes = Sum + Bytes}};
        #{Id := #peer{lost_messages = Lost} = Peer} ->
            Roster#{Id := Peer#peer{lost_messages = Lost + 1}};
        #{} ->
            Roster
    end.

-spec refused(id() | term(), roster()) -> roster().
refused(Id, Roster) ->
    case Roster of
        #{Id := #peer{refused_messages = N} = Peer} -> Roster#{Id := Peer#peer{refused_messages = N + 1}};
        #{} -> Roster
    end.

%%% Telling

%% The live peers that have not acknowledged this version. A node that never spoke has no overlay.
-spec behind(Version :: non_neg_integer(), Name :: atom(), roster()) -> [muster_overlay:peer()].
behind(Version, Name, Roster) ->
    [
        shown(Id, Name)
     || {Id, Protocol} <- partners(Roster), not muster_overlay_peer:is_acknowledged(Version, Protocol)
    ].

-spec status(Version :: non_neg_integer(), Name :: atom(), Now :: integer(), roster()) ->
    #{muster_overlay:peer() => muster_overlay:peer_status()}.
status(Version, Name, Now, Roster) ->
    maps:from_list([{shown(Id, Name), peer_status(Version, Now, Peer)} || {Id, Peer} <- maps:to_list(Roster)]).

peer_status(Version, Now, #peer{protocol = Protocol, heard = Heard} = Peer) ->
    #{
        up => Peer#peer.up,
        in_sync => muster_overlay_peer:is_acknowledged(Version, Protocol),
        heard_ms_ago =>
            case Heard of
                never -> never;
                _ -> Now - Heard
            end,
        sent_messages => Peer#peer.sent_messages,
        sent_bytes => Peer#peer.sent_bytes,
        lost_messages => Peer#peer.lost_messages,
        received_messages => Peer#peer.received_messages,
        received_bytes => Peer#peer.received_bytes,
        refused_messages => Peer#peer.refused_messages
    }.
