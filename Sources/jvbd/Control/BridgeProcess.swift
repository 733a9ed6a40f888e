// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// The running bridge: brings its parts up in order, keeps time for them, and takes them down again.

import Bridge
import Colibri
import Glibc
import ICE
import Logging
import NIOCore
import NIOPosix

struct BridgeProcess: Sendable {
    /// From SIGTERM to the end, at the latest.
    private static let shutdownTime = TimeAmount.seconds(5)
    /// From the announcement to Jicofo to the end of the process, so that participants can be moved.
    private static let shuttingDownDelay = TimeAmount.seconds(60)
    private static let statisticsInterval = TimeAmount.seconds(5)

    private let configuration: Configuration
    private let logger = Logger(label: "Jvbd")
    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
    private let status = BridgeStatus()
    private let media: MediaPlane
    private let statistics: BridgeStatistics

    private var controlPlane: ControlPlane { media.control }

    /// Runs the bridge of the configuration until a signal or a shutdown request ends it.
    /// - Parameter page: what to serve at `/`.
    /// - Returns: the exit status: 0 after a shutdown, 78 for a configuration that cannot work, 128 and the signal's
    ///   number after a signal, like JVB.
    static func run(_ configuration: Configuration, page: [UInt8]? = nil, isDemo: Bool = false) async -> Int32 {
        LineLogHandler.install(configuration)
        let logger = Logger(label: "Configuration")
        for (name, reason) in configuration.ignored {
            logger.warning("set, but without effect", metadata: ["variable": .string(name), "reason": .string(reason)])
        }
        guard configuration.problems.isEmpty else {
            for problem in configuration.problems { logger.critical("\(problem)") }
            return ExitStatus.configuration
        }
        let signals = TerminationSignals()
        do {
            let media = try MediaPlane.start(
                configuration, includesLoopback: isDemo, logger: Logger(label: "Media"))
            return try await BridgeProcess(configuration, media)
                .run(signals: signals.stream, page: page, isDemo: isDemo)
        } catch let error as MediaPlane.StartError {
            logger.critical("\(error)")
            return ExitStatus.configuration
        } catch let problem as ConfigurationProblem {
            logger.critical("\(problem)")
            return ExitStatus.configuration
        } catch {
            logger.critical("cannot start", metadata: ["reason": "\(error)"])
            return EX_OSERR
        }
    }

    private init(_ configuration: Configuration, _ media: MediaPlane) {
        self.configuration = configuration
        self.media = media
        statistics = BridgeStatistics(status: status, version: configuration.version)
    }

    private func run(signals: AsyncStream<Int32>, page: [UInt8]?, isDemo: Bool) async throws -> Int32 {
        logger.notice("started", metadata: ["version": .string(Version.string)])
        logAddresses(media.addresses.candidates)
        let shards = media.threads.count
        let clock = group.next().scheduleRepeatedTask(initialDelay: .milliseconds(50), delay: .milliseconds(50)) { _ in
            controlPlane.tick(now: .now())
        }
        await takeStatistics(shards: shards)

        let (ends, end) = AsyncStream.makeStream(of: Int32.self)
        let http = try await startHTTP(page: page, end: end)
        var webSocket: WebSocketServer?
        if let settings = configuration.webSocket {
            webSocket = try await listening("JVB_WS_PORT", settings.listen) {
                try await WebSocketServer.start(
                    on: settings.listen, serverID: settings.serverID ?? "\(media.addresses.outward)",
                    controlPlane: controlPlane, group: group)
            }
        }
        var xmpp: XMPPService?
        if let settings = configuration.xmpp {
            xmpp = try await XMPPService.start(
                settings, version: configuration.version, controlPlane: controlPlane, status: status, group: group)
        }
        if isDemo { logger.notice("meeting page ready", metadata: ["url": "http://\(configuration.privateHTTP)/"]) }

        let exitStatus = await withTaskGroup(of: Int32?.self) { tasks in
            tasks.addTask { [xmpp] in await keepStatistics(shards: shards, xmpp: xmpp, end: end) }
            tasks.addTask {
                await discoverAddresses()
                return nil
            }
            tasks.addTask { await ends.first { _ in true } }
            tasks.addTask {
                let number = await signals.first { _ in true }
                return number.map { 128 + $0 }
            }
            for await status in tasks {
                if let status {
                    tasks.cancelAll()
                    return status
                }
            }
            return 0
        }
        logger.notice("stopping", metadata: ["status": .count(Int(exitStatus))])
        insistOnEnd(exitStatus)
        await xmpp?.stop()
        await http.stop()
        await webSocket?.stop()
        clock.cancel()
        media.stop()
        return exitStatus
    }

