#include "core/tailscale_parse.h"

#include "core/errors.h"
#include "core/json_text.h"

#define PEER_LIMIT (1u << 20)
#define REST_LIMIT (4u << 20)

static int has_tag(const json_t *peer, const char *tag) {
    size_t i;
    json_t *own;
    json_array_foreach(json_object_get(peer, "Tags"), i, own) {
        if (json_is_string(own) && strcmp(json_string_value(own), tag) == 0) {
            return 1;
        }
    }
    return 0;
}

/* The address of the preferred family, or else the first. */
static const char *address_of(const json_t *peer, int prefer_ipv6) {
    const char *first = NULL;
    size_t i;
    json_t *ip;
    json_array_foreach(json_object_get(peer, "TailscaleIPs"), i, ip) {
        const char *text = json_string_value(ip);
        if (text != NULL && (strchr(text, ':') != NULL) == prefer_ipv6) {
            return text;
        }
        first = first != NULL ? first : text;
    }
    return first;
}

static const char *host_of(const struct muster_tailscale_naming *naming, const json_t *peer) {
    return naming->use_dns_names ? muster_json_text(peer, "DNSName")
                                 : address_of(peer, naming->prefer_ipv6);
}

static int add_peer(struct muster_tailscale_parse *parse, const json_t *peer) {
    struct muster_node_name name;
    if (!json_is_true(json_object_get(peer, "Online"))) {
        return 0;
    }
    parse->online++;
    if (parse->naming.tag != NULL && !has_tag(peer, parse->naming.tag)) {
        return 0;
    }
    parse->tagged++;
    const char *host = host_of(&parse->naming, peer);
    size_t len = host != NULL ? strlen(host) : 0;
    if (len > 0 && host[len - 1] == '.') {
        len--; /* DNS names are given in full */
    }
    if (len == 0 || muster_node_name_join(&name, parse->naming.basename, host, len) != 0) {
        parse->unnamed++;
        return 0;
    }
    return muster_name_list_add(parse->names, &name);
}

static int on_peer(void *context, struct muster_slice text) {
    struct muster_tailscale_parse *parse = context;
    json_t *peer = muster_json_load(text);
    if (peer == NULL) {
        return MUSTER_E_MALFORMED;
    }
    parse->peers++;
    int error = add_peer(parse, peer);
    json_decref(peer);
    return error;
}

void muster_tailscale_parse_init(struct muster_tailscale_parse *parse,
                                 const struct muster_tailscale_naming *naming,
                                 struct muster_name_list *names) {
    *parse = (struct muster_tailscale_parse){.naming = *naming, .names = names};
    muster_json_split_init(&parse->split, "Peer", PEER_LIMIT, REST_LIMIT, on_peer, parse);
}

void muster_tailscale_parse_close(struct muster_tailscale_parse *parse) {
    muster_json_split_close(&parse->split);
}

int muster_tailscale_parse_feed(struct muster_tailscale_parse *parse, struct muster_slice bytes) {
    return muster_json_split_feed(&parse->split, bytes);
}

/* A machine that is alone has no Peer, or null; then one of the others shows that this is a status.
 */
static int is_status(const json_t *status) {
    const json_t *peers = json_object_get(status, "Peer");
    return json_is_object(peers) || ((peers == NULL || json_is_null(peers)) &&
                                     (json_object_get(status, "BackendState") != NULL ||
                                      json_object_get(status, "Self") != NULL));
}

int muster_tailscale_parse_finish(struct muster_tailscale_parse *parse, char *state, size_t size) {
    struct muster_slice rest;
    int error = muster_json_split_rest(&parse->split, &rest);
    if (error != 0) {
        return error;
    }
    json_t *status = muster_json_load(rest);
    if (status == NULL) {
        return MUSTER_E_MALFORMED;
    }
    const char *text = muster_json_text(status, "BackendState");
    text = text != NULL ? text : "";
    muster_printable(state, size, text, strlen(text));
    error = is_status(status) ? 0 : MUSTER_E_UNSUPPORTED;
    json_decref(status);
    return error;
}
