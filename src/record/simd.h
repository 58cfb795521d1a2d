/*-------------------------------------------------------------------------
 *
 * simd.h
 *		Look at many bytes at once.
 *
 * Backend-free (see record.h).  Four questions that plain.c asks, each
 * answered by a word with a bit for each byte, the first byte's the lowest.
 * A question reads all the bytes that it is about: the caller sees to it that
 * they are there (STEDI_BYTES_PADDING), and minds no bits of bytes that are
 * not its own.
 *
 * SSE2 and NEON belong to every x86-64 and every 64-bit ARM processor, so
 * nothing is asked at run time.  Elsewhere, and with STEDI_PORTABLE, 64-bit
 * words do the same; the unit tests run both ways.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STEDI_SIMD_H
#define STEDI_SIMD_H

#include <stdint.h>

/* Bytes that text_stops and same look at, and that digits and dots do. */
#define SIMD_TEXT 32
#define SIMD_DIGITS 16

/* Four and eight bytes, the first one lowest, whatever the machine's order. */
static inline uint32_t
simd_word32(const char *p)
{
	const unsigned char *b = (const unsigned char *) p;

	return b[0] | (uint32_t) b[1] << 8 | (uint32_t) b[2] << 16 | (uint32_t) b[3] << 24;
}

static inline uint64_t
simd_word(const char *p)
{
	return simd_word32(p) | (uint64_t) simd_word32(p + 4) << 32;
}

#if !defined(STEDI_PORTABLE) && defined(__SSE2__)

#include <emmintrin.h>

static inline __m128i
simd_load(const char *p)
{
	return _mm_loadu_si128((const __m128i *) p);
}

/* Two halves as one word. */
static inline uint32_t
simd_bits(__m128i low, __m128i high)
{
	return (uint32_t) _mm_movemask_epi8(low) | (uint32_t) _mm_movemask_epi8(high) << 16;
}

/* Which bytes are plain text?  Signed: beyond ASCII is below space, too. */
static inline __m128i
simd_text(__m128i x)
{
	__m128i		marks = _mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8('"')),
									 _mm_cmpeq_epi8(x, _mm_set1_epi8('\\')));

	return _mm_andnot_si128(marks, _mm_cmpgt_epi8(x, _mm_set1_epi8(' ' - 1)));
}

static inline uint32_t
simd_text_stops(const char *p)
{
	return ~simd_bits(simd_text(simd_load(p)), simd_text(simd_load(p + 16)));
}

static inline uint32_t
simd_same(const char *a, const char *b)
{
	return simd_bits(_mm_cmpeq_epi8(simd_load(a), simd_load(b)),
					 _mm_cmpeq_epi8(simd_load(a + 16), simd_load(b + 16)));
}

static inline uint32_t
simd_digits(const char *p)
{
	__m128i		x = _mm_sub_epi8(simd_load(p), _mm_set1_epi8('0'));

	return (uint32_t) _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_min_epu8(x, _mm_set1_epi8(9)), x));
}

static inline uint32_t
simd_dots(const char *p)
{
	return (uint32_t) _mm_movemask_epi8(_mm_cmpeq_epi8(simd_load(p), _mm_set1_epi8('.')));
}

#elif !defined(STEDI_PORTABLE) && defined(__aarch64__) && defined(__ARM_NEON)

#include <arm_neon.h>

static inline uint8x16_t
simd_load(const char *p)
{
	return vld1q_u8((const uint8_t *) p);
}

