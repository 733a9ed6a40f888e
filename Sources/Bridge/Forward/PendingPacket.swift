// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// One packet on its way to one receiver: which entry of which stream, and the numbers it gets there.

import RTP

/// The verdict of a forwarder, the entry of a pacer's queue and of the receiver's retransmission ring: one value for all. The
/// payload stays in the source's ring until it is sealed.
struct PendingPacket: BitwiseCopyable {
    /// Sequence number of the source's stream, which finds the entry in its ring.
    var entrySequence: UInt64
    /// Unwrapped sequence number in the receiver's output stream; the SRTP index.
    var outputIndex: UInt64
    var sentAt: Instant
    var stream: StreamID
    var timestamp: RTPTimestamp
    /// What the VP8 descriptor says at the receiver; meaningful if the entry is VP8.
    var pictureID: UInt16
    var tl0PicIdx: UInt8
}

/// Names a receive stream of a conference: its place in the table and the generation of that place.
struct StreamID: RawRepresentable, Hashable, BitwiseCopyable {
    var rawValue: UInt32

    init(rawValue: UInt32) { self.rawValue = rawValue }

    init(place: Int, generation: UInt32) {
        rawValue = UInt32(truncatingIfNeeded: place) & 0xF_FFFF | generation << 20
    }

    var place: Int { Int(rawValue & 0xF_FFFF) }
}
