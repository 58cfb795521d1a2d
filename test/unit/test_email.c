/*
 * An e-mail has one normal form, however it is spelled: white space of every
 * kind, what nobody sees, case, width and composition make nobody another
 * person, and the form is its own form.  Guards src/consent/email.c, src/consent/email_table.h
 * and consent_fold() of src/consent/set.h.  test/client/test_email.py holds the
 * form of every code point against Python's and PostgreSQL's Unicode.
 */
#include <stdlib.h>

#include "consent/set.h"
#include "tap.h"

#define LAST_CODE 0x10FFFF

static uint32_t room[STEDI_EMAIL_ROOM(4096)];

static StediSlice
slice(const char *text)
{
	StediSlice	slice = {text, strlen(text)};

	return slice;
}

static bool
same(StediSlice one, StediSlice other)
{
	return one.len == other.len && memcmp(one.data, other.data, one.len) == 0;
}

static void
has_form(const char *email, const char *form)
{
	StediSlice	got = stedi_email_form(slice(email), room);

	ok(same(got, slice(form)), "%d bytes whose form is \"%s\", got \"%.*s\"", (int) strlen(email), form,
	   (int) got.len, got.data);
}

/* A code point in UTF-8; returns its bytes. */
static size_t
encode(char *p, uint32_t code)
{
	if (code < 0x80)
	{
		p[0] = (char) code;
		return 1;
	}
	if (code < 0x800)
	{
		p[0] = (char) (0xC0 + code / 64);
		p[1] = (char) (0x80 + code % 64);
		return 2;
	}
	if (code < 0x10000)
	{
		p[0] = (char) (0xE0 + code / 4096);
		p[1] = (char) (0x80 + code / 64 % 64);
		p[2] = (char) (0x80 + code % 64);
		return 3;
	}
	p[0] = (char) (0xF0 + code / 262144);
	p[1] = (char) (0x80 + code / 4096 % 64);
	p[2] = (char) (0x80 + code / 64 % 64);
	p[3] = (char) (0x80 + code % 64);
	return 4;
}

static void
test_forms(void)
{
	/* ASCII */
	has_form("ann@example.com", "ann@example.com");
	has_form(" \t\n\v\f\rAnn@Example.COM ", "ann@example.com");
	has_form("a b@x", "a b@x");
	has_form("", "");
	has_form(" \t", "");
	has_form("\x01" "a\x7f" "b\x1f", "ab");
	/* white space, and what nobody sees */
	has_form("\u00a0\u2003\u3000" "ann@x\u2028\xc2\x85\u2800", "ann@x");
	has_form("a\u00a0b\tc@x", "a b c@x");
	has_form("\ufeff" "a\u200b\u200c\u200d\u2060n\u00adn\ufe0f\u202e@x\U000e0061\u115f", "ann@x");
	has_form("\u200b\u00a0\ufeff", "");
	has_form("\u200b \u200b" "ann@x", "ann@x");
	/* case */
	has_form("\u00c9\u0416\u03a3\u10a0\U00010400@X", "\u00e9\u0436\u03c3\u2d00\U00010428@x");
	has_form("stra\u00dfe@x", "strasse@x");
	has_form("STRA\u1e9eE@x", "strasse@x");
	has_form("\u03bf\u03b4\u03cc\u03c2", "\u03bf\u03b4\u03cc\u03c3");
	has_form("\u01c4\u01c5\u01c6", "d\u017ed\u017ed\u017e");
	has_form("\u0130van", "ivan");
	has_form("i\u0307van", "ivan");
	has_form("i\u0307\u0307\u0323\u0301", "\u1ecb\u0301");
	has_form("\u0131van", "\u0131van");
	/* composition, order, width, other forms of a letter */
	has_form("e\u0301@x", "\u00e9@x");
	has_form("e\u200d\u0301@x", "\u00e9@x");
	has_form("a\u0323\u0302", "\u1ead");
	has_form("a\u0302\u0323", "\u1ead");
	has_form("\u1112\u1161\u11ab\ud55c\ud558", "\ud55c\ud55c\ud558");
	has_form("\uff21\uff42\uff20x", "ab@x");
	has_form("\ufb01\u212a\U0001d41a\u24d0", "fikaa");
	has_form("\ufdfa", "\u0635\u0644\u0649 \u0627\u0644\u0644\u0647 \u0639\u0644\u064a\u0647 \u0648\u0633\u0644\u0645");
	/* not in Unicode 14: as it stands */
	has_form("\U0001e030\U000e01f0X", "\U0001e030x");
	/* not UTF-8: ASCII's form */
	has_form(" \xc9" "NN ", "\xc9" "nn");
	has_form("\xc0\xafX", "\xc0\xafx");
	has_form("\xed\xa0\x80X", "\xed\xa0\x80x");
	has_form("\xf4\x90\x80\x80X", "\xf4\x90\x80\x80x");
	has_form("\xf8X", "\xf8x");
	has_form("\xe2\x80", "\xe2\x80");
}

