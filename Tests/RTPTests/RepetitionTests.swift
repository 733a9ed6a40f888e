// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// RTX (RFC 4588) and RED (RFC 2198) payloads.

import Testing

@testable import RTP

@Suite struct RetransmissionTests {
    @Test func originalNumberComesFirst() {
        #expect(Retransmission.originalSequenceNumber(of: hex("FFFE AA").span)?.rawValue == 0xFFFE)
        #expect(Retransmission.originalSequenceNumber(of: hex("0001").span)?.rawValue == 1)
    }

    @Test(arguments: ["", "FF"])
    func paddingHasNoOriginal(_ payload: String) {
        #expect(Retransmission.originalSequenceNumber(of: hex(payload).span) == nil)
    }

    @Test func writtenNumberComesBack() throws {
        var payload: [UInt8] = [0, 0, 7]
        try unsafe withMemory(of: &payload) {
            unsafe Retransmission.write(
                original: SequenceNumber(rawValue: 0x1234), to: $0)
        }
        #expect(payload == hex("123407"))
    }
}

@Suite struct RedundantAudioTests {
    /// Opus 111: 1920 ticks old, 3 bytes; 960 ticks old, 2 bytes; primary.
    private let three = hex("EF1E0003 EF0F0002 6F AAAAAA BBBB CCCCCCCC")

    private func blocks(of payload: [UInt8]) throws -> [RedundantBlock] {
        var walk = try RedundantAudio(parsing: payload.span)
        var found: [RedundantBlock] = []
        while let block = walk.next(in: payload.span) { found.append(block) }
        #expect(found.count == walk.count)
        return found
    }

    @Test func walksFromTheOldestToThePrimary() throws {
        let found = try blocks(of: three)
        #expect(found.map(\.payloadType.rawValue) == [111, 111, 111])
        #expect(found.map(\.timestampOffset) == [1920, 960, 0])
        #expect(found.map(\.isPrimary) == [false, false, true])
        #expect(found.map { Array(three[$0.range]) } == [hex("AAAAAA"), hex("BBBB"), hex("CCCCCCCC")])
    }

    @Test func aPrimaryMayStandAloneOrBeEmpty() throws {
        #expect(try blocks(of: hex("6F AA")).map(\.range) == [1..<2])
        #expect(try blocks(of: hex("6F")).map(\.range) == [1..<1])
        #expect(try blocks(of: hex("EF0F0001 6F BB")).map(\.range) == [5..<6, 6..<6])
    }

    @Test(arguments: [
        ("", ParseError.truncated), ("EF1E00", .truncated), ("EF1E0003", .truncated), ("EF1E0003 6F AAAA", .truncated),
        (String(repeating: "EF000000", count: 16) + "6F", .limitExceeded("RED blocks")),
    ])
    func refusesWhatDoesNotAddUp(_ text: String, _ expected: ParseError) {
        #expect(throws: expected) { try blocks(of: hex(text)) }
    }

    @Test func damagedPayloadsNeverTrap() {
        forEachMutation(of: three) { mutant in
            guard let found = try? blocks(of: mutant) else { return }
            for block in found { #expect(block.range.upperBound <= mutant.count) }
            #expect(found.last?.isPrimary == true)
        }
    }
}
