# Every target is a line or two into scripts/ or cargo; the work is done there.

.DEFAULT_GOAL := help
.PHONY: help demo demo-pg test test-pg-large test-pg-all test-pg-regress test-large vectors histories hostile kills loom fuzz plan-report check fix bench bench-calls bench-peers bench-pg bench-pg-functions bench-python instructions install wheel deb test-deb install-pg clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' Makefile

demo: ## installs what is missing, builds, and shows the engine at work on real input
	@scripts/setup.sh demo
	@scripts/cargo.sh run --release --package atoll-cli -- demo

demo-pg: ## the same in PostgreSQL: a real table over four private servers (ROWS=100000)
	@scripts/setup.sh pg
	@scripts/cargo.sh build --release --package atoll-pg
	@ROWS=$(ROWS) scripts/demo-pg.sh

test: ## installs what is missing, builds, runs every test, ends with one line of totals
	@scripts/test.sh

test-pg-large: ## PostgreSQL tests with KEYS=100000 keys and ROWS=1000000 rows of every type
	@scripts/setup.sh test
	@ATOLL_PG_KEYS=$(or $(KEYS),100000) ATOLL_PG_ROWS=$(or $(ROWS),1000000) scripts/test-pg.sh

test-pg-all: ## the extension's tests on PostgreSQL 15, 16, 17 and 18, fetched where not installed (MAJORS=)
	@scripts/setup.sh test
	@scripts/test-pg-all.sh $(MAJORS)

test-pg-regress: ## PostgreSQL's own regression queries, from its source package, on distributed tables beside ordinary ones (FLAGS=--list)
	@scripts/setup.sh test
	@FLAGS='$(FLAGS)' scripts/test-pg-regress.sh

test-large: ## imports a real gigabyte, killed twice on the way (GIGABYTES=1)
	@scripts/setup.sh demo
	@scripts/test-large.sh

histories: ## random histories of versions under every resolver (COUNT=1000000, SEED=1)
	@HISTORIES=$(or $(COUNT),1000000) SEED=$(or $(SEED),1) scripts/cargo.sh test --release --package atoll --test versioning -- --nocapture

fuzz: ## coverage-guided mutation of every decoder (SECONDS=60 for each)
	@scripts/fuzz.sh $(or $(SECONDS),60)

hostile: ## COUNT=1000000 random calls of the C interface from THREADS=4 threads, with the address sanitizer
	@scripts/setup.sh test
	@HOSTILE_CALLS=$(or $(COUNT),1000000) HOSTILE_THREADS=$(or $(THREADS),4) HOSTILE_SEED=$(or $(SEED),1) scripts/test-c.sh hostile

kills: ## kills a writing process COUNT times (2000) and looks for each acknowledged write
	@ATOLL_KILLS=$(or $(COUNT),2000) scripts/cargo.sh test --package atoll --test processes kills -- --nocapture

loom: ## the append protocol under every interleaving of its steps
	@RUSTFLAGS="--cfg loom" scripts/cargo.sh test --release --package atoll --lib --target-dir target/loom loom_

vectors: ## atoll route over the answers of libmemcached, nginx, Redis, Cassandra and others: counts per format
	@scripts/route-vectors.sh

check: ## format, lints, docs, header and binary interface; writes nothing
	@scripts/check.sh

fix: ## rewrites what `check` compares: format, the C header, the extension's SQL
	@scripts/cargo.sh fmt --all
	@scripts/header.sh write
	@scripts/pg-sql.sh write

bench: ## criterion benches of the engine's hot paths
	@scripts/cargo.sh bench --package atoll-benches

bench-peers: ## the same work beside other libraries, as ratios, into docs/benchmarks.md (ONLY=routing FLAGS=--quick)
	@FLAGS='$(FLAGS)' scripts/bench-peers.sh $(ONLY)

instructions: ## instructions of one operation on every hot path, the same beside any neighbour
	@scripts/instructions.sh

plan-report: ## what plans move over 1,000 random clusters, against the least possible
	@scripts/cargo.sh run --release --package atoll --example planner_report

bench-pg-functions: ## a call of the routing functions in SQL beside one of PostgreSQL's own hashes
	@scripts/setup.sh test
	@scripts/cargo.sh build --release --package atoll-pg
	@scripts/bench-pg-functions.sh

bench-pg: ## a table over three servers beside postgres_fdw and PL/Proxy, into docs/benchmarks.md (ROWS=300000 SECONDS=5 ROUNDS=3)
	@scripts/setup.sh bench-pg
	@scripts/cargo.sh build --release --package atoll-pg
	@ROWS=$(ROWS) SECONDS_EACH=$(SECONDS) ROUNDS=$(ROUNDS) PAGE=docs/benchmarks.md scripts/bench-pg.sh

bench-python: ## the Python package beside py-lmdb, RocksDict and plyvel, as ratios, into docs/benchmarks.md (FLAGS="--rounds 3")
	@scripts/setup.sh test
	@scripts/bench-python.sh

bench-calls: ## get and many gets from Rust, C, Go and Python on one store, into docs/benchmarks.md (FLAGS="--rounds 5 --keys 200000")
	@scripts/setup.sh test
	@scripts/bench-calls.sh

install: ## builds and installs library, headers, pkg-config, CMake files and tool (PREFIX=/usr/local DESTDIR=)
	@scripts/setup.sh demo
	@scripts/cargo.sh build --release --package atoll-ffi --package atoll-cli
	@PREFIX=$(or $(PREFIX),/usr/local) DESTDIR=$(DESTDIR) scripts/install.sh

wheel: ## the Python wheel, with the engine in it, in dist/
	@scripts/setup.sh test
	@scripts/python.sh wheel

deb: ## Debian packages libatoll0, libatoll-dev and atoll in dist/
	@scripts/setup.sh demo
	@scripts/cargo.sh build --release --package atoll-ffi --package atoll-cli
	@scripts/deb.sh

test-deb: deb ## those packages installed and used in a clean system (root; a Debian mirror)
	@scripts/setup.sh deb
	@scripts/test-deb.sh

install-pg: ## builds the extension and copies it into PostgreSQL 15 to 18; run as root (PG_CONFIG=)
	@PGRX_PG_CONFIG_PATH='$(or $(PG_CONFIG),$(PGRX_PG_CONFIG_PATH))' scripts/install-pg.sh --build release

clean: ## removes everything that was built
	@scripts/cargo.sh clean
