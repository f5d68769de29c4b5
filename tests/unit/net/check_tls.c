/* check_tls.c - TLS on streams: both ends are streams of one loop, over a pair of sockets, with
 * certificates of the test's own. What is sent over the pair can be counted by the byte. */
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/loop.h"
#include "net/stream.h"
#include "net/tls.h"
#include "suites.h"

#define TURNS        20000u /* without waiting: more than any test needs */
#define BYTES        (3u << 20)
#define RECORD_EXTRA 22 /* RFC 8446, 5.2: header, type, and the tag of its ciphers */
#define SERVER       (&ends[0])
#define CLIENT       (&ends[1])

/* One end of the conversation, and what it has been told. */
struct end {
    struct stream s;
    size_t room; /* read at most so much at once */
    char *got;
    size_t got_len;
    unsigned readables, writables;
    enum io last;
    bool pauses; /* reads once, and then only when it is woken */
};

static struct log log_of_tests;
static struct loop *loop;
static struct tls *tls;
static struct end ends[2];
static bool (*act)(void);
static unsigned turns;
static char *sent; /* pseudo-random bytes to send */
static char dir[64], cert_path[96], key_path[96], other_path[96];
static struct settings settings;
static struct listener_settings listener;

/* ---- certificates ---- */

static void certificate(const char *name, const char *cert, const char *key, long seconds)
{
    EVP_PKEY *pkey = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    X509V3_CTX context;
    char names[64];
    X509_EXTENSION *extension;
    FILE *f;

    (void)X509_set_version(x, 2);
    (void)ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    (void)X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    (void)X509_gmtime_adj(X509_getm_notAfter(x), seconds);
    (void)X509_set_pubkey(x, pkey);
    (void)X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                                     (const unsigned char *)name, -1, -1, 0);
    (void)X509_set_issuer_name(x, X509_get_subject_name(x));
    (void)snprintf(names, sizeof names, "DNS:%s,IP:127.0.0.1", name);
    X509V3_set_ctx(&context, x, x, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &context, NID_subject_alt_name, names);
    ck_assert_int_eq(X509_add_ext(x, extension, -1), 1);
    X509_EXTENSION_free(extension);
    ck_assert_int_gt(X509_sign(x, pkey, EVP_sha256()), 0);
    f = fopen(cert, "w");
    ck_assert_int_eq(PEM_write_X509(f, x), 1);
    (void)fclose(f);
    f = key != NULL ? fopen(key, "w") : NULL;
    if (f != NULL) {
        ck_assert_int_eq(PEM_write_PrivateKey(f, pkey, NULL, NULL, 0, NULL, NULL), 1);
        (void)fclose(f);
    }
    X509_free(x);
    EVP_PKEY_free(pkey);
}

static void settle(const char *error)
{
    struct buffer errors = {0}, notes = {0};
    bool fine = tls_settle(tls, &settings, &errors, &notes);

    ck_assert_int_eq(fine, error == NULL);
    if (error != NULL) {
        buffer_add(&errors, "", 1);
        ck_assert_msg(strstr(buffer_head(&errors), error) != NULL, "%s", buffer_head(&errors));
    }
    buffer_done(&errors);
    buffer_done(&notes);
}

/* ---- both ends ---- */

static void on_readable(struct stream *s)
{
    struct end *e = CONTAINER_OF(s, struct end, s);
    size_t n;

    e->readables++;
    e->last = stream_read(s, e->got + e->got_len, e->room, &n);
    if (e->last == IO_OK)
        e->got_len += n;
    if (e->last == IO_EOF || e->last == IO_ERROR || e->pauses)
        stream_want(s, 0);
}

static void on_writable(struct stream *s)
{
    struct end *e = CONTAINER_OF(s, struct end, s);

    e->writables++;
    stream_want(s, e == CLIENT && stream_connected(s) ? WANT_READ : 0);
}

static void on_hangup(struct stream *s)
{
    (void)s;
    ck_abort_msg("nobody hangs up here");
}

static const struct stream_ops ops = {on_readable, on_writable, on_hangup};

/* What a test does at the end of each turn, until it says that it is over. */
static bool on_beat(void *context)
{
    (void)context;
    ck_assert_msg(turns++ < TURNS, "in turn %u nothing is as it should be", turns);
    if (act())
        loop_stop(loop);
    return true;
}

