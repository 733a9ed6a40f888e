# Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0
"""Which addresses the bridge offers, and that whoever comes to one of them is answered from that one."""

import contextlib
import json
import urllib.error
import urllib.request

from bridge import Bridge
from peer import Network, Peer, ip

PORT = 10000
V4_A, V4_B, V6 = "10.77.0.1", "10.78.0.1", "fd00:77::1"
ENVIRONMENT = {"JVB_DISABLE_XMPP": "1", "JVB_DISABLE_STUN": "1"}
AUDIO = {"type": "audio", "payload-types": [{
    "id": 111, "name": "opus", "clockrate": 48000, "channels": 2, "parameters": {"minptime": "10"}, "rtcp-fbs": []}],
    "rtp-hdrexts": [{"id": 1, "uri": "urn:ietf:params:rtp-hdrext:ssrc-audio-level"}]}


@contextlib.contextmanager
def _two_links():
    """Two interfaces with two IPv4 addresses and one IPv6 address; behind each a network that reaches all three.

    From the far network the way to an address leads over the other interface: a bridge that let the kernel choose the
    source of its datagrams would answer from the wrong address.
    """
    with Network("media0") as a, Network("media1") as b:
        # fe80::78:1 is the gateway of a network that has no other IPv6 address of ours.
        a.connect([f"{V4_A}/24", f"{V6}/64"], ["10.77.0.2/24", "fd00:77::2/64"])
        b.connect([f"{V4_B}/24", "fe80::78:1/64"], ["10.78.0.2/24", "fd00:78::2/64"])
        ip("route", "add", "fd00:78::/64", "dev", "media1")
        a.ip("route", "add", "default", "via", V4_A)
        b.ip("route", "add", "default", "via", V4_B)
        b.ip("route", "add", "default", "via", "fe80::78:1", "dev", "eth0")
        yield a, b


