// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Reading and writing of RTCP: compounds, reports, SDES, BYE and feedback (RFC 3550, RFC 4585, RFC 5104, REMB).

import Testing

@testable import RTP

/// Lets `body` write up to `capacity` bytes and returns them; fails when memory behind them was touched.
func writtenRTCP(capacity: Int = 1500, _ body: (inout RTCPWriter) throws -> Void) throws -> [UInt8] {
    var memory = [UInt8](repeating: 0xA5, count: capacity + 2)
    let length = try unsafe withMemory(of: &memory) { base in
        var writer = unsafe RTCPWriter(into: base + 1, capacity: capacity)
        try body(&writer)
        return writer.count
    }
    #expect(length <= capacity && length % 4 == 0)
    #expect(memory.first == 0xA5 && memory[(capacity + 1)...].allSatisfy { $0 == 0xA5 })
    return Array(memory[1..<(1 + length)])
}

/// The packets of a compound; fails when it is not one.
func blocks(of packet: [UInt8]) throws -> [RTCPBlock] {
    var compound = try RTCPCompound(parsing: packet.span)
    var found: [RTCPBlock] = []
    while let block = compound.next() { found.append(block) }
    return found
}

func onlyBlock(of packet: [UInt8]) throws -> RTCPBlock {
    let found = try blocks(of: packet)
    try #require(found.count == 1)
    return found[0]
}

private let one = SSRC(rawValue: 0x0102_0304)
private let two = SSRC(rawValue: 0xA1A2_A3A4)

/// SR with one report block, SDES with CNAME "a@b", BYE of one source.
private let compound = hex(
    """
    81C8000C 01020304 E1E2E3E4 80000000 00015F90 00000064 00002710
             A1A2A3A4 40FFFFFE 00010005 00000007 E3E48000 00008000
    81CA0003 01020304 01036140 62000000
    81CB0001 01020304
    """)

@Suite struct RTCPCompoundTests {
    @Test func walksEveryPacketOfACompound() throws {
        let found = try blocks(of: compound)
        #expect(found.map(\.type) == [.senderReport, .sourceDescription, .bye])
        #expect(found.map(\.range) == [0..<52, 52..<68, 68..<76])
        #expect(found.map(\.body) == [4..<52, 56..<68, 72..<76])
    }

    @Test func acceptsReducedSizeAndUnknownTypes() throws {
        let found = try blocks(of: hex("81CE0002 01020304 A1A2A3A4 80D00000"))
        #expect(found.map(\.type) == [.payloadFeedback, nil])
        #expect(found.map(\.rawType) == [206, 208])
    }

    @Test func everyPacketMayBePadded() throws {
        // Chrome: several padded transport feedback packets in one datagram.
        let found = try blocks(of: hex("A1CE0003 01020304 A1A2A3A4 00000004 81CE0002 01020304 A1A2A3A4"))
        #expect(found.map(\.body) == [4..<12, 20..<28])
        #expect(found.map(\.range) == [0..<16, 16..<28])
    }

    @Test(arguments: [
        ("", ParseError.truncated),
        ("81C9", .truncated),
        ("80C90001 010203", .truncated),
        ("80C90001 01020304 80", .truncated),
        ("80C90001 01020304 81C90001", .truncated),
        ("40C90001 01020304", .badVersion),
        ("80C90001 01020304 00000000", .badVersion),
        ("A0C90000", .malformed("RTCP padding")),
        ("A0C90001 01020300", .malformed("RTCP padding")),
        ("A0C90001 01020305", .malformed("RTCP padding")),
    ])
    func refusesWhatIsNotACompound(_ text: String, _ expected: ParseError) {
        #expect(throws: expected) { try blocks(of: hex(text)) }
    }

    @Test func limitsTheNumberOfPackets() {
        let many = (0..<65).flatMap { _ in hex("80C90001 01020304") }
        #expect(throws: ParseError.limitExceeded("RTCP packets in a compound")) { try blocks(of: many) }
        #expect(throws: Never.self) { try blocks(of: Array(many.dropLast(8))) }
    }
}

