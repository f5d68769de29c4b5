/* check_files.c - settings from real files: conf.d beside the main one, and secrets. */
#include "suites.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/bounds.h"
#include "config/file.h"

static struct scratch scratch;

static void set_up(void)
{
    scratch_open(&scratch);
}

static void tear_down(void)
{
    scratch_close(&scratch);
}

/* Loads larder.ini of the scratch directory. */
static struct settings *load(void)
{
    struct buffer errors = {0};
    char *path = scratch_path(&scratch, "larder.ini");
    struct settings *s = settings_load(path, &errors);

    ck_assert_msg(s != NULL, "%s", text_of(&errors));
    free(path);
    return s;
}

/* The same, refused with these lines, where @ stands for the scratch directory. */
static void fails(const char *expected)
{
    struct buffer errors = {0}, lines = {0};
    char *path = scratch_path(&scratch, "larder.ini");

    for (; *expected; expected++) {
        if (*expected == '@')
            buffer_printf(&lines, "%s", scratch.dir);
        else
            buffer_add(&lines, expected, 1);
    }
    ck_assert_ptr_null(settings_load(path, &errors));
    ck_assert_str_eq(text_of(&errors), text_of(&lines));
    buffer_done(&errors);
    buffer_done(&lines);
    free(path);
}

START_TEST(one_file)
{
    struct settings *s;

    scratch_text(&scratch, "larder.ini", "[larder]\nmax_clients = 12\n");
    s = load();
    ck_assert_uint_eq(s->larder.max_clients, 12);
    settings_free(s);
}
END_TEST

START_TEST(no_path)
{
    struct buffer errors = {0};
    struct settings *s = settings_load(NULL, &errors);

    ck_assert_ptr_nonnull(s);
    ck_assert_uint_eq(s->listener_count, 1);
    settings_free(s);
}
END_TEST

START_TEST(unreadable)
{
    fails("@/larder.ini: cannot open it: No such file or directory\n");
    scratch_text(&scratch, "larder.ini/x", "");
    fails("@/larder.ini: cannot read it: Is a directory\n");
}
END_TEST

START_TEST(conf_d)
{
    struct settings *s;

    scratch_text(&scratch, "larder.ini", "[upstream]\npool_size = 4\n[listener a]\n");
    scratch_text(&scratch, "conf.d/20.ini",
                 "[upstream]\nmax_lent = 6\n[listener b]\naddress = :1\n");
    scratch_text(&scratch, "conf.d/10.ini",
                 "[upstream]\nmax_links = 5\n[listener c]\naddress = :2\n"
                 "[listener a]\nbacklog = 9\n");
    scratch_text(&scratch, "conf.d/.hidden.ini", "nonsense");
    scratch_text(&scratch, "conf.d/.ini", "nonsense");
    scratch_text(&scratch, "conf.d/30.ini.bak", "nonsense");
    scratch_text(&scratch, "conf.d/README", "nonsense");
    s = load();
    ck_assert_uint_eq(s->upstream.pool_size, 4);
    ck_assert_uint_eq(s->upstream.max_links, 5);
    ck_assert_uint_eq(s->upstream.max_lent, 6);
    ck_assert_uint_eq(s->listener_count, 3);
    ck_assert_str_eq(s->listeners[0].name, "a");
    ck_assert_uint_eq(s->listeners[0].backlog, 9);
    ck_assert_str_eq(s->listeners[1].name, "c");
    ck_assert_str_eq(s->listeners[2].name, "b");
    settings_free(s);
}
END_TEST

/* Bytewise, whatever the locale: 10 before 9, B before a. */
START_TEST(conf_d_order)
{
    scratch_text(&scratch, "larder.ini", "");
    scratch_text(&scratch, "conf.d/9.ini", "x\n");
    scratch_text(&scratch, "conf.d/10.ini", "x\n");
    scratch_text(&scratch, "conf.d/a.ini", "x\n");
    scratch_text(&scratch, "conf.d/B.ini", "x\n");
    fails(
        "@/conf.d/10.ini:1: neither a [section] nor name = value: there is no =\n"
        "@/conf.d/9.ini:1: neither a [section] nor name = value: there is no =\n"
        "@/conf.d/B.ini:1: neither a [section] nor name = value: there is no =\n"
        "@/conf.d/a.ini:1: neither a [section] nor name = value: there is no =\n");
}
END_TEST

