/* hot_end.c - what is wrong, told at once; the comparison when all is quiet; the report. */
#include "hot.h"
#include "quiet.h"

#include <inttypes.h>
#include <stdio.h>

enum { MARKER_MS = 20000 };

const char *const op_name[OPS] = {
    "GET",     "MGET",     "GETRANGE",   "EXISTS",    "PTTL",  "HGET",   "HMGET",
    "HGETALL", "EVAL_GET", "SET",        "SET_PX",    "MSET",  "DEL",    "RENAME",
    "PEXPIRE", "EVAL",     "HSET_FIELD", "HSET",      "MULTI", "BEHIND", "FLUSHDB",
    "SWAPDB",  "INCR",     "INCR_MULTI", "INCR_EVAL", "WATCH"};

static const char *const fault_name[FAULTS] = {"P1",    "P3",    "P4",  "SEEN",  "BYPASS",
                                               "WATCH", "ALIEN", "AGE", "QUIET", "ODD"};

bool hot_fault(struct hot *h, enum fault fault, const struct session *s, const struct ask *a)
{
    static const char *const door[] = {"A", "B", "direct"};

    if (h->fault[fault]++ >= PRINTED_MAX)
        return false;
    printf("  %s: session %d (RESP%d, db %d, through %s): %s", fault_name[fault], s->number,
           s->proto, s->db, door[s->via], op_name[a->op]);
    for (uint32_t i = 0; i < a->keys && i < 4; i++)
        printf(" %s", a->key[i]->name);
    printf(a->strict ? " (must be fresh)\n" : "\n");
    return true;
}

void hot_ask_for_peace(void)
{
    char line[8];

    puts("peace?");
    fflush(stdout);
    if (fgets(line, sizeof line, stdin) == NULL)
        puts("nobody answers");
}

static void write_anew(struct quiet *q, const struct key *k)
{
    const char *word[8] = {k->fields > 1 ? "HSET" : "SET", k->name, "anew", "anew"};

    wire_say(&q->wire[QUIET_WIRES - 1], "DEL", k->name, NULL);
    wire_ask(&q->wire[QUIET_WIRES - 1], &q->reply[0], SILENCE_US / 1000);
    wire_say_words(&q->wire[QUIET_WIRES - 1], k->fields > 1 ? 4 : 3, word);
    wire_ask(&q->wire[QUIET_WIRES - 1], &q->reply[0], SILENCE_US / 1000);
}

/* Keys that have or may have a deadline, or of whose last write Redis does not tell, are written
 * once more; the others must be right as they are. */
void hot_compare(struct hot *h, int db)
{
    struct quiet q;
    bool fine = quiet_open(&q, h->options.port, db);

    for (int i = 0; fine && i < KEYS && db < DBS; i++) {
        struct key *k = &h->key[db * KEYS + i];

        if (k->unclear || key_version(k, k->newest)->unpushed)
            write_anew(&q, k);
    }
    fine = fine && quiet_settle(&q, "marker", MARKER_MS);
    for (int i = 0; fine && i < KEYS && db < DBS; i++)
        h->fault[FAULT_QUIET] += quiet_compare(&q, h->key[db * KEYS + i].name, i >= STRINGS);
    for (int i = 0; fine && i < COUNTERS && db == COUNTER_DB; i++)
        h->fault[FAULT_QUIET] += quiet_compare(&q, h->counter[i].name, false);
    if (!fine) {
        puts("  no quiet: no answer, or a push does not come");
        h->fault[FAULT_QUIET]++;
    }
    quiet_close(&q);
}

/* Also whether there was enough to see. */
bool hot_report(const struct hot *h)
{
    uint64_t faults = 0, missing = 0;

    printf("hot:");
    for (int i = 0; i < OPS; i++) {
        printf(" %s %" PRIu64, op_name[i], h->ops[i]);
        missing += h->ops[i] == 0;
    }
    printf("\nhot: %" PRIu64 " reads judged, %" PRIu64 " writes of unknown outcome (%" PRIu64
           " keys settled), %" PRIu64 " errors, %" PRIu64 " connections lost, %" PRIu64 " left\n",
           h->reads, h->unknown, h->settled, h->errors, h->lost, h->ended);
    printf("hot: stale %" PRIu64 " (%.4f %%), oldest %.1f ms, allowed %.1f ms\nhot:", h->stale,
           100.0 * (double)h->stale / (double)(h->reads + !h->reads), (double)h->age_max_us / 1000,
           (double)h->options.age_limit_us / 1000);
    for (int i = 0; i < FAULTS; i++) {
        printf(" %s %" PRIu64, fault_name[i], h->fault[i]);
        faults += h->fault[i];
    }
    printf(": %s\n", faults > 0 ? "WRONG" : missing > 0 ? "TOO LITTLE WAS SEEN" : "fine");
    return faults == 0 && missing == 0;
}
