// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// One source to one receiver: decides packet by packet whether it goes out and under which numbers.
///
/// The receiver sees one stream without seams: whatever encoding is forwarded, sequence numbers go up by one, timestamps and VP8
/// picture ids never go back (RFC 3550 section 5.1, RFC 7741 section 4.2). Packets lost before the bridge leave their gap open,
/// so that a late one still finds its place.

import RTP

struct Forwarder: BitwiseCopyable {
    /// Index of an encoding of the source, lowest quality first.
    typealias EncodingIndex = Int8
    static let none: EncodingIndex = -1

    /// A stretch of one encoding under one set of offsets.
    private struct Run: BitwiseCopyable {
        var encoding: EncodingIndex
        /// First input sequence number of the run; older packets belong to what was before.
        var first: UInt64
        /// Highest input sequence number that was forwarded.
        var last: UInt64
        /// Output minus input.
        var sequenceOffset: Int64
        var timestampOffset: Int32
        var pictureIDOffset: UInt16
        var tl0Offset: UInt8

        static let none = Run(
            encoding: Forwarder.none, first: 0, last: 0, sequenceOffset: 0, timestampOffset: 0, pictureIDOffset: 0,
            tl0Offset: 0)
    }

    enum Verdict: BitwiseCopyable {
        case forward(PendingPacket)
        case drop
        /// Dropped, and the target encoding can only start with a keyframe.
        case dropAwaitingKeyframe
    }

    /// Whether a switch needs a keyframe; audio starts anywhere.
    let gated: Bool
    let clockRate: Int32
    /// Row in the receiver's output streams; nil while there is none.
    var output: Int32?
    /// The encoding to forward; `none`: forward nothing.
    var target: EncodingIndex = Forwarder.none {
        didSet { if target == Forwarder.none { suspend() } }
    }
    private var current = Run.none
    private var previous = Run.none
    private var started = false
    private var highestOutput: UInt64 = 0
    private var lastTimestamp = RTPTimestamp(rawValue: 0)
    private var lastPictureID: UInt16 = 0
    private var lastTL0: UInt8 = 0
    private var lastForwardedAt = Instant(nanoseconds: 0)

    init(kind: MediaKind, clockRate: Int32) {
        gated = kind == .video
        self.clockRate = clockRate
    }

    /// The encoding that is forwarded now.
    var currentEncoding: EncodingIndex { current.encoding }

    /// Timestamp offset (output minus input) of the encoding forwarded now, for sender reports.
    func timestampOffset(of encoding: EncodingIndex) -> Int32? {
        encoding == current.encoding ? current.timestampOffset : nil
    }

    /// Decides about one entry.
    ///
    /// - Parameters:
    ///   - start: where the receiver's Transport lets this output stream go on; asked only when a run starts.
    ///   - aligned: the timestamp of the last forwarded packet's encoding that means the same moment as the entry's, from sender
    ///     reports; nil when not known.
    mutating func process(
        _ entry: RingEntry, of stream: StreamID, encoding: EncodingIndex, start: () -> UInt64,
        aligned: (EncodingIndex) -> RTPTimestamp?, now: Instant
    ) -> Verdict {
        if encoding == current.encoding {
            if entry.sequence >= current.first {
                return .forward(pendingInCurrent(entry, stream, now))
            }
            return late(entry, stream, encoding, now: now)
        }
        guard target != Forwarder.none else { return .drop }
        let isStart = !gated || entry.flags.contains(.keyframeStart)
        guard approaches(encoding) else { return late(entry, stream, encoding, now: now) }
        guard isStart else { return encoding == target ? .dropAwaitingKeyframe : .drop }
        suspend()
        startRun(of: encoding, at: entry, start: start(), aligned: aligned(previous.encoding), now: now)
        return .forward(pendingInCurrent(entry, stream, now))
    }

