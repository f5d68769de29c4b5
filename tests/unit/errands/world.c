/* world.c - the scripted server and the loop by turns, as the tests of upstream/ have them. */
#include "unit/upstream/world.c"
