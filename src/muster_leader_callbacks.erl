%% @private
%% The user's module behind a leader process, with its state: what of it is called, and what becomes of its answers.
-module(muster_leader_callbacks).

-export([init/3, terminate/2]).
-export([become_leader/1, become_follower/2, term_changed/3, peer_joined/2, peer_left/2, message/3]).
-export([call/3, inspect/2]).

-export_type([callbacks/0, outcome/0]).

-include_lib("kernel/include/logger.hrl").

-define(LOG_META, #{domain => [muster]}).

-record(callbacks, {
    module :: module(),
    state :: term(),
    %% What stands for "no leader" and "no member": undefined, or Elixir's nil.
    none :: undefined | nil
}).

-opaque callbacks() :: #callbacks{}.
%% `stop': the process is to end for that reason.
-type outcome() :: {ok, callbacks()} | {stop, Reason :: term()}.

-spec init(module(), Args :: term(), undefined | nil) ->
    {ok, Options :: term(), callbacks()} | {stop, Reason :: term()} | ignore.
init(Module, Args, None) ->
    case Module:init(Args) of
        {ok, Options, State} -> {ok, Options, #callbacks{module = Module, state = State, none = None}};
        {error, Reason} -> {stop, Reason};
        ignore -> ignore;
        Other -> {stop, {bad_return_value, Other}}
    end.

-spec terminate(Reason :: term(), callbacks()) -> term().
terminate(Reason, #callbacks{state = State} = C) ->
    optional(terminate, [Reason, State], C, fun() -> ok end).

%%% What happens. What the module does not export does nothing.

-spec become_leader(callbacks()) -> outcome().
become_leader(C) ->
    happened(handle_become_leader, [], C).

-spec become_follower(Leader :: pid() | none, callbacks()) -> outcome().
become_follower(Leader, C) ->
    happened(handle_become_follower, [or_none(Leader, C)], C).

-spec term_changed(Old :: pos_integer(), New :: pos_integer(), callbacks()) -> outcome().
term_changed(Old, New, C) ->
    happened(handle_term_changed, [Old, New], C).

-spec peer_joined(pid(), callbacks()) -> outcome().
peer_joined(Peer, C) ->
    happened(handle_peer_joined, [Peer], C).

-spec peer_left(pid(), callbacks()) -> outcome().
peer_left(Peer, C) ->
    happened(handle_peer_left, [Peer], C).

%% Of a member, or of anyone else.
-spec message(From :: pid() | none, Message :: term(), callbacks()) -> outcome().
message(From, Message, #callbacks{module = Module, state = State} = C) ->
    Unhandled = fun() ->
        ?LOG_WARNING("~0tp: unhandled message from ~0tp: ~0tP", [Module, or_none(From, C), Message, 20], ?LOG_META),
        {ok, State}
    end,
    happened(handle_message, [or_none(From, C), Message], C, Unhandled).

happened(Name, Arguments, #callbacks{state = State} = C) ->
    happened(Name, Arguments, C, fun() -> {ok, State} end).

happened(Name, Arguments, #callbacks{state = State} = C, Default) ->
    case optional(Name, Arguments ++ [State], C, Default) of
        {ok, New} -> {ok, C#callbacks{state = New}};
        {error, Reason} -> {stop, Reason};
        Other -> {stop, {bad_return_value, Other}}
    end.

or_none(none, #callbacks{none = None}) -> None;
or_none(Pid, _) -> Pid.

%%% What is asked

-spec call(Request :: term(), gen_server:from(), callbacks()) ->
    {reply, Reply :: term(), callbacks()}
    | {noreply, callbacks()}
    | {stop, Reason :: term()}
    | {stop, Reason :: term(), Reply :: term()}.
call(Request, From, #callbacks{module = Module, state = State} = C) ->
    Unhandled = fun() ->
        ?LOG_WARNING("~0tp: unhandled call: ~0tP", [Module, Request, 20], ?LOG_META),
        {reply, {error, not_handled}, State}
    end,
    case optional(handle_call, [Request, From, State], C, Unhandled) of
        {reply, Reply, New} -> {reply, Reply, C#callbacks{state = New}};
        {noreply, New} -> {noreply, C#callbacks{state = New}};
        {ok, New} -> {noreply, C#callbacks{state = New}};
        {error, Reason} -> {stop, Reason};
        {error, Reason, Reply} -> {stop, Reason, Reply};
        Other -> {stop, {bad_return_value, Other}}
    end.

-spec inspect(Items :: [term()], callbacks()) -> term().
inspect(Items, #callbacks{state = State} = C) ->
    optional(handle_inspect, [Items, State], C, fun() -> #{} end).

optional(Name, Arguments, #callbacks{module = Module}, Default) ->
    case erlang:function_exported(Module, Name, length(Arguments)) of
        true -> apply(Module, Name, Arguments);
        false -> Default()
    end.
