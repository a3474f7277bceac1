%% @private
%% What the C node beside a BEAM node is called: `alive-muster@host' beside `alive@host'. Names are binaries, as on the
%% control port.
-module(muster_cnode_name).

-export([beside/1, is_one/1]).

-define(SUFFIX, "-muster").

%% A BEAM node's name has both its parts.
-spec beside(binary()) -> binary().
beside(Name) ->
    [Alive, Host] = binary:split(Name, <<"@">>),
    <<Alive/binary, ?SUFFIX "@", Host/binary>>.

-spec is_one(binary()) -> boolean().
is_one(Name) ->
    [Alive | _] = binary:split(Name, <<"@">>),
    binary:longest_common_suffix([Alive, <<?SUFFIX>>]) =:= length(?SUFFIX).
