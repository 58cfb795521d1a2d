/*-------------------------------------------------------------------------
 *
 * decode.c
 *		How fast are records framed and decoded?
 *
 * Backend-free, on one core, from bytes in memory to StediField[].  For each
 * shape of records: GB/s and nanoseconds a record, and GB/s of finding the
 * line ends of the same bytes with memchr, which is what there is to be had.
 * Each figure is the best of some passes; each pass must find all records,
 * and the fields that were written.
 *
 *	 decode						the table
 *	 decode SHAPE RECORDS		one pass, nothing else: to count instructions
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "record/record.h"

#define N_RECORDS 200000
#define N_PASSES 15
#define MAX_RECORD 256			/* bytes of a record, and what is around it */
#define MAX_KEYS 5

typedef struct Shape
{
	const char *name;
	bool		step;			/* else an accelerometer's */
	const char *colon;			/* what stands between key and value */
	const char *comma;			/* and between two members */
	const char *end;			/* and behind a record */
	bool		shuffled;		/* each record has its own order of keys */
	int			n_wanted;
} Shape;

static const Shape shapes[] = {
	{"accelerometer", false, ":", ",", "\n", false, 5},
	{"accelerometer-spaced", false, ": ", ", ", "\n", false, 5},
	{"accelerometer-shuffled", false, ":", ",", "\n", true, 5},
	{"accelerometer-back-to-back", false, ":", ",", "", false, 5},
	{"accelerometer-2-wanted", false, ":", ",", "\n", false, 2},
	{"accelerometer-0-wanted", false, ":", ",", "\n", false, 0},
	{"step", true, ":", ",", "\n", false, 3},
	{"step-spaced", true, ": ", ", ", "\n", false, 3},
	{"step-shuffled", true, ":", ",", "\n", true, 3},
	{"step-back-to-back", true, ":", ",", "", false, 3},
	{"step-0-wanted", true, ":", ",", "\n", false, 0},
};

static const char *const accelerometer_keys[] = {"user", "timestamp", "x", "y", "z"};
static const char *const step_keys[] = {"sensorreadingtime", "serialnumber", "distancefromobject"};
static const char *const step_names[] = {"sensorReadingTime", "serialNumber", "distanceFromObject"};

/* Records, and what a reader must find in them. */
typedef struct Landing
{
	char	   *bytes;
	size_t		len;
	int			n_records;
	uint64_t	sum;			/* of the wanted fields; see add_field */
} Landing;

static uint64_t seed = 20220618;

/* A random number below n; the same ones in every run. */
static int
below(int n)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (int) ((seed >> 33) % n);
}

static inline uint64_t
add_field(const StediField *field)
{
	return field->kind + 8 * field->text.len + ((uint64_t) (unsigned char) field->text.data[0] << 32);
}

/* The members of one record, as key and value; the number of them. */
static int
write_values(bool step, int i, char values[][64])
{
	static const char *const people[] = {
		"Craig.Wu@test.com", "Jo.Ng@test.com", "Angie.Fayad@test.com", "Santosh.Phillips@test.com",
		"Eva.Li@test.com", "Bobby.Abdallah@test.com", "Liz.Habschied@test.com", "Ben.Ko@test.com",
	};

	if (step)
	{
		sprintf(values[0], "%lld", 1655564172120LL + i * 30LL);
		sprintf(values[1], "\"%08x-44b7-4016-a584-%012x\"", (unsigned) below(1 << 30), (unsigned) below(1 << 30));
		sprintf(values[2], "%d", below(1000));
		return 3;
	}
	sprintf(values[0], "\"%s\"", people[below(8)]);
	sprintf(values[1], "%lld", 1655564455341LL + i * 30LL);
	for (int k = 2; k < 5; k++)
		sprintf(values[k], "%d.0", below(3) - 1);
	return 5;
}

/* Write one record behind the others. */
static void
add_record(Landing *landing, const Shape *shape, int i)
{
	const char *const *names = shape->step ? step_names : accelerometer_keys;
	char		values[MAX_KEYS][64];
	int			order[MAX_KEYS] = {0, 1, 2, 3, 4};
	int			n = write_values(shape->step, i, values);
	char	   *p = landing->bytes + landing->len;

	for (int k = n - 1; shape->shuffled && k > 0; k--)
	{
		int			other = below(k + 1);
		int			kept = order[k];

		order[k] = order[other];
		order[other] = kept;
	}
	*p++ = '{';
	for (int k = 0; k < n; k++)
	{
		const char *value = values[order[k]];
		bool		string = (value[0] == '"');
		StediField	field = {string ? STEDI_FIELD_STRING : STEDI_FIELD_NUMBER,
		{value + string, strlen(value) - 2 * string}};

		p += sprintf(p, "%s\"%s\"%s%s", k ? shape->comma : "", names[order[k]],
					 shape->colon, value);
		if (order[k] < shape->n_wanted)
			landing->sum += add_field(&field);
	}
	*p++ = '}';
	p += sprintf(p, "%s", shape->end);
	landing->len = p - landing->bytes;
}

