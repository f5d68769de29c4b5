/* role_check.c - see role_check.h. A connection for each check: how the pool's links are doing is
 * no matter, and a server that was replaced by another is not asked over an old one. */
#include "upstream/role_check.h"

#include "net/loop.h"

#define CHECK_MS 1000u /* for an answer; at most connect_timeout */

enum check_step { CHECK_AUTH, CHECK_ROLE, CHECK_INFO };

static const struct talk_ops check_ops;

void role_check_init(struct role_check *c, struct loop *loop, struct resolver *resolver,
                     role_found_fn *found)
{
    *c = (struct role_check){.found = found};
    talk_init(&c->talk, loop, resolver, &check_ops);
}

void role_check_done(struct role_check *c)
{
    talk_done(&c->talk);
}

void role_check_begin(struct role_check *c, const struct place *place,
                      const struct sock_address *prefer, const struct upstream_settings *settings)
{
    uint64_t most = settings->connect_timeout;
    struct address to;

    talk_close(&c->talk);
    c->place = *place;
    to = place_address(&c->place);
    talk_open(&c->talk, &to, prefer, CHECK_MS < most ? CHECK_MS : most);
    c->step =
        talk_log_in(&c->talk, settings->username, settings->password) ? CHECK_AUTH : CHECK_ROLE;
    talk_say(&c->talk, "ROLE", NULL);
}

void role_check_end(struct role_check *c)
{
    talk_close(&c->talk);
    c->place.host[0] = 0;
}

static void find(struct role_check *c, enum role_found found, struct slice why)
{
    c->at = c->talk.at;
    talk_close(&c->talk);
    c->found(c, found, why);
}

static void on_reply(struct talk *t, struct slice reply)
{
    struct role_check *c = CONTAINER_OF(t, struct role_check, talk);

    if (c->step == CHECK_AUTH) {
        c->step = CHECK_ROLE; /* refused or not: ROLE may be allowed, or else is refused, too */
        return;
    }
    switch (says_role(reply)) {
    case ROLE_MASTER:
        find(c, FOUND_MASTER, slice_of("", 0));
        break;
    case ROLE_OTHER:
        find(c, FOUND_OTHER, slice_of("", 0));
        break;
    case ROLE_UNTOLD:
        if (c->step == CHECK_ROLE) {
            c->step = CHECK_INFO;
            talk_say(t, "INFO", "replication", NULL);
        } else {
            find(c, FOUND_UNTOLD, says_error(reply));
        }
        break;
    }
}

static void on_ended(struct talk *t, const char *why)
{
    find(CONTAINER_OF(t, struct role_check, talk), FOUND_NOBODY, slice_str(why));
}

static const struct talk_ops check_ops = {on_reply, on_ended};