/* Two halves, whose bytes are 0 or 255, as one word. */
static inline uint32_t
simd_bits(uint8x16_t low, uint8x16_t high)
{
	static const uint8_t weights[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
	uint8x16_t	weight = vld1q_u8(weights);
	uint8x16_t	sum = vpaddq_u8(vandq_u8(low, weight), vandq_u8(high, weight));

	/* each of the four bytes is the sum of eight neighbours */
	sum = vpaddq_u8(sum, sum);
	sum = vpaddq_u8(sum, sum);
	return vgetq_lane_u32(vreinterpretq_u32_u8(sum), 0);
}

static inline uint8x16_t
simd_stops(uint8x16_t x)
{
	/* signed: what is beyond ASCII is below space, too */
	uint8x16_t	stops = vcltq_s8(vreinterpretq_s8_u8(x), vdupq_n_s8(' '));

	stops = vorrq_u8(stops, vceqq_u8(x, vdupq_n_u8('"')));
	return vorrq_u8(stops, vceqq_u8(x, vdupq_n_u8('\\')));
}

static inline uint32_t
simd_text_stops(const char *p)
{
	return simd_bits(simd_stops(simd_load(p)), simd_stops(simd_load(p + 16)));
}

static inline uint32_t
simd_same(const char *a, const char *b)
{
	return simd_bits(vceqq_u8(simd_load(a), simd_load(b)),
					 vceqq_u8(simd_load(a + 16), simd_load(b + 16)));
}

static inline uint32_t
simd_digits(const char *p)
{
	uint8x16_t	x = vsubq_u8(simd_load(p), vdupq_n_u8('0'));

	return simd_bits(vcleq_u8(x, vdupq_n_u8(9)), vdupq_n_u8(0));
}

static inline uint32_t
simd_dots(const char *p)
{
	return simd_bits(vceqq_u8(simd_load(p), vdupq_n_u8('.')), vdupq_n_u8(0));
}

#else

#define SIMD_ALL(byte) (UINT64_C(0x0101010101010101) * (byte))

/* The highest bits of the eight bytes. */
static inline uint32_t
simd_bits(uint64_t x)
{
	return (uint32_t) ((((x >> 7) & SIMD_ALL(1)) * UINT64_C(0x0102040810204080)) >> 56);
}

/* The highest bit of each byte of x, all below 128, that is at least n. */
static inline uint64_t
simd_at_least(uint64_t x, unsigned n)
{
	return x + SIMD_ALL(128 - n);
}

static inline uint64_t
simd_stops(uint64_t x)
{
	uint64_t	low = x & SIMD_ALL(127);

	return x | ~(simd_at_least(low, ' ') & simd_at_least(low ^ SIMD_ALL('"'), 1) &
				 simd_at_least(low ^ SIMD_ALL('\\'), 1));
}

static inline uint32_t
simd_text_stops(const char *p)
{
	uint32_t	bits = 0;

	for (int i = 0; i < SIMD_TEXT; i += 8)
		bits |= simd_bits(simd_stops(simd_word(p + i))) << i;
	return bits;
}

/* The highest bit of each byte of x that is 0. */
static inline uint64_t
simd_zeros(uint64_t x)
{
	return ~(x | simd_at_least(x & SIMD_ALL(127), 1));
}

static inline uint32_t
simd_same(const char *a, const char *b)
{
	uint32_t	bits = 0;

	for (int i = 0; i < SIMD_TEXT; i += 8)
		bits |= simd_bits(simd_zeros(simd_word(a + i) ^ simd_word(b + i))) << i;
	return bits;
}

static inline uint32_t
simd_digits(const char *p)
{
	uint32_t	bits = 0;

	for (int i = 0; i < SIMD_DIGITS; i += 8)
	{
		uint64_t	x = simd_word(p + i);
		uint64_t	low = x & SIMD_ALL(127);

		bits |= simd_bits(~x & simd_at_least(low, '0') & ~simd_at_least(low, '9' + 1)) << i;
	}
	return bits;
}

static inline uint32_t
simd_dots(const char *p)
{
	uint32_t	bits = 0;

	for (int i = 0; i < SIMD_DIGITS; i += 8)
		bits |= simd_bits(simd_zeros(simd_word(p + i) ^ SIMD_ALL('.'))) << i;
	return bits;
}

#endif

/* The number of zeros below the lowest bit of a word that is not 0. */
static inline int
simd_first(uint32_t bits)
{
	return __builtin_ctz(bits);
}

#endif							/* STEDI_SIMD_H */
