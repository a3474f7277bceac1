#include "node/election_names.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/errors.h"
#include "node/log.h"

#define SUFFIX "-muster"

muster_member muster_member_of(const struct muster_node_name *name) {
    /* Part of the protocol: the same number on every node. */
    static const unsigned char key[crypto_shorthash_KEYBYTES + 1] = "muster election1";
    unsigned char hash[crypto_shorthash_BYTES];
    crypto_shorthash(hash, (const unsigned char *)name->text, name->len, key);
    muster_member member = muster_get64(hash);
    return member != MUSTER_NOBODY ? member : 1;
}

const struct muster_node_name *muster_election_names_get(const struct muster_election_names *names,
                                                         muster_member member) {
    for (unsigned i = 0; i < names->count; i++) {
        if (names->list[i].id == member) {
            return &names->list[i].name;
        }
    }
    return NULL;
}

void muster_election_names_make_room(struct muster_election_names *names) {
    unsigned kept = 0;
    if (names->count <= MUSTER_ELECTION_NAMES_MAX - MUSTER_MEMBERS_MAX) {
        return;
    }
    for (unsigned i = 0; i < names->count; i++) {
        if (names->in_use(names->context, names->list[i].id)) {
            names->list[kept++] = names->list[i];
        }
    }
    names->count = kept;
}

muster_member muster_election_names_learn(struct muster_election_names *names,
                                          const struct muster_node_name *name) {
    muster_member member = muster_member_of(name);
    const struct muster_node_name *known = muster_election_names_get(names, member);
    if (known != NULL) {
        if (muster_node_name_equal(known, name)) {
            return member;
        }
        muster_log(MUSTER_ERROR, "election: %s and %s have the same number, the latter is refused",
                   known->text, name->text);
        return MUSTER_NOBODY;
    }
    if (names->count == MUSTER_ELECTION_NAMES_MAX) {
        return MUSTER_NOBODY;
    }
    names->list[names->count++] = (struct muster_election_name){.id = member, .name = *name};
    return member;
}

static const struct muster_node_name *codec_name(void *context, muster_member member) {
    return muster_election_names_get(context, member);
}

static muster_member codec_learn(void *context, const struct muster_node_name *name) {
    return muster_election_names_learn(context, name);
}

struct muster_member_names muster_election_names_for_codec(struct muster_election_names *names) {
    return (struct muster_member_names){.context = names, .name = codec_name, .learn = codec_learn};
}

int muster_election_c_node_of(struct muster_node_name *c_node,
                              const struct muster_node_name *beam) {
    char alive[MUSTER_NODE_NAME_MAX + sizeof SUFFIX];
    const char *host = muster_node_name_host(beam);
    muster_node_name_alive(beam, alive);
    memcpy(alive + beam->alive_len, SUFFIX, sizeof SUFFIX);
    return muster_node_name_join(c_node, alive, host, strlen(host));
}

int muster_election_beam_of(struct muster_node_name *beam, const struct muster_node_name *c_node) {
    char alive[MUSTER_NODE_NAME_MAX + 1];
    const char *host = muster_node_name_host(c_node);
    if (!muster_node_name_is_cnode(c_node) || c_node->alive_len <= strlen(SUFFIX)) {
        return MUSTER_E_INVALID;
    }
    muster_node_name_alive(c_node, alive);
    alive[c_node->alive_len - strlen(SUFFIX)] = '\0';
    return muster_node_name_join(beam, alive, host, strlen(host));
}
