// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Values of the small header extensions: audio level (RFC 6464), absolute send time, transport-wide sequence number.

/// Audio level of one packet, and whether the sender believes that it carries voice (RFC 6464 section 3).
public struct AudioLevel: Hashable, Sendable, BitwiseCopyable {
    /// 0 (loudest) ... 127 (silence), in -dBov.
    public let level: UInt8
    /// The V bit.
    public let voice: Bool

    /// Bits of `level` above the seventh are ignored.
    public init(level: UInt8, voice: Bool) {
        self.level = level & 0x7F
        self.voice = voice
    }

    /// From the single byte of the element: V in the highest bit, the level in the others.
    public init(octet: UInt8) {
        level = octet & 0x7F
        voice = octet & 0x80 != 0
    }

    /// Returns nil for an empty element. The two-byte form may carry padding behind the first byte.
    public init?(parsing element: Range<Int>, in packet: Span<UInt8>) {
        guard !element.isEmpty, element.upperBound <= packet.count else { return nil }
        self.init(octet: packet[element.lowerBound])
    }

    /// The byte on the wire.
    public var octet: UInt8 { level | (voice ? 0x80 : 0) }
}

/// When a packet left its sender: seconds modulo 64 as 6.18 fixed point, about 3.8 us per step.
public struct AbsoluteSendTime: Hashable, Sendable, BitwiseCopyable {
    /// 0...0xFFFFFF.
    public let rawValue: UInt32

    /// The time `now` on whatever clock `now` runs.
    public init(_ now: Instant) {
        let seconds = now.nanoseconds / 1_000_000_000 & 0x3F
        let fraction = (now.nanoseconds % 1_000_000_000) << 18 / 1_000_000_000
        rawValue = UInt32(truncatingIfNeeded: seconds << 18 | fraction)
    }

    /// Returns nil unless the element has three bytes.
    public init?(parsing element: Range<Int>, in packet: Span<UInt8>) {
        guard element.count == 3, element.upperBound <= packet.count else { return nil }
        rawValue = packet.bigEndian24(at: element.lowerBound)
    }

    /// Signed time from `other` to `self` by the shorter way round the 64 seconds.
    public func distance(from other: AbsoluteSendTime) -> Interval {
        let steps = Int32(bitPattern: (rawValue &- other.rawValue) << 8) >> 8
        return Interval(nanoseconds: (Int64(steps) * 1_000_000_000) >> 18)
    }
}

extension SequenceNumber {
    /// The transport-wide sequence number of the element; nil with fewer than two bytes. Version 2 of the extension
    /// appends two bytes, which are ignored.
    public init?(parsing element: Range<Int>, in packet: Span<UInt8>) {
        guard element.count >= 2, element.upperBound <= packet.count else { return nil }
        self.init(rawValue: packet.bigEndian16(at: element.lowerBound))
    }
}
