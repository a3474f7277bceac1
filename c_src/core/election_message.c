#include "core/election_message.h"

#include "core/errors.h"

#include <stddef.h>

const char *muster_message_name(enum muster_message_kind kind) {
    switch (kind) {
#define X(name, number)                                                                            \
    case MUSTER_MESSAGE_##name:                                                                    \
        return #name;
        MUSTER_MESSAGES(X)
#undef X
    }
    return "?";
}

int muster_message_check(const struct muster_message *message) {
    if (message->kind < MUSTER_MESSAGE_PRE_VOTE || message->kind > MUSTER_MESSAGE_TRANSFER_READY)
        return MUSTER_E_MALFORMED;
    if (message->term >= MUSTER_TERM_MAX || message->stamp.term >= MUSTER_TERM_MAX ||
        message->age >= MUSTER_TERM_MAX || message->election == 0)
        return MUSTER_E_MALFORMED;
    if (message->stamp.term > message->term) /* a document is never ahead of its holder */
        return MUSTER_E_MALFORMED;
    if (message->config == NULL)
        return 0;
    if (muster_stamp_compare(message->config->stamp, message->stamp) != 0)
        return MUSTER_E_MALFORMED;
    return muster_config_check(message->config);
}
