/* Kubernetes: lists of endpoints and pods in each mode, answers of no use, addresses and URLs. */
#include "unit.h"

#include <stdio.h>

#include "core/errors.h"
#include "core/k8s_request.h"

static const char endpoints[] =
    "{\"kind\":\"EndpointsList\",\"metadata\":{\"resourceVersion\":\"1\"},\"items\":["
    "{\"metadata\":{\"namespace\":\"prod\"},\"subsets\":[{\"addresses\":["
    "{\"ip\":\"10.0.0.1\",\"hostname\":\"app-0\",\"targetRef\":{\"namespace\":\"other\"}},"
    "{\"ip\":\"10.0.0.2\"},{\"ip\":7},{},null],"
    "\"notReadyAddresses\":[{\"ip\":\"10.0.0.3\"}]},{}]},"
    "{\"metadata\":{}},{\"subsets\":null},"
    "{\"subsets\":[{\"addresses\":[{\"ip\":\"fd00::1\",\"hostname\":\"\"}]}]}]}";

static const char pods[] =
    "{\"kind\":\"PodList\",\"items\":["
    "{\"metadata\":{\"namespace\":\"prod\"},\"spec\":{\"hostname\":\"app-0\"},"
    "\"status\":{\"phase\":\"Running\",\"podIP\":\"10.0.0.1\"}},"
    "{\"metadata\":{\"namespace\":\"prod\"},\"status\":{\"podIP\":\"10.0.0.2\"}},"
    "{\"status\":{\"phase\":\"Failed\",\"podIP\":\"10.0.0.3\"}},"
    "{\"status\":{\"phase\":\"Succeeded\",\"podIP\":\"10.0.0.4\"}},"
    "{\"status\":{\"phase\":\"Pending\"}},{\"spec\":{\"hostname\":\"app-9\"}},"
    "{\"status\":{\"podIP\":\"10.0.0 .5\"}},{}]}";

static struct muster_k8s_naming naming(enum muster_k8s_lookup lookup, enum muster_k8s_mode mode) {
    return (struct muster_k8s_naming){.lookup = lookup,
                                      .mode = mode,
                                      .basename = "x",
                                      .service = "svc",
                                      .namespace = "own",
                                      .domain = "cluster.local"};
}

static int parse(const struct muster_k8s_naming *n, const char *text, size_t len, size_t step,
                 struct muster_name_list *names, struct muster_k8s_parse *parse, int *partial) {
    int error = 0;
    muster_k8s_parse_init(parse, n, names);
    for (size_t at = 0; at < len && error == 0; at += step) {
        struct muster_slice piece = unit_exact(text + at, len - at < step ? len - at : step);
        error = muster_k8s_parse_feed(parse, piece);
        unit_free(piece);
    }
    error = error != 0 ? error : muster_k8s_parse_finish(parse, partial);
    muster_k8s_parse_close(parse);
    return error;
}

/* Names separated by blanks, in the order of the answer. */
static void check_names(enum muster_k8s_lookup lookup, enum muster_k8s_mode mode, const char *text,
                        const char *expected) {
    struct muster_k8s_naming n = naming(lookup, mode);
    for (size_t step = 1; step < strlen(text) + 40; step += 39) {
        struct muster_name_list names = {.count = 0};
        struct muster_k8s_parse p;
        char joined[512] = "";
        int partial = 1;
        assert_int_equal(parse(&n, text, strlen(text), step, &names, &p, &partial), 0);
        assert_int_equal(partial, 0);
        for (unsigned i = 0; i < names.count; i++) {
            strcat(joined, i > 0 ? " " : "");
            strcat(joined, names.names[i].text);
        }
        assert_string_equal(joined, expected);
        muster_name_list_close(&names);
    }
}

static void test_endpoints(void **state) {
    (void)state;
    check_names(MUSTER_K8S_ENDPOINTS, MUSTER_K8S_IP, endpoints, "x@10.0.0.1 x@10.0.0.2 x@fd00::1");
    check_names(MUSTER_K8S_ENDPOINTS, MUSTER_K8S_HOSTNAME, endpoints,
                "x@app-0.svc.other.svc.cluster.local");
    check_names(MUSTER_K8S_ENDPOINTS, MUSTER_K8S_DNS, endpoints,
                "x@10-0-0-1.other.pod.cluster.local x@10-0-0-2.prod.pod.cluster.local "
                "x@fd00--1.own.pod.cluster.local");
}

static void test_pods(void **state) {
    (void)state;
    check_names(MUSTER_K8S_PODS, MUSTER_K8S_IP, pods, "x@10.0.0.1 x@10.0.0.2");
    check_names(MUSTER_K8S_PODS, MUSTER_K8S_HOSTNAME, pods, "x@app-0.svc.prod.svc.cluster.local");
    check_names(MUSTER_K8S_PODS, MUSTER_K8S_DNS, pods,
                "x@10-0-0-1.prod.pod.cluster.local x@10-0-0-2.prod.pod.cluster.local");
}

static void test_empty_lists(void **state) {
    (void)state;
    check_names(MUSTER_K8S_PODS, MUSTER_K8S_IP, "{\"kind\":\"PodList\",\"items\":[]}", "");
    check_names(MUSTER_K8S_PODS, MUSTER_K8S_IP, "{\"items\":null,\"kind\":\"PodList\"}", "");
}

