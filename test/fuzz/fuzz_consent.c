/*
 * A consent set knows exactly those who were put in, as a list of them has it:
 * however their keys are spelled, and however full its slots are.  Guards
 * src/consent/find.c and src/consent/set.h.
 */
#include "fuzz.h"
#include "consent/set.h"
#include "members.h"

#define HEADER 4
#define MAX_MEMBERS 64

/* A member as the list has it. */
typedef struct Listed
{
	StediSlice	key;			/* as normalised; owned */
	Member		member;
} Listed;

static Listed list[MAX_MEMBERS];
static int	n_listed;

/* The key that somebody stands under; to be freed. */
static StediSlice
normalise(StediSlice who, bool fold)
{
	StediSlice	key = fold ? stedi_email_trim(who) : who;
	char	   *copy = exact_copy(key.data, key.len);

	if (fold)
	{
		CLAIM(key.len == 0 || (strchr(" \t\n\v\f\r", key.data[0] ? key.data[0] : 'x') == NULL));
		for (size_t i = 0; i < key.len; i++)
			if (copy[i] >= 'A' && copy[i] <= 'Z')
				copy[i] = (char) (copy[i] - 'A' + 'a');
		for (size_t i = 0; i < key.len; i++)
		{
			char		folded;
			StediSlice	byte = {key.data + i, 1};

			(void) consent_fold(&folded, byte);
			CLAIM(folded == copy[i]);
		}
		if (!consent_fold(copy, key))
		{
			/* of more than ASCII, fuzz_email.c knows the form */
			uint32_t   *room = malloc(STEDI_EMAIL_ROOM(key.len) * sizeof(uint32_t));

			key = stedi_email_form(key, room);
			free(copy);
			copy = exact_copy(key.data, key.len);
			free(room);
		}
	}
	key.data = copy;
	return key;
}

static Listed *
find_listed(StediSlice key)
{
	for (int i = 0; i < n_listed; i++)
		if (same_text(list[i].key, key))
			return &list[i];
	return NULL;
}

/* What is said of somebody, by two bytes. */
static void
read_member(uint8_t a, uint8_t b, Member *member)
{
	static const char *const words[] = {"granted", "none", "ambiguous", "forgotten", "unknown", "without_readings", "Granted", ""};
	StediSlice	word = {words[a % 8], strlen(words[a % 8])};
	StediSlice	back = {stedi_consent_standing_word(b), 0};
	StediStanding standing;

	if (back.data != NULL)
	{
		back.len = strlen(back.data);
		CLAIM(stedi_consent_parse_standing(back, &standing) && standing == b);
	}
	if (stedi_consent_parse_standing(word, &standing))
		CLAIM(strcmp(stedi_consent_standing_word(standing), word.data) == 0);
	else
	{
		CLAIM(a % 8 >= 6);
		standing = STEDI_STANDING_NONE;
	}
	memset(member, 0, sizeof(*member));
	member->standing = standing;
	member->since = (int8_t) b;
	member->owned_since = (int8_t) (a ^ b);
}

static void
list_member(StediSlice key, const Member *given)
{
	static const int strictness[] = {[STEDI_STANDING_UNKNOWN] = 2,[STEDI_STANDING_GRANTED] = 0,[STEDI_STANDING_NONE] = 3,
	[STEDI_STANDING_AMBIGUOUS] = 4,[STEDI_STANDING_FORGOTTEN] = 5,[STEDI_STANDING_WITHOUT_READINGS] = 1};
	Listed	   *listed = find_listed(key);

	if (listed == NULL)
	{
		list[n_listed].key.data = exact_copy(key.data, key.len);
		list[n_listed].key.len = key.len;
		list[n_listed++].member = *given;
		return;
	}
	listed->member.since = given->since > listed->member.since ? given->since : listed->member.since;
	listed->member.owned_since = given->owned_since > listed->member.owned_since ? given->owned_since : listed->member.owned_since;
	if (strictness[given->standing] > strictness[listed->member.standing])
		listed->member.standing = given->standing;
}