@Suite struct RTCPReportTests {
    @Test func readsASenderReportWithItsBlocks() throws {
        let report = try SenderReport(try blocks(of: compound)[0], in: compound.span)
        #expect(report.sender == one)
        #expect(report.ntpTimestamp.rawValue == 0xE1E2_E3E4_8000_0000)
        #expect(report.ntpTimestamp.compact == 0xE3E4_8000)
        #expect(report.rtpTimestamp.rawValue == 90000)
        #expect(report.packetCount == 100)
        #expect(report.octetCount == 10000)
        #expect(report.reports.count == 1)
        let block = try unwrap(report.reports.block(0, in: compound.span))
        #expect(
            block
                == ReportBlock(
                    ssrc: two, fractionLost: 0x40, cumulativeLost: -2, highestSequenceNumber: 0x1_0005, jitter: 7,
                    lastSenderReport: 0xE3E4_8000, delaySinceLastSenderReport: 0x8000))
        #expect(report.reports.block(1, in: compound.span) == nil)
        #expect(report.reports.block(-1, in: compound.span) == nil)
    }

    @Test func refusesMoreBlocksThanBytes() throws {
        let packet = hex("82C90007 01020304 A1A2A3A4 40FFFFFE 00010005 00000007 E3E48000 00008000")
        #expect(throws: ParseError.truncated) { try ReceiverReport(try onlyBlock(of: packet), in: packet.span) }
    }

    @Test func aReaderRefusesAnotherType() throws {
        let block = try blocks(of: compound)[1]
        #expect(throws: ParseError.malformed("RTCP type")) { try SenderReport(block, in: compound.span) }
        #expect(throws: ParseError.malformed("RTCP type")) { try PictureLossIndication(block, in: compound.span) }
    }

    @Test func writtenReceiverReportComesBack() throws {
        let sent = (0..<31).map {
            ReportBlock(
                ssrc: SSRC(rawValue: $0), fractionLost: UInt8($0), cumulativeLost: Int32($0) - 15,
                highestSequenceNumber: $0 << 20, jitter: $0 << 8, lastSenderReport: ~$0,
                delaySinceLastSenderReport: $0 << 16)
        }
        let packet = try writtenRTCP { check($0.receiverReport(sender: one, blocks: sent.span)) }
        let report = try ReceiverReport(try onlyBlock(of: packet), in: packet.span)
        #expect(report.sender == one)
        #expect((0..<31).map { report.reports.block($0, in: packet.span) } == sent)
        #expect(try writtenRTCP { check($0.receiverReport(sender: one)) } == hex("80C90001 01020304"))
    }

    @Test func cumulativeLossIsClampedTo24Bits() throws {
        let sent = [
            ReportBlock(ssrc: one, cumulativeLost: .max), ReportBlock(ssrc: one, cumulativeLost: .min),
        ]
        let packet = try writtenRTCP { check($0.receiverReport(sender: one, blocks: sent.span)) }
        let report = try ReceiverReport(try onlyBlock(of: packet), in: packet.span)
        #expect(report.reports.block(0, in: packet.span)?.cumulativeLost == 0x7F_FFFF)
        #expect(report.reports.block(1, in: packet.span)?.cumulativeLost == -0x80_0000)
    }

    @Test func writtenSenderReportDropsTheBlocks() throws {
        let packet = try writtenRTCP {
            check(
                $0.senderReport(
                    sender: one, ntpTimestamp: NTPTimestamp(rawValue: 0xE1E2_E3E4_8000_0000),
                    rtpTimestamp: RTPTimestamp(rawValue: 90000), packetCount: 100, octetCount: 10000))
        }
        #expect(packet == hex("80C80006") + compound[4..<28])
    }
}

@Suite struct RTCPSourceDescriptionTests {
    private func items(of packet: [UInt8]) throws -> [(SSRC, UInt8, String)] {
        var description = try SourceDescription(try onlyBlock(of: packet), in: packet.span)
        var found: [(SSRC, UInt8, String)] = []
        while let item = description.next(in: packet.span) {
            found.append((item.ssrc, item.type, String(decoding: packet[item.text], as: UTF8.self)))
        }
        return found
    }

