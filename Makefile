# Leeway. "make help" lists what can be made; ten targets at most.

# The race detector needs a C compiler; without one the tests still run.
RACE  := $(shell command -v $${CC:-gcc} >/dev/null 2>&1 && echo -race)
TOOL  := go tool -modfile=internal/tools/go.mod
FUZZ  ?= 10s

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: bin/shop ## Start a primary, two standbys and the shop here; Ctrl-C removes all of it. ARGS="--products 20000 --dir demo"
	@exec bin/shop demo $(ARGS)

.PHONY: check
check: bin/shop ## Look at the demo that runs here: what replicates, and what is wrong. ARGS="--watch", or --dir of one of several
	@bin/shop check --local $(ARGS)

.PHONY: test
test: ## Run every test on a real primary with two real standbys
	go test $(RACE) -timeout 20m ./...

.PHONY: chaos
chaos: ## Break a whole shop in every way, and mutate it to see that it would be noticed. ARGS="--only failover"
	go run ./internal/chaos $(ARGS)

.PHONY: failover-drill
failover-drill: ## Kill the primary under load, go through docs/failover.md, and print what was unavailable, and what was lost
	go run ./internal/failover $(ARGS)

.PHONY: lint
lint: ## Run the linters; check that read queries only read, and that generated code is what generate makes
	$(TOOL) golangci-lint run ./...
	$(TOOL) sqlc vet
	$(TOOL) sqlc diff
	go run ./internal/tojson <api/openapi.yaml | diff api/openapi.json -
	$(TOOL) oapi-codegen -config api/client/oapi-codegen.yaml api/openapi.yaml | diff api/client/client.gen.go -

.PHONY: generate
generate: ## Generate db/readq and db/writeq from queries/ and migrations/, openapi.json and the client from api/openapi.yaml
	$(TOOL) sqlc generate
	go run ./internal/tojson <api/openapi.yaml >api/openapi.json.new && mv api/openapi.json.new api/openapi.json
	$(TOOL) oapi-codegen -config api/client/oapi-codegen.yaml -o api/client/client.gen.go api/openapi.yaml
	go test ./api -run TestAnEditIsANewVersion -update

.PHONY: bench
bench: ## Measure the shop beside PostgreSQL's own limit, as ratios, and write docs/benchmarks.md. ARGS="--only browse", or --short
	go run ./internal/bench $(ARGS)

.PHONY: fuzz
fuzz: ## Run each fuzz target for FUZZ (10s)
	@grep -rl --include='*_test.go' '^func Fuzz' . | while read -r file; do \
		sed -n 's/^func \(Fuzz[A-Za-z0-9]*\).*/\1/p' "$$file" | while read -r target; do \
			echo "$$target"; go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZ) "./$$(dirname "$$file")" || exit 1; \
		done || exit 1; \
	done

.PHONY: bin/shop
bin/shop: # not in the list: demo and check make it
	go build -o bin/shop ./cmd/shop
