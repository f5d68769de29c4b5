/* check_hash.c - SipHash-1-3: against its definition, at every length. */
#include <stdlib.h>

#include "base/hash.h"
#include "suites.h"

static uint64_t turn(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static void siphash_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = turn(v[1], 13) ^ v[0];
    v[0] = turn(v[0], 32);
    v[2] += v[3];
    v[3] = turn(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = turn(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = turn(v[1], 17) ^ v[2];
    v[2] = turn(v[2], 32);
}

/* As the paper has it, byte by byte, with c rounds a word and d at the end. */
static uint64_t siphash(const struct hash_seed *seed, const unsigned char *p, size_t n, int c,
                        int d)
{
    uint64_t v[4] = {seed->k0 ^ 0x736f6d6570736575u, seed->k1 ^ 0x646f72616e646f6du,
                     seed->k0 ^ 0x6c7967656e657261u, seed->k1 ^ 0x7465646279746573u};

    for (size_t word = 0; word <= n / 8; word++) {
        uint64_t m = 0;

        for (size_t i = 0; i < 8 && word * 8 + i < n; i++)
            m |= (uint64_t)p[word * 8 + i] << 8 * i;
        if (word == n / 8)
            m |= (uint64_t)n << 56;
        v[3] ^= m;
        for (int i = 0; i < c; i++)
            siphash_round(v);
        v[0] ^= m;
    }
    v[2] ^= 0xff;
    for (int i = 0; i < d; i++)
        siphash_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static const struct hash_seed paper = {0x0706050403020100u, 0x0f0e0d0c0b0a0908u};

/* The example of the paper is SipHash-2-4: it says that the definition above is right. */
START_TEST(the_definition_gives_the_example)
{
    unsigned char bytes[15];

    for (unsigned char i = 0; i < sizeof(bytes); i++)
        bytes[i] = i;
    ck_assert_uint_eq(siphash(&paper, bytes, sizeof(bytes), 2, 4), 0xa129ca6149be45e5u);
}
END_TEST

START_TEST(every_length_as_defined)
{
    for (size_t n = 0; n < 70; n++) {
        /* Exactly as long, so that a read beyond it is seen. */
        unsigned char *bytes = malloc(n ? n : 1);

        for (size_t i = 0; i < n; i++)
            bytes[i] = (unsigned char)(i * 37 + 200);
        ck_assert_uint_eq(hash_bytes(&paper, bytes, n), siphash(&paper, bytes, n, 1, 3));
        free(bytes);
    }
    ck_assert_uint_eq(hash_bytes(&paper, NULL, 0), siphash(&paper, NULL, 0, 1, 3));
}
END_TEST

START_TEST(two_parts_are_one)
{
    unsigned char all[80];

    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (unsigned char)(i * 91 + 130);
    for (size_t n = 0; n <= 40; n++) {
        for (size_t m = 0; m <= 40; m++) {
            /* Exactly as long, and apart. */
            char *head = malloc(n ? n : 1), *tail = malloc(m ? m : 1);

            memcpy(head, all, n);
            memcpy(tail, all + n, m);
            ck_assert_uint_eq(hash_two(&paper, slice_of(head, n), slice_of(tail, m)),
                              hash_bytes(&paper, all, n + m));
            free(head);
            free(tail);
        }
    }
}
END_TEST

START_TEST(seeds_differ)
{
    struct hash_seed a, b;

    hash_seed_init(&a);
    hash_seed_init(&b);
    ck_assert_uint_ne(a.k0, b.k0);
    ck_assert_uint_ne(a.k1, b.k1);
    ck_assert_uint_ne(hash_bytes(&a, "key", 3), hash_bytes(&b, "key", 3));
}
END_TEST

Suite *hash_suite(void)
{
    Suite *suite = suite_create("hash");
    TCase *tc = tcase_create("hash");

    tcase_add_test(tc, the_definition_gives_the_example);
    tcase_add_test(tc, every_length_as_defined);
    tcase_add_test(tc, two_parts_are_one);
    tcase_add_test(tc, seeds_differ);
    suite_add_tcase(suite, tc);
    return suite;
}
