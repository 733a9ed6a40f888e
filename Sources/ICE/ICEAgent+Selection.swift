// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

internal import RTP

/// Nomination, consent and the change of paths in mid-call (RFC 8445 section 8, RFC 7675).
///
/// Controlling: the first valid pair is nominated. When the selected pair does not answer any more and another does, that
/// one is nominated. Controlled: the pair that the peer nominated and that answers us is selected.
extension ICEAgent {
    /// A path is asked again on the occasion of a peer's check only if its latest answer is older than this.
    static var recheckAge: Interval { .seconds(1) }
    /// A nomination of a worse pair within this time is taken for part of an aggressive nomination.
    static var nominationSpread: Interval { .seconds(2) }

    // MARK: Choice

    /// A check on `path` has just been answered.
    mutating func chooseAfterSuccess(on path: Path, wasNominated: Bool, now: Instant) {
        if path == selected {
            hasConsent = true
            hasAskedOthers = false
        }
        switch role {
        case .controlling:
            if wasNominated && path == nominating {
                select(path)
            } else if selected == nil || !hasConsent {
                if nominating == nil && path != selected { nominate(path) }
            }
            reconsiderSelection(now: now)
        case .controlled:
            if let index = index(of: path), pairs[index].nominatedAt != nil { chooseNominated(path, now: now) }
        }
    }

    /// Controlled: the valid pair on `path` is nominated by the peer.
    mutating func chooseNominated(_ path: Path, now: Instant) {
        guard path != selected, let index = index(of: path), let nominatedAt = pairs[index].nominatedAt,
            let answeredAt = pairs[index].answeredAt
        else { return }
        guard now - answeredAt < settings.consentInterval else {
            enqueue(path)
            return
        }
        if let selected, hasConsent, !isSilent(selected, now: now), let current = self.index(of: selected),
            pairs[index].priority(as: role) < pairs[current].priority(as: role),
            let previous = pairs[current].nominatedAt, nominatedAt - previous < Self.nominationSpread
        {
            return
        }
        select(path)
    }

    private mutating func nominate(_ path: Path) {
        nominating = path
        triggered.removeAll { $0 == path }
        triggered.insert(path, at: 0)
    }

    private mutating func select(_ path: Path) {
        selected = path
        nominating = nil
        hasConsent = true
        hasAskedOthers = false
        // Its latest answer is the first consent; the next is asked for in due time.
        nextConsentAt = nil
    }

    /// The pair has left questions unanswered for so long that another one may take its place.
    private func isSilent(_ path: Path, now: Instant) -> Bool {
        guard let index = index(of: path), let since = pairs[index].insistingSince else { return false }
        return now - since >= pairs[index].tolerance(settings)
    }

    /// Controlling: gives up a silent selected (or half nominated) pair for one that answers.
    mutating func reconsiderSelection(now: Instant) {
        guard role == .controlling, startedAt != nil else { return }
        if let nominating {
            guard isSilent(nominating, now: now), let other = bestAnswering(since: nominating) else { return }
            nominate(other)
        } else if let selected {
            guard !hasConsent || isSilent(selected, now: now), let other = bestAnswering(since: selected) else {
                return
            }
            nominate(other)
        } else if let best = pairs.filter(\.isValid).max(by: { $0.priority(as: role) < $1.priority(as: role) }) {
            // After a failed nomination or a switch of roles.
            nominate(best.path)
        }
    }

    /// The best pair that has answered since `path` fell silent.
    private func bestAnswering(since path: Path) -> Path? {
        guard let index = index(of: path), let since = pairs[index].unansweredSince else { return nil }
        return pairs.filter { pair in
            guard pair.isValid, pair.path != path, let answeredAt = pair.answeredAt else { return false }
            return answeredAt >= since
        }.max { $0.priority(as: role) < $1.priority(as: role) }?.path
    }

    // MARK: Doubt

