/* print_reference.c - prints what the settings' table makes of itself, for the drift test and for
 * the files made from it: `print_reference reference` is conf/larder.ini.reference, and
 * `print_reference mdoc` the body of larder.ini(5)'s section SETTINGS. */
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "config/settings.h"

int main(int argc, char **argv)
{
    struct buffer out = {0};
    bool ok;

    if (argc == 2 && strcmp(argv[1], "reference") == 0) {
        settings_reference(&out);
    } else if (argc == 2 && strcmp(argv[1], "mdoc") == 0) {
        settings_mdoc(&out);
    } else {
        fprintf(stderr, "usage: print_reference reference|mdoc\n");
        return 2;
    }
    ok = fwrite(buffer_head(&out), 1, buffer_len(&out), stdout) == buffer_len(&out);
    buffer_done(&out);
    return ok && fflush(stdout) == 0 ? 0 : 1;
}
