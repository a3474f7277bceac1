%% @doc A last-writer-wins register: one value that many nodes overwrite.
%%
%% Each update is stamped by a hybrid logical clock in microseconds: the time of day, but always
%% later than the stamp it replaces. An update made after seeing another therefore wins over it,
%% whatever the clocks say. (Monotonic time would not do: it is not comparable between nodes.)
%% Of equal stamps the greater node name wins, of equal names the greater value, so that all
%% nodes agree.
%%
%% ```
%% Old = muster_lww_register:new("initial"),
%% New = muster_lww_register:update(Old, "changed"),
%% "changed" = muster_lww_register:value(muster_lww_register:merge(New, Old)).
%% '''
%%
%% The value is also the Elixir struct `Raxol.Swarm.CRDT.LWWRegister'; its fields may be built and
%% matched directly.
-module(muster_lww_register).

-export([new/1, new/2, update/2, update/3, merge/2, value/1]).
-export([now_after/1, precedes/2]).
-export_type([register/0, register/1, stamp/0]).

-define(STRUCT, 'Elixir.Raxol.Swarm.CRDT.LWWRegister').
-define(NO_REGISTER, [{error_info, #{module => muster_crdt, cause => ?STRUCT}}]).

%% Microseconds since 1970, or later.
-type stamp() :: non_neg_integer().
-type register() :: register(term()).
-type register(Value) :: #{
    '__struct__' := ?STRUCT, value := Value, timestamp := stamp(), node := term()
}.

%% @equiv new(Value, node())
-spec new(Value) -> register(Value).
new(Value) ->
    new(Value, node()).

%% @doc A register with a first value, written now by `Node'.
-spec new(Value, Node :: term()) -> register(Value).
new(Value, Node) ->
    #{'__struct__' => ?STRUCT, value => Value, timestamp => now_after(0), node => Node}.

%% @equiv update(Register, Value, node())
-spec update(register(), Value) -> register(Value).
update(Register, Value) ->
    update(Register, Value, node()).

%% @doc Overwrites the value on behalf of `Node'.
-spec update(register(), Value, Node :: term()) -> register(Value).
update(#{'__struct__' := ?STRUCT, value := _, timestamp := Stamp, node := _} = Register, Value, Node) when
    is_integer(Stamp)
->
    Register#{value := Value, timestamp := now_after(Stamp), node := Node};
update(Register, Value, Node) ->
    error(badarg, [Register, Value, Node], ?NO_REGISTER).

%% @doc The register that was written last. Commutative, associative and idempotent.
-spec merge(register(Value), register(Value)) -> register(Value).
merge(
    #{'__struct__' := ?STRUCT, timestamp := StampA, node := NodeA, value := ValueA} = A,
    #{'__struct__' := ?STRUCT, timestamp := StampB, node := NodeB, value := ValueB} = B
) when is_integer(StampA), is_integer(StampB) ->
    case precedes({StampA, NodeA, ValueA}, {StampB, NodeB, ValueB}) of
        true -> B;
        false -> A
    end;
merge(Register, Other) ->
    error(badarg, [Register, Other], ?NO_REGISTER).

%% @doc The value.
-spec value(register(Value)) -> Value.
value(#{'__struct__' := ?STRUCT, value := Value}) ->
    Value;
value(Register) ->
    error(badarg, [Register], ?NO_REGISTER).

%% @private
%% Later than `Stamp', and the time of day if that is. Nothing is remembered across the VM: one
%% wrong stamp from a peer must not spoil every register here.
-spec now_after(integer()) -> stamp().
now_after(Stamp) when is_integer(Stamp) ->
    max(erlang:system_time(microsecond), Stamp + 1).

%% @private
%% An order of all terms in which only identical ones are equal: that of the keys of maps. The
%% plain order takes 1 and 1.0 for the same, and two nodes would each keep its own.
-spec precedes(term(), term()) -> boolean().
precedes(A, B) ->
    #{A => 0} < #{B => 0}.
