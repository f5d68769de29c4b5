/* check_invalidation.c - the invalidation link before a scripted server: every way of arming it,
 * what it hands on, how it ends, and how another takes its place. */
#include <stdio.h>
#include <string.h>

#include "journal.h"
#include "suites.h"
#include "turns.h"
#include "upstream/pool_inside.h"
#include "world.h"

#define MESSAGE    "*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n"
#define SUBSCRIBED "*3\r\n$9\r\nsubscribe\r\n$20\r\n__redis__:invalidate\r\n:1\r\n"
#define PONG       "*2\r\n$4\r\npong\r\n$0\r\n\r\n"
#define HELLO2                                                                                     \
    "HELLO 2\nPING\nCLIENT ID\nCLIENT TRACKING ON REDIRECT 17 BCAST PREFIX a:\n"                   \
    "SUBSCRIBE __redis__:invalidate\nPING\n"

/* What the server says; NULL: nothing, "!": it closes the connection. */
static struct {
    const char *ping, *pong, *id, *tracking2, *tracking3, *subscribe, *hello3;
} says;

static bool subscribed[PEERS];
static size_t at; /* the peer that was last asked for tracking */
static struct invalidation_settings set;
static struct invalidation *inv;

static const char *answer(size_t i, struct slice line)
{
    const char *text = NULL;

    if (slice_is(line, "HELLO 3"))
        text = says.hello3;
    else if (slice_is(line, "PING"))
        text = subscribed[i] ? says.pong : says.ping;
    else if (slice_is(line, "CLIENT ID"))
        text = says.id;
    else if (slice_starts(line, SLICE("CLIENT TRACKING ON REDIRECT")))
        text = says.tracking2;
    else if (slice_starts(line, SLICE("CLIENT TRACKING ON")))
        text = says.tracking3;
    else if (slice_starts(line, SLICE("SUBSCRIBE")))
        text = says.subscribe;
    if (slice_starts(line, SLICE("CLIENT TRACKING")))
        at = i;
    if (slice_starts(line, SLICE("SUBSCRIBE")))
        subscribed[i] = true;
    return text;
}

static void begin(void)
{
    world_begin();
    journal_begin();
    w.script = answer;
    says.ping = "+PONG\r\n";
    says.pong = PONG;
    says.id = ":17\r\n";
    says.tracking2 = says.tracking3 = "+OK\r\n";
    says.subscribe = SUBSCRIBED;
    set = (struct invalidation_settings){COHERENCE_WISH_AUTO, 3000};
    inv = NULL;
}

static void end(void)
{
    invalidation_free(inv);
    ck_assert_uint_eq(w.pool->count.links_lent_long, 0);
    ck_assert_uint_eq(w.pool->count.loans_waiting, 0);
    world_end();
    journal_end();
}

static void aim(const char *a, const char *b)
{
    struct slice v[2] = {slice_str(a), slice_str(b)};

    if (inv == NULL)
        inv = invalidation_new(w.loop, w.pool, &set, &journal_ops, &journal);
    invalidation_aim(inv, v, b != NULL ? 2 : a != NULL);
}

static const struct invalidation_counters *count(void)
{
    return invalidation_counters(inv).values;
}

static void arm(void)
{
    aim("a:", NULL);
    UNTIL(journal.proofs > 0);
    journal_is("armed;");
}

/* Until the link is armed again. */
static void rearmed(uint64_t armings)
{
    UNTIL(count()->armings == armings);
}

/* ---- arming ---- */

START_TEST(arms_in_resp2)
{
    aim("b:", "a:");
    ck_assert_int_eq(invalidation_mode(inv), COHERENCE_NONE);
    ck_assert(!invalidation_covers(inv, SLICE("a:1")));
    UNTIL(journal.proofs == 1);
    ck_assert(peer_asked(0,
                         "HELLO 2\nPING\nCLIENT ID\n"
                         "CLIENT TRACKING ON REDIRECT 17 BCAST PREFIX a: PREFIX b:\n"
                         "SUBSCRIBE __redis__:invalidate\nPING\n"));
    journal_is("armed;");
    ck_assert_int_eq(invalidation_mode(inv), COHERENCE_BROADCAST2);
    ck_assert(invalidation_covers(inv, SLICE("a:1")));
    ck_assert(!invalidation_covers(inv, SLICE("c:1")));
    ck_assert_str_eq(invalidation_trouble(inv), "");
    ck_assert_uint_eq(count()->armings, 1);
    ck_assert_uint_eq(count()->mode, COHERENCE_BROADCAST2);
    ck_assert_uint_eq(w.pool->count.links_lent_long, 1);
}
END_TEST

