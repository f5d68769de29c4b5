/* check_log.c - what comes out of the other end of a pipe: a line per event in each of the forms,
 * cut where it is too long, dropped and counted where there are too many. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/limits.h"
#include "base/log.h"
#include "suites.h"

struct tap {
    struct log log;
    int ends[2];
    char text[65536];
    size_t n; /* of text, read so far */
};

static struct tap tap; /* a test has a process of its own */

static void tap_open(enum log_level level, enum log_format format)
{
    ck_assert_int_eq(pipe(tap.ends), 0);
    log_open(&tap.log, tap.ends[1], level, format);
}

/* Closes the writing end and reads what was written. */
static const char *tap_read(void)
{
    ssize_t got;

    (void)close(tap.ends[1]);
    while ((got = read(tap.ends[0], tap.text + tap.n, sizeof tap.text - 1 - tap.n)) > 0)
        tap.n += (size_t)got;
    (void)close(tap.ends[0]);
    ck_assert_uint_lt(tap.n, sizeof tap.text - 1);
    tap.text[tap.n] = 0;
    return tap.text;
}

/* "2026-01-31T23:59:59.123Z" */
#define STAMP_LEN 24u

static bool is_stamp(const char *p)
{
    static const char form[] = "dddd-dd-ddTdd:dd:dd.dddZ";

    for (size_t i = 0; i < STAMP_LEN; i++) {
        if (form[i] == 'd' ? p[i] < '0' || p[i] > '9' : p[i] != form[i])
            return false;
    }
    return true;
}

START_TEST(text_has_time_and_level)
{
    static const char *const words[] = {" error   ", " warning ", " info    ", " debug   "};
    const char *p;

    tap_open(LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT);
    log_error(&tap.log, "an %s name=%d", "event", 1);
    log_warning(&tap.log, "an %s name=%d", "event", 2);
    log_info(&tap.log, "an %s name=%d", "event", 3);
    log_debug(&tap.log, "an %s name=%d", "event", 4);
    p = tap_read();
    for (int i = 0; i < 4; i++) {
        char line[64];

        ck_assert(is_stamp(p));
        (void)snprintf(line, sizeof line, "%san event name=%d\n", words[i], i + 1);
        ck_assert_int_eq(strncmp(p + STAMP_LEN, line, strlen(line)), 0);
        p += STAMP_LEN + strlen(line);
    }
    ck_assert_str_eq(p, "");
}
END_TEST

START_TEST(journal_has_priorities)
{
    tap_open(LOG_LEVEL_DEBUG, LOG_FORMAT_JOURNAL);
    log_error(&tap.log, "e");
    log_warning(&tap.log, "w");
    log_info(&tap.log, "i");
    log_debug(&tap.log, "d");
    ck_assert_str_eq(tap_read(), "<3>e\n<4>w\n<6>i\n<7>d\n");
}
END_TEST

