# The two commands that a newcomer needs are `make demo` and `make test`.

CARGO ?= cargo
PREFIX ?= /usr/local
TARGET := $(or $(CARGO_TARGET_DIR),target)
DESTDIR ?=
# How long `make fuzz` stays with each target, and `make soak` with its crowd.
FUZZ_SECONDS ?= 300
SOAK_SECONDS ?= 600
TEST_THREADS ?= $(shell expr $$(nproc) \* 2)
# Before what only root may do.
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
# Nothing outside of DESTDIR is touched when there is one.
AS_ROOT := $(if $(DESTDIR),,$(SUDO))

.PHONY: help demo test bench bench-crowd bench-resolve bench-seams build install uninstall lint it fuzz fuzz-short
.PHONY: corpus soak deny audit units test-system clean tools-demo tools-nginx tools-bench tools-test

help:
	@echo 'make demo      try it: a sample film, streamed while it arrives (no network needed)'
	@echo 'make test      everything that must pass: format, lints, docs, tests, licences'
	@echo 'make bench     how fast, beside ffmpeg alone, nginx and the original design'
	@echo 'make fuzz      random bytes at everything that reads what strangers send'
	@echo 'make test-system  the unit, in a Debian that boots (as root)'
	@echo 'make corpus    media files of all shapes, or those in DIR=…, each compared with its source'
	@echo 'make soak      a crowd of all kinds of clients, for ten minutes'
	@echo 'make install   build, and install the program, its unit and its configuration'

demo: tools-demo
	$(CARGO) run --release --locked -- demo

test: tools-test lint it fuzz-short deny units

build:
	$(CARGO) build --release --locked

# Formats, lints and documentation, where a warning is an error.
lint:
	$(CARGO) fmt --check
	$(CARGO) fmt --check --manifest-path tests/fuzz/Cargo.toml
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --no-deps --document-private-items

# Unit and integration tests, against the release build that users run.
# Many of them wait, for limits to pass; so there are more of them at a time than processors.
it:
	RUST_TEST_THREADS=$(TEST_THREADS) $(CARGO) test --release --locked

# Ten minutes of clients of all kinds; `it` has a short run of it.
soak: tools-test
	YTCANAL_SOAK=$(SOAK_SECONDS) $(CARGO) test --release --locked --test it soak -- --nocapture

# Media files through every engine, each compared with its source; `it` has some of them. All that
# ffmpeg can make, or with DIR=… whatever lies there.
corpus: tools-test
	YTCANAL_CORPUS=$(or $(abspath $(DIR)),all) $(CARGO) test --release --locked --test it corpus -- --nocapture

