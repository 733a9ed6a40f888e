// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Which packets of one video stream are missing and when to ask for them again (RFC 4585 section 6.2.1).

import RTP

struct NackRequester {
    private struct Missing {
        var sequence: UInt64
        var nextRequestAt: Instant
        var requests: Int
    }

    /// A gap is not a loss before this time has passed: packets are reordered by a few milliseconds on real paths.
    static let reorderGuard = Interval.milliseconds(8)
    static let maximumRequests = 10
    /// More missing packets than this are not asked for one by one: a keyframe mends it cheaper.
    static let missingLimit = 200

    private var missing: [Missing] = []
    private var expected: UInt64?

    enum Verdict {
        case fine
        /// So much is missing that only a keyframe helps.
        case needsKeyframe
    }

    init() { missing.reserveCapacity(Self.missingLimit) }

    /// Notes an arrival, retransmitted or not.
    mutating func received(_ sequence: UInt64, now: Instant) -> Verdict {
        guard let next = expected else {
            expected = sequence + 1
            return .fine
        }
        if sequence < next {
            if !missing.isEmpty { missing.removeAll { $0.sequence == sequence } }
            return .fine
        }
        let gap = sequence - next
        expected = sequence + 1
        if gap > UInt64(Self.missingLimit - missing.count) {
            missing.removeAll(keepingCapacity: true)
            return .needsKeyframe
        }
        for lost in next..<sequence {
            missing.append(Missing(sequence: lost, nextRequestAt: now + Self.reorderGuard, requests: 0))
        }
        return .fine
    }

    /// Appends the numbers to ask for now, in ascending order, and schedules their next request.
    mutating func takeDue(now: Instant, roundTrip: Interval, into due: inout [SequenceNumber]) {
        guard !missing.isEmpty else { return }
        let again = max(roundTrip, .milliseconds(20))
        var givenUp = false
        for i in missing.indices where missing[i].nextRequestAt <= now {
            if missing[i].requests == Self.maximumRequests {
                givenUp = true
                continue
            }
            due.append(SequenceNumber(rawValue: UInt16(truncatingIfNeeded: missing[i].sequence)))
            missing[i].requests += 1
            missing[i].nextRequestAt = now + again
        }
        if givenUp { missing.removeAll { $0.requests == Self.maximumRequests && $0.nextRequestAt <= now } }
    }

    /// Everything up to `sequence` is unwanted, whether it came or not.
    mutating func skip(to sequence: UInt64) {
        missing.removeAll(keepingCapacity: true)
        expected = max(expected ?? 0, sequence + 1)
    }

    /// A keyframe made everything before `sequence` unneeded.
    mutating func forget(before sequence: UInt64) {
        if !missing.isEmpty { missing.removeAll { $0.sequence < sequence } }
    }

    /// When `takeDue` has something to do next.
    var deadline: Instant? { missing.lazy.map(\.nextRequestAt).min() }
}
