// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Bridge
import Colibri
import DTLS
import RTP
import Testing

/// What ends by itself: endpoints without a sign of life, conferences without endpoints.
struct ExpiryTests {
    private typealias Call = CallTests.Call

    @Test func anEndpointThatFallsSilentExpiresAfterAMinute() throws {
        let call = try Call()
        call.bridge.run(.seconds(1))
        call.bridge.forget(call.c)
        call.bridge.run(.seconds(59))
        #expect(call.bridge.snapshot().endpoints == 3)
        call.bridge.run(.seconds(2))
        #expect(call.bridge.snapshot().endpoints == 2)
        #expect(call.bridge.isLogged("endpoint expired"))
        let update = call.bridge.modify(EndpointModify(id: "c", sources: []))
        #expect(throws: ColibriError.unknownEndpoint("c")) { try update.get() }
        #expect(call.b.received(call.a.audioSSRC).since(call.bridge.now - .seconds(1)).count > 45, "the others go on")
    }

    @Test func anEndpointThatNeverConnectsExpiresAfterTwoMinutes() throws {
        let bridge = try VirtualBridge()
        bridge.modify(VirtualClient("a", 1).endpoint(), create: true)
        bridge.run(.seconds(119))
        #expect(bridge.snapshot().endpoints == 1)
        bridge.run(.seconds(2))
        #expect(bridge.snapshot().endpoints == 0)
        #expect(bridge.snapshot().conferences == 0, "with its last endpoint the conference goes")
    }

    @Test func aConferenceWithoutEndpointsExpiresAfterTwentySeconds() throws {
        let bridge = try VirtualBridge()
        bridge.modify(ConferenceModify(meetingID: "empty", create: true))
        bridge.run(.seconds(19))
        #expect(bridge.snapshot().conferences == 1)
        #expect(bridge.shard.deadline != nil, "somebody must call again")
        bridge.run(.seconds(2))
        #expect(bridge.snapshot().conferences == 0)
        #expect(bridge.shard.deadline == nil)
        #expect(bridge.snapshot().conferencesCompleted == 1)
    }

    @Test func aConferenceWhoseLastEndpointLeavesEndsAtOnce() throws {
        let call = try Call()
        for client in call.all { call.bridge.leave(client) }
        #expect(call.bridge.snapshot().conferences == 0)
        #expect(call.bridge.shard.deadline == nil)
    }

    @Test func nothingIsDueWhileThereIsNothing() throws {
        let bridge = try VirtualBridge()
        #expect(bridge.shard.deadline == nil)
        bridge.run(.seconds(1))
        #expect(bridge.shard.deadline == nil)
    }

    @Test func whoIsSilentForEightSecondsIsReportedAndComesBack() throws {
        let call = try Call()
        call.bridge.run(.seconds(1))
        func quiet(_ isQuiet: Bool) {
            call.c.audioLevel = isQuiet ? nil : 30
            call.c.sendsVideo = !isQuiet
            call.c.sendsReports = !isQuiet
        }
        quiet(true)
        call.bridge.run(.seconds(7))
        let before = call.bridge.messages(call.a, "EndpointConnectivityStatusChangeEvent")
        #expect(before.isEmpty)
        call.bridge.run(.seconds(2))
        let told = call.bridge.messages(call.a, "EndpointConnectivityStatusChangeEvent")
        #expect(told.map { $0["endpoint"]?.string } == ["c"])
        #expect(told.last?["active"]?.string == "false", "a string, as clients expect")
        quiet(false)
        call.bridge.run(.seconds(1))
        #expect(
            call.bridge.messages(call.a, "EndpointConnectivityStatusChangeEvent").map { $0["active"]?.string }
                == ["false", "true"])
        #expect(
            call.bridge.messages(call.c, "EndpointConnectivityStatusChangeEvent").map { $0["endpoint"]?.string }
                == ["c", "c"], "the client itself is told as well")
    }

    @Test func aClientWithoutMediaStaysAsLongAsItsPathAnswers() throws {
        let bridge = try VirtualBridge()
        let client = VirtualClient("a", 1)
        client.audioLevel = nil
        client.sendsVideo = false
        client.sendsReports = false
        let live = try bridge.connect(client)
        bridge.run(.seconds(90))
        #expect(live.dtls.state == .connected)
        #expect(bridge.snapshot().endpoints == 1)
        live.isAlive = false
        bridge.run(.seconds(75))
        #expect(bridge.snapshot().endpoints == 0)
    }
}
