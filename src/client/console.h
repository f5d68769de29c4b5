/* console.h - the door to what only admin/ knows: LARDER commands and the INFO section.
 *
 * client/ calls these; main.c fills them in with admin's functions. */
#ifndef LARDER_CLIENT_CONSOLE_H
#define LARDER_CLIENT_CONSOLE_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/slice.h"

struct console {
    void *context;
    /* Appends exactly one RESP reply to LARDER argv[1] ..; argv[0] is LARDER itself. */
    void (*command)(void *context, const struct slice *argv, uint32_t argc, int proto,
                    struct buffer *out);
    /* Appends the text of INFO's `# Larder` section: lines with CR LF. */
    void (*info)(void *context, struct buffer *out);
};

#endif
