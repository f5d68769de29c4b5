/* logging.h - the log as the settings want it: on stderr. */
#ifndef LARDER_ADMIN_LOGGING_H
#define LARDER_ADMIN_LOGGING_H

#include "base/log.h"
#include "config/settings.h"

void logging_open(struct log *log, const struct settings *s);
/* After a reload. */
void logging_resettle(struct log *log, const struct settings *before, const struct settings *now);

#endif
