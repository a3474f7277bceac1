/*
 * The baseline for round-trip times: what a plain, blocking program on ei's own sockets measures
 * when it makes the same is_auth call as muster's C node does.
 *
 *   ei_ping COOKIE OWN-NAME@IP PEER COUNT INTERVAL_MS
 */
#include <ei.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static double now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void sleep_ms(long ms) {
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

/* One {'$gen_call', {Pid, Ref}, {is_auth, Node}} to net_kernel, and whatever comes back first. */
static int ping(ei_cnode *node, int fd, double *rtt_us) {
    ei_x_buff request, answer;
    erlang_msg msg;
    erlang_ref ref;
    int got;
    ei_make_ref(node, &ref);
    ei_x_new_with_version(&request);
    ei_x_encode_tuple_header(&request, 3);
    ei_x_encode_atom(&request, "$gen_call");
    ei_x_encode_tuple_header(&request, 2);
    ei_x_encode_pid(&request, ei_self(node));
    ei_x_encode_ref(&request, &ref);
    ei_x_encode_tuple_header(&request, 2);
    ei_x_encode_atom(&request, "is_auth");
    ei_x_encode_atom(&request, ei_thisnodename(node));
    ei_x_new(&answer);
    double sent = now_us();
    got = ei_reg_send(node, fd, "net_kernel", request.buff, request.index);
    while (got >= 0 && (got = ei_xreceive_msg(fd, &msg, &answer)) == ERL_TICK) {
    }
    *rtt_us = now_us() - sent;
    ei_x_free(&request);
    ei_x_free(&answer);
    return got == ERL_MSG ? 0 : -1;
}

static int by_size(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static double percentile(const double *sorted, int n, double fraction) {
    return sorted[(int)(fraction * (n - 1) + 0.5)];
}

static int measure(ei_cnode *node, int fd, const char *peer, int count, long interval_ms) {
    double *rtt = malloc(sizeof *rtt * (size_t)count), sum = 0;
    if (rtt == NULL) {
        return 1;
    }
    for (int i = 0; i < count; i++) {
        if (ping(node, fd, &rtt[i]) != 0) {
            fprintf(stderr, "ei_ping: %s does not answer\n", peer);
            free(rtt);
            return 1;
        }
        sum += rtt[i];
        if (interval_ms > 0) {
            sleep_ms(interval_ms);
        }
    }
    qsort(rtt, (size_t)count, sizeof *rtt, by_size);
    printf("{\"node\":\"%s\",\"n\":%d,\"min_us\":%.1f,\"avg_us\":%.1f,\"p50_us\":%.1f,\"p99_us\":%."
           "1f,\"max_us\":%.1f}\n",
           peer, count, rtt[0], sum / count, percentile(rtt, count, 0.5),
           percentile(rtt, count, 0.99), rtt[count - 1]);
    free(rtt);
    return 0;
}

int main(int argc, char *argv[]) {
    ei_cnode node;
    struct rlimit low = {.rlim_cur = 64, .rlim_max = 64};
    char alive[256];
    if (argc != 6 || strchr(argv[2], '@') == NULL) {
        fputs("usage: ei_ping COOKIE OWN-NAME@IP PEER COUNT INTERVAL_MS\n", stderr);
        return 2;
    }
    setrlimit(RLIMIT_NOFILE, &low);
    ei_init();
    const char *ip = strchr(argv[2], '@') + 1;
    snprintf(alive, sizeof alive, "%.*s", (int)(ip - argv[2] - 1), argv[2]);
    struct in_addr address = {.s_addr = inet_addr(ip)};
    if (ei_connect_xinit(&node, ip, alive, argv[2], &address, argv[1], 1) < 0) {
        fputs("ei_ping: cannot initialise\n", stderr);
        return 1;
    }
    int fd = ei_connect(&node, argv[3]);
    if (fd < 0) {
        fprintf(stderr, "ei_ping: cannot connect to %s: error %d\n", argv[3], erl_errno);
        return 1;
    }
    return measure(&node, fd, argv[3], atoi(argv[4]), atol(argv[5]));
}