/* Is somebody in the set what the list says? */
static void
claim_found(const StediConsentSet *set, StediSlice who, int64_t time)
{
	StediSlice	key = normalise(who, set->flags & SET_FOLD);
	const Listed *listed = find_listed(key);
	uint64_t	hash = stedi_consent_hash(set, who);
	const Member *member;
	bool		older;

	stedi_consent_fetch(set, hash);
	CLAIM(hash == 0 || hash == consent_hash_key(set->seed, key));
	CLAIM(hash != 0 || set->n_slots == 0 ||
		  (set->flags & SET_FOLD ? stedi_email_trim(who) : who).len > SHORT_KEY);
	hash = consent_hash_key(set->seed, key);
	member = consent_find_member(set, SET_SLOTS(set), set->n_slots, key, hash);
	CLAIM((member != NULL) == (listed != NULL));
	if (member != NULL)
	{
		uint32_t	place = (uint32_t) (((const char *) member - (const char *) set) / SET_ALIGN);
		StediStanding standing = stedi_consent_standing(set, place, time, &older);
		const Member *want = &listed->member;

		CLAIM(member->standing == want->standing && member->since == want->since && member->owned_since == want->owned_since);
		CLAIM(stedi_consent_number(set, place) < stedi_consent_size(set));
		CLAIM(same_text(stedi_consent_key(set, stedi_consent_number(set, place)), key));
		CLAIM(stedi_consent_key_hash(set, stedi_consent_number(set, place)) == hash);
		CLAIM(!older || (standing == STEDI_STANDING_GRANTED && time < want->since && !(set->flags & SET_SINCE)));

		/*
		 * nobody is read from before it is known whose it is, or without
		 * consent
		 */
		CLAIM(time >= want->owned_since || standing == STEDI_STANDING_AMBIGUOUS || standing == STEDI_STANDING_HANDED_ON);
		CLAIM(standing != STEDI_STANDING_GRANTED || want->standing == STEDI_STANDING_GRANTED);
		CLAIM(standing != STEDI_STANDING_GRANTED || time >= want->since || older);
		CLAIM(standing != STEDI_STANDING_BEFORE || time < want->since);
	}
	free((char *) key.data);
}

/* What comes back from a table: any bytes, of which the header alone is read. */
static void
claim_header(const uint8_t *data, size_t size)
{
	union
	{
		StediConsentSet set;
		char		bytes[sizeof(StediConsentSet)];
	}			header;

	memset(&header, 0, sizeof(header));
	memcpy(header.bytes, data, size < sizeof(header) ? size : sizeof(header));
	if (size % 2)
		header.set.magic = SET_MAGIC;
	if (stedi_consent_is_whole(&header.set, size))
		CLAIM(header.set.magic == SET_MAGIC && size >= SET_HEADER && header.set.n_members <= size &&
			  header.set.n_slots <= size);
	CLAIM(!stedi_consent_is_whole(&header.set, SET_HEADER - 1));
}

/* The lines of the input are people: what is said of them, and their names. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Members		members;
	StediConsentSet *set;
	const uint8_t *p = data + HEADER;
	const uint8_t *end = data + size;
	bool		fold;
	int			n_lines = 0;

	if (size < HEADER)
		return 0;
	claim_header(p, size - HEADER);
	fold = data[0] & 1;
	n_listed = 0;
	members_begin(&members, MAX_MEMBERS, STEDI_EMAIL_ROOM(size), MAX_MEMBERS << (1 + (data[0] >> 2) % 3),
				  (fold ? SET_FOLD : 0) | (data[0] & 2 ? SET_SINCE : 0), data[1] * UINT64_C(0x9e3779b97f4a7c15));
	for (; p + 2 < end && n_lines < MAX_MEMBERS; n_lines++)
	{
		const uint8_t *newline = memchr(p + 2, '\n', end - p - 2);
		const uint8_t *stop = newline != NULL ? newline : end;
		StediSlice	who = {(const char *) p + 2, (size_t) (stop - p - 2)};
		StediSlice	key = normalise(who, fold);
		Member		member;

		read_member(p[0], p[1], &member);
		members_add(&members, key, &member);
		list_member(key, &member);
		free((char *) key.data);
		p = newline != NULL ? newline + 1 : end;
	}

	/* somebody of whom the hash alone is known stands for every key of it */
	if (data[2] & 1 && n_listed < MAX_MEMBERS)
	{
		const StediSlice nothing = {"", 0};
		Member		member;

		read_member(3, 0, &member);
		if (!stedi_consent_has_hash(members.set, members.slots, data[2]))
			stedi_consent_append(members.set, members.places, members.slots, &member, data[2], nothing, NO_KEY);
		CLAIM(stedi_consent_has_hash(members.set, members.slots, data[2]));
	}
	set = members_finish(&members);
	CLAIM(stedi_consent_is_whole(set, stedi_consent_bytes(set)));
	CLAIM((int) stedi_consent_size(set) == n_listed + (data[2] & 1 && n_listed < MAX_MEMBERS));

	for (p = data + HEADER; p < end;)
	{
		const uint8_t *newline = memchr(p, '\n', end - p);
		const uint8_t *stop = newline != NULL ? newline : end;
		StediSlice	who = {(const char *) p, (size_t) (stop - p)};

		claim_found(set, who, (int8_t) data[3]);
		if (who.len >= 2)
		{
			who.data += 2;
			who.len -= 2;
			claim_found(set, who, (int8_t) data[3]);
		}
		p = stop + 1;
	}
	for (int i = 0; i < n_listed; i++)
		claim_found(set, list[i].key, (int8_t) data[3]);
	for (int i = 0; i < n_listed; i++)
		free((char *) list[i].key.data);
	free(set);
	return 0;
}
