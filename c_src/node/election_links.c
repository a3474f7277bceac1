#include "node/election_links.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/errors.h"
#include "node/election_chores.h"
#include "node/elections.h"
#include "node/log.h"

/* A link that swallows data for longer than an election lasts is dropped and dialled anew. */
#define UNACKNOWLEDGED_MIN_MS 500u

/* --- Members --- */

struct muster_election_member *muster_election_member_find(struct muster_election_group *group,
                                                           muster_member id) {
    struct muster_election_member *m = group->members;
    while (m != NULL && m->id != id) {
        m = m->next;
    }
    return m;
}

struct muster_election_member *muster_election_member_add(struct muster_election_group *group,
                                                          const struct muster_node_name *beam) {
    muster_member id = muster_election_names_learn(&group->names, beam);
    if (id == MUSTER_NOBODY || id == group->self_id) {
        return NULL;
    }
    struct muster_election_member *m = muster_election_member_find(group, id);
    if (m != NULL) {
        return m;
    }
    m = calloc(1, sizeof *m);
    if (m != NULL) {
        m->group = group;
        m->id = id;
        m->beam = *beam;
        m->next = group->members;
        group->members = m;
    }
    return m;
}

static unsigned unacknowledged_ms(const struct muster_election_group *group) {
    unsigned ms = 2 * group->core.election.options.election_timeout_max;
    return ms > UNACKNOWLEDGED_MIN_MS ? ms : UNACKNOWLEDGED_MIN_MS;
}

static void drop_want(struct muster_election_member *m) {
    struct muster_peer *want = m->want;
    m->want = NULL;
    muster_peers_relax(want, m->fades);
    muster_peers_unwant(want);
}

static void hurry(struct muster_election_member *m, bool fades) {
    m->fades = fades;
    muster_peers_hurry(m->want, unacknowledged_ms(m->group), fades);
}

/* A declared voter is awaited for ever; whoever was only met may have gone for good. */
void muster_election_member_review(struct muster_election_member *m) {
    struct muster_node_name c_node;
    bool voter = m->group->kind == MUSTER_ELECTION_LEADER &&
                 muster_config_has(&m->group->core.election.config, m->id);
    bool declared = m->bootstrap || voter;
    bool wanted = declared || m->joined;
    if (m->want == NULL) {
        if (wanted && muster_election_c_node_of(&c_node, &m->beam) == 0) {
            m->want = muster_peers_want(m->group->elections->peers, &c_node);
        }
        if (m->want != NULL) {
            hurry(m, !declared);
        }
    } else if (!wanted) {
        drop_want(m);
    } else if (m->fades == declared) {
        muster_peers_relax(m->want, m->fades);
        hurry(m, !declared);
    }
}

/* Nobody wants it, it is not there, and nothing is to be done about it. */
static bool is_idle(const struct muster_election_member *m) {
    return m->want == NULL && m->peer == NULL && !m->bootstrap && !m->joined && !m->to_add &&
           !m->to_remove && !m->to_enrol;
}

static void forget_idle(struct muster_election_group *group) {
    struct muster_election_member **at = &group->members;
    while (*at != NULL) {
        struct muster_election_member *m = *at;
        if (is_idle(m)) {
            *at = m->next;
            free(m);
        } else {
            at = &m->next;
        }
    }
}

void muster_election_members_free(struct muster_election_group *group) {
    for (struct muster_election_member *m = group->members; m != NULL; m = m->next) {
        m->bootstrap = m->joined = m->to_add = m->to_remove = m->to_enrol = false;
        if (m->want != NULL) {
            drop_want(m);
        }
    }
    forget_idle(group);
}

/* --- Sending --- */

static void send_to(struct muster_election_group *group, struct muster_peer *peer,
                    const struct muster_election_frame *frame) {
    struct muster_writer w;
    muster_mailbox_begin_send(group->elections->mailbox, MUSTER_ELECTION_NAME, &w);
    muster_election_frame_write(&w, muster_slice(group->key, group->key_len), &group->self, frame);
    muster_mailbox_end_send(peer, &w);
}

void muster_election_member_send(struct muster_election_member *member,
                                 const struct muster_election_frame *frame) {
    if (member->peer != NULL) {
        send_to(member->group, member->peer, frame);
    }
}

