#include "node/dns.h"

/* The functions used here are c-ares 1.18's; 1.28 has others for the same. */
#define CARES_NO_DEPRECATED
#include <ares.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/errors.h"

#define TRIES 3
/* The first try waits this part of the whole time; each further round c-ares waits twice as long.
 */
#define FIRST_TRY_PART 5
#define TIMER_MAX_MS 1000
#define NAME_CLASS_IN 1
#define NAMESERVER_PORT 53

struct muster_dns {
    uv_loop_t *loop;
    ares_channel channel;
    uv_timer_t timer; /* the next time that c-ares asked for, or the end of it all */
    uint64_t deadline_ms;
    struct dns_socket *sockets;
    struct muster_dns_owner owner;
    struct muster_dns **slot;
    const struct muster_dns_servers *servers;
    uint64_t timeout_ms;
    unsigned pending;
    unsigned unexplained; /* no server had an answer, and c-ares does not say why */
    int cancelled;
    int explaining;
    unsigned count;
    struct dns_question *questions;
};

struct dns_question {
    struct muster_dns *dns;
    const char *name;
    uint16_t type;
    unsigned index;
    int unexplained;
};

struct dns_socket {
    uv_poll_t poll; /* data: the dns */
    struct dns_socket *next;
    ares_socket_t fd;
};

const char *muster_dns_outcome_text(enum muster_dns_outcome outcome) {
    static const char *const texts[] = {
#define X(name, text) text,
        MUSTER_DNS_OUTCOMES(X)
#undef X
    };
    return texts[outcome];
}

/* --- Name servers --- */

/* Splits "ip", "ip:port" and "[ip6]:port"; a bare IPv6 address has no port. */
static int split_server(char *text, const char **ip, long *port) {
    char *colon = strrchr(text, ':'), *end;
    *ip = text;
    *port = NAMESERVER_PORT;
    if (text[0] == '[') {
        char *bracket = strchr(text, ']');
        if (bracket == NULL || (bracket[1] != '\0' && bracket[1] != ':')) {
            return MUSTER_E_INVALID;
        }
        colon = bracket[1] == ':' ? bracket + 1 : NULL;
        *ip = text + 1;
        *bracket = '\0';
    } else if (colon != NULL && strchr(text, ':') != colon) {
        colon = NULL;
    }
    if (colon != NULL) {
        *colon = '\0';
        *port = strtol(colon + 1, &end, 10);
        if (colon[1] == '\0' || *end != '\0') {
            return MUSTER_E_INVALID;
        }
    }
    return *port >= 1 && *port <= 65535 ? 0 : MUSTER_E_INVALID;
}

static int append_server(struct muster_dns_servers *servers, const char *ip, long port) {
    struct sockaddr_storage address;
    size_t used = strlen(servers->csv), room = sizeof servers->csv - used;
    const char *comma = used > 0 ? "," : "";
    int n;
    if (uv_ip4_addr(ip, 0, (struct sockaddr_in *)&address) == 0) {
        n = snprintf(servers->csv + used, room, "%s%s:%ld", comma, ip, port);
    } else if (uv_ip6_addr(ip, 0, (struct sockaddr_in6 *)&address) == 0) {
        n = snprintf(servers->csv + used, room, "%s[%s]:%ld", comma, ip, port);
    } else {
        return MUSTER_E_INVALID;
    }
    return n > 0 && (size_t)n < room ? 0 : MUSTER_E_INVALID;
}

int muster_dns_servers_read(struct muster_dns_servers *servers,
                            const struct muster_arg_binaries *texts,
                            struct muster_problem *problem) {
    servers->csv[0] = '\0';
    for (unsigned i = 0; i < texts->count; i++) {
        char text[64];
        const char *ip;
        long port;
        snprintf(text, sizeof text, "%.*s", (int)texts->items[i].len,
                 (const char *)texts->items[i].data);
        if (strlen(text) != texts->items[i].len || split_server(text, &ip, &port) != 0 ||
            append_server(servers, ip, port) != 0) {
            snprintf(problem->text, sizeof problem->text,
                     "option nameservers: <<\"%.*s\">> is not a numeric address with or without a "
                     "port, such as <<\"10.0.0.2\">>, <<\"10.0.0.2:53\">> or <<\"[fd00::2]:53\">>",
                     (int)(texts->items[i].len < 100 ? texts->items[i].len : 100),
                     (const char *)texts->items[i].data);
            return MUSTER_E_INVALID;
        }
    }
    return 0;
}

/* --- Life --- */

