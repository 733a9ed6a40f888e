# Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0
"""The bridge on a real Prosody, asked by a focus: login, order of answers, bad requests. No browser."""

import collections
import time
import uuid

import colibri
from bridge import Bridge
from deployment import Deployment
from prosody import Prosody

ROUNDS = 1000
ROUNDS_AT_ONCE = 16


def _five_requests():
    """create, create, update, expire, create of one meeting: Jicofo does not wait for replies in between."""
    meeting, (one, two, three) = str(uuid.uuid4()), (uuid.uuid4().hex[:8] for _ in range(3))
    transport = {"ufrag": "abcd", "pwd": "0123456789abcdef01234567", "hash": "sha-256", "setup": "active",
                 "fingerprint": ":".join(["A5"] * 32)}
    sources = [{"kind": "audio", "name": f"{one}-a0", "ssrcs": [1001], "groups": []}]
    room = f"{one}@conference.meet.test"
    requests = [colibri.create(meeting, one, room), colibri.create(meeting, two),
                colibri.update(meeting, one, transport, sources), colibri.expire(meeting),
                colibri.create(meeting, three, room)]
    return meeting, (one, two, three), requests


def _check_five(ids, answers):
    one, two, three = ids
    replies = [colibri.modified(answer) for answer in answers]
    for endpoint, reply in ((one, replies[0]), (two, replies[1]), (three, replies[4])):
        assert list(reply["endpoints"]) == [endpoint], reply
        transport = reply["endpoints"][endpoint]["transport"]
        assert transport["ufrag"] and transport["pwd"] and transport["rtcpMux"], reply
        assert [f["setup"] for f in transport["fingerprints"]] == ["actpass"], reply
        assert transport["candidates"] and transport["sctpPort"] == 5000, reply
        assert reply["sources"] == ["jvb-a0", "jvb-v0"], reply
    assert replies[2] == {"endpoints": {one: {"expired": False, "transport": None}}, "sources": None}, replies[2]
    assert replies[3] == {"endpoints": {}, "sources": None}, replies[3]
    fragments = {replies[i]["endpoints"][e]["transport"]["ufrag"] for i, e in zip((0, 1, 4), ids)}
    assert len(fragments) == 3, fragments


def five_pipelined_requests_are_answered_in_order(options):
    with Deployment(options) as deployment:
        under_way, left_over = collections.deque(), []

        def begin_one(kind):
            meeting, ids, requests = _five_requests()
            answers = deployment.focus.send([(deployment.NICKNAME, request, kind) for request in requests])
            under_way.append((meeting, ids, answers))

        def finish_one():
            meeting, ids, answers = under_way.popleft()
            _check_five(ids, [answer.result(30) for answer in answers])
            order = [answer.arrival for answer in answers]
            assert order == sorted(order), f"answers came in the order {order}"
            left_over.extend(deployment.focus.send([(deployment.NICKNAME, colibri.expire(meeting), "set")]))

        begin = time.monotonic()
        for number in range(ROUNDS):
            # Jicofo of 2022 says get, today's says set.
            begin_one("get" if number % 2 else "set")
            if len(under_way) >= ROUNDS_AT_ONCE:
                finish_one()
        while under_way:
            finish_one()
        seconds = time.monotonic() - begin
        for answer in left_over:
            assert colibri.modified(answer.result(30)) == {"endpoints": {}, "sources": None}
        deployment.check_health()
        return f"{ROUNDS} times five requests, {6 * ROUNDS / seconds:.0f} requests/s"


def without_a_password_it_exits_78_with_one_line(options):
    environment = {"XMPP_SERVER": "127.0.0.1", "JVB_DISABLE_STUN": "1"}
    with Bridge(options.bridge, environment=environment) as bridge:
        status = bridge.process.wait(10)
        assert status == 78, f"exit status {status}: {bridge.text()}"
        lines = bridge.text().splitlines()
        assert len(lines) == 1 and "JVB_AUTH_PASSWORD" in lines[0], bridge.text()


def a_refused_login_is_one_line_and_tried_again(options):
    """As JVB: an account may still be on its way, so the process stays. Every attempt fails alike and is told once."""
    with Prosody() as prosody:
        right, prosody.passwords["jvb"] = prosody.passwords["jvb"], "wrong"
        with Bridge(options.bridge, environment=prosody.bridge_environment()) as bridge:
            bridge.wait_until_healthy()
            end = time.monotonic() + 20
            # A failed attempt every 5 s, at most a quarter more: two of them.
            while prosody.text().count("Stream encrypted") < 2:
                assert time.monotonic() < end, f"not tried again:\n{bridge.text()}\n{prosody.text()}"
                time.sleep(0.2)
            lines = [line for line in bridge.text().splitlines() if "log in" in line]
            assert len(lines) == 1 and "not-authorized" in lines[0], bridge.text()
            assert right not in bridge.text() and '"wrong"' not in bridge.text()
            prosody.set_password("jvb", "wrong")
            while "logged in" not in bridge.text():
                assert time.monotonic() < end + 15, f"not logged in with the right password:\n{bridge.text()}"
                time.sleep(0.1)
            status, _ = bridge.stop()
            assert status == 143, f"exit status {status} after SIGTERM"


