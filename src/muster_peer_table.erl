%% @private
%% Who the peers are: nodes that the BEAM is connected to and that discovery knows of, be it that a
%% topology found them or that their own discovery said so. Pure: news come in, events go out.
-module(muster_peer_table).

-export([new/0, step/2, peers/1, count/1, find/2, ups/1]).

-export_type([table/0, news/0, event/0, peer/0, metadata/0]).

-type metadata() :: #{binary() => binary()}.
-type news() ::
    {up, node()}
    | {down, node(), Reason :: term()}
    | {found, node(), Topology :: term()}
    | {lost, node(), Topology :: term()}
    %% Of the node's own discovery, over the distribution.
    | {hello, node(), Version :: integer(), metadata(), Leaving :: boolean()}
    %% Of a packet.
    | {metadata, node(), Version :: integer(), metadata()}
    | {forget, node()}.
-type event() ::
    {peer_up, node(), metadata()}
    | {peer_update, node(), metadata()}
    | {peer_down, node(), Reason :: binary()}.
-type peer() :: #{
    node := node(),
    metadata := metadata(),
    topologies := [term()],
    up_since := integer(),
    leaving := boolean()
}.
%% `up_since': `erlang:monotonic_time(millisecond)'; `topologies': those that list it here.

-record(peer, {
    up_since :: integer() | undefined,
    %% `false': no longer, but it was when the node was last down.
    listed = #{} :: #{term() => boolean()},
    hello = false :: boolean(),
    leaving = false :: boolean(),
    version = -1 :: integer(),
    metadata = #{} :: metadata()
}).

-opaque table() :: #{node() => #peer{}}.

-spec new() -> table().
new() ->
    #{}.

-spec step(news(), table()) -> {[event()], table()}.
step(News, Table) ->
    Node = element(2, News),
    Was = maps:get(Node, Table, #peer{}),
    Is = news(News, Was),
    {events(Node, Was, Is, News), store(Node, Is, Table)}.

news({up, _}, P) ->
    P#peer{up_since = erlang:monotonic_time(millisecond)};
news({down, _, _}, #peer{listed = Listed} = P) ->
    Still = maps:filter(fun(_, Kept) -> Kept end, Listed),
    %% Who comes back may be another one, whose clock, and so its versions, began earlier.
    P#peer{up_since = undefined, hello = false, leaving = false, version = -1, listed = Still};
news({found, _, Topology}, #peer{listed = Listed} = P) ->
    P#peer{listed = Listed#{Topology => true}};
news({lost, _, Topology}, #peer{up_since = undefined, listed = Listed} = P) ->
    P#peer{listed = maps:remove(Topology, Listed)};
news({lost, _, Topology}, #peer{listed = Listed} = P) ->
    P#peer{listed = maps:map(fun(T, Kept) -> Kept andalso T =/= Topology end, Listed)};
news({hello, _, Version, Metadata, Leaving}, P) ->
    said(Version, Metadata, P#peer{hello = true, leaving = Leaving});
news({metadata, _, Version, Metadata}, P) ->
    said(Version, Metadata, P);
news({forget, _}, #peer{up_since = undefined} = P) ->
    P#peer{listed = #{}};
news({forget, _}, P) ->
    P.

%% The higher version wins, whichever way it came.
said(Version, Metadata, #peer{version = Known} = P) when Version > Known ->
    P#peer{version = Version, metadata = Metadata};
said(_, _, P) ->
    P.

events(Node, Was, Is, News) ->
    case {is_peer(Was), is_peer(Is)} of
        {false, true} -> [{peer_up, Node, Is#peer.metadata}];
        {true, false} -> [{peer_down, Node, reason(News)}];
        {true, true} when Was#peer.metadata =/= Is#peer.metadata ->
            [{peer_update, Node, Is#peer.metadata}];
        _ -> []
    end.

%% A peer stays one for as long as it is connected, whatever a listing says.
is_peer(#peer{up_since = undefined}) -> false;
is_peer(#peer{hello = true}) -> true;
is_peer(#peer{listed = Listed}) -> map_size(Listed) > 0.

reason({down, _, Reason}) when is_binary(Reason) -> Reason;
reason({down, _, Reason}) -> unicode:characters_to_binary(io_lib:format("~0tp", [Reason]));
reason(_) -> <<"no longer listed">>.

%% What is neither up nor listed is forgotten.
store(Node, #peer{up_since = undefined, listed = Listed}, Table) when map_size(Listed) =:= 0 ->
    maps:remove(Node, Table);
store(Node, P, Table) ->
    Table#{Node => P}.

-spec peers(table()) -> [peer()].
peers(Table) ->
    [public(Node, P) || {Node, P} <- lists:sort(maps:to_list(Table)), is_peer(P)].

-spec count(table()) -> non_neg_integer().
count(Table) ->
    length([P || P <- maps:values(Table), is_peer(P)]).

-spec find(node(), table()) -> {ok, peer()} | error.
find(Node, Table) ->
    case Table of
        #{Node := P} ->
            case is_peer(P) of
                true -> {ok, public(Node, P)};
                false -> error
            end;
        #{} ->
            error
    end.

%% @doc All connected nodes, peers or not.
-spec ups(table()) -> [node()].
ups(Table) ->
    [Node || {Node, #peer{up_since = Since}} <- maps:to_list(Table), Since =/= undefined].

public(Node, P) ->
    #{
        node => Node,
        metadata => P#peer.metadata,
        topologies => [T || {T, true} <- lists:sort(maps:to_list(P#peer.listed))],
        up_since => P#peer.up_since,
        leaving => P#peer.leaving
    }.
