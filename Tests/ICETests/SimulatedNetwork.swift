// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import RTP

@testable import ICE

/// Two or more ICE sessions joined by a network that delays, loses, reorders and translates addresses, in virtual time.
final class SimulatedNetwork {
    struct Host {
        let session: ICESession
        let bases: [LocalBase]
        /// Private to public addresses of the NAT in front of this host.
        var nat: [TransportAddress: TransportAddress] = [:]
        /// Every event with its time.
        var log: [(at: Instant, event: ICEEvent)] = []
        var sent = 0

        var events: [ICEEvent] { log.map(\.event) }
    }

    struct Packet {
        var at: Instant
        var order: UInt64
        var from: TransportAddress
        var to: TransportAddress
        var bytes: [UInt8]
    }

    private(set) var now = Instant.at(1000)
    var hosts: [Host] = []
    var delay: Interval = .milliseconds(20)
    /// Up to this much more delay, so that datagrams overtake each other.
    var jitter: Interval = .zero
    /// Share of datagrams lost.
    var loss = 0.0
    /// Decides on a datagram that is about to leave, by public addresses; true loses it.
    var blocks: (_ from: TransportAddress, _ to: TransportAddress, _ bytes: [UInt8]) -> Bool = { _, _, _ in false }
    /// Every datagram that left, by public addresses.
    private(set) var sent: [Packet] = []
    /// Datagrams that reached no host.
    private(set) var stray: [Packet] = []
    /// Deadlines did not move on: a defect of a session.
    private(set) var isStuck = false
    var generator: SeededGenerator
    private var queue: [Packet] = []
    private var order: UInt64 = 0

    init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

    /// Adds a host with one socket at each of `addresses`; returns its index.
    func addHost(
        _ role: ICERole, at addresses: [TransportAddress], tieBreaker: UInt64? = nil,
        settings: ICESettings = ICESettings()
    ) -> Int {
        let bases = addresses.enumerated().map { LocalBase(socket: UInt16($0.offset + 3), address: $0.element) }
        let session = ICESession(
            role: role, credentials: ICECredentials(firstCharacter: UInt8(ascii: "a"), using: &generator), bases: bases,
            tieBreaker: tieBreaker ?? generator.next(), tag: UInt32(hosts.count), settings: settings, now: now,
            using: &generator)
        hosts.append(Host(session: session, bases: bases))
        return hosts.count - 1
    }

    /// Lets `to` know the credentials (and candidates) of `from`, as signalling would.
    @discardableResult
    func signal(from: Int, to: Int, candidates: [Candidate] = [], tagged: Bool = false) -> ICESession.RemoteOutcome {
        let session = hosts[from].session
        let outcome = hosts[to].session.setRemote(
            session.localCredentials, candidates: candidates, generation: tagged ? session.generation : nil, now: now)
        advance(to)
        return outcome
    }

    /// Host candidates of a host, as it would signal them.
    func candidates(of host: Int) -> [Candidate] {
        hosts[host].bases.map {
            Candidate(
                foundation: "1", priority: Candidate.priority(.host, localPreference: 65535), address: $0.address,
                kind: .host,
                id: "c")
        }
    }

    func restart(_ host: Int) -> ICESession.RestartOutcome {
        var output = ICEOutput()
        let credentials = ICECredentials(firstCharacter: UInt8(ascii: "a"), using: &generator)
        let outcome = hosts[host].session.restart(credentials: credentials, now: now, into: &output)
        collect(output, from: host)
        return outcome
    }

    /// Hands a datagram to a host as if it had come from `from`.
    func inject(_ bytes: [UInt8], to host: Int, from: TransportAddress) {
        var output = ICEOutput()
        let base = hosts[host].bases[0]
        let path = Path(socket: base.socket, local: base.address.ip, remote: from)
        hosts[host].session.receive(bytes.span, on: path, now: now, into: &output)
        collect(output, from: host)
    }

    func advance(_ host: Int) {
        var output = ICEOutput()
        hosts[host].session.advance(now: now, into: &output)
        collect(output, from: host)
    }

    func run(seconds: Double) { run(until: now + Interval(nanoseconds: Int64(seconds * 1e9))) }

    func run(until end: Instant) {
        var steps = 0
        while true {
            let deadlines = hosts.map { $0.session.deadline ?? end + .seconds(1) }
            let timer = deadlines.indices.min { deadlines[$0] < deadlines[$1] }
            let arrival = queue.indices.min { (queue[$0].at, queue[$0].order) < (queue[$1].at, queue[$1].order) }
            if let arrival, queue[arrival].at <= end, timer.map({ queue[arrival].at <= deadlines[$0] }) ?? true {
                let packet = queue.remove(at: arrival)
                now = max(now, packet.at)
                deliver(packet)
            } else if let timer, deadlines[timer] <= end {
                steps = deadlines[timer] <= now ? steps + 1 : 0
                now = max(now, deadlines[timer])
                advance(timer)
            } else {
                break
            }
            if steps > 100 {
                isStuck = true
                break
            }
        }
        now = end
    }

