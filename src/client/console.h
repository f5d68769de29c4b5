/* console.h - the door to what only admin/ knows: LARDER commands and the INFO section.
 *
 * client/ calls these; main.c fills them in with admin's functions. */
#ifndef LARDER_CLIENT_CONSOLE_H
#define LARDER_CLIENT_CONSOLE_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/slice.h"

/* LARDER commands about the session that says them: client/ serves these (near_console.c). */
enum console_word {
    CONSOLE_OTHER,
    CONSOLE_FRESH,
    CONSOLE_HEALTH,
    CONSOLE_GETLEASE,
    CONSOLE_KEY,
    CONSOLE_MISS,
    CONSOLE_MSETEX,
    CONSOLE_SETLEASE,
    CONSOLE_WHY,
};

struct console {
    void *context;
    /* Is LARDER argv[1] .. one of those? CONSOLE_OTHER also when the number of its arguments is
     * wrong: command() says so. */
    enum console_word (*word)(const struct slice *argv, uint32_t argc);
    /* Appends exactly one RESP reply to LARDER argv[1] ..; argv[0] is LARDER itself. */
    void (*command)(void *context, const struct slice *argv, uint32_t argc, int proto,
                    struct buffer *out);
    /* Appends the text of INFO's `# Larder` section: lines with CR LF. */
    void (*info)(void *context, struct buffer *out);
};

#endif
