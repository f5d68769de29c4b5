/* log.h - one line per event, on stderr: text for people, JSON for collectors, or journal prefixes
 * (`<6>`) when stderr is the journal. Keys and values of clients are never logged above debug.
 *
 * A message is a fixed sentence; what varies follows as `name=value` in the text. Lines that repeat
 * within a second more than LOG_BURST times are dropped and counted in one line afterwards; a
 * report that somebody asked for is not. */
#ifndef LARDER_BASE_LOG_H
#define LARDER_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/check.h"
#include "base/slice.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_format { LOG_FORMAT_AUTO, LOG_FORMAT_TEXT, LOG_FORMAT_JSON, LOG_FORMAT_JOURNAL };

struct log {
    enum log_level level;
    enum log_format format; /* AUTO is resolved by log_open */
    int fd;
    int64_t burst_second; /* the second that `burst` counts */
    uint32_t burst, dropped;
};

/* fd is borrowed. AUTO becomes JOURNAL when $JOURNAL_STREAM names fd, else TEXT. */
void log_open(struct log *log, int fd, enum log_level level, enum log_format format);

void log_error(struct log *log, const char *format, ...) PRINTF(2, 3);
void log_warning(struct log *log, const char *format, ...) PRINTF(2, 3);
void log_info(struct log *log, const char *format, ...) PRINTF(2, 3);
void log_debug(struct log *log, const char *format, ...) PRINTF(2, 3);

/* The lines of text, each as "head: line" on a line of its own. They neither count as a flood nor
 * are cut as one: at most LOG_REPORT_LINES are written, and a last line says how many were not. */
void log_report(struct log *log, enum log_level level, const char *head, struct slice text);

#endif
