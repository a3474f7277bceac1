%% @private
%% The members' roles and who commands, as the C node's table has them, or a member that is asked, or single-node mode's
%% own table: what is answered, and what is told when it changes. Pure.
-module(muster_topology_roles).

-export([new/2, of_status/2, is_role/1]).
-export([set_rows/3, set_commander/2, after_event/2, without_commander/1]).
-export([rows/1, commander/1, answer/3, changes/2]).

-export_type([roles/0, question/0, changes/0]).

-define(ROLES, [commander, wingmate, observer, relay]).

-type row() :: {node(), muster_topology:role()}.
-type question() :: list_nodes | get_command | {role_of, node()}.
-type changes() :: #{
    roles := [row()],
    gone := [node()],
    commander := same | {Old :: node() | undefined, New :: node() | undefined}
}.

-record(roles, {
    %% In the order of names.
    rows :: [row()],
    commander :: node() | undefined
}).

-opaque roles() :: #roles{}.

-spec is_role(term()) -> boolean().
is_role(Role) ->
    lists:member(Role, ?ROLES).

-spec new([row()], Commander :: node() | undefined) -> roles().
new(Rows, Commander) ->
    #roles{rows = lists:sort(Rows), commander = Commander}.

%% As the C node's status says. `Self' is a member, also before the table says so.
-spec of_status(muster_election_group:status(), Self :: node()) -> roles().
of_status(#{roles := Rows, commander := Commander}, Self) ->
    new(named(Rows, Self), muster_election_group:node_of(Commander)).

%% The C node's table has changed.
-spec set_rows([{Name :: binary(), muster_topology:role()}], Self :: node(), roles()) -> roles().
set_rows(Rows, Self, #roles{commander = Commander}) ->
    new(named(Rows, Self), Commander).

named(Rows, Self) ->
    Named = [{muster_election_group:node_of(Name), Role} || {Name, Role} <- Rows],
    case lists:keymember(Self, 1, Named) of
        true -> Named;
        false -> [{Self, wingmate} | Named]
    end.

-spec set_commander(Name :: binary() | none, roles()) -> roles().
set_commander(Name, R) ->
    R#roles{commander = muster_election_group:node_of(Name)}.

%% What another member told its subscribers. What it says for nobody depends on its face.
-spec after_event(Event :: term(), roles()) -> roles().
after_event({commander_changed, _, None}, R) when None =:= undefined; None =:= nil ->
    R#roles{commander = undefined};
after_event({commander_changed, _, Commander}, R) when is_atom(Commander) ->
    R#roles{commander = Commander};
after_event({role_changed, Node, Role}, #roles{rows = Rows, commander = Commander}) when is_atom(Node) ->
    Others = lists:keydelete(Node, 1, Rows),
    case is_role(Role) of
        true -> new([{Node, Role} | Others], Commander);
        false -> new(Others, Commander)
    end;
after_event(_, R) ->
    R.

%% The C node is away: nobody can be said to command, and nobody's role has changed otherwise.
-spec without_commander(roles()) -> roles().
without_commander(#roles{rows = Rows}) ->
    Row = fun
        ({Node, commander}) -> {Node, wingmate};
        (Other) -> Other
    end,
    new(lists:map(Row, Rows), undefined).

-spec rows(roles()) -> [row()].
rows(#roles{rows = Rows}) ->
    Rows.

-spec commander(roles()) -> node() | undefined.
commander(#roles{commander = Commander}) ->
    Commander.

%% With the token of the command.
-spec answer(question(), muster_topology:token() | none, roles()) ->
    [row()] | muster_topology:role() | {ok, node(), muster_topology:token()} | {error, no_commander}.
answer(list_nodes, _, #roles{rows = Rows}) ->
    Rows;
answer({role_of, Node}, _, #roles{rows = Rows}) ->
    proplists:get_value(Node, Rows, wingmate);
answer(get_command, Token, #roles{commander = Commander}) when Commander =:= undefined; Token =:= none ->
    {error, no_commander};
answer(get_command, Token, #roles{commander = Commander}) ->
    {ok, Commander, Token}.

-spec changes(Old :: roles(), New :: roles()) -> changes().
changes(#roles{rows = Before, commander = Old}, #roles{rows = After, commander = New}) ->
    #{
        roles => After -- Before,
        gone => [Node || {Node, _} <- Before, not lists:keymember(Node, 1, After)],
        commander =>
            case New of
                Old -> same;
                _ -> {Old, New}
            end
    }.
