/* table.c - from a word to its row.
 *
 * A perfect hash over the words of all commands and subcommands: the first and last eight bytes
 * are read as two numbers (they overlap in a short word, and never reach outside it), brought to
 * lower case, and mixed with the length and the container's id. `shifts` and `slots`, found by
 * `generate`, lead from there to the one row it can be; comparing the numbers says whether it is.
 * No bytes of a word are looked at one by one, unless it is longer than sixteen. */
#include "command/table.h"

#include "base/check.h"
#include "resp/stripper.h"

/* Head and tail of a row's own word (behind the | of a subcommand), in lower case. */
struct word {
    uint64_t head, tail;
    uint16_t container; /* id, 0 at top level */
    uint8_t n;
};

#include "command/rows.inc"

#define ONES UINT64_C(0x0101010101010101)

const struct command *command_row(enum command_id id)
{
    CHECK(id > CMD_UNKNOWN && id < COMMAND_ROWS);
    return &rows[id];
}

/* Little-endian whatever the machine; compilers make one load of it. */
static inline uint64_t load4(const unsigned char *p)
{
    return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24;
}

static inline uint64_t load8(const unsigned char *p)
{
    return load4(p) | (uint64_t)p[4] << 32 | (uint64_t)p[5] << 40 | (uint64_t)p[6] << 48 |
           (uint64_t)p[7] << 56;
}

/* ASCII letters of eight bytes at once; all other bytes stay. The sums set a byte's top bit when
 * its low seven are at least 'A', or above 'Z'; no sum reaches into the next byte. */
INLINED uint64_t lower8(uint64_t w)
{
    uint64_t low = w & (ONES * 0x7f);
    uint64_t from_a = low + ONES * (0x80 - 'A');
    uint64_t above_z = low + ONES * (0x7f - 'Z');
    uint64_t upper = (from_a ^ above_z) & ~w & (ONES * 0x80);

    return w | upper >> 2;
}

/* Reads as word_of() in `generate` does; 1 <= n. */
INLINED void read_word(struct slice s, uint64_t *ret_head, uint64_t *ret_tail)
{
    const unsigned char *p = (const unsigned char *)s.p;
    uint64_t head, tail;

    if (s.n >= 8) {
        head = load8(p);
        tail = load8(p + s.n - 8);
    } else if (s.n >= 4) {
        head = load4(p);
        tail = load4(p + s.n - 4);
    } else {
        head = (uint64_t)p[0] | (uint64_t)p[s.n / 2] << 8 | (uint64_t)p[s.n - 1] << 16;
        *ret_head = lower8(head);
        *ret_tail = 0;
        return;
    }
    *ret_head = lower8(head);
    *ret_tail = lower8(tail);
}

/* What lies between head and tail of a long word. */
NOINLINE static bool middle_matches(const struct command *c, struct slice word)
{
    const char *own = c->name + strlen(c->name) - word.n;

    return strncasecmp(own + 8, word.p + 8, word.n - 16) == 0;
}

INLINED const struct command *find(struct slice word, uint16_t container)
{
    uint64_t head, tail, h;
    uint16_t id;

    if (word.n == 0 || word.n > WORD_BYTES)
        return NULL;
    read_word(word, &head, &tail);
    h = head + tail * WORD_MIX_TAIL;
    h ^= ((uint64_t)container << 8 | word.n) * WORD_MIX_SIZE;
    h *= WORD_SEED;
    h ^= h >> 32;
    id = slots[((h >> 16) ^ shifts[h % ARRAY_LEN(shifts)]) % ARRAY_LEN(slots)];
    if (words[id].head != head || words[id].tail != tail || words[id].n != word.n ||
        words[id].container != container)
        return NULL;
    if (UNLIKELY(word.n > 16) && !middle_matches(&rows[id], word))
        return NULL;
    return &rows[id];
}

const struct command *command_find(struct slice word)
{
    return find(word, CMD_UNKNOWN);
}

const struct command *command_sub(const struct command *container, struct slice word)
{
    CHECK(container->flags & CF_CONTAINER);
    return find(word, container->id);
}