static void say_hello(struct muster_election_group *group, struct muster_peer *peer, bool answers) {
    struct muster_election_frame hello = {.kind = MUSTER_FRAME_HELLO,
                                          .group_kind = (uint8_t)group->kind,
                                          .answers = answers,
                                          .observer = group->observer,
                                          .incarnation = group->incarnation};
    send_to(group, peer, &hello);
}

static bool is_up(const struct muster_peer *peer) {
    return peer->link != NULL && muster_node_name_is_cnode(&peer->name);
}

void muster_election_greet(struct muster_election_group *group) {
    struct muster_peer *next;
    for (struct muster_peer *p = group->elections->peers->first; p != NULL; p = next) {
        next = p->next; /* a link may end over it, and then the peer may be forgotten */
        if (is_up(p)) {
            say_hello(group, p, false);
        }
    }
}

/* --- Who is there --- */

static void tell_member(struct muster_election_member *m, bool up) {
    struct muster_election_event event = {.kind = MUSTER_TOLD_MEMBER, .node = &m->beam, .up = up};
    muster_election_group_tell(m->group, &event);
}

static void open_link(struct muster_election_member *m, struct muster_peer *peer) {
    m->peer = peer;
    m->closing = MUSTER_CLOSING_NOT;
    if (muster_election_group_happen(m->group, MUSTER_EVENT_LINK_OPENED, m->id) != 0) {
        muster_log(MUSTER_WARNING, "election %.*s: %s is one member too many", m->group->key_len,
                   m->group->key, m->beam.text);
        m->peer = NULL;
        return;
    }
    tell_member(m, true);
}

static void close_link(struct muster_election_member *m, bool by_peer) {
    struct muster_commander_event event = {
        .kind = MUSTER_COMMANDER_ELECTION,
        .election = {.kind = MUSTER_EVENT_LINK_CLOSED, .member = m->id, .by_peer = by_peer},
    };
    m->peer = NULL;
    m->closing = MUSTER_CLOSING_NOT;
    tell_member(m, false);
    muster_election_group_step(m->group, &event);
}

static struct muster_election_member *next_closing(const struct muster_elections *elections) {
    for (struct muster_election_group *g = elections->first; g != NULL; g = g->next) {
        for (struct muster_election_member *m = g->members; m != NULL; m = m->next) {
            if (m->closing != MUSTER_CLOSING_NOT) {
                return m;
            }
        }
    }
    return NULL;
}

void muster_elections_close_links(struct muster_elections *elections) {
    struct muster_election_member *m;
    if (elections->closing_links) {
        return;
    }
    elections->closing_links = true;
    while ((m = next_closing(elections)) != NULL) {
        close_link(m, m->closing == MUSTER_CLOSING_BY_PEER);
    }
    elections->closing_links = false;
}

void muster_election_part(struct muster_election_group *group) {
    static const struct muster_election_frame bye = {.kind = MUSTER_FRAME_BYE};
    for (struct muster_election_member *m = group->members; m != NULL; m = m->next) {
        struct muster_peer *peer = m->peer;
        if (peer == NULL) {
            continue;
        }
        close_link(m, false);
        if (peer->link != NULL) {
            send_to(group, peer, &bye);
        }
    }
}

/* --- Links --- */

void muster_elections_link_up(struct muster_elections *elections, struct muster_peer *peer) {
    struct muster_election_group *next;
    if (!muster_node_name_is_cnode(&peer->name)) {
        return;
    }
    for (struct muster_election_group *g = elections->first; g != NULL; g = next) {
        next = g->next;
        forget_idle(g);
        if (g->ready && peer->link != NULL) {
            say_hello(g, peer, false);
        }
    }
}

/* Within a step, whose effects are still being carried out, it has to wait for its turn: that comes
 * before anything else happens. */
void muster_elections_link_down(struct muster_elections *elections, struct muster_peer *peer,
                                int by_peer) {
    for (struct muster_election_group *g = elections->first; g != NULL; g = g->next) {
        for (struct muster_election_member *m = g->members; m != NULL; m = m->next) {
            if (m->peer == peer) {
                m->closing = by_peer ? MUSTER_CLOSING_BY_PEER : MUSTER_CLOSING_BY_US;
            }
        }
    }
    if (!elections->carrying_out) {
        muster_elections_close_links(elections);
    }
}

/* --- Receiving --- */

static void blame(struct muster_election_group *group, const struct muster_node_name *who,
                  const char *what) {
    snprintf(group->problem.text, sizeof group->problem.text, "%s %s", who->text, what);
}

