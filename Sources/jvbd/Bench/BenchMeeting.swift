// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// The meeting that is measured: one publisher with two simulcast encodings, N receivers, and what happens in real meetings now and
/// then (keyframe requests, retransmissions, switches), all over the product's sockets, shard and sender.

import Bridge
import CLinux
import Colibri
import DTLS
import Glibc
import ICE
import RTP
import SRTP

@safe
final class BenchMeeting {
    struct Shape {
        var profile: ProtectionProfile
        var engine: EngineKind?
        var receivers: Int
        var burst: Int
        var bytes: Int
        var usesSegmentation: Bool
    }

    struct Result {
        var engine = ""
        var packets = 0
        var nanosecondsPerPacket = 0.0
        /// By `Stage`, per forwarded packet.
        var split = [Double](repeating: 0, count: Stage.allCases.count)
        var allocations: UInt64?
        var events: [(name: String, count: Int)] = []
        var features: [String] = []
    }

    static let meetingID = "bench"
    private let shape: Shape
    private let socket: UDPSocket
    private let clock = StageClock()
    private let sender: DatagramSender
    private let sink: BenchSink
    private let shard: Shard
    private let receiveBatch = ReceiveBatch()
    private let datagrams = UnsafeMutableBufferPointer<InboundDatagram>.allocate(capacity: 128)
    private let publisher: BenchPublisher
    private var viewers: [BenchViewer] = []
    private var batches = 0
    private var keyframeRequests = 0
    private var retransmissionRequests = 0
    private var switches = 0
    private var height = 360

    init(_ shape: Shape) throws {
        self.shape = shape
        socket = try UDPSocket.open(port: 0)[0]
        let local = IPAddress.v4(0x7F00_0001)
        let address = TransportAddress(ip: local, port: socket.port)
        sender = DatagramSender(sockets: [socket])
        sink = BenchSink(sender, usesSegmentation: shape.usesSegmentation)
        var configuration = ShardConfiguration()
        configuration.engine = shape.engine
        configuration.bases = [LocalBase(socket: 0, address: address)]
        shard = try Shard(
            configuration, identity: DTLSIdentity.generate(now: WallClock.milliseconds() / 1000),
            entropy: SystemEntropy(),
            sink: sink)
        publisher = try BenchPublisher(shape, bridge: address)
        shard.probe = clock

        let now = MonotonicClock.now()
        try modify(publisher.endpoint, create: true, now)
        let path = Path(socket: 0, local: local, remote: TransportAddress(ip: local, port: publisher.port))
        guard shard.adopt(publisher.bridgeKeys, path: path, endpoint: "publisher", meetingID: Self.meetingID, now: now)
        else {
            throw BenchError.setUp("publisher")
        }
        for index in 0..<shape.receivers {
            let viewer = try BenchViewer(index: index, profile: shape.profile)
            try modify(viewer.endpoint, create: false, now)
            let path = Path(socket: 0, local: local, remote: TransportAddress(ip: local, port: viewer.port))
            guard shard.adopt(viewer.bridgeKeys, path: path, endpoint: viewer.id, meetingID: Self.meetingID, now: now)
            else {
                throw BenchError.setUp(viewer.id)
            }
            viewers.append(viewer)
        }
        openChannels(now)
    }

    deinit { unsafe datagrams.deallocate() }

    private func modify(_ endpoint: EndpointModify, create: Bool, _ now: Instant) throws {
        var request = ConferenceModify(meetingID: Self.meetingID)
        request.create = create
        request.endpoints = [endpoint]
        shard.perform(.modify(request, RequestID(rawValue: 0)), now: now)
        for case .modified(_, .failure(let error)) in shard.takeEvents() { throw error }
    }

    /// Receivers open their bridge channel and ask for the lower encoding.
    private func openChannels(_ now: Instant) {
        for handle in 1...UInt64(shape.receivers + 1) {
            shard.perform(.channelOpened(EndpointHandle(rawValue: handle), .sctp), now: now)
        }
        askFor(height, now)
    }

    private func askFor(_ height: Int, _ now: Instant) {
        let text = Array(
            #"{"colibriClass":"ReceiverVideoConstraints","lastN":-1,"defaultConstraints":{"maxHeight":\#(height)}}"#
                .utf8)
        for handle in 2...UInt64(shape.receivers + 1) {
            shard.perform(.channelMessage(EndpointHandle(rawValue: handle), .sctp, text), now: now)
        }
        _ = shard.takeEvents()
    }

    // MARK: Running

    /// Fills every buffer, ring and table that grows with use, of both encodings.
    func warmUp() {
        for _ in 0..<4 {
            for _ in 0..<max(80, 1600 / shape.burst) { turn() }
            switchLayer()
        }
        switches = 0
        sink.packets = 0
        clock.reset()
    }

    func measure(seconds: Double, packets: Int, progress: (Int) -> Void) -> Result {
        let start = MonotonicClock.now()
        let before = AllocationCounter.count
        var allocations: UInt64 = 0
        var nextProgress = start + .milliseconds(200)
        while sink.packets < packets {
            let now = MonotonicClock.now()
            if (now - start).seconds >= seconds { break }
            if now >= nextProgress {
                nextProgress = now + .milliseconds(200)
                progress(sink.packets)
            }
            allocations += turn()
        }
        var result = Result()
        result.engine = shard.engineName
        result.packets = sink.packets
        let forwarded = Double(max(sink.packets, 1))
        result.split = clock.nanoseconds.map { Double($0) / forwarded }
        result.nanosecondsPerPacket = result.split.reduce(0, +)
        result.allocations = before == nil ? nil : allocations
        result.events = [
            ("sequence_wraps", publisher.wraps), ("keyframe_requests", keyframeRequests),
            ("retransmission_requests", retransmissionRequests), ("retransmissions", retransmissions()),
            ("layer_switches", switches),
        ]
        result.features = ["transport-cc", "rtx", "nack", "audio-level", "vp8-picture-id", "simulcast"]
        return result
    }

