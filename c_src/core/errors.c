#include "core/errors.h"

const char *muster_strerror(int error) {
    switch (error) {
#define X(name, code, text)                                                                        \
    case MUSTER_E_##name:                                                                          \
        return text;
        MUSTER_ERRORS(X)
#undef X
    default:
        return error == 0 ? "no error" : "unknown error";
    }
}
