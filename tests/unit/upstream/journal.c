/* journal.c - see journal.h. */
#include "journal.h"

#include <check.h>

struct journal journal;

void journal_begin(void)
{
    journal = (struct journal){0};
}

void journal_end(void)
{
    buffer_done(&journal.text);
}

void journal_is(const char *text)
{
    buffer_add(&journal.text, "", 1);
    ck_assert_str_eq(buffer_head(&journal.text), text);
    buffer_take(&journal.text, buffer_len(&journal.text));
}

static void on_key(void *context, struct slice key)
{
    ck_assert_ptr_eq(context, &journal);
    journal.keys++;
    if (!journal.quiet)
        buffer_printf(&journal.text, "%.*s;", (int)key.n, key.p);
    if (journal.key != NULL)
        journal.key(key);
}

static void on_flush(void *context)
{
    ck_assert_ptr_eq(context, &journal);
    buffer_printf(&journal.text, "flush;");
}

static void on_armed(void *context)
{
    ck_assert_ptr_eq(context, &journal);
    journal.on = true;
    buffer_printf(&journal.text, "armed;");
}

static void on_alone(void *context)
{
    ck_assert_ptr_eq(context, &journal);
    journal.on = false;
    journal.alone = true;
    buffer_printf(&journal.text, "alone;");
}

static void on_lost(void *context)
{
    ck_assert_ptr_eq(context, &journal);
    ck_assert(journal.on || journal.alone); /* never but after armed() or alone() */
    journal.on = journal.alone = false;
    buffer_printf(&journal.text, "lost;");
}

static void on_proven(void *context, uint64_t asked_ms)
{
    ck_assert_ptr_eq(context, &journal);
    ck_assert(journal.on);
    ck_assert_uint_ge(asked_ms, journal.proven_ms);
    journal.proofs++;
    journal.proven_ms = asked_ms;
}

const struct invalidation_ops journal_ops = {on_key,   on_flush, on_armed,
                                             on_alone, on_lost,  on_proven};
