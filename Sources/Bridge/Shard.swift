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
    let dtlsContext: DTLSContext
    let fingerprint: Fingerprint
    var random: Entropy
    private(set) var conferences: [String: Conference] = [:]
    var endpoints: [EndpointHandle: Endpoint] = [:]
    var byFragment: [UsernameFragment: Endpoint] = [:]
    var byTag: [UInt32: Endpoint] = [:]
    var byPath: [Path: Endpoint] = [:]
    /// Validated paths of endpoints that other shards own.
    var foreignPaths: [Path: Int] = [:]
    let neighbours: (any ShardNeighbours)?
    /// The datagrams being handled were carried here by another shard: they go no further.
    private var areCarried = false
    var nextHandle: UInt64 = 1
    var nextTag: UInt32 = 1
    var events: [ShardEvent] = []
    var statistics = Statistics()
    /// Time of the call being handled.
    var now = Instant(nanoseconds: 0)
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
    /// How often timers are looked at while there are conferences.
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
    public var deadline: Instant? { conferences.isEmpty ? nil : nextTick }

    /// Told of each finished stage of a batch; nil outside of benchmarks.
    public var probe: (any StageProbe)? {
        didSet { batch.probe = probe }
    }

    /// Sees every decrypted packet from endpoints; nil unless they are recorded.
    public var tap: (any PacketTap)?

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
            if sort(datagram, &jobs), jobs == Self.openLimit {
                open(&jobs)
                // Slots that rings have let go of are taken again from here on: what is to be sent from them goes now.
                forwardAndFlush()
            }
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
    public func note(_ path: Path, ownedBy shard: Int?) {
        foreignPaths[path] = shard
        guard shard != nil, let endpoint = byPath[path] else { return }
        // Whoever validated it last has it, as among the endpoints of one shard.
        endpoint.paths.remove(path)
        byPath[path] = nil
    }

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
        switch unsafe opener.openRTCP(UnsafeRawBufferPointer(start: datagram.bytes, count: datagram.count), into: room)
        {
        case .success(let length):
            endpoint.transport.noteActivity(now)
            if let tap {
                unsafe tap.received(
                    UnsafeRawBufferPointer(start: rtcp, count: length), isRTCP: true, from: endpoint.handle,
                    id: endpoint.id, now: now)
            }
            let packet = unsafe Span<UInt8>(
                _unsafeStart: UnsafePointer(rtcp.assumingMemoryBound(to: UInt8.self)), count: length)
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
        // Retransmissions that wait to be sealed point into rings, which the packets being opened may evict them from.
        batch.flush()
        unsafe engine.open(UnsafeMutableBufferPointer(start: openJobs, count: jobs))
        probe?.finished(.open)
        for i in 0..<jobs {
            let job = unsafe openJobs[i]
            let slot = unsafe openSlots[i]
            var dropped: DropReason?
            if job.failure == .none {
                dropped = receiveRTP(
                    slot, length: Int(job.openedLength), index: job.index.rawValue, from: openOwners[i])
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
        // Only what is authentic is a sign of life: a source address can be forged.
        endpoint.transport.noteActivity(now)
        if let tap {
            unsafe tap.received(
                UnsafeRawBufferPointer(start: slab.pointer(slot), count: length), isRTCP: false, from: endpoint.handle,
                id: endpoint.id, now: now)
        }
        let packet = unsafe Span<UInt8>(
            _unsafeStart: UnsafePointer(slab.pointer(slot).assumingMemoryBound(to: UInt8.self)), count: length)
        guard let header = try? RTPHeader(parsingPlaintext: packet) else { return .rtpMalformed }
        return endpoint.receive(packet, header, slot, index, now: now)
    }

    func forwardAndFlush() {
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
        if nextTick == nil { nextTick = now + Self.tick }
        statistics.conferencesCreated += 1
        log(.info, "conference created", conference)
        return conference
    }

    private func expire(_ conference: Conference) {
        for endpoint in conference.endpoints { conference.expire(endpoint, "conference expired", now: now) }
        conferences[conference.meetingID] = nil
        if conferences.isEmpty { nextTick = nil }
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
        guard !conferences.isEmpty, nextTick.map({ $0 <= now }) ?? true else { return }
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
                for encoding in source.encodings where encoding.stream.age(now: now) {
                    conference.needsAllocation = true
                }
            }
        }
        conference.watchConnectivity(now: now)
        for endpoint in conference.endpoints {
            // JVB: never any activity for 2 minutes, or none for 1 minute.
            let limit: Interval = endpoint.outputs == nil ? .seconds(120) : .seconds(60)
            if endpoint.hasFailedICE {
                conference.expire(endpoint, "ICE failed", now: now)
            } else if now - endpoint.transport.lastHeard > limit {
                conference.expire(endpoint, "inactive", now: now)
            }
        }
        if conference.endpoints.isEmpty, now - conference.createdAt > .seconds(20) { expire(conference) }
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

    func log(
        _ level: LogEvent.Level, _ message: String, _ endpoint: Endpoint, _ facts: [(name: String, value: LogFact)]
    ) {
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
