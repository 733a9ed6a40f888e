// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Colibri
import DTLS
import ICE
import RTP
import Testing

/// The client's side of ICE and DTLS in front of a virtual client: once the handshake is done the client gets its keys from it.
final class LiveTransport {
    let client: VirtualClient
    let ice: ICESession
    let dtls: DTLSSession
    private let identity: DTLSIdentity
    private let path: Path
    private var random: SplitMix
    private var readyAt: Instant?
    private var isStarted = false
    private(set) var events: [ICEEvent] = []
    /// While false the client's ICE says nothing, as if its network were gone.
    var isAlive = true
    /// What DTLS delivered for SCTP.
    private(set) var applicationData: [[UInt8]] = []

    init(_ client: VirtualClient, bridge: TransportAddress, seed: UInt64, now: Instant) throws {
        self.client = client
        var random = SplitMix(seed: seed)
        self.random = SplitMix(seed: ~seed)
        identity = try DTLSIdentity.generate(now: 1_700_000_000)
        dtls = try DTLSSession(identity: identity, firstRetransmission: .seconds(20))
        path = Path(socket: 9, local: client.address.ip, remote: bridge)
        ice = ICESession(
            role: .controlled, credentials: ICECredentials(firstCharacter: UInt8(ascii: "z"), using: &random),
            bases: [LocalBase(socket: 9, address: client.address)], tieBreaker: random.next(), tag: 1, now: now,
            using: &random)
    }

    /// What the client signals: credentials and its certificate; no candidates, as from behind a NAT.
    var offer: TransportModify {
        TransportModify(
            iceControlling: true, sctp: SCTPDescription(),
            ice: ICETransportDescription(
                ufrag: ice.localCredentials.ufrag, pwd: ice.localCredentials.pwd,
                fingerprints: [.init(fingerprint: identity.fingerprint, setup: .active)]))
    }

    /// Takes the bridge's answer.
    func take(_ answer: ICETransportDescription, now: Instant) {
        dtls.setRemoteFingerprints(answer.fingerprints.map(\.fingerprint))
        guard let ufrag = answer.ufrag, let pwd = answer.pwd else { return }
        ice.setRemote(
            ICECredentials(ufrag: ufrag, pwd: pwd), candidates: answer.candidates,
            generation: answer.generation.map { UInt32($0) }, now: now)
    }

    /// New credentials of ours.
    func restart(now: Instant) -> ICECredentials {
        let credentials = ICECredentials(firstCharacter: UInt8(ascii: "y"), using: &random)
        var output = ICEOutput()
        _ = ice.restart(credentials: credentials, now: now, into: &output)
        take(output)
        return credentials
    }

    func advance(_ now: Instant) {
        var output = ICEOutput()
        ice.advance(now: now, into: &output)
        take(output)
        if readyAt == nil, ice.sendPath != nil { readyAt = now }
        // DTLS repeats a lost hello by its own clock, not by virtual time: it starts when the bridge has surely heard of the path.
        if !isStarted, let readyAt, now - readyAt > .milliseconds(150) {
            isStarted = true
            dtls.start(role: .client)
        }
        drain()
    }

    func receive(_ datagram: [UInt8], _ now: Instant) {
        guard isAlive else { return }
        switch DatagramKind(datagram.span) {
        case .stun:
            var output = ICEOutput()
            ice.receive(datagram.span, on: path, now: now, into: &output)
            take(output)
        case .dtls:
            dtls.receive(datagram.span)
            drain()
        case .rtp, .rtcp: client.receive(datagram, now)
        case .unknown: Issue.record("the bridge sent what nobody can sort")
        }
    }

    func send(application bytes: [UInt8]) -> Bool {
        defer { drain() }
        return dtls.send(application: bytes.span)
    }

    private func take(_ output: ICEOutput) {
        events += output.events
        guard isAlive else { return }
        client.outgoing += output.datagrams.map(\.bytes)
    }

    private func drain() {
        guard isStarted else { return }
        while let datagram = dtls.takeDatagram() { if isAlive { client.outgoing.append(datagram) } }
        if client.srtp == nil, let keys = dtls.keys { client.srtp = try? ClientSRTP(keys) }
        while let data = dtls.takeApplicationData() { applicationData.append(data) }
    }
}
