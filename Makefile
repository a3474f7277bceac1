# muster: how everything is built. `make help` lists the targets, V=1 shows full commands.
#
# Flavours share one set of rules: BUILD=release|asan|fuzz picks flags and the directory
# build/$(BUILD); only the release flavour ever writes to priv/.

BUILD ?= release
OUT := build/$(BUILD)
VERSION := $(shell cat VERSION)
UNAME := $(shell uname -s)

CC ?= cc
PKG_CONFIG ?= pkg-config
# Mix and the BEAM want to know that file names are UTF-8; a bare container says nothing.
ifeq ($(LC_ALL)$(LC_CTYPE)$(LANG),)
export LC_ALL := C.UTF-8
endif

# Where the Erlang headers and libei are: script/erlang-paths asks `erl` once, and again when
# that Erlang has gone (an upgrade). MAKE_RESTARTS keeps a lasting lack from asking for ever.
ifneq ($(filter-out help deps demo test clean clean-native asan valgrind fuzz,$(or $(MAKECMDGOALS),all)),)
include build/erlang.mk
ifeq ($(wildcard $(EI_INCLUDE)/ei.h)$(MAKE_RESTARTS),)
build/erlang.mk: FORCE
endif
endif

# A user's newer compiler may know warnings that ours does not: errors only in our own checkout,
# not where Mix (deps/), rebar3 (lib/, _checkouts/) or Gleam (packages/) put a clone.
PARENT := $(notdir $(patsubst %/,%,$(dir $(CURDIR))))
WERROR ?= $(if $(filter deps lib _checkouts packages,$(PARENT)),,$(if $(wildcard .git),-Werror))

CPPFLAGS_ALL = -D_GNU_SOURCE -D_REENTRANT -DMUSTER_VERSION='"$(VERSION)"' -Ic_src $(CPPFLAGS)
CFLAGS_COMMON = -std=c11 -fPIC -fvisibility=hidden -Wall -Wextra -Wshadow -Wstrict-prototypes \
                -Wmissing-prototypes -Wpointer-arith -Wvla $(WERROR)
# -U first: Ubuntu's gcc defines _FORTIFY_SOURCE by itself, and a second definition is a warning.
CFLAGS_release = -O2 -g -fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
NIF_CFLAGS_release = -O3
NIF_LTO_release = -flto -ffat-lto-objects -flto-partition=one
CFLAGS_asan = -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
CFLAGS_fuzz = -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined \
              -fno-sanitize-recover=all -DMUSTER_FUZZING
CFLAGS_ALL = $(CFLAGS_COMMON) $(CFLAGS_$(BUILD)) $(CFLAGS)
LDFLAGS_asan = -fsanitize=address,undefined
LDFLAGS_fuzz = -fsanitize=address,undefined
LDFLAGS_ALL = $(LDFLAGS_$(BUILD)) $(LDFLAGS)
ifeq ($(BUILD),fuzz)
CC := clang
endif

UV_CFLAGS := $(shell $(PKG_CONFIG) --cflags libuv 2>/dev/null)
UV_LIBS := $(or $(shell $(PKG_CONFIG) --libs libuv 2>/dev/null),-luv)
SODIUM_CFLAGS := $(shell $(PKG_CONFIG) --cflags libsodium 2>/dev/null)
SODIUM_LIBS := $(or $(shell $(PKG_CONFIG) --libs libsodium 2>/dev/null),-lsodium)
CARES_CFLAGS := $(shell $(PKG_CONFIG) --cflags libcares 2>/dev/null)
CARES_LIBS := $(or $(shell $(PKG_CONFIG) --libs libcares 2>/dev/null),-lcares)
JANSSON_CFLAGS := $(shell $(PKG_CONFIG) --cflags jansson 2>/dev/null)
JANSSON_LIBS := $(or $(shell $(PKG_CONFIG) --libs jansson 2>/dev/null),-ljansson)
# Only its headers: the library is loaded by the strategy that needs it (dlopen).
CURL_CFLAGS := $(shell $(PKG_CONFIG) --cflags libcurl 2>/dev/null)
DL_LIBS := $(if $(filter Linux,$(UNAME)),-ldl)
INCLUDES = -I$(EI_INCLUDE) -I$(ERTS_INCLUDE) $(UV_CFLAGS) $(SODIUM_CFLAGS) $(CARES_CFLAGS) \
           $(JANSSON_CFLAGS) $(CURL_CFLAGS)
