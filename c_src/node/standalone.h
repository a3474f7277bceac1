/* The C node run by hand or by an init system, without a BEAM that owns it. */
#ifndef MUSTER_NODE_STANDALONE_H
#define MUSTER_NODE_STANDALONE_H

/* Does what the command line says. Returns an enum muster_exit. */
int muster_standalone_run(int argc, char *argv[]);

#endif
