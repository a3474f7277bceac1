#include "core/dns_answer.h"

#include "core/errors.h"

#define HEADER_SIZE 12
#define QUESTION_FIXED 4
#define RECORD_FIXED 10
#define SRV_FIXED 6
#define CLASS_IN 1
#define POINTER_BITS 0xc0
/* Every pointer goes backwards, so no name can have more of them than it has labels. */
#define POINTERS_MAX 128
#define TTL_SIGN 0x80000000u
#define MS_PER_SECOND 1000

/* --- Names --- */

/* Passes a name where it stands, without following pointers. */
static int skip_name(struct muster_slice message, size_t *at) {
    while (*at < message.len) {
        uint8_t len = message.data[*at];
        if ((len & POINTER_BITS) == POINTER_BITS) {
            *at += 2;
            return *at <= message.len ? 0 : MUSTER_E_MALFORMED;
        }
        if ((len & POINTER_BITS) != 0) {
            return MUSTER_E_MALFORMED;
        }
        *at += 1u + len;
        if (len == 0) {
            return 0;
        }
    }
    return MUSTER_E_MALFORMED;
}

static int follow_pointer(struct muster_slice message, size_t *at, unsigned *pointers) {
    if (*at + 1 >= message.len || ++*pointers > POINTERS_MAX) {
        return MUSTER_E_MALFORMED;
    }
    size_t to = muster_get16(message.data + *at) & ~(POINTER_BITS << 8) & 0xffff;
    if (to >= *at) {
        return MUSTER_E_MALFORMED;
    }
    *at = to;
    return 0;
}

/* A dot or a zero inside a label would make the text another name. */
static int append_label(struct muster_dns_record *record, const uint8_t *label, uint8_t len) {
    size_t used = record->target_len;
    size_t dot = used > 0;
    if (used + dot + len > MUSTER_DNS_NAME_MAX || memchr(label, '.', len) != NULL ||
        memchr(label, '\0', len) != NULL) {
        return MUSTER_E_MALFORMED;
    }
    if (dot) {
        record->target[used] = '.';
    }
    memcpy(record->target + used + dot, label, len);
    record->target_len = (uint8_t)(used + dot + len);
    record->target[record->target_len] = '\0';
    return 0;
}

static int read_name(struct muster_slice message, size_t at, struct muster_dns_record *record) {
    unsigned pointers = 0;
    record->target_len = 0;
    record->target[0] = '\0';
    while (at < message.len) {
        uint8_t len = message.data[at];
        int error = 0;
        if (len == 0) {
            return 0;
        }
        if ((len & POINTER_BITS) == POINTER_BITS) {
            error = follow_pointer(message, &at, &pointers);
        } else if ((len & POINTER_BITS) != 0 || len >= message.len - at) {
            error = MUSTER_E_MALFORMED;
        } else {
            error = append_label(record, message.data + at + 1, len);
            at += 1u + len;
        }
        if (error != 0) {
            return error;
        }
    }
    return MUSTER_E_MALFORMED;
}

/* --- Records --- */

int muster_dns_answer_open(struct muster_dns_answer *answer, struct muster_slice message) {
    if (message.len < HEADER_SIZE) {
        return MUSTER_E_MALFORMED;
    }
    unsigned questions = muster_get16(message.data + 4);
    *answer = (struct muster_dns_answer){.message = message,
                                         .at = HEADER_SIZE,
                                         .left = muster_get16(message.data + 6),
                                         .ttl = UINT32_MAX};
    for (unsigned i = 0; i < questions; i++) {
        if (skip_name(message, &answer->at) != 0 || message.len - answer->at < QUESTION_FIXED) {
            return MUSTER_E_MALFORMED;
        }
        answer->at += QUESTION_FIXED;
    }
    return 0;
}

static int read_data(struct muster_slice message, size_t at, size_t len,
                     struct muster_dns_record *record) {
    const uint8_t *p = message.data + at;
    switch (record->type) {
    case MUSTER_DNS_A:
        memcpy(record->address, p, len == 4 ? len : 0);
        return len == 4 ? 0 : MUSTER_E_MALFORMED;
    case MUSTER_DNS_AAAA:
        memcpy(record->address, p, len == 16 ? len : 0);
        return len == 16 ? 0 : MUSTER_E_MALFORMED;
    case MUSTER_DNS_SRV:
        if (len <= SRV_FIXED) {
            return MUSTER_E_MALFORMED;
        }
        record->priority = muster_get16(p);
        record->weight = muster_get16(p + 2);
        record->port = muster_get16(p + 4);
        return read_name(message, at + SRV_FIXED, record);
    default:
        return MUSTER_E_UNSUPPORTED;
    }
}

/* Passes one record; it is read when it is of the type. Returns whether it was, or an error. */
static int next_record(struct muster_dns_answer *answer, uint16_t type,
                       struct muster_dns_record *record) {
    struct muster_slice message = answer->message;
    if (skip_name(message, &answer->at) != 0 || message.len - answer->at < RECORD_FIXED) {
        return MUSTER_E_MALFORMED;
    }
    const uint8_t *p = message.data + answer->at;
    uint16_t class = muster_get16(p + 2);
    uint32_t ttl = muster_get32(p + 4);
    size_t len = muster_get16(p + 8), at = answer->at + RECORD_FIXED;
    if (len > message.len - at) {
        return MUSTER_E_MALFORMED;
    }
    answer->at = at + len;
    ttl = (ttl & TTL_SIGN) != 0 ? 0 : ttl; /* RFC 2181 */
    answer->ttl = ttl < answer->ttl ? ttl : answer->ttl;
    if (muster_get16(p) != type || class != CLASS_IN) {
        return 0;
    }
    record->type = type;
    record->ttl = ttl;
    int error = read_data(message, at, len, record);
    return error != 0 ? error : 1;
}

int muster_dns_answer_next(struct muster_dns_answer *answer, uint16_t type,
                           struct muster_dns_record *record) {
    while (answer->left > 0) {
        answer->left--;
        int found = next_record(answer, type, record);
        if (found != 0) {
            return found;
        }
    }
    return 0;
}

uint64_t muster_dns_wait_ms(uint32_t ttl, uint64_t interval_ms, uint64_t floor_ms,
                            uint64_t ttl_max_ms) {
    uint64_t wait = (uint64_t)ttl * MS_PER_SECOND;
    if (ttl == 0 || ttl == UINT32_MAX) {
        return interval_ms;
    }
    wait = wait > ttl_max_ms ? ttl_max_ms : wait;
    return wait < floor_ms ? floor_ms : wait;
}
