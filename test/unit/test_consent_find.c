/*
 * A consent set finds its members and nobody else, as strictly as the
 * strictest word said of them; and keys hash as SipHash-1-3 does.  Guards
 * src/consent/find.c and src/consent/set.h.
 */
#include "members.h"
#include "tap.h"

static StediSlice
slice(const char *text)
{
	StediSlice	slice = {text, strlen(text)};

	return slice;
}

static void
test_trim(void)
{
	static const char *const texts[] = {"", " ", "\t\n\v\f\r ", "a", " a b\n", "\xc2\xa0" "a"};
	static const char *const trimmed[] = {"", "", "", "a", "a b", "\xc2\xa0" "a"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
	{
		StediSlice	got = stedi_email_trim(slice(texts[i]));

		ok(got.len == strlen(trimmed[i]) && memcmp(got.data, trimmed[i], got.len) == 0, "trimmed, case %zu", i);
	}
}

/* Of the bytes 0, 1, 2, ...; what it is, test/sql/consent.sql pins down. */
static void
test_hash(void)
{
	char		bytes[64];
	uint64_t	seen[64];
	bool		differ = true;

	for (int len = 0; len < 64; len++)
	{
		StediSlice	key = {bytes, len};

		bytes[len] = (char) len;
		seen[len] = consent_hash_key(7, key);
		for (int i = 0; i < len; i++)
			differ = differ && seen[i] != seen[len];
		differ = differ && consent_hash_key(8, key) != seen[len];
	}
	ok(differ, "every length and seed has a hash of its own");
}

static void
test_standings(void)
{
	static const char *const words[] = {"granted", "none", "ambiguous", "forgotten", "unknown", "without_readings"};
	static const StediStanding standings[] = {STEDI_STANDING_GRANTED, STEDI_STANDING_NONE, STEDI_STANDING_AMBIGUOUS,
	STEDI_STANDING_FORGOTTEN, STEDI_STANDING_UNKNOWN, STEDI_STANDING_WITHOUT_READINGS};
	StediStanding standing;

	for (int i = 0; i < 6; i++)
		ok(stedi_consent_parse_standing(slice(words[i]), &standing) && standing == standings[i], "the word %s", words[i]);
	ok(!stedi_consent_parse_standing(slice("Granted"), &standing), "no word: in another case");
	ok(!stedi_consent_parse_standing(slice(""), &standing), "no word: empty");
	ok(!stedi_consent_parse_standing(slice("granted "), &standing), "no word: with a space");
}

#define MEMBER(since_, owned, standing_) {.since = (since_),.owned_since = (owned),.standing = (standing_)}

/* The stricter of two words counts, whichever comes first. */
static void
test_restrict(void)
{
	static const StediStanding by_strictness[] = {STEDI_STANDING_GRANTED, STEDI_STANDING_WITHOUT_READINGS, STEDI_STANDING_UNKNOWN, STEDI_STANDING_NONE,
	STEDI_STANDING_AMBIGUOUS, STEDI_STANDING_FORGOTTEN};

	for (int i = 0; i < 6; i++)
		for (int j = 0; j < 6; j++)
		{
			Member		one = MEMBER(i, -i, by_strictness[i]);
			Member		other = MEMBER(j, -j, by_strictness[j]);

			stedi_consent_restrict(&one, &other);
			ok(one.standing == by_strictness[i > j ? i : j] && one.since == (i > j ? i : j) &&
			   one.owned_since == (i > j ? -j : -i), "%d, then %d", i, j);
		}
}

static void
test_find(void)
{
	static char long_key[600];
	Members		members;
	StediConsentSet *set;
	Member		given = MEMBER(100, 50, STEDI_STANDING_GRANTED);
	Member		forgotten = MEMBER(0, INT64_MIN, STEDI_STANDING_FORGOTTEN);
	StediSlice	nothing = {"", 0};
	uint64_t	hash;
	bool		older;
	uint32_t	place;

	memset(long_key, 'x', sizeof(long_key) - 1);
	members_begin(&members, 4, 1000, 8, SET_FOLD | SET_SINCE, 42);
	members_add(&members, slice("ann@example.com"), &given);
	members_add(&members, slice(long_key), &given);
	members_add(&members, slice("ann@example.com"), &given);
	hash = consent_hash_key(42, slice("bob@example.com"));
	ok(!stedi_consent_has_hash(members.set, members.slots, hash), "a hash is not there yet");
	stedi_consent_append(members.set, members.places, members.slots, &forgotten, hash, nothing, NO_KEY);
	ok(stedi_consent_has_hash(members.set, members.slots, hash), "a hash alone is a member");
	set = members_finish(&members);

	is_int(stedi_consent_size(set), 3, "one of them was given twice");
	ok(stedi_consent_is_whole(set, stedi_consent_bytes(set)), "the set is whole");
	ok(!stedi_consent_is_whole(set, stedi_consent_bytes(set) - 1), "but for a byte");
	ok(!stedi_consent_is_whole(set, 4), "but for the header");
	hash = stedi_consent_hash(set, slice("  ANN@Example.com\n"));
	stedi_consent_fetch(set, hash);
	ok(hash == consent_hash_key(42, slice("ann@example.com")), "hashed as normalised");
	is_int(stedi_consent_hash(set, slice(long_key)), 0, "a long key is hashed by who finds it");
	for (uint32_t which = 0; which < 3; which++)
	{
		StediSlice	key = stedi_consent_key(set, which);

		place = SET_PLACES(set)[which];
		is_int(stedi_consent_number(set, place), which, "the number of member %d", (int) which);
		ok(stedi_consent_key_hash(set, which) ==
		   consent_hash_key(42, key.len == NO_KEY ? slice("bob@example.com") : key), "its hash");
	}
	place = SET_PLACES(set)[0];
	is_int(stedi_consent_standing(set, place, 49, &older), STEDI_STANDING_HANDED_ON, "before it was owned");
	is_int(stedi_consent_standing(set, place, 99, &older), STEDI_STANDING_BEFORE, "before consent");
	is_int(stedi_consent_standing(set, place, 100, &older), STEDI_STANDING_GRANTED, "from consent on");
	ok(!older, "it is not older");
	set->flags = 0;
	is_int(stedi_consent_standing(set, place, 99, &older), STEDI_STANDING_GRANTED, "before consent, by the other rule");
	ok(older, "it is older");
	is_int(stedi_consent_standing(set, SET_PLACES(set)[2], 1000, &older), STEDI_STANDING_FORGOTTEN, "forgotten");
	set->magic++;
	ok(!stedi_consent_is_whole(set, stedi_consent_bytes(set)), "another version is not read");
	free(set);
}

static void
test_nobody(void)
{
	Members		members;
	StediConsentSet *set;

	members_begin(&members, 0, 0, 0, SET_FOLD, 1);
	ok(!stedi_consent_has_hash(members.set, members.slots, 1), "no slots, no hash");
	set = members_finish(&members);
	is_int(stedi_consent_size(set), 0, "an empty set");
	is_int(stedi_consent_hash(set, slice("ann@example.com")), 0, "knows no hash");
	stedi_consent_fetch(set, 77);
	ok(consent_find_member(set, SET_SLOTS(set), 0, slice("a"), 77) == NULL, "and finds nobody");
	free(set);
}

int
main(void)
{
	test_trim();
	test_hash();
	test_standings();
	test_restrict();
	test_find();
	test_nobody();
	return done_testing();
}
