# Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0
"""A meeting of browser pages on the bridge of a deployment: who joins, leaves and learns of whose sources, as Jicofo
manages it."""

import http.server
import json
import pathlib
import threading
import time
import uuid

import colibri
from chromium import Browser, Failure

PAGE = pathlib.Path(__file__).with_name("participant.html")
FRAMES_PER_SECOND = 10


class _Pages(http.server.BaseHTTPRequestHandler):
    """Browsers give camera and microphone to pages of http://127.0.0.1, not to files."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(PAGE.read_bytes())

    def log_message(self, *_):
        pass


class Participant:
    def __init__(self, page, endpoint):
        self.page, self.endpoint = page, endpoint
        self.transport, self.sources = None, []
        self.names = {kind: f"{endpoint}-{kind[0]}0" for kind in ("audio", "video")}

    def report(self):
        return self.page.run("participant.report()")

    def wait(self, what, seconds, condition):
        """Waits until `condition` holds for the report; returns that report."""
        end = time.monotonic() + seconds
        while True:
            report = self.report()
            if condition(report):
                return report
            if time.monotonic() > end:
                raise Failure(f"{self.endpoint}, not within {seconds} s: {what}; {json.dumps(report)}")
            time.sleep(0.2)


class Meeting:
    def __init__(self, deployment, channel="sctp", setup="actpass", kind="set", floor=None):
        """`channel` is sctp or websocket, `setup` the DTLS role offered to the pages, `kind` the IQ type of the focus,
        `floor` what the pages send at least in kb/s, whatever they think of the network."""
        self.deployment, self.channel, self.setup, self.kind, self.floor = deployment, channel, setup, kind, floor
        self.id = str(uuid.uuid4())
        self.participants = []
        self.exists = False

    def __enter__(self):
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Pages)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self._browser = Browser(frames_per_second=FRAMES_PER_SECOND)
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            for participant in self.participants:
                self._tell(participant)
        self._browser.close()
        self._server.shutdown()
        self._server.server_close()

    @staticmethod
    def _tell(participant):
        """What a failed case needs to be understood."""
        print(f"---- page of {participant.endpoint}:", *participant.page.console[-20:], sep="\n")
        try:
            print(json.dumps(participant.report()), json.dumps(participant.page.run("participant.messages.slice(-12)")),
                  sep="\n")
        except Failure as failure:
            print(failure)

    def join(self, count=1):
        """That many people come at once: their requests follow each other without waiting for replies."""
        focus, bridge = self.deployment.focus, self.deployment.NICKNAME
        new = [Participant(self._browser.page(f"http://127.0.0.1:{self._server.server_port}/"), uuid.uuid4().hex[:8])
               for _ in range(count)]
        requests = [colibri.create(self.id, p.endpoint, None if self.exists or i else "test@conference.meet.test",
                                   sctp=self.channel == "sctp") for i, p in enumerate(new)]
        answers = focus.send([(bridge, request, self.kind) for request in requests])
        self.exists = True
        for participant, answer in zip(new, answers):
            reply = colibri.modified(answer.result(15))
            self._accept(participant, reply["endpoints"][participant.endpoint]["transport"])
        self.participants += new
        self._introduce()
        return new if count > 1 else new[0]

    def _accept(self, participant, transport):
        """session-initiate, session-accept, transport-info."""
        if self.channel == "websocket":
            assert len(transport["webSockets"]) == 1, transport
        page = participant.page
        page.wait("window.participant !== undefined", 20, "the page")
        given = {"id": participant.endpoint, "transport": transport, "media": colibri.MEDIA, "channel": self.channel,
                 "setup": self.setup, "frameRate": FRAMES_PER_SECOND, "floor": self.floor}
        accepted = page.run(f"participant.join({json.dumps(given)})")
        participant.transport, participant.sources = accepted["transport"], accepted["sources"]
        wanted = {"actpass": "active", "active": "passive"}[self.setup]
        assert participant.transport["setup"] == wanted, participant.transport
        self.modify(colibri.update(self.id, participant.endpoint, participant.transport, participant.sources))
        self.modify(colibri.update(self.id, participant.endpoint, participant.transport,
                                   candidates=page.run("participant.candidates()")))

    def modify(self, request):
        return self.deployment.modify(request, self.kind)

    def leave(self, participant):
        participant.page.run("participant.leave()")
        self.participants.remove(participant)
        reply = self.modify(colibri.expire(self.id, participant.endpoint))
        assert reply["endpoints"][participant.endpoint]["expired"], reply
        participant.page.close()
        self._introduce()

    def _introduce(self):
        """source-add and source-remove: of simulcast, others are told the first layer only."""
        for participant in self.participants:
            others = [self._told(s) for o in self.participants if o is not participant for s in o.sources]
            participant.page.run(f"participant.meet({json.dumps(others)})")

    @staticmethod
    def _told(source):
        simulcast = next((g for g in source["groups"] if g["semantics"] == "SIM"), None)
        first = simulcast["ssrcs"][0] if simulcast else source["ssrcs"][0]
        pairs = [g for g in source["groups"] if g["semantics"] == "FID" and g["ssrcs"][0] == first]
        return {**source, "ssrcs": pairs[0]["ssrcs"] if pairs else [first], "groups": pairs}
