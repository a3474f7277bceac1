%% @private
%% Reading an overlay's whole state as it is at one moment, in pieces of some thousand entries at most: the server
%% keeps that state until the reader is done, and answers others between two pieces.
-module(muster_overlay_pin).

-export([take/1, piece/2, read/3, release/1]).

-type pin() :: {Server :: gen_server:server_ref(), reference()}.

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
