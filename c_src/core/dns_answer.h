/*
 * The answer section of a DNS message (RFC 1035): addresses (A, AAAA) and services (SRV, RFC 2782)
 * with their time to live. Messages come from the network; nothing beyond their end is read.
 */
#ifndef MUSTER_CORE_DNS_ANSWER_H
#define MUSTER_CORE_DNS_ANSWER_H

#include "core/bytes.h"

#define MUSTER_DNS_A 1
#define MUSTER_DNS_AAAA 28
#define MUSTER_DNS_SRV 33

/* A name as text without the final dot; the longest is 253 bytes. */
#define MUSTER_DNS_NAME_MAX 255

struct muster_dns_record {
    uint16_t type;
    uint32_t ttl; /* seconds */
    /* A, AAAA: the address. SRV: the target as text, empty when the service is not to be had. */
    uint8_t address[16];
    char target[MUSTER_DNS_NAME_MAX + 1];
    uint8_t target_len;
    uint16_t priority, weight, port;
};

struct muster_dns_answer {
    struct muster_slice message;
    size_t at;
    unsigned left; /* records to come */
    uint32_t ttl;  /* the shortest so far, aliases (CNAME) on the way included; UINT32_MAX: none */
};

/* Reads the header and passes the questions. Returns 0 or MUSTER_E_MALFORMED. */
int muster_dns_answer_open(struct muster_dns_answer *answer, struct muster_slice message);

/* The next record of that type. Returns 1 and fills it in, 0 at the end, or MUSTER_E_MALFORMED. */
int muster_dns_answer_next(struct muster_dns_answer *answer, uint16_t type,
                           struct muster_dns_record *record);

/*
 * How long to wait before asking again: until the answer's time to live ends, but not longer than
 * `ttl_max_ms` and not shorter than `floor_ms`. A time to live of 0 or UINT32_MAX (nothing known)
 * means `interval_ms`.
 */
uint64_t muster_dns_wait_ms(uint32_t ttl, uint64_t interval_ms, uint64_t floor_ms,
                            uint64_t ttl_max_ms);

#endif
