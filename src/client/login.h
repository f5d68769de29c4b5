/* login.h - AUTH, and what HELLO has of it. */
#ifndef LARDER_CLIENT_LOGIN_H
#define LARDER_CLIENT_LOGIN_H

#include "client/client.h"

enum next auth_serve(struct client *c, const struct request *q);

/* Is a login decided here, and not by the upstream? */
MUST_USE
bool logs_in_here(const struct client *c);
enum login {
    LOGIN_WRONG,
    LOGIN_FULL, /* the tenant has its max_clients */
    LOGIN_OK,
};
/* Then: with these the client is logged in. Where there are tenants, client_quiet(c). */
MUST_USE
enum login login_here(struct client *c, struct slice user, struct slice password);
/* .. or is told that it is not, and why: what login_here() has said. */
enum next login_failed(struct client *c, enum login how);
/* Else: puts the login, which came in `bytes`, to the upstream. proto: of HELLO, else 0. */
enum next login_upstream(struct client *c, struct slice user, struct slice password,
                         struct slice bytes, int32_t proto);

#endif
