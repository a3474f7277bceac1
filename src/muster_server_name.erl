%% @private
%% The names under which servers are started, listed as children and found.
-module(muster_server_name).

-export([rule/1, is_name/1, is_server/1, to_register/1, in_options/2, where/1]).

-export_type([name/0]).

-type name() :: atom() | {via, module(), term()} | {global, term()}.

%% The rule of an option `name' (see {@link muster_options}).
-spec rule(name()) -> {name(), fun((term()) -> boolean()), binary()}.
rule(Default) ->
    {Default, fun is_name/1, <<"an atom, {via, Module, Term} or {global, Term}">>}.

%% Elixir's words for nothing, yes and no are slips, not names.
-spec is_name(term()) -> boolean().
is_name({via, Module, _}) -> is_atom(Module);
is_name({global, _}) -> true;
is_name(Name) -> is_atom(Name) andalso not lists:member(Name, [undefined, nil, true, false]).

-spec is_server(term()) -> boolean().
is_server(Pid) when is_pid(Pid) -> true;
is_server(Name) -> is_name(Name).

%% As `gen_server:start_link/4' takes it.
-spec to_register(name()) -> {local, atom()} | {via, module(), term()} | {global, term()}.
to_register(Name) when is_atom(Name) -> {local, Name};
to_register(Name) -> Name.

%% What a child is called whose options are these. Wrong ones are for `start_link' to report.
-spec in_options(term(), name()) -> term().
in_options(Options, Default) ->
    case muster_options:pairs(Options) of
        {ok, Pairs} -> proplists:get_value(name, Pairs, Default);
        error -> Default
    end.

%% The process of that name, as far as there is one.
-spec where(pid() | name()) -> pid() | port() | undefined.
where(Pid) when is_pid(Pid) -> Pid;
where(Name) when is_atom(Name) -> whereis(Name);
where({global, Name}) -> global:whereis_name(Name);
where({via, Module, Name}) ->
    %% A registry may be away, as its names may.
    try
        Module:whereis_name(Name)
    catch
        error:_ -> undefined
    end.
