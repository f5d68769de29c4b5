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

const char *digest_library_version(bool running)
{
    return running ? OpenSSL_version(OPENSSL_VERSION) : OPENSSL_VERSION_TEXT;
}
