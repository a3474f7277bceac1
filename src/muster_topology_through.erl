%% @private
%% Asking through another member of the topology, which has a C node, for one that has none: that member answers, and
%% tells of changes. It may hang, so processes of their own wait for it: one for each question, and one that follows it.
%% A value in the server's state, which passes its messages to {@link handle/2}.
-module(muster_topology_through).

-export([open/1, close/1, member/1, ask/4, handle/2]).

-export_type([through/0]).

%% As long as the callers of muster_topology wait.
-define(ANSWER_MS, 5000).
-define(PROMOTE_MS, 15000).

-record(through, {
    member :: pid(),
    follower :: pid()
}).

-opaque through() :: #through{}.

%% Has this node listed by the member's process, and follows what that tells.
-spec open(Member :: pid()) -> through().
open(Member) ->
    Server = self(),
    #through{member = Member, follower = spawn(fun() -> follow(Member, Server) end)}.

-spec close(through()) -> ok.
close(#through{follower = Follower}) ->
    exit(Follower, kill),
    ok.

-spec member(through()) -> pid().
member(#through{member = Member}) ->
    Member.

%% The member's answer goes to `From'; `Failed' does where there is none.
-spec ask(Request, gen_server:from(), Failed :: term(), through()) -> ok when
    Request :: muster_topology_roles:question() | {promote, node(), muster_topology:role()}.
ask(Request, From, Failed, #through{member = Member}) ->
    _ = spawn(fun() ->
        Answer =
            try
                gen_server:call(Member, Request, patience(Request))
            catch
                exit:_ -> Failed
            end,
        gen_server:reply(From, Answer)
    end),
    ok.

patience({promote, _, _}) -> ?PROMOTE_MS;
patience(_) -> ?ANSWER_MS.

%% A message of the server's, if it is what the member says of the roles: all of them at first, then what has changed.
-spec handle(Message :: term(), through()) ->
    {roles, muster_topology_roles:roles()} | {event, Event :: term()} | unknown.
handle({?MODULE, Follower, News}, #through{follower = Follower}) ->
    News;
handle(_, _) ->
    unknown.

%%% The follower, which keeps the member's word in order

follow(Member, Server) ->
    Monitor = erlang:monitor(process, Server),
    gen_server:cast(Member, {node_joined, node()}),
    follow(Server, Monitor, gen_server:send_request(Member, {follow, self()})).

follow(Server, Monitor, Request) ->
    receive
        {'DOWN', Monitor, process, _, _} ->
            ok;
        {swarm_event, Event} ->
            Server ! {?MODULE, self(), {event, Event}},
            follow(Server, Monitor, Request);
        Message ->
            case gen_server:check_response(Message, Request) of
                {reply, {Rows, Commander}} when is_list(Rows) ->
                    Server ! {?MODULE, self(), {roles, muster_topology_roles:new(Rows, Commander)}},
                    follow(Server, Monitor, Request);
                {error, _} ->
                    %% It is gone, which the server knows by itself.
                    ok;
                _ ->
                    follow(Server, Monitor, Request)
            end
    end.
