#include "node/https.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/errors.h"
#include "node/curl_loader.h"

#define CONNECT_PART 2
#define KEPT_CONNECTIONS 1L
/* As long as data comes, curl does not return to the loop; after this many bytes it is made to. */
#define BYTES_AT_ONCE (128u * 1024)
/* The shortest wait that lets the loop see to its sockets: a timer of 0 ms that a timer's callback
 * starts fires before them. */
#define NEXT_TURN_MS 1

struct muster_https {
    const struct muster_curl *curl;
    uv_loop_t *loop;
    uv_timer_t timer;
    uv_timer_t resume; /* runs while the transfer is paused */
    int handles;       /* not closed yet */
    size_t taken;      /* bytes since the last pause */
    CURLM *multi;
    CURL *easy; /* the request under way */
    struct curl_slist *headers, *addresses;
    struct muster_https_request request;
    char error[CURL_ERROR_SIZE];
};

struct https_socket {
    uv_poll_t poll; /* data: the client */
    curl_socket_t fd;
};

/* --- The end of a request --- */

static void drop_request(struct muster_https *https) {
    if (https->easy != NULL) {
        https->curl->multi_remove_handle(https->multi, https->easy);
        https->curl->easy_cleanup(https->easy);
        https->easy = NULL;
    }
    https->curl->slist_free_all(https->headers);
    https->curl->slist_free_all(https->addresses);
    https->headers = https->addresses = NULL;
    uv_timer_stop(&https->resume);
}

static enum muster_https_outcome outcome_of(CURLcode code) {
    switch (code) {
    case CURLE_OK:
        return MUSTER_HTTPS_ANSWERED;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_URL_MALFORMAT:
        return MUSTER_HTTPS_UNREACHED;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
        return MUSTER_HTTPS_UNTRUSTED;
    case CURLE_SSL_CACERT_BADFILE:
        return MUSTER_HTTPS_CA_UNUSABLE;
    case CURLE_OPERATION_TIMEDOUT:
        return MUSTER_HTTPS_TIMED_OUT;
    case CURLE_WRITE_ERROR:
        return MUSTER_HTTPS_STOPPED;
    default:
        return MUSTER_HTTPS_BROKEN_OFF;
    }
}

static void finish(struct muster_https *https, CURLcode code) {
    struct muster_https_request request = https->request;
    char detail[MUSTER_HTTPS_TEXT_MAX];
    long status = 0;
    https->curl->easy_getinfo(https->easy, CURLINFO_RESPONSE_CODE, &status);
    snprintf(detail, sizeof detail, "%.*s", (int)sizeof detail - 1,
             https->error[0] != '\0' ? https->error : https->curl->easy_strerror(code));
    drop_request(https);
    request.on_end(request.context, outcome_of(code), status, detail);
}

/* After each visit to curl: is the request done? */
static void look_for_end(struct muster_https *https) {
    int left;
    CURLMsg *message = https->curl->multi_info_read(https->multi, &left);
    if (message != NULL && message->msg == CURLMSG_DONE) {
        finish(https, message->data.result);
    }
}

/* --- Sockets and time --- */

static void visit(struct muster_https *https, curl_socket_t fd, int events) {
    int running;
    https->curl->multi_socket_action(https->multi, fd, events, &running);
    look_for_end(https);
}

static void on_ready(uv_poll_t *poll, int status, int events) {
    const struct https_socket *s = (const struct https_socket *)poll;
    int flags = status != 0 ? CURL_CSELECT_ERR : 0;
    flags |= (events & UV_READABLE) != 0 ? CURL_CSELECT_IN : 0;
    flags |= (events & UV_WRITABLE) != 0 ? CURL_CSELECT_OUT : 0;
    visit(poll->data, s->fd, flags);
}

static void on_poll_closed(uv_handle_t *handle) {
    free(handle);
}

static struct https_socket *open_socket(struct muster_https *https, curl_socket_t fd) {
    struct https_socket *s = calloc(1, sizeof *s);
    if (s == NULL || uv_poll_init_socket(https->loop, &s->poll, fd) != 0) {
        free(s);
        return NULL;
    }
    s->poll.data = https;
    s->fd = fd;
    https->curl->multi_assign(https->multi, fd, s);
    return s;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *data) {
    struct muster_https *https = context;
    struct https_socket *s = data;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (s != NULL) {
            https->curl->multi_assign(https->multi, fd, NULL);
            uv_close((uv_handle_t *)&s->poll, on_poll_closed);
        }
        return 0;
    }
    s = s != NULL ? s : open_socket(https, fd);
    int events =
        (what != CURL_POLL_OUT ? UV_READABLE : 0) | (what != CURL_POLL_IN ? UV_WRITABLE : 0);
    return s != NULL && uv_poll_start(&s->poll, events, on_ready) == 0 ? 0 : -1;
}

