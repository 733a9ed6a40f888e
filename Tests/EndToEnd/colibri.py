# Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0
"""COLIBRI2 stanzas in the words of Jicofo, and what a bridge replies, read into dictionaries."""

import xml.etree.ElementTree as ElementTree

COLIBRI2 = "jitsi:colibri2"
COLIBRI1 = "http://jitsi.org/protocol/colibri"
ICE = "urn:xmpp:jingle:transports:ice-udp:1"
DTLS = "urn:xmpp:jingle:apps:dtls:0"
RTP = "urn:xmpp:jingle:apps:rtp:1"
FEEDBACK = "urn:xmpp:jingle:apps:rtp:rtcp-fb:0"
EXTENSION = "urn:xmpp:jingle:apps:rtp:rtp-hdrext:0"
SOURCE = "urn:xmpp:jingle:apps:rtp:ssma:0"
HEALTH = "http://jitsi.org/protocol/healthcheck"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"

TRANSPORT_CC = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
_VIDEO_FEEDBACK = [["ccm", "fir"], ["nack"], ["nack", "pli"], ["transport-cc"]]


def _payload(number, name, clock, channels=1, parameters=None, feedback=()):
    return {"id": number, "name": name, "clock": clock, "channels": channels, "parameters": parameters or {},
            "feedback": list(feedback)}


# Numbered as Jicofo numbers them; the page makes its SDP of the same table.
MEDIA = {
    "audio": {
        "payloads": [
            _payload(111, "opus", 48000, 2, {"minptime": "10", "useinbandfec": "1"}, [["transport-cc"]]),
            _payload(126, "telephone-event", 8000)],
        "extensions": [[1, "urn:ietf:params:rtp-hdrext:ssrc-audio-level"], [5, TRANSPORT_CC]]},
    "video": {
        "payloads": [
            _payload(100, "VP8", 90000, 1, {"x-google-start-bitrate": "800"}, _VIDEO_FEEDBACK),
            _payload(96, "rtx", 90000, 1, {"apt": "100"}),
            _payload(101, "VP9", 90000, 1, {"profile-id": "0"}, _VIDEO_FEEDBACK),
            _payload(97, "rtx", 90000, 1, {"apt": "101"})],
        "extensions": [[3, "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"], [5, TRANSPORT_CC]]},
}


def tag(namespace, name):
    return f"{{{namespace}}}{name}"


def _add(parent, namespace, name, /, **attributes):
    return ElementTree.SubElement(parent, tag(namespace, name), {k: str(v) for k, v in attributes.items()})


def _modify(meeting, **attributes):
    return ElementTree.Element(tag(COLIBRI2, "conference-modify"), {"meeting-id": meeting, **attributes})


def _media(endpoint):
    for kind, description in MEDIA.items():
        media = _add(endpoint, COLIBRI2, "media", type=kind)
        for payload in description["payloads"]:
            element = _add(media, RTP, "payload-type", id=payload["id"], name=payload["name"],
                           clockrate=payload["clock"], channels=payload["channels"])
            for name, value in payload["parameters"].items():
                _add(element, RTP, "parameter", name=name, value=value)
            for feedback in payload["feedback"]:
                _add(element, FEEDBACK, "rtcp-fb", **dict(zip(("type", "subtype"), feedback)))
        for number, uri in description["extensions"]:
            _add(media, EXTENSION, "rtp-hdrext", id=number, uri=uri)
        _add(media, EXTENSION, "extmap-allow-mixed")


def _sources(endpoint, sources):
    list_element = _add(endpoint, COLIBRI2, "sources")
    for source in sources:
        element = _add(list_element, COLIBRI2, "media-source", type=source["kind"], id=source["name"])
        extra = {"videoType": "camera"} if source["kind"] == "video" else {}
        for ssrc in source["ssrcs"]:
            _add(element, SOURCE, "source", ssrc=ssrc, name=source["name"], **extra)
        for group in source["groups"]:
            members = _add(element, SOURCE, "ssrc-group", semantics=group["semantics"])
            for ssrc in group["ssrcs"]:
                _add(members, SOURCE, "source", ssrc=ssrc)


