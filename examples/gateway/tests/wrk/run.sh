#!/usr/bin/env bash
# Drives the release build of the gateway with wrk at full speed: eight connections, tokens of several limits.
# Fails if a window held more than its limit, if anything but 200 and 429 was answered, or if memory grew.
#   run.sh [SECONDS]
set -euo pipefail
cd "$(dirname "$0")/../../../.."

seconds=${1:-10}
limits=(1 40 480 5000 100000)
# Of a token that only warms up: none of its windows lasts into what is judged.
warm=77
# What an allocator may take to tell that nothing was kept.
flat_kib=2048

cargo build -q --release -p gateway
folder=$(mktemp -d)
gateway=""
trap '[ -z "$gateway" ] || { kill "$gateway"; wait "$gateway" || true; }; rm -r "$folder"' EXIT

# No daily limit and no block: windows are what is judged.
printf '%s\n' "window = '2s'" 'plans.any = { api_token = 1, access_token = 1 }' >"$folder/policy.toml"
for limit in "${limits[@]}" "$warm"; do
    printf "[[tokens]]\ntoken = 't%s'\nuser = 'u'\nlimit = %s\n" "$limit" "$limit"
done >"$folder/tokens.toml"

mkfifo "$folder/welcome"
target/release/gateway --listen 127.0.0.1:0 --policy "$folder/policy.toml" --tokens "$folder/tokens.toml" \
    >"$folder/welcome" &
gateway=$!
exec 3<"$folder/welcome"
address=""
while [ -z "$address" ] && read -r -t 10 line <&3; do
    if [[ $line =~ http://([0-9.:]+) ]]; then address=${BASH_REMATCH[1]}; fi
done
[ -n "$address" ] || { echo "load: the gateway did not say where it listens" >&2; exit 1; }

drive() {
    wrk -t2 -c8 -d"$1s" -s examples/gateway/tests/wrk/limits.lua "http://$address" -- "${@:2}"
}
resident_kib() { awk '$1 == "VmRSS:" { print $2 }' "/proc/$gateway/status"; }

# Buffers and the allocator's arenas have their size after this.
drive 1 "$warm" >"$folder/warm" || { cat "$folder/warm" >&2; exit 1; }
before=$(resident_kib)
drive "$seconds" "${limits[@]}"
after=$(resident_kib)
echo "resident: $before KiB, then $after KiB"
[ "$after" -le "$((before + flat_kib))" ] || { echo "load: memory grew" >&2; exit 1; }
