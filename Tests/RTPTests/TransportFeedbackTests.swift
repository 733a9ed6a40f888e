// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Transport-wide feedback, read and written (draft-holmer-rmcat-transport-wide-cc-extensions-01).

import Testing

@testable import RTP

private let sender = SSRC(rawValue: 1)
private let media = SSRC(rawValue: 2)

private func statuses(in packet: [UInt8]) throws -> (TransportFeedback, [PacketStatus]) {
    let feedback = try TransportFeedback(try onlyBlock(of: packet), in: packet.span)
    var walk = feedback.statuses
    var found: [PacketStatus] = []
    while let status = walk.next(in: packet.span) { found.append(status) }
    return (feedback, found)
}

private func arrival(_ number: UInt16, _ ticks: UInt64) -> PacketArrival {
    PacketArrival(sequenceNumber: SequenceNumber(rawValue: number), time: Instant(nanoseconds: ticks * 250_000))
}

@Suite struct TransportFeedbackReadingTests {
    @Test func readsARunOfSmallDeltas() throws {
        let (feedback, found) = try statuses(
            in: hex("AFCD0007 00000001 00000002 FFFE0009 5E911007 2009 1C0C2C380004000818 01"))
        #expect(feedback.sender == sender && feedback.media == media)
        #expect(feedback.baseSequenceNumber.rawValue == 0xFFFE)
        #expect(feedback.statusCount == 9)
        #expect(feedback.referenceTime == 0x5E9110)
        #expect(feedback.feedbackCount == 7)
        #expect(found.map(\.sequenceNumber.rawValue) == [0xFFFE, 0xFFFF, 0, 1, 2, 3, 4, 5, 6])
        #expect(found.map(\.delta) == [28, 12, 44, 56, 0, 4, 0, 8, 24])
    }

    @Test func readsVectorsOfBothKindsAndNegativeDeltas() throws {
        // One bit: 0 1 1 1 1 1 0 0 0 1 1 1 0 0; two bits: 0 0 1 1 2 0 0, of which only five count.
        let (_, found) = try statuses(
            in: hex("8FCD0008 00000001 00000002 00000013 00000000 9F1C C160 0102030405060708 0910 FF38"))
        let expected: [Int?] = [
            nil, 1, 2, 3, 4, 5, nil, nil, nil, 6, 7, 8, nil, nil, nil, nil, 9, 16, -200,
        ]
        #expect(found.map(\.delta) == expected)
    }

    @Test func receivedPacketsCanBeHadWithoutTheLostOnes() throws {
        // 8000 lost, then two received.
        let packet = hex("AFCD0006 00000001 00000002 FFF01F42 00000000 1F40 2002 0102 0002")
        let (feedback, found) = try statuses(in: packet)
        #expect(found.count == 8002)
        var walk = feedback.statuses
        let first = walk.nextReceived(in: packet.span)
        #expect(first?.sequenceNumber.rawValue == 0xFFF0 &+ 8000)
        #expect(first?.delta == 1)
        #expect(walk.nextReceived(in: packet.span)?.delta == 2)
        #expect(walk.nextReceived(in: packet.span) == nil)
    }

    @Test(arguments: [
        ("8FCD0005 00000001 00000002 00000000 00000000 00000000", ParseError.malformed("empty transport feedback")),
        ("8FCD0005 00000001 00000002 00004001 00000000 00000000", .limitExceeded("transport feedback statuses")),
        ("8FCD0004 00000001 00000002 00000001 00000000", .truncated),
        ("8FCD0005 00000001 00000002 00000003 00000000 20030101", .truncated),
        ("8FCD0005 00000001 00000002 00000002 00000000 40020101", .truncated),
        ("8FCD0005 00000001 00000002 00000002 00000000 00000000", .truncated),
        ("8FCD0005 00000001 00000002 00000001 00000000 60010000", .malformed("transport feedback symbol")),
        ("8FCD0005 00000001 00000002 00000002 00000000 DC000000", .malformed("transport feedback symbol")),
        ("8FCD0003 00000001 00000002 00000002", .truncated),
    ])
    func refusesFeedbackThatContradictsItself(_ text: String, _ expected: ParseError) {
        #expect(throws: expected) { try statuses(in: hex(text)) }
    }

