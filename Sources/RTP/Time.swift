// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Time as an argument: the cores never read a clock, they are told what time it is.

/// A point on the process's monotonic clock, in nanoseconds since an arbitrary start.
public struct Instant: Hashable, Comparable, Sendable, BitwiseCopyable {
    public var nanoseconds: UInt64

    @inlinable
    public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

    @inlinable
    public static func < (a: Instant, b: Instant) -> Bool { a.nanoseconds < b.nanoseconds }

    @inlinable
    public static func + (a: Instant, b: Interval) -> Instant {
        Instant(nanoseconds: a.nanoseconds &+ UInt64(bitPattern: b.nanoseconds))
    }

    @inlinable
    public static func - (a: Instant, b: Interval) -> Instant {
        Instant(nanoseconds: a.nanoseconds &- UInt64(bitPattern: b.nanoseconds))
    }

    /// Signed time from `b` to `a`.
    @inlinable
    public static func - (a: Instant, b: Instant) -> Interval {
        Interval(nanoseconds: Int64(bitPattern: a.nanoseconds &- b.nanoseconds))
    }
}

/// A signed span of time in nanoseconds (about +-292 years). `Swift.Duration` is twice as wide, which the packet path
/// does not need.
public struct Interval: Hashable, Comparable, Sendable, BitwiseCopyable {
    public var nanoseconds: Int64

    @inlinable
    public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    @inlinable
    public static func seconds(_ n: Int64) -> Interval { Interval(nanoseconds: n &* 1_000_000_000) }
    @inlinable
    public static func milliseconds(_ n: Int64) -> Interval { Interval(nanoseconds: n &* 1_000_000) }
    @inlinable
    public static func microseconds(_ n: Int64) -> Interval { Interval(nanoseconds: n &* 1_000) }

    public static var zero: Interval { Interval(nanoseconds: 0) }

    /// Whole milliseconds, rounded towards zero.
    @inlinable
    public var milliseconds: Int64 { nanoseconds / 1_000_000 }
    /// Seconds as a floating-point number.
    @inlinable
    public var seconds: Double { Double(nanoseconds) / 1e9 }

    @inlinable
    public static func < (a: Interval, b: Interval) -> Bool { a.nanoseconds < b.nanoseconds }
    @inlinable
    public static func + (a: Interval, b: Interval) -> Interval {
        Interval(nanoseconds: a.nanoseconds &+ b.nanoseconds)
    }
    @inlinable
    public static func - (a: Interval, b: Interval) -> Interval {
        Interval(nanoseconds: a.nanoseconds &- b.nanoseconds)
    }
    @inlinable
    public static func * (a: Interval, b: Int64) -> Interval { Interval(nanoseconds: a.nanoseconds &* b) }
    @inlinable
    public static func / (a: Interval, b: Int64) -> Interval { Interval(nanoseconds: a.nanoseconds / b) }
}

/// NTP timestamp: 32 bits of seconds since 1900 and 32 bits of fraction (RFC 3550 section 4).
public struct NTPTimestamp: RawRepresentable, Hashable, Sendable, BitwiseCopyable {
    public var rawValue: UInt64

    @inlinable
    public init(rawValue: UInt64) { self.rawValue = rawValue }

    /// The middle 32 bits, as LSR and DLSR carry it (RFC 3550 section 6.4.1).
    @inlinable
    public var compact: UInt32 { UInt32(truncatingIfNeeded: rawValue >> 16) }

    /// - Parameter unixNanoseconds: wall-clock time since 1970.
    @inlinable
    public init(unixNanoseconds: UInt64) {
        let seconds = unixNanoseconds / 1_000_000_000 &+ 2_208_988_800
        let fraction = (unixNanoseconds % 1_000_000_000) << 32 / 1_000_000_000
        rawValue = seconds << 32 | fraction
    }
}
