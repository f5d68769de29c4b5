# larder: `make help` lists what can be made. Nothing but this file, GNU make and a shell is needed to
# start; `make run` and `make test` install the Debian packages that they lack (tests/support/deps).
#
# Everything that is built lies in build/<flavour>/: release, asan (SANITIZER=address,undefined),
# cover, fuzz and strict-* (warnings as errors). The release programs lie in build/ itself:
# build/larder. CFLAGS, CPPFLAGS, LDFLAGS and LDLIBS are yours: they come behind larder's own.

VERSION := 0.1.0

SHELL := /bin/bash
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules --no-print-directory

# All cores; a -j on the command line wins. Cleaning comes before what else is asked for.
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(shell nproc)
endif
ifneq ($(filter clean,$(MAKECMDGOALS)),)
.NOTPARALLEL:
endif

ifeq ($(origin CC),default)
CC := gcc
endif
CLANG ?= $(or $(notdir $(firstword $(shell command -v clang-14 clang))),clang)
CLANG_TIDY ?= $(or $(notdir $(firstword $(shell command -v clang-tidy-14 clang-tidy))),clang-tidy)
CLANG_FORMAT ?= $(or $(notdir $(firstword $(shell command -v clang-format-14 clang-format))),clang-format)
PYTHON ?= /usr/bin/python3
# The folder with conformance/ and bench/, beside this one.
SHARED ?= ../shared
CACHE ?= $(HOME)/.cache/larder

# ---------------------------------------------------------------- flavour

ifneq ($(findstring address,$(SANITIZER)),)
FLAVOUR ?= asan
else ifeq ($(SANITIZER),undefined)
FLAVOUR ?= ubsan
else ifneq ($(SANITIZER),)
FLAVOUR ?= san-$(SANITIZER)
else
FLAVOUR ?= release
endif

O := build/$(FLAVOUR)
BIN := $(if $(filter release,$(FLAVOUR)),build,$O)

# ---------------------------------------------------------------- flags

WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wformat=2 \
    -Wvla -Wswitch-enum -Wcast-qual -Wwrite-strings
HARDENING := -fstack-protector-strong -fstack-clash-protection -fPIE
HARDENED_LINK := -pie -Wl,-z,relro,-z,now -Wl,-z,noexecstack -Wl,--as-needed
OPTIMIZE := -O2 -fno-plt
FORTIFY := -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2

# Sanitizers replace _FORTIFY_SOURCE (they see the plain calls) and want readable stacks.
ifneq ($(SANITIZER),)
OPTIMIZE := -O1 -fsanitize=$(SANITIZER) -fno-sanitize-recover=all
FORTIFY := -U_FORTIFY_SOURCE
endif
ifeq ($(FLAVOUR),cover)
OPTIMIZE := -O0 --coverage
FORTIFY := -U_FORTIFY_SOURCE
endif
ifeq ($(FLAVOUR),fuzz)
OPTIMIZE := -O1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
FORTIFY := -U_FORTIFY_SOURCE
endif

# Link-time optimization of build/larder: with gcc, when it is optimized at all. Objects are fat, so
# that the test programs link without it, in a moment.
IS_CLANG := $(findstring clang,$(notdir $(CC)))
LTO ?= $(if $(IS_CLANG)$(SANITIZER)$(filter cover fuzz,$(FLAVOUR)),0,1)
LTO_COMPILE := $(if $(filter 1,$(LTO)),-flto=auto -ffat-lto-objects)
LTO_LINK := $(if $(filter 1,$(LTO)),-flto=auto)
NO_LTO_LINK := $(if $(filter 1,$(LTO)),-fno-lto)

# pkg-config is asked once, and only when something is compiled.
MODULES := libevent_core openssl inih
ask_once = $(eval $1 := $$(shell pkg-config $2 2>/dev/null))$($1)
MODULE_CFLAGS = $(call ask_once,MODULE_CFLAGS,--cflags $(MODULES))
MODULE_LIBS = $(call ask_once,MODULE_LIBS,--libs $(MODULES))
CHECK_LIBS = $(call ask_once,CHECK_LIBS,--libs check)

