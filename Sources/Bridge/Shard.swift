// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// All conferences of one media thread: datagrams, commands and time in; datagrams and events out.

import Colibri
public import DTLS
public import ICE
public import RTP
import SRTP

/// Belongs to one thread, on which it is made and used. It never waits, reads no clock and no entropy but what it is given.
@safe
public final class Shard {
    var configuration: ShardConfiguration
    let slab = SlotSlab()
    let engine: SRTPEngine
    let batch: OutboundBatch
    private let dtlsContext: DTLSContext
    let fingerprint: Fingerprint
    private var random: Entropy
    private(set) var conferences: [String: Conference] = [:]
    private var endpoints: [EndpointHandle: Endpoint] = [:]
    private var byFragment: [UsernameFragment: Endpoint] = [:]
    private var byTag: [UInt32: Endpoint] = [:]
    private var byPath: [Path: Endpoint] = [:]
    /// Validated paths of endpoints that other shards own.
    private var foreignPaths: [Path: Int] = [:]
    private let neighbours: (any ShardNeighbours)?
    /// The datagrams being handled were carried here by another shard: they go no further.
    private var areCarried = false
    private var nextHandle: UInt64 = 1
    private var nextTag: UInt32 = 1
    private var events: [ShardEvent] = []
    var statistics = Statistics()
    /// Time of the call being handled.
    private(set) var now = Instant(nanoseconds: 0)
    private var nextTick: Instant?
    private var nextSweep = Instant(nanoseconds: 0)

    // Memory that is used again by every batch.
    private let openJobs: UnsafeMutablePointer<OpenJob>
    private let openSlots: UnsafeMutablePointer<SlotID>
    private var openOwners: [Endpoint] = []
    private let rtcp: UnsafeMutableRawPointer
    var lost: [SequenceNumber] = []
    var blocks: [ReportBlock] = []

    private static let openLimit = 128
    private static let rtcpRoom = 1536
    /// How often timers are looked at while there are endpoints.
    static let tick = Interval.milliseconds(10)

    /// - Parameters:
    ///   - entropy: source of ufrags, passwords, SSRCs and tie-breakers; unpredictable in production.
    ///   - sink: gets what is to be sent, during calls to this shard.
    ///   - neighbours: the other shards on the same port; nil when there are none.
    /// - Throws: when OpenSSL refuses the identity or no SRTP engine works.
    public init(
        _ configuration: ShardConfiguration, identity: DTLSIdentity, entropy: any RandomNumberGenerator,
        sink: any DatagramSink, neighbours: (any ShardNeighbours)? = nil
    ) throws {
        self.configuration = configuration
        dtlsContext = try DTLSContext(identity: identity)
        fingerprint = identity.fingerprint
        random = Entropy(entropy)
        self.neighbours = neighbours
        engine = try configuration.engine.map { try SRTPEngine($0) } ?? SRTPEngine.preferred()
        batch = OutboundBatch(engine: engine, sink: sink)
        unsafe openJobs = .allocate(capacity: Self.openLimit)
        unsafe openSlots = .allocate(capacity: Self.openLimit)
        unsafe rtcp = .allocate(byteCount: Self.rtcpRoom * 2, alignment: 64)
        openOwners.reserveCapacity(Self.openLimit)
    }

    deinit {
        unsafe openJobs.deallocate()
        unsafe openSlots.deallocate()
        unsafe rtcp.deallocate()
    }

    /// When `advance` wants to be called next; nil: not before something else happens.
    public var deadline: Instant? { endpoints.isEmpty ? nil : nextTick }

    /// Told of each finished stage of a batch; nil outside of benchmarks.
    public var probe: (any StageProbe)? {
        didSet { batch.probe = probe }
    }

    /// Name of the SRTP engine in use.
    public var engineName: String { "\(engine.kind)" }

    /// What happened since the last call.
    public func takeEvents() -> [ShardEvent] {
        guard !events.isEmpty else { return [] }
        defer { events = [] }
        return events
    }

