# Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0
"""Meetings of real browsers through the bridge, signalled by a focus over Prosody."""

import time

import colibri
from deployment import Deployment
from meeting import Meeting

WEB_SOCKET = {"ENABLE_COLIBRI_WEBSOCKET": "1", "JVB_WS_DOMAIN": "127.0.0.1:9090", "JVB_WS_TLS": "0",
              "JVB_WS_SERVER_ID": "bridge-1"}
# kb/s that a page sends at least, enough for 720 lines: not every case shall depend on how well a busy machine keeps
# time, which is what bandwidth estimates are made of. One case does without.
FLOOR = 2000


def _received(participant, others, kind):
    """Function of a report: the statistics of what the others send of that kind; None until all are there."""
    names = [other.names[kind] for other in others]
    return lambda report: ([report["received"][name] for name in names]
                           if all(name in report["received"] for name in names) else None)


def _everybody_sees_and_hears(people, seconds=40, height=720):
    """Everybody decodes every other's picture in that height (None: any), goes on decoding, hears every other, and has
    a channel."""
    before = {}
    for me in people:
        others = [p for p in people if p is not me]
        video, audio = (_received(me, others, kind) for kind in ("video", "audio"))
        me.wait("connected, with a bridge channel", 20, lambda r: r["state"] == "connected" and r["channel"] == "open")
        before[me] = me.wait(
            f"pictures of {height or 'any'} lines and sound of all others", seconds,
            lambda r: video(r) and audio(r) and all(v["frames"] and v["frames"] > 10 and _has_height(v, height)
                                                    for v in video(r)) and all(a["energy"] for a in audio(r)))
    for me in people:
        _goes_on(me, [p for p in people if p is not me], before[me])
        assert not me.report()["errors"], me.report()["errors"]


def _has_height(video, height):
    return video["height"] in ([height] if height else [180, 360, 720]) and video["width"] == video["height"] * 16 // 9


def _goes_on(me, others, before=None, seconds=15, frames=10):
    """Frames and sound of all others still come."""
    video, audio = (_received(me, others, kind) for kind in ("video", "audio"))
    before = before or me.report()
    me.wait("frames and sound go on", seconds, lambda r: all(
        now["frames"] >= was["frames"] + frames for now, was in zip(video(r), video(before))) and all(
        now["energy"] > was["energy"] for now, was in zip(audio(r), audio(before))))


def _three_people(meeting, deployment):
    with meeting:
        anna = meeting.join()
        bert, cleo = meeting.join(2)
        people = [anna, bert, cleo]
        _everybody_sees_and_hears(people)

        # One wants small pictures: only that one gets them.
        videos = _received(anna, [bert, cleo], "video")
        anna.page.run("participant.watch(180)")
        small = anna.wait("pictures of 180 lines", 20, lambda r: all(
            (v["width"], v["height"]) == (320, 180) for v in videos(r)))
        _goes_on(anna, [bert, cleo], small)
        bert.wait("still pictures of 720 lines", 40, lambda r: all(
            v["height"] == 720 for v in _received(bert, [anna, cleo], "video")(r)))
        assert all(v["height"] == 180 for v in videos(anna.report())), anna.report()
        # Nobody wants Bert's large picture any more: he is told so, and large again when one does.
        cleo.page.run("participant.watch(180)")
        bert.wait("told that 180 lines are enough", 20, lambda r: r["told"] == 180)
        for person in (anna, cleo):
            person.page.run("participant.watch(720)")
        bert.wait("told that 720 lines are wanted", 20, lambda r: r["told"] == 720)
        anna.wait("pictures of 720 lines again", 40, lambda r: all(
            (v["width"], v["height"]) == (1280, 720) for v in videos(r)))

        # What one says on the channel reaches the others, with the bridge's word on who it was.
        anna.page.run("participant.say({colibriClass: 'EndpointMessage', to: '', from: 'nobody', msgPayload: 'hello'})")
        for person in (bert, cleo):
            person.page.wait("participant.messages.some(m => m.colibriClass === 'EndpointMessage' && "
                             f"m.msgPayload === 'hello' && m.from === '{anna.endpoint}')", 10, "the message")

        # Muted by a moderator: nothing passes the bridge although the page sends on.
        meeting.modify(colibri.force_mute(meeting.id, bert.endpoint, audio=True))
        time.sleep(0.5)
        name = bert.names["audio"]
        quiet = anna.report()["received"][name]["packets"]
        time.sleep(1.5)
        assert anna.report()["received"][name]["packets"] == quiet, "a muted microphone is heard"
        meeting.modify(colibri.force_mute(meeting.id, bert.endpoint))
        anna.wait("sound after the end of the mute", 10, lambda r: r["received"][name]["packets"] > quiet + 10)

        meeting.leave(cleo)
        _goes_on(anna, [bert])
        _goes_on(bert, [anna])
        deployment.check_health()
        losses = sum(v["lost"] for p in (anna, bert) for v in p.report()["received"].values())
        return f"in the brewery after {deployment.joined_after:.1f} s, {losses} packets lost"


def three_people_over_sctp(options, threads="1", floor=None):
    with Deployment(options, JVB_MEDIA_THREADS=threads) as deployment:
        return _three_people(Meeting(deployment, floor=floor), deployment)


def three_people_over_websocket(options, threads="1"):
    """The way of older deployments: no data channels at all, Jicofo of 2022, the bridge is the DTLS client."""
    with Deployment(options, JVB_MEDIA_THREADS=threads, ENABLE_SCTP="0", **WEB_SOCKET) as deployment:
        return _three_people(
            Meeting(deployment, "websocket", setup="active", kind="get", floor=FLOOR), deployment)


def three_people_over_sctp_on_two_threads(options):
    return three_people_over_sctp(options, "2", FLOOR)


def three_people_over_websocket_on_two_threads(options):
    return three_people_over_websocket(options, "2")


def the_xmpp_server_is_restarted(options):
    """Media does not stop, the bridge comes back and still knows the meeting."""
    with Deployment(options, health_interval=2) as deployment, Meeting(deployment, floor=FLOOR) as meeting:
        people = meeting.join(2)
        _everybody_sees_and_hears(people, height=None)
        deployment.check_health()
        checked = len(deployment.focus.health)
        deployment.prosody.stop()
        end = time.monotonic() + 6
        while time.monotonic() < end:
            for me, other in (people, people[::-1]):
                _goes_on(me, [other], frames=5)
        deployment.prosody.start()
        back = deployment.focus.wait_for_bridge(deployment.NICKNAME, 15)
        assert deployment.ask(colibri.health_check(), "get").get("type") == "result"
        # The meeting has outlived the server: a third one joins it.
        people.append(meeting.join())
        _everybody_sees_and_hears(people, height=None)
        statistics = deployment.focus.bridges[deployment.NICKNAME]
        assert int(statistics["total_conferences_created"]) == 1, statistics
        deadline = time.monotonic() + 10
        while len(deployment.focus.health) <= checked:
            assert time.monotonic() < deadline, "no health check after the restart"
            time.sleep(0.1)
        assert deployment.focus.health[-1][2] is None, deployment.focus.health
        assert "connection lost" in deployment.bridge.text()
        return f"back {back:.1f} s after the server"


CASES = [three_people_over_sctp, three_people_over_websocket, three_people_over_sctp_on_two_threads,
         three_people_over_websocket_on_two_threads, the_xmpp_server_is_restarted]
