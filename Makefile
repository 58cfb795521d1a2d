# stedi: landing JSON from S3 as consent-filtered PostgreSQL tables.
#
# Two commands to know:
#
#	make demo	on a fresh Debian: install what is missing, build, run, show
#	make check	install what is missing, run every layer of tests
#
# and the usual three of PGXS, for a server that you have:
#
#	make && make install && make installcheck
#
# `make help` lists the rest.  Variables to set on the command line:
#
#	PG_CONFIG=...	the server to build for; else the newest whose headers
#			are in Debian's place, else the pg_config of $PATH
#	WERROR=1	warnings are errors
#	with_llvm=no	leave the JIT's bitcode out; so it is without clang anyway
#	SKIP="s3 ..."	layers that `make check` may leave out
#	LANDING=...	a bucket or folder for `make demo`; see test/demo
#	VERSIONS="18 upgrade"	of `make check-versions`; see test/versions
#	CUSTOMERS=... PARTS="main ..." RUNS=... CORES=...	of `make bench`; see test/bench/run

all: ## build the extension
install: ## install it into the server's folders
installcheck: ## pg_regress and isolation tests on a running server that has it, as a superuser of it: PGUSER, PGPORT
clean: ## remove what was built

demo: ## install what is missing, build, run on a private cluster, show
	@test/demo
demo-stop: ## end the demo's cluster and remove it
	@test/demo stop
psql: ## psql on the demo's database
	@test/demo psql

# PGXS has one of its own, which would be in the way.
ifneq (,$(filter check,$(MAKECMDGOALS)))
check: ## install what is missing, run every layer of tests
	@test/check
endif

