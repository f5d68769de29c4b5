/* limits.h - every bound that is not a setting: a name with its unit, a number, and why. */
#ifndef LARDER_BASE_LIMITS_H
#define LARDER_BASE_LIMITS_H

#include <stdint.h>

/* One recv of a socket takes at most this: enough for a deep pipeline or several large replies in
 * one system call, small enough to stay in the second-level cache. */
#define READ_BYTES (256u * 1024u)

/* What one client may have in a turn before others have theirs, and all of those together that had
 * more to say, before the sockets are looked at again. A unit is about what a hit costs, 100 ns: so
 * who asks for one thing waits 0.05 ms, however much is asked by others. Less would cost more
 * system calls: pipelines up to some 100 shall be answered in one piece. */
#define TURN_UNITS   256u
#define QUEUED_UNITS 256u

/* Those who have that much to say have together no more than so many requests unanswered: Redis
 * answers as many in a few milliseconds, so that it does not run dry meanwhile. A request of more
 * than HEAVY_BYTES counts for several. */
#define HEAVY_PENDING 4096u
#define HEAVY_BYTES   64u

/* .. at least so many, where others have asked Redis within LIGHT_MS: see client/heavy.h. Who has
 * asked for much is none of those others for LIGHT_AGAIN_MS. HEAVY_STUCK_MS: nobody of them has
 * been answered; or two round trips, where they take longer. */
#define BESIDE_PENDING 64u
#define LIGHT_MS       100u
#define LIGHT_AGAIN_MS 1000u
#define HEAVY_STUCK_MS 20u

/* One recv while clients wait for their turns: what is read only lies about. */
#define QUEUED_READ_BYTES (32u * 1024u)

/* A request larger than this is not collected but streamed upstream on a lent link. */
#define LARGE_REQUEST_BYTES (1024u * 1024u)

/* .. unless policies must see all of it: which keys it names, how large a value is. Up to this. */
#define LARGE_COLLECT_BYTES (64u * 1024u * 1024u)

/* A reply larger than this is not collected but passed on as it comes. */
#define LARGE_REPLY_BYTES (64u * 1024u)

/* A reply that larder must see whole (INFO, HELLO, EXEC's head) is collected up to this. */
#define WHOLE_REPLY_BYTES (4u * 1024u * 1024u)

/* A reply larger than this is not kept, unless the policy's max_value says otherwise. */
#define KEPT_VALUE_BYTES (1024u * 1024u)

/* A client that has not got through its TLS handshake by then is closed: some say nothing. */
#define TLS_HANDSHAKE_MS 10000u

/* Redis' PROTO_INLINE_MAX_SIZE: an inline request, or the line of a `*` or `$`. */
#define LINE_BYTES (64u * 1024u)

/* A reply's `+` or `-` line: error texts of scripts and CLIENT INFO lines are long, but no server
 * sends such a one; past it the upstream babbles. */
#define REPLY_LINE_BYTES (64u * 1024u * 1024u)

/* Any other line of a reply, with type and CR LF: a number, and the longest double has 25 bytes. */
#define REPLY_HEADER_BYTES 64u

/* One bulk of a reply (Redis' proto-max-bulk-len is 512 MB unless raised), and the elements of one
 * aggregate and of a whole reply: the last keeps the count of what is to come from overflowing. */
#define REPLY_BULK_BYTES    (UINT64_C(4) * 1024 * 1024 * 1024)
#define REPLY_AGGREGATE_MAX INT32_MAX
#define REPLY_ELEMENTS_MAX  (UINT64_C(1) << 62)

/* What Redis allows a client that has not logged in (CVE-2021-32675). */
#define UNAUTH_ARGS       10u
#define UNAUTH_BULK_BYTES 16384u

/* A link whose unsent requests reach this takes no more until upstream has taken some. */
#define LINK_OUT_BYTES (4u * 1024u * 1024u)

/* .. of its buffers so much memory is kept while it lives. */
#define LINK_OUT_KEEP_BYTES (64u * 1024u)

/* Of what a shared link was asked and has not answered so much is kept, to ask reads once more when
 * it breaks; what is more, being writes of large values or very long pipelines, is not. */
#define LINK_KEPT_BYTES (256u * 1024u)

/* A key that the upstream says has changed. Longer ones, of which no shelf keeps any, are taken for
 * a flush. */
#define INVALIDATION_KEY_BYTES (1024u * 1024u)

/* A client with that many unsent bytes no longer makes upstream hurry for it: the link that
 * streams to it waits, if nobody else waits behind it there. */
#define CLIENT_OUT_PAUSE_BYTES (256u * 1024u)

/* The same towards the upstream: a request streamed on a lent link waits at so many unsent bytes.
 */
#define LINK_STREAM_BYTES (256u * 1024u)

/* Hits under comparison with the upstream (self_check), and what they may take together, their
 * answers included: at the highest rate some 100 ms of them are under way, and what differs waits a
 * second for its push. A reply of more than half of the bytes is never compared. */
#define SELF_CHECK_SAMPLES 1024u
#define SELF_CHECK_BYTES   (8u * 1024u * 1024u)

/* Renewals that the upstream has not heard of yet take so much per key that may be remembered, on
 * average: who reads very long keys makes larder tell more often, not grow. */
#define TOUCH_KEY_BYTES 256u

/* One read of a talk with a Sentinel, and the longest answer of one: INFO and SENTINEL MASTER have
 * some KB. */
#define TALK_READ_BYTES  4096u
#define TALK_REPLY_BYTES (256u * 1024u)

/* Keys that are being loaded (stampede), clients that wait for them, in all and for one key's
 * lease; who comes then does not wait. So many waiters are answered in one turn of the loop. */
#define LEASES_MAX        100000u
#define LEASE_WAITERS     100000u
#define LEASE_KEY_WAITERS 20000u
#define LEASE_SLICE       256u

/* Of so many waits of a policy most were in vain: then nobody waits there for so long. */
#define NO_PARK_WAITS    20u
#define NO_PARK_PAUSE_MS 30000u

/* A wrong password of a tenant's is answered so late: nobody who mistypes one minds, and a
 * connection tries no more than a few in a second. */
#define LOGIN_DELAY_MS 300u

/* Lines of one report in the log (the state on SIGUSR2): the loop serves nobody while it writes
 * them, a microsecond or two each, and journald takes 10,000 of a service in 30 s
 * (journald.conf(5), RateLimitBurst). */
#define LOG_REPORT_LINES 5000u

#endif
