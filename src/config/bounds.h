/* bounds.h - how much a configuration may be. Not settings: they guard the reading of settings. */
#ifndef LARDER_CONFIG_BOUNDS_H
#define LARDER_CONFIG_BOUNDS_H

/* A line, a value after ${VAR} expansion, and the file of a secret: room for a PEM bundle in a
 * variable, and no more than that for a variable that is mentioned a thousand times in a line. */
#define CONFIG_LINE_BYTES   (64u * 1024u)
#define CONFIG_VALUE_BYTES  (64u * 1024u)
#define CONFIG_SECRET_BYTES (64u * 1024u)

/* A STRING or LIST. With each $ doubled and its name before it, --dump-config's line of it can be
 * read. */
#define CONFIG_STRING_BYTES (16u * 1024u)

/* One file. A real one has a few KB, with ten thousand tenants a few MB; this keeps `-c /dev/zero`
 * from filling the memory. */
#define CONFIG_FILE_BYTES (4u * 1024u * 1024u)

/* A file of certificates. Those of all the authorities of a system have 220 KB. */
#define CONFIG_PEM_BYTES (4u * 1024u * 1024u)

/* Files of conf.d. */
#define CONFIG_FILES 1000u

/* Listener, policy and tenant sections. */
#define CONFIG_LISTENERS 64u
#define CONFIG_POLICIES  1000u
#define CONFIG_TENANTS   100000u

/* What is put before each name of a tenant: it is in every key, and in memory that is held for a
 * reply's key until the prefix is known to be there. */
#define CONFIG_PREFIX_BYTES 128u

/* Addresses in one setting: of Sentinels three or five are usual. */
#define CONFIG_ADDRESSES 32u

/* Mistakes that are written out; the rest is counted in one last line. A binary given by mistake
 * has one in every line. */
#define CONFIG_MISTAKES 1000u

/* Names of sections and settings, and what NAME has of that in [listener NAME]. inih keeps 49
 * characters of a section's name and drops the rest silently: "listener " and the name must fit. */
#define CONFIG_NAME_CHARS  48u
#define CONFIG_TITLE_CHARS 32u

/* sockaddr_un.sun_path, with its NUL. */
#define UNIX_PATH_BYTES 108u

/* A name in the DNS (RFC 1035, 2.3.4, less the root's dot). */
#define HOST_CHARS 253u

#endif
