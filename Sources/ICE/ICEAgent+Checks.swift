// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

internal import RTP

/// The client side of connectivity checks: order, pace, retransmission, responses (RFC 8445 sections 6.1.4, 7.2).
extension ICEAgent {
    var hasCheckToSend: Bool {
        guard remote != nil else { return false }
        return !triggered.isEmpty || selected == nil && pairs.contains { $0.state == .waiting }
    }

    /// Sends one new check if there is one and its time has come.
    mutating func sendCheck(now: Instant, random: inout SessionRandom, into output: inout ICEOutput) {
        guard hasCheckToSend, nextCheckAt <= now, let index = nextPair() else { return }
        nextCheckAt = now + settings.pacing
        progressAt = now
        if pairs[index].state != .succeeded { pairs[index].state = .inProgress }
        pairs[index].noteSent(insisting: true, now: now)
        let nominates = role == .controlling && pairs[index].path == nominating
        send(nominates ? .nomination : .check, pairAt: index, now: now, random: &random, into: &output)
    }

    private mutating func nextPair() -> Int? {
        while !triggered.isEmpty {
            if let index = index(of: triggered.removeFirst()) { return index }
        }
        guard selected == nil else { return nil }
        return pairs.indices.filter { pairs[$0].state == .waiting }
            .max { pairs[$0].priority(as: role) < pairs[$1].priority(as: role) }
    }

    mutating func send(
        _ purpose: CheckTransaction.Purpose, pairAt index: Int, now: Instant, random: inout SessionRandom,
        into output: inout ICEOutput
    ) {
        guard let remote else { return }
        let id = STUNTransactionID(tag: tag, nonce: random.next())
        var writer = STUNWriter(.request, transactionID: id)
        writer.append(username: "\(remote.ufrag):\(local.ufrag)")
        writer.append(priority: pairs[index].reflexivePriority)
        writer.append(role: role, tieBreaker: tieBreaker)
        if purpose == .nomination || purpose == .consent && role == .controlling { writer.appendUseCandidate() }
        writer.appendIntegrity(key: remote.pwd.key)
        writer.appendFingerprint()
        if transactions.count >= settings.maximumTransactions {
            // There are fewer pairs than this, so some transaction only waits for a late response.
            transactions.remove(at: transactions.firstIndex { !$0.isLive } ?? 0)
        }
        transactions.append(
            CheckTransaction(
                id: id, path: pairs[index].path, purpose: purpose, role: role, bytes: writer.bytes,
                settings: settings, now: now))
        output.datagrams.append((pairs[index].path, writer.bytes))
    }

    mutating func retransmit(now: Instant, into output: inout ICEOutput) {
        for index in transactions.indices {
            switch transactions[index].advance(now: now, settings: settings) {
            case .retransmit: output.datagrams.append((transactions[index].path, transactions[index].bytes))
            case .failed: fail(transactions[index].path, now: now)
            case .nothing: break
            }
        }
    }

    /// A check on the path got no or a bad response (RFC 8445 section 7.2.5.2). The selected pair is judged by consent
    /// alone.
    private mutating func fail(_ path: Path, now: Instant) {
        progressAt = now
        if path == nominating { nominating = nil }
        guard path != selected, let index = index(of: path), !hasLiveTransaction(on: path) else { return }
        pairs[index].state = .failed
        pairs[index].heardAt = nil
        pairs[index].answeredAt = nil
    }

    func hasLiveTransaction(on path: Path) -> Bool { transactions.contains { $0.path == path && $0.isLive } }

    func owns(_ id: STUNTransactionID) -> Bool { transactions.contains { $0.id == id } }

    /// Takes a response to a transaction that is ours. Without a right MESSAGE-INTEGRITY it is as if it had never come
    /// (RFC 8489 section 9.1.4), errors included.
    mutating func receiveResponse(
        _ message: STUNMessage, _ bytes: Span<UInt8>, on path: Path, now: Instant, into output: inout ICEOutput
    ) {
        guard let remote, message.verifiesIntegrity(of: bytes, key: remote.pwd.key) else {
            output.events.append(.dropped(.integrity))
            return
        }
        guard let position = transactions.firstIndex(where: { $0.id == message.transactionID }) else { return }
        let transaction = transactions.remove(at: position)
        if message.messageClass == .error, message.errorCode == 487 {
            if transaction.role == role { switchRole() }
            enqueue(transaction.path)
        } else if message.messageClass == .success, message.xorMappedAddress != nil, path == transaction.path,
            message.unknownRequired.isEmpty
        {
            succeed(transaction, now: now)
        } else {
            // Any other error, a success from elsewhere (RFC 8445 section 7.2.5.2.1) or without the mapped address.
            fail(transaction.path, now: now)
        }
    }

    private mutating func succeed(_ transaction: CheckTransaction, now: Instant) {
        guard let index = index(of: transaction.path) else { return }
        let sample = transaction.retransmissions == 0 ? now - transaction.firstSentAt : nil
        pairs[index].noteAnswer(roundTrip: sample, now: now)
        hasFailed = false
        for position in transactions.indices
        where transactions[position].path == transaction.path
            && (transactions[position].purpose != .nomination || transaction.purpose == .nomination)
        {
            transactions[position].cancel()
        }
        triggered.removeAll { $0 == transaction.path && $0 != nominating }
        if transaction.purpose == .nomination && transaction.role == .controlling && role == .controlling {
            pairs[index].nominatedAt = now
        }
        chooseAfterSuccess(on: transaction.path, wasNominated: transaction.purpose == .nomination, now: now)
    }

    mutating func enqueue(_ path: Path) {
        if !triggered.contains(path) { triggered.append(path) }
        if let index = index(of: path), pairs[index].state == .failed { pairs[index].state = .waiting }
    }

    /// What an authentic check on `path` makes us do (RFC 8445 sections 7.3.1.4, 7.3.1.5).
    mutating func trigger(_ path: Path, nominated: Bool, now: Instant) {
        guard let index = index(of: path) else { return }
        hasFailed = false
        if nominated && role == .controlled { pairs[index].nominatedAt = now }
        switch pairs[index].state {
        case .waiting, .failed:
            enqueue(path)
        case .inProgress:
            // The first transmissions often die at the peer's NAT; now it is open. A check that has just left is not
            // repeated, so that a peer that asks often does not make us do so.
            let latest = transactions.lazy.filter { $0.path == path && $0.isLive }.map(\.lastSentAt).max()
            if let latest, now - latest < settings.retransmissionTimeout { break }
            cancelTransactions(on: path)
            enqueue(path)
        case .succeeded:
            if nominated && role == .controlled { chooseNominated(path, now: now) }
            recheck(after: path, now: now)
        }
        if path != selected { doubtSelected(now: now) }
    }

    func canRecheck(_ pair: CandidatePair, after age: Interval, now: Instant) -> Bool {
        guard let answeredAt = pair.answeredAt, now - answeredAt >= age else { return false }
        return !hasLiveTransaction(on: pair.path)
    }

    private mutating func cancelTransactions(on path: Path) {
        for position in transactions.indices where transactions[position].path == path {
            transactions[position].cancel()
        }
    }
}
