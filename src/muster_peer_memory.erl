%% @private
%% What a subscriber of discovery has been told of its peers, so that it is told the truth once, and in order,
%% though the server that tells it be started anew. Pure: events come in, events to be told go out.
%%
%% A new server begins with an empty table and finds its peers again one by one. Until it has, those that
%% were known before are *doubted*: still peers while the BEAM is connected to them.
-module(muster_peer_memory).

-export([new/1, event/2, server_lost/1, server_found/3, node_down/2, has_doubts/1]).

-export_type([memory/0]).

-type metadata() :: muster_peer_table:metadata().
-type event() :: muster_peer_table:event().
-opaque memory() :: #{node() => {sure | doubted, metadata()}}.

-define(REASON, <<"lost while discovery was restarted">>).

%% Of a snapshot: the subscriber has these from elsewhere.
-spec new([muster_peer_table:peer()]) -> memory().
new(Peers) ->
    maps:from_list([{Node, {sure, Metadata}} || #{node := Node, metadata := Metadata} <- Peers]).

-spec event(event(), memory()) -> {[event()], memory()}.
event({peer_down, Node, _} = Event, Memory) ->
    case maps:is_key(Node, Memory) of
        true -> {[Event], maps:remove(Node, Memory)};
        false -> {[], Memory}
    end;
event({_, Node, Metadata}, Memory) ->
    case Memory of
        #{Node := {_, Metadata}} ->
            {[], Memory#{Node := {sure, Metadata}}};
        #{Node := {doubted, Known}} when map_size(Metadata) =:= 0 ->
            %% What it says of itself comes a moment later.
            {[], Memory#{Node := {sure, Known}}};
        #{Node := _} ->
            {[{peer_update, Node, Metadata}], Memory#{Node := {sure, Metadata}}};
        #{} ->
            {[{peer_up, Node, Metadata}], Memory#{Node => {sure, Metadata}}}
    end.

-spec server_lost(memory()) -> memory().
server_lost(Memory) ->
    maps:map(fun(_, {_, Metadata}) -> {doubted, Metadata} end, Memory).

%% A server is there again, with its peers of now, and the nodes that the BEAM is connected to.
-spec server_found([muster_peer_table:peer()], [node()], memory()) -> {[event()], memory()}.
server_found(Peers, Connected, Memory) ->
    {Ups, Found} = lists:mapfoldl(
        fun(#{node := Node, metadata := Metadata}, Acc) -> event({peer_up, Node, Metadata}, Acc) end,
        Memory,
        Peers
    ),
    Gone = [Node || {Node, {doubted, _}} <- lists:sort(maps:to_list(Found)), not lists:member(Node, Connected)],
    {[{peer_down, Node, ?REASON} || Node <- Gone] ++ lists:append(Ups), maps:without(Gone, Found)}.

%% Of doubted peers the server may know nothing.
-spec node_down(node(), memory()) -> {[event()], memory()}.
node_down(Node, Memory) ->
    case Memory of
        #{Node := {doubted, _}} -> {[{peer_down, Node, ?REASON}], maps:remove(Node, Memory)};
        #{} -> {[], Memory}
    end.

-spec has_doubts(memory()) -> boolean().
has_doubts(Memory) ->
    lists:any(fun({State, _}) -> State =:= doubted end, maps:values(Memory)).