START_TEST(every_key_is_no_prefix)
{
    aim("a:", "");
    UNTIL(journal.proofs == 1);
    ck_assert(peer_asked(0,
                         "HELLO 2\nPING\nCLIENT ID\nCLIENT TRACKING ON REDIRECT 17 BCAST\n"
                         "SUBSCRIBE __redis__:invalidate\nPING\n"));
    ck_assert(invalidation_covers(inv, SLICE("anything")));
}
END_TEST

/* Armed when SUBSCRIBE is confirmed, not before. */
START_TEST(armed_by_the_confirmation)
{
    says.subscribe = NULL;
    aim("a:", NULL);
    UNTIL(w.peers > 0 && subscribed[0]);
    settle();
    journal_is("");
    ck_assert(!invalidation_covers(inv, SLICE("a:1")));
    peer_say(0, SUBSCRIBED);
    UNTIL(journal.proofs == 1);
    journal_is("armed;");
}
END_TEST

/* The times are the sending's: the clock moves while the answer is on its way. */
START_TEST(proven_as_of_the_asking)
{
    uint64_t before;

    says.pong = NULL;
    aim("a:", NULL);
    before = loop_now_ms(w.loop);
    UNTIL(peer_asked(0, HELLO2));
    clock_move(1500);
    settle();
    ck_assert_uint_eq(journal.proofs, 0);
    ck_assert_uint_eq(invalidation_proven_ms(inv), 0);
    peer_say(0, PONG);
    UNTIL(journal.proofs == 1);
    ck_assert_uint_ge(journal.proven_ms, before);
    ck_assert_uint_le(journal.proven_ms + 1500, loop_now_ms(w.loop));
    ck_assert_uint_eq(invalidation_proven_ms(inv), journal.proven_ms);
}
END_TEST

START_TEST(resp3_where_resp2_is_refused)
{
    static const char error[] = "-ERR no such thing\r\n";
    static const char *const steps[] = {"CLIENT ID", "CLIENT TRACKING",
                                        "SUBSCRIBE __redis__:invalidate"};
    char trouble[100];

    if (_i == 0)
        says.id = error;
    else if (_i == 1)
        says.tracking2 = error;
    else
        says.subscribe = error;
    aim("a:", "b:");
    UNTIL(journal.proofs == 1);
    journal_is("armed;");
    ck_assert_int_eq(invalidation_mode(inv), COHERENCE_BROADCAST3);
    (void)snprintf(trouble, sizeof trouble, "%s: ERR no such thing", steps[_i]);
    ck_assert_str_eq(invalidation_trouble(inv), trouble);
    ck_assert(
        peer_asked(at, "HELLO 3\nPING\nCLIENT TRACKING ON BCAST PREFIX a: PREFIX b:\nPING\n"));
    peer_say(at,
             ">2\r\n$10\r\ninvalidate\r\n*2\r\n$3\r\na:1\r\n$3\r\na:2\r\n"
             ">2\r\n$10\r\ninvalidate\r\n_\r\n>2\r\n$5\r\nother\r\n:1\r\n");
    UNTIL(count()->flushes == 1);
    journal_is("a:1;a:2;flush;");
    /* After a loss it begins at the top. */
    says.id = ":17\r\n";
    says.tracking2 = "+OK\r\n";
    says.subscribe = SUBSCRIBED;
    if (_i == 0)
        peer_say(at, ">2\r\n$21\r\ntracking-redir-broken\r\n:17\r\n");
    else
        peer_close(at);
    rearmed(2);
    journal_is("lost;armed;");
    ck_assert_int_eq(invalidation_mode(inv), COHERENCE_BROADCAST2);
}
END_TEST