    // MARK: Datagrams

    /// Handles one batch: STUN, DTLS and RTCP at once, RTP opened together and forwarded receiver by receiver.
    public func receive(_ datagrams: UnsafeBufferPointer<InboundDatagram>, now: Instant) {
        self.now = now
        var jobs = 0
        for i in datagrams.indices {
            let datagram = unsafe datagrams[i]
            statistics.packetsReceived += 1
            statistics.bytesReceived += datagram.count
            if sort(datagram, &jobs), jobs == Self.openLimit { open(&jobs) }
        }
        open(&jobs)
        forwardAndFlush()
    }

    /// Handles datagrams that arrived at another shard's socket.
    public func receiveCarried(_ datagrams: UnsafeBufferPointer<InboundDatagram>, now: Instant) {
        areCarried = true
        unsafe receive(datagrams, now: now)
        areCarried = false
    }

    /// What another shard announced: datagrams on `path` are for it; nil: no longer.
    public func note(_ path: Path, ownedBy shard: Int?) { foreignPaths[path] = shard }

    /// Passes a datagram on to the shard that owns it; counted when that is not possible.
    private func carry(_ datagram: InboundDatagram, to shard: Int?, else reason: DropReason) {
        guard !areCarried, let neighbours, let shard, shard != Int(configuration.index) else {
            return statistics.count(reason)
        }
        if !neighbours.carry(datagram, to: shard) { statistics.count(.carrierFull) }
    }

    /// Handles what is no RTP, queues what is; true if a job was added.
    private func sort(_ datagram: InboundDatagram, _ jobs: inout Int) -> Bool {
        let bytes = unsafe Span<UInt8>(
            _unsafeStart: datagram.bytes.assumingMemoryBound(to: UInt8.self), count: datagram.count)
        switch DatagramKind(bytes) {
        case .stun: receiveSTUN(datagram, bytes)
        case .dtls:
            guard let endpoint = byPath[datagram.path] else {
                carry(datagram, to: foreignPaths[datagram.path], else: .unvalidatedPath)
                return false
            }
            handle(endpoint.transport.receiveDTLS(bytes, on: datagram.path, batch: batch, now: now), of: endpoint)
        case .rtp, .rtcp:
            guard let endpoint = byPath[datagram.path] else {
                carry(datagram, to: foreignPaths[datagram.path], else: .unvalidatedPath)
                return false
            }
            guard let opener = endpoint.transport.opener else {
                statistics.count(.beforeDTLS)
                return false
            }
            endpoint.transport.noteActivity(now)
            if DatagramKind(bytes) == .rtcp {
                receiveRTCP(datagram, opener, from: endpoint)
                return false
            }
            return queue(datagram, bytes, opener, endpoint, &jobs)
        case .unknown: statistics.count(.unknownProtocol)
        }
        return false
    }

    /// Requests go by username fragment, answers by the tag of their transaction; both tell the shard.
    private func receiveSTUN(_ datagram: InboundDatagram, _ bytes: Span<UInt8>) {
        let endpoint: Endpoint?
        switch STUNDestination(of: bytes) {
        case .request(let fragment):
            endpoint = byFragment[fragment]
            if endpoint == nil { carry(datagram, to: Self.index(of: fragment.firstCharacter), else: .stunUnknownUfrag) }
        case .response(let tag):
            endpoint = byTag[tag]
            if endpoint == nil { carry(datagram, to: Int(tag >> 24), else: .stunRefused) }
        case nil:
            endpoint = nil
            statistics.count(.stunMalformed)
        }
        guard let endpoint else { return }
        handle(endpoint.transport.receiveSTUN(bytes, on: datagram.path, batch: batch, now: now), of: endpoint)
    }