static int outcome(const char *text, size_t len, int *partial) {
    struct muster_k8s_naming n = naming(MUSTER_K8S_PODS, MUSTER_K8S_IP);
    struct muster_name_list names = {.count = 0};
    struct muster_k8s_parse p;
    int error = parse(&n, text, len, len + 1, &names, &p, partial);
    muster_name_list_close(&names);
    return error;
}

static void test_answers_of_no_use(void **state) {
    static const struct {
        const char *text;
        int error;
    } cases[] = {
        {"", MUSTER_E_TRUNCATED},
        {"<html>", MUSTER_E_TRUNCATED},
        {"{}", MUSTER_E_UNSUPPORTED},
        {"[]", MUSTER_E_MALFORMED},
        {"{\"kind\":\"PodList\"}", MUSTER_E_UNSUPPORTED},
        {"{\"kind\":\"PodList\",\"items\":{}}", MUSTER_E_UNSUPPORTED},
        {"{\"kind\":\"EndpointsList\",\"items\":[]}", MUSTER_E_UNSUPPORTED},
        {"{\"kind\":\"PodList\",\"items\":[{oops}]}", MUSTER_E_MALFORMED},
        {"{\"kind\":\"PodList\" \"items\":[]}", MUSTER_E_MALFORMED},
        {"{\"kind\":\"PodList\",\"items\":[}", MUSTER_E_TRUNCATED},
    };
    int partial;
    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        assert_int_equal(outcome(cases[i].text, strlen(cases[i].text), &partial), cases[i].error);
    }
    for (size_t n = 0; n < sizeof pods - 1; n++) {
        assert_int_equal(outcome(pods, n, &partial), MUSTER_E_TRUNCATED);
    }
}

static void test_partial(void **state) {
    static const char text[] =
        "{\"kind\":\"PodList\",\"metadata\":{\"continue\":\"abc\"},\"items\":[]}";
    int partial = 0;
    (void)state;
    assert_int_equal(outcome(text, sizeof text - 1, &partial), 0);
    assert_int_equal(partial, 1);
}

static void test_status_message(void **state) {
    static const char body[] = "{\"kind\":\"Status\",\"message\":\"no\\n\\u00e9 way\"}";
    char out[32];
    (void)state;
    muster_k8s_status_message(muster_slice(body, sizeof body - 1), out, sizeof out);
    assert_string_equal(out, "no??? way");
    muster_k8s_status_message(muster_slice(body, sizeof body - 1), out, 3);
    assert_string_equal(out, "no");
    muster_k8s_status_message(muster_slice("oops", 4), out, sizeof out);
    assert_string_equal(out, "");
}

static void test_servers(void **state) {
    static const struct {
        const char *text, *host;
        int port;
    } cases[] = {
        {"kubernetes.default.svc", "kubernetes.default.svc.cluster.local", 443},
        {"api.cluster.local", "api.cluster.local", 443},
        {"api.example.com.", "api.example.com", 443},
        {"api.example.com:6443", "api.example.com", 6443},
        {"https://api.example.com:6443", "api.example.com", 6443},
        {"10.96.0.1", "10.96.0.1", 443},
        {"10.96.0.1:6443", "10.96.0.1", 6443},
        {"[fd00::1]:6443", "fd00::1", 6443},
        {"fd00::1", "fd00::1", 443},
        {"[fd00::1]", "fd00::1", 443},
        {"", NULL, 0},
        {"http://api:1", NULL, 0},
        {"api/x", NULL, 0},
        {"api:", NULL, 0},
        {"api:0", NULL, 0},
        {"api:65536", NULL, 0},
        {"api:1x", NULL, 0},
        {"[fd00::1", NULL, 0},
        {"[]", NULL, 0},
        {"a b", NULL, 0},
    };
    struct muster_k8s_server server;
    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        int error = muster_k8s_server_read(&server, cases[i].text, "cluster.local");
        assert_int_equal(error, cases[i].host != NULL ? 0 : MUSTER_E_INVALID);
        if (error == 0) {
            assert_string_equal(server.host, cases[i].host);
            assert_int_equal(server.port, cases[i].port);
        }
    }
}

static void test_urls(void **state) {
    struct muster_k8s_server server;
    char url[256];
    (void)state;
    muster_k8s_server_read(&server, "[fd00::1]:6443", "cluster.local");
    assert_int_equal(
        muster_k8s_url(url, sizeof url, &server, MUSTER_K8S_PODS, "a/b", "k in (v, w)", 1), 0);
    assert_string_equal(url, "https://[fd00::1]:6443/api/v1/namespaces/a%2Fb/pods"
                             "?labelSelector=k%20in%20%28v%2C%20w%29&resourceVersion=0");
    for (size_t size = 1; size <= strlen(url); size++) {
        char *exact = malloc(size);
        assert_int_equal(
            muster_k8s_url(exact, size, &server, MUSTER_K8S_PODS, "a/b", "k in (v, w)", 1),
            MUSTER_E_LIMIT);
        free(exact);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_endpoints),   cmocka_unit_test(test_pods),
        cmocka_unit_test(test_empty_lists), cmocka_unit_test(test_answers_of_no_use),
        cmocka_unit_test(test_partial),     cmocka_unit_test(test_status_message),
        cmocka_unit_test(test_servers),     cmocka_unit_test(test_urls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
