%% @private
%% Between `muster/comms' and muster_comms. Messages carry a tag, so that nothing else that comes is taken for
%% one of the type that the callback was written for.
-module(muster_gleam_comms).

-export([start/1, send/4, quality/2, links/1, update_link/3, mark_disconnected/2, subscribe/2]).

-import(muster_gleam_ffi, [atom/1, away/3, node_text/1]).

start(Options) ->
    muster_gleam_ffi:start(muster_comms, Options, fun option/1).

option({node_monitor, Server}) -> {node_monitor, atom(Server)};
option(Option) -> Option.

send(Name, Node, Message, Priority) ->
    Sent = to_node(Name, Node, fun(Server, To) ->
        muster_comms:send_msg(Server, To, {?MODULE, Message}, Priority)
    end, not_running),
    case Sent of
        ok -> {ok, nil};
        {error, disconnected} -> {error, not_connected};
        {error, queue_full} -> {error, queue_full};
        unknown -> {error, not_connected};
        not_running -> {error, not_running}
    end.

quality(Name, Node) ->
    case to_node(Name, Node, fun muster_comms:get_link_quality/2, disconnected) of
        unknown -> disconnected;
        Quality -> Quality
    end.

links(Name) ->
    Links = away(Name, fun muster_comms:get_all_links/1, #{}),
    [{node_text(Node), Quality} || {Node, Quality} <- lists:sort(maps:to_list(Links))].

update_link(Name, Node, Rtt) ->
    _ = to_node(Name, Node, fun(Server, To) -> muster_comms:update_link(Server, To, max(0.0, Rtt)) end, ok),
    nil.

mark_disconnected(Name, Node) ->
    _ = to_node(Name, Node, fun muster_comms:mark_disconnected/2, ok),
    nil.

%% A node that nobody ever heard of is no atom.
to_node(Name, Node, Function, Away) ->
    case muster_gleam_ffi:existing(Node) of
        '' ->
            unknown;
        Known ->
            case muster_leader_options:is_node(Known) of
                true -> away(Name, fun(Server) -> Function(Server, Known) end, Away);
                false -> unknown
            end
    end.

subscribe(Name, Callback) ->
    muster_gleam_ffi:subscribe(muster_comms, Name, fun
        ({?MODULE, Message}) -> Callback(Message);
        (_) -> nil
    end).
