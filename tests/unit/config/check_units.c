/* check_units.c - numbers with units, both ways. */
#include "suites.h"

#include <inttypes.h>

#include "config/units.h"

struct unit_case {
    const char *text;
    uint64_t value;
    const char *shown; /* NULL: as written */
};

START_TEST(counts)
{
    static const char *const wrong[] = {"",     " 1",  "1 ", "-1",  "+1",    "1.5",
                                        "0x10", "1e3", "1k", "one", "1,000", "\xd9\xa1"};
    uint64_t v = 7;

    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        ck_assert_msg(!unit_count(slice_str(wrong[i]), &v) && v == 7, "%s", wrong[i]);
    ck_assert(unit_count(SLICE("0"), &v) && v == 0);
    ck_assert(unit_count(SLICE("007"), &v) && v == 7);
    ck_assert(unit_count(SLICE("18446744073709551615"), &v) && v == UINT64_MAX);
    ck_assert(unit_count(SLICE("18446744073709551616"), &v) && v == UINT64_MAX);
    ck_assert(unit_count(SLICE("99999999999999999999999"), &v) && v == UINT64_MAX);
}
END_TEST

START_TEST(durations)
{
    static const struct unit_case right[] = {
        {"0", 0, NULL},          {"0s", 0, "0"},
        {"0ms", 0, "0"},         {"1ms", 1, NULL},
        {"500ms", 500, NULL},    {"1000ms", 1000, "1s"},
        {"1500ms", 1500, NULL},  {"5s", 5000, NULL},
        {"60s", 60000, "1m"},    {"90s", 90000, NULL},
        {"30m", 1800000, NULL},  {"8h", 28800000, NULL},
        {"24h", 86400000, "1d"}, {"365d", 31536000000, NULL},
    };
    static const char *const wrong[] = {"",    "5",   "5S",    "5M",   "5sec", "s",  "5 s", "1.5s",
                                        "-5s", "5s ", "1h30m", "5ms5", "5w",   "5y", "0x5s"};
    uint64_t v = 7;

    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        ck_assert_msg(!unit_duration(slice_str(wrong[i]), &v) && v == 7, "%s", wrong[i]);
    for (size_t i = 0; i < ARRAY_LEN(right); i++) {
        struct buffer out = {0};

        ck_assert_msg(unit_duration(slice_str(right[i].text), &v), "%s", right[i].text);
        ck_assert_uint_eq(v, right[i].value);
        unit_show_duration(&out, v);
        ck_assert_str_eq(text_of(&out), right[i].shown ? right[i].shown : right[i].text);
        buffer_done(&out);
    }
    ck_assert(unit_duration(SLICE("213503982335d"), &v) && v == UINT64_MAX);
}
END_TEST

START_TEST(sizes)
{
    static const struct unit_case right[] = {
        {"0", 0, NULL},
        {"0kb", 0, "0"},
        {"512", 512, NULL},
        {"1kb", 1024, NULL},
        {"1KB", 1024, "1kb"},
        {"1024", 1024, "1kb"},
        {"64Mb", 64u << 20, "64mb"},
        {"1gb", 1u << 30, NULL},
        {"1025", 1025, NULL},
        {"4000mb", 4000ull << 20, NULL},
        {"1024gb", 1ull << 40, NULL},
    };
    static const char *const wrong[] = {"",     "kb",   "1k",    "1m",   "1g",   "1tb", "1b",
                                        "1 kb", "1kb ", "1.5mb", "-1kb", "1kib", "1kbb"};
    uint64_t v = 7;

    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        ck_assert_msg(!unit_size(slice_str(wrong[i]), &v) && v == 7, "%s", wrong[i]);
    for (size_t i = 0; i < ARRAY_LEN(right); i++) {
        struct buffer out = {0};

        ck_assert_msg(unit_size(slice_str(right[i].text), &v), "%s", right[i].text);
        ck_assert_uint_eq(v, right[i].value);
        unit_show_size(&out, v);
        ck_assert_str_eq(text_of(&out), right[i].shown ? right[i].shown : right[i].text);
        buffer_done(&out);
    }
    ck_assert(unit_size(SLICE("17179869184gb"), &v) && v == UINT64_MAX);
}
END_TEST

START_TEST(rates)
{
    static const char *const wrong[] = {"",     "5",   "/s",   "5/S", "5 /s",
                                        "5/s ", "5/m", "-5/s", "5/ss"};
    uint64_t v = 7;

    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        ck_assert_msg(!unit_rate(slice_str(wrong[i]), &v) && v == 7, "%s", wrong[i]);
    ck_assert(unit_rate(SLICE("0"), &v) && v == 0);
    ck_assert(unit_rate(SLICE("12/s"), &v) && v == 12);
    ck_assert(unit_rate(SLICE("99999999999999999999/s"), &v) && v == UINT64_MAX);
}
END_TEST

START_TEST(modes)
{
    static const char *const wrong[] = {"",     "8",  "0660 ", "00660", "1777",
                                        "7777", "rw", "-660",  "0o66"};
    unsigned v = 7;

    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        ck_assert_msg(!unit_mode(slice_str(wrong[i]), &v) && v == 7, "%s", wrong[i]);
    ck_assert(unit_mode(SLICE("0660"), &v) && v == 0660);
    ck_assert(unit_mode(SLICE("777"), &v) && v == 0777);
    ck_assert(unit_mode(SLICE("0"), &v) && v == 0);
}
END_TEST

Suite *units_suite(void)
{
    Suite *suite = suite_create("units");
    TCase *tcase = tcase_create("units");

    tcase_add_test(tcase, counts);
    tcase_add_test(tcase, durations);
    tcase_add_test(tcase, sizes);
    tcase_add_test(tcase, rates);
    tcase_add_test(tcase, modes);
    suite_add_tcase(suite, tcase);
    return suite;
}
