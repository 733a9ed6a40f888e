# Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0
"""Real headless Chromium, driven over the DevTools pipe with nothing but the standard library."""

import json
import os
import queue
import shutil
import signal
import subprocess
import tempfile
import threading
import time

FLAGS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--mute-audio",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-default-apps",
    "--disable-extensions", "--disable-background-timer-throttling", "--disable-renderer-backgrounding",
    "--disable-backgrounding-occluded-windows", "--autoplay-policy=no-user-gesture-required",
    "--use-fake-ui-for-media-stream", "--allow-loopback-in-peer-connection",
    "--disable-features=WebRtcHideLocalIpsWithMdns,Translate,OptimizationHints,MediaRouter",
]


class Failure(Exception):
    """A page or the browser did not do what was asked."""


class Browser:
    """One Chromium process. Messages are JSON, ended by a NUL, on its descriptors 3 and 4."""

    def __init__(self, frames_per_second=15, binary=None):
        self.profile = tempfile.mkdtemp(prefix="jvbd-chromium.")
        down_read, self._down = os.pipe()
        self._up, up_write = os.pipe()
        command = [binary or os.environ.get("CHROMIUM", "chromium"), *FLAGS, "--remote-debugging-pipe",
                   f"--use-fake-device-for-media-stream=device-count=1,fps={frames_per_second}",
                   f"--user-data-dir={self.profile}", "about:blank"]

        def wire_descriptors():
            high_read, high_write = os.dup(down_read), os.dup(up_write)
            os.dup2(high_read, 3)
            os.dup2(high_write, 4)

        # A session of its own: ending it ends all of Chromium's processes and nobody else's.
        self._log = open(os.path.join(self.profile, "stderr.txt"), "wb")
        self._process = subprocess.Popen(command, close_fds=False, preexec_fn=wire_descriptors, stdin=subprocess.DEVNULL,
                                         stdout=subprocess.DEVNULL, stderr=self._log, start_new_session=True)
        os.close(down_read)
        os.close(up_write)
        self._lock = threading.Lock()
        self._replies, self._pages, self._next = {}, {}, 0
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        rest = b""
        while True:
            try:
                data = os.read(self._up, 1 << 16)
            except OSError:
                data = b""
            if not data:
                for waiting in list(self._replies.values()):
                    waiting.put({"error": {"message": "Chromium ended"}})
                return
            *messages, rest = (rest + data).split(b"\0")
            for message in map(json.loads, messages):
                if "id" in message:
                    waiting = self._replies.pop(message["id"], None)
                    if waiting:
                        waiting.put(message)
                elif message.get("sessionId") in self._pages:
                    self._pages[message["sessionId"]].note(message["method"], message["params"])

    def call(self, method, session=None, timeout=60, **parameters):
        waiting = queue.Queue()
        with self._lock:
            self._next += 1
            message = {"id": self._next, "method": method, "params": parameters}
            if session:
                message["sessionId"] = session
            self._replies[self._next] = waiting
            os.write(self._down, json.dumps(message).encode() + b"\0")
        try:
            reply = waiting.get(timeout=timeout)
        except queue.Empty:
            raise Failure(f"Chromium does not answer {method}") from None
        if "error" in reply:
            raise Failure(f"{method}: {reply['error'].get('message')}")
        return reply["result"]

    def page(self, url):
        """A page in a context of its own, as another person's browser."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, session, target)
        self._pages[session] = page
        page.call("Page.enable")
        page.call("Runtime.enable")
        page.call("Page.navigate", url=url)
        return page

    def close(self):
        try:
            self.call("Browser.close", timeout=5)
            self._process.wait(10)
        except Exception:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self._process.wait(10)
        self._log.close()
        shutil.rmtree(self.profile, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Page:
    """One tab."""

    def __init__(self, browser, session, target):
        self._browser, self._session, self._target = browser, session, target
        self.console = []

    def call(self, method, **parameters):
        return self._browser.call(method, self._session, **parameters)

    def note(self, method, event):
        if method == "Runtime.consoleAPICalled":
            text = " ".join(str(a.get("value", a.get("description"))) for a in event["args"])
            self.console.append(f"{event['type']}: {text}")
        elif method == "Runtime.exceptionThrown":
            self.console.append("exception: " + json.dumps(event["exceptionDetails"])[:400])

    def run(self, expression):
        """The JSON value of a JavaScript expression, a promise's when it is kept."""
        reply = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in reply:
            raise Failure(json.dumps(reply["exceptionDetails"])[:400])
        return reply["result"].get("value")

    def wait(self, expression, seconds, what):
        """Waits until an expression is true."""
        end = time.monotonic() + seconds
        while True:
            value = self.run(expression)
            if value:
                return value
            if time.monotonic() > end:
                raise Failure(f"not within {seconds} s: {what}; console: {self.console[-8:]}")
            time.sleep(0.25)

    def screenshot(self, path):
        import base64
        with open(path, "wb") as file:
            file.write(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def close(self):
        """Closes the tab as a person does: the page gets its pagehide event."""
        self._browser.call("Target.closeTarget", targetId=self._target)
