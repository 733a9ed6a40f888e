// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Glibc
import RTP
import Testing

@testable import jvbd

/// The process's clocks and randomness.
@Suite struct ClockAndEntropyTests {
    @Test func theMonotonicClockNeverGoesBack() {
        var last = MonotonicClock.now()
        for _ in 0..<1000 {
            let now = MonotonicClock.now()
            #expect(now >= last)
            last = now
        }
        usleep(2000)
        #expect(MonotonicClock.now() - last >= .milliseconds(2))
    }

    @Test func theWallClockIsInThisCentury() {
        let seconds = MonotonicClock.unixNanoseconds() / 1_000_000_000
        #expect(seconds > 1_700_000_000)
        #expect(MonotonicClock.ntp().rawValue >> 32 >= seconds + 2_208_988_800)
    }

    @Test func randomBytesDiffer() {
        var entropy = SystemEntropy()
        let a = entropy.bytes(32)
        #expect(a.count == 32)
        #expect(a != entropy.bytes(32))
        #expect(entropy.next() != entropy.next())
    }
}
