/*
 * Records and rejects are what doc/rules.md says, in whatever pieces the
 * object arrives and however few bytes are kept, and each byte is in one of
 * them or between them.  Guards src/record/frame.c.
 */
#include "framed.h"
#include "fuzz.h"





#define HEADER 8
#define SHORTEST_LIMIT 4

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static Outcome whole;
	static Outcome other;
	Reading		pieces = {0};
	Reading		at_once = {0};
	const char *bytes = (const char *) data + HEADER;
	size_t		len = size - HEADER;

	if (size < HEADER || len >= MAX_ITEMS)
		return 0;

	/*
	 * what is as long as the buffer, and open, may go on until the end is
	 * told
	 */
	pieces.limit = data[0] & 2 ? SHORTEST_LIMIT + data[1] : 0;
	pieces.late = pieces.limit == 0 && (data[0] & 1);
	pieces.max_depth = data[2];
	pieces.sizes = data + 3;
	pieces.n_sizes = HEADER - 3;
	at_once.max_depth = pieces.max_depth;

	framed_run(bytes, len, at_once, &whole);
	framed_expect(bytes, len, pieces.max_depth ? pieces.max_depth : STEDI_MAX_DEPTH, &other);
	CLAIM(is_same(&whole, &other));
	CLAIM(is_covered(bytes, len, &whole));

	at_once.limit = pieces.limit;
	framed_run(bytes, len, at_once, &whole);
	framed_run(bytes, len, pieces, &other);
	CLAIM(is_same(&other, &whole));
	CLAIM(is_covered(bytes, len, &whole));

	for (int reason = STEDI_REASON_NONE; reason <= STEDI_REASON_MISSING + 1; reason++)
		CLAIM(stedi_reason_text(reason)[0] != '\0');
	return 0;
}
