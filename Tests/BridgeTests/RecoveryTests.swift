// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Colibri
import RTP
import Testing

@testable import Bridge

/// Loss on either side of the bridge.
struct RecoveryTests {
    private typealias Pair = SwitchingTests.Pair

    private static func pair(_ height: Int = 180) throws -> Pair {
        let pair = try Pair()
        pair.bridge.want(pair.receiver, height)
        pair.bridge.run(.seconds(2))
        return pair
    }

    // MARK: Downstream

    @Test(arguments: [180, 720])
    func aNACKIsAnsweredByTheSamePayloadOnTheRTXStream(height: Int) throws {
        let pair = try Self.pair(height)
        pair.bridge.run(.milliseconds(200))
        let known = pair.video.suffix(12)
        pair.bridge.run(.milliseconds(200))
        let lost = known.map { UInt16(truncatingIfNeeded: $0.index) }
        pair.receiver.nack(pair.sender.videoSSRC, lost)
        pair.bridge.run(.milliseconds(100))
        let again = pair.receiver.retransmissions
        #expect(again.map(\.original) == lost)
        for (packet, original) in zip(again, known) {
            #expect(packet.payload == original.payload)
            #expect(packet.timestamp == original.timestamp)
            #expect(packet.ssrc == pair.sender.encodings[0].rtx, "the RTX stream of the first SIM SSRC")
        }
        #expect(pair.receiver.failures.isEmpty)
        #expect(pair.sender.rtcp.keyframeRequests.allSatisfy { pair.bridge.now - $0.at > .milliseconds(400) })
        #expect(pair.bridge.snapshot().retransmissionsSent == 12)
    }

    @Test func retransmissionsCrossAnEncodingSwitch() throws {
        let pair = try Self.pair(180)
        let old = try #require(pair.video.last)
        pair.bridge.want(pair.receiver, 720)
        pair.bridge.run(.milliseconds(500))
        #expect(pair.stretches == [0, 2])
        pair.receiver.nack(pair.sender.videoSSRC, [UInt16(truncatingIfNeeded: old.index)])
        pair.bridge.run(.milliseconds(100))
        #expect(pair.receiver.retransmissions.map(\.payload) == [old.payload])
    }

    @Test func theFirstRequestIsAnsweredAtOnce() throws {
        let pair = try Pair()
        pair.bridge.delay = .milliseconds(5)
        pair.bridge.want(pair.receiver, 180)
        pair.bridge.run(.seconds(1))
        // The receiver misses a packet as soon as the next one is there; its path is much shorter than 100 ms.
        let lost = try #require(pair.video.last?.index) + 1
        pair.receiver.losesDownstream = { _, sequence in sequence == UInt16(truncatingIfNeeded: lost) }
        for _ in 0..<40 where pair.video.last.map({ $0.index <= lost }) ?? true { pair.bridge.run(.milliseconds(5)) }
        pair.receiver.nack(pair.sender.videoSSRC, [UInt16(truncatingIfNeeded: lost)])
        pair.bridge.run(.milliseconds(15))
        #expect(pair.receiver.retransmissions.map(\.original) == [UInt16(truncatingIfNeeded: lost)])
    }

