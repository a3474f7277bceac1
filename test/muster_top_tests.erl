%% muster_top: what is shown for a snapshot, how one is collected where servers are missing, hang or die, the
%% command line. The live terminal is in test/top/run.
-module(muster_top_tests).
-include_lib("eunit/include/eunit.hrl").

-define(V, muster_top_view).
-define(SNAP, muster_top_snapshot).

%%% The view

snapshot() ->
    #{
        node => 'a@h', at => 0, version => <<"0.1.0">>, connected => ['b@h', 'c@h'],
        cnode => {ok, #{os_pid => 17, resident_bytes => 2800000, uptime_ms => 61000, name => <<"a-muster@h">>}},
        peers => {ok, [
            #{node => <<"b@h">>, state => connected, reason => <<"dialled">>, since_ms => 10, retry_in_ms => none},
            #{node => <<"b-muster@h">>, state => connected, reason => <<"dialled">>},
            #{node => <<"d@h">>, state => cookie_mismatch, reason => <<"another cookie">>, since_ms => 12000,
                retry_in_ms => 1500}
        ]},
        health => {ok, [
            health('b@h', healthy, [0.25, 0.5, 1.0], connected),
            health('c@h', suspect, [150.0], connected),
            health('e@h', down, [], name_unknown)
        ]},
        discovery => {ok, #{status => {degraded, <<"no answer">>}, known_peers => 1, last_error => undefined,
            last_sync_time => undefined, topologies => #{lan => #{strategy => gossip, run_state => started}}}},
        topology => {ok, #{commander => {'b@h', {7, 1}}, roles => [{'a@h', observer}, {'b@h', commander}]}},
        overlay => none
    }.

health(Node, Status, History, Connection) ->
    Mean = lists:sum([0.0 | History]) / max(1, length(History)),
    #{node => Node, status => Status, rtt_history => History, avg_rtt_ms => Mean, jitter_ms => 0.0,
        connection => Connection, connection_reason => <<"because">>}.

