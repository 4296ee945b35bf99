# The only task runner; thin on purpose. `make help` lists the targets.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# Outside the checkout, so that clean checkouts reuse what was compiled.
export CARGO_TARGET_DIR ?= $(HOME)/.cache/monobase/target
PROFILE ?= ci
BINARY := $(CARGO_TARGET_DIR)/$(PROFILE)/monobase
# Where `make start` keeps its project; any empty folder will do.
PROJECT ?= .dev

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

.PHONY: engine
engine: ## fetch and assemble the PostgreSQL engine for development
	@scripts/engine

.PHONY: needs
needs:
	@scripts/need cc=gcc make=make cmake=cmake nasm=nasm
	@command -v cargo >/dev/null || { echo 'error: cargo is missing' >&2; echo 'hint: install Rust with rustup' >&2; exit 1; }
	@command -v npm >/dev/null || { echo 'error: npm is missing' >&2; echo 'hint: install Node.js 20 or later, with npm' >&2; exit 1; }

.PHONY: build
build: ## compile everything once: the binary and all tests
	@scripts/timed-build $(PROFILE)

.PHONY: start
start: needs engine ## build, then run the whole backend in the foreground (Ctrl-C stops it)
	@cargo build --profile $(PROFILE) -p monobase
	@mkdir -p $(PROJECT)
	@cd $(PROJECT) && exec $(BINARY) start

.PHONY: test
test: needs ## everything that must hold: format, unit, integration and black-box tests
	@scripts/test $(PROFILE)

.PHONY: lint
lint: ## format, clippy, and cargo-deny when it is installed
	@cargo fmt --all --check
	@cargo clippy --workspace --all-targets --profile $(PROFILE) -- -D warnings
	@if command -v cargo-deny >/dev/null; then cargo deny check; else echo 'cargo-deny is not installed: licences and advisories were not checked'; fi

.PHONY: bench
bench: needs engine ## measure, each figure beside its limit of the same run
	@scripts/bench

.PHONY: dist
dist: needs engine ## the release: one binary with engine and template inside, in dist/
	@scripts/dist

.PHONY: dist-check
dist-check: ## start the release in a root with nothing but glibc (as root)
	@scripts/dist-check
