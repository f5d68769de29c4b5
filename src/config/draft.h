/* draft.h - a configuration while it is read: fills a struct settings file by file, and remembers
 * where each setting was set, so that a repetition can name both places and a contradiction one. */
#ifndef LARDER_CONFIG_DRAFT_H
#define LARDER_CONFIG_DRAFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "config/mistakes.h"
#include "config/pool.h"
#include "config/rows.h"
#include "config/settings.h"

/* Where a row of a section was set; at.file NULL while it is at its default. */
struct slot {
    struct origin at;
    bool twin;    /* by NAME_file */
    bool refused; /* the value was wrong and is at its default */
};

/* A section of the draft, whichever files it is spread over. */
struct section {
    const struct kind *kind;
    const char *name;     /* "upstream", "listener main" */
    void *values;         /* its struct in the settings */
    struct origin opened; /* by the last header */
    struct slot *slots;   /* one a row of its kind */
};

/* The sections of a named kind. */
struct sections {
    const struct kind *kind;
    struct section *v;
    char *values;   /* the array of their structs in the settings */
    void *array;    /* .. the settings' pointer to it */
    size_t *count;  /* in the settings */
    size_t room;    /* for so many */
    uint32_t *slot; /* by name: number of the section, from 1; 0: none. Open addressing */
    size_t slots;   /* a power of two, at least twice `room` */
};

struct draft {
    struct settings *settings; /* borrowed, and filled */
    struct pool *pool;         /* borrowed; everything below and in the settings lives there */
    struct mistakes mistakes;
    struct section larder, upstream, cache;
    struct sections listeners, policies, tenants;
    const char *file;        /* being read */
    struct section *current; /* where settings go; NULL where they are passed over */
    bool outside;            /* no header yet in this file */
};

/* All defaults, without a listener, policy or tenant. Mistakes go to *errors. */
void draft_init(struct draft *d, struct settings *settings, struct pool *pool,
                struct buffer *errors);

/* Takes what the file says over what is there. `file` is for messages and to find the files of
 * secrets beside it; it is copied. */
void draft_read(struct draft *d, const char *file, struct slice text);

/* Adds the default listener if there is none, and checks what no setting shows alone. True when
 * there was no mistake in all; then the settings are whole. */
MUST_USE
bool draft_finish(struct draft *d);

#endif
