#include "core/election_codec.h"

#include "core/errors.h"

#include <string.h>

enum message_flag {
    FLAG_GRANTED = 1,
    FLAG_WILLING = 2,
    FLAG_LEADS = 4,
    FLAG_SUPPORTS = 8,
    FLAG_ELIGIBLE = 16,
    FLAG_CARRIES = 32,
    FLAGS_ALL = 63,
};

/* What follows the message itself. */
enum attachment { ATTACHED_CONFIG = 1, ATTACHED_NOTE = 2, ATTACHED_TABLE = 4, ATTACHED_ALL = 7 };

/* --- Writing --- */

struct sink {
    uint8_t *out;
    size_t len;
    bool nameless;
    const struct muster_member_names *names;
};

static void start_sink(struct sink *s, uint8_t *out, const struct muster_member_names *names) {
    *s = (struct sink){.names = names};
    s->out = out;
}

static void put8(struct sink *s, uint8_t value) {
    s->out[s->len++] = value;
}

static void put16(struct sink *s, uint16_t value) {
    muster_put16(s->out + s->len, value);
    s->len += 2;
}

static void put32(struct sink *s, uint32_t value) {
    muster_put32(s->out + s->len, value);
    s->len += 4;
}

static void put64(struct sink *s, uint64_t value) {
    muster_put64(s->out + s->len, value);
    s->len += 8;
}

static void put_stamp(struct sink *s, struct muster_stamp stamp) {
    put64(s, stamp.term);
    put64(s, stamp.version);
}

static void put_member(struct sink *s, muster_member member) {
    const struct muster_node_name *name = s->names->name(s->names->context, member);
    if (name == NULL) {
        s->nameless = true;
        return;
    }
    put8(s, name->len);
    memcpy(s->out + s->len, name->text, name->len);
    s->len += name->len;
}

static void put_config(struct sink *s, const struct muster_config *config) {
    put_stamp(s, config->stamp);
    put16(s, (uint16_t)config->count);
    for (uint32_t i = 0; i < config->count; i++) {
        put_member(s, config->voters[i]);
    }
}

static void put_row(struct sink *s, const struct muster_role_row *row) {
    put_member(s, row->id);
    put64(s, row->incarnation);
    put64(s, (uint64_t)row->started);
    put8(s, (uint8_t)row->role);
    put32(s, row->losses);
    put8(s, row->alive);
}

static void put_table(struct sink *s, const struct muster_role_table *table) {
    put_stamp(s, table->stamp);
    put64(s, table->writer);
    put64(s, table->writer_election);
    put64(s, table->epoch);
    put64(s, table->pin);
    put16(s, (uint16_t)table->count);
    for (uint32_t i = 0; i < table->count; i++) {
        put_row(s, &table->rows[i]);
    }
}

static uint8_t flags_of(const struct muster_message *m) {
    return (uint8_t)((m->granted ? FLAG_GRANTED : 0) | (m->willing ? FLAG_WILLING : 0) |
                     (m->leads ? FLAG_LEADS : 0) | (m->supports ? FLAG_SUPPORTS : 0) |
                     (m->eligible ? FLAG_ELIGIBLE : 0) | (m->carries ? FLAG_CARRIES : 0));
}

static void put_message(struct sink *s, const struct muster_message *m) {
    put8(s, (uint8_t)m->kind);
    put8(s, flags_of(m));
    put64(s, m->term);
    put64(s, m->election);
    put64(s, m->consent);
    put64(s, m->sent_at);
    put64(s, m->age);
    put64(s, m->successor);
    put_stamp(s, m->stamp);
    put64(s, m->fingerprint);
}

static void put_note(struct sink *s, const struct muster_note *note) {
    put64(s, note->incarnation);
    put64(s, (uint64_t)note->clock);
}

