/* suites.h - the suites of this room, and what they share: texts that load or do not, and a
 * directory of one's own for those that need files. */
#ifndef LARDER_TESTS_UNIT_CONFIG_SUITES_H
#define LARDER_TESTS_UNIT_CONFIG_SUITES_H

#include <check.h>

#include "base/buffer.h"
#include "config/settings.h"

Suite *address_suite(void);
Suite *contradictions_suite(void);
Suite *draft_suite(void);
Suite *expand_suite(void);
Suite *files_suite(void);
Suite *inifile_suite(void);
Suite *show_suite(void);
Suite *tenants_suite(void);
Suite *units_suite(void);
Suite *value_suite(void);

/* The buffer's bytes as a string; valid until it changes. */
const char *text_of(struct buffer *b);

/* Loads the text as "t.ini", which must succeed. The caller frees the result. */
struct settings *loads(const char *text);

/* Loads the text as "t.ini", which must fail with exactly these lines. */
void refuses(const char *text, const char *errors);

/* A directory for one test; everything in it is removed by scratch_close(). Directories of
 * a name are made. The results are the caller's to free. */
struct scratch {
    char dir[64];
};
void scratch_open(struct scratch *s);
void scratch_close(struct scratch *s);
char *scratch_path(const struct scratch *s, const char *name);
void scratch_write(const struct scratch *s, const char *name, const void *bytes, size_t n);
void scratch_text(const struct scratch *s, const char *name, const char *text);

#endif
