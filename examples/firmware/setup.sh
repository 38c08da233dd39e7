#!/bin/sh
# Installs what the firmware needs and a machine with rustup lacks: bare-metal targets, the emulators, a host linker.
# Debian or a relative of it; asks for root through sudo if it is not root. Does nothing that is done already.
set -eu
cd "$(dirname "$0")"

# The targets are those of board/machines.rs.
installed=$(rustup target list --installed)
for target in $(sed -n 's/^ *target: "\(.*\)",$/\1/p' board/machines.rs); do
    echo "$installed" | grep -qx "$target" || rustup target add "$target"
done

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

packages=
# The host's linker, for xtask and build scripts; images are linked by rustup's own.
command -v cc >/dev/null || packages="$packages gcc libc6-dev"
command -v qemu-system-arm >/dev/null || packages="$packages qemu-system-arm"
command -v qemu-system-riscv32 >/dev/null || packages="$packages qemu-system-misc"
if [ -n "$packages" ]; then
    as_root apt-get update
    # The list is meant to be split.
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends $packages
fi
