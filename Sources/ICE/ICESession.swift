// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

public import RTP

/// One transport's ICE across restarts (RFC 8445): a full agent for one component on shared single-port sockets. It takes
/// datagrams and the time, and returns datagrams and events.
///
/// Make before break: a restart runs beside the established generation, which keeps the media until the new one has a
/// selected pair; its credentials are then answered for three more seconds.
public final class ICESession {
    /// Where the session stands.
    public enum State: Hashable, Sendable {
        /// The peer's credentials are not known yet.
        case waiting
        /// No pair has been selected yet.
        case checking
        case connected(Path)
        /// A pair was selected, but the peer has not answered for 30 s.
        case disconnected
        /// No pair works.
        case failed
    }

    /// What became of a restart request.
    public enum RestartOutcome: Hashable, Sendable {
        /// Describe `localCredentials` with this generation.
        case started(generation: UInt32)
        /// The peer has not answered the previous request: describe the same again.
        case alreadyPending(generation: UInt32)
        /// ICE was never established: describe the current credentials without a generation.
        case keptExisting
    }

    /// What became of a remote description.
    public enum RemoteOutcome: Hashable, Sendable {
        case applied
        /// The generation that it is meant for is established.
        case ignoredEstablished
        /// No generation waits for this one.
        case ignoredGeneration
        /// The answer to a restart must have credentials.
        case ignoredIncomplete
    }

    private let settings: ICESettings
    private let bases: [LocalBase]
    private let tieBreaker: UInt64
    private let tag: UInt32
    private var random: SessionRandom

    private var current: ICEAgent
    private var pending: (agent: ICEAgent, expiresAt: Instant)?
    private var retired: (agent: ICEAgent, expiresAt: Instant)?
    private var lastGeneration: UInt32 = 0

    // What the owner has been told, to tell it the difference.
    private var toldHeard: [Path] = []
    private var toldValid: [Path] = []
    private var toldFirstValidation = false
    private var toldSelected: Path?
    private var toldConsent = false
    private var toldFailure = false

    /// - Parameters:
    ///   - credentials: ours; the owner routes requests to this session by their username fragment.
    ///   - bases: where checks can be sent from; candidates of other families are ignored.
    ///   - tag: starts every transaction id, so that the owner can route responses (`STUNDestination`).
    ///   - generator: entropy; drawn from only here.
    public init(
        role: ICERole, credentials: ICECredentials, bases: [LocalBase], tieBreaker: UInt64, tag: UInt32,
        settings: ICESettings = ICESettings(), now: Instant, using generator: inout some RandomNumberGenerator
    ) {
        self.settings = settings
        self.bases = bases
        self.tieBreaker = tieBreaker
        self.tag = tag
        random = SessionRandom(using: &generator)
        current = ICEAgent(
            role: role, credentials: credentials, bases: bases, tieBreaker: tieBreaker, tag: tag, generation: 0,
            settings: settings, now: now)
    }

    // MARK: Facts

    /// Ours of the newest generation: what a description to the peer contains.
    public var localCredentials: ICECredentials { pending?.agent.local ?? current.local }
    /// The newest generation; 0 before the first restart.
    public var generation: UInt32 { pending?.agent.generation ?? current.generation }
    /// The role of the established generation; changes with a role conflict.
    public var role: ICERole { current.role }
    /// A newer generation has not taken over yet.
    public var isRestartPending: Bool { pending != nil }

    /// Fragments of all generations that are answered.
    public var liveFragments: [UsernameFragment] {
        [current.local.ufrag] + [pending?.agent.local.ufrag, retired?.agent.local.ufrag].compactMap { $0 }
    }

    /// Requests to this fragment are answered by this session.
    public func owns(_ fragment: UsernameFragment) -> Bool { liveFragments.contains(fragment) }

    /// The selected path, as long as there is consent to send on it.
    public var selectedPath: Path? { current.hasConsent ? current.selected : nil }

    /// Where DTLS and media may be sent now: `selectedPath`, or before the nomination the best valid path.
    public var sendPath: Path? { current.sendPath }

