/* expand.h - ${VAR} and ${VAR:-default} in values, from the environment.
 *
 * What is put in is not looked at again: a variable's value may hold ${ and $$ as it likes. $$ is
 * one $, also within a default; a $ before anything but $ and { is itself. An empty variable is
 * set for ${VAR} and unset for ${VAR:-default}, as in the shell. */
#ifndef LARDER_CONFIG_EXPAND_H
#define LARDER_CONFIG_EXPAND_H

#include "base/buffer.h"
#include "base/check.h"
#include "base/slice.h"

enum expand_result {
    EXPAND_OK,
    EXPAND_OPEN,   /* no } */
    EXPAND_NAME,   /* what is between the braces is no name of a variable */
    EXPAND_NESTED, /* ${ within a default */
    EXPAND_UNSET,  /* no such variable, and no default */
    EXPAND_LONG,   /* more than CONFIG_VALUE_BYTES */
};

/* Appends the expanded text to *out. On failure *out is as it was and *ret_where the part of text
 * that is wrong: for EXPAND_UNSET the name, else from the ${ on. */
MUST_USE
enum expand_result expand(struct slice text, struct buffer *out, struct slice *ret_where);

/* What is wrong, for a message. */
const char *expand_why(enum expand_result result);

#endif