    /// Whatever hangs while the process ends, it ends in time.
    private func insistOnEnd(_ status: Int32) {
        group.next().scheduleTask(in: BridgeProcess.shutdownTime) { _exit(status) }
    }

    // MARK: Parts

    private func startHTTP(page: [UInt8]?, end: AsyncStream<Int32>.Continuation) async throws -> HTTPServer {
        let routes = RESTRoutes(
            controlPlane: controlPlane, status: status, statistics: statistics, version: configuration.version,
            colibriEnabled: configuration.restEnabled, shutdownEnabled: configuration.shutdownRESTEnabled, page: page,
            shutDown: { graceful in
                if graceful {
                    controlPlane.refuseConferences()
                    status.update { if $0.shutdown == .running { $0.shutdown = .graceful } }
                } else {
                    announceShutdown(end)
                }
            })
        return try await listening("JVB_COLIBRI_PORT", configuration.privateHTTP) {
            try await HTTPServer.start(on: configuration.privateHTTP, group: group, responder: routes)
        }
    }

    /// A port that is in use is a mistake of the configuration, told with the variable to change.
    private func listening<Server>(
        _ variable: String, _ address: HostPort, _ start: () async throws -> Server
    ) async throws -> Server {
        do {
            return try await start()
        } catch let error as IOError where error.errnoCode == EADDRINUSE {
            throw ConfigurationProblem(
                variable: variable, complaint: "TCP port \(address.port) is in use by another process",
                mend: "stop that process or set \(variable) to a free port")
        }
    }

    // MARK: Addresses

    /// Asks the STUN servers and tells the shards what they say.
    private func discoverAddresses() async {
        guard !configuration.stunServers.isEmpty else { return }
        let outcome = await AddressDiscovery.discover(
            servers: configuration.stunServers.map { (host: $0.host, port: UInt16(truncatingIfNeeded: $0.port)) },
            from: media.addresses.bases.map(\.address.ip))
        if outcome.answers == 0 {
            return logger.warning("no STUN server answered; set JVB_ADVERTISE_IPS if a NAT is in the way")
        }
        let candidates = media.addresses.candidates(adding: outcome)
        logAddresses(candidates.filter { !media.addresses.candidates.contains($0) })
        controlPlane.broadcast(.advertise(candidates))
    }

    private func logAddresses(_ candidates: [AdvertisedCandidate]) {
        for candidate in candidates {
            let ip = candidate.address.ip
            var line: Logger.Metadata = ["address": .address(candidate.address), "kind": "host"]
            line["class"] =
                ip.isLoopback ? "loopback" : ip.isPrivate ? "private" : ip.isCGNAT ? "carrier-grade-nat" : "public"
            if case .mapped(let base) = candidate.kind {
                line["kind"] = "mapped"
                line["base"] = .address(base)
            }
            logger.info("advertised", metadata: line)
        }
    }

    // MARK: Statistics and shutdown

    private func takeStatistics(shards: Int) async {
        let snapshots = await withCheckedContinuation { continuation in
            controlPlane.snapshot { continuation.resume(returning: $0.map(\.snapshot)) }
        }
        statistics.take(snapshots, expected: shards, now: .now(), loadLine: HostLoad.systemLine())
    }

    private func keepStatistics(
        shards: Int, xmpp: XMPPService?, end: AsyncStream<Int32>.Continuation
    ) async -> Int32? {
        var told: BridgeStatus.Values?
        while !Task.isCancelled {
            await takeStatistics(shards: shards)
            if status.current.shutdown == .graceful, statistics.endpoints == 0 { announceShutdown(end) }
            let now = status.current
            let urgent = told.map { $0.drain != now.drain || $0.shutdown != now.shutdown } ?? true
            told = now
            xmpp?.update(
                statistics: statistics.values(timestamp: WallClock.statisticsTimestamp()), urgent: urgent)
            try? await Task.sleep(nanoseconds: UInt64(BridgeProcess.statisticsInterval.nanoseconds))
        }
        return nil
    }

    private func announceShutdown(_ end: AsyncStream<Int32>.Continuation) {
        controlPlane.refuseConferences()
        let isFirst = status.update { values in
            defer { values.shutdown = .shuttingDown }
            return values.shutdown != .shuttingDown
        }
        guard isFirst else { return }
        logger.notice("shutting down in a minute")
        group.next().scheduleTask(in: BridgeProcess.shuttingDownDelay) { end.yield(0) }
    }
}
