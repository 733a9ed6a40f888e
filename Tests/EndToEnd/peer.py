# Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0
"""jvbd-peer: a participant made of libnice, OpenSSL and libsrtp2; and networks for peers to live in."""

import contextlib
import json
import os
import queue
import subprocess
import threading
import time


class Network:
    """A network namespace joined to ours by a cable: our end has the first addresses, theirs the second."""

    def __init__(self, interface):
        self.interface = interface
        self._holder = subprocess.Popen(["unshare", "--net", "sleep", "3600"], stdin=subprocess.DEVNULL)
        self._file = f"/proc/{self._holder.pid}/ns/net"
        ours = os.readlink("/proc/self/ns/net")
        end = time.monotonic() + 10
        while os.readlink(self._file) == ours:
            if time.monotonic() > end or self._holder.poll() is not None:
                raise RuntimeError("no network namespace")
            time.sleep(0.01)

    def command(self, *words):
        return ["nsenter", f"--net={self._file}", *words]

    def connect(self, ours, theirs):
        """Addresses with their prefix lengths; usable at once."""
        ip("link", "add", self.interface, "type", "veth", "peer", "name", "eth0", "netns", str(self._holder.pid))
        for address in ours:
            ip("address", "add", address, "dev", self.interface, *_at_once(address))
        ip("link", "set", self.interface, "up")
        self.ip("link", "set", "lo", "up")
        for address in theirs:
            self.ip("address", "add", address, "dev", "eth0", *_at_once(address))
        self.ip("link", "set", "eth0", "up")

    def ip(self, *words):
        subprocess.run(self.command("ip", *words), check=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # The cable goes with either end; ours at once, so that the next case does not meet it.
        subprocess.run(["ip", "link", "delete", self.interface], check=False, stderr=subprocess.DEVNULL)
        self._holder.kill()
        self._holder.wait()


def _at_once(address):
    """Without duplicate address detection, which takes a second."""
    return ["nodad"] if ":" in address else []


def ip(*words):
    subprocess.run(["ip", *words], check=True)


class Peer:
    """One participant. What it says last is in `state`."""

    def __init__(self, options, network, address, ssrc, controlling, profiles):
        role = "controlling" if controlling else "controlled"
        self.ssrc, self.controlling = ssrc, controlling
        self._process = subprocess.Popen(
            network.command(options.peer, address, str(ssrc), role, profiles), stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True)
        self._said = queue.Queue()
        self.state = {}
        threading.Thread(target=self._listen, daemon=True).start()
        with contextlib.ExitStack() as stack:
            stack.push(self.__exit__)
            self.wait("description")
            stack.pop_all()

    def _listen(self):
        for line in self._process.stdout:
            self._said.put(json.loads(line))
        self._said.put(None)

    def wait(self, event, seconds=20):
        end = time.monotonic() + seconds
        while self.state is not None and self.state.get("event") != event:
            try:
                state = self._said.get(timeout=max(end - time.monotonic(), 0.001))
            except queue.Empty:
                raise AssertionError(f"no \"{event}\" after {seconds} s: {self.state}") from None
            if state is None:
                raise AssertionError(f"the peer ended with {self._process.wait()} before \"{event}\": {self.state}")
            self.state = state
        return self.state

    def answer(self, setup="active"):
        """Its side of the transport, as COLIBRI2 has it in JSON."""
        said = self.state
        fingerprint = {"hash": "sha-256", "fingerprint": said["fingerprint"], "setup": setup}
        return {"ufrag": said["ufrag"], "pwd": said["pwd"], "rtcp-mux": True, "fingerprints": [fingerprint]}

    def connect(self, transport, candidate):
        """Tells it the bridge's credentials and one of its candidates, no other."""
        fingerprint = next(f["fingerprint"] for f in transport["fingerprints"] if f["hash"] == "sha-256")
        words = [transport["ufrag"], transport["pwd"], fingerprint, candidate["ip"], str(candidate["port"])]
        self._process.stdin.write(" ".join(words) + "\n")
        self._process.stdin.flush()

    def stop(self):
        """Ends it; its last report."""
        self._process.stdin.close()
        report = self.wait("report", 10)
        status = self._process.wait(10)
        assert status == 0, f"the peer ended with {status}: {report}"
        return report

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
