%% @private
%% What subscribers are told of net changes.
-module(muster_overlay_events).

-export([tell/2, events/1]).
-export_type([event/0]).

-type event() ::
    {entity_updated, Id :: term(), Data :: map()}
    | {entity_removed, Id :: term()}
    | {waypoint_added, Waypoint :: map()}
    | {waypoint_removed, Id :: term()}
    | {annotation_added, Id :: term(), Data :: map()}
    | {annotation_removed, Id :: term()}.

-spec tell([muster_overlay_state:change()], muster_subscribers:subscribers()) -> ok.
tell(_Changes, Subscribers) when map_size(Subscribers) =:= 0 ->
    ok;
tell(Changes, Subscribers) ->
    Tell = fun(Event) -> muster_subscribers:tell({overlay_event, Event}, Subscribers) end,
    lists:foreach(Tell, events(Changes)).

-spec events([muster_overlay_state:change()]) -> [event()].
events(Changes) ->
    [event(Key, After) || {Key, _Before, After} <- Changes].

event({entity, Id}, none) -> {entity_removed, Id};
event({entity, Id}, After) -> {entity_updated, Id, muster_overlay_state:decode(After)};
event({waypoint, Id}, none) -> {waypoint_removed, Id};
event({waypoint, _}, After) -> {waypoint_added, muster_overlay_state:decode(After)};
event({annotation, Id}, none) -> {annotation_removed, Id};
event({annotation, Id}, After) -> {annotation_added, Id, muster_overlay_state:decode(After)}.