    @Test(arguments: ["", "a", "ab", "abc", "abcd", "someone@host"])
    func writtenCanonicalNameComesBack(_ name: String) throws {
        let packet = try writtenRTCP { check($0.sourceDescription(ssrc: two, cname: name)) }
        let found = try items(of: packet)
        #expect(found.count == 1)
        #expect(found[0] == (two, SourceDescription.cname, name))
    }

    @Test func readsSeveralChunksAndItems() throws {
        let found = try items(
            of: hex("82CA0008 01020304 01026162 02016300 A1A2A3A4 08036D6964 000000 11111111 00000000"))
        #expect(found.map(\.0) == [one, one, two])
        #expect(found.map(\.1) == [1, 2, 8])
        #expect(found.map(\.2) == ["ab", "c", "mid"])
    }

    @Test func stopsAtAnItemThatLeavesThePacket() throws {
        #expect(try items(of: hex("81CA0002 01020304 01FF6162")).isEmpty)
        #expect(try items(of: hex("81CA0001 01020304")).isEmpty)
        #expect(try items(of: hex("9FCA0000")).isEmpty)
    }

    @Test func refusesANameThatDoesNotFitItsLength() throws {
        #expect(
            try writtenRTCP { check(!$0.sourceDescription(ssrc: one, cname: String(repeating: "x", count: 256))) }
                .isEmpty)
        #expect(
            try writtenRTCP { check($0.sourceDescription(ssrc: one, cname: String(repeating: "x", count: 255))) }
                .count == 268)
    }

    @Test func byeNamesItsSources() throws {
        let bye = try Bye(try blocks(of: compound)[2], in: compound.span)
        #expect(bye.count == 1)
        #expect(bye.ssrc(0, in: compound.span) == one)
        #expect(bye.ssrc(1, in: compound.span) == nil)
        let packet = try writtenRTCP { check($0.bye([one, two].span)) }
        #expect(packet == hex("82CB0002 01020304 A1A2A3A4"))
        #expect(throws: ParseError.truncated) {
            let short = hex("83CB0002 01020304 A1A2A3A4")
            return try Bye(try onlyBlock(of: short), in: short.span)
        }
    }
}

@Suite struct RTCPFeedbackTests {
    private func lost(in packet: [UInt8]) throws -> [UInt16] {
        var nack = try GenericNACK(try onlyBlock(of: packet), in: packet.span)
        var found: [UInt16] = []
        while let number = nack.next(in: packet.span) { found.append(number.rawValue) }
        return found
    }

    @Test func genericNACKNamesEveryLostPacket() throws {
        let packet = hex("81CD0004 01020304 A1A2A3A4 FFFE8005 00640000")
        #expect(try lost(in: packet) == [0xFFFE, 0xFFFF, 1, 14, 100])
        let nack = try GenericNACK(try onlyBlock(of: packet), in: packet.span)
        #expect(nack.sender == one && nack.media == two && nack.pairCount == 2)
    }

    @Test func genericNACKNeedsAnEntryAndHasALimit() throws {
        #expect(throws: ParseError.truncated) { try lost(in: hex("81CD0002 01020304 A1A2A3A4")) }
        let many = hex("81CD0103 01020304 A1A2A3A4") + [UInt8](repeating: 0, count: 257 * 4)
        #expect(throws: ParseError.limitExceeded("NACK entries")) { try lost(in: many) }
    }

    @Test(arguments: UInt64(0)..<50)
    func writtenNACKComesBackHoweverManyPacketsItTakes(_ seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        var number = SequenceNumber(rawValue: UInt16.random(in: 0...65535, using: &generator))
        var sent: [SequenceNumber] = []
        for _ in 0..<Int.random(in: 1...600, using: &generator) {
            number = number.advanced(
                by: Int.random(in: 1...(Bool.random(using: &generator) ? 3 : 40), using: &generator))
            sent.append(number)
        }
        var found: [UInt16] = []
        var rest = 0
        while rest < sent.count {
            var taken = 0
            let packet = try writtenRTCP(capacity: Int.random(in: 16...200, using: &generator)) { writer in
                taken = writer.nack(sender: one, media: two, lost: sent.span.extracting(rest...))
            }
            try #require(taken > 0)
            found += try lost(in: packet)
            rest += taken
        }
        #expect(found == sent.map(\.rawValue))
    }

