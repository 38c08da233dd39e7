#!/usr/bin/env bash
# One verb per check, for people and for CI alike. `./ci.sh all` is what must pass before a change lands.
# Each verb installs what it needs beyond a Rust toolchain.
set -euo pipefail
cd "$(dirname "$0")"

BARE_METAL=(thumbv6m-none-eabi thumbv7em-none-eabihf riscv32imc-unknown-none-elf)
CORE_FEATURES=(critical-section defmt embassy-time embedded-time)

usage() {
    cat <<'TEXT'
usage: ./ci.sh VERB...
  fmt       formatting of every workspace
  lint      clippy on all targets and features, warnings are errors
  test      all tests of the host workspace
  loom      races on the limiter for all cores, every interleaving up to LOOM_MAX_PREEMPTIONS (3) preemptions
  redis     the limiter on Redis servers that the tests start
  cross     limiter-core and limiter-pacer for bare metal, every combination of their features
  doc       documentation, warnings are errors
  package   limiter-core as a user gets it, tested outside the repository
  browser   the gateway's page for operators in Chromium, its metrics in promtool; screenshots in target/screenshots
  firmware  images built, run in QEMU, measured against the baseline
  counts    instructions of decisions on this host, against the baseline
  all       all of these, in this order

not part of all:
  attack         attacks that take servers or minutes, on the release build; ends with a line `N held, M broke`
  load           the gateway under wrk at full speed for LOAD_SECONDS (10), judged from its answers
  power-loss     the power fails in longer sequences, at every byte, twice; POWER_LOSS_ACTS says how long (4)
  bless-counts   makes the counts of now the baseline
  bench          the limiter beside its peers: target/bench/summary.md, summary.json, plots; some minutes
  bench-quick    the same, smaller
  bench-redis    the limiter on Redis beside its peers, into benches/redis/README.md; some minutes
  bench-redis-quick  the same, smaller: target/bench/redis.md
  bench-publish  puts the last comparison into the READMEs and benches/results
TEXT
}

fmt() {
    cargo fmt --all --check
    (cd examples/firmware && cargo fmt --all --check)
    (cd benches/redis && cargo fmt --all --check)
}

lint() {
    cargo clippy --workspace --all-targets --all-features -- -D warnings
    cargo clippy -p limiter-core -p limiter-pacer -- -D warnings
}

# The README's command.
run_tests() {
    cargo test --workspace --all-features
}

# A folder of its own: other flags would have everything built anew each time.
loom() {
    local test
    for test in "--test loom" "--lib persist::races"; do
        # shellcheck disable=SC2086 # two words
        RUSTFLAGS="--cfg limiter_loom" cargo test --release -p limiter-host --features persist --target-dir target/loom $test
    done
}

power_loss() {
    cargo test --release -p limiter-core --test suite longer_sequences -- --ignored --nocapture
}

redis() {
    if ! command -v "${REDIS_SERVER:-redis-server}" >/dev/null; then
        apt-get update -qq
        apt-get install -y -qq --no-install-recommends redis-server
    fi
    LIMITER_REDIS_REQUIRED=1 cargo test -p limiter-host -p replay --all-features --test redis
}

