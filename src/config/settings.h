/* settings.h - what an operator may set: one row a setting, and the structs they fill.
 *
 * A row is X(name, TYPE, default, RELOAD|RESTART, help). From the rows derive the struct fields,
 * the parser, --dump-config, the reference in conf/larder.ini.reference, larder.ini(5) and LARDER
 * SETTINGS; a test compares. TYPE decides the field:
 *     STRING    const char *     never NULL; "" when unset
 *     SECRET    const char *     the same, masked wherever it is shown; has a twin NAME_file
 *     PATH      const char *     the same, of a file that larder must be able to read; relative to
 *                                the file that names it
 *     BOOL      bool             yes | no
 *     COUNT     uint64_t
 *     DURATION  uint64_t         milliseconds; written 500ms 5s 30m 8h 1d, 0 = off
 *     SIZE      uint64_t         bytes; written 512 64kb 64mb 1gb (powers of 1024)
 *     ADDRESS   struct address   host:port, [v6]:port, :port, or unix:/path
 *     CHOICE    int              one of the words of an enum, listed in the default as a|b|c, the
 *                                first being the default
 *     RATE      uint64_t         how often a second; written 10/s, 0 = off
 *     LIST      string_list      words with commas between them; has no default and must be set:
 *                                the row gives an example in its place
 *     PREFIX    const char *     the head of a tenant's names; has no default and must be set: the
 *                                row gives an example in its place
 *     ADDRESSES address_list     addresses with commas between them; none when unset
 * DURATION, SIZE, COUNT and RATE rows give "default min..max" as bounds, checked with file and
 * line. */
#ifndef LARDER_CONFIG_SETTINGS_H
#define LARDER_CONFIG_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/check.h"

/* Where to listen or connect. */
struct address {
    const char *host; /* name or number without brackets; NULL for a Unix socket */
    uint16_t port;
    const char *path; /* of a Unix socket; NULL otherwise */
};

/* v[0] .. v[n - 1]; those of a setting live as long as its settings. */
struct address_list {
    const struct address *v;
    size_t n;
};

/* Words; v[0] .. v[n - 1] are strings. Those of a setting live as long as its settings. */
struct string_list {
    const char *const *v;
    size_t n;
};

/* In the order of the words in the rows. */
enum setting_log_level { SET_LOG_INFO, SET_LOG_DEBUG, SET_LOG_WARNING, SET_LOG_ERROR };
enum setting_log_format { SET_FORMAT_AUTO, SET_FORMAT_TEXT, SET_FORMAT_JSON, SET_FORMAT_JOURNAL };
enum setting_admin { SET_ADMIN_DENY, SET_ADMIN_ALLOW };
enum setting_throttle { SET_THROTTLE_ERROR, SET_THROTTLE_DELAY };
enum setting_scripts { SET_SCRIPTS_DENY, SET_SCRIPTS_ALLOW };
enum setting_stampede { SET_STAMPEDE_NO, SET_STAMPEDE_WAIT, SET_STAMPEDE_STALE };
enum setting_on_outage { SET_OUTAGE_ERROR, SET_OUTAGE_MISS, SET_OUTAGE_STALE, SET_OUTAGE_OPEN };
enum setting_scope { SET_SCOPE_LOCAL, SET_SCOPE_FLEET };
enum setting_sentinel_tls { SET_SENTINEL_TLS_AUTO, SET_SENTINEL_TLS_YES, SET_SENTINEL_TLS_NO };
enum setting_coherence { SET_COHERENCE_AUTO, SET_COHERENCE_BROADCAST, SET_COHERENCE_TTL };

