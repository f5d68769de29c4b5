/* rows.h - the rows of settings.h as data: what a section may hold, and where in its struct. */
#ifndef LARDER_CONFIG_ROWS_H
#define LARDER_CONFIG_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "base/slice.h"

enum setting_type {
    TYPE_STRING,
    TYPE_SECRET,
    TYPE_PATH,
    TYPE_BOOL,
    TYPE_COUNT,
    TYPE_DURATION,
    TYPE_SIZE,
    TYPE_ADDRESS,
    TYPE_CHOICE,
    TYPE_RATE,
    TYPE_LIST,
    TYPE_PREFIX,
    TYPE_ADDRESSES,
};

struct row {
    const char *name;
    enum setting_type type;
    const char *fallback; /* as in settings.h: with bounds, all words of a choice, an example */
    bool reloadable;
    const char *help;
    size_t offset; /* of the field in the section's struct */
    bool listens;  /* an address to listen at, not to connect to */
};

/* A kind of section. */
struct kind {
    const char *word;    /* in brackets */
    const char *example; /* as the reference has it, without brackets */
    const char *help;
    const struct row *rows;
    size_t count;
    /* Where a file may have several: */
    size_t limit;       /* so many sections "[word NAME]"; 0: the one "[word]" */
    size_t size;        /* of the struct of one, which begins with its name */
    const char *plural; /* of the word */
    bool reloadable;    /* they may come and go at a reload */
};

extern const struct kind kind_larder, kind_listener, kind_upstream, kind_cache, kind_policy,
    kind_tenant;

/* All of them, in the order in which they are shown. */
#define KIND_COUNT 6
extern const struct kind *const kinds[KIND_COUNT];

/* The row of that name, exactly; NULL when there is none. NAME_file finds the secret NAME, with
 * *ret_twin set. */
MUST_USE
const struct row *row_find(const struct kind *kind, struct slice name, bool *ret_twin);

/* The default alone, without bounds and further words; of a LIST or PREFIX, which has none, the
 * example. */
struct slice row_default(const struct row *row);

/* Must a section set it? */
static inline bool row_required(const struct row *row)
{
    return row->type == TYPE_LIST || row->type == TYPE_PREFIX;
}

/* For COUNT, DURATION, SIZE and RATE: what stands behind the default, and the two as numbers. */
struct slice row_bounds(const struct row *row);
void row_range(const struct row *row, uint64_t *ret_min, uint64_t *ret_max);

/* Word `index` of a CHOICE; n = 0 behind the last. */
struct slice row_word(const struct row *row, unsigned index);

#endif
