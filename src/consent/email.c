/*-------------------------------------------------------------------------
 *
 * email.c
 *		Who an e-mail names: its normal form, and whom it looks like.
 *
 * Backend-free (see record.h).  doc/rules.md says what the form is: Unicode's
 * NFKC_Casefold, without what nobody can see, trimmed.
 *
 *	 UTF-8 --> code points, each mapped and decomposed --> marks in order
 *		--> composed --> trimmed --> UTF-8
 *
 * Why not the server's functions: theirs differ from version to version, as
 * Unicode grows, and have no case folding before 18.  A person would become
 * another one by pg_upgrade.  The tables are of one version of Unicode, that
 * of the oldest server; code points that it does not have stay as they are,
 * and nothing that it has will ever be mapped otherwise (Unicode's policy of
 * stability).  The form is that of UTF-8 in a database of any encoding.
 * What it costs is paid for e-mails beyond ASCII alone; see consent_fold().
 *
 *-------------------------------------------------------------------------
 */
#include "consent/set.h"
#include "consent/email_table.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* A code point, and above it its canonical combining class. */
#define CLASS_SHIFT 24
#define CODE(packed) ((packed) & 0x1FFFFF)
#define CLASS(packed) ((packed) >> CLASS_SHIFT)

/* Marks behind one letter that are sorted one by one; of more, by counting. */
#define FEW_MARKS 32

/* Hangul syllables are computed, as the Unicode Standard, 3.12, has it. */
#define HANGUL 0xAC00
#define HANGUL_L 0x1100
#define HANGUL_V 0x1161
#define HANGUL_T 0x11A7
#define N_HANGUL_L 19
#define N_HANGUL_V 21
#define N_HANGUL_T 28
#define N_HANGUL (N_HANGUL_L * N_HANGUL_V * N_HANGUL_T)

#define DOT_ABOVE 0x307
#define CLASS_ABOVE 230

static inline bool
is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

StediSlice
stedi_email_trim(StediSlice text)
{
	while (text.len > 0 && is_space(text.data[0]))
	{
		text.data++;
		text.len--;
	}
	while (text.len > 0 && is_space(text.data[text.len - 1]))
		text.len--;
	return text;
}

/* Read one code point; false: the bytes are not UTF-8. */
static bool
read_code(const unsigned char **p, const unsigned char *end, uint32_t *code)
{
	static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
	unsigned char first = *(*p)++;
	int			n_more = first < 0x80 ? 0 : first < 0xC2 ? -1 : first < 0xE0 ? 1 : first < 0xF0 ? 2 :
	first < 0xF5 ? 3 : -1;

	if (n_more < 0 || end - *p < n_more)
		return false;
	*code = n_more == 0 ? first : first & (0x3F >> n_more);
	for (int i = 0; i < n_more; i++, (*p)++)
	{
		if ((**p & 0xC0) != 0x80)
			return false;
		*code = *code << 6 | (**p & 0x3F);
	}
	return *code >= least[n_more] && *code <= 0x10FFFF && (*code < 0xD800 || *code > 0xDFFF);
}

/* Write one code point; returns the byte behind it. */
static char *
write_code(char *p, uint32_t code)
{
	if (code < 0x80)
	{
		*p++ = (char) code;
		return p;
	}
	if (code < 0x800)
		*p++ = (char) (0xC0 | code >> 6);
	else
	{
		if (code < 0x10000)
			*p++ = (char) (0xE0 | code >> 12);
		else
		{
			*p++ = (char) (0xF0 | code >> 18);
			*p++ = (char) (0x80 | (code >> 12 & 0x3F));
		}
		*p++ = (char) (0x80 | (code >> 6 & 0x3F));
	}
	*p++ = (char) (0x80 | (code & 0x3F));
	return p;
}

/* The row of a sorted table of first, last (or second), value; or NULL. */
static const uint32_t *
find_row(const uint32_t (*rows)[3], size_t n_rows, uint32_t code, uint32_t second, bool ranges)
{
	size_t		low = 0;
	size_t		high = n_rows;

	while (low < high)
	{
		size_t		middle = low + (high - low) / 2;
		const uint32_t *row = rows[middle];

		if (code < row[0] || (!ranges && code == row[0] && second < row[1]))
			high = middle;
		else if (ranges ? code > row[1] : code > row[0] || second > row[1])
			low = middle + 1;
		else
			return row;
	}
	return NULL;
}

/* With its class above it. */
static uint32_t
pack_code(uint32_t code)
{
	const uint32_t *row;

	if (code < 0x300)
		return code;
	row = find_row(email_classes, LENGTH(email_classes), code, 0, true);
	return row == NULL ? code : code | row[2] << CLASS_SHIFT;
}