def bad_requests_get_an_error_and_the_stream_goes_on(options):
    c2 = "xmlns='jitsi:colibri2'"
    rtp = "xmlns='urn:xmpp:jingle:apps:rtp:1'"
    ssma = "xmlns='urn:xmpp:jingle:apps:rtp:ssma:0'"
    ice = "xmlns='urn:xmpp:jingle:transports:ice-udp:1'"
    meeting, endpoint = str(uuid.uuid4()), "abcd1234"

    def modify(inner, more=""):
        return f"<conference-modify {c2} meeting-id='{meeting}' {more}>{inner}</conference-modify>"

    bad = [
        ("no meeting-id", f"<conference-modify {c2} create='true'/>", "bad-request", None),
        ("an endpoint without id", modify("<endpoint create='true'/>"), "bad-request", None),
        ("an unknown kind of media", modify(f"<endpoint id='{endpoint}'><media type='smell'/></endpoint>"),
         "bad-request", None),
        ("an SSRC that is none",
         modify(f"<endpoint id='{endpoint}'><sources><media-source type='audio' id='x-a0'><source {ssma} "
                "ssrc='many'/></media-source></sources></endpoint>"), "bad-request", None),
        ("sources without a kind",
         modify(f"<endpoint id='{endpoint}'><sources><media-source id='x-a0'/></sources></endpoint>"),
         "bad-request", None),
        ("a create without transport", modify("<endpoint id='ffff0000' create='true'><capability name='source-names'/>"
                                              "</endpoint>"), "bad-request", None),
        ("an endpoint that exists", colibri.create(meeting, endpoint), "conflict", None),
        ("a conference that exists", colibri.create(meeting, "ffff0001", "x@conference.meet.test"), "conflict",
         "conference_already_exists"),
        ("an unknown endpoint", colibri.update(meeting, "ffff0002", sources=[]), "item-not-found", "unknown_endpoint"),
        ("an unknown conference", colibri.update("nowhere", endpoint, sources=[]), "item-not-found",
         "conference_not_found"),
        ("an unknown language", "<open xmlns='urn:example:sesame'/>", "feature-not-implemented", None),
        ("a shutdown", "<force-shutdown xmlns='http://jitsi.org/protocol/colibri'/>", "service-unavailable", None),
    ]
    tolerated = [
        ("a payload type out of range",
         modify(f"<endpoint id='{endpoint}'><media type='audio'><payload-type {rtp} id='70000' name='opus' "
                "clockrate='48000'/></media></endpoint>")),
        ("a candidate with a name for an address",
         modify(f"<endpoint id='{endpoint}'><transport><transport {ice} ufrag='abcd' pwd='0123456789abcdef01234567'>"
                "<candidate component='1' foundation='1' generation='0' id='c' network='0' priority='1' "
                "protocol='udp' type='host' ip='host.example' port='9'/></transport></transport></endpoint>")),
        ("unknown elements and attributes",
         modify(f"<endpoint id='{endpoint}' colour='blue'><taste {c2}/><traceparent xmlns='jitsi:opentelemetry'/>"
                "</endpoint>", "flavour='x'")),
    ]
    with Deployment(options) as deployment:
        deployment.modify(colibri.create(meeting, endpoint, "x@conference.meet.test"))
        wrong = []
        for what, payload, condition, reason in bad:
            iq = deployment.ask(payload)
            refused = colibri.Refused(iq) if iq.get("type") == "error" else None
            if refused is None or (refused.condition, refused.reason) != (condition, reason):
                wrong.append(f"{what}: {refused or colibri.ElementTree.tostring(iq)}")
            # The stream and the conference are as before.
            assert deployment.ask(colibri.health_check(), "get").get("type") == "result", what
            assert list(deployment.modify(colibri.force_mute(meeting, endpoint))["endpoints"]) == [endpoint], what
        assert not wrong, "\n".join(wrong)
        for what, payload in tolerated:
            assert list(deployment.modify(payload)["endpoints"]) == [endpoint], what
        # Only those who speak through the brewery are heard.
        address = deployment.focus.address_of(deployment.NICKNAME)
        refused = colibri.Refused(deployment.focus.ask(address, colibri.health_check(), "get"))
        assert refused.condition == "forbidden", refused
        log = deployment.bridge.text()
        assert "connection lost" not in log and log.count("logged in") == 1, "the stream was kept"
        return f"{len(bad)} refused, {len(tolerated)} tolerated"


def a_kick_is_followed_by_a_new_entry_and_sigterm_by_a_farewell(options):
    with Deployment(options) as deployment:
        kick = (f"<query xmlns='http://jabber.org/protocol/muc#admin'><item nick='{deployment.NICKNAME}' role='none'/>"
                "</query>")
        assert deployment.focus.ask(deployment.prosody.brewery, kick).get("type") == "result"
        assert deployment.NICKNAME not in deployment.focus.bridges, "the room shows it as gone"
        back = deployment.focus.wait_for_bridge(deployment.NICKNAME, 10)
        assert deployment.ask(colibri.health_check(), "get").get("type") == "result"
        assert deployment.bridge.text().count("logged in") == 1, "the stream was kept"

        status, seconds = deployment.bridge.stop()
        assert status == 143, f"exit status {status} after SIGTERM"
        end = time.monotonic() + 2
        while deployment.NICKNAME in deployment.focus.bridges:
            assert time.monotonic() < end, "it is gone, and still shown in the room"
            time.sleep(0.05)
        return f"back after {back:.1f} s, stopped in {seconds:.1f} s"


CASES = [without_a_password_it_exits_78_with_one_line, a_refused_login_is_one_line_and_tried_again,
         bad_requests_get_an_error_and_the_stream_goes_on,
         a_kick_is_followed_by_a_new_entry_and_sigterm_by_a_farewell, five_pipelined_requests_are_answered_in_order]
