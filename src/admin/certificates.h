/* certificates.h - `larder --check-config`, behind the settings: the certificates that they name.
 */
#ifndef LARDER_ADMIN_CERTIFICATES_H
#define LARDER_ADMIN_CERTIFICATES_H

#include "base/check.h"

struct settings;

/* Looks into the files that settings_load() has found to be there. On stderr, a line for each that
 * is not what it should be, and for what an operator should know besides. 0, or EX_CONFIG. */
MUST_USE
int check_certificates(const struct settings *s);

#endif