    /// The peer speaks from another path than the selected one: ask the selected pair whether it is still there.
    mutating func doubtSelected(now: Instant) {
        guard role == .controlling, let selected, let index = index(of: selected), hasConsent,
            canRecheck(pairs[index], after: Self.recheckAge, now: now)
        else { return }
        enqueue(selected)
    }

    /// The peer has just asked on a path that is already valid.
    mutating func recheck(after path: Path, now: Instant) {
        guard let index = index(of: path) else { return }
        let isNeeded = selected != nil && (path != selected || !hasConsent)
        if isNeeded && canRecheck(pairs[index], after: Self.recheckAge, now: now) { enqueue(path) }
    }

    /// When the silent selected pair is to be asked insistently, and the others with it.
    var suspicionDeadline: Instant? {
        guard !hasAskedOthers, hasConsent, let selected, let index = index(of: selected),
            let since = pairs[index].unansweredSince
        else { return nil }
        return since + pairs[index].tolerance(settings)
    }

    /// When a silent pair is to be given up for one that answers. Without such a one there is nothing to do before.
    var surrenderDeadline: Instant? {
        guard role == .controlling, let silent = nominating ?? (hasConsent ? selected : nil),
            let index = index(of: silent), let since = pairs[index].insistingSince, bestAnswering(since: silent) != nil
        else { return nil }
        return since + pairs[index].tolerance(settings)
    }

    private mutating func askOthers(now: Instant) {
        guard let selected, let index = index(of: selected), !hasAskedOthers, let since = pairs[index].unansweredSince,
            now - since >= pairs[index].tolerance(settings)
        else { return }
        hasAskedOthers = true
        if !hasLiveTransaction(on: selected) { enqueue(selected) }
        for pair in pairs where pair.path != selected && !hasLiveTransaction(on: pair.path) {
            let isFresh = pair.activeAt.map { now - $0 < settings.consentExpiry } ?? (pair.state == .waiting)
            if isFresh { enqueue(pair.path) }
        }
    }

    // MARK: Consent

    var consentDeadline: Instant? {
        guard let selected, hasConsent, let index = index(of: selected) else { return nil }
        guard let nextConsentAt, let answeredAt = pairs[index].answeredAt else { return nil }
        return min(nextConsentAt, answeredAt + settings.consentExpiry)
    }

    /// Loses consent that has run out, asks for it when its time has come (RFC 7675 section 5.1).
    mutating func maintainConsent(now: Instant, random: inout SessionRandom, into output: inout ICEOutput) {
        guard let selected, hasConsent, let index = index(of: selected) else { return }
        if let answeredAt = pairs[index].answeredAt, answeredAt + settings.consentExpiry <= now {
            hasConsent = false
            nextConsentAt = nil
            return
        }
        if let due = nextConsentAt, due <= now {
            nextConsentAt = nil
            hasAskedOthers = false
            pairs[index].noteSent(insisting: false, now: now)
            send(.consent, pairAt: index, now: now, random: &random, into: &output)
        }
        if nextConsentAt == nil { nextConsentAt = now + consentDelay(&random) }
        askOthers(now: now)
    }

    // MARK: Before the nomination

    /// Valid pairs need consent too while the peer makes up its mind which one to nominate.
    private func needsRefresh(_ pair: CandidatePair) -> Bool {
        pair.isValid && selected == nil && remote != nil && !triggered.contains(pair.path)
            && !hasLiveTransaction(on: pair.path)
    }

    var refreshDeadline: Instant? {
        pairs.lazy.filter(needsRefresh).compactMap(\.answeredAt).min().map { $0 + settings.consentInterval }
    }

    mutating func refreshUnselected(now: Instant) {
        for pair in pairs where needsRefresh(pair) && canRecheck(pair, after: settings.consentInterval, now: now) {
            enqueue(pair.path)
        }
    }

    private func consentDelay(_ random: inout SessionRandom) -> Interval {
        settings.consentInterval * Int64.random(in: 800...1200, using: &random) / 1000
    }
}