# Random bytes at everything that reads what strangers send. The first run is slow, for it
# compiles. What a run has found to be of interest is where the next one begins, and what has
# failed is tried again.
fuzz-short: FUZZ_SECONDS := 5
fuzz fuzz-short: tools-test
	$(CARGO) fetch --locked --manifest-path tests/fuzz/Cargo.toml
	$(CARGO) fuzz build --dev --sanitizer none --fuzz-dir tests/fuzz \
	  --target $(HOST) --target-dir $(FUZZ)
	tests/fuzz/seeds.sh $(FUZZ)/seeds
	@for target in $(basename $(notdir $(wildcard tests/fuzz/targets/*.rs))); do \
	  program=$(FUZZ)/$(HOST)/debug/$$target; \
	  tried=$(FUZZ)/tried/$$target failed=$(FUZZ)/failed/$$target log=$(FUZZ)/$$target.log; \
	  seeds=$(FUZZ)/seeds/$$target; \
	  mkdir -p $$tried $$failed $$seeds; \
	  echo "fuzzing $$target for $(FUZZ_SECONDS) s"; \
	  $$program -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=512 \
	    -dict=tests/fuzz/dictionaries/$$target.dict -artifact_prefix=$$failed/ \
	    $$tried $$failed $$seeds > $$log 2>&1 || { \
	    tail -n 60 $$log; \
	    echo "to see it again: $$program $$(ls -t $$failed/* | head -n 1)"; \
	    exit 1; \
	  }; \
	  tail -n 1 $$log; \
	done

FUZZ = $(TARGET)/fuzz
HOST = $(shell rustc --print host-tuple)

# Licences, sources, and what must not be in the dependency tree (an async runtime, say).
deny: tools-test
	$(CARGO) fetch --locked
	$(CARGO) deny --offline check bans licenses sources

# Known vulnerabilities; needs the network, for the database.
audit:
	$(CARGO) deny check advisories

# The unit must be one that systemd takes, and stay closed (an exposure below 2.0).
units:
	mkdir -p $(TARGET)
	sed 's|/usr/local/bin/ytcanal|/bin/true|' systemd/ytcanal.service > $(TARGET)/ytcanal.service
	systemd-analyze verify $(TARGET)/ytcanal.service
	systemd-analyze security --offline=true --threshold=20 $(TARGET)/ytcanal.service \
	  > $(TARGET)/exposure.txt
	tail -1 $(TARGET)/exposure.txt

# The unit in a Debian that boots. Only root can do that, and the first time it takes minutes.
test-system: build
	@$(call need,debootstrap:debootstrap systemd-nspawn:systemd-container)
	$(SUDO) tests/system/unit.sh $(TARGET)/release/ytcanal $(TARGET)/system

# Puts its report into tests/bench/results. BENCH_ARGS=--quick takes two minutes, and does not.
bench: tools-bench target/bench-venv/bin/flask
	$(CARGO) bench --locked --bench canal -- $(BENCH_ARGS)

# Three hundred slow clients for a minute: how long did any of them wait, and what did it take?
bench-crowd: tools-demo
	$(CARGO) bench --locked --bench canal -- --crowd

# How long it takes to read a page, with yt-dlp kept loaded and with yt-dlp called anew.
bench-resolve: tools-demo $(TARGET)/ytdlp-venv/bin/yt-dlp
	$(CARGO) bench --locked --bench canal -- --resolve

# What the seams between the parts of a track cost.
bench-seams: tools-demo
	$(CARGO) bench --locked --bench canal -- --seams

target/bench-venv/bin/flask:
	python3 -m venv target/bench-venv \
	  || { $(SUDO) apt-get update && $(APT) python3-venv && python3 -m venv target/bench-venv; }
	target/bench-venv/bin/pip install --quiet --disable-pip-version-check flask requests

install: tools-demo build
	$(AS_ROOT) install -D -m 755 $(TARGET)/release/ytcanal $(DESTDIR)$(PREFIX)/bin/ytcanal
	[ -e $(DESTDIR)/etc/ytcanal/ytcanal.toml ] \
	  || $(AS_ROOT) install -D -m 644 config/ytcanal.toml $(DESTDIR)/etc/ytcanal/ytcanal.toml
	sed 's|/usr/local/bin|$(PREFIX)/bin|' systemd/ytcanal.service > $(TARGET)/ytcanal.service
	$(AS_ROOT) install -D -m 644 $(TARGET)/ytcanal.service \
	  $(DESTDIR)/etc/systemd/system/ytcanal.service
	@echo 'installed; start it with:'
	@echo '  sudo systemctl daemon-reload && sudo systemctl enable --now ytcanal'

uninstall:
	$(AS_ROOT) rm -f $(DESTDIR)$(PREFIX)/bin/ytcanal $(DESTDIR)/etc/systemd/system/ytcanal.service

# What is missing, and only that: PROGRAM:PACKAGE, the package being Debian's.
APT = $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends
need = missing=; for pair in $(1); do \
	  command -v $${pair%%:*} > /dev/null || missing="$$missing $${pair\#\#*:}"; \
	done; \
	[ -e "$$(cc -print-file-name=Scrt1.o 2> /dev/null)" ] || missing="$$missing libc6-dev"; \
	[ -z "$$missing" ] || { $(SUDO) apt-get update && $(APT) ca-certificates $$missing; }

tools-demo:
	@$(call need,cc:build-essential ffmpeg:ffmpeg ffprobe:ffmpeg curl:curl)

tools-bench: tools-nginx

# Debian has nginx where only the PATH of root leads, and starts it when it is installed; we do
# not want a web server on this machine.
tools-nginx: export PATH := $(PATH):/usr/sbin
tools-nginx: tools-demo
	@$(call need,setpriv:util-linux)
	@command -v nginx > /dev/null || { $(call need,nginx:nginx-light) \
	  && { [ ! -d /run/systemd/system ] || $(SUDO) systemctl disable --now nginx; }; }

tools-test: tools-nginx $(TARGET)/ytdlp-venv/bin/yt-dlp $(TARGET)/axe/node_modules/axe-core/axe.min.js
	@$(call need,systemd-analyze:systemd prlimit:util-linux python3:python3 c++:g++ \
	  wget:wget aria2c:aria2 chromium:chromium)
	@command -v cargo-deny > /dev/null || $(CARGO) install --locked cargo-deny
	@command -v cargo-fuzz > /dev/null || $(CARGO) install --locked cargo-fuzz

# The yt-dlp that resolves links in the tests. Debian has venv in a package of its own; without it
# the first attempt fails and leaves half of one.
$(TARGET)/ytdlp-venv/bin/yt-dlp: tests/ytdlp/requirements.txt
	@$(call need,python3:python3)
	python3 -m venv --clear $(TARGET)/ytdlp-venv || { $(SUDO) apt-get update \
	  && $(APT) python3-venv && python3 -m venv --clear $(TARGET)/ytdlp-venv; }
	$(TARGET)/ytdlp-venv/bin/pip install --quiet --disable-pip-version-check \
	  --requirement tests/ytdlp/requirements.txt
	touch $@

# What looks whether people who cannot see or point can use the page.
$(TARGET)/axe/node_modules/axe-core/axe.min.js: tests/axe/package.json
	@$(call need,npm:npm)
	mkdir -p $(TARGET)/axe
	cp tests/axe/package.json $(TARGET)/axe
	npm install --prefix $(TARGET)/axe --silent --no-audit --no-fund --no-package-lock --ignore-scripts
	touch $@

clean:
	$(CARGO) clean
