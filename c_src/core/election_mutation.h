/* Deliberate faults, compiled in one at a time: the simulator proves by them that it can see. */
#ifndef MUSTER_CORE_ELECTION_MUTATION_H
#define MUSTER_CORE_ELECTION_MUTATION_H

/*
 * A build with -DMUSTER_MUTATION=MUSTER_MUTATION_<NAME> behaves wrongly in exactly the one way
 * named (c_src/test/sim/sim.mk builds one simulator for each). In every other build MUSTER_MUTANT()
 * is the constant 0 and the faulty branch is not even in the object file.
 */
#define MUSTER_MUTATIONS(X)                                                                        \
    X(VISIBLE_QUORUM, 1, "counts the majority of the peers it sees, not of the declared voters")   \
    X(VOTE_TWICE, 2, "votes for every candidate of a term")                                        \
    X(NO_PRE_VOTE, 3, "raises its term without asking first")                                      \
    X(NO_CHECK_QUORUM, 4, "goes on leading when no majority answers")                              \
    X(NO_ABSTENTION, 5, "votes at once after a restart that made it forget its vote")              \
    X(LATE_GRANTS, 6, "counts grants that come after its candidacy's deadline")                    \
    X(LOCAL_JOIN, 7, "adds a voter without being the leader")                                      \
    X(LEASE_FROM_ACK, 8, "counts the lease from the acknowledgement's arrival")                    \
    X(FORGETFUL_JOIN, 9, "changes the voters of a group that keeps nothing on disk")               \
    X(EAGER_ACK, 10, "lets a voter that has just forgotten its vote hold up a lease")

enum muster_mutation {
    MUSTER_MUTATION_NONE = 0,
#define X(name, number, text) MUSTER_MUTATION_##name = (number),
    MUSTER_MUTATIONS(X)
#undef X
};

#ifdef MUSTER_MUTATION
#define MUSTER_MUTANT(name) (MUSTER_MUTATION == MUSTER_MUTATION_##name)
#else
#define MUSTER_MUTANT(name) 0
#endif

#endif
