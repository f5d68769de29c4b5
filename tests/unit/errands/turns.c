/* turns.c - see unit/upstream/turns.h. */
#include "unit/upstream/turns.c"
