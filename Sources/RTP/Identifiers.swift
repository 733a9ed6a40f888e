// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// The small numbers of RTP as types of their own, so that two of the same width cannot be swapped.

/// Synchronisation source: who sent an RTP packet (RFC 3550 section 3).
public struct SSRC: RawRepresentable, Hashable, Sendable, BitwiseCopyable, CustomStringConvertible {
    public var rawValue: UInt32

    @inlinable
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    public var description: String { String(rawValue) }
}

/// RTP payload type, 0...127 (RFC 3550 section 5.1). The marker bit is never part of it.
public struct PayloadType: RawRepresentable, Hashable, Sendable, BitwiseCopyable, CustomStringConvertible {
    public let rawValue: UInt8

    /// Returns nil above 127.
    @inlinable
    public init?(rawValue: UInt8) {
        guard rawValue < 128 else { return nil }
        self.rawValue = rawValue
    }

    /// The payload type in the low seven bits of the second octet of an RTP header.
    @inlinable
    public init(secondOctet: UInt8) { rawValue = secondOctet & 0x7F }

    public var description: String { String(rawValue) }
}

/// RTP timestamp in ticks of the media clock, modulo 2^32 (RFC 3550 section 5.1).
public struct RTPTimestamp: RawRepresentable, Hashable, Sendable, BitwiseCopyable {
    public var rawValue: UInt32

    @inlinable
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// Ticks from `other` to `self` by the shorter way round.
    @inlinable
    public func distance(from other: RTPTimestamp) -> Int32 {
        Int32(bitPattern: rawValue &- other.rawValue)
    }

    @inlinable
    public func advanced(by ticks: Int32) -> RTPTimestamp {
        RTPTimestamp(rawValue: rawValue &+ UInt32(bitPattern: ticks))
    }
}

/// What a stream carries. Text and application streams do not exist in a Jitsi meeting.
public enum MediaKind: UInt8, Hashable, Sendable, BitwiseCopyable, CaseIterable {
    case audio
    case video
}
