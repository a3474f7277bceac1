%% @private
%% The cluster that the C node was told to join, what keeps it out, and the cookies, whose changes nobody is told of. Read
%% off the running BEAM; {@link muster_cnode} tells the C node, and those who want to know.
-module(muster_cnode_cluster).

-export([new/0, join/1, answered/2, leave/1, is_beside/2, kept_out/1]).
-export([peer_event/2, new_cookies/1, concealed/1]).

-export_type([cluster/0, news/0]).

-record(cluster, {
    %% The BEAM node's name that the C node was given, as far as it was.
    beam :: node() | undefined,
    kept_out = none :: none | binary(),
    cookies = muster_cnode_cookies:new() :: muster_cnode_cookies:cookies()
}).

-opaque cluster() :: #cluster{}.
%% Why the C node is in no cluster, or that nothing keeps it out any more.
-type news() :: none | {kept_out, binary() | none}.

-spec new() -> cluster().
new() ->
    #cluster{}.

%% What a running C node is to be told now: `distribute' with that argument. A name that it cannot take over (the BEAM
%% node was renamed) needs a new one.
-spec join(cluster()) -> {news() | renamed | {distribute, map()}, cluster()}.
join(#cluster{beam = Node} = C) when Node =:= node() ->
    {none, C};
join(#cluster{beam = undefined} = C) ->
    case muster_distribution:config() of
        not_alive ->
            {none, C};
        {ok, Config} ->
            Cookies = muster_cnode_cookies:sent(erlang:get_cookie()),
            {{distribute, Config}, C#cluster{beam = node(), cookies = Cookies}};
        {error, Reason} ->
            keep_out(muster_distribution:format_error(Reason), C)
    end;
join(C) ->
    {renamed, C}.

%% Its answer to that.
-spec answered(muster_cnode:result(), cluster()) -> {news(), cluster()}.
answered({ok, _}, #cluster{kept_out = none} = C) ->
    {none, C};
answered({ok, _}, C) ->
    {{kept_out, none}, C#cluster{kept_out = none}};
answered({error, {Kind, Text}}, C) when is_binary(Text) ->
    keep_out(io_lib:format("~ts: ~ts", [Kind, Text]), C);
answered({error, Reason}, C) ->
    keep_out(io_lib:format("~0tp", [Reason]), C).

%% To be tried again soon, but not to be said again.
keep_out(Why, #cluster{kept_out = Before} = C) ->
    case unicode:characters_to_binary(Why) of
        Before -> {none, C#cluster{beam = undefined}};
        Text -> {{kept_out, Text}, C#cluster{beam = undefined, kept_out = Text}}
    end.

%% The C node is gone, or going; the next is in no cluster, and knows no cookies.
-spec leave(cluster()) -> cluster().
leave(C) ->
    C#cluster{beam = undefined, cookies = muster_cnode_cookies:new()}.

%% Whether the C node bears that BEAM node's name.
-spec is_beside(node(), cluster()) -> boolean().
is_beside(Node, #cluster{beam = Beam}) ->
    Node =:= Beam.

-spec kept_out(cluster()) -> none | binary().
kept_out(#cluster{kept_out = Why}) ->
    Why.

%%% Cookies

%% What the C node says of a peer; whether that may be for want of its cookie.
-spec peer_event(term(), cluster()) -> {IsMismatch :: boolean(), cluster()}.
peer_event(Event, #cluster{cookies = Cookies} = C) ->
    IsMismatch =
        case Event of
            {peer, _, cookie_mismatch, _} -> true;
            _ -> false
        end,
    {IsMismatch, C#cluster{cookies = muster_cnode_cookies:peer_event(Event, Cookies)}}.

%% Those that the C node does not have yet, as arguments of `set_cookie'.
-spec new_cookies(cluster()) -> {[map()], cluster()}.
new_cookies(#cluster{beam = undefined} = C) ->
    {[], C};
new_cookies(#cluster{cookies = Cookies} = C) ->
    All = erlang:get_cookie(),
    {Arguments, New} = muster_cnode_cookies:refresh(All, fun(Node) -> cookie_of(Node, All) end, Cookies),
    {Arguments, C#cluster{cookies = New}}.

%% A node with a cookie of its own has been named by the user, so its atom exists.
cookie_of(Node, Default) ->
    try
        erlang:get_cookie(binary_to_existing_atom(Node, utf8))
    catch
        error:_ -> Default
    end.

%% For crash reports.
-spec concealed(cluster()) -> cluster().
concealed(#cluster{cookies = Cookies} = C) ->
    C#cluster{cookies = muster_cnode_cookies:concealed(Cookies)}.