size_t muster_election_encode(uint8_t *out, const struct muster_message *message,
                              const struct muster_note *note,
                              const struct muster_member_names *names) {
    struct sink s;
    start_sink(&s, out, names);
    const struct muster_config *config = message->carries ? message->config : NULL;
    const struct muster_role_table *table = note != NULL && message->carries ? note->table : NULL;
    put_message(&s, message);
    put8(&s, (uint8_t)((config != NULL ? ATTACHED_CONFIG : 0) | (note != NULL ? ATTACHED_NOTE : 0) |
                       (table != NULL ? ATTACHED_TABLE : 0)));
    if (config != NULL) {
        put_config(&s, config);
    }
    if (note != NULL) {
        put_note(&s, note);
    }
    if (table != NULL) {
        put_table(&s, table);
    }
    return s.nameless ? 0 : s.len;
}

size_t muster_election_encode_saved(uint8_t *out, const struct muster_election_saved *saved,
                                    const struct muster_member_names *names) {
    struct sink s;
    start_sink(&s, out, names);
    put64(&s, saved->term);
    put64(&s, saved->voted_for);
    put64(&s, saved->voted_election);
    put_config(&s, &saved->config);
    return s.nameless ? 0 : s.len;
}

/* --- Reading: after the first error nothing more is read, and everything is 0 --- */

struct source {
    struct muster_slice in;
    int error;
    const struct muster_member_names *names;
};

static void fail(struct source *s, int error) {
    if (s->error == 0) {
        s->error = error;
    }
}

static const uint8_t *take(struct source *s, size_t len) {
    const uint8_t *bytes = s->in.data;
    if (s->error == 0 && s->in.len < len) {
        fail(s, MUSTER_E_TRUNCATED);
    }
    if (s->error != 0) {
        return NULL;
    }
    s->in = muster_slice(bytes + len, s->in.len - len);
    return bytes;
}

static uint8_t get8(struct source *s) {
    const uint8_t *p = take(s, 1);
    return p != NULL ? *p : 0;
}

static uint32_t get32(struct source *s) {
    const uint8_t *p = take(s, 4);
    return p != NULL ? muster_get32(p) : 0;
}

static uint64_t get64(struct source *s) {
    const uint8_t *p = take(s, 8);
    return p != NULL ? muster_get64(p) : 0;
}

static bool get_bool(struct source *s) {
    uint8_t value = get8(s);
    if (value > 1) {
        fail(s, MUSTER_E_MALFORMED);
    }
    return value == 1;
}

static struct muster_stamp get_stamp(struct source *s) {
    struct muster_stamp stamp = {.term = get64(s)};
    stamp.version = get64(s);
    return stamp;
}

static uint32_t get_count(struct source *s) {
    const uint8_t *p = take(s, 2);
    uint32_t count = p != NULL ? muster_get16(p) : 0;
    if (count > MUSTER_MEMBERS_MAX) {
        fail(s, MUSTER_E_MALFORMED);
    }
    return s->error == 0 ? count : 0;
}

static muster_member get_member(struct source *s) {
    struct muster_node_name name;
    uint8_t len = get8(s);
    const uint8_t *text = take(s, len);
    if (text == NULL) {
        return MUSTER_NOBODY;
    }
    if (muster_node_name_parse(&name, (const char *)text, len) != 0) {
        fail(s, MUSTER_E_MALFORMED);
        return MUSTER_NOBODY;
    }
    muster_member member = s->names->learn(s->names->context, &name);
    if (member == MUSTER_NOBODY) {
        fail(s, MUSTER_E_LIMIT);
    }
    return member;
}

static void get_config(struct source *s, struct muster_config *config) {
    config->stamp = get_stamp(s);
    config->count = get_count(s);
    for (uint32_t i = 0; i < config->count; i++) {
        config->voters[i] = get_member(s);
    }
}

