# Every target is a line or two into scripts/ or cargo; the work is done there.

.DEFAULT_GOAL := help
.PHONY: help demo test test-large kills check fix bench install-pg clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

demo: ## installs what is missing, builds, and shows the engine at work on real input
	@scripts/setup.sh demo
	@scripts/cargo.sh run --release --package atoll-cli -- demo

test: ## installs what is missing, builds, runs every test, ends with one line of totals
	@scripts/test.sh

test-large: ## imports a real gigabyte, killed twice on the way (GIGABYTES=1)
	@scripts/setup.sh demo
	@scripts/test-large.sh

kills: ## kills a writing process COUNT times (2000) and looks for each acknowledged write
	@ATOLL_KILLS=$(or $(COUNT),2000) scripts/cargo.sh test --package atoll --test processes kills -- --nocapture

check: ## format, lints, docs, header and binary interface; writes nothing
	@scripts/check.sh

fix: ## rewrites what `check` compares: format, the C header, the extension's SQL
	@scripts/cargo.sh fmt --all
	@scripts/header.sh write
	@scripts/pg-sql.sh write

bench: ## criterion benches of the engine's hot paths
	@scripts/cargo.sh bench --package atoll-benches

install-pg: ## builds the extension and copies it into PostgreSQL; run as root
	@scripts/cargo.sh build --release --package atoll-pg
	@scripts/install-pg.sh release

clean: ## removes everything that was built
	@scripts/cargo.sh clean