START_TEST(conf_d_repeats)
{
    scratch_text(&scratch, "larder.ini", "[upstream]\n\npool_size = 4\npassword = x\n");
    scratch_text(&scratch, "conf.d/a.ini", "[upstream]\npool_size = 4\npassword_file = /x\n");
    scratch_text(&scratch, "conf.d/b.ini", "pool_size = 4\n[larder]\n[larder]\n");
    fails(
        "@/conf.d/a.ini:2: pool_size repeats pool_size in @/larder.ini:3\n"
        "@/conf.d/a.ini:3: password_file excludes password in @/larder.ini:4\n"
        "@/conf.d/b.ini:1: pool_size stands before any [section]\n"
        "@/conf.d/b.ini:3: [larder] repeats line 2\n");
}
END_TEST

/* A mistake stays one line, whatever the file is called. */
START_TEST(conf_d_strange_name)
{
    scratch_text(&scratch, "larder.ini", "");
    scratch_text(&scratch, "conf.d/a\nb\x1b.ini", "x\n");
    fails("@/conf.d/a?b?.ini:1: neither a [section] nor name = value: there is no =\n");
}
END_TEST

START_TEST(conf_d_unreadable)
{
    char *fifo = scratch_path(&scratch, "conf.d/fifo.ini");

    scratch_text(&scratch, "larder.ini", "");
    scratch_text(&scratch, "conf.d/dir.ini/x", "");
    fails("@/conf.d/dir.ini: it is not a regular file\n");
    /* Nobody will ever write to it, and larder must not wait for that. */
    ck_assert_int_eq(mkfifo(fifo, 0600), 0);
    fails(
        "@/conf.d/dir.ini: it is not a regular file\n"
        "@/conf.d/fifo.ini: it is not a regular file\n");
    free(fifo);
}
END_TEST

START_TEST(conf_d_is_a_file)
{
    scratch_text(&scratch, "larder.ini", "");
    scratch_text(&scratch, "conf.d", "");
    fails("@/conf.d: cannot read it: Not a directory\n");
}
END_TEST

START_TEST(conf_d_too_many)
{
    char name[64];

    scratch_text(&scratch, "larder.ini", "");
    for (unsigned i = 0; i < CONFIG_FILES; i++) {
        (void)snprintf(name, sizeof(name), "conf.d/%u.ini", i);
        scratch_text(&scratch, name, "");
    }
    settings_free(load());
    scratch_text(&scratch, "conf.d/more.ini", "");
    fails("@/conf.d: more than 1000 files\n");
}
END_TEST

START_TEST(relative_path)
{
    struct buffer errors = {0};
    char cwd[4096];

    scratch_text(&scratch, "larder.ini", "x\n");
    scratch_text(&scratch, "conf.d/a.ini", "x\n");
    ck_assert_ptr_nonnull(getcwd(cwd, sizeof(cwd)));
    ck_assert_int_eq(chdir(scratch.dir), 0);
    ck_assert_ptr_null(settings_load("larder.ini", &errors));
    ck_assert_int_eq(chdir(cwd), 0);
    ck_assert_str_eq(text_of(&errors),
                     "larder.ini:1: neither a [section] nor name = value: there is no =\n"
                     "conf.d/a.ini:1: neither a [section] nor name = value: there is no =\n");
    buffer_done(&errors);
}
END_TEST

START_TEST(too_large)
{
    char *bytes = must_alloc(CONFIG_FILE_BYTES + 1);

    memset(bytes, '\n', CONFIG_FILE_BYTES + 1);
    scratch_write(&scratch, "larder.ini", bytes, CONFIG_FILE_BYTES);
    settings_free(load());
    scratch_write(&scratch, "larder.ini", bytes, CONFIG_FILE_BYTES + 1);
    fails("@/larder.ini: it is larger than 4194304 bytes\n");
    free(bytes);
}
END_TEST

