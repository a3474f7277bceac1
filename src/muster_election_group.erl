%% @private
%% A member's group in the C node, for the servers that take part in elections: it is started
%% there, asked for its state once, and from then on the events count; all of it again whenever
%% the C node is a new one. A value in the server's state, which passes its messages to
%% {@link handle/2}. The service is `election' in `docs/control-port.md'.
-module(muster_election_group).

-export([new/2, close/1, handle/2, request/4, cast/3, status/2, name/1, node_of/1]).

-export_type([group/0, happening/0, status/0]).

-include_lib("kernel/include/logger.hrl").

-define(RETRY_MS, 1000).
-define(LOG_META, #{domain => [muster]}).

-record(group, {
    key :: binary(),
    arg :: map(),
    registration :: muster_cnode_registration:registration(),
    phase = down :: down | {starting | asking, reference()} | up,
    %% Requests that are not answered yet.
    asked = #{} :: #{Id :: reference() => Tag :: term()},
    %% What was last logged as refused, so as not to say it each second.
    refused :: term()
}).

-opaque group() :: #group{}.
-type status() :: map().
-type happening() ::
    %% The group is there; the map is the C node's `status'.
    {up, status()}
    %% It is not: `unavailable' (there is no C node here), `starting', or why it is gone.
    | {down, Reason :: term()}
    | {event, term()}
    | {reply, Tag :: term(), muster_cnode:result()}.

%% `Arg' is that of the operation `start', without the key.
-spec new(binary(), map()) -> group().
new(Key, Arg) ->
    Stop = #{group => Key},
    OnExit = {stop, Stop, Stop#{for_good => false}},
    #group{key = Key, arg = Arg, registration = muster_cnode_registration:new([{election, Key, OnExit}])}.

%% Leaves in order; the group is none any more.
-spec close(group()) -> ok.
close(#group{registration = Registration}) ->
    muster_cnode_registration:close(Registration).

%% A request that is answered once, by the happening `{reply, Tag, Result}'.
-spec request(Tag :: term(), Op :: atom(), map(), group()) -> group().
request(Tag, Op, Arg, #group{key = Key, asked = Asked} = G) ->
    Id = make_ref(),
    muster_cnode:send_request({message, self(), {?MODULE, Id}}, election, Op, Arg#{group => Key}),
    G#group{asked = Asked#{Id => Tag}}.

%% An operation whose answer nobody wants.
-spec cast(Op :: atom(), map(), group()) -> ok.
cast(Op, Arg, #group{key = Key}) ->
    muster_cnode:cast(election, Op, Arg#{group => Key}).

%% The C node's word at this moment, for any process that knows the key.
-spec status(binary(), timeout()) -> {ok, status()} | {error, term()}.
status(Key, Timeout) ->
    muster_cnode:call(election, status, #{group => Key}, Timeout).

%% What a message of the server's means to the group.
-spec handle(Message :: term(), group()) -> {[happening()], group()} | unknown.
handle(Message, #group{registration = Registration} = G) ->
    case muster_cnode_registration:handle(Message, Registration) of
        {Presence, New} -> presence(Presence, G#group{registration = New});
        unknown -> message(Message, G)
    end.

presence({up, _Generation}, G) ->
    {[], start(G)};
presence({down, Reason}, G) ->
    {[{down, Reason}], G#group{phase = down}};
presence({lost, Why}, #group{asked = Asked} = G) ->
    {Unanswered, Left} = lists:foldl(fun(Id, Acc) -> lost(Id, Acc) end, {[], G}, maps:keys(Asked)),
    %% A server that has failed is about to be started again: it says itself whether there is a C node here.
    Reason =
        case Why of
            not_started -> unavailable;
            cnode_down -> cnode_down
        end,
    {Unanswered ++ [{down, Reason}], Left#group{phase = down}};
presence(same, G) ->
    {[], G}.

lost(Id, {Happenings, G}) ->
    {More, New} = reply(Id, {error, cnode_down}, G),
    {More ++ Happenings, New}.

message({muster_cnode, event, election, Key, Event}, #group{key = Key, phase = Phase} = G) ->
    %% Before the status came: of an earlier stay, or told by the status as well.
    case Phase of
        up -> {[{event, Event}], G};
        _ -> {[], G}
    end;
message({muster_cnode, reply, {?MODULE, Id}, Result}, G) ->
    reply(Id, Result, G);
message({?MODULE, retry, Start}, #group{phase = {starting, Start}} = G) ->
    {[], start(G)};
message({?MODULE, retry, _}, G) ->
    {[], G};
message(_, _) ->
    unknown.

reply(Id, Result, #group{asked = Asked} = G) ->
    case maps:take(Id, Asked) of
        {Tag, Left} -> answered(Tag, Result, G#group{asked = Left});
        %% Of a group that was closed, or given up with the server that was asked.
        error -> {[], G}
    end.

start(#group{arg = Arg} = G) ->
    Start = make_ref(),
    request({start, Start}, start, Arg, G#group{phase = {starting, Start}}).

answered({start, Start}, {ok, _}, #group{phase = {starting, Start}} = G) ->
    {[], request({status, Start}, status, #{}, G#group{phase = {asking, Start}, refused = undefined})};
answered({status, Start}, {ok, Status}, #group{phase = {asking, Start}} = G) ->
    {[{up, Status}], G#group{phase = up}};
answered({_, Start}, {error, cnode_down}, #group{phase = {_, Start}} = G) ->
    %% Its `down' says the rest.
    {[], G};
answered({_, Start}, {error, Reason}, #group{phase = {_, Start}} = G) ->
    refused(Reason, Start, G);
answered({Op, _}, _, G) when Op =:= start; Op =:= status ->
    {[], G};
answered(Tag, Result, G) ->
    {[{reply, Tag, Result}], G}.

%% The user may mend what it is (a data directory, the node's name): it is tried again.
refused(Reason, Start, #group{key = Key, refused = Before} = G) ->
    Reason =:= Before orelse
        ?LOG_WARNING("muster's C node takes no part in ~ts: ~ts", [Key, text(Reason)], ?LOG_META),
    erlang:send_after(?RETRY_MS, self(), {?MODULE, retry, Start}),
    {[{down, {refused, Reason}}], G#group{phase = {starting, Start}, refused = Reason}}.

text({Kind, Text}) when is_binary(Text) -> io_lib:format("~ts: ~ts", [Kind, Text]);
text(Reason) -> io_lib:format("~0tp", [Reason]).

%% Node names are binaries on the control port.
-spec name(node()) -> binary().
name(Node) ->
    atom_to_binary(Node, utf8).

%% A member is named by the user or has proved its name to the C node, so it may be an atom.
-spec node_of(binary() | none) -> node() | undefined.
node_of(none) -> undefined;
node_of(Name) -> binary_to_atom(Name, utf8).
