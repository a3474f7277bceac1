/*
 * The strategy `kubernetes` (libcluster's Kubernetes): the addresses of the endpoints or pods that
 * a label selector picks, asked of the API server every few seconds.
 *
 * Token and authority are read anew for every question, as Kubernetes replaces them.
 */
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/errors.h"
#include "node/https.h"
#include "node/kubernetes_options.h"
#include "node/poller.h"

/* 5,000 pods are some 50 MB. */
#define ANSWER_LIMIT (256u << 20)
#define ERROR_BODY_MAX 4096
#define TOKEN_MAX 8192
#define CA_MAX (256u << 10)
#define PATH_SIZE (MUSTER_KUBERNETES_PATH_MAX + 16)
#define TEXT_SIZE 640

struct kubernetes {
    struct muster_poller poller;
    struct muster_kubernetes_options options;
    struct muster_https *https;     /* NULL until the first question */
    struct muster_resolve *resolve; /* under way */
    uint8_t ca_hash[crypto_generichash_BYTES];
    /* The question under way. */
    struct muster_k8s_server server;
    char namespace[MUSTER_KUBERNETES_NAME_MAX + 1];
    char ca_file[PATH_SIZE]; /* empty: the system's authorities */
    int has_token;
    int asking;
    /* Its answer so far. */
    struct muster_k8s_parse parse;
    struct muster_name_list names;
    size_t received;
    int parse_error;
    char error_body[ERROR_BODY_MAX];
    size_t error_len;
    /* Counters. */
    uint64_t requests, bytes, items, unusable;
};

static void fail(struct kubernetes *k, const char *text) {
    muster_poller_failed(&k->poller, text);
}

/* --- The service account's files --- */

