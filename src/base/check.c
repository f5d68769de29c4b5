/* check.c - ending the process on what must not happen, see check.h. */
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void check_failed(const char *what, const char *file, int line)
{
    fprintf(stderr, "larder: CHECK failed: %s at %s:%d\n", what, file, line);
    abort();
}

static void *or_die(void *p, size_t size)
{
    if (UNLIKELY(p == NULL)) {
        fprintf(stderr, "larder: out of memory for %zu bytes\n", size);
        abort();
    }
    return p;
}

void *must_alloc(size_t size)
{
    return or_die(malloc(size ? size : 1), size);
}

void *must_calloc(size_t count, size_t size)
{
    return or_die(calloc(count ? count : 1, size ? size : 1), count * size);
}

void *must_realloc(void *old, size_t size)
{
    return or_die(realloc(old, size ? size : 1), size);
}

char *must_strdup(const char *s)
{
    return or_die(strdup(s), strlen(s) + 1);
}
