/* check_table.c - words find their rows, and nothing else does.
 *
 * Every word lies in memory of exactly its size, so that AddressSanitizer sees a byte too many. */
#include "command/table.h"

#include <check.h>
#include <ctype.h>
#include <signal.h>
#include <stdlib.h>

#include "suites.h"

/* The rows with what a client says for them, found without the code under test. */
struct spoken {
    const struct command *row, *container;
    const char *word;
    size_t n;
};

static void spell_out(struct spoken *all)
{
    const struct command *container = NULL;

    for (uint32_t id = 1; id < COMMAND_ROWS; id++) {
        const struct command *c = command_row((enum command_id)id);
        const char *bar = strchr(c->name, '|');

        if (bar == NULL)
            container = c;
        else /* subcommands follow their container */
            ck_assert(strncmp(container->name, c->name, (size_t)(bar - c->name)) == 0);
        all[id].row = c;
        all[id].container = bar == NULL ? NULL : container;
        all[id].word = bar == NULL ? c->name : bar + 1;
        all[id].n = strlen(all[id].word);
    }
}

static const struct command *look_up(const struct command *container, const char *p, size_t n)
{
    char *exact = malloc(n + (n == 0));
    const struct command *found;

    ck_assert_ptr_nonnull(exact);
    memcpy(exact, p, n);
    found = container == NULL ? command_find(slice_of(exact, n))
                              : command_sub(container, slice_of(exact, n));
    free(exact);
    return found;
}

/* What look_up() must find, by comparing with every row. */
static const struct command *plainly(const struct spoken *all, const struct command *container,
                                     const char *p, size_t n)
{
    for (uint32_t id = 1; id < COMMAND_ROWS; id++) {
        if (all[id].container == container && all[id].n == n &&
            slice_is(slice_of(p, n), all[id].word))
            return all[id].row;
    }
    return NULL;
}

START_TEST(rows_are_numbered)
{
    for (uint32_t id = 1; id < COMMAND_ROWS; id++) {
        const struct command *c = command_row((enum command_id)id);

        ck_assert_uint_eq(c->id, id);
        for (const char *p = c->name; *p != '\0'; p++)
            ck_assert(!isupper((unsigned char)*p));
    }
    ck_assert_str_eq(command_row(CMD_GET)->name, "get");
    ck_assert_str_eq(command_row(CMD_CLIENT_NO_EVICT)->name, "client|no-evict");
    ck_assert_str_eq(command_row(CMD_LARDER)->name, "larder");
}
END_TEST

START_TEST(there_is_no_row_zero)
{
    (void)!command_row(CMD_UNKNOWN);
}
END_TEST

START_TEST(there_is_no_row_behind)
{
    (void)!command_row(COMMAND_ROWS);
}
END_TEST

START_TEST(only_containers_have_subcommands)
{
    (void)!command_sub(command_row(CMD_GET), SLICE("list"));
}
END_TEST

START_TEST(every_row_is_found_in_any_case)
{
    struct spoken all[COMMAND_ROWS];

    spell_out(all);
    for (const struct spoken *s = all + 1; s < all + COMMAND_ROWS; s++) {
        char word[64];

        ck_assert_uint_lt(s->n, sizeof(word));
        for (unsigned upper = 0; upper < 16; upper++) {
            /* none, all, and some of four letters in turn */
            for (size_t i = 0; i < s->n; i++) {
                int letter = (unsigned char)s->word[i];

                word[i] = (char)(upper >> i % 4 & 1 ? toupper(letter) : letter);
            }
            ck_assert_ptr_eq(look_up(s->container, word, s->n), s->row);
        }
    }
}
END_TEST

START_TEST(a_byte_changed_is_another_word)
{
    struct spoken all[COMMAND_ROWS];

    spell_out(all);
    for (const struct spoken *s = all + 1; s < all + COMMAND_ROWS; s++) {
        char word[64];

        memcpy(word, s->word, s->n);
        for (size_t i = 0; i < s->n; i++) {
            for (int byte = 0; byte < 256; byte++) {
                const struct command *found;

                word[i] = (char)byte;
                found = look_up(s->container, word, s->n);
                if (found != NULL) /* LPUSH and RPUSH are a byte apart */
                    ck_assert_ptr_eq(found, plainly(all, s->container, word, s->n));
                if ((found == s->row) != (tolower(byte) == s->word[i]))
                    ck_abort_msg("%s, byte %zu: %d", s->word, i, byte);
            }
            word[i] = s->word[i];
        }
    }
}
END_TEST