cross() {
    rustup target add "${BARE_METAL[@]}"
    local target combination feature bit
    for target in "${BARE_METAL[@]}"; do
        # A build, not only a check: code generation refuses what a target lacks.
        cargo build -q -p limiter-core -p limiter-pacer --target "$target" --all-features
        RUSTFLAGS="-D warnings" cargo check -q -p limiter-pacer --target "$target"
        for ((combination = 0; combination < 1 << ${#CORE_FEATURES[@]}; combination++)); do
            feature=""
            for bit in "${!CORE_FEATURES[@]}"; do
                if ((combination >> bit & 1)); then feature+="${CORE_FEATURES[bit]},"; fi
            done
            RUSTFLAGS="-D warnings" cargo check -q -p limiter-core --target "$target" \
                --features "$feature" || { echo "cross: $target with features [$feature]" >&2; return 1; }
        done
        echo "cross: $target: $combination feature combinations"
    done
}

# With all features, and as a user has it who asks for none.
doc() {
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --all-features
    RUSTDOCFLAGS="-D warnings" cargo doc -p limiter-core -p limiter-pacer --no-deps
}

# What a user gets of the core: packed, unpacked elsewhere, tested there with nothing of this repository.
package() {
    local folder
    cargo package -q -p limiter-core --allow-dirty --no-verify
    folder=$(mktemp -d)
    # As new files: to an older one of the same name cargo would not look again.
    tar -mxzf target/package/limiter-core-[0-9]*.crate -C "$folder" --strip-components=1
    cargo test -q --manifest-path "$folder/Cargo.toml" --all-features --target-dir target/package/tested
    rm -r "$folder"
}

# With Debian's Chromium; another system's is used as it is, if its driver is on the path.
browser() {
    local tools="$PWD/target/tools"
    PATH="$PATH:$tools/usr/bin"
    if ! command -v chromedriver >/dev/null || ! command -v promtool >/dev/null; then
        apt-get update -q
        apt-get install -qy --no-install-recommends chromium chromium-driver fonts-dejavu-core
        # Prometheus's checker of metrics alone: its package would start a server.
        mkdir -p "$tools"
        (cd "$tools" && apt-get download prometheus && dpkg-deb -x prometheus_*.deb .)
    fi
    cargo test -p gateway --all-features --test gateway -- --ignored browser
}

firmware() {
    examples/firmware/setup.sh
    (cd examples/firmware && cargo xtask ci)
}

# Compiled the same way everywhere: no instruction that plain x86-64 lacks, whatever this machine has.
count() {
    command -v valgrind >/dev/null || install valgrind
    env -u RUSTFLAGS -u CARGO_ENCODED_RUSTFLAGS cargo run -q --profile bench -p limiter-counts -- "$@"
}

counts() { count; }
bless_counts() { count --bless; }

load() {
    command -v wrk >/dev/null || install wrk
    examples/gateway/tests/wrk/run.sh "${LOAD_SECONDS:-10}"
}

# Tests named `attack::` are ignored elsewhere: they take servers, minutes or much memory. Each is bounded by itself;
# the whole run ends after ATTACK_SECONDS (3600).
attack() {
    command -v redis-server >/dev/null || install redis-server
    local log=target/attack.log status=0 held broke
    mkdir -p target
    timeout --signal=INT "${ATTACK_SECONDS:-3600}" cargo test --release --workspace --all-features --no-fail-fast \
        -- --ignored --test-threads=1 --nocapture attack:: 2>&1 | tee "$log" || status=$?
    held=$(grep -oE '^test result: .* [0-9]+ passed' "$log" | grep -oE '[0-9]+ passed' | awk '{n += $1} END {print n + 0}')
    broke=$(grep -oE '^test result: .*; [0-9]+ failed' "$log" | grep -oE '[0-9]+ failed' | awk '{n += $1} END {print n + 0}')
    [ "$status" != 124 ] || echo "attack: not finished within ${ATTACK_SECONDS:-3600} s"
    echo "$held held, $broke broke"
    [ "$status" = 0 ] && [ "$held" -gt 0 ]
}

bench() {
    # Counts are shown, and judged elsewhere.
    count || true
    cargo run -q --profile bench -p limiter-bench -- compare "$@"
}

bench_publish() {
    cargo run -q --profile bench -p limiter-bench -- publish
}

# The peers take minutes to build, once. limitador's release compiles with its store on Redis only beside that on
# RocksDB; the system's RocksDB need not be built.
bench_redis() {
    local libraries peers="$PWD/target/peers"
    libraries=/usr/lib/$(uname -m)-linux-gnu
    if ! command -v redis-server >/dev/null || ! command -v protoc >/dev/null ||
        [ ! -e "$libraries/librocksdb.so" ] || ! dpkg -s libclang-dev >/dev/null 2>&1; then
        install redis-server protobuf-compiler librocksdb-dev libclang-dev
    fi
    export ROCKSDB_LIB_DIR=$libraries
    cargo install -q --locked throttlecrab-server --version 0.4.40 --root "$peers" --target-dir "$peers/throttlecrab"
    cargo build -q --release --locked --manifest-path benches/redis/cell/Cargo.toml --target-dir "$peers/cell"
    export THROTTLECRAB_SERVER=$peers/bin/throttlecrab-server
    REDIS_CELL=$(echo "$peers"/cell/release/deps/libredis_cell-*.so)
    export REDIS_CELL
    cargo build -q --release --manifest-path benches/redis/Cargo.toml --target-dir target/bench-redis
    # redis-cell's module is linked to Rust's standard library, which it finds there.
    LD_LIBRARY_PATH=$(rustc --print target-libdir) target/bench-redis/release/limiter-bench-redis compare "$@"
}

install() {
    local root=""
    [ "$(id -u)" = 0 ] || root=sudo
    $root apt-get update -q
    $root apt-get install -qy --no-install-recommends "$@"
}

[ $# -gt 0 ] || { usage >&2; exit 2; }
for verb in "$@"; do
    case $verb in
        fmt | lint | loom | redis | cross | doc | package | browser | firmware | counts | load | attack | bench) "$verb" ;;
        power-loss) power_loss ;;
        bench-quick) bench --quick ;;
        bench-redis) bench_redis ;;
        bench-redis-quick) bench_redis --quick ;;
        bench-publish) bench_publish ;;
        bless-counts) bless_counts ;;
        test) run_tests ;;
        # Each in a shell of its own: a list joined by && would switch `set -e` off inside the verbs.
        all) for each in fmt lint test loom redis cross doc package browser firmware counts; do echo "== $each"; ./ci.sh "$each"; done ;;
        *) echo "ci.sh: unknown verb: $verb" >&2; usage >&2; exit 2 ;;
    esac
done
