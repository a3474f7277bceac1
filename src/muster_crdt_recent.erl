%% @doc A value's latest changes: which key each of its youngest dots lives at.
%%
%% A delta says of some dots that they are dead without naming their keys, as its sender no longer
%% knows them. A receiver that has such a dot from a third node would have to look through all its
%% elements; this memory finds it at once. It is kept beside a value and handed from one
%% {@link muster_crdt_delta:join/3} to the next; it notices by itself what changed the value in
%% between. Its size is bounded. Without it, or where it does not reach back far enough, joining
%% gives the same, but slower.
-module(muster_crdt_recent).

-export([new/1, none/0, observe/2, find/2]).
-export_type([recent/0]).

-type value() :: muster_crdt:causal().
-type dots() :: #{muster_crdt_delta:dot() => Key :: term()}.
%% Each live dot of the value above the older floor is in one of the two generations; not all that
%% are in there still live.
-opaque recent() ::
    none
    | #{
        value := value(),
        newer := dots(),
        floor := muster_causal:counters(),
        older := dots(),
        older_floor := muster_causal:counters()
    }.

%% Dots in one generation.
-define(GENERATION, 8192).
%% Pairs of slots looked at for what has changed; if more has, the memory starts afresh.
-define(BUDGET, 32768).

%% @doc The memory of a value, knowing nothing of how it came about.
-spec new(value()) -> recent().
new(#{root := _, context := Context} = Value) ->
    Floor = muster_causal:counters(Context),
    #{value => Value, newer => #{}, floor => Floor, older => #{}, older_floor => Floor}.

%% @doc No memory.
-spec none() -> recent().
none() ->
    none.

%% @doc Takes in how the value has changed since last time.
-spec observe(value(), recent()) -> recent().
observe(_Value, none) ->
    none;
observe(#{root := Root} = Value, #{value := #{root := Before}, newer := Newer} = Recent) ->
    case muster_trie:next_differences(muster_trie:differences(Before, Root), ?BUDGET) of
        {Changed, []} -> rotate(Recent#{value := Value, newer := lists:foldl(fun note/2, Newer, Changed)});
        {_, _More} -> new(Value)
    end.

note({Key, Before, Now}, Dots) ->
    lists:foldl(fun(S, Acc) -> Acc#{{element(1, S), element(2, S)} => Key} end, Dots, Now -- Before).

rotate(#{value := #{context := Context}, newer := Newer, floor := Floor} = Recent) when
    map_size(Newer) > ?GENERATION
->
    Recent#{newer := #{}, floor := muster_causal:counters(Context), older := Newer, older_floor := Floor};
rotate(Recent) ->
    Recent.

%% @doc The dots of these parts of lineages that may live, with their keys; `unknown' if the memory
%% does not reach back to them.
-spec find([{muster_nif:lineage(), Above :: non_neg_integer(), UpTo :: muster_nif:counter()}], recent()) ->
    {ok, [{Key :: term(), [muster_crdt_delta:dot()]}]} | unknown.
find(_Parts, none) ->
    unknown;
find(Parts, #{newer := Newer, older := Older, older_floor := Floor}) ->
    case lists:all(fun({Lineage, Above, _}) -> Above >= maps:get(Lineage, Floor, 0) end, Parts) of
        true -> {ok, [Found || Part <- Parts, Dots <- [Newer, Older], Found <- within(Part, Dots)]};
        false -> unknown
    end.

within({Lineage, Above, UpTo}, Dots) when UpTo - Above < map_size(Dots) ->
    [{Key, [{Lineage, N}]} || N <- lists:seq(Above + 1, UpTo), {ok, Key} <- [maps:find({Lineage, N}, Dots)]];
within({Lineage, Above, UpTo}, Dots) ->
    [{Key, [Dot]} || {{L, N} = Dot, Key} <- maps:to_list(Dots), L =:= Lineage, Above < N, N =< UpTo].