    private func receiveRTCP(_ datagram: InboundDatagram, _ opener: SRTPOpener, from endpoint: Endpoint) {
        guard datagram.count <= Self.rtcpRoom else { return statistics.count(.tooLarge) }
        let room = unsafe UnsafeMutableRawBufferPointer(start: rtcp, count: Self.rtcpRoom)
        switch unsafe opener.openRTCP(UnsafeRawBufferPointer(start: datagram.bytes, count: datagram.count), into: room) {
        case .success(let length):
            let packet = unsafe Span<UInt8>(_unsafeStart: UnsafePointer(rtcp.assumingMemoryBound(to: UInt8.self)), count: length)
            endpoint.conference.receiveRTCP(packet, from: endpoint, now: now)
        case .failure(let failure): statistics.count(failure.dropReason)
        }
    }

    private func queue(
        _ datagram: InboundDatagram, _ bytes: Span<UInt8>, _ opener: SRTPOpener, _ endpoint: Endpoint, _ jobs: inout Int
    ) -> Bool {
        let header: RTPHeader
        do throws(ParseError) {
            header = try RTPHeader(parsing: bytes)
        } catch {
            statistics.count(.rtpMalformed)
            return false
        }
        guard let slot = slab.take(length: datagram.count) else {
            statistics.count(datagram.count > SlotSlab.largestPacket ? .tooLarge : .noMemory)
            return false
        }
        unsafe (openJobs + jobs).initialize(
            to: OpenJob(
                opener: Unmanaged.passUnretained(opener), packet: datagram.bytes, length: Int32(datagram.count),
                headerLength: Int32(header.headerLength), ssrc: header.ssrc, sequenceNumber: header.sequenceNumber,
                output: slab.pointer(slot)))
        unsafe openSlots[jobs] = slot
        openOwners.append(endpoint)
        jobs += 1
        return true
    }

    private func open(_ jobs: inout Int) {
        guard jobs > 0 else { return }
        unsafe engine.open(UnsafeMutableBufferPointer(start: openJobs, count: jobs))
        probe?.finished(.open)
        for i in 0..<jobs {
            let job = unsafe openJobs[i]
            let slot = unsafe openSlots[i]
            var dropped: DropReason?
            if job.failure == .none {
                dropped = receiveRTP(slot, length: Int(job.openedLength), index: job.index.rawValue, from: openOwners[i])
            } else {
                dropped = job.failure.dropReason
            }
            if let dropped {
                statistics.count(dropped)
                slab.release(slot)
            }
        }
        openOwners.removeAll(keepingCapacity: true)
        jobs = 0
    }

    /// Files one authentic packet; nil when its stream took the slot over.
    private func receiveRTP(_ slot: SlotID, length: Int, index: UInt64, from endpoint: Endpoint) -> DropReason? {
        let packet = unsafe Span<UInt8>(
            _unsafeStart: UnsafePointer(slab.pointer(slot).assumingMemoryBound(to: UInt8.self)), count: length)
        guard let header = try? RTPHeader(parsingPlaintext: packet) else { return .rtpMalformed }
        return endpoint.receive(packet, header, slot, index, now: now)
    }

    private func forwardAndFlush() {
        for conference in conferences.values {
            if conference.needsAllocation { conference.allocate(now: now) }
            if conference.hasArrivals { conference.forwardBatch(now: now) }
        }
        batch.flush()
    }

    // MARK: Commands

    public func perform(_ command: ShardCommand, now: Instant) {
        self.now = now
        switch command {
        case .modify(let modify, let request): events.append(.modified(request, apply(modify)))
        case .sctpPacket(let handle, let bytes):
            guard let endpoint = endpoints[handle] else { break }
            self.handle(endpoint.transport.sendApplicationData(bytes, batch: batch, now: now), of: endpoint)
        case .channelOpened(let handle, let transport):
            if let endpoint = endpoints[handle] {
                endpoint.conference.channelOpened(by: endpoint, transport, now: now)
            }
        case .channelClosed(let handle, let transport):
            if let endpoint = endpoints[handle] { endpoint.conference.channelClosed(by: endpoint, transport) }
        case .channelMessage(let handle, let transport, let text):
            if let endpoint = endpoints[handle] {
                endpoint.conference.receive(text, from: endpoint, on: transport, now: now)
            }
        case .authorizeWebSocket(let conference, let endpoint, let password, let request):
            events.append(.webSocketAuthorized(request, authorize(conference, endpoint, password)))
        case .advertise(let candidates): configuration.candidates = candidates
        case .snapshot(let request): events.append(.snapshot(request, snapshot()))
        case .conferenceDetails(let meetingID, let request):
            events.append(.conferenceDetails(request, conferences[meetingID]?.details))
        }
        forwardAndFlush()
    }

