/* healthcheck.h - larder --healthcheck: does the larder with these settings answer? */
#ifndef LARDER_ADMIN_HEALTHCHECK_H
#define LARDER_ADMIN_HEALTHCHECK_H

#include "base/check.h"

struct settings;

/* An exit status: 0 when the first listener answers within seconds; else 1, said on stderr. */
MUST_USE
int healthcheck(const struct settings *s);

#endif
