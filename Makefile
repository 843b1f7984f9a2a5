# The two commands that a newcomer needs are `make demo` and `make test`.

CARGO ?= cargo
PREFIX ?= /usr/local
DESTDIR ?=
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

.PHONY: help demo test bench build install uninstall fmt lint unit it deny units tools clean

help:
	@echo 'make demo      try it: a sample film, streamed while it arrives (no network needed)'
	@echo 'make test      everything that must pass: format, lints, docs, tests, licences'
	@echo 'make bench     how fast, beside ffmpeg alone and the original design'
	@echo 'make install   build, and install the program, its unit and its configuration'

demo: tools
	$(CARGO) run --release --locked -- demo

test: tools lint it deny units

build:
	$(CARGO) build --release --locked

# Formats, lints and documentation, where a warning is an error.
lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --no-deps --document-private-items

# Unit and integration tests, against the release build that users run.
it:
	$(CARGO) test --release --locked

# Licences, sources, duplicates, and that no async runtime has crept in.
deny: | tools
	$(CARGO) deny --offline check bans licenses sources
	@! $(CARGO) tree --locked --edges normal --prefix none | grep -E '^(tokio|async-std|smol|futures-executor|mio) ' \
	  || { echo 'an async runtime is in the dependency tree'; exit 1; }

# Known vulnerabilities; needs the network, for the database.
audit:
	$(CARGO) deny check advisories

# The unit must be one that systemd takes.
units:
	sed 's|/usr/local/bin/ytcanal|/bin/true|' systemd/ytcanal.service > target/ytcanal.service
	systemd-analyze verify target/ytcanal.service
	systemd-analyze security --offline=true --threshold=20 target/ytcanal.service | tail -1

bench: tools target/bench-venv/bin/flask
	$(CARGO) bench --locked --bench canal

target/bench-venv/bin/flask:
	python3 -m venv target/bench-venv || { $(APT) python3-venv && python3 -m venv target/bench-venv; }
	target/bench-venv/bin/pip install --quiet --disable-pip-version-check flask requests

install: build
	install -D -m 755 target/release/ytcanal $(DESTDIR)$(PREFIX)/bin/ytcanal
	install -d $(DESTDIR)/etc/ytcanal
	[ -e $(DESTDIR)/etc/ytcanal/ytcanal.toml ] \
	  || install -m 644 config/ytcanal.toml $(DESTDIR)/etc/ytcanal/ytcanal.toml
	install -d $(DESTDIR)/etc/systemd/system
	sed 's|/usr/local/bin|$(PREFIX)/bin|' systemd/ytcanal.service \
	  > $(DESTDIR)/etc/systemd/system/ytcanal.service
	@echo 'installed; start it with: systemctl daemon-reload && systemctl enable --now ytcanal'

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/ytcanal $(DESTDIR)/etc/systemd/system/ytcanal.service

# What is missing, and only that: each line names a program and the Debian package it is in.
APT = $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends
tools:
	@missing=; \
	for pair in ffmpeg:ffmpeg ffprobe:ffmpeg curl:curl python3:python3 systemd-analyze:systemd cc:gcc; do \
	  command -v $${pair%%:*} > /dev/null || missing="$$missing $${pair##*:}"; \
	done; \
	[ -z "$$missing" ] || { $(SUDO) apt-get update && $(APT) ca-certificates $$missing; }
	@command -v cargo-deny > /dev/null || $(CARGO) install --locked cargo-deny

clean:
	$(CARGO) clean
