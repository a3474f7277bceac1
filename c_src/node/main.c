#include <ei.h>
#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>

#include "node/port.h"
#include "node/standalone.h"

/* More than any cluster needs. */
#define DESCRIPTORS 65536

/*
 * ei_init allocates a table with an entry for each file descriptor that may ever be open: under a
 * container's default limit that is 257 MB. Only ei's codec is used here, none of its sockets, so
 * it is shown a small limit.
 */
static int init_ei(void) {
    struct rlimit limit, low;
    int have = getrlimit(RLIMIT_NOFILE, &limit) == 0;
    if (have) {
        low = limit;
        low.rlim_cur = limit.rlim_cur < 64 ? limit.rlim_cur : 64;
        setrlimit(RLIMIT_NOFILE, &low);
    }
    int error = ei_init();
    if (have) {
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    return error;
}

/*
 * Most systems set a soft limit of 1,024, for programs that use select(); nothing here does, and a
 * link to each of 600 nodes and to their C nodes is more than that.
 */
static void raise_descriptor_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < DESCRIPTORS) {
        limit.rlim_cur = limit.rlim_max < DESCRIPTORS ? limit.rlim_max : DESCRIPTORS;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* Started with one of them closed, a socket would take its number, and output go to a peer. */
static int open_standard_fds(void) {
    int fd;
    do {
        fd = open("/dev/null", O_RDWR);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    return fd < 0 ? -1 : close(fd);
}

/*
 * With handles left, the loop was stopped over a look-up or a disk that hangs, and a normal exit
 * would wait for the thread that does.
 */
static int end(int exit_code) {
    if (uv_loop_alive(uv_default_loop())) {
        fflush(NULL);
        _exit(exit_code);
    }
    return exit_code;
}

int main(int argc, char *argv[]) {
    signal(SIGPIPE, SIG_IGN);
    if (open_standard_fds() != 0) {
        return MUSTER_EXIT_FAILED;
    }
    if (init_ei() != 0 || sodium_init() < 0) {
        fputs("muster_node: cannot initialise ei and libsodium\n", stderr);
        return MUSTER_EXIT_FAILED;
    }
    raise_descriptor_limit();
    if (argc == 2 && strcmp(argv[1], "--port") == 0) {
        return end(muster_port_run());
    }
    return end(muster_standalone_run(argc, argv));
}