/* Reads a small file whole. Returns its length, or -1. */
static ssize_t read_file(const struct kubernetes *k, const char *name, char *out, size_t size) {
    char path[PATH_SIZE];
    snprintf(path, sizeof path, "%s/%s", k->options.account_path, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t n = fd >= 0 ? read(fd, out, size) : -1;
    if (fd >= 0) {
        close(fd);
    }
    return n;
}

/* Without the white space around it, as a text. Returns whether there is any. */
static int read_line(const struct kubernetes *k, const char *name, char *out, size_t size) {
    ssize_t n = read_file(k, name, out, size - 1);
    size_t len = n > 0 ? (size_t)n : 0;
    while (len > 0 && out[len - 1] <= ' ') {
        len--;
    }
    out[len] = '\0';
    return len > 0;
}

/* A connection made under another authority is not used again. */
static void forget_connections_of_old_ca(struct kubernetes *k) {
    uint8_t hash[sizeof k->ca_hash];
    char *ca = malloc(CA_MAX);
    ssize_t n = ca != NULL ? read_file(k, "ca.crt", ca, CA_MAX) : -1;
    crypto_generichash(hash, sizeof hash, (const uint8_t *)ca, n > 0 ? (size_t)n : 0, NULL, 0);
    free(ca);
    if (memcmp(hash, k->ca_hash, sizeof hash) != 0 && k->https != NULL) {
        muster_https_close(k->https);
        k->https = NULL;
    }
    memcpy(k->ca_hash, hash, sizeof hash);
    k->ca_file[0] = '\0';
    if (n >= 0) {
        snprintf(k->ca_file, sizeof k->ca_file, "%s/ca.crt", k->options.account_path);
    }
}

/* --- The answer --- */

static int on_body(void *context, long status, struct muster_slice bytes) {
    struct kubernetes *k = context;
    k->received += bytes.len;
    k->bytes += bytes.len;
    if (status != 200) {
        size_t room = sizeof k->error_body - k->error_len;
        size_t n = bytes.len < room ? bytes.len : room;
        memcpy(k->error_body + k->error_len, bytes.data, n);
        k->error_len += n;
        return k->received > ANSWER_LIMIT;
    }
    k->parse_error =
        k->received > ANSWER_LIMIT ? MUSTER_E_LIMIT : muster_k8s_parse_feed(&k->parse, bytes);
    return k->parse_error;
}

static void fail_status(struct kubernetes *k, long status) {
    const char *what = k->options.naming.lookup == MUSTER_K8S_PODS ? "pods" : "endpoints";
    char text[TEXT_SIZE], message[200];
    muster_k8s_status_message(muster_slice(k->error_body, k->error_len), message, sizeof message);
    if (status == 401) {
        snprintf(text, sizeof text,
                 "Kubernetes: the API server does not accept %s %.150s/token (401): check that the "
                 "service account exists and its token is mounted. It says: %s",
                 k->has_token ? "the token in" : "a question without a token; there is none in",
                 k->options.account_path, message);
    } else if (status == 403) {
        snprintf(
            text, sizeof text,
            "Kubernetes: not allowed (403): give the pod's service account the verb list on %s "
            "in namespace %.63s (Role and RoleBinding). The API server says: %s",
            what, k->namespace, message);
    } else if (status == 404) {
        snprintf(
            text, sizeof text,
            "Kubernetes: %.100s has no such resource (404): check option kubernetes_master. It "
            "says: %s",
            k->server.host, message);
    } else {
        snprintf(text, sizeof text,
                 "Kubernetes: the API server answers with status %ld%s; asked again later. It "
                 "says: %s",
                 status,
                 status == 429   ? " (too many requests: raise polling_interval)"
                 : status >= 500 ? " (trouble of its own)"
                                 : "",
                 message);
    }
    fail(k, text);
}

static void fail_outcome(struct kubernetes *k, enum muster_https_outcome outcome,
                         const char *detail) {
    char text[TEXT_SIZE], where[300];
    snprintf(where, sizeof where, "%.200s:%u", k->server.host, k->server.port);
    switch (outcome) {
    case MUSTER_HTTPS_UNREACHED:
        snprintf(
            text, sizeof text,
            "Kubernetes: no connection to the API server at %s: check option kubernetes_master "
            "and network policies (%s)",
            where, detail);
        break;
    case MUSTER_HTTPS_UNTRUSTED:
        snprintf(
            text, sizeof text,
            "Kubernetes: the certificate of %s is not signed by the authority in %.120s, or is "
            "for another name: check kubernetes_service_account_path and kubernetes_master "
            "(%s)",
            where, k->ca_file[0] != '\0' ? k->ca_file : "the system's store", detail);
        break;
    case MUSTER_HTTPS_CA_UNUSABLE:
        snprintf(text, sizeof text, "Kubernetes: %.200s cannot be read as certificates (%s)",
                 k->ca_file, detail);
        break;
    case MUSTER_HTTPS_TIMED_OUT:
        snprintf(text, sizeof text,
                 "Kubernetes: no complete answer from %s within %lld ms: the API server is "
                 "overloaded or unreachable; option timeout gives it longer (%s)",
                 where, (long long)k->options.timeout_ms, detail);
        break;
    default:
        snprintf(text, sizeof text, "Kubernetes: the answer of %s broke off: %s", where, detail);
    }
    fail(k, text);
}

static void fail_parse(struct kubernetes *k, int error) {
    char text[TEXT_SIZE];
    if (error == MUSTER_E_LIMIT) {
        snprintf(
            text, sizeof text,
            "Kubernetes: the answer is longer than is sensible (%zu bytes, %u items, %u names): "
            "choose a narrower kubernetes_selector",
            k->received, k->parse.items, k->names.count);
    } else if (error == MUSTER_E_NOMEM) {
        snprintf(text, sizeof text, "Kubernetes: out of memory");
    } else {
        snprintf(text, sizeof text,
                 "Kubernetes: the answer of %.200s is not a list of %s (%s): does "
                 "kubernetes_master name an API server?",
                 k->server.host, k->options.naming.lookup == MUSTER_K8S_PODS ? "pods" : "endpoints",
                 error == MUSTER_E_UNSUPPORTED ? "it is JSON of another kind"
                                               : muster_strerror(error));
    }
    fail(k, text);
}

static void report(struct kubernetes *k) {
    int is_partial = 0;
    int error =
        k->parse_error != 0 ? k->parse_error : muster_k8s_parse_finish(&k->parse, &is_partial);
    k->items += k->parse.items;
    k->unusable += k->parse.unusable;
    if (error != 0) {
        fail_parse(k, error);
    } else if (is_partial) {
        muster_poller_partial(&k->poller, &k->names,
                              "Kubernetes: the API server sent a part of its list only");
    } else if (k->names.count == 0 && k->parse.unnamed > 0) {
        fail(k, "Kubernetes: nothing that was found has a host name: mode hostname needs a "
                "StatefulSet and a headless service");
    } else {
        muster_poller_answered(&k->poller, &k->names, k->poller.interval_ms);
    }
}

static void end_question(struct kubernetes *k) {
    muster_k8s_parse_close(&k->parse);
    muster_name_list_close(&k->names);
    k->asking = 0;
}

static void on_end(void *context, enum muster_https_outcome outcome, long status,
                   const char *detail) {
    struct kubernetes *k = context;
    if (outcome == MUSTER_HTTPS_ANSWERED && status != 200) {
        fail_status(k, status);
    } else if (outcome == MUSTER_HTTPS_ANSWERED || outcome == MUSTER_HTTPS_STOPPED) {
        report(k);
    } else {
        fail_outcome(k, outcome, detail);
    }
    end_question(k);
}

/* --- The question --- */

static void begin_answer(struct kubernetes *k) {
    struct muster_k8s_naming naming = k->options.naming;
    naming.namespace = k->namespace;
    naming.basename = k->options.basename;
    naming.service = k->options.service;
    naming.domain = k->options.domain;
    muster_k8s_parse_init(&k->parse, &naming, &k->names);
    k->received = 0;
    k->parse_error = 0;
    k->error_len = 0;
    k->asking = 1;
    k->requests++;
}

/* `address`: "host:port:address", or NULL when the host is an address itself. */
static void send_request(struct kubernetes *k, const char *address) {
    static const char bearer[] = "Authorization: Bearer ";
    char url[MUSTER_K8S_URL_MAX], header[sizeof bearer + TOKEN_MAX];
    const char *problem;
    if (muster_k8s_url(url, sizeof url, &k->server, k->options.naming.lookup, k->namespace,
                       k->options.selector, k->options.use_cached) != 0) {
        fail(k, "Kubernetes: option kubernetes_selector is too long for a URL");
        return;
    }
    if (k->https == NULL && (k->https = muster_https_open(muster_topology_loop(k->poller.topology),
                                                          &problem)) == NULL) {
        char text[TEXT_SIZE];
        snprintf(text, sizeof text, "Kubernetes: %s", problem);
        fail(k, text);
        return;
    }
    memcpy(header, bearer, sizeof bearer);
    k->has_token = read_line(k, "token", header + sizeof bearer - 1, TOKEN_MAX);
    struct muster_https_request request = {.url = url,
                                           .ca_file = k->ca_file[0] != '\0' ? k->ca_file : NULL,
                                           .header = k->has_token ? header : NULL,
                                           .address = address,
                                           .timeout_ms = (uint64_t)k->options.timeout_ms,
                                           .context = k,
                                           .on_body = on_body,
                                           .on_end = on_end};
    begin_answer(k);
    int error = muster_https_get(k->https, &request);
    sodium_memzero(header, sizeof header);
    if (error != 0) {
        end_question(k);
        fail(k, "Kubernetes: out of memory");
    }
}

/* "host:port:address,address…": curl tries them all. */
static void write_addresses(const struct kubernetes *k, const struct muster_addresses *addresses,
                            char *out, size_t size) {
    int n = snprintf(out, size, "%s:%u:", k->server.host, k->server.port);
    for (unsigned i = 0; i < addresses->count && n >= 0 && (size_t)n < size; i++) {
        const struct sockaddr_storage *a = &addresses->list[i];
        char ip[INET6_ADDRSTRLEN];
        if (a->ss_family == AF_INET6) {
            uv_ip6_name((const struct sockaddr_in6 *)a, ip, sizeof ip);
        } else {
            uv_ip4_name((const struct sockaddr_in *)a, ip, sizeof ip);
        }
        n += snprintf(out + n, size - (size_t)n, "%s%s", i > 0 ? "," : "", ip);
    }
}

/* Resolved here and not by curl, which would start a thread for it. */
static void on_resolved(void *context, int status, const struct muster_addresses *addresses) {
    struct kubernetes *k = context;
    char text[TEXT_SIZE];
    if (status != 0) {
        snprintf(text, sizeof text,
                 "Kubernetes: the API server's name %.200s does not resolve (%s): set option "
                 "kubernetes_master",
                 k->server.host, uv_strerror(status));
        fail(k, text);
        return;
    }
    write_addresses(k, addresses, text, sizeof text);
    send_request(k, text);
}

static void ask(void *state) {
    struct kubernetes *k = state;
    if (muster_kubernetes_server(&k->options, &k->server) != 0) {
        fail(k, "Kubernetes: the environment's KUBERNETES_SERVICE_HOST and _PORT are no address: "
                "set option kubernetes_master");
        return;
    }
    snprintf(k->namespace, sizeof k->namespace, "%s", k->options.namespace);
    if (k->namespace[0] == '\0' && !read_line(k, "namespace", k->namespace, sizeof k->namespace)) {
        char text[TEXT_SIZE];
        snprintf(text, sizeof text,
                 "Kubernetes: which namespace? Set option kubernetes_namespace; %.200s/namespace "
                 "cannot be read",
                 k->options.account_path);
        fail(k, text);
        return;
    }
    forget_connections_of_old_ca(k);
    if (k->server.is_numeric) {
        send_request(k, NULL);
    } else if (muster_resolver_start(muster_topology_resolver(k->poller.topology), k->server.host,
                                     AF_UNSPEC, on_resolved, k, &k->resolve) != 0) {
        fail(k, "Kubernetes: out of memory");
    }
}

/* --- Life --- */

static int start_kubernetes(struct muster_topology *topology, struct muster_slice map,
                            struct muster_problem *problem) {
    struct kubernetes *k = calloc(1, sizeof *k);
    if (k == NULL) {
        snprintf(problem->text, sizeof problem->text, "out of memory");
        return MUSTER_E_NOMEM;
    }
    int error = muster_kubernetes_options_read(&k->options, map, problem);
    if (error != 0) {
        free(k);
        return error;
    }
    muster_topology_set_state(topology, k);
    muster_poller_start(&k->poller, topology, (uint64_t)k->options.interval_ms, ask, k);
    return 0;
}

static void sync_kubernetes(struct muster_topology *topology) {
    struct kubernetes *k = muster_topology_state(topology);
    muster_poller_sync(&k->poller);
}

static void stop_kubernetes(struct muster_topology *topology) {
    struct kubernetes *k = muster_topology_state(topology);
    if (k->resolve != NULL) {
        muster_resolver_cancel(k->resolve);
    }
    if (k->https != NULL) {
        muster_https_close(k->https);
    }
    if (k->asking) {
        end_question(k);
    }
    muster_poller_close(&k->poller, free);
}

static void write_counters(const struct muster_topology *topology, struct muster_writer *w) {
    const struct kubernetes *k = muster_topology_state(topology);
    muster_write_map(w, 4);
    muster_write_pair(w, "requests", (int64_t)k->requests);
    muster_write_pair(w, "bytes", (int64_t)k->bytes);
    muster_write_pair(w, "items", (int64_t)k->items);
    muster_write_pair(w, "unusable_addresses", (int64_t)k->unusable);
}

const struct muster_strategy_type muster_strategy_kubernetes = {.name = "kubernetes",
                                                                .start = start_kubernetes,
                                                                .sync = sync_kubernetes,
                                                                .stop = stop_kubernetes,
                                                                .write_counters = write_counters};
