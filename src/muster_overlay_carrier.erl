%% @private
%% How an overlay's messages get to its peers: by the BEAM's distribution, by a comms manager, or by a
%% function of the user's. Nobody is waited for: a comms manager is asked, its answers come as messages.
%% Of one that hangs, so many requests for each peer are left unanswered; more are lost.
-module(muster_overlay_carrier).

-export([new/1, send/4, send/3, answered/2]).
-export_type([carrier/0]).

-include_lib("kernel/include/logger.hrl").

-type id() :: muster_overlay_roster:id().
-opaque carrier() :: #{
    name := atom(),
    by := direct | {comms, gen_server:server_ref()} | fun((Address :: {atom(), node()}, term()) -> term()),
    requests := gen_server:request_id_collection(),
    unanswered := #{id() => pos_integer()}
}.

-define(VERSION, 1).
-define(UNANSWERED, 16).
%% At `normal', a poor link would never be in sync.
-define(PRIORITY, high).
%% So long a stream's process waits for the comms manager.
-define(WAIT_MS, 5000).

-spec new(#{atom() => term()}) -> carrier().
new(#{name := Name, send := Send, comms_manager := Comms}) ->
    By =
        case {Send, Comms} of
            {direct, none} -> direct;
            {direct, _} -> {comms, Comms};
            _ -> Send
        end,
    #{name => Name, by => By, requests => gen_server:reqids_new(), unanswered => #{}}.

%% `asked': {@link answered/2} will say.
-spec send(id(), [{atom(), node()}], term(), carrier()) -> {sent | lost | asked, carrier()}.
send(Id, Addresses, Body, #{by := {comms, _}, unanswered := Unanswered} = Carrier) ->
    case maps:get(Id, Unanswered, 0) < ?UNANSWERED of
        true -> {asked, lists:foldl(fun(Address, Acc) -> ask(Id, Address, Body, Acc) end, Carrier, Addresses)};
        false -> {lost, Carrier}
    end;
send(_Id, Addresses, Body, Carrier) ->
    {send(Addresses, Body, Carrier), Carrier}.

ask(Id, Address, Body, #{by := {comms, Comms}, requests := Requests, unanswered := Unanswered} = Carrier) ->
    Asked = muster_comms:request_route(Comms, Address, envelope(Body, Carrier), ?PRIORITY),
    Carrier#{
        requests := gen_server:reqids_add(Asked, {Id, erlang:external_size(Body)}, Requests),
        unanswered := maps:update_with(Id, fun(N) -> N + 1 end, 1, Unanswered)
    }.

%% What a message says of a request: whether the peer was sent so many bytes.
-spec answered(term(), carrier()) -> {id(), Bytes :: non_neg_integer(), IsSent :: boolean(), carrier()} | none.
answered(Message, #{requests := Requests, unanswered := Unanswered} = Carrier) ->
    case gen_server:check_response(Message, Requests, true) of
        {Answer, {Id, Bytes}, Others} ->
            Left =
                case Unanswered of
                    #{Id := 1} -> maps:remove(Id, Unanswered);
                    #{Id := N} -> Unanswered#{Id := N - 1}
                end,
            {Id, Bytes, Answer =:= {reply, ok}, Carrier#{requests := Others, unanswered := Left}};
        _ ->
            none
    end.

%% For a process that may wait, though not for ever.
-spec send([{atom(), node()}], term(), carrier()) -> sent | lost.
send(Addresses, Body, Carrier) ->
    Message = envelope(Body, Carrier),
    case lists:member(true, [hand_over(Address, Message, Carrier) || Address <- Addresses]) of
        true -> sent;
        false -> lost
    end.

%% What a full buffer or a missing connection loses is repeated.
hand_over(Address, Message, #{by := direct}) ->
    erlang:send(Address, Message, [noconnect, nosuspend]) =:= ok;
hand_over(Address, Message, #{by := {comms, Comms}}) ->
    muster_comms:route(Comms, Address, Message, ?PRIORITY, ?WAIT_MS) =:= ok;
hand_over(Address, Message, #{by := Send}) ->
    try
        _ = Send(Address, Message),
        true
    catch
        Class:Reason ->
            ?LOG_WARNING("overlay: the option send fails: ~tp:~tP", [Class, Reason, 8], #{domain => [muster]}),
            false
    end.

%% The node's name may change.
envelope(Body, #{name := Name}) ->
    {muster_overlay, ?VERSION, {Name, node()}, Body}.
