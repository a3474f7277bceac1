#include "node/curl_loader.h"

#include <dlfcn.h>
#include <string.h>

/* Distributions build it with one TLS library or another; any will do. */
static const char *const names[] = {"libcurl.so.4", "libcurl-gnutls.so.4", "libcurl-nss.so.4",
                                    "libcurl.4.dylib", NULL};

static void *open_library(void) {
    void *library = NULL;
    for (int i = 0; names[i] != NULL && library == NULL; i++) {
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    }
    return library;
}

/* ISO C has no cast from an object pointer to a function pointer; POSIX promises the same size. */
static int take(void *library, const char *name, void *function) {
    void *symbol = dlsym(library, name);
    memcpy(function, &symbol, sizeof symbol);
    return symbol != NULL;
}

static int take_all(void *library, struct muster_curl *curl) {
    int complete = 1;
#define X(result, name, parameters)                                                                \
    complete = take(library, "curl_" #name, &curl->name) && complete;
    MUSTER_CURL_FUNCTIONS(X)
#undef X
    return complete;
}

const struct muster_curl *muster_curl_load(const char **problem) {
    static struct muster_curl curl;
    static int loaded;
    if (loaded) {
        return &curl;
    }
    void *library = open_library();
    if (library == NULL) {
        *problem = "libcurl is not installed here: install libcurl4 (Debian, Ubuntu), libcurl "
                   "(Alpine, Fedora) or curl (brew)";
        return NULL;
    }
    if (!take_all(library, &curl) || curl.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        *problem = "the libcurl that is installed here cannot be used: it is too old or broken";
        dlclose(library);
        return NULL;
    }
    loaded = 1;
    return &curl;
}
