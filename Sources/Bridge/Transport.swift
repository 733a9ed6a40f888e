// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Everything between one peer and its plain packets: ICE finds the path, DTLS the keys, SRTP protects.

import DTLS
import ICE
import RTP
import SRTP

/// Made by ICE + DTLS, or keyed: `adopt` gives it SRTP keys and a validated path (simulation, bench, hand-over).
final class Transport {
    /// What the owner has to know of what happened inside.
    enum Event {
        case pathAdded(Path)
        case pathRemoved(Path)
        case selected(Path)
        case connected
        case iceFailed
        case consentLost
        case consentRegained
        case fragmentRetired(UsernameFragment)
        case dtlsFailed(DTLSError)
        case applicationData([UInt8])
        case dropped(DropReason)
    }

    let ice: ICESession?
    let dtls: DTLSSession?
    private let engine: SRTPEngine
    private(set) var profile: ProtectionProfile?
    private(set) var sealer: SRTPSealer?
    private(set) var opener: SRTPOpener?
    private var keyedPath: Path?
    private var role: DTLSRole?
    private var dtlsStarted = false
    private var dtlsDone = false
    private var lastActivity: Instant
    private var output = ICEOutput()

    init(ice: ICESession, dtls: DTLSSession, engine: SRTPEngine, now: Instant) {
        self.ice = ice
        self.dtls = dtls
        self.engine = engine
        lastActivity = now
    }

    /// Takes keys and a validated path as given, in place of ICE and DTLS; from then on nothing can tell the difference.
    func adopt(_ keys: DTLSSRTPKeys, path: Path) throws(SRTPError) {
        keyedPath = path
        try makeContexts(keys)
    }

    private func makeContexts(_ keys: DTLSSRTPKeys) throws(SRTPError) {
        sealer = try SRTPSealer(profile: keys.profile, key: keys.local, engine: engine)
        opener = try SRTPOpener(profile: keys.profile, key: keys.remote, engine: engine)
        profile = keys.profile
    }

    /// Where packets go now; nil before a path was validated and after consent was lost (RFC 7675: media stops).
    var sendPath: Path? {
        keyedPath ?? ice?.sendPath
    }

    /// Media can flow in both directions.
    var isConnected: Bool { sealer != nil && sendPath != nil }

    /// When the peer was last heard of, by media or by an answered check.
    var lastHeard: Instant { max(lastActivity, ice?.consentedAt ?? lastActivity) }
    func noteActivity(_ now: Instant) { lastActivity = now }

    /// Starts an ICE restart (make before break).
    ///
    /// - Returns: whether the answer describes the transport; a transport without ICE has nothing to restart.
    func restart(credentials: ICECredentials, now: Instant) -> Bool {
        guard let ice else { return false }
        _ = ice.restart(credentials: credentials, now: now, into: &output)
        return true
    }

    // MARK: Signalling

    /// Applies what the peer signalled. Fingerprints replace the old ones if there are any; `setup` of the first one tells the
    /// DTLS role.
    func signal(
        credentials: ICECredentials?, candidates: [Candidate], generation: UInt32?,
        fingerprints: [(fingerprint: Fingerprint, setup: DTLSSetup?)], batch: OutboundBatch, now: Instant
    ) -> [Event] {
        if !fingerprints.isEmpty {
            dtls?.setRemoteFingerprints(fingerprints.map(\.fingerprint))
            switch fingerprints[0].setup {
            case .active: role = .server
            case .passive: role = .client
            case .actpass, nil: break
            }
        }
        ice?.setRemote(credentials, candidates: candidates, generation: generation, now: now)
        return advance(batch: batch, now: now)
    }

    /// What we tell the peer about the DTLS role (RFC 5763 section 5).
    var setup: DTLSSetup {
        switch role {
        case nil: .actpass
        case .server: .passive
        case .client: .active
        }
    }

    // MARK: Datagrams