    @Test func symbolsBehindTheLastPacketDoNotCount() throws {
        // The vector's later symbols would be "reserved" and need deltas that are not there.
        let (_, found) = try statuses(in: hex("8FCD0005 00000001 00000002 00000001 00000000 D7FF0A00"))
        #expect(found.map(\.delta) == [10])
    }
}

@Suite struct TransportFeedbackWritingTests {
    @Test func writesTheSmallestMessage() throws {
        let packet = try writtenRTCP {
            let taken = $0.transportFeedback(
                sender: sender, media: media, base: SequenceNumber(rawValue: 7), feedbackCount: 3,
                arrivals: [arrival(7, 256 * 5 + 9)].span)
            #expect(taken == 1)
        }
        #expect(packet == hex("AFCD0005 00000001 00000002 00070001 00000503 2001 09 01"))
    }

    @Test func choosesTheChunkThatHoldsMost() throws {
        func chunks(_ arrivals: [PacketArrival]) throws -> [UInt8] {
            let packet = try writtenRTCP {
                let taken = $0.transportFeedback(
                    sender: sender, media: media, base: SequenceNumber(rawValue: 0), feedbackCount: 0,
                    arrivals: arrivals.span)
                #expect(taken == arrivals.count)
            }
            let feedback = try TransportFeedback(try onlyBlock(of: packet), in: packet.span)
            return Array(packet[feedback.chunksStart..<feedback.deltasStart])
        }
        // A run of 20; alternating; 2 large among small; a long gap.
        #expect(try chunks((0..<20).map { arrival($0, UInt64($0)) }) == hex("2014"))
        #expect(try chunks((0..<7).map { arrival($0 * 2, UInt64($0)) }) == hex("AAAA"))
        #expect(try chunks([arrival(0, 0), arrival(1, 300), arrival(2, 301)]) == hex("D900"))
        #expect(try chunks([arrival(0, 0), arrival(10000, 1)]) == hex("A000 1FFF 0703 2001"))
    }

    @Test func splitsWhereADeltaDoesNotFit() throws {
        let arrivals = [arrival(1, 0), arrival(2, 32767), arrival(3, 65535), arrival(4, 32767)]
        var taken = 0
        _ = try writtenRTCP {
            taken = $0.transportFeedback(
                sender: sender, media: media, base: SequenceNumber(rawValue: 1), feedbackCount: 0,
                arrivals: arrivals.span)
        }
        #expect(taken == 2)
        let packet = try writtenRTCP {
            taken = $0.transportFeedback(
                sender: sender, media: media, base: SequenceNumber(rawValue: 3), feedbackCount: 1,
                arrivals: arrivals.span.extracting(2...))
        }
        #expect(taken == 2)
        #expect(try statuses(in: packet).1.map(\.delta) == [255, -32768])
    }

    @Test func takesNothingWhenItCannot() throws {
        let one = [arrival(5, 0)]
        func taken(base: UInt16, capacity: Int = 100, maximum: Int = 1200, _ arrivals: [PacketArrival]) throws -> Int {
            var taken = -1
            let packet = try writtenRTCP(capacity: capacity) {
                taken = $0.transportFeedback(
                    sender: sender, media: media, base: SequenceNumber(rawValue: base), feedbackCount: 0,
                    arrivals: arrivals.span, maximumLength: maximum)
            }
            #expect(packet.isEmpty == (taken == 0))
            return taken
        }
        #expect(try taken(base: 5, one) == 1)
        #expect(try taken(base: 5, []) == 0)
        #expect(try taken(base: 6, one) == 0)
        #expect(try taken(base: 5, capacity: 23, one) == 0)
        #expect(try taken(base: 5, capacity: 24, one) == 1)
        #expect(try taken(base: 5, maximum: 23, one) == 0)
        #expect(try taken(base: 5 &- 16384, one) == 0)
        #expect(try taken(base: 5 &- 16383, one) == 1)
        #expect(try taken(base: 5, [arrival(6, 0), arrival(6, 1)]) == 1)
    }

