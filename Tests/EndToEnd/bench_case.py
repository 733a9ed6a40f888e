# Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0
"""A forwarded packet allocates nothing: `jvbd bench` under an interposed malloc."""

import json
import os
import subprocess
import tempfile

COUNTER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "Allocations", "count.c")


def bench(options, *arguments, preload=None):
    variables = {"PATH": os.environ["PATH"], **({"LD_PRELOAD": preload} if preload else {})}
    run = subprocess.run([options.bridge, "bench", "--json", *arguments], env=variables, capture_output=True, text=True,
                         timeout=180)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


def a_million_forwarded_packets_allocate_nothing(options):
    with tempfile.TemporaryDirectory() as folder:
        library = os.path.join(folder, "count.so")
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", library, COUNTER], check=True)
        result = bench(options, "--packets", "1000000", preload=library)
    assert result["packets_forwarded"] >= 1_000_000, result
    for event in ("sequence_wraps", "keyframe_requests", "retransmissions", "layer_switches"):
        assert result["events"][event] > 0, f"the run had no {event}: {result['events']}"
    assert result["allocations"] == 0, result
    return f"{result['ns_per_forwarded_packet']} ns per forwarded packet"


def without_the_counter_the_field_is_null(options):
    result = bench(options, "--packets", "20000")
    assert result["allocations_per_packet"] is None, result


CASES = [a_million_forwarded_packets_allocate_nothing, without_the_counter_the_field_is_null]