static Landing
make_landing(const Shape *shape, int n_records)
{
	Landing		landing = {NULL, 0, n_records, 0};

	landing.bytes = malloc((size_t) n_records * MAX_RECORD + STEDI_BYTES_PADDING);
	if (landing.bytes == NULL)
		abort();
	for (int i = 0; i < n_records; i++)
		add_record(&landing, shape, i);
	return landing;
}

/* Read all records; are they what was written? */
static bool
read_records(const Landing *landing, const StediSlice *keys, int n_keys)
{
	StediFramer framer;
	StediDecoder decoder;
	StediField	fields[MAX_KEYS];
	StediFrameStatus status;
	size_t		pos = 0;
	uint64_t	sum = 0;
	int			n = 0;

	stedi_frame_init(&framer);
	stedi_decode_init(&decoder, keys, n_keys);
	for (;;)
	{
		StediSlice	record;
		size_t		used;
		bool		decoded;
		int			where;

		status = stedi_decode_next(&decoder, &framer, landing->bytes + pos, landing->len - pos,
								   true, &record, &used, fields, &decoded);
		pos += used;
		if (status != STEDI_FRAME_RECORD)
			break;
		if (!decoded && stedi_decode_record(&decoder, record, fields, &where) != STEDI_REASON_NONE)
			break;
		n++;
		for (int k = 0; k < n_keys; k++)
			sum += add_field(&fields[k]);
	}
	stedi_decode_release(&decoder);
	return status == STEDI_FRAME_END && pos == landing->len && n == landing->n_records &&
		sum == landing->sum;
}

/* Find all line ends: how many? */
static int
read_lines(const Landing *landing)
{
	const char *p = landing->bytes;
	const char *end = p + landing->len;
	int			n = 0;

	while (p < end && (p = memchr(p, '\n', end - p)) != NULL)
	{
		p++;
		n++;
	}
	return n;
}

static double
now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

/* Measure one shape, or pass over it once; false when an answer is wrong. */
static bool
run_shape(const Shape *shape, int n_records, bool once)
{
	const char *const *names = shape->step ? step_keys : accelerometer_keys;
	StediSlice	keys[MAX_KEYS];
	Landing		landing = make_landing(shape, n_records);
	double		decode_best = 1e9;
	double		lines_best = 1e9;
	bool		right = true;

	for (int k = 0; k < shape->n_wanted; k++)
	{
		keys[k].data = names[k];
		keys[k].len = strlen(names[k]);
	}
	for (int pass = 0; pass < (once ? 1 : N_PASSES) && right; pass++)
	{
		double		start = now();
		double		middle;
		double		end;
		int			lines;

		right = read_records(&landing, keys, shape->n_wanted);
		middle = now();
		lines = once ? 0 : read_lines(&landing);
		end = now();
		right = right && (once || lines == (*shape->end ? n_records : 0));
		if (middle - start < decode_best)
			decode_best = middle - start;
		if (end - middle < lines_best)
			lines_best = end - middle;
	}
	printf("%-28s", shape->name);
	if (!right)
		printf(" WRONG");
	else if (once)
		printf(" %d records, %zu bytes", n_records, landing.len);
	else
		printf(" %6.1f %8.2f %8.1f %8.2f", (double) landing.len / n_records,
			   landing.len / decode_best / 1e9, decode_best / n_records * 1e9,
			   *shape->end ? landing.len / lines_best / 1e9 : 0);
	printf("\n");
	free(landing.bytes);
	return right;
}

int
main(int argc, char **argv)
{
	bool		right = true;

	if (argc != 1 && (argc != 3 || atoi(argv[2]) <= 0))
	{
		fprintf(stderr, "usage: decode [SHAPE RECORDS]\n");
		return 2;
	}
	if (argc == 1)
		printf("%-28s %6s %8s %8s %8s\n", "records", "bytes", "GB/s", "ns each", "memchr");
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
		if (argc == 1 || strcmp(argv[1], shapes[i].name) == 0)
			right = run_shape(&shapes[i], argc == 1 ? N_RECORDS : atoi(argv[2]), argc > 1) && right;
	return right ? 0 : 1;
}
