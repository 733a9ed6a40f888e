// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Sequence numbers of RTP: the 16-bit one on the wire and its unwrapped 64-bit form.

/// RTP sequence number modulo 2^16 (RFC 3550 section 5.1). Deliberately not `Comparable`: the order of wrapped
/// numbers is not transitive.
public struct SequenceNumber: RawRepresentable, Hashable, Sendable, BitwiseCopyable {
    public var rawValue: UInt16

    @inlinable
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    /// Steps from `other` to `self` by the shorter way round, -32768...32767.
    @inlinable
    public func distance(from other: SequenceNumber) -> Int {
        Int(Int16(bitPattern: rawValue &- other.rawValue))
    }

    @inlinable
    public func isNewer(than other: SequenceNumber) -> Bool { distance(from: other) > 0 }

    @inlinable
    public func advanced(by steps: Int) -> SequenceNumber {
        SequenceNumber(rawValue: rawValue &+ UInt16(truncatingIfNeeded: steps))
    }
}

/// Sequence number that never wraps in the life of a stream: rollover counter * 2^16 + wire number (RFC 3711 section 3.3.1
/// calls it the packet index).
public struct ExtendedSequenceNumber: RawRepresentable, Hashable, Comparable, Sendable, BitwiseCopyable {
    public var rawValue: UInt64

    @inlinable
    public init(rawValue: UInt64) { self.rawValue = rawValue }

    @inlinable
    public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }

    /// What goes on the wire.
    @inlinable
    public var wire: SequenceNumber { SequenceNumber(rawValue: UInt16(truncatingIfNeeded: rawValue)) }

    /// Rollover counter: how often the wire number has wrapped.
    @inlinable
    public var rollover: UInt32 { UInt32(truncatingIfNeeded: rawValue >> 16) }

    @inlinable
    public func distance(from other: Self) -> Int { Int(Int64(bitPattern: rawValue &- other.rawValue)) }

    @inlinable
    public func advanced(by steps: Int) -> Self {
        Self(rawValue: rawValue &+ UInt64(bitPattern: Int64(steps)))
    }

    /// The unwrapped number nearest to `self` whose wire number is `wire`; nil when that would lie before the first
    /// rollover (a packet older than the stream's first).
    @inlinable
    public func nearest(to wire: SequenceNumber) -> Self? {
        let steps = wire.distance(from: self.wire)
        if steps < 0 && rawValue < UInt64(-steps) { return nil }
        return advanced(by: steps)
    }
}