/* How RESP3 is refused as well. */
static void refuse_all(int how)
{
    switch (how) {
    case 0:
        says.tracking2 = says.tracking3 = "-NOPERM no\r\n";
        break;
    case 1:
        says.tracking2 = "-ERR no\r\n";
        says.hello3 = "-NOPROTO unsupported protocol version\r\n";
        break;
    case 2: /* a proxy that closes the connection at what it does not know */
        says.tracking2 = says.tracking3 = "!";
        break;
    case 3: /* pushes would prove nothing */
        says.ping = "-NOPERM no\r\n";
        break;
    default: /* answers, but not what the question was */
        says.id = "+OK\r\n";
        says.tracking3 = ":1\r\n";
        break;
    }
}

static void grant_all(void)
{
    says.ping = "+PONG\r\n";
    says.id = ":17\r\n";
    says.tracking2 = says.tracking3 = "+OK\r\n";
    says.hello3 = NULL;
}

START_TEST(ttl_where_both_are_refused)
{
    set.timeout_ms = 300; /* it looks at the clock each 100 ms */
    refuse_all(_i);
    aim("a:", NULL);
    UNTIL(invalidation_mode(inv) == COHERENCE_TTL);
    ck_assert_uint_eq(count()->refusals, 2);
    ck_assert_uint_eq(count()->mode, COHERENCE_TTL);
    ck_assert(invalidation_covers(inv, SLICE("a:1")));
    ck_assert(strstr(invalidation_trouble(inv), "RESP2: ") != NULL);
    ck_assert(strstr(invalidation_trouble(inv), "; RESP3: ") != NULL);
    ck_assert_uint_eq(w.pool->count.links_lent_long, 0);
    /* Not asked again before a minute has passed. */
    clock_move(59000);
    settle();
    ck_assert_uint_eq(count()->refusals, 2);
    grant_all();
    clock_move(2000);
    UNTIL(journal.proofs == 1);
    journal_is("alone;armed;");
    ck_assert_int_eq(invalidation_mode(inv), COHERENCE_BROADCAST2);
}
END_TEST

START_TEST(broadcast_never_goes_without_pushes)
{
    set.timeout_ms = 300; /* it looks at the clock each 100 ms */
    set.wish = COHERENCE_WISH_BROADCAST;
    refuse_all(_i);
    aim("a:", NULL);
    UNTIL(count()->refusals == 2);
    settle();
    ck_assert_int_eq(invalidation_mode(inv), COHERENCE_NONE);
    ck_assert(!invalidation_covers(inv, SLICE("a:1")));
    grant_all();
    clock_move(6000);
    UNTIL(journal.proofs == 1);
    journal_is("armed;");
}
END_TEST

START_TEST(ttl_has_no_link)
{
    set.wish = COHERENCE_WISH_TTL;
    aim("a:", NULL);
    settle();
    ck_assert_uint_eq(w.peers, 0);
    ck_assert_int_eq(invalidation_mode(inv), COHERENCE_TTL);
    ck_assert(invalidation_covers(inv, SLICE("x")));
    /* .. until it is told otherwise, and then again. */
    set.wish = COHERENCE_WISH_AUTO;
    invalidation_resettle(inv, &set);
    ck_assert_int_eq(invalidation_mode(inv), COHERENCE_NONE);
    UNTIL(journal.proofs == 1);
    journal_is("alone;lost;armed;");
    set.wish = COHERENCE_WISH_TTL;
    invalidation_resettle(inv, &set);
    journal_is("lost;alone;");
    ck_assert_int_eq(invalidation_mode(inv), COHERENCE_TTL);
    UNTIL(peer_gone(at));
}
END_TEST

