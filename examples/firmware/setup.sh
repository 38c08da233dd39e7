#!/bin/sh
# Installs what the firmware needs and a machine with rustup lacks: bare-metal targets, the emulators, a host linker.
# Debian or a relative of it; asks for root through sudo if it is not root. Does nothing that is done already.
# It prints what it fetches and how large that is: on a bare Debian 12, 170 MB of targets, 16 MB of packages, and a
# package of 46 MB of which one emulator is kept.
set -eu
cd "$(dirname "$0")"
tools=target/tools

# The targets are those of board/machines.rs.
installed=$(rustup target list --installed)
for target in $(sed -n 's/^ *target: "\(.*\)",$/\1/p' board/machines.rs); do
    if ! echo "$installed" | grep -qx "$target"; then
        echo "setup: target $target"
        rustup target add "$target"
    fi
done

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

has() {
    command -v "$1" >/dev/null || [ -x "$tools/$1" ]
}

# Fetches a package and keeps one program of it: the libraries are those of qemu-system-arm.
keep_program() {
    mkdir -p "$tools"
    (
        cd "$tools"
        apt-get download "$1"
        dpkg-deb --fsys-tarfile "$1"_*.deb | tar -x --strip-components=3 "./usr/bin/$2"
        rm "$1"_*.deb
    )
    echo "setup: $tools/$2, $(du -h "$tools/$2" | cut -f1)"
}

packages=
# The host's linker, for xtask and build scripts; images are linked by rustup's own.
command -v cc >/dev/null || packages="$packages gcc libc6-dev"
has qemu-system-arm || packages="$packages qemu-system-arm"
if [ -n "$packages" ] || ! has qemu-system-riscv32; then
    as_root apt-get update -qq
fi
riscv=
if ! has qemu-system-riscv32; then
    # A package of its own from Debian 13 on; before, one with 200 MB of emulators.
    if apt-cache show qemu-system-riscv >/dev/null 2>&1; then
        packages="$packages qemu-system-riscv"
    else
        riscv=qemu-system-misc
    fi
fi
if [ -n "$packages" ]; then
    # The list is meant to be split.
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends $packages |
        grep -E '^(Need to get|After this operation|E:)' | sed 's/^/setup: /'
fi
[ -z "$riscv" ] || keep_program "$riscv" qemu-system-riscv32
has qemu-system-arm && has qemu-system-riscv32
