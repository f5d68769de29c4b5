/* check_inifile.c - the form of an ini file. Each of inih's own habits that would change a
 * configuration silently has a case here; what is told is written down as text:
 * "7[section]", "8 name=value", "9! mistake". */
#include "suites.h"

#include <string.h>

#include "config/bounds.h"
#include "config/inifile.h"

#define BAD_SECTION                                                                                \
    "1! the name of a section has letters, digits, - and _ only, and spaces between its words\n"   \
    "1[?]\n"

static void told_section(void *context, unsigned line, const char *name)
{
    buffer_printf(context, "%u[%s]\n", line, name ? name : "?");
}

static void told_setting(void *context, unsigned line, const char *name, struct slice value)
{
    buffer_printf(context, "%u %s=%.*s\n", line, name, (int)value.n, value.p);
}

static void told_mistake(void *context, unsigned line, const char *what)
{
    buffer_printf(context, "%u! %s\n", line, what);
}

static void read_bytes(struct slice bytes, struct buffer *told)
{
    const struct inifile_sink sink = {told, told_section, told_setting, told_mistake};

    inifile_read(bytes, &sink);
}

static void tells_bytes(struct slice bytes, const char *expected)
{
    struct buffer told = {0};

    read_bytes(bytes, &told);
    ck_assert_str_eq(text_of(&told), expected);
    buffer_done(&told);
}

static void tells(const char *text, const char *expected)
{
    tells_bytes(slice_str(text), expected);
}

START_TEST(plain)
{
    tells("", "");
    tells("\n\n", "");
    tells("[a]\nb = 1\nc=2\n\n[d e]\nf =", "1[a]\n2 b=1\n3 c=2\n5[d e]\n6 f=\n");
    tells("[a]", "1[a]\n");
    tells("x = 1", "1 x=1\n");
    tells("[ a\t]  \n \t b \t = \t c d \t \n", "1[a]\n2 b=c d\n");
}
END_TEST

START_TEST(comments)
{
    tells("# a = 1\n; b = 2\n  # c = 3\n\t; d\n#\n;\ne = 5", "7 e=5\n");
    tells("#[a]\n;[b]\n[c]\n", "3[c]\n");
}
END_TEST

/* inih ends a value at " ;", which has cut passwords short. */
START_TEST(no_comments_behind_a_value)
{
    tells("p = a ; b\nq = a;b\nr = a # b\ns = ;\nt = #x\n",
          "1 p=a ; b\n2 q=a;b\n3 r=a # b\n4 s=;\n5 t=#x\n");
}
END_TEST

/* inih takes an indented line for one more value of the name above. */
START_TEST(indented_lines_are_lines)
{
    tells("a = 1\n  b = 2\n\tc\n",
          "1 a=1\n2 b=2\n"
          "3! neither a [section] nor name = value: there is no =\n");
    tells("a = 1\n  [b]\n", "1 a=1\n2[b]\n");
}
END_TEST

/* inih splits at ':' as well as at '='. */
START_TEST(only_equals_separates)
{
    tells("a: 1\n", "1! neither a [section] nor name = value: there is no =\n");
    tells("a: b=1\n",
          "1! the name of a setting has letters, digits and _ only, and = follows it\n");
    tells("a = b:c=d\n", "1 a=b:c=d\n");
}
END_TEST

START_TEST(names)
{
    tells("= 1\n", "1! no name before the =\n");
    tells("=\n", "1! no name before the =\n");
    tells("a b = 1\n",
          "1! the name of a setting has letters, digits and _ only, and = follows it\n");
    tells("] = 1\n", "1! the name of a setting has letters, digits and _ only, and = follows it\n");
    tells("A_9 = 1\n", "1 A_9=1\n");
    tells("n123456789n123456789n123456789n123456789n1234567 = 1\n",
          "1 n123456789n123456789n123456789n123456789n1234567=1\n");
    tells("n123456789n123456789n123456789n123456789n12345678 = 1\n",
          "1! the name of a setting is longer than 48 characters\n");
}
END_TEST

/* inih keeps 49 characters of a section, and drops what follows the bracket. */
START_TEST(headers)
{
    tells("[a] b\nc = 1", "1! something follows the ] of a section\n1[?]\n2 c=1\n");
    tells("[a]]\n", "1! something follows the ] of a section\n1[?]\n");
    tells("[a] # b\n", "1! something follows the ] of a section\n1[?]\n");
    tells("[a\n", "1! a [ without its ]\n1[?]\n");
    tells("[]\n", "1! a section without a name\n1[?]\n");
    tells("[ ]\n", "1! a section without a name\n1[?]\n");
    tells("[!]\n", BAD_SECTION);
    tells("[a;b]\n", BAD_SECTION);
    tells("[[a]\n", BAD_SECTION);
    tells("[n123456789n123456789n123456789n123456789n1234567]\n",
          "1[n123456789n123456789n123456789n123456789n1234567]\n");
    tells("[n123456789n123456789n123456789n123456789n12345678]\n",
          "1! the name of a section is longer than 48 characters\n1[?]\n");
}
END_TEST

