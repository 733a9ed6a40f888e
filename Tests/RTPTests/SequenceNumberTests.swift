// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Wrapping and unwrapping of sequence numbers (RFC 3550 section 5.1, RFC 3711 section 3.3.1).

import Testing

@testable import RTP

@Suite struct SequenceNumberTests {
    @Test(arguments: [
        (0, 65535, 1), (65535, 0, -1), (5, 5, 0), (0, 32769, 32767), (32768, 0, -32768), (100, 90, 10),
    ])
    func distanceGoesTheShorterWayRound(_ to: UInt16, _ from: UInt16, _ expected: Int) {
        let distance = SequenceNumber(rawValue: to).distance(from: SequenceNumber(rawValue: from))
        #expect(distance == expected)
        #expect(SequenceNumber(rawValue: to).isNewer(than: SequenceNumber(rawValue: from)) == (expected > 0))
        #expect(SequenceNumber(rawValue: from).advanced(by: expected).rawValue == to)
    }

    @Test(arguments: [
        (65535, 0, 65536), (65536, 65535, 65535), (0x1_8000, 0x7FFF, 0x1_7FFF), (70000, 4464, 70000),
    ])
    func unwrapsToTheNearestNumber(_ reference: UInt64, _ wire: UInt16, _ expected: UInt64) {
        let unwrapped = ExtendedSequenceNumber(rawValue: reference).nearest(to: SequenceNumber(rawValue: wire))
        #expect(unwrapped?.rawValue == expected)
    }

    @Test func nothingLiesBeforeTheFirstRollover() {
        #expect(ExtendedSequenceNumber(rawValue: 3).nearest(to: SequenceNumber(rawValue: 65535)) == nil)
        #expect(ExtendedSequenceNumber(rawValue: 0x2_0003).rollover == 2)
        #expect(ExtendedSequenceNumber(rawValue: 0x2_0003).wire.rawValue == 3)
    }

    @Test func timestampsWrapLikewise() {
        let late = RTPTimestamp(rawValue: 5)
        let early = RTPTimestamp(rawValue: UInt32.max - 4)
        #expect(late.distance(from: early) == 10)
        #expect(early.advanced(by: 10) == late)
    }

    @Test func compactNTPIsTheMiddle() {
        #expect(NTPTimestamp(rawValue: 0x1122_3344_5566_7788).compact == 0x3344_5566)
        #expect(NTPTimestamp(unixNanoseconds: 500_000_000).rawValue == 0x83AA_7E80_8000_0000)
    }
}
