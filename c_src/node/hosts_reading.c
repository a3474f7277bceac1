#include "node/hosts_reading.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/errors.h"
#include "core/hosts_file.h"

#define FILE_NAME ".hosts.erlang"
#define FILE_MAX (64 * 1024)

struct muster_hosts_reading {
    uv_work_t work;
    struct muster_hosts_reading **slot;
    muster_hosts_read done; /* NULL once cancelled */
    void *context;
    char path[PATH_MAX], root[PATH_MAX], home[PATH_MAX];
    int failed;
    char problem[PATH_MAX + 160];
    struct muster_hosts hosts;
    char text[FILE_MAX];
};

/* --- In the pool's thread --- */

static void fail(struct muster_hosts_reading *r, const char *path, const char *why) {
    r->failed = 1;
    snprintf(r->problem, sizeof r->problem, "%s: %s", path, why);
}

static void parse(struct muster_hosts_reading *r, const char *path, size_t len) {
    struct muster_hosts_reader reader;
    struct muster_slice host;
    char why[96];
    int result;
    muster_hosts_reader_init(&reader, muster_slice(r->text, len));
    while ((result = muster_hosts_reader_next(&reader, &host)) == 1) {
        if (r->hosts.count == MUSTER_HOSTS_MAX) {
            snprintf(why, sizeof why, "more than %d hosts", MUSTER_HOSTS_MAX);
            fail(r, path, why);
            return;
        }
        char *name = r->hosts.names[r->hosts.count++];
        memcpy(name, host.data, host.len);
        name[host.len] = '\0';
    }
    if (result < 0) {
        snprintf(why, sizeof why, "line %u is not a host's name as an Erlang term, such as 'db1'.",
                 reader.line);
        fail(r, path, why);
    }
}

/* Returns the length, or a negative errno. No more than FILE_MAX - 1 bytes are a hosts file. */
static ssize_t read_all(int fd, char *text) {
    size_t len = 0;
    ssize_t n;
    do {
        n = read(fd, text + len, FILE_MAX - len);
        len += n > 0 ? (size_t)n : 0;
    } while ((n > 0 && len < FILE_MAX) || (n < 0 && errno == EINTR));
    if (n < 0) {
        return -errno;
    }
    return len == FILE_MAX ? -EFBIG : (ssize_t)len;
}

/* Non-blocking, so that a FIFO of that name does not hold the thread. */
static int open_file(const char *path, struct muster_hosts_reading *r) {
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return -errno;
    }
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        close(fd);
        return -EINVAL;
    }
    ssize_t len = read_all(fd, r->text);
    close(fd);
    if (len < 0) {
        return (int)len;
    }
    parse(r, path, (size_t)len);
    return 0;
}

/* Returns whether that was the file, good or bad; ENOENT means that it is looked for further. */
static int try_file(struct muster_hosts_reading *r, const char *path, int must_exist) {
    int error = open_file(path, r);
    if (error == -ENOENT && !must_exist) {
        return 0;
    }
    if (error != 0) {
        fail(r, path, error == -EINVAL ? "not a regular file" : uv_strerror(error));
    }
    return 1;
}

static int try_directory(struct muster_hosts_reading *r, const char *directory) {
    char path[PATH_MAX + sizeof FILE_NAME + 1];
    if (directory[0] == '\0') {
        return 0;
    }
    snprintf(path, sizeof path, "%s/%s", directory, FILE_NAME);
    return try_file(r, path, 0);
}

static void work(uv_work_t *request) {
    struct muster_hosts_reading *r = request->data;
    if (r->path[0] != '\0') {
        try_file(r, r->path, 1);
    } else if (!try_file(r, FILE_NAME, 0) && !try_directory(r, r->home) &&
               !try_directory(r, r->root)) {
        fail(r, FILE_NAME,
             "not in the current directory, the home directory or Erlang's root: make one, or set "
             "path");
    }
}

/* --- On the loop --- */

static void after_work(uv_work_t *request, int status) {
    struct muster_hosts_reading *r = request->data;
    if (r->done != NULL) {
        *r->slot = NULL;
        if (status != 0) {
            fail(r, FILE_NAME, uv_strerror(status));
        }
        r->done(r->context, r->failed ? NULL : &r->hosts, r->problem);
    }
    free(r);
}

int muster_hosts_reading_start(uv_loop_t *loop, const char *path, const char *root,
                               muster_hosts_read done, void *context,
                               struct muster_hosts_reading **slot) {
    struct muster_hosts_reading *r = calloc(1, sizeof *r);
    if (r == NULL) {
        return MUSTER_E_NOMEM;
    }
    const char *home = getenv("HOME");
    snprintf(r->path, sizeof r->path, "%s", path);
    snprintf(r->root, sizeof r->root, "%s", root);
    snprintf(r->home, sizeof r->home, "%s", home != NULL ? home : "");
    r->slot = slot;
    r->done = done;
    r->context = context;
    r->work.data = r;
    int status = uv_queue_work(loop, &r->work, work, after_work);
    if (status != 0) {
        free(r);
        return status;
    }
    *slot = r;
    return 0;
}

/* The thread may be at it: what it uses stays until it is done. */
void muster_hosts_reading_cancel(struct muster_hosts_reading *reading) {
    reading->done = NULL;
    *reading->slot = NULL;
    uv_cancel((uv_req_t *)&reading->work);
}
