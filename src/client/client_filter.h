/* client_filter.h - which clients CLIENT LIST and CLIENT KILL mean. */
#ifndef LARDER_CLIENT_CLIENT_FILTER_H
#define LARDER_CLIENT_CLIENT_FILTER_H

#include "client/client.h"

enum client_type { TYPE_NORMAL, TYPE_PUBSUB, TYPE_OTHER /* master, replica: none of ours */ };

struct client_filter {
    struct slice addr, laddr, user; /* of the request; empty: any */
    uint64_t id;                    /* 0: any */
    uint8_t type;                   /* enum client_type */
    bool by_type, skip_me, old_form;
};

/* The words behind CLIENT KILL. False: *error has the reply. */
MUST_USE
bool client_filter_parse(struct client_filter *f, struct client *c, const struct request *q,
                         struct buffer *error);
MUST_USE
bool client_filter_type(struct client_filter *f, struct slice word, struct buffer *error);
MUST_USE
bool client_filter_matches(const struct client_filter *f, const struct client *c);

#endif