def _request(bridge, method, path, body):
    request = urllib.request.Request(f"http://127.0.0.1:{bridge.http}/colibri/v2/conferences{path}", method=method,
                                     data=json.dumps(body).encode(), headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            return json.loads(reply.read())
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{method} {path}: {error.code} {error.read().decode(errors='replace')}") from None


def _create(bridge, meeting, endpoints):
    """`endpoints`: id -> the bridge is the controlling agent. Returns the bridge's transports by id."""
    transports = {}
    for name, controlling in endpoints.items():
        wanted = {"id": name, "create": True, "medias": [AUDIO], "sources": [], "capabilities": ["source-names"],
                  "transport": {"ice-controlling": controlling}}
        reply = (_request(bridge, "PATCH", f"/{meeting}", {"endpoints": [wanted]}) if transports else
                 _request(bridge, "POST", "", {"meeting-id": meeting, "create": True, "endpoints": [wanted]}))
        transports[name] = reply["endpoints"][0]["transport"]["transport"]
    return transports


def _answer(bridge, meeting, name, peer):
    _request(bridge, "PATCH", f"/{meeting}", {"endpoints": [
        {"id": name, "transport": {"transport": peer.answer()},
         "sources": [{"type": "audio", "id": f"{name}-a0", "sources": [peer.ssrc]}]}]})


def _addresses(transport, kind):
    return [(c["ip"], int(c["port"])) for c in transport["candidates"] if c["type"] == kind]


@contextlib.contextmanager
def _bridge(options, **environment):
    with Bridge(options.bridge, environment={**ENVIRONMENT, **environment}) as bridge:
        bridge.wait_until_healthy()
        try:
            yield bridge
        except BaseException:
            print("---- end of the log of the bridge:", *bridge.text().splitlines()[-40:], sep="\n", flush=True)
            raise


def _meet_at(options, bridge, networks, address):
    """One peer of either network comes to that address only; they hear each other from there and from nowhere else."""
    near, far = (("fd00:77::2", "fd00:78::2") if ":" in address else ("10.77.0.2", "10.78.0.2"))
    meeting = f"at-{address.replace(':', '-')}"
    with Peer(options, networks[0], near, 1001, False, "SRTP_AEAD_AES_128_GCM") as one, \
            Peer(options, networks[1], far, 2002, True, "SRTP_AES128_CM_SHA1_80") as two:
        peers = {"aaaa1001": one, "bbbb2002": two}
        transports = _create(bridge, meeting, {name: not peer.controlling for name, peer in peers.items()})
        for name, peer in peers.items():
            _answer(bridge, meeting, name, peer)
            candidate = next(c for c in transports[name]["candidates"] if c["ip"] == address)
            peer.connect(transports[name], candidate)
        for event in ("connected", "media"):
            for peer in peers.values():
                peer.wait(event)
        for peer, other, report in [(one, two, one.stop()), (two, one, two.stop())]:
            place = {"ip": address, "port": PORT}
            assert report["selected"]["remote"] == place, report
            assert [source["address"] for source in report["from"]] == [place], report
            assert report["from"][0]["dtls"] > 0 and report["from"][0]["rtp"] >= 25, report
            assert list(report["sources"]) == [str(other.ssrc)], report
            assert report["broken"] == report["refused"] == 0, report
        assert (one.state["profile"], two.state["profile"]) == ("SRTP_AEAD_AES_128_GCM", "SRTP_AES128_CM_SHA1_80")
    _request(bridge, "PATCH", f"/{meeting}", {"expire": True})
    return one.state["received"] + two.state["received"]


def media_comes_back_from_each_address(options, threads="1"):
    with _two_links() as networks, _bridge(options, JVB_MEDIA_THREADS=threads) as bridge:
        transport = _create(bridge, "offer", {"cccc3003": True})["cccc3003"]
        wanted = [(V4_A, PORT), (V4_B, PORT), (V6, PORT)]
        assert sorted(_addresses(transport, "host")) == sorted(wanted), transport
        assert len(transport["candidates"]) == 3, transport
        packets = [_meet_at(options, bridge, networks, address) for address in (V4_A, V4_B, V6)]
        return f"{packets} packets over {[V4_A, V4_B, V6]}"


def media_comes_back_from_each_address_on_two_threads(options):
    return media_comes_back_from_each_address(options, "2")


def _offered_when(options, **environment):
    """Server-reflexive candidates with that environment: (address, port, base, port of the base)."""
    with _bridge(options, **environment) as bridge:
        transport = _create(bridge, "offer", {"cccc3003": True})["cccc3003"]
        assert sorted(_addresses(transport, "host")) == sorted([(V4_A, PORT), (V4_B, PORT), (V6, PORT)]), transport
        found = [c for c in transport["candidates"] if c["type"] == "srflx"]
        hosts = [c for c in transport["candidates"] if c["type"] == "host"]
        assert len(found) + len(hosts) == len(transport["candidates"]), transport
        for candidate in found:
            assert all(int(host["priority"]) > int(candidate["priority"]) for host in hosts), transport
        return [(c["ip"], int(c["port"]), c["rel-addr"], int(c["rel-port"])) for c in found]


def static_mappings_are_offered(options):
    with _two_links():
        old = _offered_when(options, DOCKER_HOST_ADDRESS="203.0.113.5")
        assert old == [("203.0.113.5", PORT, V4_A, PORT)], old
        today = _offered_when(options, JVB_ADVERTISE_IPS="203.0.113.5#20000,203.0.113.6,2001:db8::5#443",
                              DOCKER_HOST_ADDRESS="198.51.100.1")
        assert today == [("203.0.113.5", 20000, V4_A, PORT), ("203.0.113.6", PORT, V4_A, PORT),
                         ("2001:db8::5", 443, V6, PORT)], today
        # An address that an interface has is no mapping.
        own = _offered_when(options, JVB_ADVERTISE_IPS=V4_B)
        assert own == [], own


CASES = [media_comes_back_from_each_address, media_comes_back_from_each_address_on_two_threads,
         static_mappings_are_offered]
