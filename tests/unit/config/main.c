/* main.c - runs the suites of the room config. */
#include "suites.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/load.h"

const char *text_of(struct buffer *b)
{
    *buffer_room(b, 1) = 0;
    return buffer_head(b);
}

struct settings *loads(const char *text)
{
    struct buffer errors = {0};
    struct settings *s = settings_load_text("t.ini", slice_str(text), &errors);

    ck_assert_msg(s != NULL, "%s\n%s", text, text_of(&errors));
    ck_assert_uint_eq(buffer_len(&errors), 0);
    buffer_done(&errors);
    return s;
}

void refuses(const char *text, const char *errors)
{
    struct buffer found = {0};
    struct settings *s = settings_load_text("t.ini", slice_str(text), &found);

    ck_assert_str_eq(text_of(&found), errors);
    ck_assert_ptr_null(s);
    buffer_done(&found);
}

void scratch_open(struct scratch *s)
{
    const char *tmp = getenv("TMPDIR");

    if (tmp == NULL || strlen(tmp) > 32)
        tmp = "/tmp";
    (void)snprintf(s->dir, sizeof(s->dir), "%s/larder-config.XXXXXX", tmp);
    ck_assert_ptr_nonnull(mkdtemp(s->dir));
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void scratch_close(struct scratch *s)
{
    ck_assert_int_eq(nftw(s->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

char *scratch_path(const struct scratch *s, const char *name)
{
    char *path;

    ck_assert_int_gt(asprintf(&path, "%s/%s", s->dir, name), 0);
    return path;
}

void scratch_write(const struct scratch *s, const char *name, const void *bytes, size_t n)
{
    char *path = scratch_path(s, name);
    FILE *f;

    for (char *slash = path + strlen(s->dir) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = 0;
        (void)mkdir(path, 0700);
        *slash = '/';
    }
    f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(bytes, 1, n, f), n);
    ck_assert_int_eq(fclose(f), 0);
    free(path);
}

void scratch_text(const struct scratch *s, const char *name, const char *text)
{
    scratch_write(s, name, text, strlen(text));
}

int main(void)
{
    SRunner *runner = srunner_create(inifile_suite());
    int failed;

    srunner_add_suite(runner, expand_suite());
    srunner_add_suite(runner, units_suite());
    srunner_add_suite(runner, address_suite());
    srunner_add_suite(runner, value_suite());
    srunner_add_suite(runner, draft_suite());
    srunner_add_suite(runner, contradictions_suite());
    srunner_add_suite(runner, files_suite());
    srunner_add_suite(runner, show_suite());
    srunner_add_suite(runner, tenants_suite());
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
