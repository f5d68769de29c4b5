/* certificates.c - see certificates.h. */
#include "admin/certificates.h"

#include <stdio.h>
#include <sysexits.h>

#include "base/buffer.h"
#include "net/tls.h"

int check_certificates(const struct settings *s)
{
    struct tls *tls = tls_new();
    struct buffer lines = {0}, notes = {0};
    bool fine = tls_settle(tls, s, &lines, &notes);

    fprintf(stderr, "%.*s%.*s", (int)buffer_len(&lines), buffer_head(&lines),
            (int)buffer_len(&notes), buffer_head(&notes));
    buffer_done(&lines);
    buffer_done(&notes);
    tls_free(tls);
    return fine ? 0 : EX_CONFIG;
}
