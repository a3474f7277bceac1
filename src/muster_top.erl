%% @doc A live view of the cluster for its operator, as one node sees it: peers and why they are not
%% connected, round-trip times, health, roles, the commander, discovery, the overlay.
%%
%% From a shell of your machine, in your project:
%% ```
%% mix muster.top --node app@host1
%% erl -noshell -pa _build/default/lib/*/ebin -s muster_top -extra --node app@host1
%% '''
%% The node that is looked at must have muster's code. This one joins hidden, under a name of its own, and
%% is no member of anything. Where the output is no terminal, plain text is written, a snapshot per
%% interval. `docs/top.md' says what the columns mean.
-module(muster_top).

-export([start/0, main/1, run/1, once/0, once/1]).

-export_type([options/0]).

-define(MAX_MS, 3600000).
-define(MIN_MS, 100).
%% How often it is looked whether the terminal has another size.
-define(RESIZE_MS, 200).

-type options() :: #{
    node => node() | string(),
    interval_ms => pos_integer(),
    timeout_ms => pos_integer(),
    once => boolean(),
    unicode => boolean(),
    cookie_file => string(),
    name => {shortnames | longnames, string()},
    discovery => atom(),
    node_monitor => atom(),
    topology => atom(),
    overlay => atom()
}.
%% As on the command line, see `docs/top.md'; `timeout_ms', 1..60000, default 2000, is how long servers
%% are waited for. The last four name servers with names of their own.

-record(state, {
    options :: muster_top_options:options(),
    node :: node(),
    screen :: muster_top_terminal:terminal() | plain,
    size = {80, 24} :: {pos_integer(), pos_integer()},
    interval :: pos_integer(),
    paused = false :: boolean(),
    collector = none :: none | {pid(), reference()},
    timer = none :: none | reference(),
    last = none :: none | muster_top_snapshot:snapshot(),
    problem = none :: none | term()
}).

%% @doc For `erl -s muster_top': {@link main/1} with what follows `-extra', then the VM ends.
-spec start() -> no_return().
start() ->
    halt(main(init:get_plain_arguments())).