START_TEST(json_is_escaped)
{
    static const char head[] = "{\"time\":\"";
    const char *p;

    tap_open(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    log_warning(&tap.log, "%s", "a \"b\" \\ \n\t\x01\x1f / \xc3\xa9");
    log_error(&tap.log, "%s", "");
    p = tap_read();
    ck_assert_int_eq(strncmp(p, head, sizeof head - 1), 0);
    p += sizeof head - 1;
    ck_assert(is_stamp(p));
    p += STAMP_LEN;
    ck_assert_int_eq(strncmp(p, "\",\"level\":\"warning\",\"message\":\"", 31), 0);
    p += 31;
    ck_assert_int_eq(
        strncmp(p, "a \\\"b\\\" \\\\ \\u000a\\u0009\\u0001\\u001f / \xc3\xa9\"}\n", 43), 0);
    p = strchr(p, '\n') + 1;
    ck_assert(is_stamp(p + sizeof head - 1));
    ck_assert_str_eq(p + sizeof head - 1 + STAMP_LEN, "\",\"level\":\"error\",\"message\":\"\"}\n");
}
END_TEST

/* At whatever byte the room ends, an escape is whole or not there. */
START_TEST(json_is_cut_between_escapes)
{
    char message[2100];
    const char *p;
    size_t n;

    memset(message, 1, sizeof message - 1);
    message[sizeof message - 1] = 0;
    memset(message, 'x', (size_t)_i);
    tap_open(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    log_info(&tap.log, "%s", message);
    p = tap_read();
    n = strcspn(p, "\n");
    ck_assert_uint_ge(n, 2000);
    ck_assert_uint_lt(n, 2048 + 128);
    ck_assert_int_eq(strncmp(p + n - 8, "\\u0001\"}", 8), 0);
    ck_assert_uint_eq(tap.n, n + 1);
}
END_TEST

START_TEST(less_severe_ones_are_left_out)
{
    static const char *const kept[] = {"<3>e\n", "<3>e\n<4>w\n", "<3>e\n<4>w\n<6>i\n",
                                       "<3>e\n<4>w\n<6>i\n<7>d\n"};

    tap_open((enum log_level)_i, LOG_FORMAT_JOURNAL);
    log_error(&tap.log, "e");
    log_warning(&tap.log, "w");
    log_info(&tap.log, "i");
    log_debug(&tap.log, "d");
    ck_assert_str_eq(tap_read(), kept[_i]);
}
END_TEST

/* However long the message, the line is whole: it ends, once, and in JSON its string is closed. The
 * second character of each pair, which JSON makes longest, must not be cut in its middle. */
START_TEST(long_lines_are_cut_whole)
{
    static const char fill[] = "x\x01\"\\";
    char message[5000];
    size_t n;
    const char *p;

    memset(message, fill[_i % 4], sizeof message - 1);
    message[sizeof message - 1] = 0;
    tap_open(LOG_LEVEL_INFO, (enum log_format)(LOG_FORMAT_TEXT + _i / 4));
    log_info(&tap.log, "%s", message);
    log_info(&tap.log, "next");
    p = tap_read();
    n = strcspn(p, "\n");
    ck_assert_uint_ge(n, 1800);
    ck_assert_uint_le(n, 2048 + 128);
    ck_assert_ptr_nonnull(strstr(p + n, "next"));
    ck_assert_ptr_eq(strchr(p + n + 1, '\n'), p + tap.n - 1);
    if (tap.log.format == LOG_FORMAT_JSON) {
        const char *q = strstr(p, "\"message\":\"") + 11;

        while (q < p + n && *q != '"') { /* the string's end, stepping over escapes */
            size_t step = *q != '\\' ? 1 : q[1] == 'u' ? 6 : 2;

            ck_assert(step == 1 || step == 6 || q[1] == '"' || q[1] == '\\');
            ck_assert(step != 6 || strncmp(q, "\\u0001", 6) == 0);
            q += step;
        }
        ck_assert_int_eq(strncmp(q, "\"}\n", 3), 0);
        ck_assert_ptr_eq(q + 2, p + n);
    }
}
END_TEST

static size_t lines(const char *p, const char *prefix)
{
    size_t n = 0;

    while (*p != 0) {
        n += strncmp(p, prefix, strlen(prefix)) == 0;
        p = strchr(p, '\n') + 1;
    }
    return n;
}

/* In one second 200 lines; what was dropped is said in the next. The clock is the wall's, so the
 * seconds are moved by setting back the one that the burst is counted for. */
START_TEST(a_flood_is_cut_and_counted)
{
    const char *p;

    tap_open(LOG_LEVEL_DEBUG, LOG_FORMAT_JOURNAL);
    do { /* until all of them have been in one second */
        log_open(&tap.log, tap.ends[1], LOG_LEVEL_DEBUG, LOG_FORMAT_JOURNAL);
        for (int i = 0; i < 250; i++)
            log_info(&tap.log, "flood");
        tap.n = (size_t)read(tap.ends[0], tap.text, sizeof tap.text);
    } while (tap.log.dropped != 50);
    ck_assert_uint_eq(tap.n, 200 * strlen("<6>flood\n"));
    /* Debugging is not bounded: who asks for it wants all of it. */
    log_debug(&tap.log, "debug");
    tap.log.burst_second--;
    log_info(&tap.log, "after");
    log_info(&tap.log, "again");
    tap.n = 0;
    p = tap_read();
    ck_assert_str_eq(p, "<7>debug\n<4>log: too many lines, 50 dropped\n<6>after\n<6>again\n");
    ck_assert_uint_eq(tap.log.dropped, 0);
    ck_assert_uint_eq(lines(p, "<6>"), 2);
}
END_TEST

START_TEST(left_out_lines_do_not_count_as_a_flood)
{
    tap_open(LOG_LEVEL_WARNING, LOG_FORMAT_JOURNAL);
    for (int i = 0; i < 1000; i++)
        log_info(&tap.log, "quiet");
    log_warning(&tap.log, "loud");
    ck_assert_str_eq(tap_read(), "<4>loud\n");
}
END_TEST

/* A report is what somebody asked for: it is no part of a flood, and written whole behind one. */
START_TEST(a_report_is_no_flood)
{
    static const char first[] = "<6>before\n<6>state: 0\n<6>state: 1\n";
    struct buffer text = {0};
    int64_t second;

    tap_open(LOG_LEVEL_INFO, LOG_FORMAT_JOURNAL);
    for (int i = 0; i < 1000; i++)
        buffer_printf(&text, "%d\n", i);
    do { /* until all of the flood has been in one second */
        log_open(&tap.log, tap.ends[1], LOG_LEVEL_INFO, LOG_FORMAT_JOURNAL);
        log_info(&tap.log, "before");
        second = tap.log.burst_second;
        log_report(&tap.log, LOG_LEVEL_INFO, "state", buffer_slice(&text));
        for (int i = 0; i < 250; i++)
            log_info(&tap.log, "flood");
        log_report(&tap.log, LOG_LEVEL_INFO, "state", buffer_slice(&text));
        tap.n = (size_t)read(tap.ends[0], tap.text, sizeof tap.text - 1);
    } while (tap.log.burst_second != second);
    tap.text[tap.n] = 0;
    ck_assert_int_eq(strncmp(tap.text, first, strlen(first)), 0);
    ck_assert_uint_eq(lines(tap.text, "<6>state: "), 2000);
    ck_assert_uint_eq(lines(tap.text, "<6>flood\n"), 199);
    ck_assert_uint_eq(tap.log.dropped, 51);
    buffer_done(&text);
}
END_TEST

/* As many lines as one report may have, and one and two more; the last line may lack its end. */
START_TEST(a_report_has_its_bound)
{
    static const char *const tails[] = {
        "<6>r: x\n",
        "<6>r: x\n<6>r: 1 lines left out\n",
        "<6>r: x\n<6>r: 2 lines left out\n",
    };
    size_t n = LOG_REPORT_LINES + (size_t)_i / 2, tail = strlen(tails[_i / 2]);
    struct buffer text = {0};

    tap_open(LOG_LEVEL_INFO, LOG_FORMAT_JOURNAL);
    for (size_t i = 0; i < n; i++)
        buffer_add(&text, "x\n", i + 1 < n || _i % 2 == 0 ? 2 : 1);
    log_report(&tap.log, LOG_LEVEL_INFO, "r", buffer_slice(&text));
    buffer_done(&text);
    ck_assert_uint_eq(lines(tap_read(), "<6>r: x\n"), LOG_REPORT_LINES);
    ck_assert_str_eq(tap.text + tap.n - tail, tails[_i / 2]);
}
END_TEST

START_TEST(a_report_is_made_of_lines)
{
    char large[3000];

    tap_open(LOG_LEVEL_WARNING, LOG_FORMAT_JOURNAL);
    log_report(&tap.log, LOG_LEVEL_INFO, "quiet", SLICE("a\nb\n"));
    log_report(&tap.log, LOG_LEVEL_ERROR, "none", slice_of(NULL, 0));
    log_report(&tap.log, LOG_LEVEL_ERROR, "loud", SLICE("a\n\nb"));
    memset(large, 'x', sizeof large);
    large[2999] = '\n';
    log_report(&tap.log, LOG_LEVEL_WARNING, "large", slice_of(large, sizeof large));
    log_warning(&tap.log, "next");
    ck_assert_int_eq(strncmp(tap_read(), "<3>loud: a\n<3>loud: \n<3>loud: b\n<4>large: xxx", 45),
                     0);
    ck_assert_uint_eq(lines(tap.text, "<"), 5);
    ck_assert_str_eq(tap.text + tap.n - 8, "<4>next\n");
}
END_TEST

START_TEST(auto_knows_the_journal)
{
    struct stat st;
    char stream[64];

    tap_open(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    ck_assert_int_eq(fstat(tap.ends[1], &st), 0);
    (void)snprintf(stream, sizeof stream, "%lu:%lu", (unsigned long)st.st_dev,
                   (unsigned long)st.st_ino);

    (void)unsetenv("JOURNAL_STREAM");
    log_open(&tap.log, tap.ends[1], LOG_LEVEL_INFO, LOG_FORMAT_AUTO);
    ck_assert_int_eq(tap.log.format, LOG_FORMAT_TEXT);

    (void)setenv("JOURNAL_STREAM", stream, 1);
    log_open(&tap.log, tap.ends[1], LOG_LEVEL_INFO, LOG_FORMAT_AUTO);
    ck_assert_int_eq(tap.log.format, LOG_FORMAT_JOURNAL);
    log_open(&tap.log, tap.ends[1], LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    ck_assert_int_eq(tap.log.format, LOG_FORMAT_TEXT);
    log_open(&tap.log, tap.ends[1], LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    ck_assert_int_eq(tap.log.format, LOG_FORMAT_JSON);

    /* It was the journal's, but stderr has been sent elsewhere since. */
    (void)snprintf(stream, sizeof stream, "%lu:%lu", (unsigned long)st.st_dev,
                   (unsigned long)st.st_ino + 1);
    (void)setenv("JOURNAL_STREAM", stream, 1);
    log_open(&tap.log, tap.ends[1], LOG_LEVEL_INFO, LOG_FORMAT_AUTO);
    ck_assert_int_eq(tap.log.format, LOG_FORMAT_TEXT);
    log_open(&tap.log, -1, LOG_LEVEL_INFO, LOG_FORMAT_AUTO);
    ck_assert_int_eq(tap.log.format, LOG_FORMAT_TEXT);
    ck_assert_str_eq(tap_read(), "");
}
END_TEST

START_TEST(a_log_that_cannot_be_written_is_no_disaster)
{
    struct log log;

    log_open(&log, -1, LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT);
    log_error(&log, "nobody hears this");
}
END_TEST

Suite *log_suite(void)
{
    Suite *suite = suite_create("log");
    TCase *t = tcase_create("log");

    tcase_set_timeout(t, 30);
    tcase_add_test(t, text_has_time_and_level);
    tcase_add_test(t, journal_has_priorities);
    tcase_add_test(t, json_is_escaped);
    tcase_add_loop_test(t, json_is_cut_between_escapes, 0, 7);
    tcase_add_loop_test(t, less_severe_ones_are_left_out, 0, 4);
    tcase_add_loop_test(t, long_lines_are_cut_whole, 0, 12);
    tcase_add_test(t, a_flood_is_cut_and_counted);
    tcase_add_test(t, left_out_lines_do_not_count_as_a_flood);
    tcase_add_test(t, a_report_is_no_flood);
    tcase_add_loop_test(t, a_report_has_its_bound, 0, 6);
    tcase_add_test(t, a_report_is_made_of_lines);
    tcase_add_test(t, auto_knows_the_journal);
    tcase_add_test(t, a_log_that_cannot_be_written_is_no_disaster);
    suite_add_tcase(suite, t);
    return suite;
}
