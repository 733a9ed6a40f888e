// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Renumbers a stream from which the bridge itself drops packets (silence, mute), so that receivers do not take the holes for
/// loss (Jitsi: ResumableStreamRewriter without history).

struct GapCloser: BitwiseCopyable {
    private var offset: UInt64 = 0
    private var highest: UInt64?

    /// The number of a packet that goes on; nil when it is older than everything dropped since and its number is taken.
    mutating func keep(_ sequence: UInt64) -> UInt64? {
        guard sequence >= offset else { return nil }
        let number = sequence - offset
        highest = max(highest ?? number, number)
        return number
    }

    /// Takes note of a packet that the bridge drops: the next one gets its number. What was lost before it is closed as well.
    mutating func drop(_ sequence: UInt64) {
        guard let highest, sequence > highest else { return }
        offset = max(offset, sequence - highest)
    }
}
