%% @private
%% Partial partitions. When A and B cannot reach each other and C reaches both, OTP's `global' does not let C keep both
%% connections (`prevent_overlapping_partitions'): connecting to B tears C from A. So before a lost connection is made
%% again, the C node beside the node is asked which nodes it reaches: while one side reaches a node that the other does
%% not, it is better left. Where nobody answers (a node without muster) there is nothing to say against it.
-module(muster_overlap).

-export([check/1, cut_off/5]).

-define(ANSWER_MS, 2000).

%% Whether the other node sees what this one sees, as far as both can tell: else there is an overlap. Asks this node's C
%% node and the other's, each for two seconds at most.
-spec check(node()) -> agreed | overlap.
check(Node) ->
    case application:get_env(kernel, prevent_overlapping_partitions, true) of
        false -> agreed;
        _ -> compare(name(Node), muster_cnode:call(node, peers, #{}, ?ANSWER_MS))
    end.

compare(Name, {ok, Peers}) ->
    case states(Peers) of
        %% Else there is nobody to ask.
        #{Name := connected} = Mine ->
            Up = [name(Node) || Node <- nodes()],
            case cut_off(name(node()), Name, Up, Mine, states(peers_of(Name))) of
                [] -> agreed;
                [_ | _] -> overlap
            end;
        #{} ->
            agreed
    end;
compare(_, {error, _}) ->
    agreed.

%% The C node beside a node lists its peers for anyone who knows the cookie, over the hidden
%% connection that it has to this node anyway, or will have after this.
peers_of(Name) ->
    try
        %% A name that would be too long is none.
        Cnode = binary_to_atom(muster_cnode_name:beside(Name), utf8),
        gen_server:call({muster, Cnode}, peers, ?ANSWER_MS)
    of
        Peers when is_list(Peers) -> Peers;
        _ -> []
    catch
        exit:_ -> [];
        error:system_limit -> []
    end.

states(Peers) ->
    maps:from_list([{Name, State} || #{node := Name, state := State} <- Peers]).

%% The nodes that one of the two reaches and the other does not: `Up' are the nodes that this one
%% is connected to, `Mine' and `Theirs' the states of the two C nodes' links.
-spec cut_off(Me :: binary(), Node :: binary(), Up :: [binary()], Mine, Theirs) -> [binary()] when
    Mine :: #{binary() => atom()}, Theirs :: #{binary() => atom()}.
cut_off(Me, Node, Up, Mine, Theirs) ->
    ICannot = [
        Other
     || {Other, connected} <- maps:to_list(Theirs),
        is_cut(maps:get(Other, Mine, idle)),
        not lists:member(Other, Up)
    ],
    TheyCannot = [Other || Other <- Up, is_cut(maps:get(Other, Theirs, idle))],
    lists:usort(ICannot ++ TheyCannot) -- [Me, Node].

%% Nothing answers there, as far as that side knows: a refusal would be an answer.
is_cut(State) ->
    lists:member(State, [closed, silent, timeout, unreachable, epmd_unreachable, host_unknown]).

name(Node) ->
    atom_to_binary(Node, utf8).
