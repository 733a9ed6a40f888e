// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// The wall clock, for what people and Jicofo read; nothing is timed by it.

import Glibc

enum WallClock {
    /// Since 1970.
    static func milliseconds() -> Int64 {
        var time = timespec()
        _ = unsafe clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }

    /// Since 1970.
    static func unixSeconds() -> Int64 { milliseconds() / 1000 }

    /// `yyyy-MM-dd HH:mm:ss.SSS` in UTC, as the stat `current_timestamp` wants it.
    static func statisticsTimestamp() -> String {
        let now = milliseconds()
        var seconds = time_t(now / 1000)
        var parts = unsafe tm()
        _ = unsafe gmtime_r(&seconds, &parts)
        return unsafe "\(date(parts)) \(time(parts)).\(padded(now % 1000, 3))"
    }

    /// Local time (TZ) and its distance to UTC, as in `2026-11-23T01:15:10.123+0100`.
    static func logTimestamp() -> String {
        let now = milliseconds()
        var seconds = time_t(now / 1000)
        var parts = unsafe tm()
        _ = unsafe localtime_r(&seconds, &parts)
        let east = unsafe Int64(parts.tm_gmtoff) / 60
        let zone = "\(east < 0 ? "-" : "+")\(padded(abs(east) / 60, 2))\(padded(abs(east) % 60, 2))"
        return unsafe "\(date(parts))T\(time(parts)).\(padded(now % 1000, 3))\(zone)"
    }

    private static func date(_ parts: tm) -> String {
        unsafe "\(parts.tm_year + 1900)-\(padded(Int64(parts.tm_mon) + 1, 2))-\(padded(Int64(parts.tm_mday), 2))"
    }

    private static func time(_ parts: tm) -> String {
        unsafe [parts.tm_hour, parts.tm_min, parts.tm_sec].map { padded(Int64($0), 2) }.joined(separator: ":")
    }

    private static func padded(_ number: Int64, _ width: Int) -> String {
        let text = String(number)
        return String(repeating: "0", count: max(0, width - text.count)) + text
    }
}
