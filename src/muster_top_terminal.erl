%% @private
%% The terminal of {@link muster_top}: keys as they are typed, a screen of its own that is redrawn in place,
%% and everything as it was at the end, also when the VM is killed.
%%
%% Erlang has no documented way to set a terminal's mode before OTP 28, so `stty' does it. It gets the
%% terminal by its path: the programs that a BEAM starts are in a session of their own.
-module(muster_top_terminal).

-export([open/0, close/1, columns/0, rows/0, draw/2, frame/3]).

-export_type([terminal/0, size/0]).

-type terminal() :: #{guard := port() | none, restore := fun(() -> ok), reader := pid()}.
-type size() :: {Columns :: pos_integer(), Rows :: pos_integer()}.

%% The alternate screen, without a cursor and without going on in the next line where a character is wider than one
%% column; and back.
-define(ENTER, "\e[?1049h\e[?25l\e[?7l").
-define(LEAVE, "\e[?7h\e[?25h\e[?1049l").

%% The calling process gets `{key, Character}', or `{key, eof}' when nothing more can be typed.
%% `not_a_terminal' where the output is something else.
-spec open() -> {ok, terminal()} | not_a_terminal.
open() ->
    case columns() of
        {ok, _} ->
            Mode = set_mode(own_path()),
            Owner = self(),
            Reader = spawn_link(fun() -> read_keys(Owner) end),
            write(?ENTER),
            {ok, Mode#{reader => Reader}};
        not_a_terminal ->
            not_a_terminal
    end.

-spec close(terminal()) -> ok.
close(#{guard := Guard, restore := Restore, reader := Reader}) ->
    unlink(Reader),
    exit(Reader, kill),
    write(?LEAVE),
    ok = Restore(),
    dismiss(Guard).

-spec columns() -> {ok, pos_integer()} | not_a_terminal.
columns() -> size_of(io:columns()).

-spec rows() -> {ok, pos_integer()} | not_a_terminal.
rows() -> size_of(io:rows()).

size_of({ok, N}) when is_integer(N), N > 0 -> {ok, N};
size_of(_) -> not_a_terminal.

%% Writes lines over what is there.
-spec draw([muster_top_view:line()], size()) -> ok.
draw(Lines, Size) ->
    write(frame(Lines, Size, os:getenv("NO_COLOR", "") =:= "")).

%% One write for the whole screen, without clearing it first: nothing flickers. Lines that do not fit are counted.
-spec frame([muster_top_view:line()], size(), Colours :: boolean()) -> unicode:chardata().
frame(Lines, {Columns, Rows}, Colours) ->
    Shown =
        case length(Lines) - Rows of
            Over when Over > 0 ->
                More = io_lib:format("... ~b more", [Over + 1]),
                lists:sublist(Lines, Rows - 1) ++ [{normal, string:slice(More, 0, Columns)}];
            _ ->
                Lines
        end,
    ["\e[H", lists:join("\r\n", [[styled(Line, Colours), "\e[K"] || Line <- Shown]), "\e[J"].

styled({normal, Text}, _) -> Text;
styled({title, Text}, _) -> ["\e[7m", Text, "\e[0m"];
styled({heading, Text}, _) -> ["\e[1m", Text, "\e[0m"];
styled({warning, Text}, true) -> ["\e[33m", Text, "\e[0m"];
styled({trouble, Text}, true) -> ["\e[31m", Text, "\e[0m"];
styled({_, Text}, false) -> Text.

write(Text) ->
    io:put_chars(Text).

read_keys(Owner) ->
    case io:get_chars("", 1) of
        [Key] -> key(Owner, Key);
        <<Key/utf8>> -> key(Owner, Key);
        _ -> Owner ! {key, eof}
    end.

key(Owner, Key) ->
    Owner ! {key, Key},
    read_keys(Owner).

%%% The mode

%% Where it cannot be set, keys count once Enter is typed.
set_mode(none) ->
    #{guard => none, restore => fun() -> ok end};
set_mode(Path) ->
    case stty(Path, ["-g"]) of
        {ok, Saved} ->
            Guard = guard(Path, Saved),
            %% -isig: ^C comes as a key, not as the BEAM's break menu.
            _ = stty(Path, ["-icanon", "-echo", "-isig", "min", "1", "time", "0"]),
            #{guard => Guard, restore => fun() -> restore(Path, Saved) end};
        error ->
            set_mode(none)
    end.

restore(Path, Saved) ->
    _ = stty(Path, [Saved]),
    ok.

%% A shell has set its terminal's mode itself, and the terminal of a remote shell is not here.
own_path() ->
    case init:get_argument(noshell) =/= error andalso node(group_leader()) =:= node() of
        true -> path();
        false -> none
    end.

%% The terminal that the VM reads from.
path() ->
    case file:read_link("/proc/self/fd/0") of
        {ok, "/dev/" ++ _ = Path} -> Path;
        {ok, _} -> none;
        {error, _} -> path_by_ps()
    end.

path_by_ps() ->
    case string:trim(os:cmd("ps -o tty= -p " ++ os:getpid())) of
        "tty" ++ _ = Name -> "/dev/" ++ Name;
        "pts/" ++ _ = Name -> "/dev/" ++ Name;
        _ -> none
    end.

stty(Path, Arguments) ->
    Port = sh("exec stty \"$@\" <\"$0\" 2>/dev/null", [Path | Arguments], [exit_status]),
    stty_answer(Port, []).

stty_answer(Port, Said) ->
    receive
        {Port, {data, Data}} -> stty_answer(Port, [Said, Data]);
        {Port, {exit_status, 0}} -> {ok, string:trim(unicode:characters_to_list(iolist_to_binary(Said)))};
        {Port, {exit_status, _}} -> error
    end.

%% Outlives the VM, however that ends, and then restores the terminal; dismissed by a line.
guard(Path, Saved) ->
    sh("read -r line || { stty \"$1\" <\"$0\"; printf '\\033[?7h\\033[?25h\\033[?1049l' >\"$0\"; }", [Path, Saved], []).

dismiss(none) ->
    ok;
dismiss(Guard) ->
    %% It may be gone: then it has done no harm either.
    try
        port_command(Guard, "done\n") andalso port_close(Guard),
        ok
    catch
        error:badarg -> ok
    end.

sh(Script, Arguments, Options) ->
    open_port({spawn_executable, "/bin/sh"}, [{args, ["-c", Script | Arguments]}, binary | Options]).
