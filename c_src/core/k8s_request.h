/* Where the Kubernetes API server is, and what to ask it. */
#ifndef MUSTER_CORE_K8S_REQUEST_H
#define MUSTER_CORE_K8S_REQUEST_H

#include "core/k8s_parse.h"

#define MUSTER_K8S_HOST_MAX 255
#define MUSTER_K8S_URL_MAX 4096

struct muster_k8s_server {
    char host[MUSTER_K8S_HOST_MAX + 1]; /* without brackets */
    uint16_t port;
    int is_numeric;
};

/*
 * Reads option kubernetes_master: a host name or address, with or without ":port" and "https://".
 * As in libcluster, a name gets the cluster's domain appended unless it ends with it or with a dot,
 * or says its port. Returns 0 or MUSTER_E_INVALID.
 */
int muster_k8s_server_read(struct muster_k8s_server *server, const char *text, const char *domain);

/* Writes the URL of the list. Returns 0 or MUSTER_E_LIMIT. */
int muster_k8s_url(char *out, size_t size, const struct muster_k8s_server *server,
                   enum muster_k8s_lookup lookup, const char *namespace, const char *selector,
                   int use_cached);

#endif