/* What will pass is no reason for another way. */
START_TEST(loading_is_no_refusal)
{
    says.ping = _i == 0 ? "-LOADING Redis is loading the dataset in memory\r\n"
                        : "-BUSY Redis is busy running a script\r\n";
    aim("a:", NULL);
    UNTIL(w.pool->count.loans >= 3);
    ck_assert_uint_eq(count()->refusals, 0);
    ck_assert_int_eq(invalidation_mode(inv), COHERENCE_NONE);
    ck_assert(strstr(invalidation_trouble(inv), _i == 0 ? "PING: LOADING" : "PING: BUSY") != NULL);
    says.ping = "+PONG\r\n";
    UNTIL(journal.proofs == 1);
    journal_is("armed;");
    ck_assert_int_eq(invalidation_mode(inv), COHERENCE_BROADCAST2);
    ck_assert_str_eq(invalidation_trouble(inv), "");
}
END_TEST

/* Neither is a server that is not there, or has no connection to spare. */
START_TEST(waits_for_a_link)
{
    w.settings.max_links = 0;
    aim("a:", NULL);
    settle();
    for (int i = 0; i < 3; i++) {
        clock_move(5500);
        UNTIL(w.pool->count.loans_refused > (uint64_t)i);
        UNTIL(w.pool->count.loans_waiting == 1);
    }
    ck_assert_int_eq(invalidation_mode(inv), COHERENCE_NONE);
    ck_assert_uint_eq(count()->refusals, 0);
    w.settings.max_links = 2;
    clock_move(5500);
    UNTIL(journal.proofs == 1);
    journal_is("armed;");
}
END_TEST

/* A server that stops answering in the midst of it: begun again, and no refusal however often. */
START_TEST(silence_while_arming)
{
    set.timeout_ms = 600;
    says.tracking2 = NULL;
    aim("a:", NULL);
    for (uint64_t i = 1; i <= 4; i++) {
        UNTIL(w.pool->count.loans == i);
        settle();
        clock_move(2500);
        UNTIL(w.pool->count.links_timed_out == i);
    }
    ck_assert_uint_eq(count()->refusals, 0);
    says.tracking2 = "+OK\r\n";
    UNTIL(journal.proofs == 1);
    journal_is("armed;");
    ck_assert_int_eq(invalidation_mode(inv), COHERENCE_BROADCAST2);
}
END_TEST

/* ---- what comes ---- */

START_TEST(hands_on_keys_and_flushes)
{
    arm();
    peer_say(at, MESSAGE "*2\r\n$3\r\na:1\r\n$3\r\na:2\r\n" MESSAGE "*1\r\n$3\r\na:1\r\n" MESSAGE
                         "$-1\r\n" MESSAGE "*-1\r\n" MESSAGE "*1\r\n$3\r\na:3\r\n");
    UNTIL(count()->keys == 4);
    journal_is("a:1;a:2;a:1;flush;flush;a:3;");
    ck_assert_uint_eq(count()->pushes, 5);
    ck_assert_uint_eq(count()->flushes, 2);
}
END_TEST

/* Pushes before the PONG are handed on before proven(). */
static unsigned proofs_at_key;

static void note_proofs(struct slice key)
{
    (void)key;
    proofs_at_key = journal.proofs;
}

START_TEST(pushes_before_their_proof)
{
    says.pong = NULL;
    journal.key = note_proofs;
    aim("a:", NULL);
    UNTIL(peer_asked(0, HELLO2));
    peer_say(at, MESSAGE "*1\r\n$3\r\na:1\r\n" PONG);
    UNTIL(journal.proofs == 1);
    journal_is("armed;a:1;");
    ck_assert_uint_eq(proofs_at_key, 0);
}
END_TEST

START_TEST(a_message_larger_than_a_read)
{
    struct buffer b = {0};
    const size_t many = 100000;

    arm();
    journal.quiet = true;
    buffer_printf(&b, MESSAGE "*%zu\r\n", many);
    for (size_t i = 0; i < many; i++)
        buffer_printf(&b, "$9\r\na:%07zu\r\n", i);
    buffer_printf(&b, MESSAGE "*1\r\n$3\r\na:x\r\n");
    peer_send(at, buffer_head(&b), buffer_len(&b));
    buffer_done(&b);
    UNTIL(journal.keys == many + 1);
    ck_assert_uint_eq(count()->pushes, 2);
    journal_is("");
}
END_TEST