static void get_row(struct source *s, struct muster_role_row *row) {
    row->id = get_member(s);
    row->incarnation = get64(s);
    row->started = (int64_t)get64(s);
    uint8_t role = get8(s);
    if (role < MUSTER_ROLE_WINGMATE || role > MUSTER_ROLE_COMMANDER) {
        fail(s, MUSTER_E_MALFORMED);
        role = MUSTER_ROLE_WINGMATE;
    }
    row->role = (enum muster_cluster_role)role;
    row->losses = get32(s);
    row->alive = get_bool(s);
}

static void get_table(struct source *s, struct muster_role_table *table) {
    table->stamp = get_stamp(s);
    table->writer = get64(s);
    table->writer_election = get64(s);
    table->epoch = get64(s);
    table->pin = get64(s);
    table->count = get_count(s);
    for (uint32_t i = 0; i < table->count; i++) {
        get_row(s, &table->rows[i]);
    }
}

static void get_flags(struct source *s, struct muster_message *m) {
    uint8_t flags = get8(s);
    if ((flags & ~FLAGS_ALL) != 0) {
        fail(s, MUSTER_E_MALFORMED);
    }
    m->granted = (flags & FLAG_GRANTED) != 0;
    m->willing = (flags & FLAG_WILLING) != 0;
    m->leads = (flags & FLAG_LEADS) != 0;
    m->supports = (flags & FLAG_SUPPORTS) != 0;
    m->eligible = (flags & FLAG_ELIGIBLE) != 0;
    m->carries = (flags & FLAG_CARRIES) != 0;
}

static void get_message(struct source *s, struct muster_message *m) {
    uint8_t kind = get8(s);
    if (kind < MUSTER_MESSAGE_PRE_VOTE || kind > MUSTER_MESSAGE_TRANSFER_READY) {
        fail(s, MUSTER_E_MALFORMED);
        kind = MUSTER_MESSAGE_PRE_VOTE;
    }
    m->kind = (enum muster_message_kind)kind;
    get_flags(s, m);
    m->term = get64(s);
    m->election = get64(s);
    m->consent = get64(s);
    m->sent_at = get64(s);
    m->age = get64(s);
    m->successor = get64(s);
    m->stamp = get_stamp(s);
    m->fingerprint = get64(s);
}

static int finish(struct source *s) {
    if (s->error == 0 && s->in.len > 0) {
        fail(s, MUSTER_E_MALFORMED);
    }
    return s->error;
}

int muster_election_decode(struct muster_decoded_message *decoded, struct muster_slice in,
                           const struct muster_member_names *names) {
    struct source s = {.in = in, .names = names};
    memset(decoded, 0, sizeof *decoded);
    get_message(&s, &decoded->message);
    uint8_t attached = get8(&s);
    bool table_alone = (attached & ATTACHED_TABLE) && !(attached & ATTACHED_NOTE);
    bool unannounced = (attached & (ATTACHED_CONFIG | ATTACHED_TABLE)) && !decoded->message.carries;
    if ((attached & ~ATTACHED_ALL) != 0 || table_alone || unannounced) {
        fail(&s, MUSTER_E_MALFORMED);
    }
    if (s.error == 0 && (attached & ATTACHED_CONFIG)) {
        get_config(&s, &decoded->config);
        decoded->message.config = &decoded->config;
    }
    if (s.error == 0 && (attached & ATTACHED_NOTE)) {
        decoded->has_note = true;
        decoded->note.incarnation = get64(&s);
        decoded->note.clock = (int64_t)get64(&s);
    }
    if (s.error == 0 && (attached & ATTACHED_TABLE)) {
        get_table(&s, &decoded->table);
        decoded->note.table = &decoded->table;
    }
    return finish(&s);
}

int muster_election_decode_saved(struct muster_election_saved *saved, struct muster_slice in,
                                 const struct muster_member_names *names) {
    struct source s = {.in = in, .names = names};
    memset(saved, 0, sizeof *saved);
    saved->term = get64(&s);
    saved->voted_for = get64(&s);
    saved->voted_election = get64(&s);
    get_config(&s, &saved->config);
    return finish(&s);
}
