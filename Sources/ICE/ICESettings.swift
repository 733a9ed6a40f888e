// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

public import RTP

/// The times and limits of an ICE session; the defaults are Jitsi's where it has one (ice4j), else the RFC's.
public struct ICESettings: Sendable {
    /// Ta, time between two new checks of one session (RFC 8445 section 14.2).
    public var pacing: Interval = .milliseconds(20)
    /// First retransmission timeout of a check; it doubles with every retransmission.
    public var retransmissionTimeout: Interval = .milliseconds(100)
    /// Where the doubling ends.
    public var maximumRetransmissionTimeout: Interval = .milliseconds(1600)
    /// Retransmissions of a check after its first transmission.
    public var maximumRetransmissions = 6

    /// Mean time between consent checks, randomised by 0.8...1.2 (RFC 7675 section 5.1).
    public var consentInterval: Interval = .seconds(5)
    /// Without an answer for this long nothing may be sent any more (RFC 7675 section 5.1).
    public var consentExpiry: Interval = .seconds(30)
    /// A selected pair that leaves a question unanswered this long (or three round trips, if longer) is given up for
    /// another one that answers.
    public var silenceTolerance: Interval = .milliseconds(500)

    /// No session fails earlier than this after the remote credentials are known: a peer that signals no candidates
    /// may be slow to begin.
    public var patience: Interval = .seconds(15)
    /// Time between the end of the last check and the failure of a session without a valid pair.
    public var failureGrace: Interval = .seconds(5)

    /// A restart that has no selected pair after this long is abandoned.
    public var restartTimeout: Interval = .seconds(20)
    /// How long the credentials before a restart are still answered after it succeeded.
    public var transitionWindow: Interval = .seconds(3)

    /// Remote addresses learned from checks, per generation.
    public var maximumLearnedAddresses = 8
    /// Signalled remote candidates, per generation.
    public var maximumRemoteCandidates = 32
    /// Candidate pairs, per generation.
    public var maximumPairs = 100
    /// Requests remembered to recognise their responses, per generation.
    public var maximumTransactions = 128

    public init() {}
}
