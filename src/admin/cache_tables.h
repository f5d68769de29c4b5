/* cache_tables.h - the near cache as the console shows it. */
#ifndef LARDER_ADMIN_CACHE_TABLES_H
#define LARDER_ADMIN_CACHE_TABLES_H

#include "client/clients.h"
#include "config/settings.h"

/* A line for each policy of the settings. */
void put_policies(const struct clients *clients, const struct settings *settings,
                  struct buffer *out);
/* One line: how larder learns that keys changed, and why not better. */
void put_coherence(const struct clients *clients, struct buffer *out);
/* Answers LARDER FLUSH ALL | PREFIX p. */
void flush_cache(struct clients *clients, const struct slice *argv, uint32_t argc,
                 struct buffer *out);

#endif