    private func apply(_ modify: ConferenceModify) -> Result<ConferenceModified, ColibriError> {
        let known = conferences[modify.meetingID]
        if modify.create, known != nil { return .failure(.conferenceAlreadyExists(modify.meetingID)) }
        guard let conference = known ?? (modify.create ? makeConference(modify) : nil) else {
            return .failure(.conferenceNotFound(modify.meetingID))
        }
        do throws(ColibriError) {
            let answer = try conference.apply(modify, now: now)
            if modify.expire || (!modify.create && conference.endpoints.isEmpty) { expire(conference) }
            return .success(answer)
        } catch {
            // A conference that its first request could not fill must not stay.
            if known == nil { expire(conference) }
            return .failure(error)
        }
    }

    private func makeConference(_ modify: ConferenceModify) -> Conference {
        let conference = Conference(
            modify: modify, id: hexadecimal(random.next()), feedback: (ssrc(), ssrc()), shard: self, now: now)
        conferences[modify.meetingID] = conference
        statistics.conferencesCreated += 1
        log(.info, "conference created", conference)
        return conference
    }

    private func expire(_ conference: Conference) {
        for endpoint in conference.endpoints { conference.expire(endpoint, "conference expired", now: now) }
        conferences[conference.meetingID] = nil
        statistics.conferencesCompleted += 1
        log(.info, "conference expired", conference)
    }

    private func authorize(_ conferenceID: String, _ endpointID: String, _ password: String) -> EndpointHandle? {
        guard let conference = conferences.values.first(where: { $0.id == conferenceID }),
            let endpoint = conference.endpoint(endpointID)
        else { return nil }
        // Every byte is compared, so that the time taken tells nothing of the secret.
        let expected = Array(endpoint.channelPassword.utf8)
        let given = Array(password.utf8)
        guard expected.count == given.count else { return nil }
        var difference: UInt8 = 0
        for i in expected.indices { difference |= expected[i] ^ given[i] }
        return difference == 0 ? endpoint.handle : nil
    }

    // MARK: Time

    /// Timers that are due.
    public func advance(now: Instant) {
        self.now = now
        guard !endpoints.isEmpty, nextTick.map({ $0 <= now }) ?? true else { return }
        nextTick = now + Self.tick
        for endpoint in endpoints.values {
            handle(endpoint.transport.advance(batch: batch, now: now), of: endpoint)
        }
        let sweeps = now >= nextSweep
        if sweeps { nextSweep = now + .milliseconds(500) }
        for conference in conferences.values {
            if sweeps { sweep(conference) }
            conference.sendFeedback(now: now)
            conference.decideSpeaker(now: now)
        }
        forwardAndFlush()
    }

    private func sweep(_ conference: Conference) {
        for endpoint in conference.endpoints {
            for source in endpoint.sources {
                for encoding in source.encodings where encoding.stream.age(now: now) { conference.needsAllocation = true }
            }
        }
        conference.watchConnectivity(now: now)
        for endpoint in conference.endpoints {
            // JVB: never any activity for 2 minutes, or none for 1 minute.
            let limit: Interval = endpoint.outputs == nil ? .seconds(120) : .seconds(60)
            if now - endpoint.transport.lastHeard > limit { conference.expire(endpoint, "inactive", now: now) }
        }
        if conference.endpoints.isEmpty, now - conference.createdAt > .seconds(20) { expire(conference) }
    }

    // MARK: Endpoints

    var hasRoom: Bool { endpoints.count < configuration.endpointLimit }

