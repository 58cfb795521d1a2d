/*-------------------------------------------------------------------------
 *
 * text.c
 *		A consent set as text, and back: for dumps, COPY and replication.
 *
 *	 consent_set(2) 1 fold since 00c0ffee00c0ffee
 *		<hash> <digest> granted 1655564378000;<hash> <digest> none 0 1655564379000
 *
 * (in one line): the number of its members, the version of the text, whether keys
 * are folded and the rule is since_consent, the seed; of each member the hash
 * and the digest of the key, the standing, since, and owned_since if it is known.
 *
 * Keys are e-mails, and text comes into logs and plans.  So a key is told by
 * its digest, and who reads the text can do what who has the set can do with
 * stedi.consents: try a key.  A set that is read back finds its members by
 * these digests, and answers as the first one did.
 *
 *-------------------------------------------------------------------------
 */
#include "consent/consent.h"
#include "consent/set.h"

#include <errno.h>

#include "lib/stringinfo.h"
#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#define TEXT_VERSION 1

PG_FUNCTION_INFO_V1(consent_set_in);
PG_FUNCTION_INFO_V1(consent_set_out);
PG_FUNCTION_INFO_V1(consent_set_recv);
PG_FUNCTION_INFO_V1(consent_set_send);

static void
append_hash(StringInfo text, uint64 hash)
{
	appendStringInfo(text, "%08x%08x", (uint32) (hash >> 32), (uint32) hash);
}

static void
append_member(StringInfo text, const StediConsentSet *set, const Member *member)
{
	char		digest[DIGEST_LEN] = {0};
	char		hex[2 * DIGEST_LEN];
	const char *key = member->key;
	const char *word = stedi_consent_standing_word(member->standing);

	if (word == NULL)
		elog(ERROR, "unknown standing: %u", member->standing);
	if (!(set->flags & SET_DIGEST))
	{
		StediSlice	name = {member->key, member->key_len};

		if (member->key_len != NO_KEY)
			stedi_consent_digest(set->seed, name, digest);
		key = digest;
	}
	hex_encode(key, DIGEST_LEN, hex);
	append_hash(text, member->hash);
	appendStringInfo(text, " %.*s %s " INT64_FORMAT, (int) sizeof(hex), hex,
					 word, member->since);
	if (member->owned_since != PG_INT64_MIN)
		appendStringInfo(text, " " INT64_FORMAT, member->owned_since);
}

/* The text, in the current context. */
static StringInfo
write_set(const StediConsentSet *set)
{
	StringInfo	text = makeStringInfo();

	appendStringInfo(text, "consent_set(%u) %d %s %s ", set->n_members, TEXT_VERSION,
					 set->flags & SET_FOLD ? "fold" : "exact",
					 set->flags & SET_SINCE ? "since" : "granted");
	append_hash(text, set->seed);
	for (uint32 i = 0; i < set->n_members; i++)
	{
		CHECK_FOR_INTERRUPTS();
		appendStringInfoChar(text, i == 0 ? ' ' : ';');
		append_member(text, set, SET_MEMBER(set, SET_PLACES(set)[i]));
	}
	return text;
}

/* The text says nothing that can be taken for a set. */
static void
refuse(void)
{
	ereport(ERROR,
			errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
			errmsg("invalid input syntax for type %s", "stedi.consent_set"),
			errdetail("It is not the text of a set, as a dump of this version has it."),
			errhint("Make one with the aggregate stedi.consent_set(who, since)."));
}

/* Take a word, and the character that ends it, which is the text's end for '\0'. */
static const char *
take_word(const char **text, char end)
{
	const char *start = *text;
	size_t		len = strcspn(start, " ;");
	char	   *word;

	if (start[len] != end)
		refuse();
	word = pnstrdup(start, len);
	*text = start + len + (end != '\0');
	return word;
}

static uint64
take_hash(const char **text, char end)
{
	const char *word = take_word(text, end);

	if (strlen(word) != 16 || strspn(word, "0123456789abcdef") != 16)
		refuse();
	return strtoull(word, NULL, 16);
}

static int64
parse_number(const char *word)
{
	char	   *end;
	long long	number;

	errno = 0;
	number = strtoll(word, &end, 10);
	if (end == word || *end != '\0' || errno != 0 || (word[0] != '-' && (word[0] < '0' || word[0] > '9')))
		refuse();
	return number;
}

