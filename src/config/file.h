/* file.h - whole files into memory, and the names of conf.d. */
#ifndef LARDER_CONFIG_FILE_H
#define LARDER_CONFIG_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"
#include "base/check.h"
#include "config/pool.h"

enum file_kind {
    FILE_ANY,    /* also a pipe, as in `larder -c <(generate)` */
    FILE_REGULAR /* nothing that could make the reader wait */
};

/* Appends the file to *out. False, with the reason appended to *why, when it can not be read, is of
 * another kind or has more than `limit` bytes; what was read of it may be in *out then. */
MUST_USE
bool file_read(const char *path, enum file_kind kind, size_t limit, struct buffer *out,
               struct buffer *why);

/* The path of `name` as seen from the file `from`: beside it, unless it is absolute. */
MUST_USE
const char *file_beside(const char *from, const char *name, struct pool *pool);

/* The names in the directory `path` that match the shell's ?*.ini (none that starts with a dot),
 * in bytewise order, in the pool. No such directory is one without names. False, with the reason in
 * *why, when it can not be read or has more than CONFIG_FILES of them. */
MUST_USE
bool file_list(const char *path, struct pool *pool, const char ***ret_names, size_t *ret_count,
               struct buffer *why);

#endif
