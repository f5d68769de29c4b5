/* inifile.h - an ini file line by line: sections, settings, and what is wrong with their form.
 *
 *     [section]            blanks around the name do not count; nothing may follow the ]
 *     name = value         only = separates; the value is the rest of the line, its outer blanks
 * cut # comment, ; comment as the first thing in a line, and nowhere else
 *
 * No quotes, no continuation lines: leading blanks mean nothing. A BOM and CRLF are accepted. */
#ifndef LARDER_CONFIG_INIFILE_H
#define LARDER_CONFIG_INIFILE_H

#include "base/slice.h"

/* Who is told, in the order of the lines; the text is valid during the call. `section` gets NULL
 * for a header that is wrong (a `mistake` was told before it): what follows belongs to no section
 * that anybody could know. */
struct inifile_sink {
    void *context;
    void (*section)(void *context, unsigned line, const char *name);
    void (*setting)(void *context, unsigned line, const char *name, struct slice value);
    void (*mistake)(void *context, unsigned line, const char *what);
};

void inifile_read(struct slice text, const struct inifile_sink *sink);

#endif
