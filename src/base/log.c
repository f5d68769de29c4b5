/* log.c - see log.h. One write(2) per line, so lines of several processes do not mix. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/limits.h"

#define LOG_LINE  2048 /* bytes of one line; what is longer is cut */
#define LOG_BURST 200  /* lines a second; a flood of them helps nobody */

static const char *const level_names[] = {"error", "warning", "info", "debug"};
static const char level_priority[] = {'3', '4', '6', '7'}; /* syslog(3) */

/* systemd sets JOURNAL_STREAM=device:inode of the stream it connected (systemd.exec(5)). */
static bool is_journal(int fd)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat st;
    char mine[64];

    if (stream == NULL || fstat(fd, &st) != 0)
        return false;
    (void)snprintf(mine, sizeof mine, "%lu:%lu", (unsigned long)st.st_dev,
                   (unsigned long)st.st_ino);
    return strcmp(stream, mine) == 0;
}

void log_open(struct log *log, int fd, enum log_level level, enum log_format format)
{
    if (format == LOG_FORMAT_AUTO)
        format = is_journal(fd) ? LOG_FORMAT_JOURNAL : LOG_FORMAT_TEXT;
    *log = (struct log){.level = level, .format = format, .fd = fd};
}

static size_t put_time(char *out, size_t room, const struct timespec *t)
{
    struct tm tm;
    size_t n;

    (void)gmtime_r(&t->tv_sec, &tm);
    n = strftime(out, room, "%Y-%m-%dT%H:%M:%S", &tm);
    return n + (size_t)snprintf(out + n, room - n, ".%03ldZ", t->tv_nsec / 1000000);
}

/* Copies text as the inside of a JSON string (RFC 8259, section 7), cut where the room ends. */
static size_t put_json(char *out, size_t room, const char *text)
{
    size_t n = 0;

    for (; *text != 0 && n + 7 < room; text++) {
        unsigned char c = (unsigned char)*text;

        if (c == '"' || c == '\\') {
            out[n++] = '\\';
            out[n++] = (char)c;
        } else if (c < 0x20) {
            n += (size_t)snprintf(out + n, 7, "\\u%04x", c);
        } else {
            out[n++] = (char)c;
        }
    }
    return n;
}

static void put_line(struct log *log, enum log_level level, const struct timespec *t,
                     const char *text)
{
    char line[LOG_LINE + 128];
    size_t n = 0;

    switch (log->format) {
    case LOG_FORMAT_JSON:
        n = (size_t)snprintf(line, sizeof line, "{\"time\":\"");
        n += put_time(line + n, sizeof line - n, t);
        n += (size_t)snprintf(line + n, sizeof line - n, "\",\"level\":\"%s\",\"message\":\"",
                              level_names[level]);
        n += put_json(line + n, sizeof line - n - 4, text);
        memcpy(line + n, "\"}\n", 3);
        n += 3;
        break;
    case LOG_FORMAT_JOURNAL:
        n = (size_t)snprintf(line, sizeof line, "<%c>%s\n", level_priority[level], text);
        break;
    case LOG_FORMAT_AUTO:
    case LOG_FORMAT_TEXT:
        n = put_time(line, sizeof line, t);
        n += (size_t)snprintf(line + n, sizeof line - n, " %-7s %s\n", level_names[level], text);
        break;
    }
    if (n >= sizeof line) {
        n = sizeof line;
        line[n - 1] = '\n';
    }
    /* A log that cannot be written must not stop the daemon; there is nobody else to tell. */
    if (write(log->fd, line, n) < 0)
        return;
}

/* False when this second has had its share; says how many were dropped when the next begins. */
static bool may_log(struct log *log, enum log_level level, const struct timespec *t)
{
    char text[96];

    if (t->tv_sec != log->burst_second) {
        if (log->dropped > 0) {
            (void)snprintf(text, sizeof text, "log: too many lines, %u dropped", log->dropped);
            put_line(log, LOG_LEVEL_WARNING, t, text);
        }
        log->burst_second = t->tv_sec;
        log->burst = log->dropped = 0;
    }
    if (level == LOG_LEVEL_DEBUG || log->burst++ < LOG_BURST)
        return true;
    log->dropped++;
    return false;
}

__attribute__((format(printf, 3, 0))) static void log_line(struct log *log, enum log_level level,
                                                           const char *format, va_list ap)
{
    struct timespec t;
    char text[LOG_LINE];

    if (level > log->level)
        return;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    if (!may_log(log, level, &t))
        return;
    (void)vsnprintf(text, sizeof text, format, ap);
    put_line(log, level, &t, text);
}

#define LOG_FUNCTION(name, level)                                                                  \
    void name(struct log *log, const char *format, ...)                                            \
    {                                                                                              \
        va_list ap;                                                                                \
                                                                                                   \
        va_start(ap, format);                                                                      \
        log_line(log, level, format, ap);                                                          \
        va_end(ap);                                                                                \
    }

LOG_FUNCTION(log_error, LOG_LEVEL_ERROR)
LOG_FUNCTION(log_warning, LOG_LEVEL_WARNING)
LOG_FUNCTION(log_info, LOG_LEVEL_INFO)
LOG_FUNCTION(log_debug, LOG_LEVEL_DEBUG)

/* How many lines there are; the last may lack its end. */
static size_t count_lines(const char *p, const char *end)
{
    size_t n = 0;

    for (; p < end; n++) {
        const char *nl = memchr(p, '\n', (size_t)(end - p));

        p = nl != NULL ? nl + 1 : end;
    }
    return n;
}

void log_report(struct log *log, enum log_level level, const char *head, struct slice text)
{
    const char *p, *end;
    struct timespec t;
    char line[LOG_LINE];

    if (level > log->level || text.n == 0)
        return;
    p = text.p;
    end = p + text.n;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    for (unsigned i = 0; p < end && i < LOG_REPORT_LINES; i++) {
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        int n = (int)((nl != NULL ? nl : end) - p);

        (void)snprintf(line, sizeof line, "%s: %.*s", head, n, p);
        put_line(log, level, &t, line);
        p = nl != NULL ? nl + 1 : end;
    }
    if (p < end) {
        (void)snprintf(line, sizeof line, "%s: %zu lines left out", head, count_lines(p, end));
        put_line(log, level, &t, line);
    }
}