    /// Random arrivals with loss, reordering in time, pauses and wrapping numbers, in as many messages as they need:
    /// what is read back is what was written, to 250 us.
    @Test(arguments: UInt64(0)..<300)
    func anyArrivalsComeBack(_ seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let firstNumber = UInt16.random(in: 0...65535, using: &generator)
        let lossPercent = [0, 1, 10, 50, 95].randomElement(using: &generator) ?? 0
        let stepMicroseconds = [0, 100, 3000, 70000, 200000].randomElement(using: &generator) ?? 0
        let jitter = [0, 500, 50000].randomElement(using: &generator) ?? 0
        var clock = UInt64.random(in: 0...(1 << 50), using: &generator) + 100_000_000
        var arrivals: [PacketArrival] = []
        var number = firstNumber
        for _ in 0..<Int.random(in: 1...1500, using: &generator) {
            clock += UInt64(Int.random(in: 0...stepMicroseconds, using: &generator)) * 1000
            switch Int.random(in: 0..<1000, using: &generator) {
            case 0: clock += UInt64.random(in: 0...20, using: &generator) * 1_000_000_000
            case 1: number &+= UInt16.random(in: 0...12000, using: &generator)
            default: break
            }
            if Int.random(in: 0..<100, using: &generator) >= lossPercent {
                let time = clock - UInt64(Int.random(in: 0...jitter, using: &generator)) * 1000
                arrivals.append(
                    PacketArrival(
                        sequenceNumber: SequenceNumber(rawValue: number), time: Instant(nanoseconds: time)))
            }
            number &+= 1
        }
        try #require(!arrivals.isEmpty || lossPercent > 0)

        let limit = Int.random(in: 24...1200, using: &generator)
        var base = SequenceNumber(rawValue: firstNumber)
        var rest = 0
        var messages = 0
        while rest < arrivals.count {
            var taken = 0
            let packet = try writtenRTCP(capacity: limit) {
                taken = $0.transportFeedback(
                    sender: sender, media: media, base: base, feedbackCount: UInt8(truncatingIfNeeded: messages),
                    arrivals: arrivals.span.extracting(rest...))
            }
            if taken == 0 {
                // Only a base too far off stops a message, and only because of what lies between.
                try #require(base != arrivals[rest].sequenceNumber)
                base = arrivals[rest].sequenceNumber
                continue
            }
            try expect(packet, from: base, carries: arrivals[rest..<(rest + taken)], as: messages)
            rest += taken
            base = arrivals[rest - 1].sequenceNumber.advanced(by: 1)
            messages += 1
        }
    }

    private func expect(
        _ packet: [UInt8], from base: SequenceNumber, carries arrivals: ArraySlice<PacketArrival>, as message: Int
    ) throws {
        let (feedback, found) = try statuses(in: packet)
        #expect(feedback.baseSequenceNumber == base)
        #expect(Int(feedback.feedbackCount) == message & 255)
        #expect(found.first?.sequenceNumber == base)
        let received = found.filter { $0.delta != nil }
        #expect(received.map(\.sequenceNumber) == arrivals.map(\.sequenceNumber))
        #expect(found.last?.sequenceNumber == arrivals.last?.sequenceNumber)
        // The reference time has 24 bits of 64 ms, so times are compared modulo that.
        var ticks = Int64(feedback.referenceTime) << 8
        for (status, arrival) in zip(received, arrivals) {
            ticks += Int64(status.delta ?? 0)
            let expected = Int64(arrival.time.nanoseconds / 250_000)
            #expect((ticks - expected) & 0xFFFF_FFFF == 0)
        }
        var walk = feedback.statuses
        var skipped: [PacketStatus] = []
        while let status = walk.nextReceived(in: packet.span) { skipped.append(status) }
        #expect(skipped == received)
    }
}
