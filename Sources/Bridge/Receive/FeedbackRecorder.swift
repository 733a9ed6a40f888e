// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// When the packets of one sender arrived, by transport-wide sequence number, until a feedback message tells the sender
/// (draft-holmer-rmcat-transport-wide-cc-extensions-01).

import RTP

struct FeedbackRecorder {
    /// A report goes out this often while packets arrive, and this long after the last one at the latest.
    static let interval = Interval.milliseconds(100)
    /// Soonest after the previous report, when a frame is complete.
    static let frameInterval = Interval.milliseconds(20)
    /// Most arrivals between two reports; the rest goes unreported and counts as lost at the sender.
    private static let limit = 2048

    private var arrivals: [PacketArrival] = []
    private var unwrapped: [UInt64] = []
    private var newest: ExtendedSequenceNumber?
    /// First number that no report has covered yet.
    private var base: UInt64 = 0
    private var feedbackCount: UInt8 = 0
    private var lastReportAt: Instant?
    private var sawEndOfFrame = false

    init() {
        arrivals.reserveCapacity(Self.limit)
        unwrapped.reserveCapacity(Self.limit)
    }

    /// Notes one authentic packet.
    mutating func received(_ number: SequenceNumber, endOfFrame: Bool, now: Instant) {
        let last = newest ?? ExtendedSequenceNumber(rawValue: UInt64(number.rawValue) + 0x1_0000)
        guard let sequence = last.nearest(to: number), arrivals.count < Self.limit else { return }
        if newest == nil { base = sequence.rawValue }
        newest = max(last, sequence)
        if lastReportAt == nil { lastReportAt = now }
        sawEndOfFrame = sawEndOfFrame || endOfFrame
        // Nearly always the newest: search from the back.
        var place = unwrapped.count
        while place > 0, unwrapped[place - 1] > sequence.rawValue { place -= 1 }
        if place > 0, unwrapped[place - 1] == sequence.rawValue { return }
        unwrapped.insert(sequence.rawValue, at: place)
        arrivals.insert(PacketArrival(sequenceNumber: number, time: now), at: place)
    }

    /// Whether a report should be written now.
    func isDue(now: Instant) -> Bool {
        guard let lastReportAt, !arrivals.isEmpty else { return false }
        let since = now - lastReportAt
        return since >= Self.interval || (sawEndOfFrame && since >= Self.frameInterval)
    }

    /// Appends one message; call again while it returns true.
    mutating func write(sender: SSRC, media: SSRC, to writer: inout RTCPWriter, now: Instant) -> Bool {
        guard let first = unwrapped.first else { return false }
        // A late packet re-opens what was reported before.
        let start = min(base, first)
        let from = first - start > 8192 ? first : start
        let taken = writer.transportFeedback(
            sender: sender, media: media, base: SequenceNumber(rawValue: UInt16(truncatingIfNeeded: from)),
            feedbackCount: feedbackCount, arrivals: arrivals.span, maximumLength: 1100)
        lastReportAt = now
        sawEndOfFrame = false
        guard taken > 0 else {
            arrivals.removeAll(keepingCapacity: true)
            unwrapped.removeAll(keepingCapacity: true)
            return false
        }
        feedbackCount &+= 1
        base = max(base, unwrapped[taken - 1] + 1)
        arrivals.removeFirst(taken)
        unwrapped.removeFirst(taken)
        return !arrivals.isEmpty
    }
}
