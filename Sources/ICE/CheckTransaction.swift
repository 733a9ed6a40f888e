// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

internal import RTP

/// One Binding request of ours, from its first transmission until its response is no longer expected
/// (RFC 8489 section 6.2.1).
struct CheckTransaction {
    enum Purpose: UInt8 {
        /// A connectivity check; retransmitted.
        case check
        /// A connectivity check with USE-CANDIDATE; retransmitted.
        case nomination
        /// A consent check; transmitted once (RFC 7675 section 5.1).
        case consent
    }

    let id: STUNTransactionID
    let path: Path
    let purpose: Purpose
    /// The role that the request claimed.
    let role: ICERole
    let bytes: [UInt8]
    let firstSentAt: Instant
    var lastSentAt: Instant
    var retransmissions = 0
    private var timeout: Interval
    /// When it is sent again or given up; nil when it only waits for a late response.
    private(set) var dueAt: Instant?
    /// From here on a response is no longer recognised.
    let forgottenAt: Instant

    init(
        id: STUNTransactionID, path: Path, purpose: Purpose, role: ICERole, bytes: [UInt8], settings: ICESettings,
        now: Instant
    ) {
        self.id = id
        self.path = path
        self.purpose = purpose
        self.role = role
        self.bytes = bytes
        firstSentAt = now
        lastSentAt = now
        timeout = settings.retransmissionTimeout
        dueAt = purpose == .consent ? nil : now + timeout
        forgottenAt = now + .seconds(10)
    }

    /// It is still being retransmitted.
    var isLive: Bool { dueAt != nil }

    enum Verdict { case retransmit, failed, nothing }

    /// What is to be done at `now`; a retransmission counts as done.
    mutating func advance(now: Instant, settings: ICESettings) -> Verdict {
        guard let dueAt, dueAt <= now else { return .nothing }
        guard retransmissions < settings.maximumRetransmissions else {
            self.dueAt = nil
            return .failed
        }
        retransmissions += 1
        lastSentAt = now
        timeout = min(timeout * 2, settings.maximumRetransmissionTimeout)
        self.dueAt = now + timeout
        return .retransmit
    }

    /// Stops retransmitting; a late response still counts (RFC 8445 section 7.3.1.4).
    mutating func cancel() { dueAt = nil }
}
