%% @private
%% The key under which a server's state stands in the C node: made of the server's name, readable,
%% and short enough for the protocol (`docs/control-port.md').
-module(muster_cnode_key).

-export([new/2]).

%% Bytes; the protocol allows 255.
-define(MAX, 200).

%% The same names give the same key on every node. `Prefix' says what it is, where keys of several
%% kinds meet; names that are too long are replaced by their hash.
-spec new(binary(), [term()]) -> binary().
new(Prefix, Names) ->
    Printed = [io_lib:format("~0tp", [Name]) || Name <- Names],
    Text = unicode:characters_to_binary([Prefix, lists:join("/", Printed)]),
    case byte_size(Text) =< ?MAX of
        true -> Text;
        false -> <<Prefix/binary, (binary:encode_hex(erlang:md5(Text)))/binary>>
    end.
