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

uint64_t hash_bytes(const struct hash_seed *seed, const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    struct state s = {
        seed->k0 ^ UINT64_C(0x736f6d6570736575),
        seed->k1 ^ UINT64_C(0x646f72616e646f6d),
        seed->k0 ^ UINT64_C(0x6c7967656e657261),
        seed->k1 ^ UINT64_C(0x7465646279746573),
    };

    for (size_t i = 0; i + 8 <= n; i += 8)
        s = take(s, load64(p + i));
    s = take(s, (uint64_t)n << 56 | load_rest(p, n));
    s.c ^= 0xff;
    s = mix(mix(mix(s)));
    return s.a ^ s.b ^ s.c ^ s.d;
}
