%% @private
%% The table of a topology in single-node mode. This node is the only one with a vote, whoever else is listed, so there
%% is a commander where one vote is enough: who was promoted, else this node while it is a wingmate. Pure.
-module(muster_topology_alone).

-export([new/2, enter/3, rename/2, join/2, leave/2, promote/3]).
-export([roles/1, token/1]).

-export_type([table/0]).

-record(table, {
    self :: node(),
    quorum :: pos_integer(),
    rows :: #{node() => wingmate | observer | relay},
    %% Who was promoted to command, for as long as it is listed.
    pin :: node() | undefined,
    %% Of the command: its term rises with each.
    token = {0, 0} :: {non_neg_integer(), integer()}
}).

-opaque table() :: #table{}.

%% Of the node of that name; commands take `Quorum' votes.
-spec new(node(), Quorum :: pos_integer()) -> table().
new(Self, Quorum) ->
    #table{self = Self, quorum = Quorum, rows = #{Self => wingmate}}.

%% Single-node mode begins, and with it a new command. `Now' in milliseconds keeps terms above those of the node's
%% earlier lives; `Election' is a random number, which tells it from other nodes'.
-spec enter(Now :: integer(), Election :: integer(), table()) -> table().
enter(Now, Election, #table{token = {Term, _}} = T) ->
    T#table{token = {max(Term + 1, Now), Election}}.

%% This node has got its name.
-spec rename(node(), table()) -> table().
rename(Name, #table{self = Self, rows = Rows, pin = Pin} = T) ->
    {Role, Others} = maps:take(Self, Rows),
    NewPin =
        case Pin of
            Self -> Name;
            _ -> Pin
        end,
    T#table{self = Name, rows = Others#{Name => Role}, pin = NewPin}.

-spec join(node(), table()) -> table().
join(Node, #table{rows = Rows} = T) ->
    commanded(T, T#table{rows = maps:merge(#{Node => wingmate}, Rows)}).

-spec leave(node(), table()) -> table().
leave(Self, #table{self = Self} = T) ->
    T;
leave(Node, #table{rows = Rows} = T) ->
    commanded(T, T#table{rows = maps:remove(Node, Rows)}).

-spec promote(node(), muster_topology:role(), table()) ->
    {ok, table()} | {error, unknown_node | no_commander}.
promote(Node, _Role, #table{rows = Rows}) when not is_map_key(Node, Rows) ->
    {error, unknown_node};
promote(_Node, _Role, #table{quorum = Quorum}) when Quorum > 1 ->
    {error, no_commander};
promote(Node, commander, #table{rows = Rows} = T) ->
    {ok, commanded(T, T#table{rows = Rows#{Node := wingmate}, pin = Node})};
promote(Node, Role, #table{rows = Rows, pin = Node} = T) ->
    {ok, commanded(T, T#table{rows = Rows#{Node := Role}, pin = undefined})};
promote(Node, Role, #table{rows = Rows} = T) ->
    {ok, commanded(T, T#table{rows = Rows#{Node := Role}})}.

%% Each command has its own token.
commanded(Before, #table{token = {Term, Election}} = After) ->
    case commander(Before) =:= commander(After) of
        true -> After;
        false -> After#table{token = {Term + 1, Election}}
    end.

commander(#table{quorum = Quorum}) when Quorum > 1 ->
    undefined;
commander(#table{pin = Pin, rows = Rows}) when is_map_key(Pin, Rows) ->
    Pin;
commander(#table{self = Self, rows = Rows}) ->
    case Rows of
        #{Self := wingmate} -> Self;
        #{} -> undefined
    end.

-spec roles(table()) -> muster_topology_roles:roles().
roles(#table{rows = Rows} = T) ->
    Commander = commander(T),
    Role = fun
        (Node, _) when Node =:= Commander -> commander;
        (_, Row) -> Row
    end,
    muster_topology_roles:new(maps:to_list(maps:map(Role, Rows)), Commander).

-spec token(table()) -> {non_neg_integer(), integer()}.
token(#table{token = Token}) ->
    Token.