    @Test func nackIsPackedIntoAsFewEntriesAsPossible() throws {
        let sent = [10, 11, 26, 27].map { SequenceNumber(rawValue: $0) }
        let packet = try writtenRTCP { check($0.nack(sender: one, media: two, lost: sent.span) == 4) }
        #expect(packet == hex("81CD0004 01020304 A1A2A3A4 000A8001 001B0000"))
        let pairs = [NACKPair(first: sent[0], following: 0x8001), NACKPair(first: sent[3])]
        #expect(try writtenRTCP { check($0.nack(sender: one, media: two, pairs: pairs.span)) } == packet)
        #expect(
            try writtenRTCP { check(!$0.nack(sender: one, media: two, pairs: pairs.span.extracting(..<0))) }.isEmpty)
        #expect(
            try writtenRTCP(capacity: 15) { check($0.nack(sender: one, media: two, lost: sent.span) == 0) }.isEmpty)
    }

    @Test func keyframeRequestsComeBack() throws {
        let pli = try writtenRTCP { check($0.pictureLossIndication(sender: one, media: two)) }
        #expect(pli == hex("81CE0002 01020304 A1A2A3A4"))
        let indication = try PictureLossIndication(try onlyBlock(of: pli), in: pli.span)
        #expect(indication.sender == one && indication.media == two)

        let fir = try writtenRTCP { check($0.fullIntraRequest(sender: one, media: two, commandSequence: 7)) }
        #expect(fir == hex("84CE0004 01020304 00000000 A1A2A3A4 07000000"))
        let request = try FullIntraRequest(try onlyBlock(of: fir), in: fir.span)
        #expect(request.sender == one && request.count == 1)
        #expect(request.entry(0, in: fir.span)?.ssrc == two)
        #expect(request.entry(0, in: fir.span)?.commandSequence == 7)
        #expect(request.entry(1, in: fir.span) == nil)
    }

    @Test func readsAnEstimateForThreeStreams() throws {
        let packet = hex("8FCE0007 01020304 00000000 52454D42 0307FB93 00000001 00000002 00000003")
        let remb = try ReceiverEstimatedMaximumBitrate(try onlyBlock(of: packet), in: packet.span)
        #expect(remb.bitrate == 0x3FB93 * 2)
        #expect((0..<4).map { remb.ssrc($0, in: packet.span)?.rawValue } == [1, 2, 3, nil])
    }

    @Test(arguments: [0, 1, 262143, 262144, 2_500_000, 4_294_967_295, UInt64.max])
    func writtenEstimateKeeps18Bits(_ bitrate: UInt64) throws {
        let packet = try writtenRTCP { check($0.remb(sender: one, bitrate: bitrate, ssrcs: [two].span)) }
        let remb = try ReceiverEstimatedMaximumBitrate(try onlyBlock(of: packet), in: packet.span)
        #expect(remb.bitrate <= bitrate && remb.sender == one)
        #expect(Double(bitrate - remb.bitrate) <= Double(bitrate) / 131072)
        #expect(remb.ssrc(0, in: packet.span) == two)
    }

    @Test func anEstimateBeyond64BitsSaturates() throws {
        let packet = hex("8FCE0004 01020304 00000000 52454D42 00FFFFFF")
        #expect(try ReceiverEstimatedMaximumBitrate(try onlyBlock(of: packet), in: packet.span).bitrate == .max)
        let zero = hex("8FCE0004 01020304 00000000 52454D42 00FC0000")
        #expect(try ReceiverEstimatedMaximumBitrate(try onlyBlock(of: zero), in: zero.span).bitrate == 0)
    }

    @Test func anEstimateMustHoldItsStreamsAndItsName() throws {
        let short = hex("8FCE0005 01020304 00000000 52454D42 0207FB93 00000001")
        #expect(throws: ParseError.truncated) {
            try ReceiverEstimatedMaximumBitrate(try onlyBlock(of: short), in: short.span)
        }
        let other = hex("8FCE0004 01020304 00000000 52454D43 0007FB93")
        #expect(throws: ParseError.malformed("REMB identifier")) {
            try ReceiverEstimatedMaximumBitrate(try onlyBlock(of: other), in: other.span)
        }
    }

    @Test func aPacketThatDoesNotFitIsNotWrittenAtAll() throws {
        let packet = try writtenRTCP(capacity: 22) { writer in
            check(writer.receiverReport(sender: one))
            check(!writer.fullIntraRequest(sender: one, media: two, commandSequence: 1))
            check(writer.pictureLossIndication(sender: one, media: two))
            check(writer.remaining == 2)
            check(!writer.bye([one].span))
        }
        #expect(packet.count == 20)
    }
}

