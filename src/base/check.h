/* check.h - the few words every file of larder may use.
 *
 * CHECK(x) is always on: it states what only a programmer's error can break, prints where and
 * aborts. Input from outside is handled, never CHECKed. */
#ifndef LARDER_BASE_CHECK_H
#define LARDER_BASE_CHECK_H

#include <stddef.h>

#define MUST_USE     __attribute__((warn_unused_result))
#define PRINTF(f, a) __attribute__((format(printf, f, a)))
#define NORETURN     __attribute__((noreturn))
#define NOINLINE     __attribute__((noinline)) /* what is rare, out of the way of what is not */
#define INLINED      static inline __attribute__((always_inline)) /* measured to be worth it */
#define LIKELY(x)    __builtin_expect(!!(x), 1)
#define UNLIKELY(x)  __builtin_expect(!!(x), 0)
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* The object of type `type` whose member `member` is at `ptr`. */
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

NORETURN void check_failed(const char *what, const char *file, int line);

#define CHECK(x) ((void)(LIKELY(x) || (check_failed(#x, __FILE__, __LINE__), 0)))

/* malloc, calloc, realloc that end the process, saying so, when memory is exhausted: a sidecar
 * that limps on without memory answers wrongly. The caller owns the result; free() it. */
MUST_USE
void *must_alloc(size_t size);
MUST_USE
void *must_calloc(size_t count, size_t size);
MUST_USE
void *must_realloc(void *old, size_t size);
MUST_USE
char *must_strdup(const char *s);

#endif
