# Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0
"""Two tabs of the demo page see and hear each other, then one leaves."""

from bridge import Bridge
from chromium import Browser


def two_tabs_see_and_hear_each_other(options):
    return see_and_hear(options, threads=1)


def two_tabs_see_and_hear_each_other_over_two_shards(options):
    return see_and_hear(options, threads=2)


def see_and_hear(options, threads):
    environment = {"JVB_MEDIA_THREADS": str(threads)}
    with Bridge(options.bridge, "demo", environment=environment) as bridge, Browser() as browser:
        bridge.wait_until_healthy()
        tabs = [browser.page(f"http://127.0.0.1:8080/?room=demo&name={name}") for name in ("Anna", "Bert")]
        for tab in tabs:
            tab.wait("meeting.state === 'joined'", 20, "joined")
            tab.wait("meeting.channelOpen", 20, "bridge channel open over SCTP")
            tab.wait("meeting.remotes.length === 1 && meeting.remotes[0].framesDecoded > 20", 30, "the other's video")
        before = [tab.run("meeting.remotes[0]") for tab in tabs]
        for tab, was in zip(tabs, before):
            tab.wait(f"meeting.remotes[0].framesDecoded > {was['framesDecoded']} + 20", 20, "frames go on")
            tab.wait(f"meeting.remotes[0].totalAudioEnergy > {was['totalAudioEnergy']}", 20, "sound")
            assert tab.run("meeting.remotes[0].videoWidth") >= 320, "the picture has its size"
            assert tab.run("meeting.errors.length") == 0, tab.run("meeting.errors")
        if options.screenshots:
            tabs[0].screenshot(f"{options.screenshots}/demo.png")
        tabs[1].close()
        tabs[0].wait("meeting.remotes.length === 0", 20, "the other's tile goes when it leaves")
        status, seconds = bridge.stop()
        assert status == 143, f"exit status {status} after SIGTERM"
        return f"stopped in {seconds:.1f} s"


def a_second_bridge_on_the_port_refuses_to_start(options):
    with Bridge(options.bridge, "demo") as first:
        first.wait_until_healthy()
        with Bridge(options.bridge, "demo", "--port", "8081", http=8081) as second:
            status = second.process.wait(10)
            lines = [line for line in second.text().splitlines() if "JVB_PORT" in line]
            assert status == 78, f"exit status {status}: {second.text()}"
            assert len(lines) == 1 and "10000" in lines[0], second.text()


CASES = [two_tabs_see_and_hear_each_other, two_tabs_see_and_hear_each_other_over_two_shards,
         a_second_bridge_on_the_port_refuses_to_start]
