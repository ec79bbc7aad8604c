# `make help` lists the targets. Needed: Go, Node 20 or newer, npm, make, git; the tests install the rest on Debian.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

LINT_VERSION := v2.15.0
LINT := .tools/golangci-lint-$(LINT_VERSION)
PACKAGES := ./...
TEST_TIMEOUT := 30m

NODE_STAMP := pwa/node_modules/.installed
WEB := server/app/web/dist/console.html
WEB_SOURCES := $(shell find pwa/src pwa/graphiql pwa/scripts pwa/*.html pwa/*.ts pwa/*.js pwa/*.json -type f 2>/dev/null)

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: build ## build, then serve a demonstration on this machine
	bin/genba serve --demo

.PHONY: build
build: $(WEB) ## build bin/genba: one static file with the pages inside
	CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '-s -w' -o bin/genba ./server

.PHONY: generate
generate: $(NODE_STAMP) ## write the GraphQL code and the pages' types anew from graph/schema
	go tool gqlgen generate
	npm --prefix pwa run --silent schema

.PHONY: fmt
fmt: $(LINT) ## format the Go code
	$(LINT) fmt

.PHONY: check
check: $(NODE_STAMP) $(LINT) ## generated code, format, vet, lint, svelte-check and Vitest
	scripts/unchanged.sh graph pwa/src/lib/api -- $(MAKE) --no-print-directory generate
	! grep -n '"resolved"' pwa/package-lock.json
	$(LINT) fmt --diff
	go vet $(PACKAGES)
	$(LINT) run
	npm --prefix pwa run --silent check
	npm --prefix pwa run --silent test

# Both halves run even where the first one fails, so that one run tells everything.
.PHONY: test
test: setup build ## all Go tests on SQLite and PostgreSQL with the race detector, and the pages in a browser
	npm --prefix pwa run --silent weight
	@status=0; \
	npm --prefix pwa run --silent e2e || { status=1; echo 'the tests in the browser failed'; }; \
	$(MAKE) --no-print-directory test-go || status=1; \
	exit $$status

.PHONY: test-go
test-go: setup ## the Go tests alone
	CGO_ENABLED=1 scripts/postgres.sh run go test -race -timeout $(TEST_TIMEOUT) $(PACKAGES)

.PHONY: e2e
e2e: setup build ## the tests in a browser alone
	npm --prefix pwa run --silent e2e

.PHONY: screenshots
screenshots: setup build ## look at every screen and renew docs/screenshots
	GENBA_SCREENSHOTS=docs npm --prefix pwa run --silent e2e -- shots

.PHONY: bench
bench: setup build ## the Go benchmarks, and how long people wait
	scripts/postgres.sh run go test -run '^$$' -bench . -skip 'BenchmarkMedia' -benchmem ./graph ./server/...
	npm --prefix pwa run --silent bench

.PHONY: bench-media
bench-media: setup ## live video under load beside a plain forwarder: ratios, latencies, memory
	go test -run '^$$' -bench 'Media$$|Path$$' -benchtime 1x -timeout 60m ./server/live $(MEDIA)

.PHONY: setup
setup: $(NODE_STAMP) ## install what the tests need and this machine lacks
	scripts/setup.sh

.PHONY: clean
clean: ## remove what was built
	rm -rf bin server/app/web/dist pwa/.e2e pwa/node_modules .tools

$(NODE_STAMP): pwa/package.json pwa/package-lock.json pwa/.npmrc
	cd pwa && npm ci --no-audit --no-fund
	touch $@

$(WEB): $(NODE_STAMP) $(WEB_SOURCES)
	npm --prefix pwa run --silent build

$(LINT):
	GOBIN=$(CURDIR)/.tools CGO_ENABLED=0 go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)
	mv .tools/golangci-lint $@