    func receiveSTUN(_ datagram: Span<UInt8>, on path: Path, batch: OutboundBatch, now: Instant) -> [Event] {
        guard let ice else { return [.dropped(.stunRefused)] }
        ice.receive(datagram, on: path, now: now, into: &output)
        return drain(batch, now)
    }

    /// - Parameter path: validated by ICE; the caller has checked.
    func receiveDTLS(_ datagram: Span<UInt8>, on path: Path, batch: OutboundBatch, now: Instant) -> [Event] {
        guard let dtls else { return [.dropped(.beforeDTLS)] }
        // A peer that says hello first has taken the client's part, whatever it signalled.
        if !dtlsStarted { startDTLS(role ?? .server) }
        dtls.receive(datagram)
        lastActivity = now
        return drain(batch, now)
    }

    /// Sends SCTP packets as DTLS application data (RFC 8261).
    func sendApplicationData(_ bytes: [UInt8], batch: OutboundBatch, now: Instant) -> [Event] {
        guard let dtls, dtls.send(application: bytes.span) else { return [] }
        return drain(batch, now)
    }

    /// Timers of ICE and DTLS.
    func advance(batch: OutboundBatch, now: Instant) -> [Event] {
        ice?.advance(now: now, into: &output)
        dtls?.timeout(now: now)
        return drain(batch, now)
    }

    func close(batch: OutboundBatch, now: Instant) {
        dtls?.close()
        _ = drain(batch, now)
    }

    private func startDTLS(_ role: DTLSRole) {
        dtlsStarted = true
        self.role = role
        dtls?.start(role: role)
    }

    private func drain(_ batch: OutboundBatch, _ now: Instant) -> [Event] {
        var events: [Event] = []
        for event in output.events { note(event, now, &events) }
        for datagram in output.datagrams { batch.append(datagram.bytes, to: datagram.path) }
        output.events.removeAll(keepingCapacity: true)
        output.datagrams.removeAll(keepingCapacity: true)
        if let role, !dtlsStarted, sendPath != nil { startDTLS(role) }
        if dtlsStarted { drainDTLS(batch, &events) }
        return events
    }

    private func note(_ event: ICEEvent, _ now: Instant, _ events: inout [Event]) {
        switch event {
        case .validated: lastActivity = now
        case .selected(let path):
            lastActivity = now
            events.append(.selected(path))
        case .pathAdded(let path): events.append(.pathAdded(path))
        case .pathRemoved(let path): events.append(.pathRemoved(path))
        case .consentLost: events.append(.consentLost)
        case .consentRegained:
            lastActivity = now
            events.append(.consentRegained)
        case .failed: events.append(.iceFailed)
        case .fragmentRetired(let fragment): events.append(.fragmentRetired(fragment))
        // A path that only asked is nobody's yet; restarts show in the selected path.
        case .pathHeard, .restarted, .restartAbandoned: break
        case .dropped: events.append(.dropped(.stunRefused))
        }
    }

    private func drainDTLS(_ batch: OutboundBatch, _ events: inout [Event]) {
        guard let dtls else { return }
        // Without a path the flight waits where it is.
        while let path = sendPath, let datagram = dtls.takeDatagram() { batch.append(datagram, to: path) }
        if !dtlsDone {
            switch dtls.state {
            case .connected: takeKeys(dtls, &events)
            case .failed(let error):
                dtlsDone = true
                events.append(.dtlsFailed(error))
            case .new, .handshaking, .closed: break
            }
        }
        while let data = dtls.takeApplicationData() { events.append(.applicationData(data)) }
    }

    private func takeKeys(_ dtls: DTLSSession, _ events: inout [Event]) {
        dtlsDone = true
        guard let keys = dtls.keys else { return }
        do throws(SRTPError) {
            try makeContexts(keys)
            events.append(.connected)
        } catch {
            events.append(.dtlsFailed(.noProtectionProfile))
        }
    }
}