    /// The path has answered a check of ours.
    public func isValidated(_ path: Path) -> Bool { toldValid.contains(path) }

    /// Smoothed round-trip time of checks on the selected path.
    public var roundTripTime: Interval? {
        guard let selected = current.selected, let index = current.index(of: selected) else { return nil }
        return current.pairs[index].roundTripTime
    }

    /// Latest answer of the peer on the selected path: what RFC 7675 consent is counted from.
    public var consentedAt: Instant? {
        guard let selected = current.selected, let index = current.index(of: selected) else { return nil }
        return current.pairs[index].answeredAt
    }

    /// Where the session stands now.
    public var state: State {
        if let selected = current.selected { return current.hasConsent ? .connected(selected) : .disconnected }
        if current.hasFailed { return .failed }
        return current.remote == nil ? .waiting : .checking
    }

    // MARK: Signalling

    /// Takes the peer's description. Checks start at the next `advance`, which is due at once.
    ///
    /// - Parameter generation: nil for an untagged description, which is the established generation's.
    @discardableResult
    public func setRemote(
        _ credentials: ICECredentials?, candidates: [Candidate], generation: UInt32?, now: Instant
    ) -> RemoteOutcome {
        if let generation, generation != 0 || pending != nil {
            guard var agent = pending?.agent, agent.generation == generation, agent.remote == nil else {
                return .ignoredGeneration
            }
            guard let credentials else { return .ignoredIncomplete }
            agent.setRemote(credentials, now: now)
            for candidate in candidates { agent.add(candidate, now: now) }
            pending?.agent = agent
            return .applied
        }
        guard current.generation == 0, current.selected == nil else { return .ignoredEstablished }
        if let credentials { current.setRemote(credentials, now: now) }
        for candidate in candidates { current.add(candidate, now: now) }
        return .applied
    }

    /// Starts a new generation with `credentials` (fresh ones), unless one is already waiting for the peer's answer or
    /// there is nothing to restart. A restart whose checks have begun is superseded.
    public func restart(
        credentials: ICECredentials, now: Instant, into output: inout ICEOutput
    ) -> RestartOutcome {
        guard current.selected != nil else { return .keptExisting }
        if let pending {
            guard pending.agent.remote != nil else { return .alreadyPending(generation: pending.agent.generation) }
            abandonPending(into: &output)
        }
        lastGeneration += 1
        let agent = ICEAgent(
            role: current.role, credentials: credentials, bases: bases, tieBreaker: tieBreaker, tag: tag,
            generation: lastGeneration, settings: settings, now: now)
        pending = (agent, now + settings.restartTimeout)
        return .started(generation: lastGeneration)
    }

    // MARK: Datagrams and time

    /// Takes a STUN message that arrived on `path`, answers it and does what is due. A message that is dropped changes
    /// nothing and costs little more than its digest.
    public func receive(_ datagram: Span<UInt8>, on path: Path, now: Instant, into output: inout ICEOutput) {
        let eventCount = output.events.count
        do throws(STUNError) {
            let message = try STUNMessage(parsing: datagram)
            if message.method == STUNMessage.binding {
                dispatch(message, datagram, on: path, now: now, into: &output)
            } else {
                output.events.append(.dropped(.malformed))
            }
        } catch {
            output.events.append(.dropped(error == .fingerprint ? .fingerprint : .malformed))
        }
        // Until here drops are the only events.
        if output.events.count == eventCount { advance(now: now, into: &output) }
    }

