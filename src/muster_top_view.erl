%% @doc The text of {@link muster_top}: a snapshot in, lines out. Pure.
%%
%% ```
%% Lines = muster_top_view:lines(Snapshot, #{columns => 100, unicode => true}),
%% io:put_chars([[Text, "\n"] || {_Style, Text} <- Lines]).
%% '''
%% What comes from the network (names, reasons) is shown without its control characters.
-module(muster_top_view).

-export([lines/2, sparkline/3, duration/1]).

-export_type([options/0, line/0, style/0]).

-type line() :: {style(), unicode:chardata()}.
-type style() :: normal | title | heading | warning | trouble.
%% `warning': a suspect node; `trouble': one that is down or not connected.

-type options() :: #{columns := pos_integer() | infinity, unicode := boolean()}.
%% A line is cut at `columns'. Without `unicode' every character is ASCII.

-define(SPARK_MAX, 60).
-define(SPARK_MIN, 8).
-define(CELL_MAX, 40).

%% @doc A snapshot as lines, without their ends.
-spec lines(muster_top_snapshot:snapshot(), options()) -> [line()].
lines(Snapshot, #{columns := Columns} = Options) ->
    Rows = rows(Snapshot),
    Head = [
        ["C node      ", cnode(maps:get(cnode, Snapshot))],
        ["discovery   ", discovery(maps:get(discovery, Snapshot))],
        ["commander   ", commander(Snapshot)],
        ["overlay     ", overlay(maps:get(overlay, Snapshot))],
        ["peers       ", summary(Rows, Snapshot)],
        ""
    ],
    [{normal, cut(clean(Line, Options), Columns)} || Line <- Head] ++ table(Rows, Options).

%%% The lines above the table

cnode({ok, #{os_pid := OsPid, resident_bytes := Bytes, uptime_ms := Ms} = Info}) ->
    io_lib:format("up for ~ts, process ~b, ~.1f MB, ~ts", [
        duration(Ms), OsPid, Bytes / 1.0e6, maps:get(name, Info, <<>>)
    ]);
cnode({ok, _}) ->
    "up";
cnode({error, unavailable}) ->
    "none for this platform, or disabled";
cnode({error, not_started}) ->
    "none: the application muster is not started";
cnode({error, cnode_down}) ->
    "down, about to be restarted";
cnode(Part) ->
    absent(Part).

discovery({ok, #{status := Status, known_peers := Peers, topologies := Topologies} = Info}) ->
    [
        discovery_status(Status), ", ", count(Peers, "peer"), " by ", topologies(Topologies),
        case Info of
            #{last_error := Text} when is_binary(Text), Status =:= up -> ["; last error: ", Text];
            #{} -> ""
        end
    ];
discovery(Part) ->
    absent(Part).

discovery_status(up) -> "up";
discovery_status({Status, Reason}) -> io_lib:format("~ts (~ts)", [Status, Reason]).

topologies(Topologies) when map_size(Topologies) =:= 0 ->
    "no topology";
topologies(Topologies) ->
    lists:join(", ", [topology(Name, T) || {Name, T} <- lists:sort(maps:to_list(Topologies))]).

topology(Name, #{strategy := Name}) -> io_lib:format("~0tp", [Name]);
topology(Name, #{strategy := Strategy}) -> io_lib:format("~0tp (~0tp)", [Name, Strategy]).

commander(#{topology := {ok, #{commander := Commander, roles := Roles}}, node := Node}) ->
    [
        case Commander of
            none -> "none";
            {Its, {Term, _}} -> io_lib:format("~ts, term ~b", [Its, Term])
        end,
        case lists:keyfind(Node, 1, Roles) of
            {Node, Role} -> io_lib:format("; this node is ~ts", [Role]);
            false -> ""
        end,
        "; ", count(length(Roles), "member")
    ];
commander(#{topology := Part}) ->
    absent(Part).

overlay({ok, #{peers := Peers, entities := Entities, waypoints := Waypoints, annotations := Annotations} = Status}) ->
    Live = [InSync || #{up := true, in_sync := InSync} <- maps:values(Peers)],
    [
        io_lib:format("in sync with ~b of ~ts; ", [length([yes || true <- Live]), count(length(Live), "live peer")]),
        io_lib:format("entities ~b, waypoints ~b, annotations ~b", [Entities, Waypoints, Annotations]),
        case Status of
            #{loading := true} -> "; loading";
            #{} -> ""
        end
    ];
overlay({ok, _}) ->
    "runs";
overlay(Part) ->
    absent(Part).

%% Which peers have what is here.
synced(#{overlay := {ok, #{peers := Peers}}}) ->
    maps:from_list([
        {name(peer_node(Peer)), Up andalso InSync}
     || {Peer, #{up := Up, in_sync := InSync}} <- maps:to_list(Peers)
    ]);
synced(_) ->
    #{}.

%% A peer is a node, or a name there.
peer_node({_Name, Node}) -> Node;
peer_node(Node) -> Node.

absent(none) -> "not running";
absent({error, timeout}) -> "does not answer";
absent({error, Reason}) -> io_lib:format("fails: ~0tP", [Reason, 12]).

summary(Rows, #{peers := Peers}) ->
    States = lists:foldl(
        fun(#{link := State}, Acc) -> maps:update_with(State, fun(N) -> N + 1 end, 1, Acc) end,
        #{},
        Rows
    ),
    Counts = lists:join(", ", [io_lib:format("~b ~ts", [N, State]) || {State, N} <- lists:sort(maps:to_list(States))]),
    [
        count(length(Rows), "node"),
        case Counts of
            [] -> "";
            _ -> [": ", Counts]
        end,
        case Peers of
            {error, timeout} -> "; the C node does not answer";
            _ -> ""
        end
    ].

%%% The table

%% One row for each node that anybody here knows of, but this one.
rows(#{node := Self, connected := Connected} = Snapshot) ->
    %% The C nodes beside the peers are no peers of their own.
    Known = list(peers, Snapshot),
    Linked = [{Name, Peer} || #{node := Name} = Peer <- Known, not muster_cnode_name:is_one(Name)],
    Healths = [{name(Node), Health} || #{node := Node} = Health <- list(health, Snapshot)],
    Roles = roles(Snapshot),
    Synced = synced(Snapshot),
    Names = [name(Node) || Node <- Connected] ++
        lists:append([maps:keys(maps:from_list(Pairs)) || Pairs <- [Linked, Healths, Roles]]),
    [
        row(Name, Snapshot, #{
            peer => find(Name, Linked), health => find(Name, Healths), role => find(Name, Roles),
            synced => maps:get(Name, Synced, none)
        })
     || Name <- lists:usort(Names), Name =/= name(Self)
    ].

roles(#{topology := {ok, #{roles := Roles}}}) -> [{name(Node), Role} || {Node, Role} <- Roles];
roles(_) -> [].

list(Part, Snapshot) ->
    case Snapshot of
        #{Part := {ok, List}} -> List;
        #{} -> []
    end.

find(Name, Pairs) ->
    proplists:get_value(Name, Pairs, none).

row(Name, #{connected := Connected}, #{peer := Peer, health := Health, role := Role, synced := Synced}) ->
    #{
        node => Name,
        beam => lists:member(Name, [name(Node) || Node <- Connected]),
        link => link_state(Peer, Health),
        why => why(Peer, Health),
        status => field(status, Health),
        role => Role,
        history => field(rtt_history, Health),
        avg => field(avg_rtt_ms, Health),
        jitter => field(jitter_ms, Health),
        synced => Synced
    }.

field(_, none) -> none;
field(Key, Map) -> maps:get(Key, Map, none).

link_state(#{state := State}, _) -> State;
link_state(none, #{connection := State}) -> State;
link_state(none, none) -> none.

%% Why the C node is not connected to it, since when, and when it tries again.
why(#{state := connected}, _) ->
    "";
why(#{reason := Reason} = Peer, _) ->
    [
        Reason,
        case Peer of
            #{since_ms := Ms} when is_integer(Ms) -> [", for ", duration(Ms)];
            #{} -> ""
        end,
        case Peer of
            #{retry_in_ms := In} when is_integer(In) -> [", again in ", duration(In)];
            #{} -> ""
        end
    ];
why(none, #{connection := connected}) ->
    "";
why(none, #{connection_reason := Reason}) ->
    Reason;
why(none, none) ->
    "".

table([], _Options) ->
    [];
table(Rows, #{columns := Columns} = Options) ->
    Shown = [Column || {_, _, _, Cell} = Column <- columns(), lists:any(fun(Row) -> Cell(Row) =/= "" end, Rows)],
    Heads = [Head || {Head, _, _, _} <- Shown],
    Lines = [{Row, [cut(clean(Cell(Row), Options), ?CELL_MAX) || {_, _, _, Cell} <- Shown]} || Row <- Rows],
    Widths = widths([Heads | [Cells || {_, Cells} <- Lines]]),
    Left = rest(Columns, lists:sum(Widths) + 2 * length(Widths)),
    Padded = fun(Cells) -> padded(Cells, Shown, Widths) end,
    [
        {heading, line(Padded(Heads), "LAST ROUND TRIPS", Columns)}
        | [{style(Row), row_line(Row, Padded(Cells), Left, Options)} || {Row, Cells} <- Lines]
    ].

%% Why a node is not connected stands in place of its round trips.
row_line(#{why := "", history := [_ | _] = History}, Padded, Left, #{columns := Columns, unicode := Unicode}) ->
    line(Padded, sparkline(History, min(?SPARK_MAX, max(?SPARK_MIN, Left)), Unicode), Columns);
row_line(#{why := Why}, Padded, _Left, #{columns := Columns} = Options) ->
    line([Cell || {link, _} = Cell <- Padded], clean(Why, Options), Columns).

line(Padded, Tail, Columns) ->
    Cells = [[Text, "  "] || {_, Text} <- Padded],
    cut(string:trim(unicode:characters_to_list([Cells, Tail]), trailing, " "), Columns).

padded(Cells, Shown, Widths) ->
    lists:zipwith3(
        fun({_, Kind, Align, _}, Cell, Width) -> {Kind, string:pad(Cell, Width, Align)} end, Shown, Cells, Widths
    ).

style(#{status := suspect}) -> warning;
style(#{status := down}) -> trouble;
style(#{why := ""}) -> normal;
style(_) -> trouble.

%% Head, what it is about, alignment, text. A column that is empty in every row is left out.
columns() ->
    [
        {"NODE", link, trailing, fun(#{node := Name}) -> Name end},
        {"BEAM", link, trailing, fun beam/1},
        {"LINK", link, trailing, fun(#{link := State}) -> word(State) end},
        {"HEALTH", link, trailing, fun(#{status := Status}) -> word(Status) end},
        {"ROLE", link, trailing, fun(#{role := Role}) -> word(Role) end},
        {"SYNC", link, trailing, fun synced_text/1},
        {"RTT", time, leading, fun(#{history := History}) -> rtt(History) end},
        {"AVG", time, leading, fun(#{history := History, avg := Ms}) -> measured(History, Ms) end},
        {"JITTER", time, leading, fun(#{history := History, jitter := Ms}) -> measured(History, Ms) end}
    ].

beam(#{beam := true}) -> "up";
beam(#{beam := false}) -> "-".

word(none) -> "";
word(Atom) -> atom_to_list(Atom).

synced_text(#{synced := true}) -> "yes";
synced_text(#{synced := false}) -> "no";
synced_text(_) -> "".

rtt([Newest | _]) -> milliseconds(Newest);
rtt(_) -> "".

measured([_ | _], Ms) when is_number(Ms) -> milliseconds(Ms);
measured(_, _) -> "".

rest(infinity, _) -> ?SPARK_MAX;
rest(Columns, Used) -> Columns - Used.

widths(Lines) ->
    lists:foldl(
        fun(Cells, Max) -> lists:zipwith(fun(Cell, Width) -> max(string:length(Cell), Width) end, Cells, Max) end,
        [0 || _ <- hd(Lines)],
        Lines
    ).

%% @doc Samples, newest first, as a line of bars, oldest first: from the least to the most of those
%% that fit.
-spec sparkline([number()], pos_integer(), Unicode :: boolean()) -> string().
sparkline(Samples, Width, Unicode) ->
    Shown = lists:reverse(lists:sublist(Samples, Width)),
    {Min, Max} = {lists:min(Shown), lists:max(Shown)},
    [bar(Sample, Min, Max, bars(Unicode)) || Sample <- Shown].

bars(true) -> {$▁, $▂, $▃, $▄, $▅, $▆, $▇, $█};
bars(false) -> {$_, $., $-, $~, $=, $+, $*, $#}.

bar(_, Same, Same, Bars) -> element(1, Bars);
bar(Sample, Min, Max, Bars) -> element(1 + round((Sample - Min) / (Max - Min) * (tuple_size(Bars) - 1)), Bars).

%%% Words

%% A round-trip time.
milliseconds(Ms) when Ms < 1 -> io_lib:format("~b us", [round(Ms * 1000)]);
milliseconds(Ms) when Ms < 100 -> io_lib:format("~.1f ms", [float(Ms)]);
milliseconds(Ms) -> io_lib:format("~b ms", [round(Ms)]).

%% @doc Milliseconds in the unit that fits.
-spec duration(integer()) -> unicode:chardata().
duration(Ms) when Ms < 1000 -> io_lib:format("~b ms", [max(0, Ms)]);
duration(Ms) when Ms < 10000 -> io_lib:format("~.1f s", [Ms / 1000]);
duration(Ms) when Ms < 120000 -> io_lib:format("~b s", [Ms div 1000]);
duration(Ms) when Ms < 7200000 -> io_lib:format("~b min", [Ms div 60000]);
duration(Ms) when Ms < 172800000 -> io_lib:format("~b h", [Ms div 3600000]);
duration(Ms) -> io_lib:format("~b days", [Ms div 86400000]).

count(1, What) -> ["1 ", What];
count(N, What) -> [integer_to_list(N), " ", What, "s"].

name(Node) when is_atom(Node) -> atom_to_binary(Node, utf8);
name(Node) when is_binary(Node) -> Node.

%% What the terminal may be shown: no control characters, and only ASCII where it knows no more.
clean(Text, #{unicode := Unicode}) ->
    Characters =
        case unicode:characters_to_list(Text) of
            List when is_list(List) -> List;
            {_, Good, _} -> Good ++ "?"
        end,
    [shown(Character, Unicode) || Character <- Characters].

shown(C, _) when C < 32; C >= 127, C < 160 -> $?;
shown(C, false) when C > 126 -> $?;
%% Marks that turn the direction of writing, or that take no room.
shown(C, _) when C >= 16#200B, C =< 16#200F; C >= 16#2028, C =< 16#202E -> $?;
shown(C, _) when C >= 16#2060, C =< 16#206F; C =:= 16#FEFF -> $?;
shown(C, _) -> C.

cut(Text, infinity) -> Text;
cut(Text, Columns) -> string:slice(Text, 0, Columns).
