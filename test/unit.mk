# The C unit tests, of UNIT_SOURCES.

# The programs, test/unit/test_NAME.c.
UNIT = option_form glob beneath sign s3xml keys ini address checksum inflate frame decode json stream value email consent_find
# These once more, with src/record/simd.h as it is where it knows no instructions.
UNIT_PORTABLE = $(filter frame decode stream,$(UNIT))

UNIT_LIBS = -lcjson -lexpat -lcrypto -lz -lzstd -lm
UNIT_CFLAGS = -std=gnu99 -g -O1 $(WARNINGS) -Wmissing-prototypes -Wdeclaration-after-statement \
	-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer

unit: $(UNIT:%=.build/test_%) $(UNIT_PORTABLE:%=.build/portable_%) ## the C unit tests, under ASan and UBSan
	@status=0; for test in $^; do \
		echo "# $$test"; $$test || status=1; done; exit $$status

unit_headers = $(wildcard src/*.h src/*/*.h test/unit/*.h)
unit_objects = $(UNIT_SOURCES:%=.build/%.o)
portable_objects = $(unit_objects:.build/record/plain.o=.build/record/plain_portable.o)

.build/test_%: test/unit/test_%.c $(unit_headers) $(unit_objects)
	$(CC) $(UNIT_CFLAGS) -Isrc -o $@ $< $(unit_objects) $(UNIT_LIBS)

.build/portable_%: test/unit/test_%.c $(unit_headers) $(portable_objects)
	$(CC) $(UNIT_CFLAGS) -DSTEDI_PORTABLE -Isrc -o $@ $< $(portable_objects) $(UNIT_LIBS)

.build/%.o: src/%.c $(unit_headers)
	@mkdir -p $(@D)
	$(CC) $(UNIT_CFLAGS) -Isrc -c -o $@ $<

.build/%_portable.o: src/%.c $(unit_headers)
	@mkdir -p $(@D)
	$(CC) $(UNIT_CFLAGS) -DSTEDI_PORTABLE -Isrc -c -o $@ $<
