/* hash.c - SipHash with one round a word and three at the end, see hash.h. */
#include "base/hash.h"

#include <string.h>
#include <sys/random.h>

struct state {
    uint64_t a, b, c, d;
};

void hash_seed_init(struct hash_seed *seed)
{
    CHECK(getrandom(seed, sizeof(*seed), 0) == (ssize_t)sizeof(*seed));
}

static inline uint64_t turn(uint64_t x, unsigned bits)
{
    return x << bits | x >> (64 - bits);
}

static inline struct state mix(struct state s)
{
    s.a += s.b;
    s.b = turn(s.b, 13) ^ s.a;
    s.a = turn(s.a, 32);
    s.c += s.d;
    s.d = turn(s.d, 16) ^ s.c;
    s.a += s.d;
    s.d = turn(s.d, 21) ^ s.a;
    s.c += s.b;
    s.b = turn(s.b, 17) ^ s.c;
    s.c = turn(s.c, 32);
    return s;
}

static inline struct state take(struct state s, uint64_t word)
{
    s.d ^= word;
    s = mix(s);
    s.a ^= word;
    return s;
}

static inline uint64_t load64(const unsigned char *p)
{
    uint64_t x;

    memcpy(&x, p, sizeof(x));
    return x;
}

static inline uint64_t load32(const unsigned char *p)
{
    uint32_t x;

    memcpy(&x, p, sizeof(x));
    return x;
}

/* The last n % 8 bytes as a number, the first lowest; by loads that overlap, not byte by byte. */
static inline uint64_t load_rest(const unsigned char *p, size_t n)
{
    size_t rest = n % 8;

    if (rest == 0)
        return 0;
    if (n > 8)
        return load64(p + n - 8) >> (8 * (8 - rest));
    if (n >= 4)
        return load32(p) | load32(p + n - 4) << (8 * (n - 4));
    return (uint64_t)p[0] | (uint64_t)p[n / 2] << (8 * (n / 2)) |
           (uint64_t)p[n - 1] << (8 * (n - 1));
}

INLINED struct state begin(const struct hash_seed *seed)
{
    return (struct state){
        seed->k0 ^ UINT64_C(0x736f6d6570736575),
        seed->k1 ^ UINT64_C(0x646f72616e646f6d),
        seed->k0 ^ UINT64_C(0x6c7967656e657261),
        seed->k1 ^ UINT64_C(0x7465646279746573),
    };
}

/* n: of all; rest: the last n % 8 of them. */
INLINED uint64_t end(struct state s, uint64_t n, uint64_t rest)
{
    s = take(s, n << 56 | rest);
    s.c ^= 0xff;
    s = mix(mix(mix(s)));
    return s.a ^ s.b ^ s.c ^ s.d;
}

uint64_t hash_bytes(const struct hash_seed *seed, const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    struct state s = begin(seed);

    for (size_t i = 0; i + 8 <= n; i += 8)
        s = take(s, load64(p + i));
    return end(s, n, load_rest(p, n));
}

/* A word is what is left of the one before it, and as much of the next bytes as has room. */
uint64_t hash_two(const struct hash_seed *seed, struct slice head, struct slice tail)
{
    const unsigned char *p = (const unsigned char *)head.p;
    unsigned bits = 8 * (head.n % 8);
    struct state s = begin(seed);
    uint64_t left, word;

    for (size_t i = 0; i + 8 <= head.n; i += 8)
        s = take(s, load64(p + i));
    left = load_rest(p, head.n);
    p = (const unsigned char *)tail.p;
    for (size_t i = 0; i + 8 <= tail.n; i += 8) {
        word = load64(p + i);
        s = take(s, left | word << bits);
        left = word >> (63 - bits) >> 1;
    }
    word = load_rest(p, tail.n);
    left |= word << bits;
    if (head.n % 8 + tail.n % 8 >= 8) {
        s = take(s, left);
        left = word >> (63 - bits) >> 1;
    }
    return end(s, head.n + tail.n, left);
}
