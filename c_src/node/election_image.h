/* The file of a durable member: whose it is, its record of term and vote, and a checksum. */
#ifndef MUSTER_NODE_ELECTION_IMAGE_H
#define MUSTER_NODE_ELECTION_IMAGE_H

#include "core/node_name.h"
#include "node/election_wire.h"

/* Magic and length; two names with a byte for the length of each; the record; the checksum. */
#define MUSTER_ELECTION_IMAGE_MAX (8 + 4 + 2 * 256 + MUSTER_ELECTION_BYTES_MAX + 16)
#define MUSTER_ELECTION_IMAGE_NAME_SIZE 96

/* A member of a group. */
struct muster_election_whose {
    struct muster_node_name self;
    uint8_t group[256], group_len;
};

struct muster_election_image {
    size_t len;
    uint8_t data[MUSTER_ELECTION_IMAGE_MAX];
};

/* Of a record of at most MUSTER_ELECTION_BYTES_MAX bytes. */
void muster_election_image_build(struct muster_election_image *image,
                                 const struct muster_election_whose *whose,
                                 struct muster_slice record);

/* The record within the image; returns NULL, or what is wrong with it, static text. */
const char *muster_election_image_parse(const struct muster_election_image *image,
                                        const struct muster_election_whose *whose,
                                        struct muster_slice *record);

/* The file's name: what a person recognizes of the group's, and what tells all members apart. */
void muster_election_image_name(const struct muster_election_whose *whose,
                                char name[MUSTER_ELECTION_IMAGE_NAME_SIZE]);

#endif