#define LARDER_SETTINGS(X)                                                                         \
    X(log_level, CHOICE, "info|debug|warning|error", RELOAD,                                       \
      "the least severe messages that are logged")                                                 \
    X(log_format, CHOICE, "auto|text|json|journal", RELOAD,                                        \
      "auto: journal prefixes under systemd, else text")                                           \
    X(max_clients, COUNT, "10000 1..1000000", RELOAD,                                              \
      "client connections at once; one more is refused with an error")                             \
    X(client_idle_timeout, DURATION, "0 0..365d", RELOAD,                                          \
      "close clients that say nothing for so long; 0: never. Clients that wait for a blocking "    \
      "command or a message are not idle")                                                         \
    X(client_buffer_max, SIZE, "256mb 64kb..2000mb", RELOAD,                                       \
      "replies kept for a client that does not read them; from a quarter of it on larder stops "   \
      "reading its requests, at the whole it is closed")                                           \
    X(client_stall_timeout, DURATION, "30s 100ms..1d", RELOAD,                                     \
      "close a client that has taken none of its replies for so long while more than a quarter "   \
      "of client_buffer_max waits for it")                                                         \
    X(max_request, SIZE, "1gb 16kb..1024gb", RELOAD,                                               \
      "bytes of one request, all arguments together")                                              \
    X(max_bulk, SIZE, "512mb 1kb..1024gb", RELOAD,                                                 \
      "bytes of one argument; at least the upstream's proto-max-bulk-len")                         \
    X(max_pending, COUNT, "10000 1..1000000", RELOAD,                                              \
      "requests of one client that wait for their reply; more of them wait in the socket")         \
    X(admin_commands, CHOICE, "deny|allow", RELOAD,                                                \
      "deny: commands that administer the server (CONFIG SET, DEBUG, SHUTDOWN, ...) are refused")  \
    X(shutdown_timeout, DURATION, "10s 0..1h", RELOAD,                                             \
      "after SIGTERM, how long requests in flight may take to finish")                             \
    X(namespace, STRING, "", RESTART,                                                              \
      "put before every key and channel of the clients that no tenant section is for, and taken "  \
      "off again: larder keeps to its part of a Redis that others use as well. They may run "      \
      "scripts. Empty: names are as the client says them")

#define LISTENER_SETTINGS(X)                                                                       \
    X(address, ADDRESS, "127.0.0.1:6380", RESTART,                                                 \
      "where clients connect: host:port or unix:/path. A Unix socket costs half the CPU of TCP")   \
    X(mode, STRING, "0660", RESTART, "permissions of a Unix socket, octal")                        \
    X(backlog, COUNT, "4096 1..65535", RESTART,                                                    \
      "connections the kernel queues until larder accepts them")                                   \
    X(password, SECRET, "", RELOAD,                                                                \
      "clients must log in with it (AUTH); empty: AUTH is put to the upstream")                    \
    X(tls_cert, PATH, "", RELOAD,                                                                  \
      "the certificate that clients are shown, and those between it and its authority, as PEM; "   \
      "with it the listener speaks TLS 1.2 and 1.3 and nothing else")                              \
    X(tls_key, PATH, "", RELOAD, "the private key of tls_cert, as PEM without a password")         \
    X(tls_client_ca, PATH, "", RELOAD,                                                             \
      "authorities, as PEM: every client must show a certificate of one of them")                  \
    X(tenant, STRING, "", RELOAD,                                                                  \
      "whoever connects here is of that tenant, and need not say so; empty: AUTH says")

