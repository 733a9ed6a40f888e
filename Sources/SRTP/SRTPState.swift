// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

public import RTP

/// What a sealer or opener must not forget when its transport moves: plain values, no keys.

/// The indices that a sealer has used. Restoring an old copy would repeat indices: a state is taken once, when its sealer
/// seals no more.
public struct SealerState: Hashable, Sendable {
    /// One outgoing SSRC.
    public struct Stream: Hashable, Sendable {
        /// Whose indices these are.
        public var ssrc: SSRC
        /// Nil when nothing was sealed yet.
        public var highest: ExtendedSequenceNumber?

        /// The parts as given; a sealer judges them when it is restored.
        public init(ssrc: SSRC, highest: ExtendedSequenceNumber?) {
            self.ssrc = ssrc
            self.highest = highest
        }
    }

    /// One for each row, in the order of the rows; 1024 at most.
    public var streams: [Stream]
    /// Index of the next SRTCP packet, 0...2^31; 2^31 when all are used.
    public var nextRTCPIndex: UInt32

    /// Without arguments: the state of new keys.
    public init(streams: [Stream] = [], nextRTCPIndex: UInt32 = 0) {
        self.streams = streams
        self.nextRTCPIndex = nextRTCPIndex
    }
}

/// The replay windows of an opener.
public struct OpenerState: Hashable, Sendable {
    /// One incoming SSRC.
    public struct Stream: Hashable, Sendable {
        /// Whose indices these are.
        public var ssrc: SSRC
        /// Highest packet index (SRTP) or SRTCP index that was opened.
        public var highest: UInt64
        /// Which of the 1024 indices up to `highest` were opened: bit i % 64 of word i / 64 % 16; sixteen words.
        public var window: [UInt64]

        /// The parts as given; an opener judges them when it is restored.
        public init(ssrc: SSRC, highest: UInt64, window: [UInt64]) {
            self.ssrc = ssrc
            self.highest = highest
            self.window = window
        }
    }

    /// Windows of SRTP; 256 at most.
    public var rtp: [Stream]
    /// Windows of SRTCP; 256 at most.
    public var rtcp: [Stream]

    /// Without arguments: the state of new keys.
    public init(rtp: [Stream] = [], rtcp: [Stream] = []) {
        self.rtp = rtp
        self.rtcp = rtcp
    }
}
