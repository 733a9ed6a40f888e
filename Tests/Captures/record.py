#!/usr/bin/env python3
# Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0
"""Records what Chromium sends to jvbd, codec by codec, with JVB_DEBUG_RTP_DUMP; writes the files next to this one and
README.md, which tells what is in each."""

import argparse
import glob
import os
import shutil
import struct
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "EndToEnd"))
sys.dont_write_bytecode = True

from bridge import Bridge  # noqa: E402
from chromium import Browser  # noqa: E402
from run import isolate  # noqa: E402

# Name, codec, further parameters of the page. The picture has 320x180 where layers do not need more: Chromium gives none
# to a smaller picture, and three only to one of 1280x720.
RECORDINGS = [
    ("vp8-simulcast", "VP8", {"simulcast": 1, "height": 720, "fps": 5}),
    ("vp8-simulcast-dd", "VP8", {"simulcast": 1, "height": 720, "fps": 5, "dd": 1}),
    ("vp9-svc", "VP9", {"svc": "L3T3_KEY", "height": 720, "fps": 5}),
    ("av1", "AV1", {"svc": "L1T3", "height": 180}),
    ("av1-svc", "AV1", {"svc": "L2T2_KEY", "height": 360, "fps": 10}),
    ("h264", "H264", {"height": 180}),
]
SECONDS = 5
LIMIT = 2_000_000
AUDIO_TYPE = 111
RTX_TYPES = {96, 97, 42, 99}
# Retransmissions kept of each SSRC: nearly all of them are probes of the bandwidth.
RTX_LIMIT = 40
FILE_HEADER = struct.Struct("!IIIHH")
PACKET_HEADER = struct.Struct("!HHI")


# All layers at once, without a minute of careful probing first.
START_FAST = r"""
const apply = RTCPeerConnection.prototype.setRemoteDescription;
RTCPeerConnection.prototype.setRemoteDescription = function ({ type, sdp }) {
    return apply.call(this, { type, sdp: sdp.replace(/^a=rtpmap:(\d+) (VP8|VP9|AV1|H264)\/90000\r\n/gm,
        '$&a=fmtp:$1 x-google-start-bitrate=2000;x-google-max-bitrate=2500\r\n') });
};
"""


# What a decoder does that has lost its way, for a recording in which nothing gets lost.
ASK_FOR_KEYFRAME = r"""
(() => {
    const code = `onrtctransform = e => {
        e.transformer.readable.pipeTo(e.transformer.writable);
        e.transformer.sendKeyFrameRequest().catch(e => console.error(e.message));
    };`;
    const worker = new Worker(URL.createObjectURL(new Blob([code])));
    for (const { receiver } of pc.getTransceivers().filter(t => slots[t.mid]?.source && slots[t.mid].kind === 'video')) {
        receiver.transform = new RTCRtpScriptTransform(worker);
    }
})()
"""


def record(options, name, codec, parameters, folder):
    """One sender and one receiver who comes a moment later, so that the recording has a request for a keyframe; the
    files of the two, in this order."""
    environment = {"JVB_DEBUG_RTP_DUMP": folder, "JVB_MEDIA_THREADS": "1"}
    with Bridge(options.bridge, "demo", environment=environment) as bridge, Browser(parameters.get("fps", 15)) as browser:
        bridge.wait_until_healthy()
        url = f"http://127.0.0.1:8080/?room={name}"
        query = "".join(f"&{key}={value}" for key, value in {"codec": codec, **parameters}.items())
        sender = browser.page("about:blank")
        sender.call("Page.addScriptToEvaluateOnNewDocument", source=START_FAST)
        sender.call("Page.navigate", url=f"{url}{query}&name=sender")
        sender.wait("window.meeting && meeting.state === 'joined'", 60, "joined")
        if not sender.run(f"RTCRtpSender.getCapabilities('video').codecs.some(c => c.mimeType === 'video/{codec}')"):
            return None
        receiver = browser.page(f"{url}&codec={codec}&audio=0&video=0&name=receiver")
        receiver.wait("window.meeting && meeting.state === 'joined'", 60, "joined")
        receiver.wait("meeting.remotes.length === 1 && meeting.remotes[0].framesDecoded > 3", 60, f"video in {codec}")
        receiver.run(ASK_FOR_KEYFRAME)
        time.sleep(SECONDS)
        used = receiver.run("meeting.remotes[0].codec")
        assert used == f"video/{codec}", f"{used} in place of {codec}"
        print(f"{name}: {sender.run('meeting.local.videos')}", flush=True)
        ids = [tab.run("meeting.endpointId") for tab in (sender, receiver)]
        errors = sender.run("meeting.errors") + receiver.run("meeting.errors")
        assert not errors, errors
        bridge.stop()
    return [glob.glob(os.path.join(folder, f"*-{id}-*.rtpdump"))[0] for id in ids]


def packets(data):
    """Milliseconds since 1970 (since 0 in a trimmed file), whether it is RTCP, and bytes of each packet."""
    position = data.index(b"\n") + 1
    seconds, microseconds, *_ = FILE_HEADER.unpack_from(data, position)
    position += FILE_HEADER.size
    while position < len(data):
        length, plain, offset = PACKET_HEADER.unpack_from(data, position)
        yield seconds * 1000 + microseconds // 1000 + offset, plain == 0, data[position + PACKET_HEADER.size:position + length]
        position += length


