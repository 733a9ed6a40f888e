# Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0
"""A Prosody of a test: on loopback only, with the rooms and accounts of a Jitsi Meet deployment, restartable."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time

CONFIGURATION = """
run_as_root = true
pidfile = "{folder}/prosody.pid"
data_path = "{folder}/data"
certificates = "{folder}/certificates"
log = {{ {{ levels = {{ min = "info" }}, to = "console" }} }}
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {port} }}
modules_enabled = {{ "roster", "saslauth", "tls", "disco", "ping", "smacks" }}
modules_disabled = {{ "s2s", "offline", "register", "admin_socket", "http" }}
allow_registration = false
authentication = "internal_hashed"
c2s_require_encryption = true
ssl = {{ key = "{key}", certificate = "{certificate}" }}
component_admins_as_room_owners = true

VirtualHost "{domain}"

Component "{rooms}" "muc"
    storage = "memory"
    modules_enabled = {{ "ping" }}
    admins = {{ "focus@{domain}", "jvb@{domain}" }}
    restrict_room_creation = true
    muc_room_locking = false
    muc_room_default_public_jids = true
"""


class Prosody:
    """Accounts `focus` and `jvb`, each with a random password in `passwords`."""

    def __init__(self, meet="meet.test", port=5222):
        self.port = port
        self.domain = f"auth.{meet}"
        self.rooms = f"internal.auth.{meet}"
        self.brewery = f"jvbbrewery@{self.rooms}"
        self.passwords = {name: secrets.token_hex(16) for name in ("focus", "jvb")}
        self.folder = tempfile.mkdtemp(prefix="jvbd-prosody.")
        for name in ("data", "certificates"):
            os.mkdir(os.path.join(self.folder, name))
        key, self.certificate = (os.path.join(self.folder, "certificates", f"test.{end}") for end in ("key", "crt"))
        self._run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                  "-days", "2", "-subj", f"/CN={self.domain}", "-addext", f"subjectAltName=DNS:{self.domain}",
                  "-keyout", key, "-out", self.certificate)
        self.configuration = os.path.join(self.folder, "prosody.cfg.lua")
        with open(self.configuration, "w") as file:
            file.write(CONFIGURATION.format(folder=self.folder, port=port, key=key, certificate=self.certificate,
                                            domain=self.domain, rooms=self.rooms))
        for name, password in self.passwords.items():
            self.set_password(name, password)
        self._log = open(os.path.join(self.folder, "prosody.log"), "ab")
        self.process = None

    @staticmethod
    def _run(*command):
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        if done.returncode:
            raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stdout}{done.stderr}")

    def set_password(self, name, password):
        """Makes the account, or gives it another password; a running server sees it at the next login."""
        self.passwords[name] = password
        self._run("prosodyctl", "--root", "--config", self.configuration, "register", name, self.domain, password)

    def start(self, seconds=20):
        self.process = subprocess.Popen(["prosody", "--root", "-F", "--config", self.configuration],
                                        stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log)
        end = time.monotonic() + seconds
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError(f"Prosody does not listen:\n{self.text()}") from None
                time.sleep(0.05)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process = None

    def text(self):
        with open(self._log.name, errors="replace") as file:
            return file.read()

    def bridge_environment(self, nickname="bridge-1", **more):
        """What jvbd is told to join this server."""
        return {"XMPP_SERVER": "127.0.0.1", "XMPP_PORT": str(self.port), "XMPP_AUTH_DOMAIN": self.domain,
                "XMPP_INTERNAL_MUC_DOMAIN": self.rooms, "JVB_AUTH_USER": "jvb",
                "JVB_AUTH_PASSWORD": self.passwords["jvb"], "JVB_MUC_NICKNAME": nickname, "JVB_DISABLE_STUN": "1",
                **more}

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.stop()
        self._log.close()
        shutil.rmtree(self.folder, ignore_errors=True)