START_TEST(read_before_others)
{
    bool hasty = false;

    arm();
    for (list_each (node, &w.lane->links[LINK_LENT]))
        hasty |= CONTAINER_OF(node, struct link, node)->stream.hasty;
    ck_assert(hasty);
}
END_TEST

/* ---- the end of a link ---- */

START_TEST(lost_and_armed_again)
{
    arm();
    for (uint64_t i = 1; i <= 5; i++) {
        peer_close(at);
        UNTIL(count()->losses == i);
        ck_assert_int_eq(invalidation_mode(inv), COHERENCE_NONE);
        ck_assert(!invalidation_covers(inv, SLICE("a:1")));
        ck_assert_uint_eq(invalidation_proven_ms(inv), 0);
        journal_is("lost;");
        rearmed(i + 1);
        journal_is("armed;");
    }
    ck_assert_uint_eq(count()->refusals, 0);
}
END_TEST

/* Its own pause is not waited for when the upstream is found to be there again. */
START_TEST(armed_when_the_upstream_is_back)
{
    const char *hello = w.hello;

    w.settings.breaker_failures = 1;
    w.settings.breaker_open = 80;
    arm();
    w.settings.backoff_min = w.settings.backoff_max = (uint64_t)1 << 40;
    w.hello = "!";
    peer_close(at);
    UNTIL(w.pool->count.breaker_probes == 3);
    journal_is("lost;");
    w.hello = hello;
    UNTIL(journal.proofs == 2);
    journal_is("armed;");
}
END_TEST

/* After what cannot be, nothing is certain: also not what was before. */
START_TEST(garbage_ends_it)
{
    static const char *const bad[] = {"not RESP\r\n",
                                      "+OK\r\n",
                                      "$5\r\nhello\r\n",
                                      MESSAGE ":1\r\n",
                                      MESSAGE "*1\r\n:1\r\n",
                                      "*3\r\n$7\r\nmessage\r\n$5\r\nother\r\n*1\r\n$1\r\na\r\n",
                                      PONG,
                                      SUBSCRIBED,
                                      "-ERR what\r\n",
                                      "$-7\r\n"};

    arm();
    peer_say(at, bad[_i]);
    rearmed(2);
    journal_is("lost;armed;");
}
END_TEST

START_TEST(garbage_ends_it_in_resp3)
{
    static const char *const bad[] = {"not RESP\r\n",
                                      "+OK\r\n",
                                      PONG,
                                      ">2\r\n$10\r\ninvalidate\r\n:1\r\n",
                                      ">1\r\n$10\r\ninvalidate\r\n",
                                      ">3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n:1\r\n"};

    says.tracking2 = "-ERR no\r\n";
    arm();
    peer_say(at, bad[_i]);
    rearmed(2);
    journal_is("lost;armed;");
}
END_TEST

/* Silent: said, counted, and nothing is proven; an answer, however late, is good for its asking. */
START_TEST(silence)
{
    unsigned proofs;

    set.timeout_ms = 900; /* a PING each 300 ms */
    arm();
    says.pong = NULL;
    (void)peer_asked(at, "");
    UNTIL(!peer_idle(at));
    settle();
    proofs = journal.proofs;
    clock_move(1200);
    UNTIL(count()->silences == 1);
    ck_assert_uint_eq(journal.proofs, proofs);
    journal_is("");
    peer_say(at, PONG);
    says.pong = PONG;
    UNTIL(journal.proofs > proofs);
    UNTIL(loop_now_ms(w.loop) - journal.proven_ms < 900);
    ck_assert_uint_eq(count()->silences, 1);
    ck_assert_uint_eq(count()->losses, 0);
}
END_TEST

/* One PING at a time; when its answer comes late, the next goes at once. */
START_TEST(pings)
{
    set.timeout_ms = 900;
    arm();
    says.pong = NULL;
    clock_move(5); /* a later PING has a later time */
    buffer_done(&w.peer[at].asked);
    UNTIL(peer_asked(at, "PING\n"));
    for (int i = 0; i < 40; i++)
        settle(); /* beats pass */
    ck_assert(peer_idle(at));
    peer_say(at, PONG);
    settle();
    ck_assert(peer_asked(at, "PING\n"));
}
END_TEST

