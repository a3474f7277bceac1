#include "core/k8s_parse.h"

#include <stdio.h>

#include "core/errors.h"
#include "core/json_text.h"

/* An Endpoints object holds up to 1,000 addresses of some 400 bytes; etcd takes no object over
 * 1.5 MB. */
#define ITEM_LIMIT (4u << 20)
#define REST_LIMIT (1u << 20)

struct address {
    const char *ip, *hostname, *namespace;
};

/* --- Names --- */

/* An address in a host name: both of its separators become dashes. */
static void dashed(char *out, size_t size, const char *ip) {
    snprintf(out, size, "%s", ip);
    for (char *c = out; *c != '\0'; c++) {
        *c = *c == '.' || *c == ':' ? '-' : *c;
    }
}

static int host_of(const struct muster_k8s_naming *naming, const struct address *a, char *out,
                   size_t size) {
    const char *namespace = a->namespace != NULL ? a->namespace : naming->namespace;
    char label[64];
    switch (naming->mode) {
    case MUSTER_K8S_IP:
        return snprintf(out, size, "%s", a->ip);
    case MUSTER_K8S_HOSTNAME:
        return snprintf(out, size, "%s.%s.%s.svc.%s", a->hostname, naming->service, namespace,
                        naming->domain);
    default:
        dashed(label, sizeof label, a->ip);
        return snprintf(out, size, "%s.%s.pod.%s", label, namespace, naming->domain);
    }
}

static int add_address(struct muster_k8s_parse *parse, const struct address *a) {
    char host[MUSTER_NODE_NAME_MAX + 1];
    struct muster_node_name name;
    int needs_hostname = parse->naming.mode == MUSTER_K8S_HOSTNAME;
    if (needs_hostname && (a->hostname == NULL || a->hostname[0] == '\0')) {
        parse->unnamed++;
        return 0;
    }
    if (!needs_hostname && a->ip == NULL) {
        return 0; /* a pod that was not given its address yet */
    }
    int len = host_of(&parse->naming, a, host, sizeof host);
    if (len < 0 || (size_t)len >= sizeof host ||
        muster_node_name_join(&name, parse->naming.basename, host, (size_t)len) != 0) {
        parse->unusable++;
        return 0;
    }
    return muster_name_list_add(parse->names, &name);
}

/* --- Items --- */

/* Addresses that are ready; as in libcluster those in notReadyAddresses are not counted. */
static int add_endpoints(struct muster_k8s_parse *parse, const json_t *item) {
    const char *namespace = muster_json_text(json_object_get(item, "metadata"), "namespace");
    size_t i, j;
    json_t *subset, *address;
    json_array_foreach(json_object_get(item, "subsets"), i, subset) {
        json_array_foreach(json_object_get(subset, "addresses"), j, address) {
            const char *own = muster_json_text(json_object_get(address, "targetRef"), "namespace");
            struct address a = {.ip = muster_json_text(address, "ip"),
                                .hostname = muster_json_text(address, "hostname"),
                                .namespace = own != NULL ? own : namespace};
            int error = add_address(parse, &a);
            if (error != 0) {
                return error;
            }
        }
    }
    return 0;
}

/* A pod that has ended keeps its address in the API while another pod may have it by now. */
static int has_ended(const json_t *status) {
    const char *phase = muster_json_text(status, "phase");
    return phase != NULL && (strcmp(phase, "Succeeded") == 0 || strcmp(phase, "Failed") == 0);
}

static int add_pod(struct muster_k8s_parse *parse, const json_t *item) {
    const json_t *status = json_object_get(item, "status");
    struct address a = {.ip = muster_json_text(status, "podIP"),
                        .hostname = muster_json_text(json_object_get(item, "spec"), "hostname"),
                        .namespace =
                            muster_json_text(json_object_get(item, "metadata"), "namespace")};
    return a.ip == NULL || has_ended(status) ? 0 : add_address(parse, &a);
}

static int on_item(void *context, struct muster_slice text) {
    struct muster_k8s_parse *parse = context;
    json_t *item = muster_json_load(text);
    if (item == NULL) {
        return MUSTER_E_MALFORMED;
    }
    parse->items++;
    int error =
        parse->naming.lookup == MUSTER_K8S_PODS ? add_pod(parse, item) : add_endpoints(parse, item);
    json_decref(item);
    return error;
}

/* --- The whole --- */

void muster_k8s_parse_init(struct muster_k8s_parse *parse, const struct muster_k8s_naming *naming,
                           struct muster_name_list *names) {
    *parse = (struct muster_k8s_parse){.naming = *naming, .names = names};
    muster_json_split_init(&parse->split, "items", ITEM_LIMIT, REST_LIMIT, on_item, parse);
}

void muster_k8s_parse_close(struct muster_k8s_parse *parse) {
    muster_json_split_close(&parse->split);
}

int muster_k8s_parse_feed(struct muster_k8s_parse *parse, struct muster_slice bytes) {
    return muster_json_split_feed(&parse->split, bytes);
}

/* The list's own kind; its items are null by now, and an empty list may itself be null. */
static int is_list(const json_t *answer, enum muster_k8s_lookup lookup) {
    const char *kind = muster_json_text(answer, "kind");
    const char *expected = lookup == MUSTER_K8S_PODS ? "PodList" : "EndpointsList";
    const json_t *items = json_object_get(answer, "items");
    return kind != NULL && strcmp(kind, expected) == 0 &&
           (json_is_array(items) || json_is_null(items));
}

int muster_k8s_parse_finish(struct muster_k8s_parse *parse, int *is_partial) {
    struct muster_slice rest;
    int error = muster_json_split_rest(&parse->split, &rest);
    if (error != 0) {
        return error;
    }
    json_t *answer = muster_json_load(rest);
    if (answer == NULL) {
        return MUSTER_E_MALFORMED;
    }
    const char *more = muster_json_text(json_object_get(answer, "metadata"), "continue");
    *is_partial = more != NULL && more[0] != '\0';
    error = is_list(answer, parse->naming.lookup) ? 0 : MUSTER_E_UNSUPPORTED;
    json_decref(answer);
    return error;
}

void muster_k8s_status_message(struct muster_slice body, char *out, size_t size) {
    json_t *status = muster_json_load(body);
    const char *message = status != NULL ? muster_json_text(status, "message") : NULL;
    message = message != NULL ? message : "";
    muster_printable(out, size, message, strlen(message));
    json_decref(status);
}
