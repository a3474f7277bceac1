%% @private
%% The module behind `muster/leader': a muster_leader whose callbacks are Gleam functions.
%%
%% Messages carry a tag, so that nothing else that reaches the process is taken for one of the type
%% that `on_message' was written for.
-module(muster_gleam_leader).

-behaviour(muster_leader).

-export([start/5]).
-export([is_leader/1, leader/1, term/1, token/1, peers/1, voters/1]).
-export([transfer/2, join/2, leave/2, send/2, send_to/3, broadcast/2]).
-export([
    init/1, handle_become_leader/1, handle_become_follower/2, handle_peer_joined/2,
    handle_peer_left/2, handle_term_changed/3, handle_message/3, terminate/2
]).

-import(muster_gleam_ffi, [away/3, atom/1, in_words/1]).

-record(callbacks, {
    become_leader, become_follower, peer_joined, peer_left, term_changed, message, terminate
}).

start(Group, Voters, Options, Callbacks, State) ->
    {Names, Rest} = lists:partition(fun(Option) -> is_tuple(Option) andalso element(1, Option) =:= name end, Options),
    Name =
        case Names of
            [{name, Given} | _] -> Given;
            [] -> Group
        end,
    try {atom(Name), [atom(Voter) || Voter <- Voters]} of
        {Registered, Bootstrap} ->
            Read = [{cluster_id, Group}, {bootstrap, Bootstrap} | lists:map(fun option/1, Rest)],
            case muster_leader:start_link(Registered, ?MODULE, {Read, Callbacks(Name), State}, []) of
                {ok, Pid} -> {ok, {Pid, Name}};
                {error, Reason} -> {error, in_words(Reason)}
            end
    catch
        throw:{not_a_name, Text} -> {error, in_words({not_a_name, Text})}
    end.

option(observer) -> {observer, true};
option(Option) -> Option.

%%% Asking: a process that is away answers nothing

is_leader(Name) -> away(Name, fun muster_leader:is_leader/1, false).

term(Name) -> away(Name, fun muster_leader:term/1, 0).

peers(Name) -> away(Name, fun muster_leader:peers/1, []).

voters(Name) -> [atom_to_binary(Node, utf8) || Node <- away(Name, fun muster_leader:voters/1, [])].

leader(Name) ->
    case away(Name, fun muster_leader:leader/1, undefined) of
        Pid when is_pid(Pid) -> {ok, Pid};
        undefined -> {error, nil}
    end.

token(Name) ->
    case away(Name, fun muster_leader:token/1, {error, not_leader}) of
        {ok, {Term, Election}} -> {ok, {token, Term, Election}};
        {error, _} -> {error, nil}
    end.

transfer(Name, Node) ->
    request(Name, Node, fun muster_leader:transfer/2).

leave(Name, Node) ->
    request(Name, Node, fun muster_leader:leave/2).

join(Name, Node) ->
    _ = request(Name, Node, fun muster_leader:join/2),
    nil.

request(Name, Node, Function) ->
    try atom(Node) of
        Atom ->
            case away(Name, fun(Server) -> Function(Server, Atom) end, {error, not_running}) of
                ok -> {ok, nil};
                {error, Reason} -> {error, in_words(Reason)}
            end
    catch
        throw:{not_a_name, Text} -> {error, in_words({not_a_name, Text})}
    end.

send(Name, Message) ->
    tell(Name, fun(Server) -> muster_leader:send(Server, tagged(Message)) end).

send_to(Name, Peer, Message) ->
    tell(Name, fun(Server) -> muster_leader:send(Server, Peer, tagged(Message)) end).

broadcast(Name, Message) ->
    tell(Name, fun(Server) -> muster_leader:broadcast(Server, tagged(Message)) end).

tagged(Message) ->
    {?MODULE, Message}.

tell(Name, Function) ->
    _ = away(Name, Function, ok),
    nil.

%%% Callbacks of muster_leader: their results are Gleam's Ok and Error already

init({Options, Callbacks, State}) ->
    {ok, Options, {Callbacks, State}}.

handle_become_leader({#callbacks{become_leader = Function} = Callbacks, State}) ->
    next(Function(State), Callbacks).

handle_become_follower(Leader, {#callbacks{become_follower = Function} = Callbacks, State}) ->
    next(Function(option_of(Leader), State), Callbacks).

handle_peer_joined(Peer, {#callbacks{peer_joined = Function} = Callbacks, State}) ->
    next(Function(Peer, State), Callbacks).

handle_peer_left(Peer, {#callbacks{peer_left = Function} = Callbacks, State}) ->
    next(Function(Peer, State), Callbacks).

handle_term_changed(Old, New, {#callbacks{term_changed = Function} = Callbacks, State}) ->
    next(Function(Old, New, State), Callbacks).

handle_message(From, {?MODULE, Message}, {#callbacks{message = Function} = Callbacks, State}) ->
    next(Function(option_of(From), Message, State), Callbacks);
handle_message(_From, _Stray, Both) ->
    {ok, Both}.

terminate(_Reason, {#callbacks{terminate = Function}, State}) ->
    Function(State).

next({ok, State}, Callbacks) -> {ok, {Callbacks, State}};
next({error, Reason}, _) -> {error, Reason}.

option_of(undefined) -> none;
option_of(Pid) -> {some, Pid}.