    private func collect(_ output: ICEOutput, from host: Int) {
        hosts[host].log += output.events.map { (now, $0) }
        hosts[host].sent += output.datagrams.count
        for (path, bytes) in output.datagrams {
            guard let base = hosts[host].bases.first(where: { $0.socket == path.socket && $0.address.ip == path.local })
            else { continue }
            let from = hosts[host].nat[base.address] ?? base.address
            order += 1
            let extra = Int64.random(in: 0...max(jitter.nanoseconds, 1), using: &generator)
            let packet = Packet(
                at: now + delay + Interval(nanoseconds: extra), order: order, from: from, to: path.remote, bytes: bytes)
            sent.append(packet)
            if blocks(from, path.remote, bytes) || Double.random(in: 0..<1, using: &generator) < loss { continue }
            queue.append(packet)
        }
    }

    private func deliver(_ packet: Packet) {
        for host in hosts.indices {
            for base in hosts[host].bases {
                guard (hosts[host].nat[base.address] ?? base.address) == packet.to else { continue }
                var output = ICEOutput()
                let path = Path(socket: base.socket, local: base.address.ip, remote: packet.from)
                hosts[host].session.receive(packet.bytes.span, on: path, now: now, into: &output)
                collect(output, from: host)
                return
            }
        }
        stray.append(packet)
    }
}

/// A bridge and a client behind a NAT, as in a Jitsi meeting: the bridge controls and has signalled its candidate, the
/// client has signalled none.
struct Meeting {
    let network: SimulatedNetwork
    let bridge: Int
    let client: Int
    let bridgeAddress: TransportAddress
    let clientAddress: TransportAddress
    let clientPublic: TransportAddress

    init(
        seed: UInt64, clientAddresses: [TransportAddress]? = nil, bridgeRole: ICERole = .controlling,
        clientRole: ICERole = .controlled,
        bridgeTieBreaker: UInt64? = nil, clientTieBreaker: UInt64? = nil
    ) throws {
        network = SimulatedNetwork(seed: seed)
        bridgeAddress = try address("203.0.113.1", 10000)
        clientAddress = try address("192.168.1.2", 50000)
        clientPublic = try address("198.51.100.20", 33333)
        bridge = network.addHost(bridgeRole, at: [bridgeAddress], tieBreaker: bridgeTieBreaker)
        client = network.addHost(clientRole, at: clientAddresses ?? [clientAddress], tieBreaker: clientTieBreaker)
        network.hosts[client].nat[clientAddress] = clientPublic
    }

    var bridgeSession: ICESession { network.hosts[bridge].session }
    var clientSession: ICESession { network.hosts[client].session }
    var bridgeEvents: [ICEEvent] { network.hosts[bridge].events }
    var clientEvents: [ICEEvent] { network.hosts[client].events }

    /// The client as the bridge sees it.
    func clientPath(_ remote: TransportAddress? = nil) -> Path {
        Path(socket: 3, local: bridgeAddress.ip, remote: remote ?? clientPublic)
    }

    /// Client knows everything, bridge the client's credentials.
    func connect() {
        network.signal(from: client, to: bridge)
        network.signal(from: bridge, to: client, candidates: network.candidates(of: bridge))
        network.run(seconds: 2)
    }

    /// A Binding request as the client could make it, to be changed by a test.
    func request(
        to ufrag: String? = nil, key: [UInt8]? = nil, priority: UInt32? = 1_853_817_087, role: ICERole? = .controlled,
        tieBreaker: UInt64 = 1,
        signs: Bool = true, extra: (inout STUNWriter) -> Void = { _ in }
    ) -> [UInt8] {
        let credentials = bridgeSession.localCredentials
        var writer = STUNWriter(.request, transactionID: STUNTransactionID(tag: 99, nonce: network.generator.next()))
        writer.append(username: "\(ufrag ?? credentials.ufrag.rawValue):\(clientSession.localCredentials.ufrag)")
        if let priority { writer.append(priority: priority) }
        if let role { writer.append(role: role, tieBreaker: tieBreaker) }
        extra(&writer)
        if signs { writer.appendIntegrity(key: key ?? credentials.pwd.key) }
        writer.appendFingerprint()
        return writer.bytes
    }
}

extension [ICEEvent] {
    var drops: [ICEDropReason] {
        compactMap { if case .dropped(let reason) = $0 { reason } else { nil } }
    }

    var withoutDrops: [ICEEvent] {
        filter { if case .dropped = $0 { false } else { true } }
    }
}
