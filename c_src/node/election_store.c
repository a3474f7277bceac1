#include "node/election_store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/errors.h"
#include "node/election_image.h"
#include "node/log.h"

#define PATH_SIZE 1024
/* How long a write that failed waits for the next attempt. */
#define RETRY_MS 500

struct muster_election_store {
    struct muster_election_store *next;
    struct muster_election_stores *stores;
    struct muster_election_store_user user; /* context NULL: nobody */
    uint64_t generation;                    /* of users: an old one's writes are not a new one's */
    char directory[PATH_SIZE], path[PATH_SIZE + 128], temporary[PATH_SIZE + 160];
    char lock_path[PATH_SIZE + 160];
    int lock;
    struct muster_election_whose whose;
    uv_timer_t retry;
    uv_work_t work;
    bool writing;
    bool waiting; /* for the next attempt */
    bool failed;
    bool ready;   /* what was handed out is on the disk */
    bool unsaved; /* `wanted` is newer than what is being or has been written */
    int error;    /* of the write under way: an errno */
    uint64_t wanted_sequence, writing_sequence, writing_generation;
    struct muster_election_image wanted, image;
};

void muster_election_stores_init(struct muster_election_stores *stores, uv_loop_t *loop) {
    *stores = (struct muster_election_stores){.loop = loop};
}

/* --- Reading --- */

/* Returns 0 (with len 0 if there is no file) or an errno. */
static int read_file(const char *path, struct muster_election_image *image) {
    image->len = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT ? 0 : errno;
    }
    ssize_t n = 1;
    while (n > 0 && image->len < sizeof image->data) {
        n = read(fd, image->data + image->len, sizeof image->data - image->len);
        image->len += n > 0 ? (size_t)n : 0;
    }
    int error = n < 0 ? errno : 0;
    close(fd);
    return error == 0 && image->len == 0 ? EIO : error;
}

static void refuse(struct muster_problem *problem, const char *path, const char *why) {
    snprintf(problem->text, sizeof problem->text, "option data_dir: %.300s: %.120s", path, why);
}

static void name_files(struct muster_election_store *store) {
    char name[MUSTER_ELECTION_IMAGE_NAME_SIZE];
    muster_election_image_name(&store->whose, name);
    snprintf(store->path, sizeof store->path, "%s/%s", store->directory, name);
    snprintf(store->temporary, sizeof store->temporary, "%s.new", store->path);
    snprintf(store->lock_path, sizeof store->lock_path, "%s.lock", store->path);
}

static int lock_and_read(struct muster_election_store *store, struct muster_problem *problem) {
    if (mkdir(store->directory, 0700) != 0 && errno != EEXIST) {
        refuse(problem, store->directory, strerror(errno));
        return MUSTER_E_INVALID;
    }
    store->lock = open(store->lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (store->lock < 0) {
        refuse(problem, store->lock_path, strerror(errno));
        return MUSTER_E_INVALID;
    }
    if (flock(store->lock, LOCK_EX | LOCK_NB) != 0) {
        refuse(problem, store->path, "another process of this member uses it");
        return MUSTER_E_BUSY;
    }
    int error = read_file(store->path, &store->wanted);
    if (error != 0) {
        refuse(problem, store->path, strerror(error));
        return MUSTER_E_INVALID;
    }
    return 0;
}

/* --- Writing, on the thread pool --- */

static int write_all(int fd, const uint8_t *data, size_t len) {
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno != EINTR) {
            return errno;
        }
        data += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return fsync(fd) == 0 ? 0 : errno;
}

static int write_temporary(const struct muster_election_store *store) {
    int fd = open(store->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        return errno;
    }
    int error = write_all(fd, store->image.data, store->image.len);
    if (close(fd) != 0 && error == 0) {
        error = errno;
    }
    return error;
}

static int sync_directory(const struct muster_election_store *store) {
    int fd = open(store->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return errno;
    }
    int error = fsync(fd) == 0 ? 0 : errno;
    close(fd);
    return error;
}

static void write_image(uv_work_t *work) {
    struct muster_election_store *store = work->data;
    store->error = write_temporary(store);
    if (store->error == 0 && rename(store->temporary, store->path) != 0) {
        store->error = errno;
    }
    if (store->error == 0) {
        store->error = sync_directory(store);
    }
}

static void on_closed(uv_handle_t *handle) {
    free(handle->data);
}

static void destroy(struct muster_election_store *store) {
    struct muster_election_store **at = &store->stores->first;
    while (*at != store) {
        at = &(*at)->next;
    }
    *at = store->next;
    if (store->lock >= 0) {
        close(store->lock);
    }
    uv_close((uv_handle_t *)&store->retry, on_closed);
}

static void proceed(struct muster_election_store *store);

static void on_retry(uv_timer_t *timer) {
    struct muster_election_store *store = timer->data;
    store->waiting = false;
    proceed(store);
}

static void write_failed(struct muster_election_store *store) {
    store->unsaved = true;
    store->waiting = true;
    if (!store->failed) {
        muster_log(MUSTER_ERROR, "election: %s cannot be written: %s", store->path,
                   strerror(store->error));
    }
    store->failed = true;
    if (store->user.context != NULL) {
        store->user.on_problem(store->user.context, "term and vote cannot be written to data_dir");
    }
    uv_timer_start(&store->retry, on_retry, RETRY_MS, 0);
}

