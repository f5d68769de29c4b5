/* check_table.c - */
#include "inspect.h"
#include "suites.h"

Suite *table_suite(void)
{
    return suite_create("table");
}