START_TEST(endless)
{
    struct buffer errors = {0};

    ck_assert_ptr_null(settings_load("/dev/zero", &errors));
    ck_assert_str_eq(text_of(&errors), "/dev/zero: it is larger than 4194304 bytes\n");
    buffer_done(&errors);
}
END_TEST

/* As from larder -c <(generate). */
START_TEST(from_a_pipe)
{
    struct buffer errors = {0};
    struct settings *s;
    char path[32];
    int fds[2];

    ck_assert_int_eq(pipe(fds), 0);
    ck_assert_int_eq(write(fds[1], "[larder]\nmax_clients = 3\n", 25), 25);
    ck_assert_int_eq(close(fds[1]), 0);
    (void)snprintf(path, sizeof(path), "/dev/fd/%d", fds[0]);
    s = settings_load(path, &errors);
    ck_assert_msg(s != NULL, "%s", text_of(&errors));
    ck_assert_uint_eq(s->larder.max_clients, 3);
    ck_assert_int_eq(close(fds[0]), 0);
    settings_free(s);
}
END_TEST

START_TEST(secret_files)
{
    struct settings *s;
    char *absolute = scratch_path(&scratch, "absolute");

    ck_assert_int_eq(setenv("SECRET", absolute, 1), 0);
    ck_assert_int_eq(setenv("DIR", "secrets", 1), 0);
    scratch_text(&scratch, "larder.ini",
                 "[listener a]\npassword_file = ${SECRET}\n"
                 "[upstream]\npassword_file = ${DIR}/up stream\n");
    scratch_text(&scratch, "absolute", " ${x} $$ ; \n\n");
    scratch_text(&scratch, "secrets/up stream", "one");
    s = load();
    ck_assert_str_eq(s->listeners[0].password, " ${x} $$ ; \n");
    ck_assert_str_eq(s->upstream.password, "one");
    settings_free(s);
    free(absolute);
}
END_TEST

/* Beside the file that names it, not beside the main one. */
START_TEST(secret_file_of_conf_d)
{
    struct settings *s;

    scratch_text(&scratch, "larder.ini", "");
    scratch_text(&scratch, "conf.d/a.ini", "[upstream]\npassword_file = secret\n");
    scratch_text(&scratch, "conf.d/secret", "near\n");
    scratch_text(&scratch, "secret", "far\n");
    s = load();
    ck_assert_str_eq(s->upstream.password, "near");
    settings_free(s);
}
END_TEST

/* A PATH is seen from the file that names it, and must be readable. */
START_TEST(paths)
{
    char *beside = scratch_path(&scratch, "conf.d/ca.pem"), *fifo = scratch_path(&scratch, "fifo");
    struct settings *s;

    scratch_text(&scratch, "larder.ini", "");
    scratch_text(&scratch, "conf.d/a.ini", "[upstream]\ntls = yes\ntls_ca = ca.pem \n");
    scratch_text(&scratch, "conf.d/ca.pem", "x");
    s = load();
    ck_assert_str_eq(s->upstream.tls_ca, beside);
    settings_free(s);
    ck_assert_int_eq(mkfifo(fifo, 0600), 0);
    scratch_text(&scratch, "conf.d/a.ini",
                 "[upstream]\ntls = yes\ntls_ca = /gone\n"
                 "[listener a]\ntls_key = ../fifo\ntls_cert = ..\n");
    fails(
        "@/conf.d/a.ini:3: tls_ca: \"/gone\": cannot open it: No such file or directory\n"
        "@/conf.d/a.ini:6: tls_cert: \"@/conf.d/..\": it is not a regular file\n"
        "@/conf.d/a.ini:5: tls_key: \"@/conf.d/../fifo\": it is not a regular file\n");
    free(beside);
    free(fifo);
}
END_TEST