def window(data):
    """From shortly before the first packet of video, for a few seconds."""
    first = min(at for at, is_rtcp, packet in packets(data) if not is_rtcp and packet[1] & 0x7F != AUDIO_TYPE)
    return first - 200, first + SECONDS * 1000


def trim(data, begin, end):
    """The packets of a time window, which starts at 0; so the time of day of the recording is not told."""
    out = [data[:data.index(b"\n") + 1], FILE_HEADER.pack(0, 0, 0, 0, 0)]
    retransmissions = {}
    for at, is_rtcp, packet in packets(data):
        if not is_rtcp and packet[1] & 0x7F in RTX_TYPES:
            ssrc = packet[8:12]
            retransmissions[ssrc] = retransmissions.get(ssrc, 0) + 1
            if retransmissions[ssrc] > RTX_LIMIT:
                continue
        if begin <= at < end:
            out += [PACKET_HEADER.pack(len(packet) + PACKET_HEADER.size, 0 if is_rtcp else len(packet), at - begin), packet]
    return b"".join(out)


def elements(packet):
    """The ids of the header extension elements (RFC 8285)."""
    if not packet[0] & 0x10:
        return
    start = 12 + (packet[0] & 15) * 4
    profile, words = struct.unpack_from("!HH", packet, start)
    position, end = start + 4, start + 4 + words * 4
    while position < end:
        if packet[position] == 0:
            position += 1
        elif profile == 0xBEDE:
            yield packet[position] >> 4
            position += 2 + (packet[position] & 15)
        else:
            yield packet[position]
            position += 2 + packet[position + 1]


def describe(data):
    """Rows of the README: one for each SSRC and one for RTCP."""
    streams, rtcp = {}, {}
    for _, is_rtcp, packet in packets(data):
        if is_rtcp:
            position = 0
            while position + 4 <= len(packet):
                first, kind, words = struct.unpack_from("!BBH", packet, position)
                key = f"{kind}/{first & 31}" if kind in (205, 206) else str(kind)
                rtcp[key] = rtcp.get(key, 0) + 1
                position += 4 + words * 4
            rtcp["packets"] = rtcp.get("packets", 0) + 1
            continue
        stream = streams.setdefault((packet[1] & 0x7F, struct.unpack_from("!I", packet, 8)[0]), [0, 0, set()])
        stream[0] += 1
        stream[1] += len(packet)
        stream[2].update(elements(packet))
    for (kind, ssrc), (count, size, ids) in sorted(streams.items()):
        yield f"payload type {kind}", ssrc, count, size, ", ".join(map(str, sorted(ids)))
    if rtcp:
        count = rtcp.pop("packets")
        parts = ", ".join(f"{v} of {k}" for k, v in sorted(rtcp.items()))
        yield f"RTCP compounds with {parts}", "", count, "", ""


README = """\
# Captures

What Chromium sends to jvbd, decrypted, in the file format of rtptools (rtpdump): five seconds of Opus (a beep each second)
and video of Chromium's fake camera, from the first packet of video on. Tests decode them and damage them. Made by

    python3 Tests/Captures/record.py --bridge .build/release/jvbd

`NAME.rtpdump` is one who sends, `NAME-receiver.rtpdump` the RTCP of one who only watches; both have the same zero, which is
not the time of day. Of each SSRC's retransmissions, nearly all of them probes, the first 40 are kept. Payload types and
ids are those of Jicofo: 111 Opus, 100 and 96 VP8 and its RTX, 101 and 97 VP9, 41 and 42 AV1, 107 and 99 H.264; extension 1
audio level, 3 absolute send time, 5 transport-wide sequence number, 11 dependency descriptor. `-dd`: with a dependency
descriptor Chromium leaves picture ids and layers out of the VP8 descriptor.

| file | bytes | what | SSRC | packets | bytes of RTP | extension ids |
|---|---|---|---|---|---|---|
"""


def write_readme():
    lines = [README]
    for path in sorted(glob.glob(os.path.join(HERE, "*.rtpdump"))):
        with open(path, "rb") as file:
            data = file.read()
        first = (f"`{os.path.basename(path)}`", str(len(data)))
        for row in describe(data):
            lines.append("| " + " | ".join(map(str, (*first, *row))) + " |\n")
            first = ("", "")
    with open(os.path.join(HERE, "README.md"), "w") as file:
        file.write("".join(lines))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bridge", required=True, help="the jvbd to record with")
    parser.add_argument("--only", default="", help="record only files whose name contains this")
    options = parser.parse_args()
    options.bridge = os.path.abspath(options.bridge)
    isolate()
    for name, codec, parameters in RECORDINGS:
        if options.only not in name:
            continue
        folder = tempfile.mkdtemp(prefix="jvbd-captures.")
        try:
            files = record(options, name, codec, parameters, folder)
            if files is None:
                print(f"{name}: left out, this Chromium does not offer {codec}", flush=True)
                continue
            recorded = []
            for file in files:
                with open(file, "rb") as source:
                    recorded.append(source.read())
            times = window(recorded[0])
            for data, suffix in zip(recorded, ("", "-receiver")):
                data = trim(data, *times)
                with open(os.path.join(HERE, f"{name}{suffix}.rtpdump"), "wb") as target:
                    target.write(data)
                print(f"{name}{suffix}: {len(data)} bytes", flush=True)
        finally:
            shutil.rmtree(folder)
    write_readme()
    total = sum(os.path.getsize(path) for path in glob.glob(os.path.join(HERE, "*.rtpdump")))
    print(f"{total} bytes in all", flush=True)
    return 0 if total <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
