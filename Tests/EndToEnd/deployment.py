# Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0
"""Prosody, focus and bridge together, as a deployment has them; tells what they logged when a case fails."""

import contextlib
import sys

from bridge import Bridge
from focus import Focus
from prosody import Prosody

LINES = 40


class Deployment(contextlib.ExitStack):
    """Up and in the brewery when entered."""

    NICKNAME = "bridge-1"

    def __init__(self, options, health_interval=10, **environment):
        super().__init__()
        self._binary = options.bridge
        self._environment = environment
        self._health_interval = health_interval

    def __enter__(self):
        super().__enter__()
        try:
            self.prosody = self.enter_context(Prosody())
            self.focus = self.enter_context(Focus(self.prosody, self._health_interval))
            environment = self.prosody.bridge_environment(self.NICKNAME, **self._environment)
            self.bridge = self.enter_context(Bridge(self._binary, environment=environment))
            self.bridge.wait_until_healthy()
            self.joined_after = self.focus.wait_for_bridge(self.NICKNAME)
        except BaseException:
            if not self.__exit__(*sys.exc_info()):
                raise
        return self

    def modify(self, payload, kind="set"):
        return self.focus.modify(self.NICKNAME, payload, kind)

    def ask(self, payload, kind="set"):
        return self.focus.ask(self.NICKNAME, payload, kind)

    def check_health(self):
        """What Jicofo concludes from failed checks would end meetings; none may have failed."""
        failed = [complaint for _, _, complaint in self.focus.health if complaint]
        assert not failed, f"health checks failed: {failed}"

    def __exit__(self, kind, *rest):
        if kind is not None:
            for name in ("bridge", "prosody"):
                if hasattr(self, name):
                    print(f"---- end of the log of {name}:")
                    print("\n".join(getattr(self, name).text().splitlines()[-LINES:]), flush=True)
        return super().__exit__(kind, *rest)
