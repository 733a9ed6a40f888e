// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// The relation of one stream's RTP clock to its sender's wall clock, learnt from sender reports (RFC 3550 section 6.4.1).

import RTP

struct StreamClock: BitwiseCopyable {
    var ntp: NTPTimestamp
    var timestamp: RTPTimestamp
    /// When the report arrived; receiver reports tell the delay since (DLSR).
    var receivedAt: Instant

    /// The timestamp on this clock of the moment that `timestamp` names on `other`; both tick at `clockRate` per second. nil
    /// when the two reports are more than an hour apart, which is no clock but an error.
    func timestamp(equivalentTo timestamp: RTPTimestamp, on other: StreamClock, clockRate: Int64) -> RTPTimestamp? {
        let between = Int64(bitPattern: other.ntp.rawValue &- ntp.rawValue)
        let seconds = between >> 32
        guard seconds.magnitude < 3600 else { return nil }
        let fraction = between & 0xFFFF_FFFF
        let ticks = seconds * clockRate + (fraction * clockRate) >> 32
        return self.timestamp.advanced(by: Int32(truncatingIfNeeded: ticks))
            .advanced(by: timestamp.distance(from: other.timestamp))
    }
}
