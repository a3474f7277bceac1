%% @private
%% The requests that the C node has been sent and has not answered yet, by their ids on the control port.
-module(muster_cnode_requests).

-export([new/0, add/2, take/2, take_all/1]).

-export_type([requests/0, id/0, asker/0]).

-type id() :: pos_integer().
%% Who asked: somebody else, or muster_cnode itself, to have the C node join a cluster.
-type asker() :: muster_cnode:reply_to() | distribute.

-record(requests, {
    next = 1 :: id(),
    askers = #{} :: #{id() => asker()}
}).

-opaque requests() :: #requests{}.

-spec new() -> requests().
new() ->
    #requests{}.

-spec add(asker(), requests()) -> {id(), requests()}.
add(Asker, #requests{next = Id, askers = Askers}) ->
    {Id, #requests{next = Id + 1, askers = Askers#{Id => Asker}}}.

%% Each is answered once.
-spec take(id(), requests()) -> {asker(), requests()} | error.
take(Id, #requests{askers = Askers} = R) ->
    case maps:take(Id, Askers) of
        {Asker, Rest} -> {Asker, R#requests{askers = Rest}};
        error -> error
    end.

%% No more answers will come.
-spec take_all(requests()) -> {[asker()], requests()}.
take_all(#requests{askers = Askers} = R) ->
    {maps:values(Askers), R#requests{askers = #{}}}.
