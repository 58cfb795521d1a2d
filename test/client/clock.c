/*
 * A clock that is wrong: preloaded into a server by test_newcomer.py.
 *
 * time() is off by STEDI_TEST_CLOCK seconds.  Nobody in PostgreSQL asks it
 * for what matters; stedi dates its requests by it.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <time.h>

time_t
time(time_t *result)
{
	struct timespec now;
	time_t		wrong;

	clock_gettime(CLOCK_REALTIME, &now);
	wrong = now.tv_sec + atol(getenv("STEDI_TEST_CLOCK"));
	if (result != NULL)
		*result = wrong;
	return wrong;
}
