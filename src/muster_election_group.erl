%% @private
%% A member's group in the C node, for the servers that take part in elections: it is started
%% there, asked for its state once, and from then on the events count; all of it again whenever
%% the C node is a new one. A value in the server's state, which passes its messages to
%% {@link handle/2}. The service is `election' in `docs/control-port.md'.
-module(muster_election_group).

-export([new/2, close/1, handle/2, request/4, status/2, name/1, node_of/1]).

-export_type([group/0, happening/0, status/0]).

-include_lib("kernel/include/logger.hrl").

-define(ATTACH_MIN_MS, 50).
-define(ATTACH_MAX_MS, 1000).
-define(RETRY_MS, 1000).
-define(LOG_META, #{domain => [muster]}).

-record(group, {
    key :: binary(),
    arg :: map(),
    %% The monitor of muster_cnode, where it runs.
    cnode :: reference() | undefined,
    phase = down :: down | {starting | asking, reference()} | up,
    attach_ms = ?ATTACH_MIN_MS :: pos_integer(),
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
    attach(#group{key = Key, arg = Arg}).

attach(#group{key = Key} = G) ->
    Stop = #{group => Key},
    OnExit = {stop, Stop, Stop#{for_good => false}},
    G#group{cnode = muster_cnode:register(election, Key, OnExit)}.

%% Leaves in order; the group is none any more.
-spec close(group()) -> ok.
close(#group{key = Key, cnode = Monitor}) ->
    _ = is_reference(Monitor) andalso erlang:demonitor(Monitor, [flush]),
    muster_cnode:unregister(election, Key).

%% A request whose answer becomes the happening `{reply, Tag, Result}'.
-spec request(Tag :: term(), Op :: atom(), map(), group()) -> ok.
request(Tag, Op, Arg, #group{key = Key}) ->
    muster_cnode:send_request(
        {message, self(), {?MODULE, Key, Tag}}, election, Op, Arg#{group => Key}
    ).

%% The C node's word at this moment, for any process that knows the key.
-spec status(binary(), timeout()) -> {ok, status()} | {error, term()}.
status(Key, Timeout) ->
    muster_cnode:call(election, status, #{group => Key}, Timeout).

%% What a message of the server's means to the group.
-spec handle(Message :: term(), group()) -> {[happening()], group()} | unknown.
handle({muster_cnode, up, _Generation}, G) ->
    {[], start(G#group{attach_ms = ?ATTACH_MIN_MS})};
handle({muster_cnode, down, _Generation, Reason}, G) ->
    {[{down, Reason}], G#group{phase = down}};
handle({muster_cnode, event, election, Key, Event}, #group{key = Key, phase = Phase} = G) ->
    %% Before the status came: of an earlier stay, or told by the status as well.
    case Phase of
        up -> {[{event, Event}], G};
        _ -> {[], G}
    end;
handle({muster_cnode, reply, {?MODULE, Key, Tag}, Result}, #group{key = Key} = G) ->
    answered(Tag, Result, G);
handle({muster_cnode, reply, {?MODULE, _, _}, _}, G) ->
    {[], G};
handle({'DOWN', Monitor, process, _, _}, #group{cnode = Monitor, attach_ms = Ms} = G) ->
    erlang:send_after(Ms, self(), {?MODULE, attach}),
    Backoff = min(2 * Ms, ?ATTACH_MAX_MS),
    {[{down, unavailable}], G#group{cnode = undefined, phase = down, attach_ms = Backoff}};
handle({?MODULE, attach}, #group{cnode = undefined} = G) ->
    {[], attach(G)};
handle({?MODULE, retry, Start}, #group{phase = {starting, Start}} = G) ->
    {[], start(G)};
handle({?MODULE, _}, G) ->
    {[], G};
handle({?MODULE, _, _}, G) ->
    {[], G};
handle(_, _) ->
    unknown.

start(#group{arg = Arg} = G) ->
    Start = make_ref(),
    request({start, Start}, start, Arg, G),
    G#group{phase = {starting, Start}}.

answered({start, Start}, {ok, _}, #group{phase = {starting, Start}} = G) ->
    request({status, Start}, status, #{}, G),
    {[], G#group{phase = {asking, Start}, refused = undefined}};
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
