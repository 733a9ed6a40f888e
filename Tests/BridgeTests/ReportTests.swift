// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Bridge
import Colibri
import RTP
import Testing

/// What senders learn of their packets, and receivers of the senders' clocks.
struct ReportTests {
    private typealias Pair = SwitchingTests.Pair

    @Test func receiverReportsTellLossJitterAndTheDelaySinceTheReport() throws {
        let pair = try Pair()
        pair.bridge.run(.seconds(3))
        pair.sender.losesUpstream = { $0.ssrc == pair.sender.audioSSRC && $0.sequence % 4 == 0 }
        pair.bridge.run(.seconds(3))
        let last = try #require(
            pair.sender.rtcp.blocks.last { $0.block.ssrc.rawValue == pair.sender.audioSSRC })
        #expect((60...68).contains(last.block.fractionLost), "a quarter is lost, not \(last.block.fractionLost)/256")
        #expect((28...38).contains(last.block.cumulativeLost))
        #expect(last.block.jitter < 48 * 5, "the only jitter is the step of the simulation")
        // The client's first number is 65001, 300 packets later it has not wrapped yet.
        #expect((65_270...65_301).contains(last.block.highestSequenceNumber))
        // What the sender computes from LSR and DLSR is the round trip (RFC 3550 section 6.4.1).
        let arrival = NTPTimestamp(unixNanoseconds: 1_700_000_000_000_000_000 + last.at.nanoseconds).compact
        let roundTrip = arrival &- last.block.lastSenderReport &- last.block.delaySinceLastSenderReport
        let milliseconds = Int64(roundTrip) * 1000 / 65_536
        #expect((18...32).contains(milliseconds), "two delays of 10 ms, not \(milliseconds) ms")
    }

    @Test func theNumbersOfAReportGoOnOverTheWrap() throws {
        let pair = try Pair()
        pair.bridge.run(.seconds(14))
        let last = try #require(pair.sender.rtcp.blocks.last { $0.block.ssrc.rawValue == pair.sender.audioSSRC })
        #expect(last.block.highestSequenceNumber >> 16 == 1)
        #expect(last.block.cumulativeLost == 0)
        pair.receiver.received(pair.sender.audioSSRC).expectSeamless()
    }

    @Test func everyActiveStreamIsReportedAndNoOther() throws {
        let pair = try Pair()
        pair.sender.encodings[2].isOn = false
        pair.bridge.run(.seconds(3))
        let reported = Set(pair.sender.rtcp.blocks.map(\.block.ssrc.rawValue))
        #expect(reported == [pair.sender.audioSSRC, pair.sender.encodings[0].ssrc, pair.sender.encodings[1].ssrc])
        #expect(
            Set(pair.receiver.rtcp.blocks.map(\.block.ssrc.rawValue)) == [pair.receiver.audioSSRC])
    }

    @Test func transportFeedbackTellsWhichPacketsCameAndWhen() throws {
        let pair = try Pair()
        pair.sender.losesUpstream = { $0.sequence % 7 == 0 }
        pair.bridge.run(.seconds(2))
        let messages = pair.sender.rtcp.feedback
        #expect(messages.count > 20)
        for (a, b) in zip(messages, messages.dropFirst()) { #expect(b.count == a.count &+ 1, "feedback count") }
        var seen: [UInt16: Int?] = [:]
        for status in messages.flatMap(\.statuses) {
            #expect(seen[status.number] == nil, "\(status.number) is told twice")
            seen[status.number] = .some(status.ticks)
        }
        let sent = pair.sender.sentTransportSequences
        #expect(seen.count > sent.count * 9 / 10)
        for (number, ticks) in seen {
            let (at, isLost) = try #require(sent[number])
            #expect((ticks == nil) == isLost, "packet \(number)")
            guard let ticks else { continue }
            let arrival = at + pair.bridge.delay
            // An answer to a NACK leaves with the next step of 5 ms.
            let late = ticks - Int(arrival.nanoseconds / 250_000) & 0xFFFF_FFFF
            #expect(late == 0 || late == 20, "arrival of \(number)")
        }
    }

    @Test func noFeedbackGoesToThoseWhoSendNothing() throws {
        let pair = try Pair()
        pair.receiver.audioLevel = nil
        pair.bridge.run(.seconds(1))
        #expect(pair.receiver.rtcp.feedback.isEmpty)
        #expect(pair.receiver.rtcp.blocks.isEmpty)
        #expect(pair.receiver.rtcp.nacks.isEmpty)
    }

    @Test func senderReportsArriveInTheReceiversNumbers() throws {
        let pair = try Pair()
        for height in [180, 720] {
            pair.bridge.want(pair.receiver, height)
            pair.bridge.run(.seconds(3))
        }
        let reports = pair.receiver.rtcp.senderReports
        let video = reports.filter { $0.ssrc == pair.sender.videoSSRC }
        let audio = reports.filter { $0.ssrc == pair.sender.audioSSRC }
        #expect((4...7).contains(video.count))
        #expect((5...7).contains(audio.count))
        #expect(Set(reports.map(\.ssrc)) == [pair.sender.videoSSRC, pair.sender.audioSSRC])
        // A report names the timestamp of a moment: on the receiver's stream that is the picture sent then.
        for report in video {
            let near = pair.video.min { abs(($0.at - report.at).milliseconds) < abs(($1.at - report.at).milliseconds) }
            let picture = try #require(near)
            let ticks = Int32(bitPattern: report.timestamp &- picture.timestamp)
            #expect(abs(ticks) <= 60 * 90, "\(ticks) ticks from the picture of that moment")
        }
        for report in audio {
            #expect(
                VirtualClient.audioTimestamp(report.at) &- report.timestamp == 20 * 48,
                "audio keeps the sender's timestamps")
        }
        let last = try #require(video.last)
        let before = pair.video.filter { $0.at <= last.at }
        #expect(abs(Int(last.packets) - before.count) <= 8)
        #expect(abs(Int(last.octets) - before.map(\.payload.count).reduce(0, +)) <= 8 * 600)
    }

    @Test func aBrokenPartOfACompoundDoesNotTakeTheRestWithIt() throws {
        let pair = try Pair()
        pair.bridge.want(pair.receiver, 180)
        pair.bridge.run(.seconds(2))
        let mark = pair.bridge.now
        // A receiver report that claims five blocks and has none, then a PLI.
        let broken: [UInt8] = [0x85, 201, 0, 1] + UInt32(1).bytes
        let request: [UInt8] = [0x81, 206, 0, 2] + UInt32(1).bytes + pair.sender.videoSSRC.bytes
        pair.receiver.outgoing.append(try #require(pair.receiver.srtp?.sealRTCP(broken + request)))
        pair.bridge.run(.milliseconds(300))
        #expect(pair.bridge.drops["rtcpMalformed"] == 1)
        #expect(pair.sender.rtcp.keyframeRequests.contains { $0.at >= mark })
    }
}