START_TEST(secret_files_wrong)
{
    char *fifo = scratch_path(&scratch, "fifo"), *big = must_alloc(CONFIG_SECRET_BYTES + 1);

    ck_assert_int_eq(mkfifo(fifo, 0600), 0);
    memset(big, 'x', CONFIG_SECRET_BYTES + 1);
    scratch_write(&scratch, "big", big, CONFIG_SECRET_BYTES + 1);
    scratch_write(&scratch, "full", big, CONFIG_SECRET_BYTES);
    scratch_write(&scratch, "nul", "a\0b", 3);
    scratch_text(&scratch, "empty", "");
    scratch_text(&scratch, "newline", "\n");
    scratch_text(&scratch, "larder.ini",
                 "[listener a]\naddress = :1\npassword_file = missing\n"
                 "[listener b]\naddress = :2\npassword_file = big\n"
                 "[listener c]\naddress = :3\npassword_file = nul\n"
                 "[listener d]\naddress = :4\npassword_file = empty\n"
                 "[listener e]\naddress = :5\npassword_file = newline\n"
                 "[listener f]\naddress = :6\npassword_file = fifo\n"
                 "[listener g]\naddress = :7\npassword_file =\n"
                 "[upstream]\npassword_file = full\n");
    fails(
        "@/larder.ini:3: password_file: \"missing\": cannot open it: No such file or directory\n"
        "@/larder.ini:6: password_file: \"big\": it is larger than 65536 bytes\n"
        "@/larder.ini:9: password_file: \"nul\": holds a NUL byte\n"
        "@/larder.ini:12: password_file: \"empty\": it is empty\n"
        "@/larder.ini:15: password_file: \"newline\": it is empty\n"
        "@/larder.ini:18: password_file: \"fifo\": it is not a regular file\n"
        "@/larder.ini:21: password_file: \"\": no file is named\n");
    free(fifo);
    free(big);
}
END_TEST

/* Opened, and then no byte of it can be read. */
START_TEST(reading_fails)
{
    struct buffer out = {0}, why = {0};

    ck_assert(!file_read("/proc/self/mem", FILE_ANY, 100, &out, &why));
    ck_assert_str_eq(text_of(&why), "cannot read it: Input/output error");
    buffer_done(&out);
    buffer_done(&why);
}
END_TEST

START_TEST(beside)
{
    struct pool pool = {0};

    ck_assert_str_eq(file_beside("/etc/larder/larder.ini", "conf.d", &pool), "/etc/larder/conf.d");
    ck_assert_str_eq(file_beside("/larder.ini", "conf.d", &pool), "/conf.d");
    ck_assert_str_eq(file_beside("larder.ini", "conf.d", &pool), "conf.d");
    ck_assert_str_eq(file_beside("./larder.ini", "a/b", &pool), "./a/b");
    ck_assert_str_eq(file_beside("/etc/larder.ini", "/run/x", &pool), "/run/x");
    pool_done(&pool);
}
END_TEST

Suite *files_suite(void)
{
    Suite *suite = suite_create("files");
    TCase *tcase = tcase_create("files");

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, one_file);
    tcase_add_test(tcase, no_path);
    tcase_add_test(tcase, unreadable);
    tcase_add_test(tcase, conf_d);
    tcase_add_test(tcase, conf_d_order);
    tcase_add_test(tcase, conf_d_repeats);
    tcase_add_test(tcase, conf_d_strange_name);
    tcase_add_test(tcase, conf_d_unreadable);
    tcase_add_test(tcase, conf_d_is_a_file);
    tcase_add_test(tcase, conf_d_too_many);
    tcase_add_test(tcase, relative_path);
    tcase_add_test(tcase, too_large);
    tcase_add_test(tcase, endless);
    tcase_add_test(tcase, from_a_pipe);
    tcase_add_test(tcase, secret_files);
    tcase_add_test(tcase, secret_file_of_conf_d);
    tcase_add_test(tcase, paths);
    tcase_add_test(tcase, secret_files_wrong);
    tcase_add_test(tcase, reading_fails);
    tcase_add_test(tcase, beside);
    suite_add_tcase(suite, tcase);
    return suite;
}
