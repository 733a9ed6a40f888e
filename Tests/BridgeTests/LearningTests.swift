// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Colibri
import RTP
import Testing

@testable import Bridge

/// Encodings whose SSRC is not the signalled one are recognised by the RID of their packets (RFC 8852).
struct LearningTests {
    /// A sender of three encodings with RIDs, which uses other SSRCs than it signalled.
    private static func call() throws -> (bridge: VirtualBridge, sender: VirtualClient, receiver: VirtualClient) {
        let bridge = try VirtualBridge()
        let sender = VirtualClient("s", 1)
        for i in sender.encodings.indices {
            sender.encodings[i].rid = "\(i)"
            sender.encodings[i].sentSSRC = 7_000_000 + UInt32(i)
            sender.encodings[i].elements = [
                (VirtualClient.mid, [UInt8(ascii: "1")]), (VirtualClient.rid, [0x30 + UInt8(i)]),
            ]
        }
        let receiver = VirtualClient("r", 2, encodings: 0)
        try bridge.join(sender)
        try bridge.join(receiver)
        return (bridge, sender, receiver)
    }

    @Test func packetsFindTheirEncodingByRID() throws {
        let (bridge, sender, receiver) = try Self.call()
        bridge.want(receiver, 360)
        bridge.run(.seconds(2))
        let video = receiver.received(sender.videoSSRC)
        #expect(video.count > 60)
        #expect(video.last?.origin?.ssrc == sender.encodings[1].sentSSRC)
        video.expectSeamless()
        #expect(Set(receiver.packets.keys) == [sender.videoSSRC, sender.audioSSRC], "the receiver knows no other SSRC")
    }

    @Test func anSSRCOnceLearntNeedsNoMoreRID() throws {
        let (bridge, sender, receiver) = try Self.call()
        bridge.want(receiver, 180)
        bridge.run(.seconds(1))
        for i in sender.encodings.indices { sender.encodings[i].elements = [] }
        let mark = bridge.now
        bridge.run(.seconds(1))
        #expect(receiver.received(sender.videoSSRC).since(mark).count >= 24)
    }

    @Test func feedbackNamesTheSSRCThatTheSenderUses() throws {
        let (bridge, sender, receiver) = try Self.call()
        bridge.want(receiver, 180)
        bridge.run(.seconds(1))
        var lost: Set<PacketOrigin> = []
        sender.losesUpstream = {
            guard $0.ssrc == sender.encodings[0].sentSSRC, $0.sequence % 8 == 0 else { return false }
            lost.insert($0)
            return true
        }
        bridge.run(.seconds(1))
        bridge.want(receiver, 720)
        bridge.run(.seconds(2))
        #expect(!lost.isEmpty)
        #expect(sender.rtcp.nacks.allSatisfy { $0.media == sender.encodings[0].sentSSRC })
        #expect(!sender.rtcp.nacks.isEmpty)
        #expect(sender.rtcp.keyframeRequests.contains { $0.media == sender.encodings[2].sentSSRC })
        #expect(receiver.received(sender.videoSSRC).last?.origin?.ssrc == sender.encodings[2].sentSSRC)
        #expect(
            Set(sender.rtcp.blocks.map(\.block.ssrc.rawValue))
                == Set([sender.audioSSRC] + sender.encodings.map(\.sentSSRC)))
    }

    @Test func whatWasLearntIsForgottenWithItsSource() throws {
        let (bridge, _, receiver) = try Self.call()
        bridge.want(receiver, 180)
        bridge.run(.seconds(1))
        let other = VirtualClient("o", 3)
        // The source goes; another client's takes its place in the table.
        bridge.modify(EndpointModify(id: "s", sources: []))
        try bridge.join(other)
        let mark = bridge.now
        bridge.run(.seconds(2))
        for packets in receiver.packets.values {
            for packet in packets.since(mark + .milliseconds(30)) {
                #expect(packet.origin.map { $0.ssrc / 1000 } == packet.ssrc / 1000, "a packet on another's stream")
            }
        }
        #expect(receiver.received(other.videoSSRC).count > 30)
        #expect(bridge.drops("unknownSSRC") > 0)
    }

    @Test func aRIDThatNobodySignalledIsDropped() throws {
        let (bridge, sender, receiver) = try Self.call()
        for i in sender.encodings.indices {
            sender.encodings[i].elements = [(VirtualClient.rid, [0x61 + UInt8(i)])]
        }
        bridge.want(receiver, 180)
        bridge.run(.seconds(1))
        #expect(receiver.received(sender.videoSSRC).isEmpty)
        #expect(bridge.drops("unknownSSRC") > 100)
    }

    @Test func aRepairIsFoundByTheRIDThatItRepairs() throws {
        let (bridge, sender, receiver) = try Self.call()
        bridge.want(receiver, 180)
        bridge.run(.seconds(1))
        let last = try #require(receiver.received(sender.videoSSRC).last?.origin)
        let lost = PacketOrigin(ssrc: last.ssrc, sequence: last.sequence + 10)
        sender.answersNACKs = false
        sender.losesUpstream = { $0 == lost }
        bridge.run(.seconds(1))
        let packet = try #require(sender.encodings[0].cache[UInt16(truncatingIfNeeded: lost.sequence)])
        sender.send(
            UInt16(truncatingIfNeeded: lost.sequence).bytes + packet.payload, as: VirtualClient.rtx, ssrc: 8_000_000,
            index: 3,
            timestamp: packet.timestamp, marker: packet.marker,
            elements: [(VirtualClient.repairedRid, [UInt8(ascii: "0")])], origin: nil, bridge.now)
        bridge.run(.milliseconds(50))
        #expect(receiver.received(sender.videoSSRC).contains { $0.origin == lost })
    }
}
