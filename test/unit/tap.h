/*-------------------------------------------------------------------------
 *
 * tap.h
 *		Say what held and what did not, in TAP.
 *
 * One program, one main() that ends with `return done_testing();`.  Each of
 * the functions prints one line, says on stderr what it got when that is not
 * what was wanted, and returns whether it was.
 *
 * A loop over thousands of cases is one test: collect in a bool, and say
 * which case it was with note().
 *
 *-------------------------------------------------------------------------
 */
#ifndef STEDI_TAP_H
#define STEDI_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static int	tap_run;
static int	tap_failed;

static inline void tap_line(bool passed, const char *fmt, va_list args)
			__attribute__((format(printf, 2, 0)));
static inline bool ok(bool passed, const char *fmt,...)
			__attribute__((format(printf, 2, 3)));
static inline bool is_str(const char *got, const char *want, const char *fmt,...)
			__attribute__((format(printf, 3, 4)));
static inline bool is_int(int64_t got, int64_t want, const char *fmt,...)
			__attribute__((format(printf, 3, 4)));
static inline void note(const char *fmt,...)
			__attribute__((format(printf, 1, 2)));

static inline void
tap_line(bool passed, const char *fmt, va_list args)
{
	tap_run++;
	if (!passed)
		tap_failed++;
	printf("%sok %d - ", passed ? "" : "not ", tap_run);
	vprintf(fmt, args);
	printf("\n");
	fflush(stdout);
}

/* Does it hold? */
static inline bool
ok(bool passed, const char *fmt,...)
{
	va_list		args;

	va_start(args, fmt);
	tap_line(passed, fmt, args);
	va_end(args);
	return passed;
}

/* Are two strings the same?  NULL is a string of its own. */
static inline bool
is_str(const char *got, const char *want, const char *fmt,...)
{
	bool		passed = got && want ? strcmp(got, want) == 0 : got == want;
	va_list		args;

	va_start(args, fmt);
	tap_line(passed, fmt, args);
	va_end(args);
	if (!passed)
		fprintf(stderr, "#      got: %s\n# expected: %s\n",
				got ? got : "(NULL)", want ? want : "(NULL)");
	return passed;
}

/* Are two numbers the same? */
static inline bool
is_int(int64_t got, int64_t want, const char *fmt,...)
{
	va_list		args;

	va_start(args, fmt);
	tap_line(got == want, fmt, args);
	va_end(args);
	if (got != want)
		fprintf(stderr, "#      got: %lld\n# expected: %lld\n",
				(long long) got, (long long) want);
	return got == want;
}

/* Say something about the tests around it. */
static inline void
note(const char *fmt,...)
{
	va_list		args;

	fputs("# ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputs("\n", stderr);
}

/* The plan; the exit status of the program. */
static inline int
done_testing(void)
{
	printf("1..%d\n", tap_run);
	return tap_run > 0 && tap_failed == 0 ? 0 : 1;
}

#endif							/* STEDI_TAP_H */
