/* digest.h - comparing secrets. */
#ifndef LARDER_NET_DIGEST_H
#define LARDER_NET_DIGEST_H

#include <stdbool.h>

#include "base/slice.h"

/* Equal? In a time that depends on neither content nor length of `secret`. */
MUST_USE
bool digest_equal(struct slice secret, struct slice guess);

/* OpenSSL's version, compiled and running: for --version. */
const char *digest_library_version(bool running);

#endif