    /// Whether a keyframe of `encoding` brings us nearer to the target than what is forwarded now.
    private func approaches(_ encoding: EncodingIndex) -> Bool {
        let now = current.encoding
        if now == Forwarder.none { return encoding <= target }
        return now < target ? (now < encoding && encoding <= target) : (target <= encoding && encoding < now)
    }

    /// A packet from before the last switch may still fill its gap.
    private mutating func late(
        _ entry: RingEntry, _ stream: StreamID, _ encoding: EncodingIndex, now: Instant
    ) -> Verdict {
        guard encoding == previous.encoding, entry.sequence >= previous.first, entry.sequence <= previous.last else {
            return .drop
        }
        previous.last = max(previous.last, entry.sequence)
        return .forward(pending(entry, stream, in: previous, now: now))
    }

    /// Ends the current run; it stays known for late packets and for the alignment of the next one.
    private mutating func suspend() {
        guard current.encoding != Forwarder.none else { return }
        previous = current
        current.encoding = Forwarder.none
    }

    private mutating func startRun(
        of encoding: EncodingIndex, at entry: RingEntry, start: UInt64, aligned: RTPTimestamp?, now: Instant
    ) {
        let next = started ? max(start, highestOutput + 1) : start
        var timestampOffset: Int32 = 0
        var pictureIDOffset: UInt16 = 0
        var tl0Offset: UInt8 = 0
        if started {
            let timestamp = nextTimestamp(aligned: aligned, now: now)
            timestampOffset = timestamp.distance(from: entry.timestamp)
            pictureIDOffset = lastPictureID &+ 1 &- entry.pictureID
            tl0Offset = lastTL0 &+ 1 &- entry.tl0PicIdx
        }
        current = Run(
            encoding: encoding, first: entry.sequence, last: entry.sequence,
            sequenceOffset: Int64(bitPattern: next &- entry.sequence), timestampOffset: timestampOffset,
            pictureIDOffset: pictureIDOffset, tl0Offset: tl0Offset)
        started = true
    }

    /// The first timestamp of a new run: what the sender's clock says, kept between one tick after the last and 75 ms more
    /// than the time that really passed.
    private func nextTimestamp(aligned: RTPTimestamp?, now: Instant) -> RTPTimestamp {
        let rate = Int64(clockRate)
        let elapsed = max(0, (now - lastForwardedAt).milliseconds)
        let passed = Int32(truncatingIfNeeded: min(elapsed, 3_600_000) * rate / 1000)
        guard let aligned else {
            return lastTimestamp.advanced(by: max(Int32(rate / 30), passed))
        }
        let step = aligned.advanced(by: previous.timestampOffset).distance(from: lastTimestamp)
        return lastTimestamp.advanced(by: max(1, min(step, passed + Int32(rate * 75 / 1000))))
    }

    @inline(__always)
    private mutating func pendingInCurrent(_ entry: RingEntry, _ stream: StreamID, _ now: Instant) -> PendingPacket {
        current.last = max(current.last, entry.sequence)
        return pending(entry, stream, in: current, now: now)
    }

    private mutating func pending(
        _ entry: RingEntry, _ stream: StreamID, in run: Run, now: Instant
    ) -> PendingPacket {
        let output = entry.sequence &+ UInt64(bitPattern: run.sequenceOffset)
        let packet = PendingPacket(
            entrySequence: entry.sequence, outputIndex: output, sentAt: now, stream: stream,
            timestamp: entry.timestamp.advanced(by: run.timestampOffset),
            pictureID: entry.pictureID &+ run.pictureIDOffset, tl0PicIdx: entry.tl0PicIdx &+ run.tl0Offset)
        if output > highestOutput {
            highestOutput = output
            lastTimestamp = packet.timestamp
            // Padding has no descriptor and names no picture.
            if entry.flags.contains(.pictureID) { lastPictureID = packet.pictureID }
            if entry.flags.contains(.tl0PicIdx) { lastTL0 = packet.tl0PicIdx }
            lastForwardedAt = now
        }
        return packet
    }
}
