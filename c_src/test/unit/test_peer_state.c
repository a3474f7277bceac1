/* The peers' states: names as the documents give them, texts, and which of them are silence. */
#include "unit.h"

#include "core/peer_state.h"

/* In the order of the enum: names are atoms that users match on. */
static const struct {
    enum muster_peer_state state;
    const char *name;
    int silence;
} all[] = {
    {MUSTER_PEER_IDLE, "idle", 0},
    {MUSTER_PEER_DIALING, "dialing", 0},
    {MUSTER_PEER_CONNECTED, "connected", 0},
    {MUSTER_PEER_CLOSED, "closed", 0},
    {MUSTER_PEER_HOST_UNKNOWN, "host_unknown", 0},
    {MUSTER_PEER_UNREACHABLE, "unreachable", 1},
    {MUSTER_PEER_EPMD_UNREACHABLE, "epmd_unreachable", 1},
    {MUSTER_PEER_NAME_UNKNOWN, "name_unknown", 0},
    {MUSTER_PEER_CONNECTION_REFUSED, "connection_refused", 0},
    {MUSTER_PEER_TIMEOUT, "timeout", 1},
    {MUSTER_PEER_SILENT, "silent", 1},
    {MUSTER_PEER_COOKIE_MISMATCH, "cookie_mismatch", 0},
    {MUSTER_PEER_NAME_MISMATCH, "name_mismatch", 0},
    {MUSTER_PEER_NOT_ALLOWED, "not_allowed", 0},
    {MUSTER_PEER_TLS_REQUIRED, "tls_required", 0},
    {MUSTER_PEER_UNSUPPORTED_DISTRIBUTION, "unsupported_distribution", 0},
    {MUSTER_PEER_FLAGS_REJECTED, "flags_rejected", 0},
    {MUSTER_PEER_HANDSHAKE_FAILED, "handshake_failed", 0},
    {MUSTER_PEER_SIMULTANEOUS, "simultaneous", 0},
    {MUSTER_PEER_OVERLOADED, "overloaded", 0},
};

static void test_table_is_complete(void **state) {
    (void)state;
    assert_int_equal(UNIT_COUNT(all), MUSTER_PEER_STATE_COUNT);
    for (size_t i = 0; i < UNIT_COUNT(all); i++) {
        assert_int_equal(all[i].state, i);
    }
}

static void test_names(void **state) {
    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(all); i++) {
        assert_string_equal(muster_peer_state_name(all[i].state), all[i].name);
    }
}

static void test_texts_differ(void **state) {
    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(all); i++) {
        assert_true(strlen(muster_peer_state_text(all[i].state)) > 0);
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(muster_peer_state_text(all[i].state),
                                    muster_peer_state_text(all[j].state));
        }
    }
}

static void test_silence(void **state) {
    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(all); i++) {
        assert_int_equal(muster_peer_state_is_silence(all[i].state), all[i].silence);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_is_complete),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_texts_differ),
        cmocka_unit_test(test_silence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
