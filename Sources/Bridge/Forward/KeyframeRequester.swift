// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// How often one encoding's sender is asked for a keyframe: a keyframe is the dearest packet there is, and every receiver that
/// waits asks at every packet.

import RTP

struct KeyframeRequester: BitwiseCopyable {
    /// Shortest time between two requests to one encoding.
    static let minimumInterval = Interval.milliseconds(300)

    private var lastRequestAt: Instant?
    private(set) var isPending = false

    /// Whether to send PLI now (RFC 4585 section 6.3.1).
    ///
    /// - Parameter roundTrip: to the sender; a keyframe cannot arrive sooner.
    mutating func request(now: Instant, roundTrip: Interval) -> Bool {
        isPending = true
        let interval = max(Self.minimumInterval, roundTrip + .milliseconds(10))
        if let lastRequestAt, now - lastRequestAt < interval { return false }
        lastRequestAt = now
        return true
    }

    /// A keyframe arrived: nothing is owed any more.
    mutating func keyframeArrived() { isPending = false }
}