    func makeEndpoint(_ request: EndpointModify, in conference: Conference) -> Endpoint? {
        guard let dtls = try? DTLSSession(context: dtlsContext) else { return nil }
        let handle = EndpointHandle(rawValue: UInt64(configuration.index) << 56 | nextHandle)
        nextHandle += 1
        let tag = UInt32(configuration.index) << 24 | nextTag
        nextTag = (nextTag + 1) & 0xFF_FFFF
        let ice = ICESession(
            role: request.transport?.iceControlling ?? true ? .controlling : .controlled, credentials: credentials(),
            bases: configuration.bases, tieBreaker: random.next(), tag: tag, now: now, using: &random)
        let transport = Transport(ice: ice, dtls: dtls, engine: engine, now: now)
        let endpoint = Endpoint(
            modify: request, handle: handle, conference: conference, transport: transport,
            tag: tag, channelPassword: hexadecimal(random.next()) + hexadecimal(random.next()), now: now)
        endpoints[handle] = endpoint
        byTag[tag] = endpoint
        enlistFragments(of: endpoint)
        statistics.endpointsCreated += 1
        if nextTick == nil { nextTick = now + Self.tick }
        log(.info, "endpoint created", endpoint, [])
        return endpoint
    }

    /// Makes requests to every username fragment that is alive find the endpoint.
    private func enlistFragments(of endpoint: Endpoint) {
        for fragment in endpoint.transport.ice?.liveFragments ?? [] where endpoint.fragments.insert(fragment).inserted {
            byFragment[fragment] = endpoint
        }
    }

    func restartICE(of endpoint: Endpoint) -> Bool {
        guard endpoint.transport.restart(credentials: credentials(), now: now) else { return false }
        enlistFragments(of: endpoint)
        return true
    }

    /// Removes an endpoint from every table; its conference has let go of it.
    func forget(_ endpoint: Endpoint, now: Instant) {
        endpoint.transport.close(batch: batch, now: now)
        batch.flush()
        endpoints[endpoint.handle] = nil
        for fragment in endpoint.fragments { byFragment[fragment] = nil }
        for path in endpoint.paths { release(path, of: endpoint) }
        byTag[endpoint.tag] = nil
        if endpoint.wantsSCTP { events.append(.sctpClose(endpoint.handle)) }
        events.append(.channelExpired(endpoint.handle))
        if endpoints.isEmpty { nextTick = nil }
    }

    private func release(_ path: Path, of endpoint: Endpoint) {
        guard byPath[path] === endpoint else { return }
        byPath[path] = nil
        neighbours?.announce(path, isOurs: false)
    }

    private func credentials() -> ICECredentials {
        ICECredentials(firstCharacter: Self.letter(of: configuration.index), using: &random)
    }

    private static let letters = Array("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789".utf8)

    /// Most shards that the first character of a ufrag can tell apart.
    public static var limit: Int { letters.count }

    /// First character of the ufrags of a shard.
    static func letter(of index: UInt8) -> UInt8 { letters[Int(index) % letters.count] }

    /// The shard whose ufrags start with `letter`.
    static func index(of letter: UInt8) -> Int? { letters.firstIndex(of: letter) }

    private func ssrc() -> SSRC { SSRC(rawValue: UInt32.random(in: 1...UInt32.max, using: &random)) }

    /// Below 2^15, so that a receiver that misses the first packet cannot mistake the rollover counter (RFC 3711 section 3.3.1).
    func firstSequenceNumber() -> UInt16 { UInt16.random(in: 1..<0x4000, using: &random) }

    private func hexadecimal(_ value: UInt64) -> String {
        let text = String(value, radix: 16)
        return String(repeating: "0", count: 16 - text.count) + text
    }

