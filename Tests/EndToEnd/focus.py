# Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0
"""A focus for tests: sits in the brewery as Jicofo does, sees the bridges there, asks them and checks their health."""

import asyncio
import concurrent.futures
import itertools
import logging
import ssl
import threading
import time
import xml.etree.ElementTree as ElementTree

import slixmpp
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath

import colibri

MUC = "http://jabber.org/protocol/muc"
logging.getLogger("slixmpp").setLevel(logging.CRITICAL)


class Focus:
    """Has a thread and an event loop of its own; its methods are for other threads."""

    def __init__(self, prosody, health_interval=10):
        self.prosody = prosody
        self.room = prosody.brewery
        self.bridges = {}  # nickname: statistics of its last presence
        self._addresses = {}  # nickname: real address
        self.health = []  # (time, nickname, None or what was wrong)
        self.disconnects = 0
        self._health_interval = health_interval
        self._identifiers, self._arrivals = itertools.count(1), itertools.count(1)
        self._waiting = {}
        self._joined = threading.Event()
        self._stopping = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    # In the loop ----------------------------------------------------------------------------------------------------

    def _work(self):
        asyncio.set_event_loop(self._loop)
        self._client = client = slixmpp.ClientXMPP(f"focus@{self.prosody.domain}", self.prosody.passwords["focus"])
        client.ssl_context = ssl.create_default_context(cafile=self.prosody.certificate)
        client.enable_direct_tls = False
        client.add_event_handler("session_start", self._logged_in)
        client.add_event_handler("disconnected", self._disconnected)
        client.add_event_handler("connection_failed", self._connect_again)
        client.register_handler(Callback("Presence", MatchXPath("{jabber:client}presence"), self._presence))
        client.register_handler(Callback("Answer", MatchXPath("{jabber:client}iq"), self._answer, instream=True))
        self._connect()
        self._loop.create_task(self._check_health())
        self._loop.run_forever()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))

    def _connect(self):
        self._client.connect("127.0.0.1", self.prosody.port)

    def _logged_in(self, _):
        self._client.send_raw("<presence/>")
        self._client.send_raw(f"<presence to='{self.room}/focus'><x xmlns='{MUC}'/></presence>")

    def _disconnected(self, _):
        self._joined.clear()
        self.bridges.clear()
        self.disconnects += 1
        for waiting in self._waiting.values():
            waiting.set_exception(ConnectionError("the XMPP connection was lost"))
        self._waiting.clear()
        self._connect_again()

    def _connect_again(self, _=None):
        if not self._stopping:
            self._loop.call_later(0.3, self._connect)

    def _presence(self, stanza):
        room, _, nickname = stanza.xml.get("from", "").partition("/")
        if room != self.room:
            return
        if nickname == "focus":
            if stanza.xml.get("type") == "error":
                logging.error("the focus may not enter the brewery: %s", stanza)
            self._joined.set()
        elif stanza.xml.get("type") == "unavailable":
            self.bridges.pop(nickname, None)
        else:
            stats = stanza.xml.find(colibri.tag(colibri.COLIBRI1, "stats"))
            item = stanza.xml.find(f"{{{MUC}#user}}x/{{{MUC}#user}}item")
            if item is not None:
                self._addresses[nickname] = item.get("jid")
            if stats is not None:
                self.bridges[nickname] = {s.get("name"): s.get("value") for s in stats}

    def _answer(self, stanza):
        waiting = self._waiting.pop(stanza.xml.get("id"), None)
        if waiting and stanza.xml.get("type") in ("result", "error"):
            waiting.arrival = next(self._arrivals)
            waiting.set_result(stanza.xml)

    async def _check_health(self):
        while True:
            await asyncio.sleep(self._health_interval)
            for nickname in list(self.bridges):
                self._loop.create_task(self._check_health_of(nickname))

    async def _check_health_of(self, nickname):
        complaint = None
        try:
            answer, = self._send([(nickname, colibri.health_check(), "get")])
            iq = await asyncio.wait_for(asyncio.wrap_future(answer), 15)
            if iq.get("type") != "result":
                complaint = str(colibri.Refused(iq))
        except (asyncio.TimeoutError, ConnectionError) as error:
            complaint = repr(error)
        self.health.append((time.monotonic(), nickname, complaint))

    def _send(self, requests):
        """All requests in one write, so that the server gets them at once."""
        text, answers = [], []
        for to, payload, kind in requests:
            to = to if "@" in to else f"{self.room}/{to}"
            identifier = f"f{next(self._identifiers)}"
            answers.append(concurrent.futures.Future())
            body = payload if isinstance(payload, str) else ElementTree.tostring(payload, encoding="unicode")
            text.append(f"<iq id='{identifier}' type='{kind}' to='{to}'>{body}</iq>")
            self._waiting[identifier] = answers[-1]
        try:
            self._client.send_raw("".join(text))
        except slixmpp.xmlstream.xmlstream.NotConnectedError:
            for answer in answers:
                answer.set_exception(ConnectionError("no XMPP connection"))
        return answers

    # From elsewhere -------------------------------------------------------------------------------------------------

    def _call(self, function, *arguments):
        result = concurrent.futures.Future()
        self._loop.call_soon_threadsafe(lambda: result.set_result(function(*arguments)))
        return result.result(10)

    def send(self, requests):
        """Sends (nickname or address, element or XML text, IQ type) each, in one write. Returns futures of the
        answering IQs; their `arrival` numbers tell the order in which those came."""
        return self._call(self._send, requests)

    def ask(self, nickname, payload, kind="set", seconds=15):
        """One request; the answering IQ, result or error."""
        return self.send([(nickname, payload, kind)])[0].result(seconds)

    def address_of(self, nickname):
        """The real address of a bridge, which the room shows to everybody."""
        return self._addresses[nickname]

    def modify(self, nickname, payload, kind="set"):
        """One conference-modify; the reply as `colibri.modified` reads it."""
        return colibri.modified(self.ask(nickname, payload, kind))

    def wait_for_bridge(self, nickname, seconds=15):
        """Waits until both are in the room and the bridge has shown its statistics; the seconds it took."""
        begin = time.monotonic()
        while not (self._joined.is_set() and nickname in self.bridges):
            if time.monotonic() - begin > seconds:
                raise RuntimeError(f"{nickname} is not in the brewery after {seconds} s; there: {list(self.bridges)}, "
                                   f"focus {'in' if self._joined.is_set() else 'not in'}")
            time.sleep(0.05)
        return time.monotonic() - begin

    def __enter__(self):
        return self

    def __exit__(self, *_):
        def stop():
            self._stopping = True
            self._client.abort()
            self._loop.call_later(0.2, self._loop.stop)
        self._loop.call_soon_threadsafe(stop)
        self._thread.join(5)
