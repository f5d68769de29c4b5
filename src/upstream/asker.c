/* asker.c - why replies do not come, in words; and the asker who does not care. */
#include "upstream/asker.h"

#define FAILURE_WORD(name, word, sentence)     word,
#define FAILURE_SENTENCE(name, word, sentence) sentence,

const char *link_failure_word(enum link_failure why)
{
    static const char *const words[] = {LINK_FAILURES(FAILURE_WORD)};

    CHECK(why < LINK_FAILURE_COUNT);
    return words[why];
}

const char *link_failure_sentence(enum link_failure why)
{
    static const char *const sentences[] = {
        LINK_FAILURES(FAILURE_SENTENCE)}; /* NOLINT(bugprone-suspicious-missing-comma) */

    CHECK(why < LINK_FAILURE_COUNT);
    return sentences[why];
}

static void nobody_replies(struct asker *a, struct slice bytes, uint32_t n)
{
    (void)a;
    (void)bytes;
    (void)n;
}

static bool nobody_piece(struct asker *a, struct slice bytes, bool last)
{
    (void)a;
    (void)bytes;
    (void)last;
    return false;
}

static void nobody_failed(struct asker *a, uint32_t n, enum link_failure why, bool begun)
{
    (void)a;
    (void)n;
    (void)why;
    (void)begun;
}

static const struct asker_ops nobody_ops = {nobody_replies, nobody_piece, nobody_failed, NULL};

struct asker *asker_nobody(void)
{
    static const struct asker nobody = {&nobody_ops};

    /* No field is ever written: the cast only fits it into slots, whose askers are the callers'. */
    return (struct asker *)(uintptr_t)&nobody;
}
