/* digest.h - comparing secrets. */
#ifndef LARDER_NET_DIGEST_H
#define LARDER_NET_DIGEST_H

#include <stdbool.h>

#include "base/slice.h"

/* Equal? In a time that depends on neither content nor length of `secret`. */
MUST_USE
bool digest_equal(struct slice secret, struct slice guess);

/* Is the SHA-256 of `guess` the one written as 64 hex digits? Likewise. Of what is no such digits,
 * no. */
MUST_USE
bool digest_is_sha256(struct slice hex, struct slice guess);

/* OpenSSL's version, compiled and running: for --version. */
const char *digest_library_version(bool running);

#endif
