/* settings.c - from a path to one whole, constant configuration, and back to nothing. The struct
 * that callers see is the head of one that also owns the memory behind its pointers. */
#include "config/settings.h"

#include <stdlib.h>

#include "config/bounds.h"
#include "config/draft.h"
#include "config/file.h"
#include "config/load.h"
#include "config/pool.h"

struct loaded {
    struct settings settings;
    struct pool pool;
};

static void read_file(struct draft *d, const char *path, enum file_kind kind);
static void read_beside(struct draft *d, const char *path);
static struct settings *finish(struct loaded *l, struct draft *d);

struct settings *settings_load(const char *path, struct buffer *errors)
{
    struct loaded *l = must_calloc(1, sizeof(*l));
    struct draft *d = pool_alloc(&l->pool, sizeof(*d));

    draft_init(d, &l->settings, &l->pool, errors);
    if (path) {
        read_file(d, path, FILE_ANY);
        read_beside(d, path);
    }
    return finish(l, d);
}

struct settings *settings_load_text(const char *file, struct slice text, struct buffer *errors)
{
    struct loaded *l = must_calloc(1, sizeof(*l));
    struct draft *d = pool_alloc(&l->pool, sizeof(*d));

    draft_init(d, &l->settings, &l->pool, errors);
    draft_read(d, file, text);
    return finish(l, d);
}

void settings_free(struct settings *s)
{
    struct loaded *l;

    if (s == NULL)
        return;
    l = CONTAINER_OF(s, struct loaded, settings);
    pool_done(&l->pool);
    free(l);
}

static void read_file(struct draft *d, const char *path, enum file_kind kind)
{
    struct buffer text = {0}, why = {0};

    if (file_read(path, kind, CONFIG_FILE_BYTES, &text, &why))
        draft_read(d, path, buffer_slice(&text));
    else
        mistake(&d->mistakes, (struct origin){path, 0}, "%.*s", (int)buffer_len(&why),
                buffer_head(&why));
    buffer_done(&text);
    buffer_done(&why);
}

/* conf.d/?*.ini beside the file. */
static void read_beside(struct draft *d, const char *path)
{
    const char *dir = file_beside(path, "conf.d", d->pool), **names = NULL;
    struct buffer why = {0};
    size_t count = 0;

    if (!file_list(dir, d->pool, &names, &count, &why))
        mistake(&d->mistakes, (struct origin){dir, 0}, "%.*s", (int)buffer_len(&why),
                buffer_head(&why));
    for (size_t i = 0; i < count; i++) {
        struct buffer file = {0};

        buffer_printf(&file, "%s/%s", dir, names[i]);
        read_file(d, pool_string(d->pool, buffer_slice(&file)), FILE_REGULAR);
        buffer_done(&file);
    }
    buffer_done(&why);
}

static struct settings *finish(struct loaded *l, struct draft *d)
{
    if (draft_finish(d))
        return &l->settings;
    settings_free(&l->settings);
    return NULL;
}
