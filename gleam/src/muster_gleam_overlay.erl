%% @private
%% Between `muster/overlay' and muster_overlay. A member may be written in another language: what Gleam's
%% types have no place for (ids and keys that are no texts) is left out.
-module(muster_gleam_overlay).

-export([start/1, await_sync/2, subscribe/2]).
-export([update_entity/3, remove_entity/2, get_entity/2, get_all_entities/1]).
-export([add_waypoint/3, remove_waypoint/2, get_waypoint/2, get_all_waypoints/1]).
-export([add_annotation/3, remove_annotation/2, get_annotation/2]).

-import(muster_gleam_ffi, [atom/1, away/3, is_text/1, node_text/1]).

start(Options) ->
    muster_gleam_ffi:start(muster_overlay, Options, fun option/1).

option({peers, Nodes}) -> {peers, lists:map(fun muster_gleam_ffi:atom/1, Nodes)};
option({Name, Server}) when Name =:= node_monitor; Name =:= comms_manager -> {Name, atom(Server)};
option(Option) -> Option.

update_entity(Name, Id, Data) ->
    write(Name, fun(Server) -> muster_overlay:update_entity(Server, Id, Data) end).

remove_entity(Name, Id) ->
    write(Name, fun(Server) -> muster_overlay:remove_entity(Server, Id) end).

add_waypoint(Name, Id, Data) ->
    write(Name, fun(Server) -> muster_overlay:add_waypoint(Server, Data#{id => Id}) end).

remove_waypoint(Name, Id) ->
    write(Name, fun(Server) -> muster_overlay:remove_waypoint(Server, Id) end).

add_annotation(Name, Id, Data) ->
    write(Name, fun(Server) -> muster_overlay:add_annotation(Server, Id, Data) end).

remove_annotation(Name, Id) ->
    write(Name, fun(Server) -> muster_overlay:remove_annotation(Server, Id) end).

await_sync(Name, Ms) ->
    Limit = min(max(0, Ms), 16#FFFFFFFF),
    case away(Name, fun(Server) -> muster_overlay:await_sync(Server, Limit) end, not_running) of
        ok -> {ok, nil};
        {error, {timeout, Peers}} -> {error, {not_in_sync, [peer(Peer) || Peer <- Peers]}};
        not_running -> {error, not_running}
    end.

peer({_, Node}) -> node_text(Node);
peer(Node) -> node_text(Node).

write(Name, Function) ->
    case away(Name, Function, not_running) of
        ok -> {ok, nil};
        not_running -> {error, not_running}
    end.

get_entity(Name, Id) ->
    found(Name, fun(Server) -> muster_overlay:get_entity(Server, Id) end, fun entity/1).

get_waypoint(Name, Id) ->
    found(Name, fun(Server) -> muster_overlay:get_waypoint(Server, Id) end, fun waypoint/1).

get_annotation(Name, Id) ->
    found(Name, fun(Server) -> muster_overlay:get_annotation(Server, Id) end, fun data/1).

found(Name, Function, Typed) ->
    case away(Name, Function, error) of
        {ok, Found} -> {ok, Typed(Found)};
        error -> {error, nil}
    end.

get_all_entities(Name) ->
    All = away(Name, fun muster_overlay:get_all_entities/1, []),
    [entity(Entity) || #{id := Id} = Entity <- All, is_text(Id)].

get_all_waypoints(Name) ->
    All = away(Name, fun muster_overlay:get_all_waypoints/1, []),
    [waypoint(Waypoint) || #{id := Id} = Waypoint <- All, is_text(Id)].

entity(#{id := Id, node := Node, last_updated := Updated} = Entity) ->
    {entity, Id, node_text(Node), Updated, data(Entity)}.

waypoint(#{id := Id} = Waypoint) ->
    {waypoint, Id, data(Waypoint)}.

data(Map) ->
    maps:filter(fun(Key, _) -> is_text(Key) end, Map).

subscribe(Name, Callback) ->
    muster_gleam_ffi:subscribe(muster_overlay, Name, fun(Event) ->
        case is_text(id(Event)) of
            true -> Callback(event(Event));
            false -> nil
        end
    end).

id({waypoint_added, #{id := Id}}) -> Id;
id(Event) -> element(2, Event).

event({entity_updated, _, Entity}) -> {entity_updated, entity(Entity)};
event({waypoint_added, Waypoint}) -> {waypoint_added, waypoint(Waypoint)};
event({annotation_added, Id, Data}) -> {annotation_added, Id, data(Data)};
event({Removed, Id}) -> {Removed, Id}.
