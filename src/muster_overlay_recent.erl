%% @private
%% Which keys the latest dots of each lineage were given to.
%%
%% With three nodes, each change comes twice: from its author and from the one who has heard of it
%% before us. The second time the delta speaks of dots that we have seen, and those of them that
%% live here and that it does not list are dead. To find them, joining would ask all our dots; this
%% index knows those of late.
-module(muster_overlay_recent).

-export([new/0, add/3, cut/3]).
-export_type([recent/0]).

%% Per lineage: all dots above `From' are listed, the latest first.
-type recent() :: #{muster_nif:lineage() => {From :: non_neg_integer(), Count :: non_neg_integer(), [entry()]}}.
-type entry() :: {muster_nif:counter(), muster_overlay_state:key()}.

-define(KEPT, 4096).

-spec new() -> recent().
new() ->
    #{}.

%% Notes the dots that a step from one state to another brought, given the keys that it wrote. What else
%% the new context has seen had no key any more.
-spec add([muster_overlay_state:key()], {Old :: muster_overlay_state:state(), New :: muster_overlay_state:state()}, recent()) ->
    recent().
add(_Keys, {#{context := Same}, #{context := Same}}, Recent) ->
    Recent;
add(Keys, {#{context := Old}, #{root := Root}}, Recent) ->
    Seen = muster_causal:counters(Old),
    Dots = lists:sort([
        {Lineage, N, Key}
     || Key <- Keys,
        Sibling <- muster_trie:siblings(Key, Root),
        {Lineage, N} <- [{element(1, Sibling), element(2, Sibling)}],
        not muster_causal:is_seen({Lineage, N}, Seen)
    ]),
    lists:foldl(fun({Lineage, N, Key}, Acc) -> push(Lineage, N, Key, Seen, Acc) end, Recent, Dots).

push(Lineage, N, Key, Seen, Recent) ->
    {From, Count, Entries} = maps:get(Lineage, Recent, {maps:get(Lineage, Seen, 0), 0, []}),
    Recent#{Lineage => trim(From, Count + 1, [{N, Key} | Entries])}.

trim(From, Count, Entries) when Count < 2 * ?KEPT ->
    {From, Count, Entries};
trim(_From, _Count, Entries) ->
    {Kept, [{Highest, _} | _]} = lists:split(?KEPT, Entries),
    {Highest, ?KEPT, Kept}.

%% The same delta, without what the state has seen already: those of its dots that must die are
%% named. Where the index does not reach back far enough, the delta as it is.
-spec cut(muster_crdt_delta:delta(), muster_overlay_state:state(), recent()) -> muster_crdt_delta:delta().
cut({delta, Intervals, Dead, Live} = Delta, #{root := Root, context := Context}, Recent) ->
    Seen = muster_causal:counters(Context),
    Overlaps = [
        {Lineage, Above, min(UpTo, Known)}
     || {_, Lineage, Above, UpTo} <- Intervals, Known <- [maps:get(Lineage, Seen, 0)], Known > Above
    ],
    case lists:all(fun({Lineage, Above, _}) -> reaches(Lineage, Above, Recent) end, Overlaps) of
        false ->
            Delta;
        true ->
            Living = maps:from_list([{{element(1, S), element(2, S)}, true} || {_, Siblings} <- Live, S <- Siblings]),
            Gone = [
                {Key, [{Lineage, N}]}
             || {Lineage, Above, UpTo} <- Overlaps,
                {N, Key} <- between(Lineage, Above, UpTo, Recent),
                not is_map_key({Lineage, N}, Living),
                lives({Lineage, N}, Key, Root)
            ],
            {delta, lists:flatmap(fun(Interval) -> above(Interval, Seen) end, Intervals), Gone ++ Dead, Live}
    end.

reaches(Lineage, Above, Recent) ->
    case Recent of
        #{Lineage := {From, _, _}} -> Above >= From;
        #{} -> false
    end.

between(Lineage, Above, UpTo, Recent) ->
    #{Lineage := {_, _, Entries}} = Recent,
    Later = lists:takewhile(fun({N, _}) -> N > Above end, Entries),
    lists:dropwhile(fun({N, _}) -> N > UpTo end, Later).

lives({Lineage, N}, Key, Root) ->
    lists:any(fun(S) -> element(1, S) =:= Lineage andalso element(2, S) =:= N end, muster_trie:siblings(Key, Root)).

above({Replica, Lineage, Above, UpTo}, Seen) ->
    case maps:get(Lineage, Seen, 0) of
        Known when Known >= UpTo -> [];
        Known -> [{Replica, Lineage, max(Above, Known), UpTo}]
    end.
