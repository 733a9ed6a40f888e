// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Glibc
import RTP

/// The process's two clocks. Nothing below `jvbd` reads them: it is told the time.
enum MonotonicClock {
    /// Time since an arbitrary start; never goes back.
    static func now() -> Instant {
        Instant(nanoseconds: nanoseconds(CLOCK_MONOTONIC))
    }

    /// Wall-clock time in nanoseconds since 1970, as sender reports and certificates need it. May jump.
    static func unixNanoseconds() -> UInt64 {
        nanoseconds(CLOCK_REALTIME)
    }

    /// Wall-clock time as an NTP timestamp (RFC 3550 section 4).
    static func ntp() -> NTPTimestamp {
        NTPTimestamp(unixNanoseconds: unixNanoseconds())
    }

    private static func nanoseconds(_ clock: clockid_t) -> UInt64 {
        var time = timespec()
        unsafe clock_gettime(clock, &time)
        return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
    }
}
