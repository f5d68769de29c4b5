/* contradictions.h - settings that are right alone and wrong together. */
#ifndef LARDER_CONFIG_CONTRADICTIONS_H
#define LARDER_CONFIG_CONTRADICTIONS_H

#include "config/draft.h"

/* Adds a mistake for each, at the line that set one of them. */
void contradictions_find(struct draft *d);

#endif
