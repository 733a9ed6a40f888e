// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Colibri
import DTLS
import ICE
import RTP
import Testing

@testable import Bridge

/// Keeps what a shard sends, run by run taken apart into datagrams.
final class RecordingSink: DatagramSink {
    private(set) var datagrams: [(path: Path, bytes: [UInt8])] = []

    func send(_ messages: UnsafeBufferPointer<OutboundMessage>) {
        for i in messages.indices {
            let message = unsafe messages[i]
            let bytes = unsafe Array(UnsafeRawBufferPointer(start: message.bytes, count: message.count))
            let size = message.segmentSize == 0 ? bytes.count : Int(message.segmentSize)
            for start in stride(from: 0, to: bytes.count, by: size) {
                datagrams.append((message.path, Array(bytes[start..<min(start + size, bytes.count)])))
            }
        }
    }

    func take() -> [(path: Path, bytes: [UInt8])] {
        defer { datagrams = [] }
        return datagrams
    }
}

/// A shard, its clients and a network with a fixed delay, in virtual time.
final class VirtualBridge {
    static let meetingID = "meeting"
    static let address = TransportAddress(ip: .v4(0xCB00_7101), port: 10_000)
    static let identity = try? DTLSIdentity.generate(now: 1_700_000_000)
    private static let step = Interval.milliseconds(5)

    let shard: Shard
    let sink = RecordingSink()
    private(set) var now = Instant(nanoseconds: 1_000_000_000_000)
    /// One way.
    var delay = Interval.milliseconds(10)
    private(set) var clients: [VirtualClient] = []
    private var live: [LiveTransport] = []
    private var upstream: [(at: Instant, path: Path, bytes: [UInt8])] = []
    private var downstream: [(at: Instant, path: Path, bytes: [UInt8])] = []
    private(set) var handles: [String: EndpointHandle] = [:]
    private(set) var events: [ShardEvent] = []
    /// Messages on the bridge channel, oldest first.
    private var channel: [(handle: EndpointHandle, message: JSONValue)] = []
    private var requests: UInt64 = 0
    /// Datagrams from clients as they reached the shard, while it is not nil.
    var recording: [(path: Path, bytes: [UInt8])]?
    /// The network in front of the bridge: datagrams from clients that it loses.
    var blocksUpstream: (Path, [UInt8]) -> Bool = { _, _ in false }

    init(
        profile: ProtectionProfile = .aeadAES128GCM, neighbours: (any ShardNeighbours)? = nil,
        _ configure: (inout ShardConfiguration) -> Void = { _ in }
    ) throws {
        self.profile = profile
        var configuration = ShardConfiguration()
        configuration.bases = [LocalBase(socket: 0, address: Self.address)]
        configuration.candidates = [AdvertisedCandidate(address: Self.address, kind: .host)]
        configure(&configuration)
        shard = try Shard(
            configuration, identity: #require(Self.identity), entropy: SplitMix(seed: UInt64(configuration.index) + 1),
            sink: sink, neighbours: neighbours)
    }

    private let profile: ProtectionProfile

    /// Where the bridge sees a client.
    static func path(of client: VirtualClient) -> Path {
        Path(socket: 0, local: address.ip, remote: client.address)
    }

    // MARK: Signalling

    @discardableResult
    func modify(_ modify: ConferenceModify) -> Result<ConferenceModified, ColibriError> {
        requests += 1
        let request = RequestID(rawValue: requests)
        shard.perform(.modify(modify, request), now: now)
        collect()
        for case .modified(let id, let result) in events.reversed() where id == request { return result }
        Issue.record("a request was not answered")
        return .failure(.badRequest("no answer"))
    }

    /// A request about one endpoint of the meeting.
    @discardableResult
    func modify(_ endpoint: EndpointModify, create: Bool = false) -> Result<ConferenceModified, ColibriError> {
        modify(ConferenceModify(meetingID: Self.meetingID, create: create, endpoints: [endpoint]))
    }

    var hasMeeting: Bool { snapshot().conferences > 0 }

