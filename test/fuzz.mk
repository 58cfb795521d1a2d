# The fuzzer: what it runs is test/fuzz/run.

# What test/fuzz/fuzz_TARGET.c feeds with hostile bytes, and the sources that
# its corpus must cover.  A new target is a name in the first list, and what it
# guards in the second one.
FUZZ = frame decode value s3xml inflate option consent email keys
FUZZ_COVERED = \
	record/inflate record/frame record/field record/plain record/value record/json record/decode \
	base/option_form base/glob net/xml credential/told credential/ini \
	consent/email consent/find

# libFuzzer is clang's; a corpus is replayed, and its coverage taken, with gcc.
FUZZ_CC = clang
FUZZ_CFLAGS = -std=gnu99 -g -O1 $(WARNINGS) -Wmissing-prototypes -fsanitize=fuzzer-no-link,address,undefined \
	-fno-sanitize-recover=all -fno-omit-frame-pointer
# Functions of libraries that test/fuzz/starve.c may have fail.
FUZZ_WRAP = inflateInit2_ inflate ZSTD_createDStream ZSTD_decompressStream
COVER_CFLAGS = -std=gnu99 -g -O0 --coverage

fuzz: ## fuzz what sees hostile bytes: FUZZ_RUNS (a million) executions each, or FUZZ_SECONDS
	@test/install fuzz
	@test/fuzz/run
fuzz-coverage: ## the lines of these sources that the corpus runs; 95% of each, or it fails
	@test/fuzz/coverage
fuzz-merge: ## add to the corpus what fuzzing has found since, if it runs other code
	@test/fuzz/merge

fuzz_headers = $(unit_headers) $(wildcard test/fuzz/*.h)
fuzz_libs = $(FUZZ_WRAP:%=-Wl,--wrap=%) $(UNIT_LIBS)

# A target three times: with libFuzzer; to replay files; to see what is covered.
fuzz-build: $(FUZZ:%=.build/fuzz/fuzz_%) $(FUZZ:%=.build/fuzz/corpus/%)
replay-build: $(FUZZ:%=.build/fuzz/replay_%) $(FUZZ:%=.build/fuzz/corpus/%)
cover-build: $(FUZZ:%=.build/fuzz/cover_%) $(FUZZ:%=.build/fuzz/corpus/%)

.build/fuzz/corpus/%: test/fuzz/corpus/%.zip
	@rm -rf $@ $@.new
	@python3 -m zipfile -e $< $@.new
	@mv $@.new $@

define FUZZ_BUILD
.build/fuzz/$(1)_%: test/fuzz/fuzz_%.c test/fuzz/starve.c $(4) $(UNIT_SOURCES:%=.build/fuzz/$(1)/%.o) .build/fuzz/$(1)/portable.o $$(fuzz_headers)
	$(2) $(3) -Isrc -Itest/unit -o $$@ $$(filter-out %.h,$$^) $(5) $$(fuzz_libs)
.build/fuzz/$(1)/%.o: src/%.c $$(fuzz_headers)
	@mkdir -p $$(@D)
	$(2) $(3) -Isrc -c -o $$@ $$<
.build/fuzz/$(1)/portable.o: src/record/plain.c $$(fuzz_headers)
	@mkdir -p $$(@D)
	$(2) $(3) -DSTEDI_PORTABLE -include test/fuzz/portable.h -Isrc -c -o $$@ $$<
endef

$(eval $(call FUZZ_BUILD,fuzz,$$(FUZZ_CC),$$(FUZZ_CFLAGS),,-fsanitize=fuzzer))
$(eval $(call FUZZ_BUILD,replay,$$(CC),$$(UNIT_CFLAGS),test/fuzz/replay.c,))
$(eval $(call FUZZ_BUILD,cover,$$(CC),$$(COVER_CFLAGS),test/fuzz/replay.c,))
