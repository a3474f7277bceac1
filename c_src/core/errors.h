/* The error codes of the core and their texts, in one list. */
#ifndef MUSTER_CORE_ERRORS_H
#define MUSTER_CORE_ERRORS_H

/* Functions that can fail return 0 or one of these, negative. */
#define MUSTER_ERRORS(X)                                                                           \
    X(NOMEM, 1, "out of memory")                                                                   \
    X(LIMIT, 2, "a configured limit was reached")                                                  \
    X(TRUNCATED, 3, "the input ends too early")                                                    \
    X(MALFORMED, 4, "the input is not well-formed")                                                \
    X(TOO_DEEP, 5, "the input is nested too deeply")                                               \
    X(UNSUPPORTED, 6, "the input uses a feature this side does not speak")                         \
    X(INVALID, 7, "an argument is out of its range")                                               \
    X(NOT_LEADER, 8, "only the leader can do this")                                                \
    X(BUSY, 9, "the previous change is not finished, or the member is not ready")                  \
    X(MISMATCH, 10, "the members were started with different voters")

enum muster_error {
#define X(name, code, text) MUSTER_E_##name = -(code),
    MUSTER_ERRORS(X)
#undef X
};

/* A static, readable text for a negative error code; never NULL. */
const char *muster_strerror(int error);

#endif
