// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// What an ICE session hands back: datagrams to send, things that happened, things that were thrown away.

/// Collects the results of calls into ICE sessions; the owner sends, handles and clears.
public struct ICEOutput: Sendable {
    /// STUN messages in the order in which they should leave.
    public var datagrams: [(path: Path, bytes: [UInt8])] = []
    /// What happened, in order.
    public var events: [ICEEvent] = []

    public init() {}

    /// Forgets both and keeps their memory.
    public mutating func removeAll() {
        datagrams.removeAll(keepingCapacity: true)
        events.removeAll(keepingCapacity: true)
    }
}

/// What happened to a session, in this order when several things happen at once.
public enum ICEEvent: Hashable, Sendable {
    /// An authentic check came from a path that has not answered us yet. Datagrams from it may be taken, unless the path
    /// is already somebody else's: a source address alone can be forged.
    case pathHeard(Path)
    /// The path answered a check of ours: it is this session's, even if another session had it.
    case pathAdded(Path)
    /// The path is no longer this session's.
    case pathRemoved(Path)
    /// The first path of the session's life was validated: the DTLS handshake may start.
    case validated(Path)
    /// Media now goes over this path.
    case selected(Path)
    /// No answer for 30 s: nothing but answers and checks may be sent (RFC 7675 section 5.1).
    case consentLost
    /// The peer answers again; media may go on over this path.
    case consentRegained(Path)
    /// No pair works. A later check of the peer can still revive the session.
    case failed
    /// The restart to this generation has its selected pair and took over.
    case restarted(generation: UInt32)
    /// The restart to this generation was not completed in time or was superseded; the session is as before it.
    case restartAbandoned(generation: UInt32)
    /// Requests to this username fragment are no longer answered.
    case fragmentRetired(UsernameFragment)
    /// A datagram was thrown away without an answer.
    case dropped(ICEDropReason)
}

/// Why a STUN datagram was thrown away. Each is a counter of the owner.
public enum ICEDropReason: UInt8, Hashable, Sendable, CaseIterable {
    /// Not parsable, or not Binding.
    case malformed
    /// FINGERPRINT is wrong.
    case fingerprint
    /// A request to a username fragment that is not ours.
    case unknownUsername
    /// MESSAGE-INTEGRITY is missing or wrong.
    case integrity
    /// A response to no request of ours.
    case unknownTransaction
    /// An authentic check from one address more than a session may have.
    case tooManyPaths
    /// An indication: nothing to do.
    case indication
}
