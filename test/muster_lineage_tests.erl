%% No dot is issued twice: processes on all schedulers add to each other's values while the code
%% is upgraded and lineages are evicted.
-module(muster_lineage_tests).

-include_lib("eunit/include/eunit.hrl").

-define(WORKERS, 8).
-define(ADDS, 4000).
-define(UPGRADES, 10).

contention_test_() ->
    {timeout, 120, fun() ->
        Table = ets:new(values, [public, {read_concurrency, true}]),
        %% Few values, which all start from: everyone keeps forking everyone.
        [ets:insert(Table, {Slot, muster_or_set:from_list([Slot])}) || Slot <- [1, 2, 3]],
        Workers = [spawn_monitor(fun() -> exit({dots, work(Table, ?ADDS, [])}) end) || _ <- lists:seq(1, ?WORKERS)],
        [upgrade() || _ <- lists:seq(1, ?UPGRADES)],
        Dots = lists:append([
            receive
                {'DOWN', Reference, process, Pid, {dots, Issued}} -> Issued
            end
         || {Pid, Reference} <- Workers
        ]),
        ?assertEqual(?WORKERS * ?ADDS, length(Dots)),
        ?assertEqual(length(Dots), length(lists:usort(Dots))),
        %% Most adds went on with a lineage: the table works, it does not merely refuse.
        Lineages = lists:usort([Lineage || {Lineage, _} <- Dots]),
        ?assert(length(Lineages) < length(Dots) div 2)
    end}.

%% Takes any value, adds once or twice, and sometimes puts the result where others find it.
work(_Table, 0, Dots) ->
    Dots;
work(Table, Left, Dots) ->
    Slot = rand:uniform(3),
    [{Slot, Value}] = ets:lookup(Table, Slot),
    {Added, Dot} = add(Value),
    rand:uniform(4) =:= 1 andalso ets:insert(Table, {Slot, Added}),
    more(Table, Left - 1, [Dot | Dots], Added).

more(Table, Left, Dots, Value) when Left > 0, Left rem 8 =/= 0 ->
    {Added, Dot} = add(Value),
    more(Table, Left - 1, [Dot | Dots], Added);
more(Table, Left, Dots, _Value) ->
    work(Table, Left, Dots).

add(Value) ->
    #{root := Root} = Added = muster_or_set:add(Value, x, r),
    [{_, _} = Dot] = muster_trie:siblings(x, Root),
    {Added, Dot}.

%% Loads the code anew, beside the old; the table must be the same one.
upgrade() ->
    case code:soft_purge(muster_nif) of
        true ->
            {module, muster_nif} = code:load_file(muster_nif);
        false ->
            erlang:yield(),
            upgrade()
    end.

the_table_survives_an_upgrade_test() ->
    Value = muster_or_set:add(muster_or_set:new(), x, r),
    upgrade(),
    upgrade(),
    #{context := #{r := Group}} = muster_or_set:add(Value, y, r),
    ?assertEqual(2, tuple_size(Group)).

%% Any slot is taken over by whoever comes later; the forgotten lineage goes on as a fresh one.
eviction_test() ->
    Value = muster_or_set:add(muster_or_set:new(), x, r),
    [muster_or_set:add(muster_or_set:new(), y) || _ <- lists:seq(1, 600000)],
    #{context := #{r := Group}} = Later = muster_or_set:add(Value, z, r),
    ?assertEqual(4, tuple_size(Group)),
    ok = muster_crdt_gen:check_form(Later),
    ?assertEqual(Later, muster_or_set:merge(Value, Later)).

%% Without the library, a call says which file is missing.
missing_library_test() ->
    {ok, Directory} = file:get_cwd(),
    Beam = code:which(muster_nif),
    Empty = filename:join(Directory, "build/no_priv"),
    Code =
        "try muster_nif:version(), halt(1) catch error:{nif_not_loaded, Text} -> "
        "io:put_chars(Text), halt(0) end.",
    ok = filelib:ensure_dir(filename:join([Empty, "ebin", "x"])),
    {ok, _} = file:copy(Beam, filename:join([Empty, "ebin", "muster_nif.beam"])),
    Text = os:cmd("erl -noshell -pa " ++ filename:join(Empty, "ebin") ++ " -eval '" ++ Code ++ "'"),
    ?assertMatch({match, _}, re:run(Text, "muster_nif\\.so")).