lines(Snapshot, Columns, Unicode) ->
    Lines = ?V:lines(Snapshot, #{columns => Columns, unicode => Unicode}),
    [{Style, unicode:characters_to_list(Text)} || {Style, Text} <- Lines].

line(Start, Lines) ->
    case [Line || {_, Text} = Line <- Lines, lists:prefix(Start, Text)] of
        [Line] -> Line;
        Other -> error({lines_that_start, Start, Other, Lines})
    end.

texts_test_() ->
    Lines = lines(snapshot(), infinity, true),
    [
        ?_assertEqual(Expected, line(Start, Lines))
     || {Start, Expected} <- [
            {"C node", {normal, "C node      up for 61 s, process 17, 2.8 MB, a-muster@h"}},
            {"discovery", {normal, "discovery   degraded (no answer), 1 peer by lan (gossip)"}},
            {"commander", {normal, "commander   b@h, term 7; this node is observer; 2 members"}},
            {"overlay", {normal, "overlay     not running"}},
            {"peers", {normal, "peers       4 nodes: 2 connected, 1 cookie_mismatch, 1 name_unknown"}},
            {"NODE",
                {heading, "NODE  BEAM  LINK             HEALTH   ROLE          RTT     AVG  JITTER  LAST ROUND TRIPS"}},
            {"b@h", {normal, "b@h   up    connected        healthy  commander  250 us  583 us    0 us  █▃▁"}},
            {"c@h", {warning, "c@h   up    connected        suspect             150 ms  150 ms    0 us  ▁"}},
            {"d@h",
                {trouble, "d@h   -     cookie_mismatch                      another cookie, for 12 s, again in 1.5 s"}},
            {"e@h", {trouble, "e@h   -     name_unknown     down                because"}}
        ]
    ].

no_line_is_longer_than_the_terminal_test() ->
    [
        ?assert(string:length(Text) =< Columns)
     || Columns <- lists:seq(1, 120), {_, Text} <- lines(snapshot(), Columns, true)
    ].

only_ascii_where_the_terminal_knows_no_more_test() ->
    Snapshot = (snapshot())#{connected => [list_to_atom("städte@h")]},
    Lines = lines(Snapshot, infinity, false),
    ?assertEqual([], [C || {_, Text} <- Lines, C <- Text, C > 126 orelse C < 32]),
    {normal, Row} = line("b@h", Lines),
    ?assert(lists:suffix("  #-_", Row)),
    line("st?dte@h", Lines).

%% A peer's name or a backend's words move no cursor and hide nothing.
control_characters_are_not_passed_on_test() ->
    Evil = <<"x\e[2J\r\n", 16#9B/utf8, 16#202E/utf8, "y">>,
    Snapshot = (snapshot())#{
        peers => {ok, [#{node => <<Evil/binary, "@h">>, state => timeout, reason => Evil}]},
        discovery => {ok, #{status => {down, Evil}, known_peers => 0, last_error => Evil, topologies => #{}}}
    },
    Text = lists:append([Text || {_, Text} <- lines(Snapshot, infinity, true)]),
    ?assertEqual([], [C || C <- Text, C < 32 orelse (C >= 127 andalso C < 160) orelse C =:= 16#202E]),
    ?assertEqual(0, string:str(Text, "\e")).

bytes_that_are_no_text_are_shown_somehow_test() ->
    Snapshot = (snapshot())#{peers => {ok, [#{node => <<"ok", 255, "@h">>, state => timeout, reason => <<255>>}]}},
    ?assertMatch([_ | _], lines(Snapshot, 80, true)).

%% Each part may be missing or failed, by itself and together.
every_part_may_be_absent_test() ->
    Parts = [cnode, peers, health, discovery, topology, overlay],
    Reasons = [timeout, noproc, {badmatch, [x]}, unavailable, not_started, cnode_down],
    Absences = [none | [{error, Reason} || Reason <- Reasons]],
    [?assertMatch([_ | _], lines((snapshot())#{Part => Absence}, 80, true)) || Part <- Parts, Absence <- Absences],
    Nothing = lines(maps:merge(snapshot(), maps:from_keys(Parts, {error, timeout})), 80, true),
    ?assertEqual({normal, "C node      does not answer"}, line("C node", Nothing)),
    %% Whom the BEAM sees is known without any of them.
    ?assertMatch({normal, "b@h   up"}, line("b@h", Nothing)).

overlay_test_() ->
    Of = fun(Status) -> lines((snapshot())#{overlay => {ok, Status}}, infinity, true) end,
    Peer = fun(Up, InSync) -> #{up => Up, in_sync => InSync, heard_ms_ago => never} end,
    Status = #{node_id => 'a@h', entities => 12, waypoints => 1, annotations => 0, loading => false,
        peers => #{'b@h' => Peer(true, true), {named, 'c@h'} => Peer(true, false), 'f@h' => Peer(false, true)}},
    Text = "overlay     in sync with 1 of 2 live peers; entities 12, waypoints 1, annotations 0",
    Lines = Of(Status),
    [
        ?_assertEqual({normal, Text}, line("overlay", Lines)),
        ?_assertEqual({normal, Text ++ "; loading"}, line("overlay", Of(Status#{loading := true}))),
        ?_assertMatch({_, "b@h   up    connected        healthy  commander  yes " ++ _}, line("b@h", Lines)),
        ?_assertMatch({_, "c@h   up    connected        suspect             no " ++ _}, line("c@h", Lines)),
        %% Of a later version.
        ?_assertEqual({normal, "overlay     runs"}, line("overlay", Of(#{})))
    ].

sparkline_test_() ->
    [
        ?_assertEqual("▁▃▆█", ?V:sparkline([4, 3, 2, 1], 60, true)),
        ?_assertEqual("_-+#", ?V:sparkline([4.0, 3, 2, 1.0], 60, false)),
        %% The newest that fit, scaled among themselves.
        ?_assertEqual("▁█", ?V:sparkline([2, 1, 1000], 2, true)),
        ?_assertEqual("▁▁▁", ?V:sparkline([5, 5, 5], 10, true))
    ].

duration_test_() ->
    [
        ?_assertEqual(Text, lists:flatten(?V:duration(Ms)))
     || {Ms, Text} <- [{-5, "0 ms"}, {999, "999 ms"}, {1000, "1.0 s"}, {59000, "59 s"}, {3600000, "60 min"},
            {86400000, "24 h"}, {345600000, "4 days"}]
    ].

%%% The screen

frame_test_() ->
    Frame = fun(Lines, Rows, Colours) ->
        unicode:characters_to_list(muster_top_terminal:frame(Lines, {10, Rows}, Colours))
    end,
    Lines = [{normal, "one"}, {trouble, "two"}, {warning, "three"}],
    [
        ?_assertEqual("\e[Hone\e[K\r\ntwo\e[K\r\nthree\e[K\e[J", Frame(Lines, 3, false)),
        ?_assertEqual("\e[Hone\e[K\r\n\e[31mtwo\e[0m\e[K\r\n\e[33mthree\e[0m\e[K\e[J", Frame(Lines, 24, true)),
        ?_assertEqual("\e[Hone\e[K\r\n... 2 more\e[K\e[J", Frame(Lines, 2, true)),
        ?_assertEqual("\e[H... 3 more\e[K\e[J", Frame(Lines, 1, true)),
        ?_assertEqual("\e[Hone\e[K\r\n... 123 mo\e[K\e[J", Frame(lists:duplicate(124, {normal, "one"}), 2, true)),
        ?_assertEqual("\e[H\e[J", Frame([], 24, true))
    ].

%%% The snapshot

nothing_runs_test() ->
    Nobody = no_such_server,
    Snapshot = ?SNAP:collect(#{discovery => Nobody, node_monitor => Nobody, topology => Nobody, overlay => Nobody}),
    ?assertMatch(
        #{node := nonode@nohost, cnode := {error, not_started}, peers := {error, not_started}, health := none,
            discovery := none, topology := none, overlay := none, connected := []},
        Snapshot
    ),
    ?assertMatch([_ | _], lines(Snapshot, 80, true)).

%% A server that never answers costs its own part, and no more than the limit.
a_hung_server_test() ->
    Hung = registered(fun() -> receive never -> ok end end),
    Options = #{node_monitor => Hung, discovery => Hung, topology => Hung, overlay => Hung, timeout_ms => 100},
    Before = process_info(self(), messages),
    Began = erlang:monotonic_time(millisecond),
    Snapshot = ?SNAP:collect(Options),
    ?assert(erlang:monotonic_time(millisecond) - Began < 4000),
    ?assertMatch(#{health := {error, timeout}, discovery := {error, timeout}, topology := {error, timeout}}, Snapshot),
    ?assertEqual(Before, process_info(self(), messages)),
    exit(whereis(Hung), kill).

%% One that dies while it is asked.
a_dying_server_test() ->
    [
        begin
            Dying = registered(fun() -> receive _ -> exit(Reason) end end),
            ?assertMatch(#{health := {error, _}}, ?SNAP:collect(#{node_monitor => Dying}))
        end
     || Reason <- [normal, kill, {some, [stack]}]
    ].

a_real_server_test() ->
    {ok, Monitor} = muster_node_monitor:start_link([{name, muster_top_tests_monitor}]),
    ?assertMatch(#{health := {ok, []}}, ?SNAP:collect(#{node_monitor => muster_top_tests_monitor})),
    unlink(Monitor),
    gen_server:stop(Monitor).

this_node_and_one_out_of_reach_test() ->
    ?assertMatch({ok, #{node := nonode@nohost}}, ?SNAP:collect(node(), #{})),
    ?assertEqual({error, noconnection}, ?SNAP:collect('nobody@127.0.0.1', #{})).

registered(Fun) ->
    Name = list_to_atom("muster_top_tests_" ++ integer_to_list(erlang:unique_integer([positive]))),
    register(Name, spawn(Fun)),
    Name.

%%% The command line

parse_test_() ->
    Parse = fun muster_top_options:parse/1,
    [
        ?_assertMatch(
            {ok, #{node := "a@h", cookie_file := "f", interval_ms := 500, once := true, unicode := false,
                name := {shortnames, "me"}}},
            Parse(["--node", "a@h", "--cookie-file", "f", "--interval", <<"500">>, "--once", "--ascii",
                "--sname", "me"])
        ),
        ?_assertMatch(
            {ok, #{once := false, interval_ms := 1000, cookie_file := none, name := none}}, Parse(["--node", "a@h"])
        ),
        ?_assertEqual(help, Parse(["--node", "a@h", "--help"]))
        | [
            ?_test(begin
                {error, Text} = Parse(Arguments),
                ?assertEqual(Expected, unicode:characters_to_list(Text))
            end)
         || {Arguments, Expected} <- [
                {[], "which node? --node NAME@HOST is missing; --help lists the options"},
                {["--nose"], "--nose is not an option; --help lists them"},
                {["--node"], "--node: a value is missing"},
                {["--node", "a"], "node: expected a node's name with its host, got: \"a\""},
                {["--node", "a@h", "--interval", "1s"], "--interval: expected milliseconds, got: 1s"},
                {["--node", "a@h", "--interval", "5"],
                    "interval_ms: expected an integer from 100 to 3600000 (milliseconds), got: 5"}
            ]
        ]
    ].

run_refuses_what_it_does_not_know_test() ->
    ?assertMatch({error, {invalid_option, colour, red, _}}, muster_top:run(#{colour => red})),
    ?assertMatch({error, {invalid_option, interval_ms, 1, _}}, muster_top:run(#{interval_ms => 1})).

once_on_this_node_test() ->
    ?assertEqual(ok, muster_top:once()).

a_cookie_file_that_is_none_test() ->
    ?assertMatch({error, {cookie_file, "/no/such/file", _}},
        muster_top:run(#{node => 'a@h', cookie_file => "/no/such/file", once => true})).
