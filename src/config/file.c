/* file.c - see file.h. Everything is bounded: the path may lead to /dev/zero, to a terminal, or to
 * a directory somebody fills. */
#include "config/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/slice.h"
#include "config/bounds.h"

#define READ_STEP 4096

static bool read_all(int fd, size_t limit, struct buffer *out, struct buffer *why)
{
    size_t total = 0;

    for (;;) {
        ssize_t n = read(fd, buffer_room(out, READ_STEP), READ_STEP);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            buffer_printf(why, "cannot read it: %s", strerror(errno));
            return false;
        }
        if (n == 0)
            return true;
        buffer_fill(out, (size_t)n);
        total += (size_t)n;
        if (total > limit) {
            buffer_printf(why, "it is larger than %zu bytes", limit);
            return false;
        }
    }
}

bool file_read(const char *path, enum file_kind kind, size_t limit, struct buffer *out,
               struct buffer *why)
{
    /* Opening a FIFO that nobody writes to waits without O_NONBLOCK, before fstat can tell. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | (kind == FILE_REGULAR ? O_NONBLOCK : 0));
    struct stat st;
    bool ok = false;

    if (fd < 0) {
        buffer_printf(why, "cannot open it: %s", strerror(errno));
        return false;
    }
    if (fstat(fd, &st) == 0 && kind == FILE_REGULAR && !S_ISREG(st.st_mode))
        buffer_printf(why, "it is not a regular file");
    else
        ok = read_all(fd, limit, out, why);
    (void)close(fd);
    return ok;
}

const char *file_beside(const char *from, const char *name, struct pool *pool)
{
    const char *slash = strrchr(from, '/');
    struct buffer path = {0};
    const char *made;

    if (*name != '/' && slash)
        buffer_add(&path, from, (size_t)(slash - from) + 1);
    buffer_add(&path, name, strlen(name));
    made = pool_string(pool, buffer_slice(&path));
    buffer_done(&path);
    return made;
}

static bool is_ini(const char *name)
{
    size_t n = strlen(name);

    return *name != '.' && n > 4 && strcmp(name + n - 4, ".ini") == 0;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

bool file_list(const char *path, struct pool *pool, const char ***ret_names, size_t *ret_count,
               struct buffer *why)
{
    DIR *dir = opendir(path);
    const char **names;
    const struct dirent *entry;
    size_t count = 0;

    if (dir == NULL && errno != ENOENT) {
        buffer_printf(why, "cannot read it: %s", strerror(errno));
        return false;
    }
    names = pool_alloc(pool, CONFIG_FILES * sizeof(*names));
    while (dir && (entry = readdir(dir))) {
        if (!is_ini(entry->d_name))
            continue;
        if (count == CONFIG_FILES) {
            buffer_printf(why, "more than %u files", CONFIG_FILES);
            (void)closedir(dir);
            return false;
        }
        names[count++] = pool_string(pool, slice_str(entry->d_name));
    }
    if (dir)
        (void)closedir(dir);
    qsort(names, count, sizeof(*names), by_bytes);
    *ret_names = names;
    *ret_count = count;
    return true;
}
