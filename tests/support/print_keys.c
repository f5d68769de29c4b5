/* print_keys.c - command_find(), command_sub(), command_keys(), command_touched() and
 * command_expiry() for a script.
 *
 * Reads a request a line, its arguments in hexadecimal with a `-` before each: "-474554 -6b" is GET
 * k, a lone `-` an empty argument. Prints a line for each: the row's name, or ? when the command is
 * unknown, the indexes of its keys, a `/`, and those of the keys it may change (where a function
 * returned what is negative, that), a `/`, and of struct expiry kind, seconds, conditional, nx,
 * get, word, number and value. */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "command/expiry.h"
#include "command/table.h"

#define ARGS 512u

static unsigned nibble(char c)
{
    const char *digits = "0123456789abcdef";
    const char *at = strchr(digits, c);

    CHECK(c != '\0' && at != NULL);
    return (unsigned)(at - digits);
}

/* Turns the hexadecimal words of line into bytes, in place. */
static uint32_t read_args(char *line, struct slice *argv)
{
    char *rest = NULL;
    uint32_t argc = 0;

    for (char *w = strtok_r(line, " \n", &rest); w != NULL; w = strtok_r(NULL, " \n", &rest)) {
        size_t n = strlen(w) / 2;

        CHECK(w[0] == '-' && strlen(w) % 2 == 1 && argc < ARGS);
        for (size_t i = 0; i < n; i++)
            w[i] = (char)(nibble(w[2 * i + 1]) << 4 | nibble(w[2 * i + 2]));
        argv[argc++] = slice_of(w, n);
    }
    return argc;
}

static void print_indexes(int n, const uint32_t *index)
{
    if (n < 0)
        printf(" %d", n);
    for (int i = 0; i < n; i++)
        printf(" %u", index[i]);
}

static void print_expiry(struct expiry e)
{
    printf(" %u %d %d %d %d %u %u %lld", e.kind, e.seconds, e.conditional, e.nx, e.get, e.word,
           e.number, (long long)e.value);
}

static void print_keys(const struct slice *argv, uint32_t argc)
{
    const struct command *c = command_find(argv[0]);
    uint32_t index[ARGS];

    if (c != NULL && (c->flags & CF_CONTAINER) != 0 && argc > 1)
        c = command_sub(c, argv[1]);
    fputs(c != NULL ? c->name : "?", stdout);
    print_indexes(command_keys(c, argv, argc, index, ARGS), index);
    fputs(" /", stdout);
    print_indexes(command_touched(c, argv, argc, index, ARGS), index);
    fputs(" /", stdout);
    print_expiry(command_expiry(c, argv, argc));
    putchar('\n');
}

int main(void)
{
    char *line = NULL;
    size_t room = 0;

    while (getline(&line, &room, stdin) > 0) {
        struct slice argv[ARGS];
        uint32_t argc = read_args(line, argv);

        CHECK(argc > 0);
        print_keys(argv, argc);
        fflush(stdout);
    }
    free(line);
    return 0;
}