NODE_LIBS = -L$(EI_LIB) -lei $(UV_LIBS) $(SODIUM_LIBS) $(CARES_LIBS) $(JANSSON_LIBS) $(DL_LIBS) \
            -lpthread

ifeq ($(UNAME),Darwin)
NIF_LDFLAGS = -bundle -undefined dynamic_lookup
else
NIF_LDFLAGS = -shared
endif

CORE_SRC := $(wildcard c_src/core/*.c)
NODE_SRC := $(wildcard c_src/node/*.c)
NIF_SRC := $(wildcard c_src/nif/*.c)
# What of the core the NIF library needs.
NIF_CORE_SRC := $(wildcard c_src/core/trie*.c) $(addprefix c_src/core/,causal_context.c dot.c lineage.c siphash.c)
UNIT_SRC := $(wildcard c_src/test/unit/test_*.c)
FUZZ_SRC := $(wildcard c_src/test/fuzz/fuzz_*.c)
HEADERS := $(wildcard c_src/*/*.h)

obj = $(patsubst c_src/%.c,$(OUT)/%.o,$(1))
CORE_OBJ := $(call obj,$(CORE_SRC))
NODE_OBJ := $(call obj,$(NODE_SRC))
# What tests and fuzz targets may link of the C node: all of it but main().
NODE_LIB_OBJ := $(filter-out $(OUT)/node/main.o,$(NODE_OBJ))
UNIT_BIN := $(patsubst c_src/test/unit/%.c,$(OUT)/unit/%,$(UNIT_SRC))
FUZZ_BIN := $(patsubst c_src/test/fuzz/%.c,$(OUT)/fuzz/%,$(FUZZ_SRC))
TIDY_OK := $(patsubst c_src/%.c,build/tidy/%.ok,$(CORE_SRC) $(NODE_SRC) $(NIF_SRC))

# `$(call say,CC)` prints "CC release/core/x.o", unless V=1 shows the command itself.
ifeq ($(V),1)
Q :=
say = @:
else
Q := @
say = @printf '%-4s %s\n' '$(1)' '$(@:build/%=%)'
endif

# Everything is made under a name of its own ($$$$ is the shell's process) and moved into place, so that several
# builds may run in one checkout: an editor's language server compiles while its user does.
TMP = $@.tmp-$$$$

.DEFAULT_GOAL := all
.SECONDARY:
.DELETE_ON_ERROR:
.PHONY: FORCE all native help deps demo test bench soak asan valgrind fuzz lint tidy clean clean-native unit fuzz-bin

## all: build the C node, the NIF library and the Erlang and Elixir code
all: native
	@sh script/build-beam

## native: build priv/muster_node and priv/muster_nif.so (what mix and rebar3 call)
ifeq ($(BUILD),release)
native: priv/muster_node priv/muster_nif.so
else
native: $(OUT)/muster_node $(OUT)/muster_nif.so
endif
	@:

help:
	@echo "muster $(VERSION): make targets"
	@sed -n 's/^## \([a-z]*\): \(.*\)/\1|\2/p' Makefile | awk -F'|' '{printf "  %-10s %s\n", $$1, $$2}'
	@echo "V=1 shows full commands, BUILD=asan|fuzz builds another flavour into build/."

## deps: install what is missing (Debian/Ubuntu: apt, macOS: brew)
deps:
	@sh script/deps

## demo: install what the build needs, build, form a real cluster on loopback and show it working
demo:
	@sh script/deps --build
	@$(MAKE) --no-print-directory all
	@script/demo

## test: install what the tests need, build, run all that must hold, or SUITES="eunit docs"
test:
	@sh script/deps || echo "make test: goes on without; what needs them fails or is skipped" >&2
	@$(MAKE) --no-print-directory all
	@script/test $(SUITES)

## bench: measure against baselines in the same run (JSON lines and a table)
bench: all
	@script/bench

## soak: the overlay under failures, 200 rounds on real nodes (script/soak says more)
soak: all
	@script/soak

## asan: unit tests and the C node's cluster tests under address and undefined sanitizers
asan:
	@script/test-sanitized

## valgrind: unit tests and a C node session under valgrind
valgrind:
	@script/test-valgrind

## fuzz: run each fuzz target for FUZZ_SECONDS (default 20)
fuzz:
	@script/fuzz

## lint: formatting, static analysis, dialyzer
lint: all
	@script/lint

## clean: remove what was built
clean: clean-native
	@rm -rf build _build

# What `mix clean` and `rebar3 clean` call: their own output is theirs to remove.
clean-native:
	@rm -rf build/release build/asan build/fuzz build/erlang.mk build/libs-checked \
	  priv/muster_node priv/muster_nif.so

