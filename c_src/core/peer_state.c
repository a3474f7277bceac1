#include "core/peer_state.h"

#include <assert.h>

static const struct {
    const char *name;
    const char *text;
} states[MUSTER_PEER_STATE_COUNT] = {
#define X(constant, state_name, state_text)                                                        \
    [MUSTER_PEER_##constant] = {.name = #state_name, .text = state_text},
    MUSTER_PEER_STATES(X)
#undef X
};

const char *muster_peer_state_name(enum muster_peer_state state) {
    assert(state >= 0 && state < MUSTER_PEER_STATE_COUNT);
    return states[state].name;
}

const char *muster_peer_state_text(enum muster_peer_state state) {
    assert(state >= 0 && state < MUSTER_PEER_STATE_COUNT);
    return states[state].text;
}

int muster_peer_state_is_silence(enum muster_peer_state state) {
    switch (state) {
    case MUSTER_PEER_UNREACHABLE:
    case MUSTER_PEER_EPMD_UNREACHABLE:
    case MUSTER_PEER_TIMEOUT:
    case MUSTER_PEER_SILENT:
        return 1;
    default:
        return 0;
    }
}
