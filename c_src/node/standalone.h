/* The C node run by hand or by an init system, without a BEAM that owns it. */
#ifndef MUSTER_NODE_STANDALONE_H
#define MUSTER_NODE_STANDALONE_H

#include "node/leaving.h"

/* Does what the command line says. */
enum muster_exit muster_standalone_run(int argc, char *argv[]);

#endif
