# Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0
"""Two tabs see each other with each codec but VP8, and one who comes late finds a keyframe to start with."""

from bridge import Bridge
from chromium import Browser

OFFERED = "RTCRtpSender.getCapabilities('video').codecs.some(c => c.mimeType.toUpperCase() === 'VIDEO/%s')"
RECEIVED = "RTCRtpReceiver.getCapabilities('video').codecs.some(c => c.mimeType.toUpperCase() === 'VIDEO/%s')"


def vp9(options):
    return carries(options, "VP9")


def vp9_with_spatial_layers(options):
    return carries(options, "VP9", "&svc=L3T3_KEY&height=360")


def av1(options):
    return carries(options, "AV1")


def h264(options):
    return carries(options, "H264")


def carries(options, codec, more=""):
    with Bridge(options.bridge, "demo") as bridge, Browser() as browser:
        bridge.wait_until_healthy()
        url = f"http://127.0.0.1:8080/?room={codec}&codec={codec}&height=180&name="
        if more:
            url = url.replace("&height=180", more)
        first = browser.page(url + "Anna")
        first.wait("window.meeting && meeting.state === 'joined'", 30, "joined")
        if not first.run(f"{OFFERED % codec} && {RECEIVED % codec}"):
            return f"skipped: this Chromium does not offer {codec}"
        second = browser.page(url + "Bert")
        second.wait("window.meeting && meeting.state === 'joined'", 30, "joined")
        tabs = [first, second]
        for tab in tabs:
            tab.wait("meeting.remotes.length === 1 && meeting.remotes[0].framesDecoded > 10", 60, f"video in {codec}")
        late = browser.page(url + "Cleo")
        late.wait("window.meeting && meeting.state === 'joined'", 30, "joined")
        for tab in [late, *tabs]:
            tab.wait("meeting.remotes.length === 2 && meeting.remotes.every(r => r.framesDecoded > 10)", 60,
                     "video of both others, for one who comes late as well")
            before = tab.run("Math.min(...meeting.remotes.map(r => r.framesDecoded))")
            tab.wait(f"meeting.remotes.every(r => r.framesDecoded > {before} + 10)", 30, "frames go on")
            for remote in tab.run("meeting.remotes"):
                assert remote["codec"].upper() == f"VIDEO/{codec}", f"{remote['codec']} in place of {codec}"
            assert tab.run("meeting.errors.length") == 0, tab.run("meeting.errors")
        facts = late.run("meeting.remotes.map(r => `${r.videoHeight}p, ${r.keyFrames} keyframes of ${r.framesDecoded}`)")
        sent = first.run("meeting.local.videos.map(v => v.layers).filter(Boolean).join()")
        return "; ".join(facts) + (f"; sent as {sent}" if sent else "")


CASES = [vp9, vp9_with_spatial_layers, av1, h264]
