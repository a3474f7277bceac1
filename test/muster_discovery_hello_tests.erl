-module(muster_discovery_hello_tests).

-include_lib("eunit/include/eunit.hrl").

-define(H, muster_discovery_hello).

metadata_test() ->
    Metadata = ?H:metadata(#{zone => "north"}, [gpu, <<"disk">>]),
    ?assertMatch(
        #{<<"zone">> := <<"north">>, <<"capabilities">> := <<"discovery,gpu,disk">>, <<"muster_version">> := _},
        Metadata
    ).

versions_rise_test() ->
    First = ?H:version(0),
    ?assert(?H:version(First) > First),
    ?assertEqual(First * 2 + 1, ?H:version(First * 2)).

names_test() ->
    Faces = [muster_discovery, 'Elixir.Raxol.Swarm.Discovery'],
    ?assertEqual(lists:sort(Faces), ?H:names(muster_discovery)),
    ?assertEqual(lists:sort([mine | Faces]), ?H:names(mine)),
    ?assertEqual(lists:sort(Faces), ?H:names({global, mine})).

%% A hello as another node's would come: with a pid that is not this node's.
from_elsewhere(Changes) ->
    Said = #{version => 7, metadata => #{<<"a">> => <<"b">>}, leaving => false, ask => true},
    {Tag, 1, hello, Map} = ?H:message(Said),
    {Tag, 1, hello, maps:merge(Map#{from => their_pid()}, Changes)}.

%% NEW_PID_EXT.
their_pid() ->
    Name = <<"b@elsewhere">>,
    binary_to_term(<<131, 88, 119, (byte_size(Name)), Name/binary, 5:32, 0:32, 1:32>>).

another_nodes_is_read_test() ->
    {ok, Hello} = ?H:read(from_elsewhere(#{})),
    ?assertEqual(
        #{from => their_pid(), version => 7, metadata => #{<<"a">> => <<"b">>}, leaving => false, ask => true},
        Hello
    ).

what_is_odd_is_not_believed_test() ->
    ?assertMatch({ok, #{leaving := false, ask := false}}, ?H:read(from_elsewhere(#{leaving => 1, ask => yes}))),
    ?assertMatch({ok, #{metadata := none}}, ?H:read(from_elsewhere(#{metadata => [1, 2]}))),
    Large = #{<<"a">> => binary:copy(<<"b">>, 2000)},
    ?assertMatch({ok, #{metadata := none}}, ?H:read(from_elsewhere(#{metadata => Large}))),
    Message = ?H:message(#{version => 7, metadata => #{}, leaving => false, ask => true}),
    [
        ?assertEqual(ignored, ?H:read(Odd))
     || Odd <- [
            Message, setelement(2, from_elsewhere(#{}), 2), from_elsewhere(#{version => "7"}),
            from_elsewhere(#{from => self()}), from_elsewhere(#{from => b}), hello, {}
        ]
    ].
