/* turns.h - the loop, turn by turn, with a clock that can be moved. */
#ifndef LARDER_TESTS_UPSTREAM_TURNS_H
#define LARDER_TESTS_UPSTREAM_TURNS_H

#include <stdint.h>

struct loop;

/* The end of the turn in which the test acted, and one turn more: waits for something to happen. */
void turn(struct loop *loop);
/* The clock of the loop goes ahead by that much, for the turns that follow. */
void clock_move(uint64_t ms);

#endif