#define UPSTREAM_SETTINGS(X)                                                                       \
    X(address, ADDRESS, "127.0.0.1:6379", RESTART, "the Redis server: host:port or unix:/path")    \
    X(sentinels, ADDRESSES, "", RESTART,                                                           \
      "in place of address: the Sentinels that are asked where the master is, "                    \
      "as a:26379, b:26379, c:26379")                                                              \
    X(master, STRING, "", RESTART, "what the Sentinels call the master; must be set with them")    \
    X(sentinel_username, STRING, "", RESTART,                                                      \
      "ACL user larder logs in as at the Sentinels; empty: the default user")                      \
    X(sentinel_password, SECRET, "", RESTART, "its password; empty: larder does not log in there") \
    X(sentinel_tls, CHOICE, "auto|yes|no", RESTART,                                                \
      "speak TLS to the Sentinels, with the same files, name and checks as to the upstream; "      \
      "auto: as tls says")                                                                         \
    X(username, STRING, "", RESTART, "ACL user larder logs in as; empty: the default user")        \
    X(password, SECRET, "", RESTART, "its password; empty: larder does not log in")                \
    X(database, COUNT, "0 0..1000000", RESTART,                                                    \
      "the database a client is in before it says SELECT")                                         \
    X(tls, BOOL, "no", RESTART, "speak TLS 1.2 or 1.3 to the upstream")                            \
    X(tls_ca, PATH, "", RELOAD,                                                                    \
      "the authorities that the upstream's certificate may be of, as PEM; empty: those of the "    \
      "system")                                                                                    \
    X(tls_cert, PATH, "", RELOAD,                                                                  \
      "the certificate that larder shows the upstream, where that asks for one, as PEM")           \
    X(tls_key, PATH, "", RELOAD, "the private key of tls_cert, as PEM without a password")         \
    X(tls_server_name, STRING, "", RELOAD,                                                         \
      "the name, or IP address, that the upstream's certificate must be for; empty: the host "     \
      "that larder connects to")                                                                   \
    X(tls_verify, BOOL, "yes", RELOAD,                                                             \
      "no: any certificate will do, so whoever is in between reads and writes along")              \
    X(pool_size, COUNT, "10 2..10000", RELOAD, "connections for shared use and for transactions")  \
    X(max_lent, COUNT, "1000 0..100000", RELOAD,                                                   \
      "connections lent to clients that block, subscribe, monitor or keep state of their own")     \
    X(max_links, COUNT, "2000 2..200000", RELOAD, "connections to the upstream in all")            \
    X(queue_timeout, DURATION, "5s 1ms..1h", RELOAD,                                               \
      "how long a client waits for a connection to be lent")                                       \
    X(connect_timeout, DURATION, "2s 1ms..1h", RELOAD,                                             \
      "how long connecting and logging in may take")                                               \
    X(command_timeout, DURATION, "10s 1ms..1d", RELOAD,                                            \
      "how long a command may wait for its reply, and for an upstream that is away; not for "      \
      "blocking commands")                                                                         \
    X(link_idle_timeout, DURATION, "1m 100ms..1d", RELOAD,                                         \
      "close lent connections that nobody has used for so long")                                   \
    X(keepalive, DURATION, "60s 1s..9h", RELOAD,                                                   \
      "TCP asks a silent connection to the upstream after so long whether it is still there")      \
    X(keepalive_interval, DURATION, "20s 1s..9h", RELOAD,                                          \
      "and, while there is no answer, again each time this has passed")                            \
    X(keepalive_count, COUNT, "3 1..100", RELOAD,                                                  \
      "questions without an answer that end the connection. What was sent and not acknowledged "   \
      "for keepalive + keepalive_count * keepalive_interval ends it, too")                         \
    X(max_lifetime, DURATION, "0 0..365d", RELOAD,                                                 \
      "close a connection that is so old, or up to a fifth less, as soon as nothing is due on "    \
      "it, and after another has taken its place; 0: never")                                       \
    X(backoff_min, DURATION, "50ms 1ms..1h", RELOAD, "first pause before connecting again")        \
    X(backoff_max, DURATION, "3s 1ms..1h", RELOAD, "longest pause before connecting again")        \
    X(journal_ttl, DURATION, "10m 1s..7d", RELOAD,                                                 \
      "drop_writes: how long larder remembers that a key is to be deleted when the upstream is "   \
      "back; a key forgotten is outdated there")                                                   \
    X(journal_max, COUNT, "10000 1..1000000", RELOAD, "drop_writes: so many such keys at most")    \
    X(breaker_failures, COUNT, "5 0..1000000", RELOAD,                                             \
      "after so many failures in a row (connections that do not come up or break, commands "       \
      "without a reply, -LOADING) the upstream is taken for away: commands are answered at once, " \
      "until it answers a PING. 0: never")                                                         \
    X(breaker_open, DURATION, "5s 10ms..1h", RELOAD,                                               \
      "the longest pause between two of these PINGs; the first comes after an eighth of it")