    /// Lets a client in with keys that both sides have agreed on elsewhere, and opens its channel.
    func join(
        _ client: VirtualClient, capabilities: Set<String> = [Capability.sourceNames], seed: UInt64 = 0,
        opensChannel: Bool = true
    ) throws {
        let answer = modify(client.endpoint(capabilities: capabilities), create: !hasMeeting)
        _ = try answer.get()
        let keys = Self.keys(profile, seed: UInt64(client.audioSSRC) + seed)
        client.srtp = try ClientSRTP(DTLSSRTPKeys(profile: profile, local: keys.remote, remote: keys.local))
        try #require(
            shard.adopt(keys, path: Self.path(of: client), endpoint: client.id, meetingID: Self.meetingID, now: now))
        enlist(client)
        if opensChannel { try openChannel(of: client) }
    }

    private func enlist(_ client: VirtualClient) {
        clients.removeAll { $0.address == client.address }
        clients.append(client)
        collect()
    }

    /// Keys as the bridge sees them.
    static func keys(_ profile: ProtectionProfile, seed: UInt64) -> DTLSSRTPKeys {
        var random = SplitMix(seed: seed)
        func key() -> SRTPMasterKey {
            SRTPMasterKey(
                key: (0..<profile.keyLength).map { _ in UInt8.random(in: 0...255, using: &random) },
                salt: (0..<profile.saltLength).map { _ in UInt8.random(in: 0...255, using: &random) })
        }
        return DTLSSRTPKeys(profile: profile, local: key(), remote: key())
    }

    /// Lets a client in that has to find its way by ICE and DTLS.
    @discardableResult
    func connect(_ client: VirtualClient, seed: UInt64 = 7) throws -> LiveTransport {
        let transport = try LiveTransport(client, bridge: Self.address, seed: seed, now: now)
        return try connect(client, offer: transport.offer, transport)
    }

    /// As above, with an offer that may not be what the client's transport would say.
    @discardableResult
    func connect(_ client: VirtualClient, offer: TransportModify, _ transport: LiveTransport) throws -> LiveTransport {
        let answer = try modify(client.endpoint(transport: offer), create: !hasMeeting).get()
        transport.take(try #require(answer.endpoints.first?.transport?.ice), now: now)
        live.append(transport)
        enlist(client)
        return transport
    }

    func leave(_ client: VirtualClient) {
        modify(EndpointModify(id: client.id, expire: true))
        forget(client)
    }

    /// The client's machine is switched off.
    func forget(_ client: VirtualClient) {
        clients.removeAll { $0 === client }
        live.removeAll { $0.client === client }
        client.outgoing = []
    }

    // MARK: Channel

    func openChannel(of client: VirtualClient, _ transport: ChannelTransport = .sctp) throws {
        let handle = try #require(endpoint(client)?.handle)
        handles[client.id] = handle
        shard.perform(.channelOpened(handle, transport), now: now)
        collect()
    }

    func say(_ client: VirtualClient, _ json: String) {
        guard let handle = handles[client.id] else { return }
        shard.perform(.channelMessage(handle, .sctp, Array(json.utf8)), now: now)
        collect()
    }

    /// Asks for every video at up to this height.
    func want(_ client: VirtualClient, _ height: Int, lastN: Int = -1) {
        say(
            client,
            #"{"colibriClass":"ReceiverVideoConstraints","lastN":\#(lastN),"defaultConstraints":{"maxHeight":\#(height)}}"#
        )
    }

    /// What the client was told on its channel, of one class.
    func messages(_ client: VirtualClient, _ colibriClass: String) -> [JSONValue] {
        guard let handle = handles[client.id] else { return [] }
        return channel.filter { $0.handle == handle && $0.message["colibriClass"]?.string == colibriClass }.map(
            \.message)
    }

    // MARK: Time

    func run(_ interval: Interval) {
        let end = now + interval
        while now < end {
            now = min(end, now + Self.step)
            for transport in live { transport.advance(now) }
            for client in clients {
                client.tick(now)
                for bytes in client.outgoing { enqueue(Self.path(of: client), bytes) }
                client.outgoing = []
            }
            deliverUpstream()
            shard.advance(now: now)
            collect()
            deliverDownstream()
        }
    }

    func enqueue(_ path: Path, _ bytes: [UInt8]) {
        guard !blocksUpstream(path, bytes) else { return }
        upstream.append((now + delay, path, bytes))
    }

    private func deliverUpstream() {
        let due = upstream.filter { $0.at <= now }
        upstream.removeAll { $0.at <= now }
        recording? += due.map { ($0.path, $0.bytes) }
        receive(due.map { ($0.path, $0.bytes) })
    }

    /// Hands datagrams to the shard as one batch.
    func receive(_ datagrams: [(path: Path, bytes: [UInt8])], carried: Bool = false) {
        guard !datagrams.isEmpty else { return }
        unsafe withInbound(datagrams) {
            if carried {
                unsafe shard.receiveCarried($0, now: now)
            } else {
                unsafe shard.receive($0, now: now)
            }
        }
        collect()
    }

    private func deliverDownstream() {
        let due = downstream.filter { $0.at <= now }
        downstream.removeAll { $0.at <= now }
        for datagram in due {
            guard let client = clients.first(where: { $0.address == datagram.path.remote }) else { continue }
            if let transport = live.first(where: { $0.client === client }) {
                transport.receive(datagram.bytes, now)
            } else {
                client.receive(datagram.bytes, now)
            }
        }
    }

    /// Takes what the shard has sent and said.
    func collect() {
        downstream += sink.take().map { (now + delay, $0.path, $0.bytes) }
        for event in shard.takeEvents() {
            events.append(event)
            if case .channelSend(let handle, _, let text) = event, let message = try? JSONValue(parsing: text.span) {
                channel.append((handle, message))
            }
        }
    }

    // MARK: Facts

    /// The bridge's side of a client.
    func endpoint(_ client: VirtualClient) -> Endpoint? { shard.conferences[Self.meetingID]?.endpoint(client.id) }

    func snapshot() -> ShardSnapshot {
        requests += 1
        let request = RequestID(rawValue: requests)
        shard.perform(.snapshot(request), now: now)
        collect()
        for case .snapshot(let id, let snapshot) in events.reversed() where id == request { return snapshot }
        return ShardSnapshot()
    }

    func drops(_ reason: String) -> Int { snapshot().drops.first { $0.reason == reason }?.count ?? 0 }

    var drops: [String: Int] { Dictionary(snapshot().drops, uniquingKeysWith: +) }

    func isLogged(_ message: String) -> Bool {
        events.contains { if case .log(let log) = $0 { log.message == message } else { false } }
    }
}

/// Datagrams as a shard takes them: borrowed for the call.
func withInbound(
    _ datagrams: [(path: Path, bytes: [UInt8])], _ body: (UnsafeBufferPointer<InboundDatagram>) -> Void
) {
    let all = datagrams.flatMap(\.bytes) + [0]
    unsafe all.withUnsafeBytes { memory in
        guard let base = memory.baseAddress else { return }
        var offset = 0
        var inbound: [InboundDatagram] = []
        for (path, bytes) in datagrams {
            unsafe inbound.append(InboundDatagram(bytes: base + offset, count: bytes.count, path: path))
            offset += bytes.count
        }
        unsafe inbound.withUnsafeBufferPointer { unsafe body($0) }
    }
}
