%% @private
%% The cookies that the C node has been sent, of whose change the BEAM tells nobody: the cluster's,
%% and those of nodes with their own, as far as such a node refused the cluster's.
-module(muster_cnode_cookies).

-export([new/0, sent/1, peer_event/2, refresh/3, concealed/1]).
-export_type([cookies/0]).

-record(cookies, {
    %% As sent: of the cluster, and of nodes with their own.
    sent = #{} :: #{all | Node :: binary() => atom()},
    %% Peers that refuse our cookie.
    mismatched = #{} :: #{Node :: binary() => true}
}).

-opaque cookies() :: #cookies{}.

%% A new C node knows none.
-spec new() -> cookies().
new() ->
    #cookies{}.

%% It was given the cluster's with its configuration.
-spec sent(atom()) -> cookies().
sent(Cookie) ->
    #cookies{sent = #{all => Cookie}}.

-spec peer_event(term(), cookies()) -> cookies().
peer_event({peer, Node, cookie_mismatch, _}, #cookies{mismatched = Mismatched} = C) ->
    C#cookies{mismatched = Mismatched#{Node => true}};
peer_event({peer, Node, _, _}, #cookies{mismatched = Mismatched} = C) ->
    C#cookies{mismatched = maps:remove(Node, Mismatched)};
peer_event(_, C) ->
    C.

%% What is to be sent, as arguments of `set_cookie': `All' is the cluster's cookie, `Of' gives a
%% node's, which is the cluster's where it has none of its own.
-spec refresh(atom(), fun((Node :: binary()) -> atom()), cookies()) -> {[map()], cookies()}.
refresh(All, Of, #cookies{mismatched = Mismatched} = C) ->
    Own = [{Node, Of(Node), #{node => Node}} || Node <- maps:keys(Mismatched)],
    {Arguments, New} = lists:foldl(
        fun(Cookie, Acc) -> refresh_one(All, Cookie, Acc) end, {[], C}, [{all, All, #{}} | Own]
    ),
    {lists:reverse(Arguments), New}.

refresh_one(All, {Node, All, _}, {_, #cookies{sent = Sent}} = Acc) when
    Node =/= all, not is_map_key(Node, Sent)
->
    Acc;
refresh_one(_, {Whose, Cookie, Argument}, {Arguments, #cookies{sent = Sent} = C} = Acc) ->
    case {Sent, muster_distribution:cookie(Cookie)} of
        {#{Whose := Cookie}, _} -> Acc;
        {_, {ok, Binary}} -> {[Argument#{cookie => Binary} | Arguments], C#cookies{sent = Sent#{Whose => Cookie}}};
        {_, {error, _}} -> Acc
    end.

%% For crash reports.
-spec concealed(cookies()) -> cookies().
concealed(#cookies{sent = Sent} = C) ->
    C#cookies{sent = maps:map(fun(_, _) -> '...' end, Sent)}.
