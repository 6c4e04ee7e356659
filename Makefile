# Bare `make` prints the targets. `make check` does all that CI does.
.DEFAULT_GOAL := help
GO ?= go
FUZZTIME ?= 3s
PACKAGES := ./...

.PHONY: help
help: ## print the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

.PHONY: build
build: ## build mtad and mtactl into bin/
	$(GO) build -o bin/ ./cmd/mtad ./cmd/mtactl

.PHONY: test
test: ## run the tests
	$(GO) test ./...

.PHONY: race
race: ## run the tests with the race detector
	$(GO) test -race -short $(PACKAGES)

.PHONY: lint
lint: ## gofmt, vet, staticcheck
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) vet $(PACKAGES)
	$(GO) tool staticcheck $(PACKAGES)

.PHONY: generate
generate: ## regenerate what is generated
	$(GO) generate ./...

.PHONY: generated
generated: ## fail when generated files are not up to date
	scripts/generated

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME
	FUZZTIME=$(FUZZTIME) scripts/fuzz

.PHONY: model
model: ## check the Promela model of the queue (needs spin and gcc)
	spec/model/check.sh

.PHONY: kill-test
kill-test: ## kill mtad again and again under load; nothing may be lost (MESSAGES=20000)
	scripts/kill-test

.PHONY: chain-test
chain-test: ## kill the scanners of a chain, and mtad, under load; every verdict is checked (MESSAGES=10000)
	scripts/chain-test

.PHONY: bench
bench: ## mtad and Postfix side by side, into spec/benchmarks.md; then the store alone
	$(GO) run ./bench
	$(GO) test -run '^$$' -bench . -benchtime 2s ./queue/engine

.PHONY: limits
limits: ## start, memory, listings with 1,000,000 deferred; connections; large messages
	$(GO) run ./bench/limits -out spec/benchmarks.md

.PHONY: check
check: lint generated test race fuzz model ## all that CI does
	MESSAGES=$${MESSAGES:-3000} scripts/kill-test
	MESSAGES=$${CHAIN_MESSAGES:-600} KILLS=2 SCANNER_KILLS=3 scripts/chain-test
