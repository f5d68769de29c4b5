/* loader.c - see loader.h.
 *
 *      loader_read() --thread: settings_load()--> loaded() --thread: settings_free()--> */
#include "admin/loader.h"

#include <stdlib.h>

#include "base/buffer.h"
#include "net/worker.h"

struct loader {
    struct worker *worker;
    const char *path;
    loader_loaded *loaded;
    void *context;
    bool reads, again;
};

/* What is read, and then what is to be freed. */
struct reading {
    struct job job;
    struct loader *loader;
    const char *path; /* the thread may outlive the loader */
    struct settings *settings;
    struct buffer errors;
};

static void begin(struct loader *l);

static void read_settings(struct job *j)
{
    struct reading *r = CONTAINER_OF(j, struct reading, job);

    r->settings = settings_load(r->path, &r->errors);
}

static void free_settings(struct job *j)
{
    struct reading *r = CONTAINER_OF(j, struct reading, job);

    settings_free(r->settings);
    r->settings = NULL;
}

static void reading_free(struct job *j)
{
    struct reading *r = CONTAINER_OF(j, struct reading, job);

    settings_free(r->settings);
    buffer_done(&r->errors);
    free(r);
}

static const struct job_ops free_ops = {free_settings, reading_free, reading_free};

static void hand_over(struct job *j)
{
    struct reading *r = CONTAINER_OF(j, struct reading, job);
    struct loader *l = r->loader;

    r->settings = l->loaded(l->context, r->settings, buffer_slice(&r->errors));
    r->job.ops = &free_ops;
    worker_ask(l->worker, &r->job);
    l->reads = false;
    if (l->again)
        begin(l);
}

static const struct job_ops read_ops = {read_settings, hand_over, reading_free};

static void begin(struct loader *l)
{
    struct reading *r = must_calloc(1, sizeof *r);

    l->reads = true;
    l->again = false;
    r->job.ops = &read_ops;
    r->loader = l;
    r->path = l->path;
    worker_ask(l->worker, &r->job);
}

struct loader *loader_new(struct loop *loop, const char *path, loader_loaded *loaded, void *context)
{
    struct loader *l = must_calloc(1, sizeof *l);

    l->worker = worker_new(loop);
    l->path = path;
    l->loaded = loaded;
    l->context = context;
    return l;
}

void loader_free(struct loader *l)
{
    if (l == NULL)
        return;
    worker_free(l->worker);
    free(l);
}

void loader_read(struct loader *l)
{
    if (l->reads)
        l->again = true;
    else
        begin(l);
}
