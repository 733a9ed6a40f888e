// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// The bridge's presence on one XMPP server: connects for ever, stays in the brewery, answers what Jicofo asks.

import Colibri
import Logging
import NIOCore
import NIOPosix
import NIOSSL
import RTP

/// Confined to its event loop.
final class XMPPClient {
    /// What changes of interest to the whole process.
    struct Presence: Sendable, Equatable {
        var connected = false
        var joined = false
    }

    /// Pauses before a new attempt, each made up to a quarter longer by chance.
    struct Pauses: Sendable {
        /// After an established connection was lost: Jicofo misses us.
        var afterLoss = TimeAmount.seconds(1)
        /// When the server cannot be reached or refuses the login.
        var afterFailure = TimeAmount.seconds(5)
        var connect = TimeAmount.seconds(10)
    }

    private let server: HostPort
    private let settings: XMPPSettings
    private let domain: JID
    private let tls: NIOSSLContext
    private let dispatcher: BridgeRequestDispatcher
    private let controlPlane: ControlPlane
    private let status: BridgeStatus
    private let loop: any EventLoop
    private let pauses: Pauses
    private var logger: Logger
    private var entropy = SystemEntropy()
    private var membership: BreweryMembership
    private var connection: XMPPConnection?
    /// Counts connections: an answer goes only to the connection that asked.
    private var generation = 0
    private var wasReady = false
    private var timer: Scheduled<Void>?
    private var stopped: EventLoopPromise<Void>?
    private var told = Presence()
    private var lastComplaint = ""

    /// nil, with a complaint in the log, when the domain, room or nickname cannot be an address.
    init?(
        server: HostPort, settings: XMPPSettings, tls: NIOSSLContext, version: String, controlPlane: ControlPlane,
        status: BridgeStatus, loop: any EventLoop, pauses: Pauses = Pauses(), logger: Logger
    ) {
        var logger = logger
        logger[metadataKey: "server"] = "\(server)"
        guard let domain = JID(settings.domain), let room = JID(settings.brewery),
            let membership = BreweryMembership(
                room: room, nickname: settings.nickname, random: SystemEntropy())
        else {
            logger.error(
                "no valid XMPP address",
                metadata: [
                    "domain": .string(settings.domain), "brewery": .string(settings.brewery),
                    "nickname": .string(settings.nickname),
                ])
            return nil
        }
        self.server = server
        self.settings = settings
        self.domain = domain
        self.tls = tls
        self.membership = membership
        self.controlPlane = controlPlane
        self.status = status
        self.loop = loop
        self.pauses = pauses
        self.logger = logger
        dispatcher = BridgeRequestDispatcher(rooms: [room], version: version)
    }

    /// What the next presences say.
    /// - Parameter urgent: Jicofo should know now, not in up to five seconds.
    func update(statistics: XMLElement, urgent: Bool) {
        membership.statistics = statistics
        if urgent { send(membership.publish(now: MonotonicClock.now())) }
    }

    // MARK: Connecting

    func start() {
        guard stopped == nil else { return }
        generation += 1
        wasReady = false
        let configuration = XMPPStreamConfiguration(
            domain: domain,
            credentials: XMPPCredentials(username: settings.user, password: settings.password.value),
            security: server.isLoopback ? .ifPossible : .required)
        let stream = XMPPStream(configuration, random: &entropy)
        let connection = XMPPConnection(
            stream: stream, tls: tls, serverName: HostPort.isName(settings.domain) ? settings.domain : nil, owner: self)
        self.connection = connection
        let bound = NIOLoopBound((client: self, connection: connection), eventLoop: loop)
        ClientBootstrap(group: loop)
            .connectTimeout(pauses.connect)
            .channelOption(ChannelOptions.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(ChannelOptions.socketOption(.so_keepalive), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(bound.value.connection)
                }
            }
            .connect(host: server.host, port: server.port)
            .assumeIsolated()
            .whenFailure { error in self.connectionEnded(error) }
    }

    private func scheduleRestart(after pause: TimeAmount) {
        let extra = Int64.random(in: 0...(pause.nanoseconds / 4), using: &entropy)
        timer?.cancel()
        timer = loop.assumeIsolated().scheduleTask(in: pause + .nanoseconds(extra)) { self.start() }
    }

    // MARK: Stopping

    /// Leaves the room and ends the stream; the future is fulfilled when that is done, at the latest after what the
    /// stream waits for the server's goodbye.
    func stop() -> EventLoopFuture<Void> {
        if let stopped { return stopped.futureResult }
        let promise = loop.makePromise(of: Void.self)
        stopped = promise
        timer?.cancel()
        if let connection {
            connection.send(membership.leave())
            connection.close()
        }
        // A connection that is still being made has nobody to say goodbye to.
        if connection == nil || !wasReady { promise.succeed() }
        return promise.futureResult
    }

    // MARK: Stanzas