START_TEST(a_byte_more_or_less_is_another_word)
{
    struct spoken all[COMMAND_ROWS];

    spell_out(all);
    for (const struct spoken *s = all + 1; s < all + COMMAND_ROWS; s++) {
        const struct command *in = s->container;
        size_t n = s->n;
        char word[64];

        for (size_t i = 0; i < n; i++) {
            memcpy(word, s->word, i);
            memcpy(word + i, s->word + i + 1, n - i - 1);
            ck_assert_ptr_eq(look_up(in, word, n - 1), plainly(all, in, word, n - 1));
        }
        for (size_t i = 0; i <= n; i++) {
            memcpy(word, s->word, i);
            memcpy(word + i + 1, s->word + i, n - i);
            for (const char *byte = "aegnorsxz019-_| \n"; *byte != '\0'; byte++) {
                word[i] = *byte;
                ck_assert_ptr_eq(look_up(in, word, n + 1), plainly(all, in, word, n + 1));
            }
            /* Redis takes "get\0" for GET when the hashes fall together; larder never does. */
            word[i] = '\0';
            ck_assert_ptr_null(look_up(in, word, n + 1));
        }
    }
}
END_TEST

START_TEST(subcommands_are_known_behind_their_container_only)
{
    const struct command *client = command_find(SLICE("CLIENT"));
    const struct command *config = command_find(SLICE("Config"));
    struct slice list[] = {SLICE("client"), SLICE("list")}, nope[] = {SLICE("CLIENT"), SLICE("x")};
    struct slice get[] = {SLICE("GET"), SLICE("list")};

    ck_assert_ptr_null(command_find(SLICE("client|list")));
    ck_assert_ptr_null(command_find(SLICE("getname")));
    ck_assert_ptr_eq(command_sub(client, SLICE("LIST")), command_row(CMD_CLIENT_LIST));
    ck_assert_ptr_eq(command_sub(client, SLICE("setInfo")), command_row(CMD_CLIENT_SETINFO));
    ck_assert_ptr_null(command_sub(client, SLICE("client|list")));
    ck_assert_ptr_null(command_sub(client, SLICE("client")));
    ck_assert_ptr_null(command_sub(client, SLICE("get")));
    ck_assert_ptr_eq(command_sub(config, SLICE("GET")), command_row(CMD_CONFIG_GET));
    ck_assert_ptr_null(command_sub(config, SLICE("list")));
    ck_assert_ptr_eq(command_of(list, 1), client);
    ck_assert_ptr_eq(command_of(list, 2), command_row(CMD_CLIENT_LIST));
    ck_assert_ptr_eq(command_of(nope, 2), client);
    ck_assert_ptr_eq(command_of(get, 2), command_row(CMD_GET));
    ck_assert_ptr_null(command_of(nope + 1, 1));
    ck_assert_ptr_null(command_sub(client, slice_of(NULL, 0)));
}
END_TEST

START_TEST(empty_and_long_words_are_unknown)
{
    char word[300];

    memset(word, 'g', sizeof(word));
    ck_assert_ptr_null(command_find(slice_of(NULL, 0)));
    ck_assert_ptr_null(command_find(slice_of("", 0)));
    for (size_t n = 1; n <= sizeof(word); n++)
        ck_assert_ptr_null(look_up(NULL, word, n));
    /* head and tail of a long word, and another middle */
    ck_assert_ptr_nonnull(command_find(SLICE("GEORADIUSBYMEMBER_RO")));
    ck_assert_ptr_null(command_find(SLICE("GEORADIUSBYNEMBER_RO")));
    ck_assert_ptr_null(command_find(SLICE("GEORADIUTBYMEMBER_RO")));
}
END_TEST

START_TEST(any_bytes_do_no_harm)
{
    const struct command *client = command_row(CMD_CLIENT);
    const char *letters = "getsmhxaln|-_";
    uint64_t state = 20;

    for (unsigned round = 0; round < 50000; round++) {
        char word[64];
        size_t n;

        state = state * UINT64_C(6364136223846793005) + 1;
        n = (size_t)(state >> 33) % (round % 4 == 0 ? 64 : 5);
        for (size_t i = 0; i < n; i++) {
            state = state * UINT64_C(6364136223846793005) + 1;
            word[i] = (char)(round % 2 == 0 ? letters[(state >> 33) % 13] : (char)(state >> 33));
        }
        const struct command *top = look_up(NULL, word, n);
        const struct command *sub = look_up(client, word, n);

        ck_assert(top == NULL || slice_is(slice_of(word, n), top->name));
        ck_assert(sub == NULL || slice_is(slice_of(word, n), strchr(sub->name, '|') + 1));
    }
}
END_TEST

Suite *table_suite(void)
{
    Suite *suite = suite_create("command/table");
    TCase *tc = tcase_create("words");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, rows_are_numbered);
    tcase_add_test_raise_signal(tc, there_is_no_row_zero, SIGABRT);
    tcase_add_test_raise_signal(tc, there_is_no_row_behind, SIGABRT);
    tcase_add_test_raise_signal(tc, only_containers_have_subcommands, SIGABRT);
    tcase_add_test(tc, every_row_is_found_in_any_case);
    tcase_add_test(tc, a_byte_changed_is_another_word);
    tcase_add_test(tc, a_byte_more_or_less_is_another_word);
    tcase_add_test(tc, subcommands_are_known_behind_their_container_only);
    tcase_add_test(tc, empty_and_long_words_are_unknown);
    tcase_add_test(tc, any_bytes_do_no_harm);
    suite_add_tcase(suite, tc);
    return suite;
}
