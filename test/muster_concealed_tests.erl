%% Secrets among the options of a child, in what its supervisor says of it.
-module(muster_concealed_tests).

-include_lib("eunit/include/eunit.hrl").

%% A supervisor, and a logger handler.
-export([init/1, log/2]).

-include("support/eventually.hrl").

-define(SECRET, <<"hushhushhushhush">>).
-define(OPTIONS, [{name, concealed_discovery}, {strategy, gossip}, {secret, ?SECRET}]).
-define(DEADLINE, 20000).

init(Child) -> {ok, {#{}, [Child]}}.

log(Event, #{config := Test}) ->
    {Formatter, Config} = {logger_formatter, #{single_line => false}},
    Test ! {logged, unicode:characters_to_binary(Formatter:format(Event, Config))},
    ok.

shows(Text) ->
    binary:match(iolist_to_binary(Text), ?SECRET) =/= nomatch.

specification_test() ->
    Nested = [{topologies, [{lan, gossip, [{secret, ?SECRET}]}]}],
    [
        begin
            #{start := {_, _, [Concealed]}} = Spec = muster_discovery:child_spec(Options),
            ?assertEqual(false, shows(io_lib:format("~p", [Spec]))),
            ?assertEqual(Options, Concealed())
        end
     || Options <- [?OPTIONS, maps:from_list(?OPTIONS), Nested]
    ],
    ?assertMatch(#{id := concealed_discovery}, muster_discovery:child_spec(?OPTIONS)),
    ?assertMatch(#{id := concealed_discovery}, muster_discovery:child_spec(fun() -> ?OPTIONS end)),
    Open = [{strategy, gossip}],
    ?assertMatch(#{start := {_, _, [Open]}}, muster_discovery:child_spec(Open)),
    ?assertMatch(#{start := {_, _, [improper]}}, muster_discovery:child_spec(improper)).

%% It starts, is killed, is started again and fails, too often for its supervisor: everything that
%% is logged meanwhile is looked at.
supervisor_reports_test() ->
    #{level := Level} = logger:get_primary_config(),
    {ok, #{level := Shown}} = logger:get_handler_config(default),
    logger:set_handler_config(default, level, none),
    logger:set_primary_config(level, all),
    ok = logger:add_handler(?MODULE, ?MODULE, #{config => self()}),
    {ok, Supervisor} = supervisor:start_link(?MODULE, muster_discovery:child_spec(?OPTIONS)),
    unlink(Supervisor),
    Monitor = erlang:monitor(process, Supervisor),
    First = whereis(concealed_discovery),
    exit(First, kill),
    ?eventually(not lists:member(whereis(concealed_discovery), [undefined, First])),
    exit(whereis(concealed_discovery), failed),
    receive
        {'DOWN', Monitor, process, _, _} -> ok
    after ?DEADLINE -> error(still_up)
    end,
    logger:remove_handler(?MODULE),
    logger:set_primary_config(level, Level),
    logger:set_handler_config(default, level, Shown),
    Reports = logged(),
    ?assert(lists:any(fun(R) -> binary:match(R, <<"child_terminated">>) =/= nomatch end, Reports)),
    [?assertEqual(false, shows(Report)) || Report <- Reports].

logged() ->
    receive
        {logged, Report} -> [Report | logged()]
    after 0 -> []
    end.