#define CACHE_SETTINGS(X)                                                                          \
    X(max_memory, SIZE, "64mb 1mb..1024gb", RELOAD,                                                \
      "memory for kept replies, all that it takes to keep them counted; what is used least makes " \
      "room for more")                                                                             \
    X(coherence, CHOICE, "auto|broadcast|ttl", RELOAD,                                             \
      "how larder learns that others changed a key. broadcast: the upstream tells "                \
      "(CLIENT TRACKING BCAST), and without that nothing is kept; ttl: it is not asked to, and "   \
      "what is kept may be local_ttl old; auto: broadcast where the upstream can, else ttl")       \
    X(coherence_timeout, DURATION, "3s 100ms..1h", RELOAD,                                         \
      "kept replies are served only while the connection that brings the changes has answered "    \
      "within this time")                                                                          \
    X(self_check, RATE, "0/s 0..10000/s", RELOAD,                                                  \
      "so many hits are asked of the upstream as well, and compared: see self_check_agreed and "   \
      "self_check_disagreed in LARDER STATS. What is found stale is logged and dropped")

#define POLICY_SETTINGS(X)                                                                         \
    X(prefix, LIST, "session:, user:*:cart:", RELOAD,                                              \
      "the keys it is for, by how they begin; the longest prefix wins. * between two colons, or "  \
      "before the first, is one part of the key that is not empty; a * at the end says nothing "   \
      "but that more may follow, so that * alone is every key")                                    \
    X(local, BOOL, "no", RELOAD, "keep replies to reads of these keys, and answer from them")      \
    X(local_ttl, DURATION, "10m 1ms..30d", RELOAD,                                                 \
      "a reply is kept no longer than this, and no longer than its key lives")                     \
    X(negative_ttl, DURATION, "5s 0..30d", RELOAD,                                                 \
      "how long it is kept that a key is absent; 0: not at all")                                   \
    X(max_value, SIZE, "0 0..512mb", RELOAD,                                                       \
      "the largest value: a write with a larger one is refused, and a larger reply is not kept. "  \
      "0: no write is refused, replies of up to 1mb are kept")                                     \
    X(field_ttl, BOOL, "yes", RELOAD,                                                              \
      "fields of hashes may expire one by one, so where the upstream can do that (Redis 7.4), "    \
      "reads of whole hashes are not kept")                                                        \
    X(ttl, DURATION, "0 0..3650d", RELOAD,                                                         \
      "the expiry of keys whose write gives none; 0: sliding, absolute or max_ttl, the first of "  \
      "them that is set, else none")                                                               \
    X(ttl_jitter, DURATION, "0 0..3650d", RELOAD,                                                  \
      "a key is given up to so much less than ttl, at random, lest many expire at once")           \
    X(max_ttl, DURATION, "0 0..3650d", RELOAD,                                                     \
      "a longer expiry that a client gives is cut down to this; 0: none is")                       \
    X(sliding, DURATION, "0 0..3650d", RELOAD,                                                     \
      "a read that finds the key, or a write, makes it live at least so long from then on; "       \
      "the upstream hears of it at most once in a quarter of that time. 0: reads renew nothing")   \
    X(absolute, DURATION, "0 0..3650d", RELOAD,                                                    \
      "no key lives longer than this after the write that made it, whatever renews it; 0: no "     \
      "limit")                                                                                     \
    X(require_ttl, BOOL, "no", RELOAD, "refuse writes that give no expiry of their own")           \
    X(immutable, BOOL, "no", RELOAD,                                                               \
      "a value never changes while its key exists, so SET .. NX and SETNX of a key known to "      \
      "exist are answered without the upstream; needs local = yes")                                \
    X(deny, BOOL, "no", RELOAD, "refuse every command that names such a key")                      \
    X(stampede, CHOICE, "no|wait|stale", RELOAD,                                                   \
      "of the clients that find a key absent one is told so, to load it. wait: the others wait "   \
      "until it has; stale: they get the value that has expired; needs local = yes")               \
    X(stale_ttl, DURATION, "1m 1ms..30d", RELOAD,                                                  \
      "stampede = stale, on_outage = stale: how long after its expiry a value may still be given") \
    X(refresh_ahead, BOOL, "no", RELOAD,                                                           \
      "shortly before a key expires one client is told that it is absent, to load it anew; needs " \
      "local = yes")                                                                               \
    X(lease_ttl, DURATION, "10s 10ms..1h", RELOAD,                                                 \
      "how long that one may take before the key is taken to be absent")                           \
    X(lease_wait, DURATION, "500ms 1ms..10m", RELOAD,                                              \
      "how long one waits at most; less than its client's own timeout")                            \
    X(scope, CHOICE, "local|fleet", RELOAD,                                                        \
      "fleet: one client loads a key of all larders before the upstream, by a key there, "         \
      "larder:lease:KEY; needs stampede = wait")                                                   \
    X(fence, BOOL, "no", RELOAD,                                                                   \
      "LARDER GETLEASE and SETLEASE: what was loaded is stored only if nobody has written or "     \
      "deleted the key since it was found absent; a token is good for lease_ttl")                  \
    X(on_outage, CHOICE, "error|miss|stale|open", RELOAD,                                          \
      "what is answered while the upstream is away. miss: reads, as if the key were absent; "      \
      "stale: reads, what is kept, if need be stale_ttl after its expiry, else as miss (needs "    \
      "local = yes); open: as miss, and 1 to INCR and its like and to EXPIRE, for rate limiters")  \
    X(drop_writes, BOOL, "no", RELOAD,                                                             \
      "while the upstream is away, answer SET, SETEX, PSETEX, MSET, HSET, HMSET, DEL, UNLINK and " \
      "EXPIRE as if they had been executed; their keys are deleted when it is back")

