/* check_loader.c - settings read off the loop, and freed there. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/loader.h"
#include "net/loop.h"
#include "suites.h"

/* What is in the file from one time to the next, and what is to come of it. */
struct step {
    const char *text;
    uint64_t max_clients; /* 0: it is refused */
    const char *told;
};

static struct log quiet;
static struct loop *loop;
static struct loader *loader;
static char path[] = "/tmp/check_loader.XXXXXX";
static const struct step *steps;
static unsigned loaded, wanted;
static bool keeps; /* what was loaded takes the place of what was there */
static struct settings *kept;

static void write_settings(const char *text)
{
    FILE *f = fopen(path, "w");

    ck_assert_ptr_nonnull(f);
    ck_assert_int_ge(fputs(text, f), 0);
    ck_assert_int_eq(fclose(f), 0);
}

static void begin_step(void)
{
    unsigned before = loaded;

    write_settings(steps[loaded].text);
    loader_read(loader);
    ck_assert_uint_eq(loaded, before); /* never from within the call */
}

static void check_step(const struct step *s, const struct settings *fresh, struct slice errors)
{
    char told[200];

    (void)snprintf(told, sizeof told, "%.*s", (int)errors.n, errors.p);
    ck_assert_uint_eq(fresh != NULL ? fresh->larder.max_clients : 0, s->max_clients);
    ck_assert_msg(strstr(told, s->told) != NULL && (errors.n > 0) == (fresh == NULL), "%s", told);
}

static struct settings *on_loaded(void *context, struct settings *fresh, struct slice errors)
{
    struct settings *before = kept;

    ck_assert_ptr_eq(context, &loaded);
    if (steps != NULL)
        check_step(&steps[loaded], fresh, errors);
    if (++loaded == wanted)
        loop_stop(loop);
    else if (steps != NULL)
        begin_step();
    if (!keeps)
        return fresh;
    kept = fresh;
    return before;
}

static void begin(void)
{
    int fd = mkstemp(path);

    ck_assert_int_ge(fd, 0);
    (void)close(fd);
    log_open(&quiet, STDERR_FILENO, LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    loop = loop_new(&quiet);
    loader = loader_new(loop, path, on_loaded, &loaded);
}

static void end(void)
{
    loader_free(loader);
    loop_free(loop);
    settings_free(kept);
    (void)unlink(path);
}

static void take(const struct step *of, unsigned n)
{
    steps = of;
    wanted = n;
    begin_step();
    loop_run(loop);
    ck_assert_uint_eq(loaded, n);
}

START_TEST(tells_what_is_there)
{
    static const struct step of[] = {{"[larder]\nmax_clients = 77\n", 77, ""},
                                     {"[larder]\nmax_clients = many\n", 0, ":2: "},
                                     {"[larder]\nmax_clients = 78\n", 78, ""}};

    take(of, ARRAY_LEN(of));
}
END_TEST

START_TEST(frees_what_was_before)
{
    static const struct step of[] = {{"[larder]\nmax_clients = 1\n", 1, ""},
                                     {"[larder]\nmax_clients = 2\n", 2, ""},
                                     {"[larder]\nmax_clients = 3\n", 3, ""}};

    keeps = true;
    take(of, ARRAY_LEN(of));
    ck_assert_uint_eq(kept->larder.max_clients, 3);
}
END_TEST

/* It has begun to read: what is there now may have been changed behind it. However often that is
 * said, it reads once more. */
START_TEST(once_more)
{
    for (int i = 0; i < 10; i++)
        loader_read(loader);
    wanted = 2;
    loop_run(loop);
    ck_assert_uint_eq(loaded, 2);
}
END_TEST

/* Nobody writes: so it reads for ever, and is left to that. */
START_TEST(left_while_it_reads)
{
    int fd;

    (void)unlink(path);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    loader_read(loader);
    while ((fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC)) < 0)
        (void)usleep(100); /* it has not begun */
    loader_free(loader);
    loader = NULL;
    (void)close(fd); /* so that it ends */
    (void)usleep(20000);
    ck_assert_uint_eq(loaded, 0);
}
END_TEST

START_TEST(freed_unasked)
{
    loader_free(NULL);
}
END_TEST

Suite *loader_suite(void)
{
    Suite *suite = suite_create("loader");
    TCase *t = tcase_create("loader");

    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, tells_what_is_there);
    tcase_add_test(t, frees_what_was_before);
    tcase_add_test(t, once_more);
    tcase_add_test(t, left_while_it_reads);
    tcase_add_test(t, freed_unasked);
    suite_add_tcase(suite, t);
    return suite;
}
