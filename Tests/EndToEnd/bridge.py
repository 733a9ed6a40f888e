# Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0
"""A jvbd process of a test: started with its environment, its log kept, ended by its id."""

import json
import os
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request


class Bridge:
    def __init__(self, binary, *arguments, environment=None, http=8080):
        self.log = tempfile.NamedTemporaryFile(prefix="jvbd.", suffix=".log", delete=False)
        self.http = http
        variables = {"PATH": os.environ.get("PATH", ""), "JVB_LOG_ADDRESSES": "1", **(environment or {})}
        self.started = time.monotonic()
        self.process = subprocess.Popen([binary, *arguments], env=variables, stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=subprocess.STDOUT)

    def get(self, path, timeout=5):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}{path}", timeout=timeout) as reply:
            body = reply.read()
            return json.loads(body) if body else {}

    def wait_until_healthy(self, seconds=10):
        end = time.monotonic() + seconds
        while True:
            try:
                self.get("/about/health", timeout=1)
                return time.monotonic() - self.started
            except (urllib.error.URLError, OSError):
                if self.process.poll() is not None:
                    raise RuntimeError(f"jvbd ended with {self.process.returncode}:\n{self.text()}") from None
                if time.monotonic() > end:
                    raise RuntimeError(f"jvbd is not healthy after {seconds} s:\n{self.text()}") from None
                time.sleep(0.05)

    def text(self):
        with open(self.log.name, errors="replace") as file:
            return file.read()

    def stop(self, seconds=5):
        """SIGTERM; the exit status, and how long it took."""
        begin = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise RuntimeError(f"jvbd did not stop within {seconds} s of SIGTERM") from None
        self.log.close()
        return self.process.returncode, time.monotonic() - begin

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.log.close()
        os.unlink(self.log.name)
