/* main.c - runs the suites of the room policy. */
#include "suites.h"

#include <stdlib.h>

#include "base/buffer.h"
#include "config/load.h"

struct loaded load(const char *text, const struct policies *before)
{
    struct buffer errors = {0};
    struct loaded l = {.settings = settings_load_text("t.ini", slice_str(text), &errors)};

    ck_assert_msg(l.settings != NULL, "%.*s", (int)buffer_len(&errors), buffer_head(&errors));
    l.policies = policies_new(l.settings, before);
    buffer_done(&errors);
    return l;
}

void unload(struct loaded *l)
{
    policies_free(l->policies);
    settings_free(l->settings);
}

int main(void)
{
    SRunner *runner = srunner_create(policies_suite());
    int failed;

    srunner_add_suite(runner, refresh_suite());
    srunner_add_suite(runner, rules_suite());
    srunner_add_suite(runner, touches_suite());
    srunner_add_suite(runner, touches_keys_suite());
    srunner_add_suite(runner, touches_model_suite());
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
