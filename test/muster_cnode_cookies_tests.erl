-module(muster_cnode_cookies_tests).

-include_lib("eunit/include/eunit.hrl").

-import(muster_cnode_cookies, [new/0, sent/1, peer_event/2, refresh/3]).

%% No node has a cookie of its own.
cluster(Cookie) ->
    fun(_Node) -> Cookie end.

the_clusters_is_sent_once_and_when_it_changes_test() ->
    ?assertMatch({[], _}, refresh(old, cluster(old), sent(old))),
    {Arguments, Sent} = refresh(new, cluster(new), sent(old)),
    ?assertEqual([#{cookie => <<"new">>}], Arguments),
    ?assertMatch({[], _}, refresh(new, cluster(new), Sent)),
    ?assertMatch({[#{cookie := <<"new">>}], _}, refresh(new, cluster(new), new())).

a_nodes_own_is_sent_when_it_refused_the_clusters_test() ->
    Of = fun(<<"b@h">>) -> own; (_) -> common end,
    ?assertMatch({[], _}, refresh(common, Of, sent(common))),
    Refused = peer_event({peer, <<"b@h">>, cookie_mismatch, <<>>}, sent(common)),
    {Arguments, Sent} = refresh(common, Of, Refused),
    ?assertEqual([#{node => <<"b@h">>, cookie => <<"own">>}], Arguments),
    ?assertMatch({[], _}, refresh(common, Of, Sent)),
    %% It is taken back: the cluster's again.
    ?assertMatch(
        {[#{node := <<"b@h">>, cookie := <<"common">>}], _}, refresh(common, cluster(common), Sent)
    ).

a_node_without_its_own_needs_none_test() ->
    Refused = peer_event({peer, <<"c@h">>, cookie_mismatch, <<>>}, sent(common)),
    ?assertMatch({[], _}, refresh(common, cluster(common), Refused)).

a_node_that_connected_is_not_asked_about_test() ->
    Refused = peer_event({peer, <<"b@h">>, cookie_mismatch, <<>>}, sent(common)),
    Connected = peer_event({peer, <<"b@h">>, connected, <<>>}, Refused),
    ?assertMatch({[], _}, refresh(common, fun(_) -> own end, Connected)),
    ?assertEqual(Connected, peer_event({published, true, <<>>}, Connected)).

concealed_test() ->
    Shown = io_lib:format("~p", [muster_cnode_cookies:concealed(sent(hush))]),
    ?assertEqual(nomatch, string:find(Shown, "hush")).