#define TENANT_SETTINGS(X)                                                                         \
    X(prefix, PREFIX, "acme:", RELOAD,                                                             \
      "put before every key and channel that the tenant names, and taken off again. It must not "  \
      "begin with another tenant's, nor with larder:")                                             \
    X(password, SECRET, "", RELOAD,                                                                \
      "the tenant's clients log in with it, as AUTH NAME password; neither this nor "              \
      "password_sha256: only a listener's tenant setting leads in")                                \
    X(password_sha256, SECRET, "", RELOAD, "in place of password: its SHA-256, as 64 hex digits")  \
    X(upstream_username, STRING, "", RELOAD,                                                       \
      "ACL user that the tenant's commands run as, over connections of its own; empty: larder's")  \
    X(upstream_password, SECRET, "", RELOAD, "its password")                                       \
    X(max_clients, COUNT, "0 0..1000000", RELOAD,                                                  \
      "the tenant's client connections at once; 0: no limit but the one of all")                   \
    X(max_ops, RATE, "0/s 0..100000000/s", RELOAD,                                                 \
      "how many commands of the tenant are served; 0: no limit")                                   \
    X(throttle, CHOICE, "error|delay", RELOAD,                                                     \
      "what becomes of commands past max_ops. error: they are refused (-THROTTLED); delay: they "  \
      "wait")                                                                                      \
    X(max_pending, COUNT, "0 0..100000000", RELOAD,                                                \
      "requests of all the tenant's clients that wait for their reply; 0: no limit but the one "   \
      "of each client")                                                                            \
    X(max_cache_memory, SIZE, "0 0..1024gb", RELOAD,                                               \
      "how much of the near cache is for the tenant; 0: as much as it can get")                    \
    X(scripts, CHOICE, "deny|allow", RELOAD,                                                       \
      "allow: the tenant may run scripts and functions. They reach whatever the upstream lets "    \
      "larder reach: give the tenant an upstream_username that may use ~prefix:* only")