    /// One batch: sent by the publisher outside of the clock, received and forwarded inside it. Returns the allocations inside.
    @discardableResult
    private func turn() -> UInt64 {
        batches += 1
        if batches % 1500 == 0 { switchLayer() }
        publisher.send(active: height > 180 ? 1 : 0)
        let reports = takeReports()
        let before = AllocationCounter.count ?? 0
        clock.start()
        _ = receiveBatch.receive(from: socket)
        while true {
            var leftOut: UInt64 = 0
            let count = unsafe receiveBatch.next(socket: 0, into: datagrams, leftOut: &leftOut)
            if count == 0 { break }
            clock.finished(.receive)
            unsafe shard.receive(UnsafeBufferPointer(rebasing: datagrams[..<count]), now: MonotonicClock.now())
            clock.finished(.forward)
        }
        for report in reports { deliver(report) }
        clock.finished(.forward)
        let inside = (AllocationCounter.count ?? 0) - before
        if batches % 50 == 0 {
            shard.advance(now: MonotonicClock.now())
            _ = shard.takeEvents()
        }
        return inside
    }

    /// Every 97th batch another receiver wants a keyframe or one of the packets that it was just sent.
    private func takeReports() -> [BenchViewer.Report] {
        let viewer = viewers[batches / 97 % viewers.count]
        if batches % 97 == 60 { sink.watch(port: viewers[(batches / 97 + 1) % viewers.count].port) }
        guard batches % 97 == 0 else { return [] }
        return viewer.report(lost: batches / 97 % 2 == 0 ? sink.takeWatched() : nil)
    }

    /// A receiver's RTCP, straight into the shard: its socket is only there to be sent to.
    private func deliver(_ report: BenchViewer.Report) {
        switch report.kind {
        case .keyframeRequest: keyframeRequests += 1
        case .retransmissionRequest: retransmissionRequests += 1
        }
        let path = Path(
            socket: 0, local: .v4(0x7F00_0001), remote: TransportAddress(ip: .v4(0x7F00_0001), port: report.port))
        unsafe report.bytes.withUnsafeBytes { bytes in
            guard let start = bytes.baseAddress else { return }
            let datagram = unsafe InboundDatagram(bytes: start, count: bytes.count, path: path)
            unsafe withUnsafePointer(to: datagram) {
                unsafe shard.receive(UnsafeBufferPointer(start: $0, count: 1), now: MonotonicClock.now())
            }
        }
    }

    private func retransmissions() -> Int {
        shard.perform(.snapshot(RequestID(rawValue: 0)), now: MonotonicClock.now())
        var count = 0
        for case .snapshot(_, let snapshot) in shard.takeEvents() { count += snapshot.retransmissionsSent }
        return count
    }

    private func switchLayer() {
        switches += 1
        height = height == 360 ? 180 : 360
        askFor(height, MonotonicClock.now())
        publisher.startKeyframe()
    }
}

enum BenchError: Error, CustomStringConvertible {
    case setUp(String)

    var description: String {
        switch self {
        case .setUp(let what): "cannot set up the measured meeting: \(what)"
        }
    }
}

/// Counts what is sent and hands it on, in runs or one by one.
@safe
private final class BenchSink: DatagramSink {
    private let sender: DatagramSender
    private let usesSegmentation: Bool
    private let singles = UnsafeMutableBufferPointer<OutboundMessage>.allocate(capacity: 128)
    var packets = 0
    private var watchedPort: UInt16 = 0
    private var watchedSequence: UInt16?

    init(_ sender: DatagramSender, usesSegmentation: Bool) {
        self.sender = sender
        self.usesSegmentation = usesSegmentation
    }

    deinit { unsafe singles.deallocate() }

    /// Notes the sequence number of a packet that goes to `port`.
    func watch(port: UInt16) { watchedPort = port }

    func takeWatched() -> UInt16? {
        watchedPort = 0
        return watchedSequence
    }

    func send(_ messages: UnsafeBufferPointer<OutboundMessage>) {
        var count = 0
        for i in messages.indices {
            let message = unsafe messages[i]
            let size = message.segmentSize == 0 ? message.count : Int(message.segmentSize)
            if message.path.remote.port == watchedPort {
                watchedSequence = unsafe UInt16(
                    bigEndian: message.bytes.loadUnaligned(fromByteOffset: 2, as: UInt16.self))
                // The first packet is old enough to be asked for by the time it is.
                watchedPort = 0
            }
            var offset = 0
            while offset < message.count {
                if !usesSegmentation {
                    unsafe singles[count] = OutboundMessage(
                        bytes: message.bytes + offset, count: min(size, message.count - offset), segmentSize: 0,
                        path: message.path)
                    count += 1
                }
                packets += 1
                offset += size
            }
        }
        if usesSegmentation {
            unsafe sender.send(messages)
        } else {
            unsafe sender.send(UnsafeBufferPointer(rebasing: singles[..<count]))
        }
    }
}

/// Adds up the time of each stage.
private final class StageClock: StageProbe {
    private(set) var nanoseconds = [UInt64](repeating: 0, count: Stage.allCases.count)
    private var last = Instant(nanoseconds: 0)

    func start() { last = MonotonicClock.now() }

    func finished(_ stage: Stage) {
        let now = MonotonicClock.now()
        nanoseconds[stage.rawValue] += now.nanoseconds &- last.nanoseconds
        last = now
    }

    func reset() { for i in nanoseconds.indices { nanoseconds[i] = 0 } }
}