/* command_timeout is for clients: a PING that takes longer is silence, not yet the end. */
START_TEST(no_deadline_but_its_own)
{
    w.settings.command_timeout = 50;
    says.tracking2 = "-ERR no\r\n";
    arm();
    says.ping = NULL;
    buffer_done(&w.peer[at].asked);
    UNTIL(peer_asked(at, "PING\n"));
    clock_move(500);
    for (int i = 0; i < 12; i++)
        settle(); /* ticks of the pool */
    journal_is("");
    peer_say(at, "+PONG\r\n");
    UNTIL(journal.proofs == 2);
}
END_TEST

START_TEST(silent_for_good)
{
    set.timeout_ms = 900;
    arm();
    says.pong = NULL;
    clock_move(1500);
    settle();
    journal_is("");
    clock_move(1500);
    UNTIL(count()->losses == 1);
    says.pong = PONG;
    rearmed(2);
    journal_is("lost;armed;");
}
END_TEST

/* A busy upstream proves nothing and is not left for it; one that forbids PING from now on is. */
START_TEST(errors_for_pings)
{
    unsigned proofs;

    set.timeout_ms = 900;
    if (_i % 2 == 1)
        says.tracking2 = "-ERR no\r\n"; /* RESP3 */
    arm();
    says.pong = says.ping = _i < 2 ? "-BUSY script\r\n" : "-NOPERM no\r\n";
    if (_i < 2) {
        proofs = journal.proofs;
        buffer_done(&w.peer[at].asked);
        UNTIL(peer_asked(at, "PING\nPING\nPING\n"));
        ck_assert_uint_le(journal.proofs, proofs + 1);
        says.pong = PONG;
        says.ping = "+PONG\r\n";
        proofs = journal.proofs;
        UNTIL(journal.proofs > proofs);
        ck_assert_uint_eq(count()->losses, 0);
    } else {
        UNTIL(invalidation_mode(inv) == COHERENCE_TTL);
        journal_is("lost;alone;");
    }
}
END_TEST

/* ---- other prefixes ---- */

/* The old link ends when all its pushes of before are here, not sooner. */
START_TEST(made_before_broken)
{
    size_t old, fresh;
    unsigned proofs;

    arm();
    UNTIL(!peer_idle(at));
    old = at;
    settle();
    says.pong = NULL;
    buffer_done(&w.peer[old].asked);
    aim("a:", "b:");
    UNTIL(count()->armings == 2);
    fresh = at;
    ck_assert_uint_ne(old, fresh);
    UNTIL(peer_asked(old, "PING\n"));
    ck_assert(invalidation_covers(inv, SLICE("a:1")));
    ck_assert(!invalidation_covers(inv, SLICE("b:1")));
    /* Meanwhile both are heard. */
    peer_say(fresh, MESSAGE "*1\r\n$3\r\nb:1\r\n");
    UNTIL(count()->keys == 1);
    peer_say(old, MESSAGE "*1\r\n$3\r\na:1\r\n");
    UNTIL(count()->keys == 2);
    /* What the new one answers says nothing of what the old one has still to bring. */
    proofs = journal.proofs;
    peer_say(fresh, PONG MESSAGE "*1\r\n$3\r\nb:2\r\n");
    UNTIL(count()->keys == 3);
    ck_assert_uint_eq(journal.proofs, proofs);
    ck_assert_uint_eq(count()->handovers, 0);
    peer_say(old, MESSAGE "*1\r\n$3\r\na:2\r\n" PONG);
    UNTIL(count()->handovers == 1);
    UNTIL(peer_gone(old));
    ck_assert(invalidation_covers(inv, SLICE("b:1")));
    journal_is("b:1;a:1;b:2;a:2;");
    peer_say(fresh, MESSAGE "*1\r\n$3\r\na:3\r\n");
    UNTIL(count()->keys == 5);
    journal_is("a:3;");
    ck_assert_uint_eq(count()->losses, 0);
    ck_assert_uint_eq(w.pool->count.links_lent_long, 1);
}
END_TEST