static void on_timer_closed(uv_handle_t *handle) {
    struct muster_dns *dns = handle->data;
    free(dns->questions);
    free(dns);
}

/* Never from within c-ares, which still uses the channel when it calls back. */
static void close_channel(struct muster_dns *dns) {
    *dns->slot = NULL;
    dns->cancelled = 1;
    if (dns->channel != NULL) {
        ares_destroy(dns->channel); /* closes its sockets, and by on_socket_state their handles */
    }
    uv_close((uv_handle_t *)&dns->timer, on_timer_closed);
}

void muster_dns_cancel(struct muster_dns *dns) {
    close_channel(dns);
}

static void on_timer(uv_timer_t *timer);
static void explain(struct muster_dns *dns);

/* After each visit to c-ares: the end, or the next time it wants to be visited. */
static void settle(struct muster_dns *dns) {
    if (dns->pending == 0 && dns->unexplained > 0) {
        explain(dns);
    }
    if (dns->pending == 0) {
        struct muster_dns_owner owner = dns->owner;
        close_channel(dns);
        owner.on_end(owner.context);
        return;
    }
    struct timeval most = {.tv_sec = TIMER_MAX_MS / 1000}, next;
    struct timeval *tv = ares_timeout(dns->channel, &most, &next);
    uint64_t wait = (uint64_t)tv->tv_sec * 1000 + (uint64_t)tv->tv_usec / 1000 + 1;
    uint64_t now = uv_now(dns->loop);
    uint64_t left = dns->deadline_ms > now ? dns->deadline_ms - now : 0;
    uv_timer_start(&dns->timer, on_timer, wait < left ? wait : left, 0);
}

