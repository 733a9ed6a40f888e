// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// The media half of the process: opens the port, starts a thread with a shard for each socket and the SCTP host, and ties their
/// events to the control plane.

import Bridge
import DTLS
import ICE
import Logging
import RTP

extension Shard: MediaCore {}

extension Mailbox: ShardDoor where Element == ShardCommand {}

final class MediaPlane: Sendable {
    /// A start that cannot succeed, in one line that names the setting.
    struct StartError: Error, CustomStringConvertible {
        let description: String
    }

    let control: ControlPlane
    let threads: [MediaThread<Shard>]
    let addresses: MediaAddresses
    private let sctp: SCTPHost?
    private let dump: RTPDump?

    /// Opens `JVB_PORT` and starts everything; media flows from now on.
    ///
    /// - Parameter includesLoopback: whether loopback addresses are candidates too (the demo, tests).
    static func start(_ configuration: Configuration, includesLoopback: Bool, logger: Logger) throws -> MediaPlane {
        let dump = try configuration.rtpDumpFolder.map { try RTPDump(folder: $0, logger: logger) }
        if let folder = configuration.rtpDumpFolder {
            logger.warning(
                "everything that participants say and show is written to disk unencrypted",
                metadata: ["variable": "JVB_DEBUG_RTP_DUMP", "folder": .string(folder)])
        }
        let budget = ProcessorBudget.current()
        let count = min(budget.mediaThreads(override: configuration.mediaThreads), Shard.limit)
        let sockets: [UDPSocket]
        do throws(UDPSocketError) {
            sockets = try UDPSocket.open(port: configuration.mediaPort, count: count)
        } catch {
            throw StartError(description: "\(error)")
        }
        if let warning = sockets[0].bufferWarning { logger.warning("\(warning)") }
        let addresses = MediaAddresses(
            configuration, port: sockets[0].port, isDualStack: sockets[0].isDualStack,
            includesLoopback: includesLoopback)
        guard !addresses.bases.isEmpty else {
            throw StartError(
                description: "JVB_BIND_ADDRESS names no address of this machine; it has "
                    + LocalAddress.all(includeLoopback: true).map { "\($0.address)" }.joined(separator: ", "))
        }
        let identity = try DTLSIdentity.generate(now: WallClock.milliseconds() / 1000)
        return try MediaPlane(configuration, budget, sockets, addresses, identity, dump)
    }

    private init(
        _ configuration: Configuration, _ budget: ProcessorBudget, _ sockets: [UDPSocket], _ addresses: MediaAddresses,
        _ identity: DTLSIdentity, _ dump: RTPDump?
    ) throws {
        self.addresses = addresses
        self.dump = dump
        let relay = EventRelay()
        let pins = budget.pins(threads: sockets.count)
        let carriers = try DatagramCarrier.ports(count: sockets.count)
        var threads: [MediaThread<Shard>] = []
        for (index, socket) in sockets.enumerated() {
            var settings = ShardConfiguration()
            settings.index = UInt8(index)
            settings.bases = addresses.bases
            settings.candidates = addresses.candidates
            settings.advertisesPrivateCandidates = configuration.advertisesPrivateCandidates
            settings.webSocketPrefixes = configuration.webSocketPrefixes(address: addresses.outward)
            settings.sctpEnabled = configuration.sctpEnabled
            let shardSettings = settings
            // What can fail was tried here, on this thread; on its own thread the shard must come to life.
            _ = try Shard(shardSettings, identity: identity, entropy: SystemEntropy(), sink: DatagramDrain())
            threads.append(
                try MediaThread(
                    name: "media\(index)", sockets: [socket], processor: index < pins.count ? pins[index] : nil,
                    carrier: carriers[index],
                    makeCore: { sink in
                        do {
                            let shard = try Shard(
                                shardSettings, identity: identity, entropy: SystemEntropy(), sink: sink,
                                neighbours: carriers.count > 1 ? carriers[index] : nil)
                            shard.tap = dump.map { RTPDumpTap($0) }
                            return shard
                        } catch {
                            preconditionFailure("a shard that could be made a moment ago cannot be made now: \(error)")
                        }
                    },
                    deliver: { events in relay.deliver(events, from: index) }))
        }
        self.threads = threads
        let control = ControlPlane(doors: threads.map(\.mailbox))
        self.control = control
        relay.connect(control)
        sctp = configuration.sctpEnabled ? try SCTPHost(callbacks: control.sctpCallbacks) : nil
        if let sctp { control.connect(sctp: { sctp.take($0) }) }
    }

    /// Ends the threads; peers notice by the loss of consent.
    func stop() {
        for thread in threads { thread.stop() }
        sctp?.stop()
        // Last: the threads have handed over what they held when they ended.
        dump?.stop()
    }
}

/// Carries events of shards to the control plane, which can only be made once the shards' mailboxes exist.
private final class EventRelay: Sendable {
    private let control = Guarded<ControlPlane?>(nil)

    func connect(_ plane: ControlPlane) { control.withLock { $0 = plane } }

    func deliver(_ events: [ShardEvent], from shard: Int) {
        guard let plane = control.withLock({ $0 }) else { return }
        for event in events { plane.receive(event, from: shard) }
    }
}

/// Takes what a trial shard sends: nothing.
private final class DatagramDrain: DatagramSink {
    func send(_ messages: UnsafeBufferPointer<OutboundMessage>) {}
}

extension ControlPlane {
    /// What the SCTP host has to say goes back to the endpoint's shard.
    fileprivate var sctpCallbacks: SCTPHost.Callbacks {
        SCTPHost.Callbacks(
            packet: { self.send(.sctpPacket($0, $1), to: $0) },
            channelOpened: { self.send(.channelOpened($0, .sctp), to: $0) },
            message: { self.send(.channelMessage($0, .sctp, $1), to: $0) },
            channelClosed: { self.send(.channelClosed($0, .sctp), to: $0) })
    }
}

extension SCTPHost {
    fileprivate func take(_ event: ShardEvent) {
        switch event {
        case .sctpOpen(let endpoint): open(endpoint)
        case .sctpPacket(let endpoint, let packet): receive(endpoint, packet: packet)
        case .sctpClose(let endpoint): close(endpoint)
        case .channelSend(let endpoint, .sctp, let text): send(endpoint, text: text)
        default: break
        }
    }
}