    private func send(_ stanzas: [XMLElement]) {
        if !stanzas.isEmpty { connection?.send(stanzas) }
        armMembership()
        tell()
    }

    private func armMembership() {
        guard connection != nil, wasReady, stopped == nil else { return }
        timer?.cancel()
        timer = nil
        guard let deadline = membership.deadline else { return }
        let wait = max(0, (deadline - MonotonicClock.now()).nanoseconds)
        timer = loop.assumeIsolated().scheduleTask(in: .nanoseconds(wait + 1_000_000)) {
            let before = self.membership.state
            self.send(self.membership.tick(now: MonotonicClock.now()))
            self.logChange(from: before)
        }
    }

    private func logChange(from before: BreweryMembership.State) {
        guard before != membership.state else { return }
        switch membership.state {
        case .joined:
            logger.info("in the brewery", metadata: ["occupant": .string(membership.occupant.description)])
        case .waiting(_, let refusal):
            logger.warning(
                "not in the brewery, will try again",
                metadata: ["room": .string(membership.room.description), "reason": "\(refusal)"])
        case .joining, .outside:
            break
        }
    }

    private func answer(_ stanza: XMLElement) {
        let health: BridgeHealth = status.current.complaint.map { .unhealthy($0) } ?? .healthy
        switch dispatcher.dispatch(stanza, health: health) {
        case .none: break
        case .reply(let reply): connection?.send([reply])
        case .modify(let request, let iq):
            let bound = NIOLoopBound(self, eventLoop: loop)
            let (loop, asked) = (loop, generation)
            controlPlane.modify(request) { result in
                loop.execute { bound.value.answer(iq, result, asked) }
            }
        }
    }

    private func answer(_ iq: IQRequest, _ result: Result<ConferenceModified, ColibriError>, _ asked: Int) {
        guard asked == generation else { return }
        switch result {
        case .success(let modified): connection?.send([iq.result(modified.xml())])
        case .failure(let error):
            logger.warning(
                "COLIBRI2 request refused",
                metadata: ["condition": .string(error.condition.rawValue), "text": .string(error.text)])
            connection?.send([iq.error(error)])
        }
    }

    private func tell() {
        let now = Presence(connected: connection != nil && wasReady, joined: membership.isJoined)
        guard now != told else { return }
        let before = told
        told = now
        status.update {
            $0.xmppConnected += (now.connected ? 1 : 0) - (before.connected ? 1 : 0)
            $0.roomsJoined += (now.joined ? 1 : 0) - (before.joined ? 1 : 0)
        }
    }
}

extension XMPPClient: XMPPConnectionOwner {
    func connectionReady(_ address: JID) {
        wasReady = true
        lastComplaint = ""
        logger.info("logged in", metadata: ["address": .string(address.description)])
        send(membership.ready(now: MonotonicClock.now()))
    }

    func connectionReceived(_ stanza: XMLElement) {
        let before = membership.state
        send(membership.receive(stanza, now: MonotonicClock.now()))
        logChange(from: before)
        if stanza.name == "iq" { answer(stanza) }
    }

    func connectionEnded(_ error: (any Error)?) {
        guard connection != nil else { return }
        connection = nil
        timer?.cancel()
        membership.disconnected()
        tell()
        if let stopped {
            stopped.succeed()
            return
        }
        let complaint = error.map(XMPPClient.describe) ?? "the server closed the connection"
        if wasReady {
            status.update { $0.xmppDisconnects += 1 }
            logger.warning("connection lost", metadata: ["reason": .string(complaint)])
        } else if complaint != lastComplaint {
            // Once per reason: a server that is down for an hour is one line, not seven hundred.
            logger.warning("cannot log in, trying again for ever", metadata: ["reason": .string(complaint)])
            lastComplaint = complaint
        }
        scheduleRestart(after: wasReady ? pauses.afterLoss : pauses.afterFailure)
    }
}

extension XMPPClient {
    /// The reason in the operator's words, without the internals of the network library.
    static func describe(_ error: any Error) -> String {
        switch error {
        case let error as NIOConnectionError:
            if error.connectionErrors.isEmpty { return "the name \(error.host) cannot be resolved" }
            return error.connectionErrors.map { describe($0.error) }.joined(separator: "; ")
        case let error as IOError: return "\(error.description)"
        case ChannelError.connectTimeout: return "no answer to the connection attempt"
        case NIOSSLError.handshakeFailed(let cause):
            let isCertificate = "\(cause)".contains("CERTIFICATE_VERIFY_FAILED")
            return isCertificate
                ? "the server's certificate is not trusted (JVB_XMPP_VERIFY_CERTIFICATE)" : "TLS failed: \(cause)"
        default: return "\(error)"
        }
    }
}

extension HostPort {
    /// Whether TLS may send it as server name: a name, no literal address.
    static func isName(_ host: String) -> Bool { HostPort(host, defaultPort: 1).map { !$0.isLiteral } ?? false }
}
