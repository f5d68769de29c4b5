/* suites.h - the suites of this room, and what they share: a text compiled to policies. */
#ifndef LARDER_TESTS_UNIT_POLICY_SUITES_H
#define LARDER_TESTS_UNIT_POLICY_SUITES_H

#include <check.h>

#include "config/settings.h"
#include "policy/policies.h"

Suite *policies_suite(void);
Suite *refresh_suite(void);
Suite *touches_keys_suite(void);
Suite *touches_model_suite(void);
Suite *touches_suite(void);
Suite *rules_suite(void);

struct loaded {
    struct settings *settings;
    struct policies *policies;
};

/* The text must load. The caller ends with unload(). */
struct loaded load(const char *text, const struct policies *before);
void unload(struct loaded *l);

#endif
