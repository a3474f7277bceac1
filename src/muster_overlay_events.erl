%% @private
%% What subscribers are told of net changes.
-module(muster_overlay_events).

-export([events/1]).
-export_type([event/0]).

-type event() ::
    {entity_updated, Id :: term(), Data :: map()}
    | {entity_removed, Id :: term()}
    | {waypoint_added, Waypoint :: map()}
    | {waypoint_removed, Id :: term()}
    | {annotation_added, Id :: term(), Data :: map()}
    | {annotation_removed, Id :: term()}.

-spec events([muster_overlay_state:change()]) -> [event()].
events(Changes) ->
    [event(Key, After) || {Key, _Before, After} <- Changes].

event({entity, Id}, none) -> {entity_removed, Id};
event({entity, Id}, After) -> {entity_updated, Id, muster_overlay_state:decode(After)};
event({waypoint, Id}, none) -> {waypoint_removed, Id};
event({waypoint, _}, After) -> {waypoint_added, muster_overlay_state:decode(After)};
event({annotation, Id}, none) -> {annotation_removed, Id};
event({annotation, Id}, After) -> {annotation_added, Id, muster_overlay_state:decode(After)}.
