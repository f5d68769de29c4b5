/* address.h - struct address as text: host:port, [v6]:port, :port, unix:/path. */
#ifndef LARDER_CONFIG_ADDRESS_H
#define LARDER_CONFIG_ADDRESS_H

#include <stdbool.h>

#include "base/buffer.h"
#include "base/check.h"
#include "base/slice.h"
#include "config/pool.h"
#include "config/settings.h"

/* Strings of *ret live in the pool. What stands for an empty host depends on the purpose: to
 * listen, 0.0.0.0, and the port may be 0, any free one; to connect, 127.0.0.1. Names are not
 * resolved. NULL, or the reason why s is no address; *ret is untouched then. */
MUST_USE
const char *address_read(struct slice s, bool listens, struct pool *pool, struct address *ret);

/* Appends what address_read() reads back to the same. */
void address_show(struct buffer *out, const struct address *a);

/* Names compare without case. */
MUST_USE
bool address_equal(const struct address *a, const struct address *b);

#endif
