#include "node/gossip_options.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "core/errors.h"

#define PORT_DEFAULT 45892
#define GROUP_DEFAULT "233.252.1.32"
#define BROADCAST_DEFAULT "255.255.255.255"
#define TTL_DEFAULT 1
#define INTERVAL_DEFAULT_MS 2500
#define EXPIRE_DEFAULT_MS 15000
#define CLOCK_WINDOW_DEFAULT_MS 30000
#define CONNECTS_DEFAULT_PER_S 50
#define ADDRESS_MAX (INET_ADDRSTRLEN - 1)

static int refuse(struct muster_problem *problem, const char *option, struct muster_slice value,
                  const char *expected) {
    snprintf(problem->text, sizeof problem->text, "option %s: <<\"%.*s\">> is not %s", option,
             (int)value.len, (const char *)value.data, expected);
    return MUSTER_E_INVALID;
}

/* Leaves the address alone when the option is not given. */
static int read_address(const char *option, struct muster_slice value, struct in_addr *address,
                        struct muster_problem *problem) {
    char text[INET_ADDRSTRLEN] = {0};
    if (value.len == 0) {
        return 0;
    }
    memcpy(text, value.data, value.len);
    if (strlen(text) != value.len || inet_pton(AF_INET, text, address) != 1) {
        return refuse(problem, option, value, "an IPv4 address such as <<\"192.168.1.10\">>");
    }
    return 0;
}

struct addresses {
    struct muster_slice if_addr, multicast_if, multicast_addr;
};

/*
 * if_addr chooses the interface for both directions, multicast_if, where it is given, overrides it:
 * libcluster binds the socket to if_addr, with which Linux delivers no multicast at all.
 */
static int read_addresses(struct muster_gossip_endpoint *e, const struct addresses *given,
                          struct muster_problem *problem) {
    inet_pton(AF_INET, e->broadcast ? BROADCAST_DEFAULT : GROUP_DEFAULT, &e->to);
    if (read_address("if_addr", given->if_addr, &e->receive_from, problem) != 0 ||
        read_address("multicast_if", given->multicast_if, &e->receive_from, problem) != 0 ||
        read_address("multicast_addr", given->multicast_addr, &e->to, problem) != 0) {
        return MUSTER_E_INVALID;
    }
    e->send_from = e->receive_from;
    int is_group = IN_MULTICAST(ntohl(e->to.s_addr));
    if (is_group && e->broadcast) {
        return refuse(problem, "multicast_addr", given->multicast_addr,
                      "a broadcast address, such as <<\"255.255.255.255\">>, which "
                      "broadcast_only needs");
    }
    if (!is_group && !e->broadcast) {
        return refuse(problem, "multicast_addr", given->multicast_addr,
                      "a multicast address, 224.0.0.0 to 239.255.255.255; for a broadcast address "
                      "set broadcast_only");
    }
    return 0;
}

int muster_gossip_options_read(struct muster_gossip_options *options, struct muster_slice map,
                               struct muster_problem *problem) {
    static const char *const booleans[] = {"false", "true", NULL};
    int64_t port = PORT_DEFAULT, ttl = TTL_DEFAULT;
    struct addresses addresses = {0};
    *options = (struct muster_gossip_options){.interval_ms = INTERVAL_DEFAULT_MS,
                                              .expire_ms = EXPIRE_DEFAULT_MS,
                                              .clock_window_ms = CLOCK_WINDOW_DEFAULT_MS,
                                              .connects_per_s = CONNECTS_DEFAULT_PER_S};
#define INTEGER(name_, target_, min_, max_)                                                        \
    { .name = name_, .type = MUSTER_ARG_INTEGER, .target = target_, .min = min_, .max = max_ }
#define BINARY(name_, target_, max_)                                                               \
    { .name = name_, .type = MUSTER_ARG_BINARY, .target = target_, .max = max_ }
    struct muster_arg args[] = {
        INTEGER("port", &port, 1, 65535),
        BINARY("if_addr", &addresses.if_addr, ADDRESS_MAX),
        BINARY("multicast_if", &addresses.multicast_if, ADDRESS_MAX),
        BINARY("multicast_addr", &addresses.multicast_addr, ADDRESS_MAX),
        INTEGER("multicast_ttl", &ttl, 0, 255),
        {.name = "broadcast_only",
         .type = MUSTER_ARG_CHOICE,
         .target = &options->endpoint.broadcast,
         .choices = booleans},
        BINARY("secret", &options->secret, MUSTER_GOSSIP_SECRET_MAX),
        {.name = "old_secrets",
         .type = MUSTER_ARG_BINARIES,
         .target = &options->old_secrets,
         .max = MUSTER_GOSSIP_SECRET_MAX},
        INTEGER("interval_ms", &options->interval_ms, 100, MUSTER_DAY_MS),
        INTEGER("expire_ms", &options->expire_ms, 100, MUSTER_DAY_MS),
        INTEGER("clock_window_ms", &options->clock_window_ms, 1000, MUSTER_DAY_MS),
        INTEGER("connects_per_s", &options->connects_per_s, 10, 10000),
    };
#undef INTEGER
#undef BINARY
    if (muster_args_read(map, args, MUSTER_COUNT(args), problem) != 0) {
        return MUSTER_E_INVALID;
    }
    if (options->old_secrets.count > 0 && options->secret.len == 0) {
        snprintf(problem->text, sizeof problem->text,
                 "option old_secrets: means nothing without secret");
        return MUSTER_E_INVALID;
    }
    options->endpoint.port = (uint16_t)port;
    options->endpoint.ttl = (int)ttl;
    return read_addresses(&options->endpoint, &addresses, problem);
}
