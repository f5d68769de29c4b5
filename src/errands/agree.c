/* agree.c - see agree.h. */
#include "errands/agree.h"

#include "command/table.h"
#include "resp/reply.h"

enum reply_order reply_order_of(uint16_t command)
{
    static const uint16_t free_order[] = {CMD_HKEYS,  CMD_HVALS,  CMD_SMEMBERS,
                                          CMD_SINTER, CMD_SUNION, CMD_SDIFF};

    for (size_t i = 0; i < ARRAY_LEN(free_order); i++) {
        if (free_order[i] == command)
            return ORDER_FREE;
    }
    return command == CMD_HGETALL ? ORDER_PAIRS : ORDER_FIXED;
}

/* The sum over the bag that follows the head of an aggregate, `values` to an element. False: it is
 * not made so. */
static bool sum_bag(const struct hash_seed *seed, struct slice bag, unsigned values,
                    uint64_t *ret_sum)
{
    uint64_t sum = 0;

    while (bag.n > 0) {
        struct slice element = bag;

        for (unsigned i = 0; i < values; i++) {
            if (!reply_skip(&bag))
                return false;
        }
        element.n -= bag.n;
        sum += hash_bytes(seed, element.p, element.n);
    }
    *ret_sum = sum;
    return true;
}

bool replies_agree(enum reply_order order, const struct hash_seed *seed, struct slice a,
                   struct slice b)
{
    unsigned values = order == ORDER_PAIRS ? 2 : 1;
    uint64_t sum_a, sum_b;
    struct reply x, y;

    if (a.n != b.n)
        return false;
    if (slice_eq(a, b))
        return true;
    if (order == ORDER_FIXED || !reply_read(&a, &x) || !reply_read(&b, &y) || x.type != y.type ||
        x.number != y.number || (x.type != '*' && x.type != '~' && x.type != '%'))
        return false;
    return sum_bag(seed, a, values, &sum_a) && sum_bag(seed, b, values, &sum_b) && sum_a == sum_b;
}
