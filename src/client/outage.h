/* outage.h - what clients are answered while the upstream is away: on_outage and drop_writes of the
 * policies. The story is in outage.c. */
#ifndef LARDER_CLIENT_OUTAGE_H
#define LARDER_CLIENT_OUTAGE_H

#include "base/counters.h"
#include "client/client.h"

struct journal;
struct policies;

/* Counted for each policy. */
#define OUTAGE_POLICY_COUNTERS(X)                                                                  \
    X(stale, TOTAL,                                                                                \
      "keys of reads answered with what was kept, for the upstream was away (on_outage = stale)")  \
    X(missed, TOTAL, "keys of reads answered as if they were absent, for the upstream was away")   \
    X(opened, TOTAL, "commands answered 1 for the upstream was away (on_outage = open)")           \
    X(dropped, TOTAL, "keys of writes that were answered, and dropped (drop_writes)")              \
    X(journalled, TOTAL, "of these, noted to be deleted when the upstream is back")                \
    X(replayed, TOTAL, "of these, deleted then")                                                   \
    X(given_up, TOTAL,                                                                             \
      "of those dropped, neither: there was no room in the journal, it took longer than "          \
      "journal_ttl, or the upstream refused; all that is kept of their policy was dropped")

struct outage_policy_counters {
    OUTAGE_POLICY_COUNTERS(COUNTER_FIELD)
};

#define OUTAGE_COUNTERS(X)                                                                         \
    X(begun, TOTAL, "times the upstream was found to be away by a command a policy has a say in")  \
    X(on, LEVEL, "1: it is away")                                                                  \
    X(journal, LEVEL, "keys that are to be deleted when it is back")

struct outage_counters {
    OUTAGE_POLICY_COUNTERS(COUNTER_FIELD)
    OUTAGE_COUNTERS(COUNTER_FIELD)
};

struct outage;

/* The policies now in force, borrowed; those of before must live until then. */
void clients_use_outage(struct clients *all, const struct policies *policies);
void outage_close(struct outage *o); /* the pool goes next */
void outage_free(struct outage *o);

/* ---- before it is asked ---- */

/* Must the request not go straight to the shared link, for policies have a say in what becomes of
 * it in an outage? Asked of each that would. */
MUST_USE
bool outage_concerns(struct outage *o, const struct command *cmd, const struct args *args);
/* An ordinary command of a plain session. True: the upstream is away, and it is answered. */
MUST_USE
bool outage_serve(struct client *c, const struct request *q);
/* The same of one too large to collect: its first arguments are known, and how many there are. */
MUST_USE
bool outage_serve_large(struct client *c, const struct request *q);
/* The request that is being served is c's and has found no link within its time. True: it is
 * answered by its policy. */
MUST_USE
bool outage_unreached(struct client *c);
/* Asks q on the shared link, remembering what would be answered in its stead. False: nothing
 * would. (outage_ask.c) */
MUST_USE
bool outage_ask(struct client *c, struct link *l, const struct request *q);

/* ---- sessions that begin meanwhile (outage_session.c) ---- */

/* Each: true: the upstream is away, and it is answered; what they change is that of the session.
 * HELLO on the lane that the session is to join; its answer is appended. */
MUST_USE
bool outage_hello(const struct client *c, const struct lane *lane, struct buffer *out);
/* AUTH, or HELLO with it (proto: 2, 3). Nothing of the session is due. */
MUST_USE
bool outage_login(struct client *c, struct slice user, struct slice password, int32_t proto);
MUST_USE
bool outage_select(struct client *c, int64_t db);
MUST_USE
bool outage_info(struct client *c);

/* ---- when the answer does not come, or is that the upstream cannot serve (outage_ask.c) ---- */

/* -LOADING, -MASTERDOWN. */
MUST_USE
bool outage_is_reply(struct slice reply);
/* c's request, whose turn it is: true: it has been answered, and counted as answered. begun: half
 * of its reply is out already. */
MUST_USE
bool outage_instead(struct client *c, struct slice request, bool begun);
/* The same where a link has failed; never when larder ends. */
MUST_USE
static inline bool outage_stands_in(struct client *c, struct slice request, enum link_failure why,
                                    bool begun)
{
    return UNLIKELY(c->all->outage != NULL) && why != LINK_CLOSED &&
           outage_instead(c, request, begun);
}
/* Those who joined a question: whoever has a policy's answer is given it, and waits no more. */
void outage_waiters(struct list *waiters, struct slice request);

/* Both, of a question: *leader is NULL when it has been answered. */
void outage_give(struct client **leader, struct list *waiters, struct slice request);

/* ---- for these files ---- */

enum outage_act {
    OUTAGE_NOTHING, /* no policy says anything of it */
    OUTAGE_READ,
    OUTAGE_OPEN,
    OUTAGE_DROP,
};
MUST_USE
enum outage_act outage_judge(const struct outage *o, const struct request *q);
/* Appends what the read, or count, is answered, and counts that. False: it is not. */
MUST_USE
bool outage_word(struct client *c, const struct request *q, enum outage_act act,
                 struct buffer *out);
/* q is dropped. */
void outage_drop(struct client *c, const struct request *q, struct buffer *out);
void outage_gave_up(struct outage *o, struct slice key);
void outage_replayed(struct outage *o, struct slice key);
/* Some policy answers something in an outage. */
MUST_USE
bool outage_answers(const struct outage *o);
/* Is it away now, or not yet back for everybody? */
MUST_USE
bool outage_is_on(const struct clients *all);
/* For WHY: what the command would be answered; NULL: the upstream's answer. */
MUST_USE
const char *outage_why(const struct clients *all, const struct request *q);

#endif
