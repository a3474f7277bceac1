%% @private
%% What there is to know about a member, for the eye.
-module(muster_leader_inspection).

-export([of_member/3]).

%% From what the process knows, and what its C node says, if there is one.
-spec of_member(pid(), muster_group_registry:view(), {ok, map()} | {error, term()}) ->
    muster_leader:inspection().
of_member(Pid, #{mode := Mode, voters := Voters} = View, Status) ->
    Common = maps:with([leader, leader_node, term, token, peers, voters], View),
    Own = Common#{cluster => id(View)},
    case {Mode, Status} of
        {_, {ok, Map}} -> with_reason(Mode, from_status(Own, Map));
        {alone, _} -> Own#{role => leader, is_leader => leads(Pid, View), quorum => 1,
            missing => 0, missing_voters => [], reason => <<>>};
        _ ->
            Quorum = length(Voters) div 2 + 1,
            with_reason(Mode, Own#{role => none, is_leader => false, quorum => Quorum,
                missing => Quorum, missing_voters => Voters})
    end.

id(#{key := <<"leader:", Id/binary>>}) -> Id.

leads(Pid, #{leader := Leader}) -> Pid =:= Leader.

from_status(Own, #{members := Members, voters := Names} = Status) ->
    Open = [Node || #{node := Node, link := open} <- Members],
    Missing = [Name || Name <- Names, not lists:member(Name, [own() | Open])],
    #{role := Role, is_leader := IsLeader, quorum := Quorum, missing := Count} = Status,
    Own#{
        role => Role,
        is_leader => IsLeader,
        quorum => Quorum,
        missing => Count,
        missing_voters => [muster_election_group:node_of(Name) || Name <- Missing],
        problem => maps:get(problem, Status, <<>>)
    }.

own() ->
    muster_election_group:name(node()).

with_reason(Mode, Inspection) ->
    Inspection#{reason => unicode:characters_to_binary(reason(Mode, Inspection))}.

reason({waiting, not_alive}, _) ->
    "this BEAM has no name, so the other voters cannot be reached";
reason({waiting, unavailable}, _) ->
    "there is no C node here to elect a leader";
reason({waiting, {refused, {_, Text}}}, _) when is_binary(Text) ->
    ["the C node refuses: ", Text];
reason({waiting, {refused, Reason}}, _) ->
    io_lib:format("the C node refuses: ~0tp", [Reason]);
reason({waiting, _}, _) ->
    "the C node is about to be started";
reason(_, #{leader_node := Leader}) when Leader =/= undefined ->
    "";
reason(_, #{problem := Problem}) when Problem =/= <<>> ->
    Problem;
reason(_, #{missing := Missing, quorum := Quorum, missing_voters := Nodes}) when Missing > 0 ->
    io_lib:format("~b of the ~b voters that are needed cannot be reached; out of reach: ~ts",
        [Missing, Quorum, lists:join(", ", [atom_to_list(Node) || Node <- Nodes])]);
reason(_, _) ->
    "an election is going on".
