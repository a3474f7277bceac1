%% @private
%% The peers that an overlay knows: who they are, where they are found, whether they are there, what
%% went to and fro, and who of them has what (muster_overlay_hearsay). Pure; what is said to all of them is
%% muster_overlay_talk's, what to each muster_overlay_peer's.
-module(muster_overlay_roster).

-export([canonical/1, aliases/1, identify/2]).
-export([new/0, add/5, list/3, unlist/2, remove/2, is_known/2, strangers/1, ids/1, listed/2]).
-export([protocol/2, any_other/3, partners/1, set_protocol/3, addresses/2, standing/3, node_is/4]).
-export([hearsay/1, set_hearsay/2]).
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

-record(roster, {
    peers = #{} :: #{id() => #peer{}},
    hearsay = muster_overlay_hearsay:new() :: muster_overlay_hearsay:hearsay()
}).
-opaque roster() :: #roster{}.

%% So long the base of a peer that is away is kept.
-define(AWAY_MS, 300000).

%% Erlang's and Elixir's default names mean the same overlay.
-define(DEFAULT_NAMES, [muster_overlay, 'Elixir.Raxol.Swarm.TacticalOverlay']).

-spec new() -> roster().
new() ->
    #roster{}.

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
add(Id, Addresses, {Listed, Up, Now}, Protocol, R) ->
    put_peer(Id, #peer{protocol = Protocol, addresses = Addresses, listed = Listed, up = Up, since = Now}, R).

put_peer(Id, Peer, #roster{peers = Peers} = R) ->
    R#roster{peers = Peers#{Id => Peer}}.

%% What the user has given stays so.
-spec list(id(), listing(), roster()) -> roster().
list(Id, Listing, #roster{peers = Peers} = R) ->
    case Peers of
        #{Id := #peer{listed = given}} -> R;
        #{Id := Peer} -> put_peer(Id, Peer#peer{listed = Listing}, R)
    end.

-spec unlist(listing(), roster()) -> roster().
unlist(Listing, #roster{peers = Peers} = R) ->
    Unlist = fun
        (_, #peer{listed = L} = Peer) when L =:= Listing -> Peer#peer{listed = no};
        (_, Peer) -> Peer
    end,
    R#roster{peers = maps:map(Unlist, Peers)}.

-spec remove(id(), roster()) -> roster().
remove(Id, #roster{peers = Peers, hearsay = Hearsay}) ->
    #roster{peers = maps:remove(Id, Peers), hearsay = muster_overlay_hearsay:forget(Id, Hearsay)}.

-spec is_known(id(), roster()) -> boolean().
is_known(Id, #roster{peers = Peers}) ->
    is_map_key(Id, Peers).

%% How many are known only because they have spoken.
-spec strangers(roster()) -> non_neg_integer().
strangers(#roster{peers = Peers}) ->
    length([no || #peer{listed = no} <- maps:values(Peers)]).

-spec ids(roster()) -> [id()].
ids(#roster{peers = Peers}) ->
    maps:keys(Peers).

-spec listed(Name :: atom(), roster()) -> [muster_overlay:peer()].
listed(Name, #roster{peers = Peers}) ->
    lists:sort([shown(Id, Name) || {Id, #peer{listed = Listed}} <- maps:to_list(Peers), Listed =/= no]).

-spec protocol(id(), roster()) -> muster_overlay_peer:peer().
protocol(Id, #roster{peers = Peers}) ->
    #peer{protocol = Protocol} = map_get(Id, Peers),
    Protocol.

-spec any_other(id(), fun((muster_overlay_peer:peer()) -> boolean()), roster()) -> boolean().
any_other(Id, Is, #roster{peers = Peers}) ->
    lists:any(fun({Other, #peer{protocol = Protocol}}) -> Other =/= Id andalso Is(Protocol) end, maps:to_list(Peers)).

%% Those that are talked to, and have answered since they are there.
-spec partners(roster()) -> [{id(), muster_overlay_peer:peer()}].
partners(#roster{peers = Peers}) ->
    [
        {Id, Protocol}
     || {Id, #peer{up = true, protocol = Protocol} = Peer} <- maps:to_list(Peers),
        Peer#peer.listed =/= no,
        is_integer(Peer#peer.heard) andalso Peer#peer.heard >= Peer#peer.since
    ].

-spec set_protocol(id(), muster_overlay_peer:peer(), roster()) -> roster().
set_protocol(Id, Protocol, #roster{peers = Peers} = R) ->
    put_peer(Id, (map_get(Id, Peers))#peer{protocol = Protocol}, R).

-spec addresses(id(), roster()) -> [{atom(), node()}].
addresses(Id, #roster{peers = Peers}) ->
    #peer{addresses = Addresses} = map_get(Id, Peers),
    Addresses.

%% `active': there is to be talked to. `quiet': not now. `forgotten': it has been away for so long, or has not said
%% anything without being listed, that nothing is to be kept for it; it stays only if the user has given it.
-spec standing(id(), Now :: integer(), roster()) -> active | quiet | {forgotten, keep | remove}.
standing(Id, Now, #roster{peers = Peers}) ->
    case map_get(Id, Peers) of
        #peer{up = true, listed = Listed} when Listed =/= no -> active;
        #peer{up = true, heard = Heard} when is_integer(Heard), Now - Heard =< ?AWAY_MS -> quiet;
        #peer{since = Since} when Now - Since =< ?AWAY_MS -> quiet;
        #peer{listed = given} -> {forgotten, keep};
        _ -> {forgotten, remove}
    end.

%% A node came or went; `Resume' changes what is known of its overlay.
-spec node_is(boolean(), node(), {Now :: integer(), Resume}, roster()) -> roster() when
    Resume :: fun((id(), Protocol) -> Protocol), Protocol :: muster_overlay_peer:peer().
node_is(Up, Node, {Now, Resume}, #roster{peers = Peers} = R) ->
    Changed = fun
        ({_, N} = Id, #peer{up = Was, protocol = Protocol} = Peer) when N =:= Node, Was =/= Up ->
            Peer#peer{up = Up, since = Now, protocol = Resume(Id, Protocol)};
        (_, Peer) ->
            Peer
    end,
    R#roster{peers = maps:map(Changed, Peers)}.

-spec hearsay(roster()) -> muster_overlay_hearsay:hearsay().
hearsay(#roster{hearsay = Hearsay}) ->
    Hearsay.

-spec set_hearsay(muster_overlay_hearsay:hearsay(), roster()) -> roster().
set_hearsay(Hearsay, R) ->
    R#roster{hearsay = Hearsay}.

%%% Counting

-spec heard(id(), From :: {atom(), node()}, Bytes :: non_neg_integer(), Now :: integer(), roster()) -> roster().
heard(Id, From, Bytes, Now, #roster{peers = Peers} = R) ->
    #peer{received_messages = Messages, received_bytes = Sum} = Peer = map_get(Id, Peers),
    Received = Peer#peer{received_messages = Messages + 1, received_bytes = Sum + Bytes},
    put_peer(Id, Received#peer{heard = Now, addresses = [From]}, R).

-spec sent(id(), Bytes :: non_neg_integer(), IsSent :: boolean(), roster()) -> roster().
sent(Id, Bytes, IsSent, #roster{peers = Peers} = R) ->
    case Peers of
        #{Id := #peer{sent_messages = Messages, sent_bytes = Sum} = Peer} when IsSent ->
            put_peer(Id, Peer#peer{sent_messages = Messages + 1, sent_bytes = Sum + Bytes}, R);
        #{Id := #peer{lost_messages = Lost} = Peer} ->
            put_peer(Id, Peer#peer{lost_messages = Lost + 1}, R);
        #{} ->
            R
    end.

-spec refused(id() | term(), roster()) -> roster().
refused(Id, #roster{peers = Peers} = R) ->
    case Peers of
        #{Id := #peer{refused_messages = N} = Peer} -> put_peer(Id, Peer#peer{refused_messages = N + 1}, R);
        #{} -> R
    end.

%%% Telling

%% The live peers that have not acknowledged this version. A node that never spoke has no overlay.
-spec behind(Version :: non_neg_integer(), Name :: atom(), roster()) -> [muster_overlay:peer()].
behind(Version, Name, R) ->
    [
        shown(Id, Name)
     || {Id, Protocol} <- partners(R), not muster_overlay_peer:is_acknowledged(Version, Protocol)
    ].

-spec status(Version :: non_neg_integer(), Name :: atom(), Now :: integer(), roster()) ->
    #{muster_overlay:peer() => muster_overlay:peer_status()}.
status(Version, Name, Now, #roster{peers = Peers}) ->
    maps:from_list([{shown(Id, Name), peer_status(Version, Now, Peer)} || {Id, Peer} <- maps:to_list(Peers)]).

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