ALL_CPPFLAGS = -D_GNU_SOURCE -DLARDER_VERSION='"$(VERSION)"' $(FORTIFY) -Isrc $(MODULE_CFLAGS) $(CPPFLAGS)
ALL_CFLAGS = -std=c11 -g $(OPTIMIZE) -fno-omit-frame-pointer -pthread $(WARNINGS) $(HARDENING) \
    $(if $(filter 1,$(WERROR)),-Werror) $(CFLAGS)
ALL_LDFLAGS = $(HARDENED_LINK) $(LDFLAGS)
ALL_LIBS = $(MODULE_LIBS) -lm $(LDLIBS)

# ---------------------------------------------------------------- what there is

MAIN := $(wildcard src/main.c)
ROOM_SOURCES := $(wildcard src/*/*.c)
SOURCES := $(MAIN) $(ROOM_SOURCES)
HEADERS := $(wildcard src/*/*.h)
INCLUDED := $(HEADERS) $(wildcard src/*/*.inc)
UNIT_ROOMS := $(sort $(notdir $(patsubst %/,%,$(dir $(wildcard tests/unit/*/*.c)))))
FUZZ_TARGETS := $(sort $(notdir $(patsubst %/,%,$(dir $(wildcard tests/fuzz/*/fuzz_*.c)))))
CLIENT_SOURCES := $(wildcard tests/clients/*.c)
PRELOAD_SOURCES := $(wildcard tests/support/preload_*.c)
SUPPORT_SOURCES := $(filter-out $(PRELOAD_SOURCES),$(wildcard tests/support/*.c))
COHERENCE_SOURCES := $(wildcard tests/coherence/*.c)
TEST_SOURCES := $(wildcard tests/unit/*/*.c tests/fuzz/*.c tests/fuzz/*/*.c) $(CLIENT_SOURCES) \
    $(PRELOAD_SOURCES) $(SUPPORT_SOURCES) $(BENCH_SOURCES) $(COHERENCE_SOURCES)
TEST_HEADERS := $(wildcard tests/*/*.h tests/*/*/*.h)
SCRIPTS = $(shell grep -lE '^\#!.*\b(ba)?sh$$' .ci/run tests/run-all tests/*/* src/*/* 2>/dev/null)

OBJECTS := $(SOURCES:%.c=$O/%.o)
ARCHIVE := $O/rooms.a
UNIT_PROGRAMS := $(UNIT_ROOMS:%=$O/unit/%)
REPLAY_PROGRAMS := $(FUZZ_TARGETS:%=$O/replay/%)
FUZZ_PROGRAMS := $(FUZZ_TARGETS:%=$O/bin/%)
SUPPORT_PROGRAMS := $(SUPPORT_SOURCES:tests/support/%.c=$(BIN)/%)
BENCH_SOURCES := $(wildcard tests/bench/*.c)
BENCH_PROGRAMS := $(BENCH_SOURCES:tests/bench/%.c=$(BIN)/%)
PRELOADS := $(PRELOAD_SOURCES:tests/support/%.c=$O/%.so)

ifeq ($(V),1)
Q :=
say = @:
else
Q := @
say = $(if $(SILENT),@:,@printf '  %-8s %s\n')
endif
SILENT := $(findstring s,$(firstword -$(MAKEFLAGS)))

# ---------------------------------------------------------------- the program

.PHONY: all
all: $(BIN)/larder ## build/larder: optimized, hardened, -g (V=1: show commands; LTO=0, WERROR=1)

# The flags are a dependency: this file changes when they do, and everything hangs on it.
define require
pkg-config --exists '$1' || { echo "larder: missing $1: apt-get install $2, or: make deps" >&2; exit 1; }
endef

.PHONY: FORCE
$O/.flags: FORCE
	@command -v $(CC) >/dev/null || { echo "larder: there is no compiler $(CC); try: make deps" >&2; exit 1; }
	@command -v pkg-config >/dev/null || { echo "larder: missing pkg-config; try: make deps" >&2; exit 1; }
	@$(call require,libevent_core >= 2.1,libevent-dev)
	@$(call require,openssl >= 3.0,libssl-dev)
	@$(call require,inih >= 53,libinih-dev)
	$(shell mkdir -p $(@D))$(file >$@.new,$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) $(LTO_COMPILE) / $(ALL_LDFLAGS) $(ALL_LIBS))
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

# So is the list of sources: what was linked from a file that is gone must be linked again.
$O/.sources: FORCE
	$(shell mkdir -p $(@D))$(file >$@.new,$(SOURCES))
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

.PHONY: need-check
need-check:
	@$(call require,check >= 0.15,check)

$O/%.o: %.c $O/.flags
	@mkdir -p $(@D)
	$(say) CC $<
	$Q$(CC) $(ALL_CPPFLAGS) $(TEST_CPPFLAGS) $(ALL_CFLAGS) $(LTO_COMPILE) -MMD -MP -c -o $@ $<

$(BIN)/larder: $(OBJECTS) $O/.sources
	@[ -n '$(MAIN)' ] || { echo "larder: there is no src/main.c" >&2; exit 1; }
	@mkdir -p $(@D)
	$(say) LINK $@
	+$Q$(CC) $(ALL_CFLAGS) $(LTO_LINK) $(ALL_LDFLAGS) -o $@ $(OBJECTS) $(ALL_LIBS)

$(ARCHIVE): $(ROOM_SOURCES:%.c=$O/%.o) $O/.sources
	$(say) AR $@
	@rm -f $@
	$Q ar rcsD $@ $(filter %.o,$^)

LINK_TEST = $(CC) $(ALL_CFLAGS) $(NO_LTO_LINK) $(ALL_LDFLAGS) -o $@ $(filter %.o %.a,$^)

$(SUPPORT_PROGRAMS): $(BIN)/%: $O/tests/support/%.o $(ARCHIVE)
	@mkdir -p $(@D)
	$(say) LINK $@
	$Q$(LINK_TEST) $(ALL_LIBS)

# Knows nothing of larder's source: it speaks to ports.
$(BIN)/coherence: $(COHERENCE_SOURCES:%.c=$O/%.o)
	@mkdir -p $(@D)
	$(say) LINK $@
	$Q$(LINK_TEST)

# These are measured: with the same link-time optimization as larder.
$(BENCH_PROGRAMS): $(BIN)/%: $O/tests/bench/%.o $(ROOM_SOURCES:%.c=$O/%.o) $O/.sources
	@mkdir -p $(@D)
	$(say) LINK $@
	+$Q$(CC) $(ALL_CFLAGS) $(LTO_LINK) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) -lm $(ALL_LIBS)

$(PRELOADS): $O/%.so: tests/support/%.c $O/.flags
	@mkdir -p $(@D)
	$(say) CC $@
	$Q$(CC) -D_GNU_SOURCE -std=c11 -g -O2 -fPIC $(WARNINGS) $(if $(filter 1,$(WERROR)),-Werror) -shared -o $@ $< -ldl

-include $(wildcard $(OBJECTS:.o=.d) $(TEST_SOURCES:%.c=$O/%.d))

# ---------------------------------------------------------------- set-up, running

.PHONY: help deps run
help: ## this list
	@sed -nE 's/^([a-z][a-z -]*):.*## (.*)/\1|\2/p' $(MAKEFILE_LIST) | \
	    while IFS='|' read -r name what; do printf '  make %-14s %s\n' "$$name" "$$what"; done
	@echo '  SANITIZER=address,undefined (or either) works with each of them.'

deps: ## install every Debian package that some target here wants
	@tests/support/deps all

run: ## install what is missing, build, start a Redis if there is none, run larder in the foreground
	@tests/support/deps build run
	+@$(MAKE) all
	@tests/support/run $(BIN)/larder conf/larder.ini

# ---------------------------------------------------------------- tests

TEST_PARTS := strict-gcc strict-clang unit system clients clients-near rooms headers tidy format-check drift \
    man-check units-check install-check
# clients-near runs what clients does, and more of the code.
ifneq ($(SANITIZER),)
TEST_PARTS := unit system clients-near
endif

# Sanitized programs need more time; LARDER_SLOW is for the system tests what CK_.. is for Check.
TEST_ENV = LARDER=$(abspath $(BIN)/larder) PYTHON=$(PYTHON)
ifneq ($(SANITIZER),)
TEST_ENV += SANITIZER=$(SANITIZER) CK_TIMEOUT_MULTIPLIER=10 LARDER_SLOW=4 \
    ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1:$(ASAN_OPTIONS) \
    UBSAN_OPTIONS=print_stacktrace=1:$(UBSAN_OPTIONS)
endif

.PHONY: test unit-programs unit system servers coherence mutants clients clients-near rooms headers tidy format-check \
    drift man-check units-check install-check
test: ## install what is missing, build with warnings as errors, test everything; the last line counts
	@tests/support/deps build run test
	@tests/support/get-servers build/servers
	+@MAKE='$(MAKE)' tests/run-all $(TEST_PARTS)

unit-programs: $(UNIT_PROGRAMS) $(REPLAY_PROGRAMS)

unit: unit-programs ## Check tests of each room (ROOM=resp: of one), and the fuzzers' known inputs
	@$(TEST_ENV) tests/support/unit $O $(ROOM)

system: all $(SUPPORT_PROGRAMS) $(PRELOADS) $(BIN)/coherence ## the real daemon before real and fake servers (TEST=regex: some)
	@$(TEST_ENV) tests/system/run $(if $(TEST),--only '$(TEST)')

servers: ## fetch the other versions of Redis and Valkey that larder is tested with into build/servers
	@tests/support/get-servers build/servers

SECS ?= 40
coherence: all $(BIN)/coherence ## near caches before a tormented Redis, judged for SECS=40 each (TEST=name: one)
	@$(TEST_ENV) tests/coherence/run --seconds $(SECS) $(TEST)

mutants: $(BIN)/coherence ## does the judge see it when a safeguard of the near cache is taken out? (TEST=name)
	@PYTHON=$(PYTHON) tests/coherence/mutants $(TEST)

clients: all ## redis-py, node-redis, ioredis, hiredis, redis-cli .. (TEST=name: one suite)
	@$(TEST_ENV) tests/clients/run $(TEST)

clients-near: all ## the same with a near cache that keeps every key, and they see hits
	@LARDER_NEAR=1 $(TEST_ENV) tests/clients/run $(TEST)

define unit_room
$O/unit/$1: $$(patsubst %.c,$O/%.o,$$(wildcard tests/unit/$1/*.c)) $(ARCHIVE)
$$(patsubst %.c,$O/%.o,$$(wildcard tests/unit/$1/*.c)): TEST_CPPFLAGS := -Itests
$$(patsubst %.c,$O/%.o,$$(wildcard tests/unit/$1/*.c)): | need-check
endef
$(foreach room,$(UNIT_ROOMS),$(eval $(call unit_room,$(room))))

$(UNIT_PROGRAMS):
	@mkdir -p $(@D)
	$(say) LINK $@
	$Q$(LINK_TEST) $(CHECK_LIBS) $(ALL_LIBS)

# The fuzzers' inputs through an ordinary program, so that a crash once found stays fixed.
define fuzz_target
$O/replay/$1: $$(patsubst %.c,$O/%.o,$$(wildcard tests/fuzz/$1/*.c)) $O/tests/fuzz/replay.o $(ARCHIVE)
$O/bin/$1: $$(patsubst %.c,$O/%.o,$$(wildcard tests/fuzz/$1/*.c)) $(ARCHIVE)
endef
$(foreach target,$(FUZZ_TARGETS),$(eval $(call fuzz_target,$(target))))

$(REPLAY_PROGRAMS):
	@mkdir -p $(@D)
	$(say) LINK $@
	$Q$(LINK_TEST) $(ALL_LIBS)

$(FUZZ_PROGRAMS):
	@mkdir -p $(@D)
	$(say) LINK $@
	$Q$(LINK_TEST) -fsanitize=fuzzer,address,undefined $(ALL_LIBS)

# Both compilers, everything, warnings as errors: apart from build/larder, so that neither disturbs
# the other's objects.
.PHONY: strict strict-gcc strict-clang strict-all
strict: strict-gcc strict-clang ## compile everything with gcc and clang, warnings as errors
strict-gcc:
	+@$(MAKE) FLAVOUR=strict-gcc CC=gcc WERROR=1 strict-all
strict-clang:
	+@$(MAKE) FLAVOUR=strict-clang CC=$(CLANG) WERROR=1 strict-all
strict-all: all unit-programs $(SUPPORT_PROGRAMS) $(BENCH_PROGRAMS) $(PRELOADS) $(BIN)/coherence \
    $(CLIENT_SOURCES:%.c=$O/%.o)

FUZZ_SECONDS ?= 60
FUZZ_RUNS := $(FUZZ_TARGETS:%=fuzz-run-%)
.PHONY: fuzz fuzz-all fuzz-programs $(FUZZ_RUNS)
fuzz: ## each fuzzer for FUZZ_SECONDS=60 (ROOM=request: one of them)
	+@$(MAKE) FLAVOUR=fuzz CC=$(CLANG) SANITIZER= fuzz-all
fuzz-programs: $(FUZZ_PROGRAMS)
fuzz-all: fuzz-programs
	@tests/support/fuzz $O $(FUZZ_SECONDS) $(or $(ROOM),$(FUZZ_TARGETS))

COVER_MIN ?= 95
COVER_ROOMS ?= resp command config
.PHONY: cover
cover: ## line coverage of the unit tests; COVER_ROOMS need COVER_MIN=95 %
	@find build/cover -name '*.gcda' -delete 2>/dev/null || true
	+@$(MAKE) FLAVOUR=cover CC=gcc SANITIZER= unit
	@find build/cover/src -name '*.gcno' -exec gcov -n {} + 2>/dev/null | \
	    awk -v least=$(COVER_MIN) -v rooms='$(COVER_ROOMS)' -f tests/support/cover.awk

.PHONY: valgrind
valgrind: unit-programs ## the unit tests under valgrind
	@tests/support/deps valgrind
	@VALGRIND=1 CK_TIMEOUT_MULTIPLIER=40 tests/support/unit $O $(ROOM)

# ---------------------------------------------------------------- the source itself

.PHONY: analyze format docs
rooms: ## who includes whom: the doors between the rooms of src/
	@awk -f tests/support/rooms.awk $(SOURCES) $(HEADERS)

HEADER_CHECKS := $(HEADERS:%=build/headers/%.ok)
headers: $(HEADER_CHECKS) ## each header compiles alone, with gcc and with clang
	@echo "headers: $(words $(HEADERS)) compile alone"
build/headers/%.ok: % $(INCLUDED) $O/.flags
	@mkdir -p $(@D)
	@for cc in gcc $(CLANG); do \
	    $$cc $(ALL_CPPFLAGS) -std=c11 $(WARNINGS) -Werror -fsyntax-only -x c - \
	    <<<'#include "$(<:src/%=%)"' || exit 1; done
	@touch $@

TIDY_CHECKS := $(SOURCES:%=build/tidy/%.ok)
tidy: $(TIDY_CHECKS) ## clang-tidy (.clang-tidy), words not to use, shellcheck
	@awk -f tests/support/words.awk $(SOURCES) $(HEADERS)
	@shellcheck -S warning $(SCRIPTS)
	@echo "tidy: $(words $(SOURCES)) sources, $(words $(SCRIPTS)) scripts"
build/tidy/%.ok: % $(INCLUDED) .clang-tidy tests/support/tidy
	@mkdir -p $(@D)
	$(say) TIDY $<
	@CLANG_TIDY=$(CLANG_TIDY) tests/support/tidy $< -std=c11 $(ALL_CPPFLAGS)
	@touch $@

FORMATTED := $(SOURCES) $(HEADERS) $(TEST_SOURCES) $(TEST_HEADERS)
format: ## clang-format everything
	@$(CLANG_FORMAT) -i $(FORMATTED)
format-check:
	@bad=$$(for file in $(FORMATTED); do \
	    $(CLANG_FORMAT) --dry-run -Werror $$file 2>/dev/null || printf '  %s\n' $$file; done); \
	[ -z "$$bad" ] || { printf 'not as clang-format has them (make format):\n%s\n' "$$bad"; exit 1; }
	@echo "format: $(words $(FORMATTED)) files as clang-format has them"

analyze: ## cppcheck; ANALYZER=1: gcc -fanalyzer as well (slow)
	@tests/support/deps analyze
	@cppcheck -q -j$$(nproc) --std=c11 --enable=warning,portability,performance --inline-suppr \
	    --suppress=missingIncludeSystem --error-exitcode=1 -D_GNU_SOURCE -Isrc $(SOURCES)
	+@[ "$(ANALYZER)" != 1 ] || \
	    $(MAKE) FLAVOUR=analyzer CC=gcc LTO=0 WERROR=1 CFLAGS='$(CFLAGS) -fanalyzer' all

docs: $(BIN)/print_reference ## write what is generated: the reference, larder.ini(5), the command table
	@tests/support/drift --write $(BIN)
drift: $(BIN)/print_reference ## is what is generated up to date, do the mutants fit the source?
	@tests/support/drift $(BIN)
	@$(PYTHON) tests/coherence/mutants --fit

man-check: ## mandoc on the man pages
	@mandoc -Tlint -Wwarning conf/larder.8 conf/larder.ini.5
	@echo "man pages: no warnings"

units-check: all ## systemd-analyze verify and security
	@tests/support/units $(BIN)/larder

install-check: all ## make install and uninstall in a scratch folder
	@MAKE='$(MAKE)' tests/support/install-check

# ---------------------------------------------------------------- beside others

.PHONY: conformance conformance-tenant bench tls-bench tenants-bench hit-ratio near-cache stampede behind-sentinel
conformance: all ## the Tcl tests of Redis itself through larder (UNITS="unit/multi ..": some)
	@tests/support/deps conformance
	@SHARED=$(SHARED) CACHE=$(CACHE) LARDER=$(abspath $(BIN)/larder) tests/system/conformance $(UNITS)

conformance-tenant: ## the same through a tenant's session, test by test beside what passes without
	+@LARDER_TENANT=1 $(MAKE) conformance

behind-sentinel: all $(BIN)/coherence ## these, the clients and the coherence tests, behind a Sentinel and TLS
	+@LARDER_SENTINEL=1 LARDER_TLS=1 $(MAKE) conformance
	+@LARDER_SENTINEL=1 LARDER_TLS=1 $(MAKE) clients
	+@LARDER_SENTINEL=1 LARDER_TLS=1 $(MAKE) coherence

BENCH_ARGS ?= --goals $(SHARED)/bench/goals
bench: all ## larder beside its peers (BENCH_ARGS="--quick"); wants two idle cores
	@tests/support/deps bench
	@LARDER=$(abspath $(BIN)/larder) LARDER_ARGS='-c @CONF@' LARDER_CONF=tests/bench/pass.ini \
	    LARDER_PASS_CONF=tests/bench/pass.ini $(SHARED)/bench/bench $(BENCH_ARGS)

tls-bench: all ## what TLS towards Redis costs, beside haproxy; wants two idle cores
	@SHARED=$(SHARED) LARDER=$(abspath $(BIN)/larder) tests/bench/tls

tenants-bench: all ## what a tenant's prefix costs, and 10,000 tenants; wants two idle cores
	@SHARED=$(SHARED) LARDER=$(abspath $(BIN)/larder) tests/bench/tenants
	@SHARED=$(SHARED) LARDER=$(abspath $(BIN)/larder) tests/bench/tenants --instructions
	@SHARED=$(SHARED) LARDER=$(abspath $(BIN)/larder) tests/bench/tenants --many 10000

hit-ratio: $(BIN)/hit_ratio ## what the near cache answers from memory, beside an LRU of its size
	@$(BIN)/hit_ratio

near-cache: $(BIN)/near_cache ## what the near cache costs: bytes an entry, ns a look-up
	@$(BIN)/near_cache

stampede: all ## what a thousand clients cost that miss the same keys (STAMPEDE="one fleet": some)
	@LARDER=$(abspath $(BIN)/larder) tests/bench/stampede $(STAMPEDE)

# ---------------------------------------------------------------- installing

PREFIX ?= /usr/local
SBINDIR ?= $(PREFIX)/sbin
SYSCONFDIR ?= /etc
MANDIR ?= $(PREFIX)/share/man
DOCDIR ?= $(PREFIX)/share/doc/larder
UNITDIR ?= $(PREFIX)/lib/systemd/system
INSTALL ?= install
CONF := $(DESTDIR)$(SYSCONFDIR)/larder/larder.ini

.PHONY: install uninstall dist clean
install: all ## into DESTDIR, PREFIX=/usr/local; /etc/larder/larder.ini is never overwritten
	@$(INSTALL) -d $(DESTDIR){$(SBINDIR),$(SYSCONFDIR)/larder,$(MANDIR)/man5,$(MANDIR)/man8,$(DOCDIR),$(UNITDIR)}
	$(INSTALL) -m 755 $(BIN)/larder $(DESTDIR)$(SBINDIR)/larder
	@[ -e $(CONF) ] && echo "$(CONF) is kept" || { set -x; $(INSTALL) -m 644 conf/larder.ini $(CONF); }
	$(INSTALL) -m 644 conf/larder.ini.reference README.md CHANGELOG.md LICENSE $(DESTDIR)$(DOCDIR)
	$(INSTALL) -m 644 conf/larder.8 $(DESTDIR)$(MANDIR)/man8
	$(INSTALL) -m 644 conf/larder.ini.5 $(DESTDIR)$(MANDIR)/man5
	$(INSTALL) -m 644 systemd/larder.service systemd/larder.socket $(DESTDIR)$(UNITDIR)
	@sed -i 's|/usr/local/sbin/larder|$(SBINDIR)/larder|g; s|/etc/larder/|$(SYSCONFDIR)/larder/|g' \
	    $(DESTDIR)$(UNITDIR)/larder.service

uninstall: ## what install put there, but for the configuration
	rm -f $(DESTDIR)$(SBINDIR)/larder $(DESTDIR)$(MANDIR)/man8/larder.8 $(DESTDIR)$(MANDIR)/man5/larder.ini.5
	rm -f $(DESTDIR)$(UNITDIR)/larder.service $(DESTDIR)$(UNITDIR)/larder.socket
	rm -rf $(DESTDIR)$(DOCDIR)

dist: ## build/larder-VERSION.tar.gz of what is committed
	@mkdir -p build
	git archive --format=tar.gz --prefix=larder-$(VERSION)/ -o build/larder-$(VERSION).tar.gz HEAD

clean: ## remove build/
	rm -rf build
