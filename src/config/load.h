/* load.h - settings_load() for text that is no file: for the fuzzer and the tests. */
#ifndef LARDER_CONFIG_LOAD_H
#define LARDER_CONFIG_LOAD_H

#include "base/buffer.h"
#include "base/check.h"
#include "base/slice.h"
#include "config/settings.h"

/* As settings_load(); `file` is what messages name, and nothing is read from a conf.d. */
MUST_USE
struct settings *settings_load_text(const char *file, struct slice text, struct buffer *errors);

#endif
