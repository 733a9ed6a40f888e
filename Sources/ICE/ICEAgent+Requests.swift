// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

internal import RTP

/// The server side of connectivity checks (RFC 8445 section 7.3). Nothing is answered, learned or changed before
/// MESSAGE-INTEGRITY has been verified.
extension ICEAgent {
    /// Takes a Binding request that names our username fragment.
    ///
    /// - Parameter learns: false for a generation that was replaced: it still answers, but does nothing more.
    mutating func receiveRequest(
        _ message: STUNMessage, _ bytes: Span<UInt8>, on path: Path, learns: Bool, now: Instant,
        into output: inout ICEOutput
    ) {
        guard message.verifiesIntegrity(of: bytes, key: local.pwd.key) else {
            output.events.append(.dropped(.integrity))
            return
        }
        guard message.unknownRequired.isEmpty else {
            respond(error: 420, unknown: message.unknownRequired, to: message, on: path, into: &output)
            return
        }
        guard let priority = message.priority else {
            respond(error: 400, to: message, on: path, into: &output)
            return
        }
        if learns {
            guard resolveRole(message) else {
                respond(error: 487, to: message, on: path, into: &output)
                return
            }
            guard learn(path, priority: priority, now: now) else {
                output.events.append(.dropped(.tooManyPaths))
                return
            }
        }
        var writer = STUNWriter(.success, transactionID: message.transactionID)
        writer.append(xorMappedAddress: path.remote)
        finish(writer, on: path, into: &output)
        if learns { trigger(path, nominated: message.useCandidate, now: now) }
    }

    /// RFC 8445 section 7.3.1.1. False when the peer has to change its role, not we.
    private mutating func resolveRole(_ message: STUNMessage) -> Bool {
        switch role {
        case .controlling:
            guard let theirs = message.iceControlling else { return true }
            if tieBreaker >= theirs { return false }
            switchRole()
        case .controlled:
            guard let theirs = message.iceControlled else { return true }
            if tieBreaker < theirs { return false }
            switchRole()
        }
        return true
    }

    /// Finds or adds the pair of an authentic check (RFC 8445 sections 7.3.1.3, 7.3.1.4). False at the limit of addresses.
    private mutating func learn(_ path: Path, priority: UInt32, now: Instant) -> Bool {
        if let index = index(of: path) {
            pairs[index].heardAt = now
            if pairs[index].isLearned { pairs[index].remotePriority = priority }
            return true
        }
        guard makeRoom(for: path.remote, now: now) else { return false }
        var added = pair(on: path, remotePriority: priority, isLearned: true)
        added.heardAt = now
        pairs.append(added)
        progressAt = now
        return true
    }

    /// Forgets a learned address that is dead if `remote` would be one too many, and a pair that leads nowhere if there
    /// are too many pairs.
    private mutating func makeRoom(for remote: TransportAddress, now: Instant) -> Bool {
        var learned: [TransportAddress] = []
        for pair in pairs where pair.isLearned && !learned.contains(pair.path.remote) {
            learned.append(pair.path.remote)
        }
        if !learned.contains(remote) && learned.count >= settings.maximumLearnedAddresses {
            let dead = learned.filter { address in
                pairs.allSatisfy { $0.path.remote != address || isDispensable($0, now: now) }
            }
            guard let oldest = dead.min(by: { lastActivity(of: $0) < lastActivity(of: $1) }) else { return false }
            removePairs { $0.path.remote == oldest && $0.isLearned }
        }
        if pairs.count >= settings.maximumPairs {
            guard let victim = pairs.first(where: { !$0.isValid && isDispensable($0, now: now) }) else { return false }
            let path = victim.path
            removePairs { $0.path == path }
        }
        return true
    }

    private func isDispensable(_ pair: CandidatePair, now: Instant) -> Bool {
        guard pair.path != selected && pair.path != nominating else { return false }
        guard pair.state != .failed, let activeAt = pair.activeAt else { return true }
        return now - activeAt > settings.consentExpiry
    }

    private func lastActivity(of remote: TransportAddress) -> Instant {
        pairs.lazy.filter { $0.path.remote == remote }.compactMap(\.activeAt).max() ?? Instant(nanoseconds: 0)
    }

    private mutating func removePairs(_ matches: (CandidatePair) -> Bool) {
        let paths = pairs.filter(matches).map(\.path)
        pairs.removeAll(where: matches)
        triggered.removeAll(where: paths.contains)
        transactions.removeAll { paths.contains($0.path) }
    }

    private func respond(
        error code: UInt16, unknown: [UInt16] = [], to message: STUNMessage, on path: Path,
        into output: inout ICEOutput
    ) {
        var writer = STUNWriter(.error, transactionID: message.transactionID)
        writer.append(errorCode: code)
        if !unknown.isEmpty { writer.append(unknownAttributes: unknown) }
        finish(writer, on: path, into: &output)
    }

    private func finish(_ writer: STUNWriter, on path: Path, into output: inout ICEOutput) {
        var writer = writer
        writer.appendIntegrity(key: local.pwd.key)
        writer.appendFingerprint()
        output.datagrams.append((path, writer.bytes))
    }
}
