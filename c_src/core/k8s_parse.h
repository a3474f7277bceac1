/*
 * The API server's lists of endpoints or pods, as names of nodes. The answer is fed as it arrives.
 */
#ifndef MUSTER_CORE_K8S_PARSE_H
#define MUSTER_CORE_K8S_PARSE_H

#include "core/json_split.h"
#include "core/name_list.h"

enum muster_k8s_lookup { MUSTER_K8S_ENDPOINTS, MUSTER_K8S_PODS };

enum muster_k8s_mode {
    MUSTER_K8S_IP,       /* basename@10.1.2.3 */
    MUSTER_K8S_HOSTNAME, /* basename@hostname.service.namespace.svc.domain */
    MUSTER_K8S_DNS,      /* basename@10-1-2-3.namespace.pod.domain */
};

/* Texts stay the caller's. */
struct muster_k8s_naming {
    enum muster_k8s_lookup lookup;
    enum muster_k8s_mode mode;
    const char *basename;
    const char *service;   /* for MUSTER_K8S_HOSTNAME */
    const char *namespace; /* for an item that does not say its own */
    const char *domain;    /* such as "cluster.local" */
};

struct muster_k8s_parse {
    struct muster_k8s_naming naming;
    struct muster_json_split split;
    struct muster_name_list *names;
    unsigned items;
    unsigned unnamed; /* addresses without the host name that the mode needs */
    unsigned unusable;
};

/* Names are appended to `names`, which stays the caller's. Pair with muster_k8s_parse_close. */
void muster_k8s_parse_init(struct muster_k8s_parse *parse, const struct muster_k8s_naming *naming,
                           struct muster_name_list *names);
void muster_k8s_parse_close(struct muster_k8s_parse *parse);

/* The next bytes of the answer. Returns 0, or a negative code after which it is of no use. */
int muster_k8s_parse_feed(struct muster_k8s_parse *parse, struct muster_slice bytes);

/*
 * The answer's end. `*is_partial`: the server has more to tell than it told. Returns 0,
 * MUSTER_E_TRUNCATED, MUSTER_E_MALFORMED (no JSON) or MUSTER_E_UNSUPPORTED (JSON, but not the list
 * that was asked for).
 */
int muster_k8s_parse_finish(struct muster_k8s_parse *parse, int *is_partial);

/* The message of an error answer (`"kind": "Status"`), printable and cut to fit; empty when there
 * is none. */
void muster_k8s_status_message(struct muster_slice body, char *out, size_t size);

#endif
