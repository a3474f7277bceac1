/*
 * libcurl, loaded when it is first needed: with its TLS library it would double the memory of a C
 * node that never speaks HTTPS.
 */
#ifndef MUSTER_NODE_CURL_LOADER_H
#define MUSTER_NODE_CURL_LOADER_H

#include <curl/curl.h>

/* X(result, name, parameters): the functions that are used, without their prefix curl_. */
#define MUSTER_CURL_FUNCTIONS(X)                                                                   \
    X(CURLcode, global_init, (long flags))                                                         \
    X(CURL *, easy_init, (void))                                                                   \
    X(void, easy_cleanup, (CURL * easy))                                                           \
    X(CURLcode, easy_setopt, (CURL * easy, CURLoption option, ...))                                \
    X(CURLcode, easy_getinfo, (CURL * easy, CURLINFO info, ...))                                   \
    X(CURLcode, easy_pause, (CURL * easy, int what))                                               \
    X(const char *, easy_strerror, (CURLcode code))                                                \
    X(CURLM *, multi_init, (void))                                                                 \
    X(CURLMcode, multi_cleanup, (CURLM * multi))                                                   \
    X(CURLMcode, multi_setopt, (CURLM * multi, CURLMoption option, ...))                           \
    X(CURLMcode, multi_add_handle, (CURLM * multi, CURL * easy))                                   \
    X(CURLMcode, multi_remove_handle, (CURLM * multi, CURL * easy))                                \
    X(CURLMcode, multi_socket_action,                                                              \
      (CURLM * multi, curl_socket_t socket, int events, int *running))                             \
    X(CURLMcode, multi_assign, (CURLM * multi, curl_socket_t socket, void *data))                  \
    X(CURLMsg *, multi_info_read, (CURLM * multi, int *left))                                      \
    X(struct curl_slist *, slist_append, (struct curl_slist * list, const char *text))             \
    X(void, slist_free_all, (struct curl_slist * list))

struct muster_curl {
#define X(result, name, parameters) result(*name) parameters;
    MUSTER_CURL_FUNCTIONS(X)
#undef X
};

/* The loaded library, or NULL with `*problem` set to a static text; a later call tries again. */
const struct muster_curl *muster_curl_load(const char **problem);

#endif