    private func dispatch(
        _ message: STUNMessage, _ datagram: Span<UInt8>, on path: Path, now: Instant, into output: inout ICEOutput
    ) {
        switch message.messageClass {
        case .request:
            let fragment = message.usernameFragments(in: datagram)?.receiver
            if fragment == current.local.ufrag {
                current.receiveRequest(message, datagram, on: path, learns: true, now: now, into: &output)
            } else if let agent = pending?.agent, fragment == agent.local.ufrag {
                pending?.agent.receiveRequest(message, datagram, on: path, learns: true, now: now, into: &output)
            } else if let agent = retired?.agent, fragment == agent.local.ufrag {
                retired?.agent.receiveRequest(message, datagram, on: path, learns: false, now: now, into: &output)
            } else {
                output.events.append(.dropped(.unknownUsername))
            }
        case .success, .error:
            if current.owns(message.transactionID) {
                current.receiveResponse(message, datagram, on: path, now: now, into: &output)
            } else if let agent = pending?.agent, agent.owns(message.transactionID) {
                pending?.agent.receiveResponse(message, datagram, on: path, now: now, into: &output)
            } else {
                output.events.append(.dropped(.unknownTransaction))
            }
        case .indication:
            output.events.append(.dropped(.indication))
        }
    }

    /// Does what is due at `now`. To be called at `deadline`, and after `setRemote`.
    public func advance(now: Instant, into output: inout ICEOutput) {
        current.advance(now: now, random: &random, into: &output)
        if pending != nil { advancePending(now: now, into: &output) }
        if let retired, retired.expiresAt <= now {
            self.retired = nil
            output.events.append(.fragmentRetired(retired.agent.local.ufrag))
        }
        report(into: &output)
    }

    private func advancePending(now: Instant, into output: inout ICEOutput) {
        pending?.agent.advance(now: now, random: &random, into: &output)
        guard let pending else { return }
        if pending.agent.selected != nil {
            if let retired { output.events.append(.fragmentRetired(retired.agent.local.ufrag)) }
            retired = (current, now + settings.transitionWindow)
            current = pending.agent
            self.pending = nil
            output.events.append(.restarted(generation: current.generation))
        } else if pending.expiresAt <= now {
            abandonPending(into: &output)
        }
    }

    private func abandonPending(into output: inout ICEOutput) {
        guard let pending else { return }
        self.pending = nil
        output.events.append(.restartAbandoned(generation: pending.agent.generation))
        output.events.append(.fragmentRetired(pending.agent.local.ufrag))
    }

    /// When `advance` must be called next; nil when only a datagram or signalling can change anything.
    public var deadline: Instant? {
        [current.deadline, pending?.agent.deadline, pending?.expiresAt, retired?.expiresAt].compactMap { $0 }.min()
    }

    // MARK: Events

    /// Tells the owner what is different from what it was told before.
    private func report(into output: inout ICEOutput) {
        let agents = [current] + [pending?.agent, retired?.agent].compactMap { $0 }
        reportPaths(of: agents, into: &output)

        if !toldFirstValidation, let path = current.validPaths.first {
            toldFirstValidation = true
            output.events.append(.validated(path))
        }
        if current.selected != toldSelected, let selected = current.selected {
            toldSelected = selected
            toldConsent = current.hasConsent
            output.events.append(.selected(selected))
        } else if let selected = current.selected, current.hasConsent != toldConsent {
            toldConsent = current.hasConsent
            output.events.append(toldConsent ? .consentRegained(selected) : .consentLost)
        }
        if current.hasFailed != toldFailure {
            toldFailure = current.hasFailed
            if toldFailure { output.events.append(.failed) }
        }
    }

    private func reportPaths(of agents: [ICEAgent], into output: inout ICEOutput) {
        var valid: [Path] = []
        var heard: [Path] = []
        for pair in agents.lazy.flatMap(\.pairs) {
            if pair.isValid && !valid.contains(pair.path) { valid.append(pair.path) }
            if pair.heardAt != nil && !heard.contains(pair.path) { heard.append(pair.path) }
        }
        for path in heard where !toldHeard.contains(path) && !valid.contains(path) && !toldValid.contains(path) {
            output.events.append(.pathHeard(path))
        }
        for path in valid where !toldValid.contains(path) { output.events.append(.pathAdded(path)) }
        let gone = toldValid + toldHeard.filter { !toldValid.contains($0) }
        for path in gone where !valid.contains(path) && !heard.contains(path) {
            output.events.append(.pathRemoved(path))
        }
        toldHeard = heard
        toldValid = valid
    }
}