static void on_timer(uv_timer_t *timer) {
    struct muster_dns *dns = timer->data;
    if (uv_now(dns->loop) >= dns->deadline_ms) {
        ares_cancel(dns->channel);
    } else {
        ares_process_fd(dns->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    }
    settle(dns);
}

/* --- Sockets --- */

static void on_ready(uv_poll_t *poll, int status, int events) {
    struct muster_dns *dns = poll->data;
    ares_socket_t fd = ((struct dns_socket *)poll)->fd;
    int readable = status != 0 || (events & UV_READABLE) != 0;
    int writable = status != 0 || (events & UV_WRITABLE) != 0;
    ares_process_fd(dns->channel, readable ? fd : ARES_SOCKET_BAD, writable ? fd : ARES_SOCKET_BAD);
    settle(dns);
}

static void on_poll_closed(uv_handle_t *handle) {
    free(handle);
}

static struct dns_socket *open_socket(struct muster_dns *dns, ares_socket_t fd) {
    struct dns_socket *s = calloc(1, sizeof *s);
    if (s == NULL || uv_poll_init_socket(dns->loop, &s->poll, fd) != 0) {
        free(s); /* c-ares will see a timeout */
        return NULL;
    }
    s->poll.data = dns;
    s->fd = fd;
    s->next = dns->sockets;
    dns->sockets = s;
    return s;
}

static void close_socket(struct dns_socket **at) {
    struct dns_socket *s = *at;
    *at = s->next;
    uv_close((uv_handle_t *)&s->poll, on_poll_closed);
}

static void on_socket_state(void *data, ares_socket_t fd, int readable, int writable) {
    struct muster_dns *dns = data;
    struct dns_socket **at = &dns->sockets;
    while (*at != NULL && (*at)->fd != fd) {
        at = &(*at)->next;
    }
    if (!readable && !writable) {
        if (*at != NULL) {
            close_socket(at);
        }
        return;
    }
    struct dns_socket *s = *at != NULL ? *at : open_socket(dns, fd);
    if (s != NULL) {
        uv_poll_start(&s->poll, (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0),
                      on_ready);
    }
}

/* --- Questions --- */

static enum muster_dns_outcome outcome_of(int status) {
    switch (status) {
    case ARES_SUCCESS:
        return MUSTER_DNS_ANSWER;
    case ARES_ENODATA:
        return MUSTER_DNS_NO_RECORDS;
    case ARES_ENOTFOUND:
        return MUSTER_DNS_NO_NAME;
    case ARES_ESERVFAIL:
    case ARES_ENOTIMP:
        return MUSTER_DNS_SERVER_FAILED;
    case ARES_EREFUSED:
        return MUSTER_DNS_REFUSED;
    case ARES_ETIMEOUT:
    case ARES_ECANCELLED:
        return MUSTER_DNS_TIMEOUT;
    case ARES_ECONNREFUSED:
        return MUSTER_DNS_UNREACHABLE;
    case ARES_EBADNAME:
    case ARES_EBADQUERY:
        return MUSTER_DNS_BAD_NAME;
    case ARES_EBADRESP:
    case ARES_EFORMERR:
        return MUSTER_DNS_GARBLED;
    default:
        return MUSTER_DNS_FAILED;
    }
}

static void on_answer(void *arg, int status, int timeouts, unsigned char *data, int len) {
    struct dns_question *q = arg;
    struct muster_dns *dns = q->dns;
    (void)timeouts;
    if (dns->cancelled) {
        return;
    }
    enum muster_dns_outcome outcome = outcome_of(status);
    int has_message = outcome == MUSTER_DNS_ANSWER && data != NULL && len > 0;
    dns->pending--;
    if (outcome == MUSTER_DNS_UNREACHABLE && !dns->explaining) {
        q->unexplained = 1;
        dns->unexplained++;
        return;
    }
    dns->owner.on_answer(dns->owner.context, q->index, outcome,
                         has_message ? muster_slice(data, (size_t)len) : muster_slice("", 0));
}

static int open_channel(struct muster_dns *dns, int flags) {
    struct ares_options options = {.flags = flags,
                                   .timeout = (int)(dns->timeout_ms / FIRST_TRY_PART),
                                   .tries = TRIES,
                                   .sock_state_cb = on_socket_state,
                                   .sock_state_cb_data = dns};
    int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB;
    const char *csv = dns->servers->csv;
    if (ares_init_options(&dns->channel, &options, mask) != ARES_SUCCESS) {
        return MUSTER_E_INVALID;
    }
    if (csv[0] != '\0' && ares_set_servers_ports_csv(dns->channel, csv) != ARES_SUCCESS) {
        ares_destroy(dns->channel);
        return MUSTER_E_INVALID;
    }
    return 0;
}

static void send_question(struct muster_dns *dns, struct dns_question *q) {
    dns->pending++;
    ares_search(dns->channel, q->name, NAME_CLASS_IN, q->type, on_answer, q);
}

/*
 * When each server refuses, fails or is not there, c-ares goes on to the next, and in the end says
 * "connection refused" for all of that. Then those questions are asked once more and the first
 * answer is taken for what it says.
 */
static void explain(struct muster_dns *dns) {
    dns->explaining = 1;
    dns->unexplained = 0;
    ares_channel old = dns->channel;
    int opened = open_channel(dns, ARES_FLAG_NOCHECKRESP) == 0;
    ares_destroy(old);
    for (unsigned i = 0; i < dns->count; i++) {
        struct dns_question *q = &dns->questions[i];
        if (q->unexplained && opened) {
            send_question(dns, q);
        } else if (q->unexplained) {
            dns->owner.on_answer(dns->owner.context, q->index, MUSTER_DNS_FAILED,
                                 muster_slice("", 0));
        }
    }
    if (!opened) {
        dns->channel = NULL;
    }
}

static void begin(struct muster_dns *dns, const struct muster_dns_question *questions) {
    dns->deadline_ms = uv_now(dns->loop) + dns->timeout_ms;
    uv_timer_init(dns->loop, &dns->timer);
    dns->timer.data = dns;
    for (unsigned i = 0; i < dns->count; i++) {
        dns->questions[i] = (struct dns_question){
            .dns = dns, .name = questions[i].name, .type = questions[i].type, .index = i};
        send_question(dns, &dns->questions[i]);
    }
    settle(dns);
}

/* A channel for each set of questions: what resolv.conf says is read anew each time, and every set
 * leaves from a port of its own. */
int muster_dns_ask(uv_loop_t *loop, const struct muster_dns_servers *servers, uint64_t timeout_ms,
                   const struct muster_dns_question *questions, unsigned count,
                   const struct muster_dns_owner *owner, struct muster_dns **slot) {
    struct muster_dns *dns = calloc(1, sizeof *dns);
    struct dns_question *own = calloc(count, sizeof *own);
    int error = MUSTER_E_NOMEM;
    if (dns != NULL && own != NULL) {
        *dns = (struct muster_dns){.loop = loop,
                                   .owner = *owner,
                                   .slot = slot,
                                   .servers = servers,
                                   .timeout_ms = timeout_ms,
                                   .count = count,
                                   .questions = own};
        error = open_channel(dns, 0);
    }
    if (error != 0) {
        free(dns);
        free(own);
        return error;
    }
    *slot = dns;
    begin(dns, questions);
    return 0;
}
