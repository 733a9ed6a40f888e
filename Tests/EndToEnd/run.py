#!/usr/bin/env python3
# Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0
"""End-to-end tests: a real jvbd with real Chromium, in a network namespace of their own with nothing but loopback."""

import argparse
import importlib
import os
import subprocess
import sys
import time
import traceback

MODULES = ["bench_case", "demo_case", "brewery_case", "meeting_case", "codec_case", "address_case"]


def isolate():
    """Goes on in a fresh network namespace: no port can clash and nothing can leave the machine."""
    if os.environ.get("JVBD_ISOLATED"):
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        return
    os.environ["JVBD_ISOLATED"] = "1"
    unshare = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--net", "--map-root-user"]
    os.execvp(unshare[0], unshare + [sys.executable, *sys.argv])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bridge", required=True, help="the jvbd to test")
    parser.add_argument("--peer", default="", help="the jvbd-peer to test it with; by default the one next to it")
    parser.add_argument("--only", default="", help="run only cases whose name contains this")
    parser.add_argument("--screenshots", default="", help="folder for pictures of the pages")
    options = parser.parse_args()
    options.bridge = os.path.abspath(options.bridge)
    options.peer = os.path.abspath(options.peer or os.path.join(os.path.dirname(options.bridge), "jvbd-peer"))
    isolate()
    passed = failed = 0
    for module in map(importlib.import_module, MODULES):
        for case in module.CASES:
            name = f"{module.__name__}.{case.__name__}"
            if options.only not in name:
                continue
            begin = time.monotonic()
            print(f"-- {name}", flush=True)
            try:
                note = case(options)
                passed += 1
                print(f"-- {name}: passed in {time.monotonic() - begin:.1f} s{'; ' + note if note else ''}", flush=True)
            except Exception:
                failed += 1
                traceback.print_exc(file=sys.stdout)
                print(f"-- {name}: FAILED after {time.monotonic() - begin:.1f} s", flush=True)
    print(f"{passed} passed, {failed} failed", flush=True)
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
