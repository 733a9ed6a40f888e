// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

internal import RTP

/// One generation of an ICE session: a full agent with one component that never touches a socket (RFC 8445). Its checks
/// are in `ICEAgent+Checks`, the answers it gives in `ICEAgent+Requests`, its choice in `ICEAgent+Selection`.
struct ICEAgent {
    let settings: ICESettings
    let bases: [LocalBase]
    let generation: UInt32
    let local: ICECredentials
    let tieBreaker: UInt64
    /// First four bytes of every transaction id of this agent.
    let tag: UInt32
    var role: ICERole

    var remote: ICECredentials?
    /// When the remote credentials became known; checks start then.
    var startedAt: Instant?
    var remoteCandidateCount = 0

    var pairs: [CandidatePair] = []
    /// Triggered-check queue (RFC 8445 section 6.1.4.1): goes before ordinary checks.
    var triggered: [Path] = []
    var transactions: [CheckTransaction] = []
    /// Earliest time of the next new check.
    var nextCheckAt: Instant
    /// Latest time at which a pair was added, checked or failed.
    var progressAt: Instant

    /// The pair that carries or carried media; it stays named while consent is lost.
    var selected: Path?
    /// The pair that we are nominating.
    var nominating: Path?
    var hasConsent = false
    var nextConsentAt: Instant?
    /// The selected pair is silent and the others have been asked; undone by an answer or the next consent check.
    var hasAskedOthers = false
    var hasFailed = false

    init(
        role: ICERole, credentials: ICECredentials, bases: [LocalBase], tieBreaker: UInt64, tag: UInt32,
        generation: UInt32, settings: ICESettings, now: Instant
    ) {
        self.settings = settings
        self.bases = bases
        self.generation = generation
        local = credentials
        self.tieBreaker = tieBreaker
        self.tag = tag
        self.role = role
        nextCheckAt = now
        progressAt = now
    }

    // MARK: Remote description

    /// Takes the peer's credentials. Checks that were received before are replayed as triggered checks.
    mutating func setRemote(_ credentials: ICECredentials, now: Instant) {
        guard remote != credentials else { return }
        let isReplacement = remote != nil
        remote = credentials
        startedAt = now
        progressAt = now
        hasFailed = false
        guard isReplacement else { return }
        // Only before a pair was selected: what was asked under the old credentials will not be answered any more.
        transactions.removeAll()
        nominating = nil
        for index in pairs.indices where pairs[index].state != .succeeded { pairs[index].state = .waiting }
    }

    mutating func add(_ candidate: Candidate, now: Instant) {
        guard remoteCandidateCount < settings.maximumRemoteCandidates, isUsable(candidate) else { return }
        var isNew = false
        for base in bases where base.address.ip.isIPv6 == candidate.address.ip.isIPv6 {
            let path = Path(socket: base.socket, local: base.address.ip, remote: candidate.address)
            if let index = index(of: path) {
                // The candidate of an address that was learned first: signalling knows its priority better.
                pairs[index].remotePriority = candidate.priority
                pairs[index].isLearned = false
            } else if pairs.count < settings.maximumPairs {
                pairs.append(pair(on: path, remotePriority: candidate.priority, isLearned: false))
                progressAt = now
                isNew = true
            }
        }
        if isNew { remoteCandidateCount += 1 }
    }

    private func isUsable(_ candidate: Candidate) -> Bool {
        let ip = candidate.address.ip
        guard candidate.component == 1, candidate.transport == .udp, candidate.address.port != 0,
            !ip.isUnspecified, !ip.isMulticastOrBroadcast,
            candidate.generation == 0 || candidate.generation == generation
        else { return false }
        // A peer must not make us talk to our own host, unless that is where we were told to be.
        return !ip.isLoopback || bases.contains { $0.address.ip.isLoopback }
    }

    // MARK: Pairs

    func index(of path: Path) -> Int? { pairs.firstIndex { $0.path == path } }

    func pair(on path: Path, remotePriority: UInt32, isLearned: Bool) -> CandidatePair {
        let preference = Candidate.localPreference(of: path.local, isOnly: bases.count == 1)
        return CandidatePair(
            path: path, localPriority: Candidate.priority(.host, localPreference: preference),
            reflexivePriority: Candidate.priority(.peerReflexive, localPreference: preference),
            remotePriority: remotePriority, isLearned: isLearned)
    }

    var validPaths: [Path] { pairs.compactMap { $0.isValid ? $0.path : nil } }
    var hasValidPair: Bool { pairs.contains { $0.isValid } }

    /// Where datagrams may be sent now: the selected path while there is consent, and before the nomination the valid
    /// path with the best priority.
    var sendPath: Path? {
        if let selected { return hasConsent ? selected : nil }
        return pairs.filter(\.isValid).max { $0.priority(as: role) < $1.priority(as: role) }?.path
    }

    mutating func switchRole() {
        role = role.opposite
        // A nomination is the controlling side's; whoever that is now starts afresh.
        nominating = nil
    }

    // MARK: Time

    /// Does everything that is due at `now`.
    mutating func advance(now: Instant, random: inout SessionRandom, into output: inout ICEOutput) {
        transactions.removeAll { $0.forgottenAt <= now && !$0.isLive }
        retransmit(now: now, into: &output)
        maintainConsent(now: now, random: &random, into: &output)
        refreshUnselected(now: now)
        reconsiderSelection(now: now)
        sendCheck(now: now, random: &random, into: &output)
        if let failureAt, failureAt <= now { hasFailed = true }
    }

    /// When nothing more can succeed, the time at which the agent has failed. An agent that never had a pair goes on
    /// waiting, as ice4j does: whether its peer still exists is for the owner to judge.
    private var failureAt: Instant? {
        guard let startedAt, !hasFailed, selected == nil, triggered.isEmpty, !pairs.isEmpty,
            !pairs.contains(where: { $0.isValid || $0.state == .waiting || $0.state == .inProgress })
        else { return nil }
        return max(startedAt + settings.patience, progressAt + settings.failureGrace)
    }

    /// When `advance` has something to do.
    var deadline: Instant? {
        var earliest: Instant? = failureAt
        func consider(_ instant: Instant?) {
            guard let instant else { return }
            earliest = earliest.map { min($0, instant) } ?? instant
        }
        for transaction in transactions { consider(transaction.dueAt) }
        if hasCheckToSend { consider(nextCheckAt) }
        consider(consentDeadline)
        consider(suspicionDeadline)
        consider(surrenderDeadline)
        consider(refreshDeadline)
        return earliest
    }
}
