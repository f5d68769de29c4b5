/* loader.h - settings read anew, off the loop: many tenants, a slow disk, or a pipe that nobody
 * writes to keep no client waiting. */
#ifndef LARDER_ADMIN_LOADER_H
#define LARDER_ADMIN_LOADER_H

#include "config/settings.h"

struct loader;
struct loop;

/* What settings_load() had to say: fresh is NULL where there are errors. Returns which settings are
 * of no use any more, the fresh ones or those of before: they are freed, off the loop too. */
typedef struct settings *loader_loaded(void *context, struct settings *fresh, struct slice errors);

/* The path is borrowed; NULL: all defaults. */
MUST_USE
struct loader *loader_new(struct loop *loop, const char *path, loader_loaded *loaded,
                          void *context);
/* loaded() is not called any more. NULL is fine. */
void loader_free(struct loader *l);

/* Never calls loaded() itself. While it reads already, it reads once more behind that. */
void loader_read(struct loader *l);

#endif