static void begin(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    log_open(&log_of_tests, STDERR_FILENO, LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    loop = loop_new(&log_of_tests);
    (void)snprintf(dir, sizeof dir, "/tmp/larder-tls.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    (void)snprintf(cert_path, sizeof cert_path, "%s/cert", dir);
    (void)snprintf(key_path, sizeof key_path, "%s/key", dir);
    (void)snprintf(other_path, sizeof other_path, "%s/other", dir);
    certificate("far.example", cert_path, key_path, 30 * 86400);
    listener = (struct listener_settings){
        .name = "main", .tls_cert = cert_path, .tls_key = key_path, .tls_client_ca = ""};
    settings = (struct settings){.listeners = &listener, .listener_count = 1};
    settings.upstream = (struct upstream_settings){.tls = true,
                                                   .tls_ca = cert_path,
                                                   .tls_cert = "",
                                                   .tls_key = "",
                                                   .tls_server_name = "",
                                                   .tls_verify = true};
    tls = tls_new();
    sent = must_alloc(BYTES);
    for (size_t i = 0; i < BYTES; i++)
        sent[i] = (char)(i * 2654435761u >> 13);
    loop_add_beat(loop, on_beat, NULL);
}

static void end(void)
{
    for (size_t i = 0; i < 2; i++) {
        stream_close(&ends[i].s);
        free(ends[i].got);
    }
    free(sent);
    tls_free(tls);
    loop_free(loop);
    (void)unlink(cert_path);
    (void)unlink(key_path);
    (void)unlink(other_path);
    (void)rmdir(dir);
}

/* Once a test: turns the loop until next() is true at the end of a turn. */
static void run(bool (*next)(void))
{
    act = next;
    loop_run(loop);
}

static void open_ends(void)
{
    int fds[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    for (size_t i = 0; i < 2; i++) {
        ends[i].room = 1 << 20;
        ends[i].got = must_alloc(BYTES + (1 << 20));
        stream_open(&ends[i].s, loop, fds[i], &ops);
    }
}

static void secure(const char *host)
{
    open_ends();
    stream_secure(&SERVER->s, loop, tls_for_listener(tls, "main"), NULL);
    stream_want(&SERVER->s, WANT_READ);
    stream_secure(&CLIENT->s, loop, tls_for_upstream(tls), host);
    stream_want(&CLIENT->s, WANT_WRITE);
}

static bool up(void)
{
    return !stream_shaking(&SERVER->s) && !stream_shaking(&CLIENT->s);
}

static void secured(const char *host)
{
    settle(NULL);
    secure(host);
}

/* ---- handshakes ---- */

static bool both_up(void)
{
    size_t n = 7;
    char byte;

    if (stream_shaking(&CLIENT->s)) {
        ck_assert_int_eq(stream_read(&CLIENT->s, &byte, 1, &n), IO_AGAIN);
        ck_assert_int_eq(stream_write(&CLIENT->s, "x", 1, &n), IO_AGAIN);
        ck_assert_uint_eq(n, 7);
    }
    return up();
}

START_TEST(a_handshake)
{
    struct counter_set counters;

    secured("far.example");
    ck_assert(stream_shaking(&CLIENT->s) && stream_shaking(&SERVER->s));
    ck_assert(!stream_connected(&CLIENT->s));
    ck_assert_str_eq(stream_tls_version(&CLIENT->s), "");
    run(both_up);
    ck_assert_uint_eq(CLIENT->writables, 1);
    ck_assert(stream_connected(&CLIENT->s));
    ck_assert_str_eq(stream_tls_version(&CLIENT->s), "TLSv1.3");
    ck_assert_str_eq(stream_tls_version(&SERVER->s), "TLSv1.3");
    ck_assert(tls_in_use(tls));
    counters = tls_counters(tls);
    ck_assert_str_eq(counters.room, "tls");
    ck_assert_str_eq(counters.rows[0].name, "upstream_handshakes");
    ck_assert_uint_eq(counter_value(&counters, 0), 1);
    ck_assert_str_eq(counters.rows[counters.count - 1].name, "upstream_seconds_left");
    ck_assert_uint_gt(counter_value(&counters, counters.count - 1), 29 * 86400);
    ck_assert_uint_le(counter_value(&counters, counters.count - 1), 30 * 86400);
}
END_TEST

/* Both are told; each says what it saw. */
static bool failed(void)
{
    return CLIENT->last == IO_ERROR || (CLIENT->writables > 0 && !stream_connected(&CLIENT->s));
}

START_TEST(another_name)
{
    static const char *const hosts[] = {"near.example", "127.0.0.2"};
    static const char *const texts[] = {
        "TLS: its certificate is for far.example and not for near.example (tls_server_name says "
        "whom to expect)",
        "TLS: its certificate is for far.example and not for 127.0.0.2 (tls_server_name says whom "
        "to expect)"};

    secured(hosts[_i]);
    run(failed);
    ck_assert_uint_eq(CLIENT->writables, 1);
    ck_assert(stream_shaking(&CLIENT->s));
    ck_assert_str_eq(stream_error_text(&CLIENT->s), texts[_i]);
}
END_TEST

START_TEST(names_that_do)
{
    static const char *const hosts[] = {"far.example", "FAR.example", "127.0.0.1"};

    secured(hosts[_i]);
    run(up);
}
END_TEST

START_TEST(an_expired_one)
{
    certificate("far.example", cert_path, key_path, -60);
    secured("far.example");
    run(failed);
    ck_assert_ptr_nonnull(
        strstr(stream_error_text(&CLIENT->s), "TLS: its certificate has expired, 20"));
}
END_TEST

START_TEST(a_self_signed_one)
{
    certificate("far.example", other_path, NULL, 86400);
    settings.upstream.tls_ca = other_path;
    secured("far.example");
    run(failed);
    ck_assert_str_eq(stream_error_text(&CLIENT->s),
                     "TLS: its certificate is self-signed, and not in tls_ca");
}
END_TEST

START_TEST(nobody_is_verified)
{
    certificate("other.example", other_path, NULL, 86400);
    settings.upstream.tls_ca = other_path;
    settings.upstream.tls_verify = false;
    secured("far.example");
    run(up);
}
END_TEST

static bool server_failed(void)
{
    return SERVER->last == IO_ERROR;
}

START_TEST(plain_text_on_a_tls_listener)
{
    size_t n;

    settle(NULL);
    open_ends();
    stream_secure(&SERVER->s, loop, tls_for_listener(tls, "main"), NULL);
    stream_want(&SERVER->s, WANT_READ);
    ck_assert_int_eq(stream_write(&CLIENT->s, "*1\r\n$4\r\nPING\r\n", 14, &n), IO_OK);
    run(server_failed);
    ck_assert_str_eq(stream_error_text(&SERVER->s),
                     "TLS: it speaks plain text, and this port is for TLS");
}
END_TEST

START_TEST(closed_in_a_handshake)
{
    settle(NULL);
    open_ends();
    stream_secure(&SERVER->s, loop, tls_for_listener(tls, "main"), NULL);
    stream_want(&SERVER->s, WANT_READ);
    stream_close(&CLIENT->s);
    run(server_failed);
    ck_assert_str_eq(stream_error_text(&SERVER->s),
                     "TLS: it closed the connection during the handshake");
}
END_TEST

/* ---- bytes ---- */

static size_t client_sent, most;

/* Sends on, `most` at a time, from another address each time. */
static bool send_on(void)
{
    size_t n, left = BYTES - client_sent;
    char *moved;

    if (!up())
        return false;
    if (left > most)
        left = most;
    if (left > 0) {
        moved = must_alloc(left);
        memcpy(moved, sent + client_sent, left);
        if (stream_write(&CLIENT->s, moved, left, &n) == IO_OK)
            client_sent += n;
        free(moved);
    }
    if (SERVER->s.wants == 0 && turns % 7 == 0)
        stream_want(&SERVER->s, WANT_READ);
    return SERVER->got_len == BYTES;
}

static void arrives(void)
{
    ck_assert_uint_eq(SERVER->got_len, BYTES);
    ck_assert_int_eq(memcmp(SERVER->got, sent, BYTES), 0);
}

/* Less room than a record has: the rest of it is in the session, and the socket silent. */
START_TEST(little_room)
{
    static const size_t rooms[] = {700, 16384, 5, 1 << 20};

    secured("far.example");
    most = 1 << 20;
    SERVER->room = rooms[_i];
    if (rooms[_i] == 5) /* not so many turns */
        client_sent = SERVER->got_len = BYTES - 30000;
    memcpy(SERVER->got, sent, SERVER->got_len);
    run(send_on);
    arrives();
}
END_TEST

/* It is not read for some turns: what is in the session then must be told of when it is. */
START_TEST(reading_pauses)
{
    secured("far.example");
    most = _i == 0 ? 1 << 20 : 100;
    client_sent = SERVER->got_len = BYTES - 300000;
    memcpy(SERVER->got, sent, SERVER->got_len);
    SERVER->room = _i == 0 ? 5000 : 1 << 20;
    SERVER->pauses = true;
    run(send_on);
    arrives();
}
END_TEST

/* The client repeats what was not taken, with more behind it, and from another address. */
START_TEST(writes_that_do_not_end)
{
    static const size_t mosts[] = {1 << 20, 16385, 40000};

    secured("far.example");
    most = mosts[_i];
    SERVER->room = 3000; /* slower than the client */
    run(send_on);
    arrives();
}
END_TEST

static size_t on_the_wire(void)
{
    int n = 0;

    ck_assert_int_eq(ioctl(stream_fd(&SERVER->s), FIONREAD, &n), 0);
    return (size_t)n;
}

static struct iovec pieces[100];

/* Small pieces leave as one record, and so do the 16 KB of many. */
static bool joined(void)
{
    size_t n;

    if (!up() || on_the_wire() > 0)
        return false;
    stream_want(&SERVER->s, 0);
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++)
        pieces[i] = (struct iovec){sent + 50 * i, 50};
    ck_assert_int_eq(stream_writev(&CLIENT->s, pieces, 100, &n), IO_OK);
    ck_assert_uint_eq(n, 5000);
    ck_assert_uint_eq(on_the_wire(), 5000 + RECORD_EXTRA);
    pieces[0] = (struct iovec){sent, 10};
    pieces[1] = (struct iovec){NULL, 0};
    pieces[2] = (struct iovec){sent + 10, 40000};
    pieces[3] = (struct iovec){sent + 40010, 5};
    ck_assert_int_eq(stream_writev(&CLIENT->s, pieces, 4, &n), IO_OK);
    ck_assert_uint_eq(n, 40015);
    ck_assert_uint_eq(on_the_wire(), 45015 + 4 * RECORD_EXTRA);
    return true;
}

START_TEST(pieces_are_joined)
{
    secured("far.example");
    run(joined);
    ck_assert_int_eq(stream_read(&SERVER->s, SERVER->got, 1 << 20, &SERVER->got_len), IO_OK);
    while (SERVER->got_len < 45015) {
        size_t n;

        ck_assert_int_eq(stream_read(&SERVER->s, SERVER->got + SERVER->got_len, 1 << 20, &n),
                         IO_OK);
        SERVER->got_len += n;
    }
    ck_assert_int_eq(memcmp(SERVER->got, sent, 5000), 0);
    ck_assert_int_eq(memcmp(SERVER->got + 5000, sent, 40015), 0);
}
END_TEST

static bool goes(void)
{
    size_t n;

    if (up() && client_sent == 0) {
        ck_assert_int_eq(stream_write(&CLIENT->s, sent, 1000, &n), IO_OK);
        client_sent = n;
        /* With a goodbye, or cut: either is an end, behind all that came before. */
        if (most == 0)
            stream_close(&CLIENT->s);
        else
            ck_assert_int_eq(shutdown(stream_fd(&CLIENT->s), SHUT_WR), 0);
    }
    return SERVER->last == IO_EOF || SERVER->last == IO_ERROR;
}

START_TEST(an_end)
{
    secured("far.example");
    most = (size_t)_i;
    SERVER->room = 300;
    run(goes);
    ck_assert_int_eq(SERVER->last, IO_EOF);
    ck_assert_uint_eq(SERVER->got_len, 1000);
    ck_assert_str_eq(stream_error_text(&SERVER->s), "closed by the peer");
}
END_TEST

static bool garbled(void)
{
    if (up() && client_sent == 0) {
        client_sent = 1;
        ck_assert_int_eq((int)send(stream_fd(&CLIENT->s), sent, 100, 0), 100);
    }
    return SERVER->last == IO_ERROR;
}

/* Bytes that are not the peer's end it; nothing may be called on OpenSSL's side then. */
START_TEST(garbage)
{
    size_t n;

    secured("far.example");
    run(garbled);
    ck_assert_int_eq(stream_read(&SERVER->s, SERVER->got, 10, &n), IO_ERROR);
    ck_assert_int_eq(stream_write(&SERVER->s, "x", 1, &n), IO_ERROR);
    ck_assert_ptr_nonnull(strstr(stream_error_text(&SERVER->s), "TLS: "));
    ck_assert(!stream_shaking(&SERVER->s)); /* that went well once */
}
END_TEST

static bool hastened(void)
{
    size_t n;

    if (!up())
        return false;
    if (!SERVER->s.hasty) {
        stream_hasten(&SERVER->s, loop);
        for (int i = 0; i < 20; i++) {
            ck_assert_int_eq(stream_write(&CLIENT->s, sent + client_sent, 4000, &n), IO_OK);
            client_sent += n;
        }
        return false;
    }
    return true;
}

/* One that is read first is read to the end in the same turn, records or not, and however much of
 * them OpenSSL takes from the socket at once. */
START_TEST(hasty)
{
    secured("far.example");
    SERVER->room = 640;
    run(hastened);
    ck_assert_uint_eq(SERVER->got_len, 80000);
    ck_assert_int_eq(memcmp(SERVER->got, sent, 80000), 0);
}
END_TEST

/* ---- certificates in force ---- */

START_TEST(files_that_are_not_what_they_should_be)
{
    struct tls_context *before;
    FILE *f = fopen(other_path, "w");

    ck_assert(!tls_in_use(tls));
    ck_assert_ptr_null(tls_for_upstream(tls));
    settle(NULL);
    before = tls_for_listener(tls, "main");
    ck_assert_ptr_nonnull(before);
    ck_assert_ptr_null(tls_for_listener(tls, "another"));
    (void)fputs("nonsense\n", f);
    (void)fclose(f);
    listener.tls_cert = other_path;
    settle("[listener main] tls_cert: ");
    listener.tls_cert = cert_path;
    listener.tls_key = other_path;
    settle("there is no private key (PEM) in it");
    listener.tls_key = cert_path;
    settle("there is no private key (PEM) in it");
    listener.tls_key = key_path;
    listener.tls_client_ca = "/gone";
    settle("[listener main] tls_client_ca: /gone: No such file");
    listener.tls_client_ca = "";
    settings.upstream.tls_ca = key_path;
    settle("[upstream] tls_ca: ");
    certificate("far.example", other_path, NULL, 86400);
    settings.upstream.tls_ca = cert_path;
    listener.tls_cert = other_path;
    settle("it does not belong to tls_cert");
    ck_assert_ptr_eq(tls_for_listener(tls, "main"), before);
    listener.tls_cert = "";
    settings.upstream.tls = false;
    settle(NULL);
    ck_assert(!tls_in_use(tls));
}
END_TEST

static bool after_a_reload(void)
{
    size_t n;

    if (!up())
        return false;
    if (client_sent == 0) {
        certificate("far.example", cert_path, key_path, 90 * 86400);
        settle(NULL);
        ck_assert_int_eq(stream_write(&CLIENT->s, sent, 1000, &n), IO_OK);
        client_sent = n;
    }
    return SERVER->got_len == 1000;
}

/* What is under way goes on with what it began with. */
START_TEST(a_reload)
{
    secured("far.example");
    run(after_a_reload);
    ck_assert_int_eq(memcmp(SERVER->got, sent, 1000), 0);
}
END_TEST

Suite *tls_suite(void)
{
    Suite *suite = suite_create("tls");
    TCase *t = tcase_create("tls");

    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, a_handshake);
    tcase_add_loop_test(t, another_name, 0, 2);
    tcase_add_loop_test(t, names_that_do, 0, 3);
    tcase_add_test(t, an_expired_one);
    tcase_add_test(t, a_self_signed_one);
    tcase_add_test(t, nobody_is_verified);
    tcase_add_test(t, plain_text_on_a_tls_listener);
    tcase_add_test(t, closed_in_a_handshake);
    tcase_add_loop_test(t, little_room, 0, 4);
    tcase_add_loop_test(t, reading_pauses, 0, 2);
    tcase_add_loop_test(t, writes_that_do_not_end, 0, 3);
    tcase_add_test(t, pieces_are_joined);
    tcase_add_loop_test(t, an_end, 0, 2);
    tcase_add_test(t, garbage);
    tcase_add_test(t, hasty);
    tcase_add_test(t, files_that_are_not_what_they_should_be);
    tcase_add_test(t, a_reload);
    suite_add_tcase(suite, t);
    return suite;
}