#define FIELD_TYPE_PREFIX                                 const char *
#define FIELD_TYPE_STRING                                 const char *
#define FIELD_TYPE_SECRET                                 const char *
#define FIELD_TYPE_PATH                                   const char *
#define FIELD_TYPE_BOOL                                   bool
#define FIELD_TYPE_COUNT                                  uint64_t
#define FIELD_TYPE_DURATION                               uint64_t
#define FIELD_TYPE_SIZE                                   uint64_t
#define FIELD_TYPE_ADDRESS                                struct address
#define FIELD_TYPE_CHOICE                                 int
#define FIELD_TYPE_RATE                                   uint64_t
#define FIELD_TYPE_LIST                                   struct string_list
#define FIELD_TYPE_ADDRESSES                              struct address_list
#define SETTING_FIELD(name, type, fallback, reload, help) FIELD_TYPE_##type name;

struct larder_settings {
    LARDER_SETTINGS(SETTING_FIELD)
};
struct listener_settings {
    const char *name;
    LISTENER_SETTINGS(SETTING_FIELD)
};
struct upstream_settings {
    UPSTREAM_SETTINGS(SETTING_FIELD)
};
struct cache_settings {
    CACHE_SETTINGS(SETTING_FIELD)
};
struct policy_settings {
    const char *name;
    POLICY_SETTINGS(SETTING_FIELD)
};
struct tenant_settings {
    const char *name;
    TENANT_SETTINGS(SETTING_FIELD)
};

static inline bool sentinels_want_tls(const struct upstream_settings *set)
{
    return set->sentinels.n > 0 &&
           (set->sentinel_tls == SET_SENTINEL_TLS_AUTO ? set->tls
                                                       : set->sentinel_tls == SET_SENTINEL_TLS_YES);
}

/* One whole configuration; read only once it is loaded. */
struct settings {
    struct larder_settings larder;
    struct upstream_settings upstream;
    struct cache_settings cache;
    struct listener_settings
        *listeners; /* at least one: "main", with defaults, if the file has none */
    size_t listener_count;
    struct policy_settings *policies; /* in the order of the file; often none */
    size_t policy_count;
    struct tenant_settings *tenants; /* in the order of the file; often none */
    size_t tenant_count;
};

/* Reads the file and, in the order of their names (bytewise), conf.d/?*.ini beside it. path NULL:
 * all defaults. Every mistake is appended to *errors as a line "file:line: what" (only "file: what"
 * where it is of the whole file), all of them, not the first; behind a thousand they are counted.
 * NULL when there was any; nothing is kept then. The caller owns the result: settings_free(). */
MUST_USE
struct settings *settings_load(const char *path, struct buffer *errors);
void settings_free(struct settings *s);

/* The effective configuration as an ini file that loads to the same, secrets as `********`. */
void settings_dump(const struct settings *s, struct buffer *out);

/* The commented reference with every setting at its default (a LIST: at its example):
 * conf/larder.ini.reference is this. */
void settings_reference(struct buffer *out);

/* The body of larder.ini(5)'s section SETTINGS, in mdoc(7). */
void settings_mdoc(struct buffer *out);

/* Calls `row` for each setting of s: section as in the file ("listener main"), value as
 * settings_dump() shows it, secrets masked. For LARDER SETTINGS. */
struct setting_view {
    const char *section, *name, *value, *help;
    bool reloadable;
};
void settings_each(const struct settings *s, void *context,
                   void (*row)(void *context, const struct setting_view *view));

/* What a reload from `from` to `to` would change but cannot before a restart: one line
 * "section name" each, appended. Empty: all of it can be taken over. Listener sections are matched
 * by name; one added, removed or moved is not reloadable. Policies and tenants may come, go and
 * change. */
void settings_diff_restart(const struct settings *from, const struct settings *to,
                           struct buffer *out);

#endif
