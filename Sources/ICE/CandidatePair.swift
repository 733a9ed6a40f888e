// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

internal import RTP

/// Which side chooses the pair that is used (RFC 8445 section 2.3).
public enum ICERole: UInt8, Hashable, Sendable, BitwiseCopyable {
    case controlling, controlled

    var opposite: ICERole { self == .controlling ? .controlled : .controlling }
}

/// An address of ours that checks can be sent from: the base of a host candidate (RFC 8445 section 4).
public struct LocalBase: Hashable, Sendable, BitwiseCopyable {
    /// Index of the socket in its shard.
    public var socket: UInt16
    /// The address and port that the socket is bound to, never a wildcard.
    public var address: TransportAddress

    @inlinable
    public init(socket: UInt16, address: TransportAddress) {
        self.socket = socket
        self.address = address
    }
}

/// One local base and one remote address with what is known about the way between them (RFC 8445 section 6.1.2).
/// The path is its identity.
struct CandidatePair {
    enum State: UInt8 {
        /// To be checked when its turn comes. (With one component, freezing would only be another order.)
        case waiting
        case inProgress
        case succeeded
        case failed
    }

    let path: Path
    /// Priority of the local host candidate.
    let localPriority: UInt32
    /// What our checks say in PRIORITY: the same candidate, were it peer reflexive (RFC 8445 section 7.1.1).
    let reflexivePriority: UInt32
    var remotePriority: UInt32
    /// The remote address came from a check, not from signalling.
    var isLearned: Bool
    var state: State = .waiting

    /// Latest authentic request on this path.
    var heardAt: Instant?
    /// Latest answer to a request of ours.
    var answeredAt: Instant?
    /// Latest nomination by the controlling side.
    var nominatedAt: Instant?
    /// First transmission since the latest answer.
    var unansweredSince: Instant?
    /// First transmission of a retransmitted check since the latest answer; a consent check is sent only once, so
    /// that its silence proves little.
    var insistingSince: Instant?
    /// Smoothed round-trip time, from checks that needed no retransmission.
    var roundTripTime: Interval?

    var isValid: Bool { state == .succeeded && answeredAt != nil }

    /// Latest sign of life.
    var activeAt: Instant? {
        guard let heardAt, let answeredAt else { return heardAt ?? answeredAt }
        return max(heardAt, answeredAt)
    }

    /// RFC 8445 section 6.1.2.3.
    func priority(as role: ICERole) -> UInt64 {
        let controlling = UInt64(role == .controlling ? localPriority : remotePriority)
        let controlled = UInt64(role == .controlling ? remotePriority : localPriority)
        return min(controlling, controlled) << 32 &+ 2 &* max(controlling, controlled)
            &+ (controlling > controlled ? 1 : 0)
    }

    /// How long this pair may keep a question unanswered.
    func tolerance(_ settings: ICESettings) -> Interval {
        guard let roundTripTime else { return settings.silenceTolerance }
        return max(settings.silenceTolerance, min(roundTripTime * 3, .seconds(2)))
    }

    mutating func noteSent(insisting: Bool, now: Instant) {
        unansweredSince = unansweredSince ?? now
        if insisting { insistingSince = insistingSince ?? now }
    }

    mutating func noteAnswer(roundTrip sample: Interval?, now: Instant) {
        state = .succeeded
        answeredAt = now
        unansweredSince = nil
        insistingSince = nil
        if let sample { roundTripTime = roundTripTime.map { ($0 * 7 + sample) / 8 } ?? sample }
    }
}
