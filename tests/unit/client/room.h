/* room.h - a client on one end of a pair of sockets, without a server behind it: the test says when
 * replies have come, and how much the socket takes. */
#ifndef LARDER_TESTS_CLIENT_ROOM_H
#define LARDER_TESTS_CLIENT_ROOM_H

#include "client/client.h"

struct room {
    struct clients *all;
    struct client *c;
    struct buffer got; /* what the client has been sent so far */
};

/* A test has a process of its own. */
extern struct room room;

void room_open(void);
/* Closes and frees everything; whatever is left is a leak. */
void room_close(void);
/* Another client, with a socket that nobody reads. */
MUST_USE
struct client *room_another(void);

/* From now on the sockets take so many bytes, then nothing. */
#define ALL_BYTES SIZE_MAX
void room_takes(size_t bytes);
/* The end of a turn: what is queued is sent as far as it is taken, who is buried is freed. */
void room_beat(void);
/* What the client has been sent so far is exactly this. */
void room_got(struct slice expected);

#endif
