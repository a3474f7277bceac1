/* MD5 (RFC 1321), for the one thing the distribution protocol still needs it for: cookie digests.
 */
#ifndef MUSTER_CORE_MD5_H
#define MUSTER_CORE_MD5_H

#include <stddef.h>
#include <stdint.h>

#define MUSTER_MD5_SIZE 16

struct muster_md5 {
    uint32_t state[4];
    uint64_t length; /* bytes taken in so far */
    uint8_t block[64];
};

void muster_md5_init(struct muster_md5 *md5);
void muster_md5_update(struct muster_md5 *md5, const void *data, size_t len);

/* Writes the digest; the context must be initialised anew before it is used again. */
void muster_md5_final(struct muster_md5 *md5, uint8_t digest[MUSTER_MD5_SIZE]);

#endif
