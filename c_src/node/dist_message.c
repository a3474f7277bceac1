#include "node/dist_message.h"

#include "core/errors.h"
#include "core/term.h"

/* Control terms are flat: deeper or longer ones come from nobody who means well. */
static const struct muster_term_limits control_limits = {.max_depth = 8, .max_elements = 1024};

/* What stands in a control tuple, element for element, after the operation's number. */
enum field { END, UNUSED, FROM, TO, ID };

struct layout {
    int operation;
    enum field fields[5];
    int has_payload;
};

static const struct layout layouts[] = {
    {MUSTER_DIST_LINK, {FROM, TO}, 0},
    {MUSTER_DIST_SEND, {UNUSED, TO}, 1},
    {MUSTER_DIST_EXIT, {FROM, TO, UNUSED}, 0},
    {MUSTER_DIST_UNLINK, {FROM, TO}, 0},
    {MUSTER_DIST_REG_SEND, {FROM, UNUSED, TO}, 1},
    {MUSTER_DIST_GROUP_LEADER, {FROM, TO}, 0},
    {MUSTER_DIST_EXIT2, {FROM, TO, UNUSED}, 0},
    {MUSTER_DIST_SEND_TT, {UNUSED, TO, UNUSED}, 1},
    {MUSTER_DIST_EXIT_TT, {FROM, TO, UNUSED, UNUSED}, 0},
    {MUSTER_DIST_REG_SEND_TT, {FROM, UNUSED, TO, UNUSED}, 1},
    {MUSTER_DIST_EXIT2_TT, {FROM, TO, UNUSED, UNUSED}, 0},
    {MUSTER_DIST_MONITOR_P, {FROM, TO, ID}, 0},
    {MUSTER_DIST_DEMONITOR_P, {FROM, TO, ID}, 0},
    {MUSTER_DIST_MONITOR_P_EXIT, {FROM, TO, ID, UNUSED}, 0},
    {MUSTER_DIST_SEND_SENDER, {FROM, TO}, 1},
    {MUSTER_DIST_SEND_SENDER_TT, {FROM, TO, UNUSED}, 1},
    {MUSTER_DIST_ALIAS_SEND, {FROM, TO}, 1},
    {MUSTER_DIST_ALIAS_SEND_TT, {FROM, TO, UNUSED}, 1},
    {MUSTER_DIST_UNLINK_ID, {ID, FROM, TO}, 0},
    {MUSTER_DIST_UNLINK_ID_ACK, {ID, FROM, TO}, 0},
};

static const struct layout *find_layout(int64_t operation) {
    for (size_t i = 0; i < sizeof layouts / sizeof layouts[0]; i++) {
        if (layouts[i].operation == operation) {
            return &layouts[i];
        }
    }
    return NULL;
}

static int field_count(const struct layout *layout) {
    int n = 0;
    while (n < 5 && layout->fields[n] != END) {
        n++;
    }
    return n;
}

static void store(struct muster_dist_message *message, enum field field, struct muster_slice term) {
    if (field == FROM) {
        message->from = term;
    } else if (field == TO) {
        message->to = term;
    } else if (field == ID) {
        message->id = term;
    }
}

static void name_receiver(struct muster_dist_message *message) {
    struct muster_reader r = muster_reader(message->to);
    if (message->to.len == 0 || muster_read_atom(&r, message->to_name) != 0) {
        message->to_name[0] = '\0';
    }
}

static int parse_control(struct muster_dist_message *message, struct muster_slice control,
                         const struct layout **layout) {
    struct muster_reader r = muster_reader(control);
    int arity;
    int64_t operation;
    if (muster_read_tuple(&r, &arity) != 0 || arity < 1 ||
        muster_read_integer(&r, &operation) != 0 || operation < 0 || operation > 255) {
        return MUSTER_E_MALFORMED;
    }
    message->operation = (int)operation;
    *layout = find_layout(operation);
    if (*layout == NULL) {
        return 0;
    }
    int fields = field_count(*layout);
    if (arity != fields + 1) {
        return MUSTER_E_MALFORMED;
    }
    for (int i = 0; i < fields; i++) {
        struct muster_slice term;
        if (muster_read_raw(&r, &term) != 0) {
            return MUSTER_E_MALFORMED;
        }
        store(message, (*layout)->fields[i], term);
    }
    name_receiver(message);
    return 0;
}

int muster_dist_message_parse(struct muster_dist_message *message, struct muster_slice frame) {
    const struct layout *layout = NULL;
    size_t control_len, payload_len;
    memset(message, 0, sizeof *message);
    if (frame.len < 1 || frame.data[0] != MUSTER_DIST_PASS_THROUGH) {
        return MUSTER_E_UNSUPPORTED;
    }
    struct muster_slice in = muster_slice(frame.data + 1, frame.len - 1);
    int error = muster_term_check_versioned(in, &control_limits, &control_len);
    if (error == 0) {
        error = parse_control(message, muster_slice(in.data + 1, control_len - 1), &layout);
    }
    if (error != 0 || layout == NULL || !layout->has_payload) {
        return error;
    }
    in = muster_slice(in.data + control_len, in.len - control_len);
    error = muster_term_check_versioned(in, &muster_term_default_limits, &payload_len);
    if (error == 0) {
        message->payload = muster_slice(in.data + 1, payload_len - 1);
    }
    return error;
}

/*
 * Who calls chooses pid and tag freely; a message to something else than a pid or a reference would
 * be an invalid one, on which a BEAM closes the connection.
 */
static int is_pid(struct muster_slice term) {
    int at = 0;
    return ei_decode_pid((const char *)term.data, &at, NULL) == 0;
}

static int is_ref(struct muster_slice term) {
    int at = 0;
    return ei_decode_ref((const char *)term.data, &at, NULL) == 0;
}

/* The reference of an alias in a tag, if that is what the tag is made of. */
static struct muster_slice find_alias(struct muster_slice tag) {
    struct muster_slice none = {0}, ref;
    struct muster_reader r = muster_reader(tag);
    char atom[MUSTER_ATOM_SIZE];
    int arity, type, size;
    if (ei_decode_list_header(r.data, &r.at, &arity) != 0 || arity != 1) {
        return none;
    }
    if (ei_get_type(r.data, &r.at, &type, &size) == 0 && type == ERL_LIST_EXT) {
        return find_alias(muster_slice(tag.data + r.at, tag.len - (size_t)r.at));
    }
    if (muster_read_atom(&r, atom) != 0 || strcmp(atom, "alias") != 0 ||
        muster_read_raw(&r, &ref) != 0 || !is_ref(ref)) {
        return none;
    }
    return ref;
}

int muster_gen_call_parse(struct muster_gen_call *call, struct muster_slice payload) {
    struct muster_reader r = muster_reader(payload);
    char atom[MUSTER_ATOM_SIZE];
    int arity, pair;
    memset(call, 0, sizeof *call);
    if (payload.len == 0 || muster_read_tuple(&r, &arity) != 0 || arity != 3 ||
        muster_read_atom(&r, atom) != 0 || strcmp(atom, "$gen_call") != 0 ||
        muster_read_tuple(&r, &pair) != 0 || pair != 2 || muster_read_raw(&r, &call->pid) != 0 ||
        !is_pid(call->pid) || muster_read_raw(&r, &call->tag) != 0 ||
        muster_read_raw(&r, &call->request) != 0) {
        return MUSTER_E_MALFORMED;
    }
    call->alias = find_alias(call->tag);
    return 0;
}