/* One member, up to the ; or the end behind it. */
static void
read_member(StediConsentBuilder *building, const char **text)
{
	size_t		len = strcspn(*text, ";");
	const char *start = pnstrdup(*text, len);
	const char *p = start;
	Member		member = {0};
	uint64		hash = take_hash(&p, ' ');
	const char *hex = take_word(&p, ' ');
	const char *word = take_word(&p, ' ');
	char		digest[DIGEST_LEN];
	StediSlice	key = {digest, DIGEST_LEN};
	StediSlice	name = {word, strlen(word)};
	StediStanding standing = STEDI_STANDING_NONE;

	if (hash == 0 || strlen(hex) != 2 * DIGEST_LEN || strspn(hex, "0123456789abcdef") != 2 * DIGEST_LEN ||
		!stedi_consent_parse_standing(name, &standing))
		refuse();
	hex_decode(hex, 2 * DIGEST_LEN, digest);
	member.standing = standing;
	member.since = parse_number(take_word(&p, strchr(p, ' ') != NULL ? ' ' : '\0'));
	member.owned_since = *p != '\0' ? parse_number(take_word(&p, '\0')) : PG_INT64_MIN;
	stedi_consent_add_digest(building, &member, hash, key);
	*text += len;
}

/* The set of a text, in the current context. */
static StediConsentSet *
read_set(const char *text)
{
	MemoryContext cxt = CurrentMemoryContext;
	MemoryContext member_cxt;
	StediConsentBuilder *building;
	const char *word = take_word(&text, ' ');
	char	   *end;
	unsigned long n;
	bool		fold;
	bool		since;

	if (strncmp(word, "consent_set(", strlen("consent_set(")) != 0)
		refuse();
	errno = 0;
	n = strtoul(word + strlen("consent_set("), &end, 10);
	if (errno != 0 || strcmp(end, ")") != 0 || parse_number(take_word(&text, ' ')) != TEXT_VERSION)
		refuse();
	word = take_word(&text, ' ');
	fold = strcmp(word, "fold") == 0;
	if (!fold && strcmp(word, "exact") != 0)
		refuse();
	word = take_word(&text, ' ');
	since = strcmp(word, "since") == 0;
	if (!since && strcmp(word, "granted") != 0)
		refuse();
	building = stedi_consent_begin(cxt, fold, since, take_hash(&text, n > 0 ? ' ' : '\0'));
	member_cxt = AllocSetContextCreate(cxt, "stedi consent member", ALLOCSET_DEFAULT_SIZES);
	for (unsigned long i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (i > 0 && *text++ != ';')
			refuse();
		MemoryContextSwitchTo(member_cxt);
		read_member(building, &text);
		MemoryContextSwitchTo(cxt);
		MemoryContextReset(member_cxt);
	}
	MemoryContextDelete(member_cxt);
	if (*text != '\0')
		refuse();
	return stedi_consent_finish(building);
}

/*
 * consent_set_in(cstring) -> stedi.consent_set
 */
Datum
consent_set_in(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(read_set(PG_GETARG_CSTRING(0)));
}

/*
 * consent_set_out(stedi.consent_set) -> cstring
 */
Datum
consent_set_out(PG_FUNCTION_ARGS)
{
	PG_RETURN_CSTRING(write_set(stedi_consent_get(PG_GETARG_DATUM(0)))->data);
}

/*
 * consent_set_recv(internal) -> stedi.consent_set: the same text
 */
Datum
consent_set_recv(PG_FUNCTION_ARGS)
{
	StringInfo	message = (StringInfo) PG_GETARG_POINTER(0);
	int			len;

	PG_RETURN_POINTER(read_set(pq_getmsgtext(message, message->len - message->cursor, &len)));
}

/*
 * consent_set_send(stedi.consent_set) -> bytea
 */
Datum
consent_set_send(PG_FUNCTION_ARGS)
{
	StringInfo	text = write_set(stedi_consent_get(PG_GETARG_DATUM(0)));
	StringInfoData message;

	pq_begintypsend(&message);
	pq_sendtext(&message, text->data, text->len);
	PG_RETURN_BYTEA_P(pq_endtypsend(&message));
}