static void tell_written(struct muster_election_store *store) {
    bool own = store->writing_generation == store->generation;
    bool ready_before = store->ready;
    store->ready = ready_before || own || !store->unsaved;
    if (store->user.context != NULL && own) {
        store->user.on_saved(store->user.context, store->writing_sequence);
    }
    if (store->user.context != NULL && store->ready && !ready_before) {
        store->user.on_ready(store->user.context);
    }
}

static void on_written(uv_work_t *work, int status) {
    struct muster_election_store *store = work->data;
    (void)status; /* never cancelled */
    store->writing = false;
    if (store->error != 0) {
        write_failed(store);
    } else if (store->failed) {
        store->failed = false;
        if (store->user.context != NULL) {
            store->user.on_problem(store->user.context, NULL);
        }
    }
    if (store->error == 0) {
        tell_written(store);
    }
    proceed(store);
}

/* With nobody to use it, a store ends once nothing is left to write, or nothing can be. */
static void proceed(struct muster_election_store *store) {
    if (store->writing) {
        return;
    }
    if (store->unsaved && !store->waiting) {
        store->image = store->wanted;
        store->writing_sequence = store->wanted_sequence;
        store->writing_generation = store->generation;
        store->unsaved = false;
        store->writing = true;
        store->work.data = store;
        uv_queue_work(store->stores->loop, &store->work, write_image, on_written);
    } else if (store->user.context == NULL) {
        destroy(store);
    }
}

/* --- Life --- */

static struct muster_election_store *find(struct muster_election_stores *stores,
                                          const struct muster_election_store *like) {
    struct muster_election_store *store = stores->first;
    while (store != NULL && strcmp(store->path, like->path) != 0) {
        store = store->next;
    }
    return store;
}

static struct muster_election_store *create(struct muster_election_stores *stores,
                                            struct muster_slice directory,
                                            struct muster_slice group,
                                            const struct muster_node_name *self) {
    struct muster_election_store *store = calloc(1, sizeof *store);
    if (store == NULL) {
        return NULL;
    }
    memcpy(store->directory, directory.data, directory.len);
    memcpy(store->whose.group, group.data, group.len);
    store->whose.group_len = (uint8_t)group.len;
    store->whose.self = *self;
    store->stores = stores;
    store->lock = -1;
    name_files(store);
    return store;
}

static void discard(struct muster_election_store *store) {
    if (store->lock >= 0) {
        close(store->lock);
    }
    free(store);
}

/* Whoever takes a store over finds in `wanted` what its predecessor wanted last. */
static int hand_out(struct muster_election_store *store, uint8_t *bytes, size_t *len,
                    struct muster_problem *problem) {
    struct muster_slice record = {0};
    const char *wrong = store->wanted.len > 0
                            ? muster_election_image_parse(&store->wanted, &store->whose, &record)
                            : NULL;
    if (wrong != NULL) {
        refuse(problem, store->path, wrong);
        return MUSTER_E_INVALID;
    }
    if (record.len > 0) {
        memcpy(bytes, record.data, record.len);
    }
    *len = record.len;
    return 0;
}

int muster_election_store_open(struct muster_election_stores *stores, struct muster_slice directory,
                               struct muster_slice group, const struct muster_node_name *self,
                               const struct muster_election_store_user *user,
                               struct muster_election_store **slot, uint8_t *bytes, size_t *len,
                               struct muster_problem *problem) {
    if (directory.len >= PATH_SIZE || memchr(directory.data, 0, directory.len) != NULL) {
        refuse(problem, "its value", "too long, or with a zero byte in it");
        return MUSTER_E_INVALID;
    }
    struct muster_election_store *store = create(stores, directory, group, self);
    if (store == NULL) {
        refuse(problem, "its value", "out of memory");
        return MUSTER_E_NOMEM;
    }
    struct muster_election_store *open_already = find(stores, store);
    int error = 0;
    if (open_already != NULL) {
        discard(store);
        store = open_already;
    } else {
        error = lock_and_read(store, problem);
    }
    if (error == 0) {
        error = hand_out(store, bytes, len, problem);
    }
    if (error != 0) {
        if (open_already == NULL) {
            discard(store);
        }
        return error;
    }
    if (open_already == NULL) {
        uv_timer_init(stores->loop, &store->retry);
        store->retry.data = store;
        store->next = stores->first;
        stores->first = store;
    }
    store->user = *user;
    store->generation++;
    store->ready = !store->writing && !store->unsaved;
    *slot = store;
    return 0;
}

bool muster_election_store_is_ready(const struct muster_election_store *store) {
    return store->ready;
}

void muster_election_store_save(struct muster_election_store *store, uint64_t sequence,
                                const uint8_t *record, size_t len) {
    muster_election_image_build(&store->wanted, &store->whose, muster_slice(record, len));
    store->wanted_sequence = sequence;
    store->unsaved = true;
    proceed(store);
}

void muster_election_store_close(struct muster_election_store *store) {
    store->user = (struct muster_election_store_user){0};
    if (store->waiting) { /* a disk that does not write is not waited for */
        uv_timer_stop(&store->retry);
        store->waiting = false;
        store->unsaved = false;
    }
    proceed(store);
}
