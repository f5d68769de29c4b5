/* tenant_mistakes.h - what is wrong with [tenant] sections together, and with what names them. */
#ifndef LARDER_CONFIG_TENANT_MISTAKES_H
#define LARDER_CONFIG_TENANT_MISTAKES_H

#include "config/draft.h"

/* Tells them all, at the line of the setting that is wrong. */
void tenant_mistakes_find(struct draft *d);

#endif