/* Every code point alone, and within a word. */
static void
test_codes(void)
{
	uint32_t   *again = malloc(sizeof(room));
	int			n_wrong = 0;
	int			n_plain = 0;

	for (uint32_t code = 1; code <= LAST_CODE; code++)
	{
		char		email[16] = "\u00e9";	/* never plain */
		char		ascii[16];
		char		plain[16];
		StediSlice	who = {email, 2 + encode(email + 2, code)};
		StediSlice	form = stedi_email_form(who, room);

		if (code >= 0xD800 && code <= 0xDFFF)
			continue;
		n_wrong += !same(form, stedi_email_form(form, again));
		n_wrong += !same(form, stedi_email_form(stedi_email_ascii(who, ascii), again));
		who.data = email + 2;
		who.len -= 2;
		if (stedi_email_trim(who).len == who.len && consent_fold(plain, who))
		{
			StediSlice	folded = {plain, who.len};

			n_plain++;
			n_wrong += !same(stedi_email_form(who, room), folded);
		}
	}
	is_int(n_wrong, 0, "every code point's form is its own form, and that of form 1");
	is_int(n_plain, '~' - ' ', "what is plain has the form of ASCII");
	free(again);
}

/* Words of letters, marks and what is hard, at random. */
static void
test_words(void)
{
	static const uint32_t hard[] = {
		' ', 'i', 'I', 'a', 0x300, 0x301, 0x307, 0x308, 0x323, 0x327, 0x345, 0x130, 0x131, 0x3B1, 0x3A3,
		0x1100, 0x1161, 0x11A8, 0xAC00, 0xB4, 0x200B, 0xA0, 0x1E9B, 0xFDFA, 0x1D15E, 0x9C7, 0x9BE, 0x456,
		0x1FB3, 0x390, 0x149, 0xDF, 0x2126, 0x2F800, 0x110BA, 0x11099, 0x5B0, 0x94D, 0x3099, 0x304B,
	};
	uint32_t   *again = malloc(sizeof(room));
	uint64_t	seed = 14;
	int			n_wrong = 0;

	for (int word = 0; word < 200000; word++)
	{
		char		email[64];
		StediSlice	who = {email, 0};
		StediSlice	form;

		for (int i = 0; i < 12; i++)
		{
			uint32_t	random;

			seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
			random = (uint32_t) (seed >> 33);
			who.len += encode(email + who.len, random % 8 > 0 ? hard[random / 8 % (sizeof(hard) / sizeof(hard[0]))] :
							  random / 8 % 0xD7FF + 1);
		}
		form = stedi_email_form(who, room);
		n_wrong += !same(form, stedi_email_form(form, again));
	}
	is_int(n_wrong, 0, "every word's form is its own form");
	free(again);
}

/* Many marks are sorted as few are; what is too long has form 1. */
static void
test_long(void)
{
	size_t		len = STEDI_EMAIL_LONGEST + 10;
	char	   *email = malloc(len);
	uint32_t   *large = malloc(STEDI_EMAIL_ROOM(STEDI_EMAIL_LONGEST) * sizeof(uint32_t));
	StediSlice	who = {email, 1};
	StediSlice	form;
	bool		sorted = true;

	email[0] = 'q';
	for (int i = 0; i < 500; i++)
		who.len += encode(email + who.len, i % 2 ? 0x323 : 0x301);
	form = stedi_email_form(who, large);
	is_int(form.len, 1001, "no mark is lost");
	for (int i = 0; i < 500; i++)
		sorted = sorted && memcmp(form.data + 1 + 2 * i, i < 250 ? "\u0323" : "\u0301", 2) == 0;
	ok(sorted, "marks below come before those above");
	memset(email, 'A', len);
	memcpy(email, "\u00c9", 2);
	who.len = STEDI_EMAIL_LONGEST;
	form = stedi_email_form(who, large);
	ok(form.len == who.len && memcmp(form.data, "\u00e9" "aa", 4) == 0, "the longest one");
	who.len++;
	form = stedi_email_form(who, large);
	ok(form.len == who.len && memcmp(form.data, "\u00c9" "aa", 4) == 0, "one that is longer");
	free(email);
	free(large);
}

/* Eight bytes at a time, or one: each byte at each place of words of any length. */
static void
test_fold(void)
{
	int			n_wrong = 0;

	for (size_t len = 1; len <= 20; len++)
		for (size_t place = 0; place < len; place++)
			for (int byte = 0; byte < 256; byte++)
			{
				char	   *word = malloc(len);
				char	   *folded = malloc(len);
				StediSlice	text = {word, len};

				memset(word, 'x', len);
				word[place] = (char) byte;
				n_wrong += consent_fold(folded, text) != (byte >= ' ' && byte <= '~');
				if (byte >= 'A' && byte <= 'Z')
					word[place] += 'a' - 'A';
				n_wrong += memcmp(folded, word, len) != 0;
				free(word);
				free(folded);
			}
	is_int(n_wrong, 0, "each byte is folded, and known to be plain");
}

static void
looks_like(const char *one, const char *other, bool alike)
{
	char		bones[2][64];

	ok(same(stedi_email_skeleton(slice(one), bones[0]), stedi_email_skeleton(slice(other), bones[1])) == alike,
	   "\"%s\" looks %slike \"%s\"", one, alike ? "" : "not ", other);
}

static void
test_skeletons(void)
{
	looks_like("ann@x", "\u0430nn@x", true);
	looks_like("ivan@x", "\u0131van@x", true);
	looks_like("bob1@x", "bobl@x", true);
	looks_like("b0b@x", "bob@x", true);
	looks_like("p0@x", "p1@x", false);
	looks_like("ann@x", "anna@x", false);
	looks_like("\u00e9@x", "e@x", false);
	looks_like("\xff@x", "\xfe@x", false);
}

int
main(void)
{
	test_forms();
	test_codes();
	test_words();
	test_long();
	test_fold();
	test_skeletons();
	return done_testing();
}
