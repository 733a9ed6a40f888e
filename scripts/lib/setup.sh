# Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0
# Sourced by the commands in scripts/: what a fresh Debian 12 with Swift 6.3 still needs, and how a stage is run and timed.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root"

# Packages of the build, of what tests compare with ours or let it talk to, and of the end-to-end tests.
BUILD_PACKAGES=(libssl-dev libexpat1-dev libusrsctp-dev libsrtp2-dev pkg-config)
if [ "$(uname -m)" = x86_64 ]; then BUILD_PACKAGES+=(libipsec-mb-dev); fi
PEER_PACKAGES=(libnice-dev)
TEST_PACKAGES=(chromium prosody openssl python3 python3-venv iproute2)

need_packages() {
    local missing=() name
    for name in "$@"; do
        dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q 'install ok installed' || missing+=("$name")
    done
    [ ${#missing[@]} -eq 0 ] && return
    local as_root=()
    [ "$(id -u)" = 0 ] || as_root=(sudo)
    echo "installing: ${missing[*]}"
    "${as_root[@]}" apt-get update -qq
    # A package whose service would start at once must not: tests start what they need, on loopback.
    local policy=/usr/sbin/policy-rc.d made=
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
        "${as_root[@]}" chmod +x "$policy"
        made=1
    fi
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    [ -z "$made" ] || "${as_root[@]}" rm -f "$policy"
}

# The Python of the end-to-end tests, with its packages: .build-python/bin/python3.
need_python() {
    local wanted=Tests/EndToEnd/requirements.txt present=.build-python/requirements.txt
    cmp -s "$wanted" "$present" && return
    python3 -m venv --clear .build-python \
        && .build-python/bin/python3 -m pip install --quiet --disable-pip-version-check -r "$wanted" \
        && cp "$wanted" "$present"
}

need_swift() {
    command -v swift >/dev/null || { echo "Swift 6.3 is needed: https://www.swift.org/install/linux/" >&2; exit 1; }
}

# stage NAME COMMAND...: runs it, prints how long it took, stops everything when it fails.
stage() {
    local name=$1 started=$SECONDS
    shift
    echo "== $name"
    if "$@"; then
        echo "== $name: passed in $((SECONDS - started)) s"
    else
        local status=$?
        echo "== $name: FAILED with status $status after $((SECONDS - started)) s" >&2
        return "$status"
    fi
}

build() { # CONFIGURATION [ARGUMENT...]: one scratch path for each configuration, so that they never disturb each other
    local configuration=$1
    shift
    swift build -c "$configuration" --scratch-path ".build-$configuration" -j "$(nproc)" "$@"
}
