# What is timed: alone, and against DuckDB.

bench: ## time it against DuckDB on the same files, and check that they agree
	@test/install bench
	@test/bench/run $(PARTS)
bench-picture: ## draw doc/performance.svg from what was timed
	@test/bench/picture

BENCH_CFLAGS = -std=gnu99 -g -O2 -fPIC $(WARNINGS)
bench_objects = $(UNIT_SOURCES:%=.build/bench/%.o)

bench-decode: .build/bench_decode ## how fast records are framed and decoded, on one core
	@$<

# Compiled as the extension is.
.build/bench_decode: test/bench/decode.c $(bench_objects)
	$(CC) $(BENCH_CFLAGS) -Isrc -o $@ $< $(bench_objects) $(UNIT_LIBS)

.build/bench/%.o: src/%.c $(unit_headers)
	@mkdir -p $(@D)
	$(CC) $(BENCH_CFLAGS) -Isrc -c -o $@ $<