    /// Gives an endpoint's transport its keys and a validated path, in place of ICE and DTLS: for simulation, bench and hand-over.
    ///
    /// - Returns: false when there is no such endpoint or the keys cannot be used.
    public func adopt(_ keys: DTLSSRTPKeys, path: Path, endpoint id: String, meetingID: String, now: Instant) -> Bool {
        self.now = now
        guard let endpoint = conferences[meetingID]?.endpoint(id), (try? endpoint.transport.adopt(keys, path: path)) != nil
        else { return false }
        handle([.pathAdded(path), .connected], of: endpoint)
        forwardAndFlush()
        return true
    }

    // MARK: What happened to transports

    func handle(_ happened: [Transport.Event], of endpoint: Endpoint) {
        for event in happened { handle(event, of: endpoint) }
    }

    private func handle(_ event: Transport.Event, of endpoint: Endpoint) {
        switch event {
        case .pathAdded(let path):
            if let other = byPath[path], other !== endpoint { other.paths.remove(path) }
            byPath[path] = endpoint
            endpoint.paths.insert(path)
            foreignPaths[path] = nil
            neighbours?.announce(path, isOurs: true)
        case .pathRemoved(let path):
            endpoint.paths.remove(path)
            release(path, of: endpoint)
        case .selected(let path): log(.info, "path selected", endpoint, [("remote", .address(path.remote))])
        case .connected:
            statistics.iceSucceeded += 1
            endpoint.openOutputs()
            endpoint.conference.needsAllocation = true
            log(.info, "connected", endpoint, [("profile", .text(endpoint.transport.profile.map { "\($0)" } ?? "none"))])
            if endpoint.wantsSCTP { events.append(.sctpOpen(endpoint.handle)) }
        case .iceFailed:
            statistics.iceFailed += 1
            log(.warning, "ICE failed: no candidate pair works", endpoint, [])
        case .consentLost: log(.warning, "consent lost, media stops", endpoint, [])
        case .consentRegained:
            endpoint.conference.needsAllocation = true
            log(.info, "consent regained", endpoint, [])
        case .dtlsFailed(let error):
            statistics.dtlsFailed += 1
            log(.warning, "DTLS failed", endpoint, [("error", .text("\(error)"))])
        case .applicationData(let bytes): events.append(.sctpPacket(endpoint.handle, bytes))
        case .fragmentRetired(let fragment):
            endpoint.fragments.remove(fragment)
            byFragment[fragment] = nil
        case .dropped(let reason): statistics.count(reason)
        }
    }

    // MARK: Towards the outside

    func send(_ message: BridgeChannelMessage.ToClient, to endpoint: Endpoint) {
        guard let channel = endpoint.channel else { return }
        statistics.channelMessagesSent += 1
        events.append(.channelSend(endpoint.handle, channel, message.encoded()))
    }

    /// Sends one RTCP packet or compound; nothing when `write` wrote nothing.
    func sendRTCP(to endpoint: Endpoint, _ write: (inout RTCPWriter) -> Void) {
        guard let sealer = endpoint.transport.sealer, let path = endpoint.transport.sendPath else { return }
        let plain = unsafe rtcp + Self.rtcpRoom
        var writer = unsafe RTCPWriter(into: plain, capacity: 1200)
        write(&writer)
        let count = writer.count
        guard count > 0 else { return }
        let room = unsafe batch.reserve(SlotSlab.largestPacket)
        let sealed = unsafe sealer.sealRTCP(
            UnsafeRawBufferPointer(start: plain, count: count),
            into: UnsafeMutableRawBufferPointer(start: room, count: SlotSlab.largestPacket))
        if let sealed { batch.append(sealed, to: path) } else { statistics.count(.sealRefused) }
    }

    func log(_ level: LogEvent.Level, _ message: String, _ endpoint: Endpoint, _ facts: [(name: String, value: LogFact)]) {
        events.append(
            .log(
                LogEvent(
                    level, message, conference: endpoint.conference.meetingID, endpoint: endpoint.id, facts: facts)))
    }

    private func log(_ level: LogEvent.Level, _ message: String, _ conference: Conference) {
        events.append(
            .log(LogEvent(level, message, conference: conference.meetingID, facts: [("id", .text(conference.id))])))
    }
}