static void on_hello(struct muster_election_group *group, struct muster_election_member *m,
                     const struct muster_node_name *sender, struct muster_peer *peer,
                     const struct muster_election_frame *hello) {
    if (hello->group_kind != (uint8_t)group->kind) {
        blame(group, sender, "has a group of this name that is of another kind");
        group->ignored++;
        return;
    }
    if (m == NULL) {
        m = muster_election_member_add(group, sender);
    }
    if (m == NULL) {
        return;
    }
    if (m->peer != NULL && m->incarnation != hello->incarnation) {
        close_link(m, true);
    }
    if (!hello->answers) {
        say_hello(group, peer, true);
    }
    m->incarnation = hello->incarnation;
    m->observes = hello->observer;
    if (m->peer == NULL && peer->link != NULL) {
        open_link(m, peer);
    }
}

static void on_message(struct muster_election_group *group, struct muster_election_member *m,
                       struct muster_slice bytes) {
    struct muster_decoded_message *in = &group->elections->incoming;
    muster_election_names_make_room(&group->names);
    struct muster_member_names names = muster_election_names_for_codec(&group->names);
    int error = muster_election_decode(in, bytes, &names);
    bool noted = group->kind == MUSTER_ELECTION_COMMANDER;
    if (error != 0 || in->has_note != noted) {
        group->ignored++;
        return;
    }
    struct muster_commander_event event = {
        .kind = MUSTER_COMMANDER_ELECTION,
        .election = {.kind = MUSTER_EVENT_MESSAGE, .member = m->id, .message = &in->message},
        .note = &in->note,
    };
    error = muster_election_group_step(group, &event);
    if (error == MUSTER_E_MISMATCH) {
        if (group->mismatched++ == 0) {
            muster_log(MUSTER_ERROR, "election %.*s: %s was started with other voters",
                       group->key_len, group->key, m->beam.text);
        }
        blame(group, &m->beam, "was started with other voters");
    } else if (error != 0) {
        group->ignored++;
    }
}

static void on_left(struct muster_election_group *group, const struct muster_node_name *name) {
    struct muster_commander_event event = {.kind = MUSTER_COMMANDER_LEFT,
                                           .member = muster_member_of(name)};
    if (group->kind != MUSTER_ELECTION_COMMANDER || event.member == group->self_id) {
        return;
    }
    struct muster_election_member *m = muster_election_member_find(group, event.member);
    if (m != NULL) {
        m->joined = m->to_enrol = false;
        muster_election_member_review(m);
    }
    muster_election_group_step(group, &event);
}

static void take_frame(struct muster_election_group *group, const struct muster_node_name *sender,
                       struct muster_peer *peer, const struct muster_election_frame *frame) {
    struct muster_election_member *m = muster_election_member_find(group, muster_member_of(sender));
    if (m != NULL && !muster_node_name_equal(&m->beam, sender)) {
        group->ignored++;
        return;
    }
    if (frame->kind == MUSTER_FRAME_HELLO) {
        on_hello(group, m, sender, peer, frame);
        return;
    }
    if (m == NULL || m->peer != peer) {
        group->ignored++; /* it has not said hello, or is on its way out */
        return;
    }
    switch (frame->kind) {
    case MUSTER_FRAME_MESSAGE:
        on_message(group, m, frame->bytes);
        break;
    case MUSTER_FRAME_BYE:
        close_link(m, true);
        break;
    case MUSTER_FRAME_LEFT:
        on_left(group, &frame->name);
        break;
    case MUSTER_FRAME_REQUEST:
    case MUSTER_FRAME_ANSWER:
        muster_election_chores_receive(m, frame);
        break;
    case MUSTER_FRAME_HELLO:
        break;
    }
}

void muster_elections_receive(struct muster_elections *elections, struct muster_peer *peer,
                              struct muster_slice message) {
    struct muster_election_envelope envelope;
    struct muster_election_frame frame;
    struct muster_node_name sender;
    if (muster_election_envelope_parse(&envelope, message) != 0 ||
        muster_election_beam_of(&sender, &peer->name) != 0 ||
        !muster_slice_is(envelope.sender, sender.text)) {
        elections->ignored++;
        return;
    }
    struct muster_election_group *group = muster_elections_find(elections, envelope.group);
    if (group == NULL || !group->ready) {
        elections->ignored++;
        return;
    }
    if (muster_election_frame_parse(&frame, envelope.bytes) != 0) {
        group->ignored++;
        return;
    }
    take_frame(group, &sender, peer, &frame);
}
