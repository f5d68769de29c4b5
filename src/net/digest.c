/* digest.c - see digest.h. Digests of both are compared, so that the length of the secret shows no
 * more than its bytes do. */
#include "net/digest.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

bool digest_equal(struct slice secret, struct slice guess)
{
    unsigned char a[SHA256_DIGEST_LENGTH], b[SHA256_DIGEST_LENGTH];

    (void)SHA256((const unsigned char *)secret.p, secret.n, a);
    (void)SHA256((const unsigned char *)guess.p, guess.n, b);
    return CRYPTO_memcmp(a, b, sizeof a) == 0;
}

static int nibble(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool digest_is_sha256(struct slice hex, struct slice guess)
{
    unsigned char want[SHA256_DIGEST_LENGTH], is[SHA256_DIGEST_LENGTH];

    if (hex.n != 2 * sizeof want)
        return false;
    for (size_t i = 0; i < sizeof want; i++) {
        int high = nibble(hex.p[2 * i]), low = nibble(hex.p[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        want[i] = (unsigned char)(high << 4 | low);
    }
    (void)SHA256((const unsigned char *)guess.p, guess.n, is);
    return CRYPTO_memcmp(want, is, sizeof want) == 0;
}

const char *digest_library_version(bool running)
{
    return running ? OpenSSL_version(OPENSSL_VERSION) : OPENSSL_VERSION_TEXT;
}
