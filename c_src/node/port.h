/* The C node as a port of its BEAM: the control port's protocol on stdin and stdout
 * (docs/control-port.md). */
#ifndef MUSTER_NODE_PORT_H
#define MUSTER_NODE_PORT_H

#define MUSTER_CONTROL_VERSION 1

enum muster_exit {
    MUSTER_EXIT_LEFT = 0,    /* asked to leave, and left */
    MUSTER_EXIT_FAILED = 1,  /* could not do what it was started for */
    MUSTER_EXIT_USAGE = 2,   /* wrong arguments or configuration */
    MUSTER_EXIT_OVERRUN = 3, /* the BEAM did not read what was written to it */
};

/* Runs until stdin ends. Returns an enum muster_exit. */
int muster_port_run(void);

#endif
