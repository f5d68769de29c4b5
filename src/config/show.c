/* show.c - settings for people: the dump, the rows of LARDER SETTINGS, and what a reload leaves.
 * All of it walks sections and rows the same way, in walk(). */
#include <stdbool.h>
#include <string.h>

#include "config/rows.h"
#include "config/settings.h"
#include "config/value.h"

/* One section of a whole configuration. */
struct part {
    const struct kind *kind;
    const void *values;
    const char *name; /* of a listener, policy or tenant; "" */
};

static size_t part_count(const struct settings *s)
{
    return 3 + s->listener_count + s->policy_count + s->tenant_count;
}

static struct part part_at(const struct settings *s, size_t i)
{
    if (i == 0)
        return (struct part){&kind_larder, &s->larder, ""};
    if (i <= s->listener_count)
        return (struct part){&kind_listener, &s->listeners[i - 1], s->listeners[i - 1].name};
    i -= s->listener_count + 1;
    if (i == 0)
        return (struct part){&kind_upstream, &s->upstream, ""};
    if (i == 1)
        return (struct part){&kind_cache, &s->cache, ""};
    i -= 2;
    if (i < s->policy_count)
        return (struct part){&kind_policy, &s->policies[i], s->policies[i].name};
    i -= s->policy_count;
    return (struct part){&kind_tenant, &s->tenants[i], s->tenants[i].name};
}

static void add_title(struct buffer *out, struct part part)
{
    buffer_printf(out, "%s%s%s", part.kind->word, *part.name ? " " : "", part.name);
}

/* Sentinels are in place of the address, which is then none of the settings in force. */
static bool in_force(const struct settings *s, struct part part, const struct row *row)
{
    return part.kind != &kind_upstream || s->upstream.sentinels.n == 0 ||
           strcmp(row->name, "address") != 0;
}

void settings_dump(const struct settings *s, struct buffer *out)
{
    for (size_t i = 0; i < part_count(s); i++) {
        struct part part = part_at(s, i);

        buffer_printf(out, "%s[", i > 0 ? "\n" : "");
        add_title(out, part);
        buffer_printf(out, "]\n");
        for (size_t k = 0; k < part.kind->count; k++) {
            struct buffer value = {0};

            if (!in_force(s, part, &part.kind->rows[k]))
                continue;
            value_write(&part.kind->rows[k], part.values, &value);
            buffer_printf(out, "%s =%s%.*s\n", part.kind->rows[k].name,
                          buffer_len(&value) > 0 ? " " : "", (int)buffer_len(&value),
                          buffer_head(&value));
            buffer_done(&value);
        }
    }
}

void settings_each(const struct settings *s, void *context,
                   void (*row)(void *context, const struct setting_view *view))
{
    for (size_t i = 0; i < part_count(s); i++) {
        struct part part = part_at(s, i);
        struct buffer title = {0}, value = {0};

        add_title(&title, part);
        buffer_add(&title, "", 1);
        for (size_t k = 0; k < part.kind->count; k++) {
            const struct row *r = &part.kind->rows[k];

            if (!in_force(s, part, r))
                continue;
            value_show(r, part.values, &value);
            buffer_add(&value, "", 1);
            row(context, &(struct setting_view){.section = buffer_head(&title),
                                                .name = r->name,
                                                .value = buffer_head(&value),
                                                .help = r->help,
                                                .reloadable = r->reloadable});
            buffer_done(&value);
        }
        buffer_done(&title);
    }
}

/* The same section of another configuration; kind NULL when it has none. It is looked for from
 * *at on, which is where it mostly is: behind the one that was found last. */
static struct part part_like(const struct settings *s, struct part like, size_t *at)
{
    size_t n = part_count(s);

    for (size_t i = 0; i < n; i++) {
        size_t k = (*at + i) % n;
        struct part part = part_at(s, k);

        if (part.kind != like.kind || strcmp(part.name, like.name) != 0)
            continue;
        *at = k + 1;
        return part;
    }
    return (struct part){0};
}

void settings_diff_restart(const struct settings *from, const struct settings *to,
                           struct buffer *out)
{
    size_t at = 0;

    for (size_t i = 0; i < part_count(from); i++) {
        struct part old = part_at(from, i), new = part_like(to, old, &at);

        if (new.kind == NULL) {
            if (!old.kind->reloadable) {
                add_title(out, old);
                buffer_printf(out, "\n");
            }
            continue;
        }
        for (size_t k = 0; k < old.kind->count; k++) {
            const struct row *r = &old.kind->rows[k];

            if (r->reloadable || value_equal(r, old.values, new.values))
                continue;
            add_title(out, old);
            buffer_printf(out, " %s\n", r->name);
        }
    }
    for (size_t i = 0; i < part_count(to); i++) {
        struct part new = part_at(to, i);

        if (!new.kind->reloadable && part_like(from, new, &at).kind == NULL) {
            add_title(out, new);
            buffer_printf(out, "\n");
        }
    }
}
