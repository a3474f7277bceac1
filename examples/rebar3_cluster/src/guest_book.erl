%% A set that all nodes share: each changes its own copy, tells the others, and merges what they tell.
-module(guest_book).

-behaviour(gen_server).

-export([start_link/0, sign/1, entries/0, hand_to/1]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

start_link() ->
    gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).

%% Puts an entry into the book, on all nodes.
sign(Entry) ->
    gen_server:call(?MODULE, {sign, Entry}).

%% The entries, as this node knows them.
entries() ->
    gen_server:call(?MODULE, entries).

%% Gives this node's copy to another one, which has merged it, or is gone, when this returns.
hand_to(Node) ->
    try
        gen_server:call({?MODULE, Node}, {merge, gen_server:call(?MODULE, book)})
    catch
        exit:_ -> ok
    end.

init([]) ->
    %% Subscribe first, then look: nobody comes unseen in between.
    ok = muster_discovery:subscribe(),
    Book = muster_or_set:new(),
    [tell(Node, Book) || #{node := Node} <- muster_discovery:snapshot()],
    {ok, Book}.

handle_call({sign, Entry}, _From, Book) ->
    Signed = muster_or_set:add(Book, Entry),
    [tell(Node, Signed) || Node <- nodes()],
    {reply, ok, Signed};
handle_call(entries, _From, Book) ->
    {reply, lists:sort(muster_or_set:to_list(Book)), Book};
handle_call(book, _From, Book) ->
    {reply, Book, Book};
handle_call({merge, Theirs}, _From, Book) ->
    {reply, ok, muster_or_set:merge(Book, Theirs)}.

handle_cast({merge, Node, Theirs}, Book) ->
    Merged = muster_or_set:merge(Book, Theirs),
    %% Who knows less than we do now is told.
    Merged =:= Theirs orelse tell(Node, Merged),
    {noreply, Merged}.

handle_info({muster_discovery, {peer_up, Node, _Metadata}}, Book) ->
    tell(Node, Book),
    {noreply, Book};
handle_info(_, Book) ->
    {noreply, Book}.

tell(Node, Book) ->
    gen_server:cast({?MODULE, Node}, {merge, node(), Book}).