/* The PING that was under way when the new link was armed proves nothing about the time between. */
START_TEST(an_earlier_ping_does_not_end_it)
{
    size_t old;

    arm();
    old = at;
    settle();
    says.pong = NULL;
    buffer_done(&w.peer[old].asked);
    UNTIL(peer_asked(old, "PING\n"));
    aim("b:", NULL);
    UNTIL(count()->armings == 2);
    settle();
    ck_assert(peer_idle(old));
    peer_say(old, PONG);
    UNTIL(peer_asked(old, "PING\n")); /* at once */
    settle();
    ck_assert_uint_eq(count()->handovers, 0);
    peer_say(old, MESSAGE "*1\r\n$3\r\na:2\r\n" PONG);
    UNTIL(count()->handovers == 1);
    journal_is("a:2;");
    ck_assert(!invalidation_covers(inv, SLICE("a:1")));
}
END_TEST

/* The old one is lost while the new one is being armed (0), or waits for its proof (1). */
START_TEST(the_old_one_is_lost_meanwhile)
{
    size_t old;

    arm();
    old = at;
    settle();
    if (_i == 0)
        says.subscribe = NULL;
    says.pong = NULL;
    aim("b:", NULL);
    UNTIL(at != old && subscribed[at]);
    if (_i == 1)
        UNTIL(count()->armings == 2);
    peer_close(old);
    UNTIL(count()->losses == 1);
    if (_i == 0) {
        journal_is("lost;");
        ck_assert_int_eq(invalidation_mode(inv), COHERENCE_NONE);
        peer_say(at, SUBSCRIBED);
        UNTIL(count()->armings == 2);
        journal_is("armed;");
    }
    if (_i == 1)
        journal_is("lost;armed;");
    ck_assert(invalidation_covers(inv, SLICE("b:1")));
    ck_assert_uint_eq(w.pool->count.links_lent_long, 1);
}
END_TEST

/* The new one cannot be armed, or is lost before it is in force: the old one stays. */
START_TEST(the_new_one_fails)
{
    size_t old;

    arm();
    old = at;
    settle();
    if (_i == 0)
        says.tracking2 = says.tracking3 = "-ERR no\r\n";
    else
        says.pong = NULL;
    aim("b:", NULL);
    if (_i == 0) {
        UNTIL(count()->refusals == 2);
        says.tracking2 = "+OK\r\n";
        clock_move(62000);
    } else {
        UNTIL(count()->armings == 2);
        peer_close(at);
        UNTIL(peer_gone(at));
        settle();
    }
    ck_assert(invalidation_covers(inv, SLICE("a:1")));
    ck_assert(!invalidation_covers(inv, SLICE("b:1")));
    journal_is("");
    if (_i == 1)
        peer_say(old, PONG);
    says.pong = PONG;
    UNTIL(count()->handovers == 1);
    journal_is("");
    ck_assert(invalidation_covers(inv, SLICE("b:1")));
}
END_TEST

static void change(const char *to, uint64_t handovers)
{
    settle();
    aim(to, NULL);
    UNTIL(count()->handovers == handovers);
}

/* What was kept under a: while a: was in force, was not told of changes while b: was. */
START_TEST(prefixes_that_come_back)
{
    arm();
    change("b:", 1);
    journal_is("");
    change("c:", 2);
    journal_is("");
    change("a:1:", 3);
    journal_is("armed;");
    change("d:", 4);
    journal_is("");
    change("c:", 5);
    journal_is(""); /* since then nothing of c: was kept */
}
END_TEST

