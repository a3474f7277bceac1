/* What `tailscale status --json` prints, as names of nodes. The output is fed as it arrives. */
#ifndef MUSTER_CORE_TAILSCALE_PARSE_H
#define MUSTER_CORE_TAILSCALE_PARSE_H

#include "core/json_split.h"
#include "core/name_list.h"

/* Texts stay the caller's. */
struct muster_tailscale_naming {
    const char *basename;
    const char *tag;   /* only peers that have it; NULL: all */
    int use_dns_names; /* the MagicDNS name; else the address */
    int prefer_ipv6;
};

struct muster_tailscale_parse {
    struct muster_tailscale_naming naming;
    struct muster_json_split split;
    struct muster_name_list *names;
    unsigned peers, online, tagged;
    unsigned unnamed; /* wanted, but without the name or address that is asked for */
};

/* Names are appended to `names`, which stays the caller's. Pair with muster_tailscale_parse_close.
 */
void muster_tailscale_parse_init(struct muster_tailscale_parse *parse,
                                 const struct muster_tailscale_naming *naming,
                                 struct muster_name_list *names);
void muster_tailscale_parse_close(struct muster_tailscale_parse *parse);

/* The next bytes. Returns 0, or a negative code after which it is of no use. */
int muster_tailscale_parse_feed(struct muster_tailscale_parse *parse, struct muster_slice bytes);

/*
 * The output's end. `state` receives what the daemon says about itself ("Running", "Stopped",
 * "NeedsLogin", …), printable, or nothing when it does not say. Returns 0, MUSTER_E_TRUNCATED,
 * MUSTER_E_MALFORMED (no JSON) or MUSTER_E_UNSUPPORTED (JSON, but no status).
 */
int muster_tailscale_parse_finish(struct muster_tailscale_parse *parse, char *state, size_t size);

#endif