/* Put what a code point is mapped to; returns how many code points there are. */
static size_t
put_code(uint32_t *codes, size_t n, uint32_t code)
{
	const uint32_t *sequence;

	if (code >= HANGUL && code < HANGUL + N_HANGUL)
	{
		uint32_t	syllable = code - HANGUL;

		codes[n++] = HANGUL_L + syllable / (N_HANGUL_V * N_HANGUL_T);
		codes[n++] = HANGUL_V + syllable % (N_HANGUL_V * N_HANGUL_T) / N_HANGUL_T;
		if (syllable % N_HANGUL_T != 0)
			codes[n++] = HANGUL_T + syllable % N_HANGUL_T;
		return n;
	}
	if (code >= EMAIL_FIRST_TAG && code <= EMAIL_LAST_TAG)
		return n;
	sequence = code >= EMAIL_TABLE_END ? email_pool :
		email_pool + email_pages[email_index[code / EMAIL_PAGE] * EMAIL_PAGE + code % EMAIL_PAGE];
	if (sequence == email_pool)
		codes[n++] = pack_code(code);
	else
		for (uint32_t i = 0; i < sequence[0] >> CLASS_SHIFT; i++)
			codes[n++] = pack_code(CODE(sequence[i]));
	return n;
}

/* Sort marks by their class, equal ones as they stand; scratch has room for them. */
static void
sort_marks(uint32_t *marks, size_t n, uint32_t *scratch)
{
	size_t		places[256] = {0};

	if (n <= FEW_MARKS)
	{
		for (size_t i = 1; i < n; i++)
		{
			uint32_t	mark = marks[i];
			size_t		k = i;

			for (; k > 0 && CLASS(marks[k - 1]) > CLASS(mark); k--)
				marks[k] = marks[k - 1];
			marks[k] = mark;
		}
		return;
	}
	for (size_t i = 0; i < n; i++)
		places[CLASS(marks[i])]++;
	for (size_t class = 0, place = 0; class < 256; class++)
	{
		size_t		of_class = places[class];

		places[class] = place;
		place += of_class;
	}
	for (size_t i = 0; i < n; i++)
		scratch[places[CLASS(marks[i])]++] = marks[i];
	memcpy(marks, scratch, n * sizeof(uint32_t));
}

/* Canonical order. */
static void
sort_all_marks(uint32_t *codes, size_t n, uint32_t *scratch)
{
	for (size_t i = 0; i < n;)
	{
		size_t		first = i;

		while (i < n && CLASS(codes[i]) != 0)
			i++;
		if (i - first > 1)
			sort_marks(codes + first, i - first, scratch);
		if (i == first)
			i++;
	}
}

/*
 * Remove dots above letters that have one already: of an i with and without,
 * nobody sees which it is.  The small letter of the Turkish capital is that.
 */
static size_t
drop_soft_dots(uint32_t *codes, size_t n)
{
	bool		soft = false;
	size_t		kept = 0;

	for (size_t i = 0; i < n; i++)
	{
		uint32_t	code = CODE(codes[i]);

		if (CLASS(codes[i]) == 0)
			soft = code == 'i' || code == 'j' || code == 0x456 || code == 0x458;
		else if (CLASS(codes[i]) == CLASS_ABOVE && code != DOT_ABOVE)
			soft = false;
		if (!soft || code != DOT_ABOVE)
			codes[kept++] = codes[i];
	}
	return kept;
}

/* What two code points compose to; 0: nothing. */
static uint32_t
compose_two(uint32_t first, uint32_t second)
{
	const uint32_t *row;

	if (first >= HANGUL_L && first < HANGUL_L + N_HANGUL_L &&
		second >= HANGUL_V && second < HANGUL_V + N_HANGUL_V)
		return HANGUL + ((first - HANGUL_L) * N_HANGUL_V + (second - HANGUL_V)) * N_HANGUL_T;
	if (first >= HANGUL && first < HANGUL + N_HANGUL && (first - HANGUL) % N_HANGUL_T == 0 &&
		second > HANGUL_T && second < HANGUL_T + N_HANGUL_T)
		return first + (second - HANGUL_T);
	row = find_row(email_composites, LENGTH(email_composites), first, second, false);
	return row == NULL ? 0 : row[2];
}