build/erlang.mk: script/erlang-paths
	@mkdir -p build
	@sh script/erlang-paths > $(TMP) && mv $(TMP) $@

build/libs-checked: script/check-libs build/erlang.mk
	@mkdir -p build
	@CC='$(CC)' PKG_CONFIG='$(PKG_CONFIG)' EI_INCLUDE='$(EI_INCLUDE)' ERTS_INCLUDE='$(ERTS_INCLUDE)' \
	  sh script/check-libs && touch $@

# Changes only when the compiler, its flags or the version do; then everything is rebuilt. Nothing is
# written otherwise: what is built may be read-only.
FLAGS_IN_USE = $(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(INCLUDES) $(LDFLAGS_ALL) $(NODE_LIBS) \
               $(NIF_CFLAGS_$(BUILD)) $(NIF_LTO_$(BUILD))
$(OUT)/flags: FORCE
	@mkdir -p $(@D)
	@echo $(call quote,$(FLAGS_IN_USE)) | cmp -s - $@ || { echo $(call quote,$(FLAGS_IN_USE)) > $(TMP) && mv $(TMP) $@; }

quote = '$(subst ','\'',$(1))'

# Moved into place also because a running C node or BEAM keeps the file it has open.
priv/%: build/release/%
	$(call say,COPY)
	@mkdir -p priv
	@cp $< $(TMP) && mv $(TMP) $@

$(OUT)/libmuster_core.a: $(CORE_OBJ)
	$(call say,AR)
	$(Q)$(AR) rcs $(TMP) $^ && mv $(TMP) $@

$(OUT)/muster_node: $(NODE_OBJ) $(OUT)/libmuster_core.a
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $(TMP) $^ $(NODE_LIBS) && mv $(TMP) $@

# Compiled as a whole, as it is made of functions of a few nanoseconds that call each other across files. Without
# link-time optimisation where the compiler or its linker has none: clang's needs a linker of its own.
NIF_CC = $(CC) $(CPPFLAGS_ALL) $(CFLAGS_COMMON) $(CFLAGS_$(BUILD)) $(NIF_CFLAGS_$(BUILD)) $(CFLAGS) $(INCLUDES) \
         $(NIF_LDFLAGS) $(LDFLAGS_ALL)
$(OUT)/muster_nif.so: $(NIF_SRC) $(NIF_CORE_SRC) $(HEADERS) $(OUT)/flags | build/libs-checked
	$(call say,CC)
	$(Q){ $(if $(NIF_LTO_$(BUILD)),$(NIF_CC) $(NIF_LTO_$(BUILD)) -o $(TMP) $(filter %.c,$^) 2>/dev/null ||) \
	  $(NIF_CC) -o $(TMP) $(filter %.c,$^); } && mv $(TMP) $@

unit: $(UNIT_BIN)
	@:

$(OUT)/unit/%: $(OUT)/test/unit/%.o $(NODE_LIB_OBJ) $(OUT)/libmuster_core.a
	$(call say,LINK)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $^ -lcmocka $(NODE_LIBS)

fuzz-bin: $(FUZZ_BIN)
	@:

$(OUT)/fuzz/%: $(OUT)/test/fuzz/%.o $(NODE_LIB_OBJ) $(OUT)/libmuster_core.a
	$(call say,LINK)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) -fsanitize=fuzzer $(LDFLAGS_ALL) -o $@ $^ $(NODE_LIBS)

$(OUT)/%.o: c_src/%.c $(OUT)/flags | build/libs-checked
	$(call say,CC)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(INCLUDES) -MMD -MP -MT $@ -MF $(TMP).dep -c -o $(TMP) $< \
	  && mv $(TMP).dep $(@:.o=.d) && mv $(TMP) $@

# clang-tidy is slow: a file is looked at again only when it, a header or the checks changed.
tidy: $(TIDY_OK)
	@:

build/tidy/%.ok: c_src/%.c $(HEADERS) .clang-tidy
	$(call say,TIDY)
	@mkdir -p $(@D)
	$(Q)clang-tidy --quiet $< -- $(CPPFLAGS_ALL) $(filter-out $(WERROR),$(CFLAGS_COMMON)) $(INCLUDES) 2>$@.err \
	  || { cat $@.err; exit 1; }
	@touch $@

-include c_src/test/sim/sim.mk

-include $(shell find $(OUT) -name '*.d' 2>/dev/null)
