# muster: how everything is built. `make help` lists the targets.
#
# Flavours share one set of rules: BUILD=release|asan|fuzz|analysis picks flags and the
# directory build/$(BUILD); only the release flavour ever writes to priv/.

BUILD ?= release
OUT := build/$(BUILD)
VERSION := $(shell cat VERSION)
UNAME := $(shell uname -s)

# Where the Erlang headers and libei are. script/erlang-paths asks `erl` once.
ifeq ($(filter clean help deps demo,$(MAKECMDGOALS)),)
-include build/erlang.mk
endif

CC ?= cc
PKG_CONFIG ?= pkg-config
# A user's newer compiler may know warnings ours does not: errors only in our own checkout.
WERROR ?= $(if $(wildcard .git),-Werror)

CPPFLAGS_ALL = -D_GNU_SOURCE -D_REENTRANT -DMUSTER_VERSION='"$(VERSION)"' -Ic_src $(CPPFLAGS)
CFLAGS_COMMON = -std=c11 -fPIC -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
                -Wpointer-arith -Wvla $(WERROR)
CFLAGS_release = -O2 -g -fstack-protector-strong -D_FORTIFY_SOURCE=2
CFLAGS_asan = -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
CFLAGS_fuzz = -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined \
              -fno-sanitize-recover=all -DMUSTER_FUZZING
CFLAGS_ALL = $(CFLAGS_COMMON) $(CFLAGS_$(BUILD)) $(CFLAGS)
LDFLAGS_asan = -fsanitize=address,undefined
LDFLAGS_fuzz = -fsanitize=fuzzer,address,undefined
ifeq ($(BUILD),fuzz)
CC := clang
endif

UV_CFLAGS := $(shell $(PKG_CONFIG) --cflags libuv 2>/dev/null)
UV_LIBS := $(or $(shell $(PKG_CONFIG) --libs libuv 2>/dev/null),-luv)
SODIUM_CFLAGS := $(shell $(PKG_CONFIG) --cflags libsodium 2>/dev/null)
SODIUM_LIBS := $(or $(shell $(PKG_CONFIG) --libs libsodium 2>/dev/null),-lsodium)
NODE_LIBS = -L$(EI_LIB) -lei $(UV_LIBS) $(SODIUM_LIBS) -lpthread

ifeq ($(UNAME),Darwin)
NIF_LDFLAGS = -bundle -undefined dynamic_lookup
else
NIF_LDFLAGS = -shared
endif

CORE_SRC := $(wildcard c_src/core/*.c)
NODE_SRC := $(wildcard c_src/node/*.c)
NIF_SRC := $(wildcard c_src/nif/*.c)
UNIT_SRC := $(wildcard c_src/test/unit/test_*.c)
FUZZ_SRC := $(wildcard c_src/test/fuzz/fuzz_*.c)

obj = $(patsubst c_src/%.c,$(OUT)/%.o,$(1))
CORE_OBJ := $(call obj,$(CORE_SRC))
NODE_OBJ := $(call obj,$(NODE_SRC))
# What tests and fuzz targets may link of the C node: all of it but main().
NODE_LIB_OBJ := $(filter-out $(OUT)/node/main.o,$(NODE_OBJ))
NIF_OBJ := $(call obj,$(NIF_SRC))
UNIT_BIN := $(patsubst c_src/test/unit/%.c,$(OUT)/unit/%,$(UNIT_SRC))
FUZZ_BIN := $(patsubst c_src/test/fuzz/%.c,$(OUT)/fuzz/%,$(FUZZ_SRC))

.DEFAULT_GOAL := all
.PHONY: all native help deps demo test bench asan valgrind fuzz lint clean unit fuzz-bin

## all: build the C node, the NIF library and the Erlang and Elixir code
all: native
	@script/build-beam

## native: build priv/muster_node and priv/muster_nif.so (what mix and rebar3 call)
native: priv/muster_node priv/muster_nif.so

help:
	@echo "muster $(VERSION): make targets"
	@sed -n 's/^## \([a-z]*\): \(.*\)/  \1|\2/p' Makefile | awk -F'|' '{printf "%-12s %s\n", $$1, $$2}'

## deps: install what is missing (Debian/Ubuntu: apt, macOS: brew)
deps:
	@script/deps

## demo: install, build, form a real cluster on loopback and show it working
demo: deps
	@$(MAKE) --no-print-directory all
	@script/demo

## test: everything that must hold; ends with how many passed and failed
test: all
	@script/test

## bench: measure against baselines in the same run (JSON lines and a table)
bench: all
	@script/bench

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
clean:
	rm -rf build _build priv/muster_node priv/muster_nif.so

build/erlang.mk: script/erlang-paths
	@mkdir -p build
	@script/erlang-paths > $@.tmp && mv $@.tmp $@

priv/%: build/release/%
	@mkdir -p priv
	@cp $< $@.tmp && mv $@.tmp $@

$(OUT)/libmuster_core.a: $(CORE_OBJ)
	@rm -f $@
	$(AR) rcs $@ $^

$(OUT)/muster_node: $(NODE_OBJ) $(OUT)/libmuster_core.a
	$(CC) $(CFLAGS_ALL) $(LDFLAGS_$(BUILD)) $(LDFLAGS) -o $@ $^ $(NODE_LIBS)

$(OUT)/muster_nif.so: $(NIF_OBJ) $(OUT)/libmuster_core.a
	$(CC) $(CFLAGS_ALL) $(LDFLAGS_$(BUILD)) $(NIF_LDFLAGS) $(LDFLAGS) -o $@ $^

unit: $(UNIT_BIN)

$(OUT)/unit/%: $(OUT)/test/unit/%.o $(NODE_LIB_OBJ) $(OUT)/libmuster_core.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) $(LDFLAGS_$(BUILD)) $(LDFLAGS) -o $@ $^ -lcmocka $(NODE_LIBS)

fuzz-bin: $(FUZZ_BIN)

$(OUT)/fuzz/%: $(OUT)/test/fuzz/%.o $(NODE_LIB_OBJ) $(OUT)/libmuster_core.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) $(LDFLAGS_$(BUILD)) $(LDFLAGS) -o $@ $^ $(NODE_LIBS)

$(OUT)/%.o: c_src/%.c build/erlang.mk VERSION | build/libs-checked
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -I$(EI_INCLUDE) -I$(ERTS_INCLUDE) $(UV_CFLAGS) $(SODIUM_CFLAGS) \
	  -MMD -MP -c -o $@ $<

build/libs-checked: script/check-libs build/erlang.mk
	@mkdir -p build
	@CC="$(CC)" script/check-libs && touch $@

include c_src/test/sim/sim.mk

-include $(shell find $(OUT) -name '*.d' 2>/dev/null)