help: ## this list
	@sed -n 's/^\([a-z0-9][a-z0-9 -]*\):[^#]*## \(.*\)/\1@\2/p' Makefile $(wildcard test/*.mk) | \
		while IFS=@ read -r name text; do printf '  %-34s %s\n' "$$name" "$$text"; done
	@echo '  print-NAME               the value of a make variable'

print-%:
	@echo '$($*)'

# Files are written out, not found by wildcards: a forgotten one is then
# visible in a diff.

MODULE_big = stedi
EXTENSION = stedi
DATA = sql/stedi--1.0.sql sql/stedi--1.0--1.1.sql

# Floor by floor, from the ground up: a file needs only those of its own folder
# and of folders before it.
OBJS = \
	src/record/inflate.o \
	src/record/frame.o \
	src/record/field.o \
	src/record/plain.o \
	src/record/value.o \
	src/record/json.o \
	src/record/decode.o \
	src/base/progress.o \
	src/base/schema.o \
	src/base/text.o \
	src/base/mapping.o \
	src/base/option_form.o \
	src/base/glob.o \
	src/base/option.o \
	src/base/secret.o \
	src/base/time.o \
	src/base/birthday.o \
	src/base/near.o \
	src/base/cure.o \
	src/net/sign.o \
	src/net/xml.o \
	src/net/address.o \
	src/net/checksum.o \
	src/net/request.o \
	src/net/http.o \
	src/net/trouble.o \
	src/credential/told.o \
	src/credential/ini.o \
	src/credential/keys.o \
	src/credential/environment.o \
	src/credential/ask.o \
	src/credential/cache.o \
	src/credential/sts.o \
	src/credential/metadata.o \
	src/credential/profile.o \
	src/credential/credential.o \
	src/consent/email.o \
	src/consent/find.o \
	src/consent/name.o \
	src/consent/build.o \
	src/consent/consent.o \
	src/consent/text.o \
	src/consent/sketch.o \
	src/s3/listing.o \
	src/s3/beneath.o \
	src/s3/denied.o \
	src/s3/local.o \
	src/s3/operation.o \
	src/s3/report.o \
	src/s3/slot.o \
	src/s3/fetch.o \
	src/s3/suggest.o \
	src/s3/list.o \
	src/scan/filter.o \
	src/scan/prune.o \
	src/scan/tuple.o \
	src/scan/required.o \
	src/scan/share.o \
	src/scan/reject.o \
	src/scan/source.o \
	src/scan/parallel.o \
	src/scan/records.o \
	src/scan/scan.o \
	src/fdw/plan.o \
	src/fdw/count.o \
	src/fdw/analyze.o \
	src/fdw/sample.o \
	src/fdw/infer.o \
	src/fdw/import.o \
	src/fdw/fdw.o \
	src/zone/tables.o \
	src/zone/rules.o \
	src/zone/settings.o \
	src/zone/sql.o \
	src/zone/hold.o \
	src/zone/vanished.o \
	src/zone/rows.o \
	src/zone/report.o \
	src/zone/landing.o \
	src/zone/condition.o \
	src/books/key.o \
	src/books/schema.o \
	src/books/grant.o \
	src/books/book.o \
	src/books/adopt.o \
	src/books/open.o \
	src/books/save.o \
	src/books/objects.o \
	src/books/former.o \
	src/storage/heap.o \
	src/storage/summary.o \
	src/storage/delete.o \
	src/storage/find.o \
	src/storage/left.o \
	src/storage/statistics.o \
	src/storage/comment.o \
	src/storage/unlogged.o \
	src/storage/swap.o \
	src/storage/write.o \
	src/readings/load.o \
	src/readings/read.o \
	src/readings/sketches.o \
	src/readings/spill.o \
	src/readings/sort.o \
	src/readings/build.o \
	src/run/try.o \
	src/run/target.o \
	src/run/session.o \
	src/run/lack.o \
	src/run/records.o \
	src/run/customers.o \
	src/run/holders.o \
	src/run/people.o \
	src/run/insiders.o \
	src/run/affected.o \
	src/run/history.o \
	src/run/expect.o \
	src/run/rebuild.o \
	src/run/renew.o \
	src/run/changes.o \
	src/run/uncovered.o \
	src/run/withdraw.o \
	src/commands/rejects.o \
	src/commands/materialize.o \
	src/commands/expect.o \
	src/commands/forget.o \
	src/commands/audit.o \
	src/commands/lineage.o \
	src/commands/subject.o \
	src/commands/alike.o \
	src/commands/quality.o \
	src/stedi.o

REGRESS = \
	option \
	credential \
	landing \
	objects \
	value \
	pushdown \
	explain \
	count \
	parallel \
	consent \
	zone \
	forget \
	history \
	vanished \
	incremental \
	expect \
	evidence \
	quality \
	share \
	reject \
	infer \
	setting \
	message \
	privilege

# pg_regress reads test/sql and compares with expected.  test/ready says where
# the server may read what these files name; the database is of no locale, so
# that it is alike on each server.
REGRESS_PREP = ready
REGRESS_OPTS = --inputdir=$(shell cat .build/ready) --load-extension=stedi --encoding=UTF8 --no-locale

# pg_isolation_regress reads test/specs, each with zone.setup before it.
ISOLATION = \
	materialize_materialize \
	materialize_read \
	materialize_repeatable_read \
	materialize_withdraw \
	materialize_land \
	materialize_audit \
	materialize_forget \
	materialize_drop

ISOLATION_OPTS = --inputdir=test --outputdir=. --load-extension=stedi \
	--encoding=UTF8 --no-locale --launcher=test/specs/with_zone

# The sources that need no server: tested, fuzzed and timed without one.
UNIT_SOURCES = \
	record/inflate record/frame record/field record/plain record/value record/json record/decode \
	base/option_form base/glob net/sign net/xml net/address net/checksum \
	credential/told credential/ini \
	consent/email consent/find s3/beneath

# Our own functions are called directly, and never another extension's of the
# same name: before 16, a server's extensions see each other's symbols.
SHLIB_LINK = -Wl,-Bsymbolic-functions -lcurl -lcjson -lexpat -lcrypto -lz -lzstd

WARNINGS = -Wall -Wextra -Wno-unused-parameter -Wstrict-prototypes
# PGXS passes on what Debian's gcc knows.
ifneq (,$(findstring clang,$(CC)))
WARNINGS += -Wno-unknown-warning-option -Wno-ignored-optimization-argument
endif
ifdef WERROR
WARNINGS += -Werror
endif
# PostgreSQL's idioms mix int and size_t; the unit tests' build does warn of it.
PG_CFLAGS = $(WARNINGS) -Wno-sign-compare -MMD -MP
version := $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" stedi.control)
# The server's headers are not ours to warn about.
PG_CPPFLAGS = -I$(srcdir)/src -isystem $(include_server) -DSTEDI_VERSION='"$(version)"'

EXTRA_CLEAN = .build $(OBJS:.o=.d)

# The server to build for.  Debian's pg_config wrapper may be that of a client
# library, so the headers decide.
headers = /usr/include/postgresql/%/server/postgres.h
PG_CONFIG ?= $(or $(patsubst $(headers),/usr/lib/postgresql/%/bin/pg_config,$(lastword \
	$(sort $(wildcard $(subst %,[1-9][0-9],$(headers)))))),pg_config)

# PGXS is left out where it is not installed, and where no goal wants it:
# it has a `check` of its own, which only says that there is none.
OWN = \
	check lint unit fuzz regress isolation pgtap client s3 \
	check-versions check-faults check-memory check-mutants check-property check-security soak \
	fuzz-coverage fuzz-merge fuzz-build replay-build cover-build \
	demo demo-stop psql bench bench-decode bench-picture dist deb check-package manual help
ifneq (,$(filter-out $(OWN),$(or $(MAKECMDGOALS),all)))
PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
include_server := $(shell $(PG_CONFIG) --includedir-server 2>/dev/null)
endif

ifneq (,$(and $(wildcard $(PGXS)),$(wildcard $(include_server)/postgres.h)))

# Debian's servers are built with LLVM; its clang may be missing here.
clang := $(shell sed -n 's/^CLANG *= *//p' $(dir $(PGXS))../Makefile.global)
ifeq (,$(if $(clang),$(shell command -v $(clang))))
override with_llvm = no
endif

# The manual as one page.  Without Python's markdown it is not made; what an
# archive of `make dist` has brought is installed in any case.
markdown := $(shell /usr/bin/python3 -c 'import markdown' 2>/dev/null && echo yes)
DOCS := $(if $(markdown),doc/stedi.html,$(wildcard doc/stedi.html))

include $(PGXS)

all: $(DOCS)
ifneq (,$(markdown))
doc/stedi.html: doc/manual README.md $(wildcard doc/*.md doc/*.svg doc/*.png)
	doc/manual
endif

# The server of this version may not be at the port that its programs take.
ifneq (,$(filter installcheck,$(MAKECMDGOALS)))
ifeq (,$(PGPORT)$(PGHOST)$(PGSERVICE))
export PGPORT := $(or $(shell pg_lsclusters -h 2>/dev/null | \
	awk '$$1 == "$(MAJORVERSION)" && $$4 ~ /^online/ { print $$3; exit }'),5432)
endif
endif

ready: | .build
	@test/ready $(PG_CONFIG) $(version) >.build/ready

# PostgreSQL's makefiles track no headers on Debian; the compiler writes down
# which each file includes.
-include $(OBJS:.o=.d)

else

all install installcheck:
	@echo "The headers of PostgreSQL's server are missing for $(PG_CONFIG)." >&2
	@echo "On Debian, test/install build installs what the build needs." >&2
	@exit 1
clean:
	rm -rf .build

endif

# Rules after this line need no PGXS.

regress isolation pgtap client s3: ## this one layer of tests
	@test/check $@

check-faults: ## every fault of doc/reliability.md, whose last column it fills: some five minutes
	@SKIP="pgtap" test/install check
	@test/faults

soak: ## materialize in random faults of the network: half an hour, or STEDI_SOAK_SECONDS
	@SKIP="pgtap" test/install check
	@test/faults soak

check-mutants: ## switch the rules off one by one: the tests must notice
	@test/mutants

check-versions: ## build and test on PostgreSQL 15, 17 and 18, and pg_upgrade; as root: half an hour
	@test/versions $(VERSIONS)

check-memory: ## the regression and client tests with assertions, under valgrind: an hour
	@test/memory/run

check-property: ## the long form of the tests that draw their cases: an hour
	@test/install check
	@STEDI_TEST_SEQUENCES=200 STEDI_TEST_STEPS=24 STEDI_TEST_RECORDS=700 STEDI_TEST_KILLS=60 \
		test/cluster run test/client/run test_incremental test_many_records test_crash

check-security: ## privileges, hostile owners, addresses, canaries and encodings at length: up to an hour
	@test/install check
	@$(MAKE) --no-print-directory -s unit UNIT="address s3xml keys ini glob" UNIT_PORTABLE=
	@STEDI_TEST_SECURITY=long $(MAKE) --no-print-directory -s unit UNIT=beneath UNIT_PORTABLE=
	@STEDI_TEST_SECURITY=long test/cluster run bash -c '\
		make -s installcheck REGRESS="option privilege" ISOLATION= && \
		createdb pgtap && pg_prove --dbname pgtap test/pgtap/privilege.sql test/pgtap/object.sql && \
		test/client/run test_address test_tls test_hostile \
		test_hostile_owner test_sweep test_keys test_secrets test_encodings test_dump test_exchange'

lint: ## the project's own rules on its files
	@test/lint/run

# A package is built without the tests.
-include test/unit.mk test/fuzz.mk test/bench.mk

.SECONDARY:

.build:
	@mkdir -p $@

indent: all ## lay out the C sources as PostgreSQL does
	@test/lint/typedefs $(OBJS) >test/lint/typedefs.list
	@test/lint/indent --write

comment := $(shell sed -n "s/^comment *= *'\(.*\)'/\1/p" stedi.control)

define META
{
    "name": "stedi",
    "abstract": "$(comment)",
    "version": "$(version).0",
    "description": "A foreign data wrapper for landing JSON in S3, and functions that materialise from it, for research, only what people have consented to.",
    "maintainer": "the stedi founders <founders@stedi.example>",
    "license": "postgresql",
    "provides": {
        "stedi": {
            "file": "$(lastword $(DATA))",
            "abstract": "$(comment)",
            "docfile": "README.md",
            "version": "$(version).0"
        }
    },
    "tags": ["s3", "json", "fdw", "foreign data wrapper", "consent", "privacy", "gdpr"],
    "generated_by": "make dist",
    "prereqs": { "runtime": { "requires": { "PostgreSQL": "15.0.0" } } },
    "meta-spec": { "version": "1.0.0", "url": "https://pgxn.org/meta/spec.txt" }
}
endef

dist: manual | .build ## an archive of HEAD for PGXN, with the manual as one page
	$(file >.build/META.json,$(META))
	git archive --format=zip --prefix=stedi-$(version)/doc/ --add-file=doc/stedi.html \
		--prefix=stedi-$(version)/ --add-file=.build/META.json --output=stedi-$(version).zip HEAD

manual: ## make doc/stedi.html, the manual as one page, of README.md and doc
	@test/install manual
	@doc/manual

deb: ## build the Debian package postgresql-MAJOR-stedi into .build
	@test/package deb

check-package: ## install that package, built from the archive, where there are no compilers; as root
	@test/package check

.PHONY: $(OWN) all install installcheck clean indent ready