    @Test func aRequestThatIsRepeatedWithinARoundTripIsAnsweredOnce() throws {
        let pair = try Self.pair()
        let lost = UInt16(truncatingIfNeeded: try #require(pair.video.last?.index))
        pair.bridge.run(.milliseconds(200))
        for _ in 0..<3 { pair.receiver.nack(pair.sender.videoSSRC, [lost]) }
        pair.bridge.run(.milliseconds(100))
        #expect(pair.receiver.retransmissions.count == 1)
    }

    @Test func aPacketThatIsGoneIsAnsweredByAKeyframe() throws {
        let pair = try Self.pair()
        let old = UInt16(truncatingIfNeeded: try #require(pair.video.last?.index))
        pair.bridge.run(.seconds(3))
        let mark = pair.bridge.now
        pair.receiver.nack(pair.sender.videoSSRC, [old])
        pair.bridge.run(.milliseconds(300))
        #expect(pair.receiver.retransmissions.isEmpty)
        #expect(
            pair.sender.rtcp.keyframeRequests.filter { $0.at >= mark }.map(\.media) == [pair.sender.encodings[0].ssrc])
        #expect(pair.video.since(mark).contains { $0.descriptor?.isKeyframe == true })
        #expect(pair.bridge.drops["nackUnanswered"] == 1)
    }

    @Test func aRetransmissionKeepsItsPayloadThoughItsMemoryIsTakenAgain() throws {
        let pair = try Self.pair()
        pair.sender.sendsVideo = false
        // More than the ring holds, so that each further packet pushes one out.
        for _ in 0..<1030 { pair.sender.sendFrame(0, pair.bridge.now) }
        pair.bridge.run(.milliseconds(100))
        #expect(pair.video.count > 1000)
        let old = try #require(pair.video.dropLast(1000).last)
        // One batch: the request first, then so many packets that the memory of the old one is needed.
        pair.receiver.nack(pair.sender.videoSSRC, [UInt16(truncatingIfNeeded: old.index)])
        for _ in 0..<400 { pair.sender.sendFrame(0, pair.bridge.now) }
        let batch =
            pair.receiver.outgoing.map { (VirtualBridge.path(of: pair.receiver), $0) }
            + pair.sender.outgoing.map { (VirtualBridge.path(of: pair.sender), $0) }
        pair.receiver.outgoing = []
        pair.sender.outgoing = []
        pair.bridge.receive(batch)
        pair.bridge.run(.milliseconds(100))
        #expect(pair.receiver.retransmissions.map(\.payload) == [old.payload])
        #expect(pair.receiver.failures.isEmpty)
    }

    @Test func senselessRequestsDoNoHarm() throws {
        let pair = try Self.pair()
        let mark = pair.bridge.now
        for ssrc in [pair.sender.audioSSRC, pair.sender.encodings[0].rtx, pair.sender.encodings[2].ssrc, 0, 77] {
            pair.receiver.nack(ssrc, (0..<200).map { UInt16($0) })
        }
        pair.sender.nack(pair.sender.videoSSRC, [1, 2, 3])
        pair.bridge.run(.seconds(1))
        #expect(pair.receiver.retransmissions.isEmpty)
        pair.video.expectSeamless()
        #expect(pair.video.since(mark).count >= 24)
    }

    @Test func theRoundTripIsLearntFromReceiverReports() throws {
        let pair = try Self.pair()
        let endpoint = try #require(pair.bridge.endpoint(pair.receiver))
        for _ in 0..<60 {
            pair.bridge.run(.milliseconds(730))
            guard let report = pair.receiver.rtcp.senderReports.last(where: { $0.ssrc == pair.sender.videoSSRC }) else {
                continue
            }
            var block = ReportBlock(ssrc: SSRC(rawValue: report.ssrc))
            block.lastSenderReport = report.ntp.compact
            block.delaySinceLastSenderReport = UInt32(
                (pair.bridge.now - report.at).nanoseconds * 65_536 / 1_000_000_000)
            let blocks = [block]
            pair.receiver.sendRTCP { $0.receiverReport(sender: SSRC(rawValue: 1), blocks: blocks.span) }
        }
        #expect(
            (18...32).contains(endpoint.roundTrip.milliseconds),
            "two delays of 10 ms, not \(endpoint.roundTrip.milliseconds)")
    }

    // MARK: Upstream

    @Test func aPacketLostBeforeTheBridgeIsAskedForAndForwardedInItsPlace() throws {
        let pair = try Self.pair()
        var lost = Set<PacketOrigin>()
        pair.sender.losesUpstream = {
            guard $0.sequence % 10 == 3, $0.ssrc != pair.sender.audioSSRC else { return false }
            lost.insert($0)
            return true
        }
        pair.bridge.run(.seconds(3))
        pair.sender.losesUpstream = { _ in false }
        pair.bridge.run(.seconds(1))
        #expect(lost.count > 15)
        let asked = Set(
            pair.sender.rtcp.nacks.flatMap { nack in
                nack.lost.map { PacketOrigin(ssrc: nack.media, sequence: UInt32($0)) }
            })
        #expect(asked == Set(lost.map { PacketOrigin(ssrc: $0.ssrc, sequence: $0.sequence & 0xFFFF) }))
        // All came, the lost ones late, each with the number that was kept for it.
        pair.video.sorted { $0.index < $1.index }.map { packet in
            var packet = packet
            packet.at = pair.bridge.now
            return packet
        }.expectSeamlessButForTime()
        let got = Set(pair.video.compactMap(\.origin))
        let missed = lost.filter { $0.ssrc == pair.sender.videoSSRC && !got.contains($0) }
        #expect(missed.isEmpty)
        #expect(pair.receiver.failures.isEmpty)
        #expect(pair.bridge.drops.isEmpty)
    }

