// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Bridge

/// What the bridge drops on purpose must not look like loss.
struct GapCloserTests {
    private enum Step {
        case keep(UInt64, UInt64?)
        case drop(UInt64)
    }

    private static func play(_ steps: [Step]) {
        var closer = GapCloser()
        for step in steps {
            switch step {
            case .keep(let sequence, let expected):
                let number = closer.keep(sequence)
                #expect(number == expected, "packet \(sequence)")
            case .drop(let sequence): closer.drop(sequence)
            }
        }
    }

    @Test func silenceLeavesNoHole() {
        Self.play([.keep(10, 10), .keep(11, 11), .drop(12), .drop(13), .keep(14, 12), .keep(15, 13)])
    }

    @Test func realLossStaysVisible() {
        Self.play([.keep(10, 10), .drop(11), .keep(12, 11), .keep(15, 14), .keep(13, 12)])
    }

    @Test func nothingWasSentBeforeTheFirstPacket() {
        Self.play([.drop(5), .drop(6), .keep(7, 7), .drop(8), .keep(9, 8)])
    }

    @Test func aLateSilentPacketChangesNothing() {
        Self.play([.keep(10, 10), .keep(12, 12), .drop(11), .keep(13, 13)])
    }

    @Test func numbersGoOnOverTheWrap() {
        Self.play([.keep(65_535, 65_535), .drop(65_536), .keep(65_537, 65_536)])
    }
}
