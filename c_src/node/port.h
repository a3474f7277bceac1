/* The C node as a port of its BEAM: the control port's protocol on stdin and stdout
 * (docs/control-port.md). */
#ifndef MUSTER_NODE_PORT_H
#define MUSTER_NODE_PORT_H

#include "node/leaving.h"

#define MUSTER_CONTROL_VERSION 1

/* Runs until stdin ends. */
enum muster_exit muster_port_run(void);

#endif
