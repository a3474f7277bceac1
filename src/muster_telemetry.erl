%% @doc Telemetry where the application has it: events go to `telemetry:execute/3' if that module
%% can be loaded, and nowhere otherwise. muster itself does not depend on it.
%%
%% == Events ==
%% <ul>
%% <li>`[muster, cnode, up]': measurements `#{system_time}' (native units), metadata
%%     `#{generation, os_pid, version}'.</li>
%% <li>`[muster, cnode, down]': measurements `#{system_time, uptime_ms}', metadata
%%     `#{generation, reason}'.</li>
%% <li>`[muster, node_monitor, status_change]': measurements `#{system_time}', metadata
%%     `#{monitor, node, from, to}'.</li>
%% <li>`[muster, discovery, connect, ok]' and `[muster, discovery, connect, error]', as libcluster's
%%     `[libcluster, connect_node, ok]', and `[muster, discovery, connect, held]': measurements
%%     `#{duration}' (native units), metadata `#{server, topology, node}', and `reason' with an
%%     error.</li>
%% <li>`[muster, discovery, sync]': measurements `#{system_time}', with `duration_us' and `listed'
%%     where the backend answered, metadata `#{server, topology, result}', `result' being `ok' or
%%     `error', then with `reason'.</li>
%% <li>`[muster, discovery, peer_up]', `peer_update', `peer_down': measurements `#{system_time}',
%%     metadata `#{server, node, metadata}', `reason' instead of `metadata' with the last.</li>
%% <li>`[muster, topology, commander_changed]': measurements `#{system_time}', metadata
%%     `#{topology, from, to}'.</li>
%% <li>`[muster, leader, become_leader]', `become_follower': measurements `#{system_time}', metadata
%%     `#{cluster_id, term, leader}'.</li>
%% <li>`[muster, overlay, refused]': measurements `#{system_time}', metadata `#{overlay, from}', when a
%%     peer's message was malformed; at most once a second.</li>
%% <li>`[muster, overlay, loaded]': measurements `#{duration, entries}' (duration in native units,
%%     entries in the overlay by then), metadata `#{overlay, from}', when a stream has come in.</li>
%% </ul>
%% With discovery's option `telemetry_prefix' another list stands for `[muster, discovery]'.
-module(muster_telemetry).

-export([load/0, execute/3]).
-ignore_xref([{telemetry, execute, 3}]).

-define(MODULE_CALLED, telemetry).

%% @private
%% Called once at the application's start: in interactive mode a module that nobody called yet
%% is not loaded, and looking for it on the code path at each event would be slow.
-spec load() -> ok.
load() ->
    _ = code:ensure_loaded(?MODULE_CALLED),
    ok.

%% @doc Emits an event if `telemetry' is there.
-spec execute([atom()], #{atom() => number()}, map()) -> ok.
execute(Event, Measurements, Metadata) ->
    case erlang:function_exported(?MODULE_CALLED, execute, 3) of
        true -> apply(?MODULE_CALLED, execute, [Event, Measurements, Metadata]);
        false -> ok
    end.
