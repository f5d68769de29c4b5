/* clients.h - everybody who is connected: accept, serve, drain, say who is there.
 *
 * serve.c tells the story of one request; read it first. */
#ifndef LARDER_CLIENT_CLIENTS_H
#define LARDER_CLIENT_CLIENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/counters.h"
#include "client/console.h"
#include "config/settings.h"
#include "net/listener.h"

struct cache;
struct client;
struct clients;
struct health;
struct invalidation;
struct loop;
struct policies;
struct pool;
struct self_check;
struct tenants;

/* Why a connection to a client ended. */
#define CLOSE_REASONS(X)                                                                           \
    X(CLOSE_GONE, gone, "the client closed it")                                                    \
    X(CLOSE_BROKEN, broken, "the network broke it")                                                \
    X(CLOSE_TLS, tls, "it did not get through the TLS handshake")                                  \
    X(CLOSE_QUIT, quit, "the client said QUIT")                                                    \
    X(CLOSE_KILLED, killed, "CLIENT KILL")                                                         \
    X(CLOSE_PROTOCOL, protocol, "what the client sent is not RESP, or over a limit")               \
    X(CLOSE_HTTP, http, "the client spoke HTTP: perhaps an attack by way of a browser")            \
    X(CLOSE_IDLE, idle, "silent for client_idle_timeout")                                          \
    X(CLOSE_OUTPUT, output, "more than client_buffer_max of replies not read")                     \
    X(CLOSE_STALLED, stalled, "took none of its replies for client_stall_timeout")                 \
    X(CLOSE_UPSTREAM, upstream,                                                                    \
      "the upstream connection that held its state, or half of its reply, ended")                  \
    X(CLOSE_TENANT, tenant, "its tenant is gone, or has another prefix, after a reload")           \
    X(CLOSE_SHUTDOWN, shutdown, "larder is shutting down")

#define CLOSE_NAME(name, word, help) name,
enum close_reason { CLOSE_REASONS(CLOSE_NAME) CLOSE_REASON_COUNT };

#define CLIENT_COUNTERS(X)                                                                         \
    X(clients, LEVEL, "client connections")                                                        \
    X(clients_waiting, LEVEL,                                                                      \
      "clients whose next command waits for something other than its reply")                       \
    X(clients_blocked, LEVEL, "clients in a blocking command")                                     \
    X(clients_listening, LEVEL, "clients subscribed or monitoring")                                \
    X(accepted, TOTAL, "client connections accepted")                                              \
    X(refused_max_clients, TOTAL, "client connections refused at max_clients")                     \
    X(accept_exhausted, TOTAL, "times accepting paused for want of descriptors")                   \
    X(commands, TOTAL, "commands received")                                                        \
    X(commands_local, TOTAL, "commands answered by larder itself")                                 \
    X(commands_refused, TOTAL, "commands refused: administration, or not logged in")               \
    X(commands_large, TOTAL, "commands too large to collect, streamed to the upstream")            \
    X(unreached, TOTAL, "commands answered with an error because the upstream was away")           \
    X(refused_away, TOTAL, "of these, at once: the breaker was open")                              \
    X(failed, TOTAL, "commands answered with an error because their reply did not come")           \
    X(retried, TOTAL, "reads asked once more because their connection broke")                      \
    X(auth_failures, TOTAL, "failed logins")                                                       \
    X(protocol_errors, TOTAL, "requests that were not RESP, or over a limit")                      \
    X(paused_output, TOTAL,                                                                        \
      "times a client's requests were not read because it did not read its replies")               \
    X(paused_pending, TOTAL,                                                                       \
      "times a client's requests were not read because enough were unanswered")                    \
    X(stuck_pending, TOTAL,                                                                        \
      "times what clients that ask for much have unanswered did not count any more, for none of "  \
      "it was answered")                                                                           \
    X(bytes_in, TOTAL, "bytes from clients")                                                       \
    X(bytes_out, TOTAL, "bytes to clients")

#define CLOSE_FIELD(name, word, help) uint64_t closed_##word;
struct client_counters {
    CLIENT_COUNTERS(COUNTER_FIELD)
    CLOSE_REASONS(CLOSE_FIELD)
};

/* loop, pool and settings are borrowed. */
MUST_USE
struct clients *clients_new(struct loop *loop, struct pool *pool,
                            const struct larder_settings *settings, const struct console *console);
/* Closes everybody at once. Their replies may still be due: the pool goes next, and then the
 * clients can be freed. */
void clients_close(struct clients *all);
void clients_free(struct clients *all);
void clients_resettle(struct clients *all, const struct larder_settings *settings);

/* Who asks how the upstream is. */
MUST_USE
const struct health *clients_health(const struct clients *all);

/* The settings now in force; those of before must live until then. Tenants that are gone, or have
 * another prefix, lose their connections. */
void clients_use_tenants(struct clients *all, const struct settings *settings);

/* The policies now in force; borrowed. Those of before must live until then. */
void clients_use_policies(struct clients *all, const struct policies *policies);

/* The near cache, from now on; again after a reload, with the policies now in force. Both are
 * borrowed; those of before must live until then. */
void clients_use_cache(struct clients *all, struct cache *cache, const struct policies *policies,
                       const struct invalidation *invalidation);
/* Who compares some of the hits, from now on; borrowed. After clients_use_cache(). */
void clients_use_check(struct clients *all, struct self_check *check);
/* The upstream says that the key has changed; that any may have; that it may be another server by
 * now. */
void clients_key_changed(struct clients *all, struct slice key);
void clients_all_changed(struct clients *all);
void clients_upstream_anew(struct clients *all);
/* .. or that it says nothing any more. */
void clients_pushes_lost(struct clients *all);

/* Takes over fd: a new client of that listener. */
void clients_accept(struct clients *all, struct listener *l, int fd, bool is_unix);
void clients_exhausted(struct clients *all);

/* The beat that serves who has become ready, sends what is queued, and buries. */
bool clients_beat(void *all);

/* From now on no further commands are begun; done() is called when all that is in flight has been
 * answered and sent, and every connection is closed. */
void clients_drain(struct clients *all, void (*done)(void *context), void *context);

MUST_USE
struct counter_set clients_counters(const struct clients *all);
MUST_USE
size_t clients_count(const struct clients *all);

/* What tenants have done, all together (without those that are gone); room "tenant". */
MUST_USE
struct counter_set clients_tenant_counters(const struct clients *all);
/* A line each, appended. */
void clients_describe_tenants(const struct clients *all, struct buffer *out);
/* Nothing that is kept of the tenant's keys, or under way, is served from now on. False: there is
 * none of that name. */
MUST_USE
bool clients_flush_tenant(struct clients *all, struct slice name);

/* CLIENT LIST's lines of all clients, appended. */
void clients_describe(struct clients *all, struct buffer *out);

#endif