%% @doc Runs with arguments of a command line, in a VM that is there for this alone. Returns the exit
%% code: 0, 1 when `--once' saw nothing or the node cannot be reached by this one, 2 for wrong arguments.
-spec main([unicode:chardata()]) -> 0..2.
main(Arguments) ->
    _ = [io:setopts(Device, [{encoding, encoding()}]) || Device <- [standard_io, standard_error]],
    case muster_top_options:parse(Arguments) of
        {ok, Options} ->
            %% Reports of lost connections would go over the picture.
            _ = logger:set_primary_config(level, none),
            exit_code(run_or_fail(Options));
        help ->
            io:put_chars(muster_top_options:usage()),
            0;
        {error, Text} ->
            complain(Text),
            2
    end.

%% Said in one line instead of a crash dump.
run_or_fail(Options) ->
    try
        run_checked(Options)
    catch
        Class:Reason -> {error, {Class, Reason}}
    end.

encoding() ->
    case muster_top_options:is_utf8() of
        true -> unicode;
        false -> latin1
    end.

exit_code(ok) ->
    0;
exit_code({error, Reason}) ->
    complain(problem(Reason)),
    1.

complain(Text) ->
    io:put_chars(standard_error, ["muster_top: ", Text, "\n"]).

%% @doc One look at this node, as text.
-spec once() -> ok | {error, term()}.
once() ->
    once(#{}).

%% @doc One look, as text.
-spec once(options()) -> ok | {error, term()}.
once(Options) ->
    run(Options#{once => true}).

%% @doc Runs in this VM until `q' is typed; looks at this node unless told another. In an Erlang or Elixir
%% shell keys count after Enter. A wrong option gives `{error, {invalid_option, Name, Value, Expected}}'.
-spec run(options()) -> ok | {error, term()}.
run(Options) ->
    case muster_top_options:check(Options) of
        {ok, Checked} -> run_checked(Checked);
        {error, Invalid} -> {error, Invalid}
    end.

run_checked(#{node := Name} = Options) ->
    case muster_top_node:reach(Name, Options) of
        {ok, Node, Undo} ->
            try
                run_on(Node, Options)
            after
                Undo()
            end;
        {error, Reason} ->
            {error, Reason}
    end.

run_on(Node, #{once := true} = Options) ->
    case muster_top_snapshot:collect(Node, servers(Options)) of
        {ok, Snapshot} -> print(Snapshot, Options);
        {error, Reason} -> {error, {Node, Reason}}
    end;
run_on(Node, #{interval_ms := Interval} = Options) ->
    State = #state{options = Options, node = Node, screen = plain, interval = Interval},
    case muster_top_terminal:open() of
        {ok, Terminal} ->
            try
                loop(look(resize_timer(State#state{screen = Terminal})))
            after
                muster_top_terminal:close(Terminal)
            end;
        not_a_terminal ->
            loop(look(State))
    end.

servers(Options) ->
    Given = maps:with([discovery, node_monitor, topology, overlay], Options),
    (maps:filter(fun(_, Name) -> Name =/= default end, Given))#{timeout_ms => maps:get(timeout_ms, Options)}.

%%% The loop

loop(#state{collector = Collector} = S) ->
    receive
        {'DOWN', Monitor, process, Pid, Result} when Collector =:= {Pid, Monitor} ->
            looked(Result, S#state{collector = none});
        {key, eof} ->
            loop(S);
        {key, Key} ->
            key(Key, S);
        {timeout, Timer, look} when Timer =:= S#state.timer ->
            loop(look(S#state{timer = none}));
        {timeout, _, resize} ->
            loop(resized(S));
        {timeout, _, _} ->
            loop(S)
    end.

key(Key, _) when Key =:= $q; Key =:= $Q; Key =:= 3; Key =:= 4 ->
    ok;
key(Key, #state{paused = Paused} = S) when Key =:= $p; Key =:= $\s ->
    loop(show(look_later(S#state{paused = not Paused})));
key($+, #state{interval = Ms} = S) ->
    loop(show(look_later(S#state{interval = max(?MIN_MS, Ms div 2)})));
key($-, #state{interval = Ms} = S) ->
    loop(show(look_later(S#state{interval = min(?MAX_MS, Ms * 2)})));
key(_, S) ->
    loop(look(S)).

%% The node is asked by another process, so that keys work meanwhile.
look(#state{collector = none, node = Node, options = Options} = S) ->
    Servers = servers(Options),
    Collector = spawn_monitor(fun() -> exit({looked, muster_top_snapshot:collect(Node, Servers)}) end),
    S#state{collector = Collector};
look(S) ->
    S.

looked({looked, {ok, Snapshot}}, S) ->
    told(S#state{last = Snapshot, problem = none});
looked({looked, {error, Reason}}, S) ->
    told(S#state{problem = Reason});
looked(Reason, S) ->
    told(S#state{problem = Reason}).

told(S) ->
    loop(look_later(show(S))).

look_later(#state{timer = Timer, interval = Ms, paused = Paused} = S) ->
    _ = is_reference(Timer) andalso erlang:cancel_timer(Timer),
    case Paused of
        true -> S#state{timer = none};
        false -> S#state{timer = erlang:start_timer(Ms, self(), look)}
    end.

resize_timer(S) ->
    _ = erlang:start_timer(?RESIZE_MS, self(), resize),
    S#state{size = size_now(S)}.

resized(#state{size = Was} = S) ->
    case resize_timer(S) of
        #state{size = Was} = Same -> Same;
        Other -> show(Other)
    end.

size_now(#state{size = Was}) ->
    case {muster_top_terminal:columns(), muster_top_terminal:rows()} of
        {{ok, Columns}, {ok, Rows}} -> {Columns, Rows};
        _ -> Was
    end.

%%% Showing

show(#state{screen = plain, last = Snapshot, problem = none, options = Options} = S) when is_map(Snapshot) ->
    _ = print(Snapshot, Options),
    io:put_chars("\n"),
    S;
show(#state{screen = plain, node = Node, problem = Reason} = S) ->
    complain(problem({Node, Reason})),
    S;
show(#state{size = {Columns, _} = Size, options = #{unicode := Unicode}} = S) ->
    Head = [{title, title(S)}, {trouble, notice(S)}, {normal, ""}],
    Lines =
        case S#state.last of
            none -> [];
            Snapshot -> muster_top_view:lines(Snapshot, #{columns => Columns, unicode => Unicode})
        end,
    muster_top_terminal:draw([{Style, string:slice(Text, 0, Columns)} || {Style, Text} <- Head] ++ Lines, Size),
    S.

title(#state{node = Node, last = Last, interval = Ms, paused = Paused}) ->
    io_lib:format("muster top   ~ts   ~ts   ~ts   (q quits, p pauses, + and - change the interval)", [
        Node,
        case Last of
            none -> "no answer yet";
            #{at := At} -> time(At)
        end,
        case Paused of
            true -> "paused";
            false -> ["every ", muster_top_view:duration(Ms)]
        end
    ]).

notice(#state{problem = none}) -> "";
notice(#state{node = Node, problem = Reason}) -> ["!! ", problem({Node, Reason}), "; asking again"].

print(#{node := Node, at := At, version := Version} = Snapshot, #{unicode := Unicode}) ->
    Lines = muster_top_view:lines(Snapshot, #{columns => infinity, unicode => Unicode}),
    Time = calendar:system_time_to_rfc3339(At, [{unit, millisecond}]),
    Title = io_lib:format("~ts at ~ts, muster ~ts", [Node, Time, Version]),
    io:put_chars([[Line, "\n"] || {_, Line} <- [{title, Title} | Lines]]).

time(At) ->
    {_, {Hour, Minute, Second}} = calendar:system_time_to_local_time(At, millisecond),
    io_lib:format("~2..0b:~2..0b:~2..0b", [Hour, Minute, Second]).

problem({Node, too_old}) -> io_lib:format("~ts runs no muster, or one without muster_top", [Node]);
problem({Node, noconnection}) -> io_lib:format("~ts cannot be reached: is it there, and its cookie ours?", [Node]);
problem({Node, timeout}) -> io_lib:format("~ts does not answer", [Node]);
problem({cookie_file, Path, Reason}) -> io_lib:format("--cookie-file ~ts: ~ts", [Path, Reason]);
problem({not_distributed, Reason}) -> io_lib:format("this node cannot become part of a cluster: ~0tP", [Reason, 20]);
problem(Reason) -> io_lib:format("~0tP", [Reason, 20]).