START_TEST(changed_and_changed_back)
{
    size_t old;

    arm();
    old = at;
    says.tracking2 = NULL;
    aim("b:", NULL);
    UNTIL(at != old);
    says.tracking2 = "+OK\r\n";
    aim("a:", NULL);
    ck_assert_uint_eq(w.pool->count.links_lent_long, 1);
    UNTIL(peer_gone(at));
    aim("a:", "a:1");
    settle();
    ck_assert_uint_eq(count()->armings, 1);
    aim("c:", NULL);
    UNTIL(count()->handovers == 1);
    journal_is("");
    ck_assert(invalidation_covers(inv, SLICE("c:")));
}
END_TEST

START_TEST(nothing_to_watch)
{
    arm();
    aim(NULL, NULL);
    journal_is("lost;");
    UNTIL(peer_gone(at));
    ck_assert_int_eq(invalidation_mode(inv), COHERENCE_NONE);
    aim("a:", NULL);
    rearmed(2);
    journal_is("armed;");
}
END_TEST

/* Ended in each state that arming passes through. */
START_TEST(freed_on_the_way)
{
    if (_i == 1)
        says.ping = NULL;
    if (_i == 2)
        says.id = NULL;
    if (_i == 3)
        says.tracking2 = NULL;
    if (_i == 4)
        says.subscribe = NULL;
    if (_i == 5)
        says.pong = NULL;
    aim("a:", NULL);
    if (_i > 0)
        settle();
    if (_i == 6) {
        says.tracking2 = NULL;
        aim("b:", NULL);
        settle();
    }
    invalidation_free(inv);
    inv = NULL;
    ck_assert_uint_eq(w.pool->count.links_lent_long, 0);
    settle();
}
END_TEST

static TCase *arming(void)
{
    TCase *t = tcase_create("arming");

    tcase_set_timeout(t, 20);
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, arms_in_resp2);
    tcase_add_test(t, every_key_is_no_prefix);
    tcase_add_test(t, armed_by_the_confirmation);
    tcase_add_test(t, proven_as_of_the_asking);
    tcase_add_loop_test(t, resp3_where_resp2_is_refused, 0, 3);
    tcase_add_loop_test(t, ttl_where_both_are_refused, 0, 5);
    tcase_add_loop_test(t, broadcast_never_goes_without_pushes, 0, 5);
    tcase_add_test(t, ttl_has_no_link);
    tcase_add_loop_test(t, loading_is_no_refusal, 0, 2);
    tcase_add_test(t, waits_for_a_link);
    tcase_add_test(t, silence_while_arming);
    tcase_add_loop_test(t, freed_on_the_way, 0, 7);
    return t;
}

static TCase *hearing(void)
{
    TCase *t = tcase_create("hearing");

    tcase_set_timeout(t, 20);
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, hands_on_keys_and_flushes);
    tcase_add_test(t, pushes_before_their_proof);
    tcase_add_test(t, a_message_larger_than_a_read);
    tcase_add_test(t, read_before_others);
    tcase_add_test(t, lost_and_armed_again);
    tcase_add_test(t, armed_when_the_upstream_is_back);
    tcase_add_loop_test(t, garbage_ends_it, 0, 10);
    tcase_add_loop_test(t, garbage_ends_it_in_resp3, 0, 6);
    tcase_add_test(t, silence);
    tcase_add_test(t, pings);
    tcase_add_test(t, no_deadline_but_its_own);
    tcase_add_test(t, silent_for_good);
    tcase_add_loop_test(t, errors_for_pings, 0, 4);
    return t;
}

static TCase *changing(void)
{
    TCase *t = tcase_create("changing");

    tcase_set_timeout(t, 20);
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, made_before_broken);
    tcase_add_test(t, an_earlier_ping_does_not_end_it);
    tcase_add_loop_test(t, the_old_one_is_lost_meanwhile, 0, 2);
    tcase_add_loop_test(t, the_new_one_fails, 0, 2);
    tcase_add_test(t, prefixes_that_come_back);
    tcase_add_test(t, changed_and_changed_back);
    tcase_add_test(t, nothing_to_watch);
    return t;
}

Suite *invalidation_suite(void)
{
    Suite *suite = suite_create("invalidation");

    suite_add_tcase(suite, arming());
    suite_add_tcase(suite, hearing());
    suite_add_tcase(suite, changing());
    return suite;
}
