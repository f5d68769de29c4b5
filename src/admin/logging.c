/* logging.c - see logging.h. */
#include "admin/logging.h"

#include <unistd.h>

static enum log_level level_of(const struct settings *s)
{
    static const enum log_level levels[] = {
        [SET_LOG_INFO] = LOG_LEVEL_INFO,
        [SET_LOG_DEBUG] = LOG_LEVEL_DEBUG,
        [SET_LOG_WARNING] = LOG_LEVEL_WARNING,
        [SET_LOG_ERROR] = LOG_LEVEL_ERROR,
    };

    return levels[s->larder.log_level];
}

void logging_open(struct log *log, const struct settings *s)
{
    static const enum log_format formats[] = {
        [SET_FORMAT_AUTO] = LOG_FORMAT_AUTO,
        [SET_FORMAT_TEXT] = LOG_FORMAT_TEXT,
        [SET_FORMAT_JSON] = LOG_FORMAT_JSON,
        [SET_FORMAT_JOURNAL] = LOG_FORMAT_JOURNAL,
    };

    log_open(log, STDERR_FILENO, level_of(s), formats[s->larder.log_format]);
}

void logging_resettle(struct log *log, const struct settings *before, const struct settings *now)
{
    log->level = level_of(now);
    if (now->larder.log_format != before->larder.log_format)
        logging_open(log, now);
}
