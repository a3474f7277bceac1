%% @private
%% Reading an overlay's whole state as it is at one moment, in pieces of some thousand entries at most: the server
%% keeps that state until the reader is done, and answers others between two pieces.
-module(muster_overlay_pin).

-export([take/1, piece/2, read/3, release/1]).
-export([new/0, handle/4, released/2]).
-export_type([pins/0]).

-type pin() :: {Server :: gen_server:server_ref(), reference()}.
-type state() :: muster_overlay_state:state().
%% The states that are being read, by the monitors of their readers.
-opaque pins() :: #{reference() => state()}.

%%% The reader

-spec take(gen_server:server_ref()) -> {pin(), [muster_trie:path()], muster_causal:context()}.
take(Server) ->
    {Reference, Paths, Context} = gen_server:call(Server, pin, infinity),
    {{Server, Reference}, Paths, Context}.

%% Entries with all that is known of them.
-spec piece(pin(), muster_trie:path()) -> [{muster_overlay_state:key(), muster_trie:siblings()}].
piece({Server, Reference}, Path) ->
    {ok, Piece} = gen_server:call(Server, {piece, Reference, Path}, infinity),
    Piece.

%% Keys of some kinds, with what is read of them.
-spec read(pin(), [muster_overlay_state:kind()], muster_trie:path()) ->
    [{muster_overlay_state:key(), muster_overlay_state:encoded()}].
read({Server, Reference}, Kinds, Path) ->
    {ok, Read} = gen_server:call(Server, {read, Reference, Kinds, Path}, infinity),
    Read.

-spec release(pin()) -> ok.
release({Server, Reference}) ->
    gen_server:cast(Server, {release, Reference}).

%%% The server

-spec new() -> pins().
new() ->
    #{}.

%% A reader's call, and the reply to it.
-spec handle(Call, Reader :: pid(), state(), pins()) -> {Reply :: term(), pins()} when
    Call ::
        pin
        | {piece, reference(), muster_trie:path()}
        | {read, reference(), [muster_overlay_state:kind()], muster_trie:path()}.
handle(pin, Reader, #{context := Context} = State, Pins) ->
    Reference = erlang:monitor(process, Reader),
    {{Reference, muster_overlay_state:paths(State), Context}, Pins#{Reference => State}};
handle({piece, Reference, Path}, _Reader, _State, Pins) ->
    {pinned(Reference, Pins, fun(State) -> muster_overlay_state:piece(Path, State) end), Pins};
handle({read, Reference, Kinds, Path}, _Reader, _State, Pins) ->
    {pinned(Reference, Pins, fun(State) -> muster_overlay_state:read(Kinds, Path, State) end), Pins}.

%% A reader on another node may have been given up for dead.
pinned(Reference, Pins, Read) ->
    case Pins of
        #{Reference := State} -> {ok, Read(State)};
        #{} -> {error, released}
    end.

%% The reader is done, or dead.
-spec released(term(), pins()) -> pins().
released(Reference, Pins) when is_map_key(Reference, Pins) ->
    erlang:demonitor(Reference, [flush]),
    maps:remove(Reference, Pins);
released(_, Pins) ->
    Pins.
