%% @private
%% An overlay's state on disk, as its server sees it: what the writer was given (muster_overlay_writer), and what is to
%% be given to it next. The server is never kept waiting. A disk that fails is tried again later; without a directory
%% all of this does nothing.
-module(muster_overlay_store).

-export([open/2, changed/3, append/4, flush/2, stored/3, failed/3, reopen/2, close/2]).
-export_type([store/0]).

-include_lib("kernel/include/logger.hrl").

-type state() :: muster_overlay_state:state().
-type place() :: {Directory :: file:name_all(), Name :: atom()}.
-opaque store() ::
    none
    %% The disk has failed.
    | {waiting, place()}
    | #{
        place := place(),
        writer := pid(),
        %% What the writer was given last, how many of its writes are not confirmed, and how many
        %% changes it does not have yet.
        given := state(),
        outstanding := non_neg_integer(),
        changes := non_neg_integer()
    }.

%% Deltas of about so many keys are made; and no more than so many wait for a slow disk.
-define(CHANGES, 500).
-define(OUTSTANDING, 32).
-define(REOPEN_MS, 5000).
-define(LOG_META, #{domain => [muster]}).

%% Of an overlay's name in a directory, with what is there.
-spec open(file:name_all() | undefined, Name :: atom()) ->
    {ok, state(), store()} | {error, muster_overlay_files:error()}.
open(undefined, _Name) ->
    {ok, muster_overlay_state:new(), none};
open(Directory, Name) ->
    case muster_overlay_files:base(Directory, Name) of
        {ok, Base} ->
            case muster_overlay_writer:start_link(Base) of
                {ok, State, Writer} -> {ok, State, new({Directory, Name}, Writer, State)};
                {error, Reason} -> {error, Reason}
            end;
        {error, Reason} ->
            {error, Reason}
    end.

new(Place, Writer, State) ->
    #{place => Place, writer => Writer, given => State, outstanding => 0, changes => 0}.

%% So many changes have led to this state; flushes before the delta gets too big.
-spec changed(non_neg_integer(), state(), store()) -> store().
changed(N, State, #{changes := Changes} = Store) ->
    Changed = Store#{changes := Changes + N},
    case Changes + N >= ?CHANGES of
        true -> flush(State, Changed);
        false -> Changed
    end;
changed(_N, _State, Store) ->
    Store.

%% Has written what is new, unless too much waits already.
-spec flush(state(), store()) -> store().
flush(State, #{writer := Writer, given := Given, outstanding := Outstanding} = Store) when Outstanding < ?OUTSTANDING ->
    case muster_overlay_state:is_same(Given, State) of
        true ->
            Store#{changes := 0};
        false ->
            ok = muster_overlay_writer:append(muster_crdt_delta:delta(Given, State), compact, Writer),
            Store#{given := State, outstanding := Outstanding + 1, changes := 0}
    end;
flush(_State, Store) ->
    Store.

%% Has a delta written as it came from elsewhere, which costs the server nothing but to hand it on, if it made `New'
%% of what was given last.
-spec append(muster_crdt_delta:delta(), Old :: state(), New :: state(), store()) -> store().
append(Delta, Old, New, #{given := Given, outstanding := Outstanding} = Store) when Outstanding < ?OUTSTANDING ->
    case muster_overlay_state:is_same(Given, Old) of
        true ->
            ok = muster_overlay_writer:append(Delta, later, maps:get(writer, Store)),
            Store#{given := New, outstanding := Outstanding + 1, changes := 0};
        false ->
            Store
    end;
append(_Delta, _Old, _New, Store) ->
    Store.

%% So many writes are on disk.
-spec stored(pid(), pos_integer(), store()) -> store().
stored(Writer, Records, #{writer := Writer, outstanding := Outstanding} = Store) ->
    Store#{outstanding := Outstanding - Records};
stored(_, _, Store) ->
    Store.

%% A process that was linked has failed: if it was the writer, the server gets `reopen_store' in a while.
-spec failed(pid(), Reason :: term(), store()) -> {ok, store()} | not_the_writer.
failed(Writer, Reason, #{writer := Writer, place := Place}) ->
    {ok, try_again(Reason, Place)};
failed(_, _, _) ->
    not_the_writer.

try_again(Reason, {_, Name} = Place) ->
    ?LOG_ERROR("overlay ~tp: its state cannot be written: ~tP", [Name, Reason, 8], ?LOG_META),
    erlang:send_after(?REOPEN_MS, self(), reopen_store),
    {waiting, Place}.

%% Tries again. What was not written is what has changed since the last reading.
-spec reopen(state(), store()) -> store().
reopen(State, {waiting, {Directory, Name} = Place}) ->
    case open(Directory, Name) of
        {ok, _Written, Store} -> flush(State, Store);
        {error, Reason} -> try_again(Reason, Place)
    end;
reopen(_State, Store) ->
    Store.

%% Has written the rest, and waits for it.
-spec close(state(), store()) -> ok.
close(State, #{writer := Writer} = Store) ->
    _ = flush(State, Store#{outstanding := 0}),
    muster_overlay_writer:close(Writer);
close(_State, _Store) ->
    ok.
