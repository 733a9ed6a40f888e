// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Bridge
import Colibri
import DTLS
import RTP
import SRTP
import Testing

/// No SRTP index is used for two packets, whatever comes and goes: the client's own SRTP is the judge.
struct IndexTests {
    private typealias Call = CallTests.Call

    /// Everybody's SRTP took every packet, and each stream is one unbroken row of numbers.
    private static func expectOneRow(_ receiver: VirtualClient, sourceLocation: SourceLocation = #_sourceLocation) {
        #expect(receiver.failures.isEmpty, sourceLocation: sourceLocation)
        for (ssrc, packets) in receiver.packets {
            for (a, b) in zip(packets, packets.dropFirst()) {
                #expect(b.index == a.index + 1, "\(ssrc)", sourceLocation: sourceLocation)
            }
        }
    }

    @Test(arguments: ProtectionProfile.allCases)
    func aSourceThatIsRemovedAndAddedAgainGoesOnWhereItStood(profile: ProtectionProfile) throws {
        let call = try Call(profile)
        call.bridge.want(call.b, 180)
        for _ in 0..<4 {
            call.bridge.run(.seconds(1))
            call.bridge.modify(EndpointModify(id: "a", sources: []))
            let removed = call.bridge.now + .milliseconds(20)
            call.bridge.run(.milliseconds(300))
            #expect(call.b.received(call.a.videoSSRC).since(removed).isEmpty)
            #expect(call.b.received(call.a.audioSSRC).since(removed).isEmpty)
            call.bridge.modify(EndpointModify(id: "a", sources: call.a.sources))
        }
        call.bridge.run(.seconds(1))
        #expect(call.b.received(call.a.audioSSRC).count > 200)
        #expect(call.b.received(call.a.videoSSRC).count > 100)
        Self.expectOneRow(call.b)
        call.expectClean(except: ["unknownSSRC"])
    }

    @Test func anEndpointThatIsCreatedAgainGoesOnWhereItsStreamsStood() throws {
        let call = try Call()
        call.bridge.want(call.b, 180)
        for round in 1...3 {
            call.bridge.run(.seconds(1))
            call.bridge.leave(call.a)
            call.bridge.run(.milliseconds(100))
            // The same SSRCs from a client that starts anew, as after a reload that kept its sources.
            let again = VirtualClient("a", 1)
            try call.bridge.join(again, seed: UInt64(round))
            call.bridge.run(.seconds(1))
            #expect(again.failures.isEmpty)
            call.bridge.leave(again)
            call.bridge.run(.milliseconds(100))
            try call.bridge.join(call.a, seed: UInt64(round) + 100)
        }
        call.bridge.run(.seconds(1))
        #expect(call.b.received(call.a.audioSSRC).count > 300)
        #expect(call.b.received(call.a.videoSSRC).count > 100)
        Self.expectOneRow(call.b)
    }

    @Test func sourcesThatMoveBetweenPlacesKeepTheirNumbers() throws {
        let call = try Call()
        for client in call.all { call.bridge.want(client, 360) }
        call.bridge.run(.seconds(1))
        // All sources go; they come back in another order, into each other's places in the conference's table.
        for client in call.all { call.bridge.modify(EndpointModify(id: client.id, sources: [])) }
        for client in call.all.reversed() {
            call.bridge.modify(EndpointModify(id: client.id, sources: Array(client.sources.reversed())))
        }
        call.bridge.run(.seconds(2))
        for client in call.all {
            Self.expectOneRow(client)
            for other in call.all where other !== client {
                #expect(
                    client.received(other.videoSSRC).allSatisfy {
                        $0.origin.map { $0.ssrc / 1000 } == other.audioSSRC / 1000
                    })
                #expect(client.received(other.videoSSRC).since(call.bridge.now - .seconds(1)).count > 20)
            }
        }
    }

    @Test func aSourceSignalledAgainInAnotherOrderIsTheSame() throws {
        let call = try Call()
        call.bridge.want(call.b, 180)
        call.bridge.run(.seconds(2))
        let keyframes = call.a.encodings[0].keyframes
        let shuffled = call.a.sources.reversed().map { source in
            MediaSource(
                kind: source.kind, name: source.name, sources: source.sources.reversed(),
                groups: source.groups.reversed())
        }
        call.bridge.modify(EndpointModify(id: "a", sources: shuffled))
        call.bridge.run(.seconds(1))
        #expect(call.a.encodings[0].keyframes == keyframes, "nothing to start again")
        call.b.received(call.a.videoSSRC).expectSeamless()
        call.b.received(call.a.audioSSRC).expectSeamless()
    }

    @Test func aRetransmissionStreamThatIsSignalledLaterIsUsed() throws {
        let call = try Call()
        let full = call.a.sources
        var bare = full
        bare[1].groups.removeAll { $0.semantics == .retransmission }
        bare[1].sources.removeAll { source in call.a.encodings.contains { $0.rtx == source.ssrc.rawValue } }
        call.bridge.modify(EndpointModify(id: "a", sources: bare))
        call.bridge.want(call.b, 180)
        call.bridge.run(.seconds(1))
        call.bridge.modify(EndpointModify(id: "a", sources: full))
        call.bridge.run(.seconds(1))
        let lost = try #require(call.b.received(call.a.videoSSRC).last)
        call.bridge.run(.milliseconds(200))
        call.b.nack(call.a.videoSSRC, [UInt16(truncatingIfNeeded: lost.index)])
        call.bridge.run(.milliseconds(100))
        #expect(call.b.retransmissions.map(\.payload) == [lost.payload])
        #expect(call.b.retransmissions.map(\.ssrc) == [call.a.encodings[0].rtx])
        Self.expectOneRow(call.b)
    }

    @Test func aStreamStartsFarFromItsRollover() throws {
        let call = try Call()
        call.bridge.want(call.b, 720)
        call.bridge.run(.seconds(2))
        let ssrc = call.a.videoSSRC
        let start = try #require(call.b.received(ssrc).first?.index)
        #expect(start < 0x8000, "a receiver that misses the first packets must not mistake the rollover")
        Self.expectOneRow(call.b)
    }

    // MARK: SSRCs that belong to others

    @Test func anSSRCOfAnotherEndpointCannotBeTaken() throws {
        let call = try Call()
        call.bridge.want(call.c, 180)
        call.bridge.run(.seconds(1))
        let thief = VirtualClient("t", 9, encodings: 0)
        try call.bridge.join(thief)
        let stolen = MediaSource(
            kind: .audio, name: "t-a0", sources: [SSRCDescription(ssrc: SSRC(rawValue: call.a.audioSSRC))])
        call.bridge.modify(EndpointModify(id: "t", sources: [stolen]))
        thief.send(
            [1, 2, 3], as: VirtualClient.opus, ssrc: call.a.audioSSRC, index: 5, timestamp: 1, marker: false,
            elements: [],
            origin: nil, call.bridge.now)
        let mark = call.bridge.now
        call.bridge.run(.seconds(1))
        let heard = call.c.received(call.a.audioSSRC).since(mark)
        #expect(heard.count >= 45)
        #expect(heard.allSatisfy { $0.origin?.ssrc == call.a.audioSSRC })
        #expect(call.bridge.isLogged("source ignored: its SSRC belongs to another one"))
    }
}
