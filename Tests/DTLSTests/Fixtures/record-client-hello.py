#!/usr/bin/env python3
# Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0
"""Records the first DTLS flight of a real Chromium: the datagrams of its ClientHello, one line of hex each.

A headless page makes an offer; this script answers as an ICE-lite, DTLS-passive peer on a UDP socket of the loopback
interface, answers STUN checks, and writes down what comes until the flight is complete. Needs only the standard library
and Chromium. Usage: record-client-hello.py > chromium-client-hello.hex
"""
import hashlib, hmac, json, os, queue, shutil, socket, struct, subprocess, sys, tempfile, threading, time, zlib

UFRAG, PWD = "jvbd", "0123456789abcdefghijklmn"
COOKIE = 0x2112A442

PAGE = """(async () => {
  const pc = window.pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
  pc.addTransceiver('audio', { direction: 'recvonly' });
  pc.createDataChannel('JVB data channel', { protocol: 'http://jitsi.org/protocols/colibri' });
  await pc.setLocalDescription();
  return pc.localDescription.sdp;
})()"""


class Chromium:
    """Chromium over --remote-debugging-pipe: JSON ended by NUL on descriptors 3 and 4."""

    def __init__(self):
        self.profile = tempfile.mkdtemp(prefix="record-client-hello.")
        to_r, self.w = os.pipe()
        self.r, from_w = os.pipe()

        def descriptors():
            os.dup2(to_r, 13), os.dup2(from_w, 14)
            os.dup2(13, 3), os.dup2(14, 4)
            os.close(13), os.close(14)

        self.process = subprocess.Popen(
            [os.environ.get("CHROMIUM", "chromium"), "--headless=new", "--no-sandbox", "--disable-gpu",
             "--remote-debugging-pipe", "--user-data-dir=" + self.profile, "--no-first-run", "--disable-sync",
             "--disable-extensions", "--disable-background-networking", "--disable-component-update",
             "--disable-dev-shm-usage", "--allow-loopback-in-peer-connection",
             "--disable-features=WebRtcHideLocalIpsWithMdns", "about:blank"],
            preexec_fn=descriptors, close_fds=False, start_new_session=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_r), os.close(from_w)
        self.last, self.replies = 0, {}
        threading.Thread(target=self._read, daemon=True).start()
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def _read(self):
        rest = b""
        while data := os.read(self.r, 65536):
            *messages, rest = (rest + data).split(b"\0")
            for message in map(json.loads, messages):
                if message.get("id") in self.replies:
                    self.replies.pop(message["id"]).put(message)

    def call(self, method, session=None, **parameters):
        self.last += 1
        message = {"id": self.last, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        reply = self.replies[self.last] = queue.Queue()
        os.write(self.w, json.dumps(message).encode() + b"\0")
        answer = reply.get(timeout=30)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["result"]

    def evaluate(self, expression):
        result = self.call("Runtime.evaluate", self.session, expression=expression, awaitPromise=True,
                           returnByValue=True)
        if "exceptionDetails" in result:
            raise RuntimeError(json.dumps(result["exceptionDetails"]))
        return result["result"].get("value")

    def close(self):
        try:
            self.call("Browser.close")
            self.process.wait(10)
        except Exception:
            os.killpg(self.process.pid, 9)  # its own session: this Chromium and its children
        shutil.rmtree(self.profile, ignore_errors=True)


def attribute(sdp, name):
    return next(line.split(":", 1)[1] for line in sdp.splitlines() if line.startswith("a=%s:" % name))


def answer(port, fingerprint, setup="passive"):
    """SDP answer of an ICE-lite peer on 127.0.0.1:port."""
    session = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE 0 1", "a=ice-lite"]
    common = ["c=IN IP4 127.0.0.1", "a=ice-ufrag:" + UFRAG, "a=ice-pwd:" + PWD, "a=fingerprint:" + fingerprint,
              "a=setup:" + setup, "a=candidate:1 1 udp 2130706431 127.0.0.1 %d typ host" % port, "a=end-of-candidates"]
    audio = ["m=audio 9 UDP/TLS/RTP/SAVPF 111", *common, "a=mid:0", "a=sendonly", "a=rtcp-mux",
             "a=rtpmap:111 opus/48000/2"]
    data = ["m=application 9 UDP/DTLS/SCTP webrtc-datachannel", *common, "a=mid:1", "a=sctp-port:5000"]
    return "\r\n".join(session + audio + data) + "\r\n"


def stun_response(request, address):
    """Success response to a Binding request, with XOR-MAPPED-ADDRESS, MESSAGE-INTEGRITY and FINGERPRINT (RFC 8489)."""
    ip = struct.unpack("!I", socket.inet_aton(address[0]))[0]
    body = struct.pack("!HHBBHI", 0x0020, 8, 0, 1, address[1] ^ COOKIE >> 16, ip ^ COOKIE)
    head = lambda length: struct.pack("!HHI", 0x0101, length, COOKIE) + request[8:20]
    mac = hmac.new(PWD.encode(), head(len(body) + 24) + body, hashlib.sha1).digest()
    body += struct.pack("!HH", 0x0008, 20) + mac
    crc = zlib.crc32(head(len(body) + 8) + body) ^ 0x5354554E
    return head(len(body) + 8) + body + struct.pack("!HHI", 0x8028, 4, crc)


def is_binding_request(datagram):
    return len(datagram) >= 20 and datagram[:2] == b"\0\1" and struct.unpack("!I", datagram[4:8])[0] == COOKIE


def handshake_fragments(datagram):
    """(message sequence, message length, offset, fragment length) of a datagram's plaintext handshake records."""
    at = 0
    while at + 25 <= len(datagram) and datagram[at] == 22:
        record = int.from_bytes(datagram[at + 11:at + 13], "big")
        h = datagram[at + 13:at + 25]
        yield tuple(int.from_bytes(h[a:b], "big") for a, b in ((4, 6), (1, 4), (6, 9), (9, 12)))
        at += 13 + record


def main():
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))
    udp.settimeout(20)
    chromium = Chromium()
    try:
        chromium.evaluate(PAGE)
        # Nobody will check this fingerprint: the recording ends before there is a certificate.
        sdp = answer(udp.getsockname()[1], "sha-256 " + ":".join(["00"] * 32))
        chromium.evaluate("pc.setRemoteDescription({ type: 'answer', sdp: %s })" % json.dumps(sdp))
        flight, covered, length = [], 0, None
        while length is None or covered < length:
            datagram, peer = udp.recvfrom(2048)
            if is_binding_request(datagram):
                udp.sendto(stun_response(datagram, peer), peer)
            elif 20 <= datagram[0] <= 63:
                flight.append(datagram)
                for _, length, _, fragment in handshake_fragments(datagram):
                    covered += fragment
    finally:
        chromium.close()
    for datagram in flight:
        print(datagram.hex())


if __name__ == "__main__":
    main()
