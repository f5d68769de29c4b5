/* mistakes.h - what is wrong with a configuration, collected as lines "file:line: what". */
#ifndef LARDER_CONFIG_MISTAKES_H
#define LARDER_CONFIG_MISTAKES_H

#include "base/buffer.h"
#include "base/check.h"
#include "base/slice.h"

/* A place in a file; line 0 is the file as a whole. file NULL: nowhere, a default. */
struct origin {
    const char *file;
    unsigned line;
};

struct mistakes {
    struct buffer *out; /* borrowed */
    unsigned count;
};

/* Appends one line. From CONFIG_MISTAKES on they are only counted. */
void mistake(struct mistakes *m, struct origin at, const char *format, ...) PRINTF(3, 4);

/* Says how many were only counted, if any. Call it once, at the end. */
void mistakes_finish(struct mistakes *m);

/* Foreign text for a message: in quotes, short, and without what a terminal would act upon. Use it
 * within the call: mistake(m, at, "%s", quoted(s).text). */
struct quoted {
    char text[48];
};
struct quoted quoted(struct slice s);

#endif
