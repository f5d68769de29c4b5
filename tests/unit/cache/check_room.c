/* check_room.c - */
#include "inspect.h"
#include "suites.h"

Suite *room_suite(void)
{
    return suite_create("room");
}