@Suite struct RTCPMutationTests {
    private static let messages = [
        compound,
        hex("A1CE0003 01020304 A1A2A3A4 00000004 81CE0002 01020304 A1A2A3A4"),
        hex("81CD0004 01020304 A1A2A3A4 FFFE8005 00640000"),
        hex("84CE0004 01020304 00000000 A1A2A3A4 07000000"),
        hex("8FCE0007 01020304 00000000 52454D42 0307FB93 00000001 00000002 00000003"),
        hex("82CA0008 01020304 01026162 02016300 A1A2A3A4 08036D6964 000000 11111111 00000000"),
        hex("AFCD0008 01020304 A1A2A3A4 0001000B 5E911000 2009D640 1C0C2C38 00040008 18000001"),
    ]

    /// Reads everything that a block could be.
    private func exhaust(_ block: RTCPBlock, of packet: [UInt8]) {
        let span = packet.span
        if let report = try? SenderReport(block, in: span) {
            for index in 0..<report.reports.count { #expect(report.reports.block(index, in: span) != nil) }
        }
        if let report = try? ReceiverReport(block, in: span) {
            for index in 0..<report.reports.count { #expect(report.reports.block(index, in: span) != nil) }
        }
        if var description = try? SourceDescription(block, in: span) {
            while let item = description.next(in: span) { #expect(item.text.upperBound <= packet.count) }
        }
        if let bye = try? Bye(block, in: span) {
            for index in 0..<bye.count { #expect(bye.ssrc(index, in: span) != nil) }
        }
        if var nack = try? GenericNACK(block, in: span) {
            var count = 0
            while nack.next(in: span) != nil { count += 1 }
            #expect(count >= nack.pairCount && count <= nack.pairCount * 17)
        }
        _ = try? PictureLossIndication(block, in: span)
        if let request = try? FullIntraRequest(block, in: span) {
            for index in 0..<request.count { #expect(request.entry(index, in: span) != nil) }
        }
        if let remb = try? ReceiverEstimatedMaximumBitrate(block, in: span) {
            for index in 0..<remb.count { #expect(remb.ssrc(index, in: span) != nil) }
        }
        if let feedback = try? TransportFeedback(block, in: span) {
            var statuses = feedback.statuses
            var count = 0
            while statuses.next(in: span) != nil { count += 1 }
            #expect(count == feedback.statusCount)
        }
    }

    @Test(arguments: messages)
    func damagedCompoundsNeverTrap(_ message: [UInt8]) {
        forEachMutation(of: message) { mutant in
            guard var compound = try? RTCPCompound(parsing: mutant.span) else { return }
            while let block = compound.next() {
                #expect(block.range.upperBound <= mutant.count)
                exhaust(block, of: mutant)
            }
        }
    }

    @Test(arguments: messages)
    func offsetsOfAnotherPacketNeverTrap(_ message: [UInt8]) throws {
        for block in try blocks(of: message) {
            for length in 0...message.count {
                let shorter = Array(message[..<length])
                exhaust(block, of: shorter)
            }
        }
    }
}