START_TEST(quotes_are_kept)
{
    tells("a = \"b c\"\nb = 'x' \n", "1 a=\"b c\"\n2 b='x'\n");
}
END_TEST

START_TEST(bom_and_crlf)
{
    tells("\xef\xbb\xbf[a]\r\nb = 1\r\n\r\n; c\r\nd = 2\r", "1[a]\n2 b=1\n5 d=2\n");
    tells("\xef\xbb\xbf", "");
    tells(
        "[a]\n\xef\xbb\xbf"
        "b = 1\n",
        "1[a]\n2! the name of a setting has letters, digits and _ only, and = follows it\n");
    tells("[a]\rb = 1\rc = 2\r", "1! a control character in the line\n1[?]\n");
}
END_TEST

START_TEST(bytes)
{
    tells_bytes(SLICE("a = 1\nb = \0 2\n[c\0]\nd = 4\n"),
                "1 a=1\n2! a NUL byte in the line\n3! a NUL byte in the line\n3[?]\n4 d=4\n");
    tells_bytes(SLICE("\0"), "1! a NUL byte in the line\n");
    tells("a = \x1b[2J\nb = \x7f\n# \x01\nc = \tx\ty\n",
          "1! a control character in the line\n2! a control character in the line\n"
          "3! a control character in the line\n4 c=x\ty\n");
    tells(
        "a = gr\xc3\xbc\xc3\x9f"
        "e\xff\n",
        "1 a=gr\xc3\xbc\xc3\x9f"
        "e\xff\n");
}
END_TEST

/* Debian's inih hands out the first 200 bytes of a line, and the rest as if it were the next. */
START_TEST(long_lines)
{
    static const size_t lengths[] = {190, 195, 196, 197, 198,  199,  200,
                                     201, 202, 398, 400, 1000, 8192, CONFIG_LINE_BYTES - 4};

    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        struct buffer text = {0}, expected = {0};

        buffer_printf(&text, "a = ");
        memset(buffer_room(&text, lengths[i]), 'x', lengths[i]);
        buffer_fill(&text, lengths[i]);
        buffer_printf(&expected, "1 a=%s\n2 b=2\n", text_of(&text) + 4);
        buffer_printf(&text, "\nb = 2");
        tells_bytes(buffer_slice(&text), text_of(&expected));
        buffer_done(&text);
        buffer_done(&expected);
    }
}
END_TEST

START_TEST(too_long_lines)
{
    static const char *const heads[] = {"a = ", "# ", "[a"};

    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        struct buffer text = {0};
        size_t n = CONFIG_LINE_BYTES + 1 - strlen(heads[i]);

        buffer_printf(&text, "z = 1\n%s", heads[i]);
        memset(buffer_room(&text, n), 'x', n);
        buffer_fill(&text, n);
        buffer_printf(&text, "\nb = 2");
        tells_bytes(buffer_slice(&text), i < 2 ? "1 z=1\n2! the line is longer than 64 KB\n3 b=2\n"
                                               : "1 z=1\n2! the line is longer than 64 KB\n2[?]\n"
                                                 "3 b=2\n");
        buffer_done(&text);
    }
}
END_TEST

/* The line numbers must hold whatever the lines are: inih gets two lines for a header. */
START_TEST(line_numbers)
{
    tells("[a]\n[b]\n\n[c]\nx=1\n[\n[d]\ny\nz=2\n",
          "1[a]\n2[b]\n4[c]\n5 x=1\n6! a [ without its ]\n6[?]\n7[d]\n"
          "8! neither a [section] nor name = value: there is no =\n9 z=2\n");
}
END_TEST

Suite *inifile_suite(void)
{
    Suite *suite = suite_create("inifile");
    TCase *tcase = tcase_create("inifile");

    tcase_add_test(tcase, plain);
    tcase_add_test(tcase, comments);
    tcase_add_test(tcase, no_comments_behind_a_value);
    tcase_add_test(tcase, indented_lines_are_lines);
    tcase_add_test(tcase, only_equals_separates);
    tcase_add_test(tcase, names);
    tcase_add_test(tcase, headers);
    tcase_add_test(tcase, quotes_are_kept);
    tcase_add_test(tcase, bom_and_crlf);
    tcase_add_test(tcase, bytes);
    tcase_add_test(tcase, long_lines);
    tcase_add_test(tcase, too_long_lines);
    tcase_add_test(tcase, line_numbers);
    suite_add_tcase(suite, tcase);
    return suite;
}