/* Canonical composition, in place; returns how many code points are left. */
static size_t
compose(uint32_t *codes, size_t n)
{
	size_t		starter = 0;
	size_t		kept = n > 0 ? 1 : 0;
	int			last_class = -1;	/* of what stands behind the starter */

	for (size_t i = 1; i < n; i++)
	{
		int			class = (int) CLASS(codes[i]);
		uint32_t	both = last_class < class ? compose_two(CODE(codes[starter]), CODE(codes[i])) : 0;

		if (both != 0)
		{
			codes[starter] = both;
			continue;
		}
		if (class == 0)
			starter = kept;
		last_class = class == 0 ? -1 : class;
		codes[kept++] = codes[i];
	}
	return kept;
}

StediSlice
stedi_email_ascii(StediSlice email, char *room)
{
	email = stedi_email_trim(email);
	(void) consent_fold(room, email);
	email.data = room;
	return email;
}

/* The form of what is trimmed already, as it is where all of it is plain. */
static bool
make_form(StediSlice email, uint32_t *room, StediSlice *form)
{
	const unsigned char *p = (const unsigned char *) email.data;
	const unsigned char *end = p + email.len;
	char	   *out = (char *) room;
	size_t		first = 0;
	size_t		n = 0;
	uint32_t	code;

	while (p < end)
	{
		if (!read_code(&p, end, &code))
			return false;
		n = put_code(room, n, code);
	}
	sort_all_marks(room, n, room + n);
	n = compose(room, drop_soft_dots(room, n));
	while (first < n && room[first] == ' ')
		first++;
	while (n > first && room[n - 1] == ' ')
		n--;

	/* a code point's bytes are not longer than its place */
	for (size_t i = first; i < n; i++)
		out = write_code(out, CODE(room[i]));
	form->data = (const char *) room;
	form->len = out - (char *) room;
	return true;
}

StediSlice
stedi_email_form(StediSlice email, uint32_t *room)
{
	StediSlice	form;

	email = stedi_email_trim(email);
	if (email.len <= STEDI_EMAIL_LONGEST && make_form(email, room, &form))
		return form;
	return stedi_email_ascii(email, (char *) room);
}

/* What looks like an ASCII character, in a form's code points; sorted. */
static const uint32_t looks[][2] = {
	{'0', 'o'}, {'1', 'l'}, {'|', 'l'}, {0x131, 'i'}, {0x1C0, 'l'}, {0x251, 'a'}, {0x261, 'g'},
	{0x269, 'i'}, {0x26A, 'i'}, {0x2BC, '\''}, {0x3B1, 'a'}, {0x3B2, 'b'}, {0x3B3, 'y'},
	{0x3B5, 'e'}, {0x3B6, 'z'}, {0x3B7, 'h'}, {0x3B9, 'i'}, {0x3BA, 'k'}, {0x3BC, 'm'},
	{0x3BD, 'v'}, {0x3BF, 'o'}, {0x3C1, 'p'}, {0x3C4, 't'}, {0x3C5, 'y'}, {0x3C7, 'x'},
	{0x3C9, 'w'}, {0x3F2, 'c'}, {0x3F3, 'j'}, {0x430, 'a'}, {0x432, 'b'}, {0x435, 'e'},
	{0x43A, 'k'}, {0x43C, 'm'}, {0x43D, 'h'}, {0x43E, 'o'}, {0x440, 'p'}, {0x441, 'c'},
	{0x442, 't'}, {0x443, 'y'}, {0x445, 'x'}, {0x455, 's'}, {0x456, 'i'}, {0x458, 'j'},
	{0x475, 'v'}, {0x4AF, 'y'}, {0x4BB, 'h'}, {0x4CF, 'l'}, {0x501, 'd'}, {0x51B, 'q'},
	{0x51D, 'w'}, {0x566, 'q'}, {0x570, 'h'}, {0x578, 'n'}, {0x57D, 'u'}, {0x581, 'g'},
	{0x585, 'o'}, {0x2010, '-'}, {0x2012, '-'}, {0x2013, '-'}, {0x2014, '-'}, {0x2018, '\''},
	{0x2019, '\''}, {0x2212, '-'}, {0x3002, '.'},
};

StediSlice
stedi_email_skeleton(StediSlice form, char *room)
{
	const unsigned char *p = (const unsigned char *) form.data;
	const unsigned char *end = p + form.len;
	StediSlice	skeleton = {room, 0};
	char	   *out = room;
	uint32_t	code;

	while (p < end)
	{
		if (!read_code(&p, end, &code))
			return form;
		for (size_t i = 0; i < LENGTH(looks); i++)
			if (looks[i][0] == code)
			{
				code = looks[i][1];
				break;
			}
		out = write_code(out, code);
	}
	skeleton.len = out - room;
	return skeleton;
}
