/*
 * The normal form of any bytes is its own form, is that of the former form, and
 * has neither white space at its ends nor, if the bytes are UTF-8, a control
 * character in it; plain ASCII's form is what the fast way makes of it.  Guards
 * src/consent/email.c and consent_fold() of src/consent/set.h.
 */
#include "fuzz.h"
#include "consent/set.h"

/* The form, in memory of its very size; to be freed. */
static StediSlice
form_of(StediSlice email)
{
	uint32_t   *room = malloc(STEDI_EMAIL_ROOM(email.len) * sizeof(uint32_t));
	StediSlice	form = stedi_email_form(email, room);

	CLAIM(form.data == (const char *) room);
	CLAIM(form.len <= STEDI_EMAIL_ROOM(email.len) * sizeof(uint32_t));
	form.data = exact_copy(form.data, form.len);
	free(room);
	return form;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	StediSlice	email = {exact_copy(data, size), size};
	StediSlice	form = form_of(email);
	StediSlice	again = form_of(form);
	char	   *room = malloc(size + 1);
	StediSlice	former = stedi_email_ascii(email, room);
	StediSlice	of_former = form_of(former);
	StediSlice	trimmed = stedi_email_trim(email);
	char	   *bones = malloc(form.len + 1);
	StediSlice	skeleton = stedi_email_skeleton(form, bones);

	CLAIM(same_text(form, again));
	CLAIM(same_text(form, of_former));
	CLAIM(former.len <= size);
	CLAIM(stedi_email_trim(form).len == form.len);
	CLAIM(skeleton.len <= form.len && (skeleton.len == 0) == (form.len == 0));
	if (!same_text(form, former))
		for (size_t i = 0; i < form.len; i++)
			CLAIM((unsigned char) form.data[i] >= ' ' && form.data[i] != 0x7F);
	if (consent_fold(room, trimmed))
	{
		StediSlice	folded = {room, trimmed.len};

		CLAIM(same_text(folded, form));
	}
	free((char *) email.data);
	free((char *) form.data);
	free((char *) again.data);
	free((char *) of_former.data);
	free(room);
	free(bones);
	return 0;
}
