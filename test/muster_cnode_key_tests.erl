-module(muster_cnode_key_tests).

-include_lib("eunit/include/eunit.hrl").

readable_test() ->
    ?assertEqual(<<"muster_node_monitor">>, muster_cnode_key:new(<<>>, [muster_node_monitor])),
    ?assertEqual(<<"topology:{global,x}">>, muster_cnode_key:new(<<"topology:">>, [{global, x}])),
    ?assertEqual(<<"muster_discovery/gossip">>, muster_cnode_key:new(<<>>, [muster_discovery, gossip])),
    ?assertEqual(<<"'Zürich'"/utf8>>, muster_cnode_key:new(<<>>, ['Zürich'])).

%% Up to 200 bytes as they are, beyond that a hash, which tells names apart.
long_test() ->
    Fits = binary_to_atom(binary:copy(<<"a">>, 196)),
    ?assertEqual(atom_to_binary(Fits), muster_cnode_key:new(<<>>, [Fits])),
    Long = [muster_cnode_key:new(<<"topology:">>, [{via, global, {Fits, N}}]) || N <- lists:seq(1, 10)],
    ?assertEqual(Long, lists:uniq(Long)),
    [?assertMatch(<<"topology:", _:32/binary>>, Key) || Key <- Long].
