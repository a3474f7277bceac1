/* The CRDT functions of muster_nif.erl, where they are documented. */
#ifndef MUSTER_NIF_CRDT_H
#define MUSTER_NIF_CRDT_H

#include <erl_nif.h>

#define MUSTER_NIF_CRDT_FUNCTIONS                                                                  \
    {"trie_add", 4, muster_nif_trie_add, 0}, {"trie_add", 6, muster_nif_trie_add, 0},              \
        {"trie_find", 3, muster_nif_trie_find, 0}, {"trie_put", 6, muster_nif_trie_put, 0},        \
        {"trie_remove", 3, muster_nif_trie_remove, 0},                                             \
        {"trie_merge", 4, muster_nif_trie_merge, 0}, {"trie_build", 1, muster_nif_trie_build, 0},  \
    {                                                                                              \
        "dot_hash", 2, muster_nif_dot_hash, 0                                                      \
    }

ERL_NIF_TERM muster_nif_trie_add(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[]);
ERL_NIF_TERM muster_nif_trie_find(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[]);
ERL_NIF_TERM muster_nif_trie_put(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[]);
ERL_NIF_TERM muster_nif_trie_remove(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[]);
ERL_NIF_TERM muster_nif_trie_merge(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[]);
ERL_NIF_TERM muster_nif_trie_build(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[]);
ERL_NIF_TERM muster_nif_dot_hash(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[]);

#endif
