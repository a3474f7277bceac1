/* The states a peer can be in, or why it is not connected, in one list: name and what it means. */
#ifndef MUSTER_CORE_PEER_STATE_H
#define MUSTER_CORE_PEER_STATE_H

#define MUSTER_PEER_STATES(X)                                                                      \
    X(IDLE, idle, "not connected, and nobody here wants it to be")                                 \
    X(DIALING, dialing, "being dialled")                                                           \
    X(CONNECTED, connected, "connected")                                                           \
    X(CLOSED, closed, "the connection was closed")                                                 \
    X(HOST_UNKNOWN, host_unknown, "the host name does not resolve")                                \
    X(UNREACHABLE, unreachable, "no route to the host")                                            \
    X(EPMD_UNREACHABLE, epmd_unreachable, "the host's epmd does not answer")                       \
    X(NAME_UNKNOWN, name_unknown, "the host's epmd knows no such node")                            \
    X(CONNECTION_REFUSED, connection_refused, "nothing listens on the node's port")                \
    X(TIMEOUT, timeout, "no answer in time")                                                       \
    X(SILENT, silent, "nothing was heard for a whole net tick time")                               \
    X(COOKIE_MISMATCH, cookie_mismatch, "the cookies differ")                                      \
    X(NAME_MISMATCH, name_mismatch, "another node answers under this name")                        \
    X(NOT_ALLOWED, not_allowed, "the node does not allow this node to connect")                    \
    X(TLS_REQUIRED, tls_required, "the node speaks TLS distribution, this C node does not")        \
    X(UNSUPPORTED_DISTRIBUTION, unsupported_distribution,                                          \
      "the node speaks another version or transport of the distribution protocol")                 \
    X(FLAGS_REJECTED, flags_rejected, "the node lacks a mandatory capability")                     \
    X(HANDSHAKE_FAILED, handshake_failed, "the handshake broke off")                               \
    X(SIMULTANEOUS, simultaneous, "the node is connecting from its own side")                      \
    X(OVERLOADED, overloaded, "the node reads too slowly, its queue was full")

enum muster_peer_state {
#define X(constant, name, text) MUSTER_PEER_##constant,
    MUSTER_PEER_STATES(X)
#undef X
        MUSTER_PEER_STATE_COUNT
};

/* The atom's text, such as "cookie_mismatch". */
const char *muster_peer_state_name(enum muster_peer_state state);

/* A sentence for people. */
const char *muster_peer_state_text(enum muster_peer_state state);

/*
 * True for the states that may mean a dead host: nothing answers. The others are either fine or
 * themselves an answer (a refusal proves that something lives there).
 */
int muster_peer_state_is_silence(enum muster_peer_state state);

#endif