def create(meeting, endpoint, room=None, sctp=True, stats_id="Test-abc"):
    """A new endpoint; with a room name the conference is new, too."""
    modify = _modify(meeting, **({"create": "true", "name": room} if room else {}))
    element = _add(modify, COLIBRI2, "endpoint", id=endpoint, create="true", **{"stats-id": stats_id})
    _media(element)
    transport = _add(element, COLIBRI2, "transport", **{"ice-controlling": "true"})
    if sctp:
        _add(transport, COLIBRI2, "sctp")
    _add(element, COLIBRI2, "sources")
    _add(element, COLIBRI2, "capability", name="source-names")
    return modify


def update(meeting, endpoint, transport=None, sources=None, candidates=()):
    """What the participant accepted, or only a part of it: its side of the transport, its full set of sources."""
    modify = _modify(meeting)
    element = _add(modify, COLIBRI2, "endpoint", id=endpoint, **{"stats-id": "Test-abc"})
    if transport:
        outer = _add(element, COLIBRI2, "transport")
        inner = _add(outer, ICE, "transport", ufrag=transport["ufrag"], pwd=transport["pwd"])
        fingerprint = _add(inner, DTLS, "fingerprint", hash=transport["hash"], setup=transport["setup"])
        fingerprint.text = transport["fingerprint"]
        _add(inner, ICE, "rtcp-mux")
        for candidate in candidates:
            _add(inner, ICE, "candidate", **candidate)
    if sources is not None:
        _sources(element, sources)
    return modify


def force_mute(meeting, endpoint, audio=False, video=False):
    modify = _modify(meeting)
    muted = {kind: "true" for kind, wanted in (("audio", audio), ("video", video)) if wanted}
    _add(_add(modify, COLIBRI2, "endpoint", id=endpoint), COLIBRI2, "force-mute", **muted)
    return modify


def expire(meeting, *endpoints):
    """Endpoints that leave; without any, the whole conference."""
    modify = _modify(meeting, **({} if endpoints else {"expire": "true"}))
    for endpoint in endpoints:
        _add(modify, COLIBRI2, "endpoint", id=endpoint, expire="true")
    return modify


def health_check():
    return ElementTree.Element(tag(HEALTH, "healthcheck"))


class Refused(Exception):
    """The bridge answered with an error; `condition` is that of the stanza, `reason` that of COLIBRI2."""

    def __init__(self, iq):
        error = iq.find(tag("jabber:client", "error"))
        children = list(error) if error is not None else []
        self.condition = next((c.tag.split("}")[1] for c in children
                               if c.tag.startswith(f"{{{STANZAS}}}") and not c.tag.endswith("}text")), None)
        self.text = next((c.text for c in children if c.tag == tag(STANZAS, "text")), None)
        self.reason = next((c.get("reason") for c in children if c.tag == tag(COLIBRI2, "error")), None)
        super().__init__(f"{self.condition} ({self.reason}): {self.text}")


def modified(iq):
    """The endpoints of a conference-modified, by id, and the bridge's feedback sources (None if absent)."""
    if iq.get("type") != "result":
        raise Refused(iq)
    reply = iq.find(tag(COLIBRI2, "conference-modified"))
    if reply is None:
        raise ValueError(f"no conference-modified in {ElementTree.tostring(iq)}")
    endpoints = {}
    for endpoint in reply.findall(tag(COLIBRI2, "endpoint")):
        outer = endpoint.find(tag(COLIBRI2, "transport"))
        endpoints[endpoint.get("id")] = {
            "expired": endpoint.get("expire") == "true",
            "transport": None if outer is None else _transport(outer)}
    sources = reply.find(tag(COLIBRI2, "sources"))
    return {"endpoints": endpoints,
            "sources": None if sources is None else [s.get("id") for s in sources]}


def _transport(outer):
    inner = outer.find(tag(ICE, "transport"))
    sctp = outer.find(tag(COLIBRI2, "sctp"))
    return {
        "ufrag": inner.get("ufrag"), "pwd": inner.get("pwd"), "rtcpMux": inner.find(tag(ICE, "rtcp-mux")) is not None,
        "fingerprints": [{"hash": f.get("hash"), "setup": f.get("setup"), "value": f.text}
                         for f in inner.findall(tag(DTLS, "fingerprint"))],
        "candidates": [dict(c.attrib) for c in inner.findall(tag(ICE, "candidate"))],
        "webSockets": [w.get("url") for w in inner.findall(tag(COLIBRI1, "web-socket"))],
        "sctpPort": None if sctp is None else int(sctp.get("port")),
    }