static void on_timer(uv_timer_t *timer) {
    visit(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

static int on_timeout(CURLM *multi, long ms, void *context) {
    struct muster_https *https = context;
    (void)multi;
    if (ms < 0) {
        uv_timer_stop(&https->timer);
    } else {
        uv_timer_start(&https->timer, on_timer, ms > 0 ? (uint64_t)ms : NEXT_TURN_MS, 0);
    }
    return 0;
}

/* --- Requests --- */

static void on_resume(uv_timer_t *timer) {
    struct muster_https *https = timer->data;
    https->taken = 0;
    https->curl->easy_pause(https->easy, CURLPAUSE_CONT);
    visit(https, CURL_SOCKET_TIMEOUT, 0);
}

static size_t on_body(char *data, size_t size, size_t count, void *context) {
    struct muster_https *https = context;
    long status = 0;
    if (https->taken >= BYTES_AT_ONCE) {
        uv_timer_start(&https->resume, on_resume, NEXT_TURN_MS, 0);
        return CURL_WRITEFUNC_PAUSE; /* the same bytes come again */
    }
    https->taken += size * count;
    https->curl->easy_getinfo(https->easy, CURLINFO_RESPONSE_CODE, &status);
    int stop =
        https->request.on_body(https->request.context, status, muster_slice(data, size * count));
    return stop ? 0 : size * count;
}

static int add_line(const struct muster_curl *curl, struct curl_slist **list, const char *text) {
    struct curl_slist *longer = text != NULL ? curl->slist_append(*list, text) : *list;
    if (text != NULL && longer == NULL) {
        return MUSTER_E_NOMEM;
    }
    *list = longer;
    return 0;
}

/*
 * No proxy, as the API server is within the cluster; no redirects, which could take the token
 * elsewhere; no signals, which are the loop's.
 */
static void set_options(struct muster_https *https) {
    const struct muster_https_request *r = &https->request;
    CURLcode (*set)(CURL *, CURLoption, ...) = https->curl->easy_setopt;
    CURL *easy = https->easy;
    set(easy, CURLOPT_URL, r->url);
    set(easy, CURLOPT_NOSIGNAL, 1L);
    set(easy, CURLOPT_PROXY, "");
    set(easy, CURLOPT_FOLLOWLOCATION, 0L);
    set(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    set(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    set(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    set(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    if (r->ca_file != NULL) {
        set(easy, CURLOPT_CAINFO, r->ca_file);
        set(easy, CURLOPT_CAPATH, NULL);
    }
    set(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    set(easy, CURLOPT_TIMEOUT_MS, (long)r->timeout_ms);
    set(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)r->timeout_ms / CONNECT_PART + 1);
    set(easy, CURLOPT_HTTPHEADER, https->headers);
    set(easy, CURLOPT_RESOLVE, https->addresses);
    set(easy, CURLOPT_USERAGENT, "muster/" MUSTER_VERSION);
    set(easy, CURLOPT_ERRORBUFFER, https->error);
    set(easy, CURLOPT_WRITEFUNCTION, on_body);
    set(easy, CURLOPT_WRITEDATA, https);
}

int muster_https_get(struct muster_https *https, const struct muster_https_request *request) {
    const struct muster_curl *curl = https->curl;
    https->request = *request;
    https->error[0] = '\0';
    if (add_line(curl, &https->headers, "Accept: application/json") != 0 ||
        add_line(curl, &https->headers, request->header) != 0 ||
        add_line(curl, &https->addresses, request->address) != 0 ||
        (https->easy = curl->easy_init()) == NULL) {
        drop_request(https);
        return MUSTER_E_NOMEM;
    }
    set_options(https);
    if (curl->multi_add_handle(https->multi, https->easy) != CURLM_OK) {
        drop_request(https);
        return MUSTER_E_NOMEM;
    }
    return 0;
}

/* --- Life --- */

struct muster_https *muster_https_open(uv_loop_t *loop, const char **problem) {
    const struct muster_curl *curl = muster_curl_load(problem);
    if (curl == NULL) {
        return NULL;
    }
    struct muster_https *https = calloc(1, sizeof *https);
    CURLM *multi = https != NULL ? curl->multi_init() : NULL;
    if (multi == NULL) {
        *problem = "out of memory";
        free(https);
        return NULL;
    }
    https->curl = curl;
    https->loop = loop;
    https->multi = multi;
    uv_timer_init(loop, &https->timer);
    uv_timer_init(loop, &https->resume);
    https->timer.data = https->resume.data = https;
    https->handles = 2;
    curl->multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl->multi_setopt(multi, CURLMOPT_SOCKETDATA, https);
    curl->multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timeout);
    curl->multi_setopt(multi, CURLMOPT_TIMERDATA, https);
    curl->multi_setopt(multi, CURLMOPT_MAXCONNECTS, KEPT_CONNECTIONS);
    return https;
}

static void on_timer_closed(uv_handle_t *handle) {
    struct muster_https *https = handle->data;
    if (--https->handles == 0) {
        free(https);
    }
}

void muster_https_close(struct muster_https *https) {
    drop_request(https);
    https->curl->multi_cleanup(https->multi);
    uv_close((uv_handle_t *)&https->timer, on_timer_closed);
    uv_close((uv_handle_t *)&https->resume, on_timer_closed);
}
