/*
 * Want of memory, when a target asks for it: what inflate.c calls of zlib and
 * libzstd fails as it does then.  The linker puts these functions in between
 * (make's FUZZ_WRAP).
 */
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "fuzz.h"

/* Calls that still go well; below 0, all do. */
int			fuzz_calls_to_starve = -1;

extern int	__real_inflateInit2_(z_stream *z, int bits, const char *version, int size);
extern int	__wrap_inflateInit2_(z_stream *z, int bits, const char *version, int size);
extern int	__real_inflate(z_stream *z, int flush);
extern int	__wrap_inflate(z_stream *z, int flush);
extern ZSTD_DStream *__real_ZSTD_createDStream(void);
extern ZSTD_DStream *__wrap_ZSTD_createDStream(void);
extern size_t __real_ZSTD_decompressStream(ZSTD_DStream *zstd, ZSTD_outBuffer *to, ZSTD_inBuffer *from);
extern size_t __wrap_ZSTD_decompressStream(ZSTD_DStream *zstd, ZSTD_outBuffer *to, ZSTD_inBuffer *from);

static bool
starves(void)
{
	if (fuzz_calls_to_starve > 0)
		fuzz_calls_to_starve--;
	return fuzz_calls_to_starve == 0;
}

int
__wrap_inflateInit2_(z_stream *z, int bits, const char *version, int size)
{
	return starves() ? Z_MEM_ERROR : __real_inflateInit2_(z, bits, version, size);
}

int
__wrap_inflate(z_stream *z, int flush)
{
	return starves() ? Z_MEM_ERROR : __real_inflate(z, flush);
}

ZSTD_DStream *
__wrap_ZSTD_createDStream(void)
{
	return starves() ? NULL : __real_ZSTD_createDStream();
}

size_t
__wrap_ZSTD_decompressStream(ZSTD_DStream *zstd, ZSTD_outBuffer *to, ZSTD_inBuffer *from)
{
	return starves() ? (size_t) -ZSTD_error_memory_allocation :
		__real_ZSTD_decompressStream(zstd, to, from);
}