    @Test func whatTheBridgeItselfMissesIsNoReasonForAKeyframe() throws {
        let pair = try Self.pair()
        let next = try #require(pair.video.last?.origin?.sequence) + 20
        pair.sender.answersNACKs = false
        pair.sender.losesUpstream = { $0.ssrc == pair.sender.videoSSRC && $0.sequence == next }
        pair.bridge.run(.seconds(1))
        let numbers = pair.video.map(\.index)
        let hole = try #require(zip(numbers, numbers.dropFirst()).first { $1 == $0 + 2 }).0 + 1
        let mark = pair.bridge.now
        pair.receiver.nack(pair.sender.videoSSRC, [UInt16(truncatingIfNeeded: hole)])
        pair.bridge.run(.milliseconds(300))
        #expect(
            pair.sender.rtcp.keyframeRequests.filter { $0.at >= mark }.isEmpty,
            "the receiver will ask when it needs one")
    }

    @Test func aLossIsAskedForAboutOncePerRoundTripAndNotForEver() throws {
        let pair = try Self.pair()
        pair.sender.answersNACKs = false
        let next = try #require(pair.video.last?.origin?.sequence) + 5
        pair.sender.losesUpstream = { $0.ssrc == pair.sender.videoSSRC && $0.sequence == next }
        pair.bridge.run(.seconds(3))
        #expect(pair.sender.rtcp.nacks.count == 10)
        #expect(pair.sender.rtcp.nacks.allSatisfy { $0.lost == [UInt16(truncatingIfNeeded: next)] })
    }

    @Test func aLongOutageOfTheSenderEndsWithAKeyframe() throws {
        let pair = try Self.pair(720)
        pair.sender.losesUpstream = { $0.ssrc != pair.sender.audioSSRC }
        pair.bridge.run(.seconds(8))
        pair.sender.losesUpstream = { _ in false }
        let mark = pair.bridge.now
        pair.bridge.run(.seconds(2))
        #expect(pair.sender.rtcp.keyframeRequests.contains { $0.at >= mark })
        #expect(pair.video.since(mark + .seconds(1)).count > 24)
        #expect(pair.receiver.failures.isEmpty)
    }

    @Test func lostAudioIsNotAskedFor() throws {
        let pair = try Self.pair()
        pair.sender.losesUpstream = { $0.ssrc == pair.sender.audioSSRC && $0.sequence % 5 == 0 }
        pair.bridge.run(.seconds(1))
        #expect(pair.sender.rtcp.nacks.isEmpty)
        let heard = pair.receiver.received(pair.sender.audioSSRC)
        #expect(heard.contains { $0.origin.map { $0.sequence % 5 == 4 } ?? false })
        let holes = zip(heard, heard.dropFirst()).filter { $1.index == $0.index + 2 }.count
        #expect((9...11).contains(holes), "the listener sees the loss where it was")
    }
}

extension [ReceivedPacket] {
    /// As `expectSeamless`, for packets that were put into order after they arrived.
    func expectSeamlessButForTime(sourceLocation: SourceLocation = #_sourceLocation) {
        for (a, b) in zip(self, dropFirst()) {
            #expect(b.index == a.index + 1, sourceLocation: sourceLocation)
            let ticks = Int32(bitPattern: b.timestamp &- a.timestamp)
            #expect(ticks >= 0 && ticks <= 40 * 90 * 2, sourceLocation: sourceLocation)
            guard let before = a.descriptor?.pictureID, let after = b.descriptor?.pictureID else { continue }
            #expect((after &- before) & 0x7FFF == (ticks == 0 ? 0 : 1), sourceLocation: sourceLocation)
        }
    }
}
