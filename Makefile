# Honeyant: make help lists the targets. CI runs `make ci`.
SHELL := /bin/bash
GO ?= go
export CGO_ENABLED ?= 0
export GOFLAGS ?= -buildvcs=false
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
COMMIT ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X github.com/honeyant/honeyant/internal/version.linked=$(VERSION) -X github.com/honeyant/honeyant/internal/version.commit=$(COMMIT)
PREFIX ?= /usr/local
# One package after another where tests share the machine's disk and clock.
TEST ?= $(GO) test

.DEFAULT_GOAL := help
.PHONY: help build test race race-core crash cluster fuse entries posix programs gateway gateway-tools gateway-soak systemd fuzz bench bench-check bench-colony browser lint demo install ci clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

build: ## bin/honeyant and bin/honeyant-gateway, static binaries
	$(GO) build -ldflags '$(LDFLAGS)' -o bin/honeyant ./cmd/honeyant
	$(GO) build -ldflags '$(LDFLAGS)' -o bin/honeyant-gateway ./cmd/honeyant-gateway

demo: build ## a colony of three on this machine: copy files in, kill nodes, prove that nothing is lost
	bin/honeyant demo

PACKAGES ?= ./...
test: ## fast unit and model tests
	$(TEST) -short $(TESTFLAGS) $(PACKAGES)

race: ## the same under the race detector (needs a C compiler)
	CGO_ENABLED=1 $(TEST) -race -short $(TESTFLAGS) $(PACKAGES)

# The packages whose goroutines share state, for CI.
race-core: PACKAGES = ./rpc/... ./internal/... ./meta ./meta/remote ./cluster ./replica ./volume ./maintenance ./chunk ./gateway/ledger ./gateway/serve ./gateway/origin ./gateway/life
race-core:
	CGO_ENABLED=1 $(TEST) -race -short $(TESTFLAGS) $(PACKAGES)

crash: ## power cuts: drop what was not synced, reopen, check; many seeds
	$(TEST) -run 'Crash|Power|Recover' ./...

cluster: build ## real processes in network namespaces: kill, partition, full disk, restart (needs root)
	$(TEST) -count=1 -timeout 15m ./clustertest/... ./test/namespaces/...

fuse: build ## everything that needs a real mount (needs root and /dev/fuse)
	$(TEST) -count=1 -timeout 15m ./frontend/fuse/... ./test/...
	test ! -e /sys/module/fuse/parameters/enable_uring || HONEYANT_FUSE_TRANSPORT=uring $(TEST) -count=1 -timeout 15m ./frontend/fuse

ENTRIES ?= 100000
entries: build ## a directory of ENTRIES names in a colony of three, listed while it changes (needs root)
	HONEYANT_ENTRIES=$(ENTRIES) $(TEST) -count=1 -v -timeout 2h -run ManyEntries ./test/namespaces

posix: build ## the POSIX suite and random I/O on the mounts of a three-node colony (needs root and /dev/fuse)
	test/on-colony.sh sh -c 'mkdir $$COLONY/m1/p $$COLONY/m1/x && \
	  HONEYANT_POSIX_DIR=$$COLONY/m1/p HONEYANT_POSIX_MOUNT=yes $(TEST) -count=1 -timeout 15m ./test/posix && \
	  HONEYANT_FSX_DIRS=$$COLONY/m1/x:$$COLONY/m2/x HONEYANT_FSX_OPS=3000 $(TEST) -count=1 -timeout 15m ./test/fsx'

gateway: ## the gateway at length: 20 reloads, 5 swaps, 1,000 killed downloads, all faults
	HONEYANT_GATEWAY_LONG=yes $(TEST) -count=1 -v -timeout 15m ./gateway/... ./test/gateway/...

# The modules of h2spec are newer than its go.mod says, so it is built apart from this one.
bin/h2spec:
	cd $$(mktemp -d) && GOFLAGS=-mod=mod GOBIN=$(CURDIR)/bin $(GO) install github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible

gateway-tools: bin/h2spec ## h2spec, sslscan, testssl and slowhttptest against the gateway (apt-get install sslscan testssl.sh slowhttptest)
	PATH=$(CURDIR)/bin:$$PATH HONEYANT_GATEWAY_TOOLS=yes $(TEST) -count=1 -v -timeout 40m -run 'H2spec|Sslscan|Testssl|Slowhttptest' ./test/gateway

systemd: ## the units under a real systemd in a container: start, reload, kill, upgrade, stop, socket (needs root; apt-get install systemd-container curl)
	HONEYANT_SYSTEMD=yes $(TEST) -count=1 -v -timeout 10m ./test/systemd

SOAK ?= 5m
gateway-soak: ## aborts and stalls of every kind for SOAK: nothing may stay behind, memory must not grow
	HONEYANT_GATEWAY_SOAK=$(SOAK) $(TEST) -count=1 -v -timeout 25h -run Soak ./test/gateway

programs: build ## git, go build, npm ci, tar and SQLite on the mounts of a colony, beside a local disk (needs root and /dev/fuse)
	test/on-colony.sh test/programs/run.sh

FUZZTIME ?= 20s
fuzz: ## every decoder for FUZZTIME
	@set -e; for pkg in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$pkg 2>/dev/null | grep '^Fuzz' || true); do \
	    echo "$$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$pkg; done; done

bench: ## benchmarks of the hot paths
	$(TEST) -run '^$$' -bench . -benchtime 1s ./meta/... ./kv/... ./chunk/... ./rpc/... ./replica/... ./consensus/... ./volume/...

bench-check: ## honeyant bench against fio, sysbench, openssl and iperf3, on a quiet machine
	HONEYANT_BENCH_CHECK=yes $(TEST) -count=1 -v -timeout 40m -run AgainstOtherTools ./test/bench

browser: ## the report in headless Chromium: light and dark, phone and desk
	$(TEST) -count=1 -v -run InABrowser ./advice/report

bench-colony: build ## measure a colony of three on this machine, all pairs, and look for the runs on every node (needs root and /dev/fuse)
	test/on-colony.sh $(TEST) -count=1 -v -timeout 30m -run 'Colony' ./test/bench

lint: ## gofmt, vet, staticcheck
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo 'not gofmt-ed:'; gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

ci: lint test build ## what a change must pass

install: build ## the binaries and the systemd units
	install -D -m 0755 bin/honeyant $(DESTDIR)$(PREFIX)/bin/honeyant
	install -D -m 0644 dist/honeyant.service $(DESTDIR)/etc/systemd/system/honeyant.service
	install -D -m 0755 bin/honeyant-gateway $(DESTDIR)$(PREFIX)/bin/honeyant-gateway
	install -D -m 0644 dist/honeyant-gateway.service $(DESTDIR)/etc/systemd/system/honeyant-gateway.service
	install -D -m 0644 dist/honeyant-gateway.socket $(DESTDIR)/etc/systemd/system/honeyant-gateway.socket
	@echo "Next: honeyant init (or honeyant join ...), then: systemctl daemon-reload; systemctl enable --now honeyant"

clean: ## remove what was built
	rm -rf bin
