%% @private
%% Who is registered with {@link muster_cnode} for which service's events under which key, and what
%% the C node is told when the last one of a key has gone.
-module(muster_cnode_services).

-export([new/0, add/4, remove/4, gone/3, tell/3, tell_all/2]).

-export_type([services/0, farewell/0]).

-type service_key() :: {muster_cnode:service(), muster_cnode:key()}.
-type farewell() :: {muster_cnode:service(), Op :: atom(), Arg :: term()}.

-record(services, {
    keys = #{} :: #{service_key() => #{pid() => muster_cnode:on_exit()}},
    pids = #{} :: #{pid() => reference()}
}).

-opaque services() :: #services{}.

-spec new() -> services().
new() ->
    #services{}.

%% Monitors the process: its `DOWN' message is for {@link gone/3}.
-spec add(pid(), service_key(), muster_cnode:on_exit(), services()) -> services().
add(Pid, ServiceKey, OnExit, #services{keys = Keys, pids = Pids}) ->
    Monitor =
        case Pids of
            #{Pid := Known} -> Known;
            #{} -> erlang:monitor(process, Pid)
        end,
    Members = maps:get(ServiceKey, Keys, #{}),
    #services{keys = Keys#{ServiceKey => Members#{Pid => OnExit}}, pids = Pids#{Pid => Monitor}}.

%% The process has ended. `Reason' is its exit reason.
-spec gone(pid(), Reason :: term(), services()) -> {[farewell()], services()}.
gone(Pid, Reason, #services{keys = Keys} = All) ->
    Of = [ServiceKey || {ServiceKey, #{Pid := _}} <- maps:to_list(Keys)],
    lists:foldl(
        fun(ServiceKey, {Farewells, Acc}) ->
            {More, Rest} = remove(Pid, ServiceKey, Reason, Acc),
            {More ++ Farewells, Rest}
        end,
        {[], All},
        Of
    ).

-spec remove(pid(), service_key(), Reason :: term(), services()) -> {[farewell()], services()}.
remove(Pid, {Service, _} = ServiceKey, Reason, #services{keys = Keys} = All) ->
    case maps:take(Pid, maps:get(ServiceKey, Keys, #{})) of
        error ->
            {[], All};
        {OnExit, Others} when map_size(Others) =:= 0 ->
            Farewell = [{Service, Op, Arg} || {Op, Arg} <- [on_exit(OnExit, Reason)]],
            {Farewell, forget(Pid, All#services{keys = maps:remove(ServiceKey, Keys)})};
        {_, Others} ->
            {[], forget(Pid, All#services{keys = Keys#{ServiceKey => Others}})}
    end.

on_exit({Op, Arg, _}, normal) -> {Op, Arg};
on_exit({Op, Arg, _}, shutdown) -> {Op, Arg};
on_exit({Op, Arg, _}, {shutdown, _}) -> {Op, Arg};
on_exit({Op, _, Crashed}, _) -> {Op, Crashed};
on_exit(OnExit, _) -> OnExit.

%% Drops the monitor of a process that has no key left.
forget(Pid, #services{keys = Keys, pids = Pids} = All) ->
    case lists:any(fun(Members) -> is_map_key(Pid, Members) end, maps:values(Keys)) of
        true ->
            All;
        false ->
            {Monitor, Rest} = maps:take(Pid, Pids),
            erlang:demonitor(Monitor, [flush]),
            All#services{pids = Rest}
    end.

-spec tell(service_key(), Event :: term(), services()) -> ok.
tell({Service, Key} = ServiceKey, Event, #services{keys = Keys}) ->
    Members = maps:get(ServiceKey, Keys, #{}),
    maps:foreach(fun(Pid, _) -> Pid ! {muster_cnode, event, Service, Key, Event} end, Members).

-spec tell_all(Message :: term(), services()) -> ok.
tell_all(Message, #services{pids = Pids}) ->
    maps:foreach(fun(Pid, _) -> Pid ! Message end, Pids).
