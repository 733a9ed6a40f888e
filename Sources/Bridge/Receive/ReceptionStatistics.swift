// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Loss and jitter of one received SSRC as receiver reports tell them (RFC 3550 sections 6.4.1, A.3 and A.8).

import RTP

struct ReceptionStatistics {
    private var base: UInt64?
    private var highest: UInt64 = 0
    private(set) var received: UInt64 = 0
    private var expectedBefore: UInt64 = 0
    private var receivedBefore: UInt64 = 0
    /// Interarrival jitter in ticks of the media clock, times 16 (RFC 3550 A.8).
    private var jitterTimes16: UInt32 = 0
    private var lastTransit: Int32?
    private(set) var lastReceivedAt: Instant?
    /// Payload bytes since the start.
    private(set) var bytes: UInt64 = 0

    let clockRate: UInt32

    init(clockRate: UInt32) { self.clockRate = clockRate }

    /// Notes one authentic packet in arrival order.
    mutating func received(_ sequence: UInt64, timestamp: RTPTimestamp, payloadLength: Int, now: Instant) {
        if base == nil {
            base = sequence
            highest = sequence
        }
        highest = max(highest, sequence)
        received += 1
        bytes += UInt64(payloadLength)
        lastReceivedAt = now

        // Arrival in ticks modulo 2^32; split so that the product cannot overflow.
        let seconds = now.nanoseconds / 1_000_000_000
        let rest = now.nanoseconds % 1_000_000_000
        let rate = UInt64(clockRate)
        let arrival = UInt32(truncatingIfNeeded: seconds &* rate &+ rest &* rate / 1_000_000_000)
        let transit = Int32(bitPattern: arrival &- timestamp.rawValue)
        if let lastTransit {
            let difference = transit &- lastTransit
            jitterTimes16 = jitterTimes16 &+ difference.magnitude &- ((jitterTimes16 &+ 8) >> 4)
        }
        lastTransit = transit
    }

    /// What a report block says now; closes the interval that its fraction lost covers.
    struct Report: Equatable {
        var fractionLost: UInt8
        /// Clamped to 24 bits signed.
        var cumulativeLost: Int32
        var extendedHighestSequence: UInt32
        /// In ticks of the media clock.
        var jitter: UInt32
    }

    /// nil before the first packet.
    mutating func report() -> Report? {
        guard let base else { return nil }
        let expected = highest - base + 1
        let lost = Int64(expected) - Int64(received)
        let expectedNow = expected - expectedBefore
        let receivedNow = received - receivedBefore
        expectedBefore = expected
        receivedBefore = received
        let lostNow = Int64(expectedNow) - Int64(receivedNow)
        let fraction = expectedNow == 0 || lostNow <= 0 ? 0 : min(255, (lostNow << 8) / Int64(expectedNow))
        return Report(
            fractionLost: UInt8(fraction),
            cumulativeLost: Int32(max(-0x80_0000, min(0x7F_FFFF, lost))),
            extendedHighestSequence: UInt32(truncatingIfNeeded: highest),
            jitter: jitterTimes16 >> 4)
    }
}
