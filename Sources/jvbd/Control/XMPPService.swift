// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// The bridge on all its XMPP servers at once; they know nothing of each other.

import Colibri
import Logging
import NIOCore
import NIOSSL

struct XMPPService: Sendable {
    private let clients: [NIOLoopBound<XMPPClient>]

    /// Connects to every server of the settings, each on a loop of the group.
    /// - Throws: when TLS cannot be set up.
    static func start(
        _ settings: XMPPSettings, version: String, controlPlane: ControlPlane, status: BridgeStatus,
        group: any EventLoopGroup, pauses: XMPPClient.Pauses = .init(), logger: Logger = Logger(label: "XMPP")
    ) async throws -> XMPPService {
        var tls = TLSConfiguration.makeClientConfiguration()
        if !settings.verifiesCertificate {
            tls.certificateVerification = .none
            logger.notice("certificates of XMPP servers are not verified; JVB_XMPP_VERIFY_CERTIFICATE=1 changes that")
        }
        let context = try NIOSSLContext(configuration: tls)
        status.update { $0.xmppConfigured = settings.servers.count }
        var clients: [NIOLoopBound<XMPPClient>] = []
        for server in settings.servers {
            let loop = group.next()
            let client = try await loop.submit {
                XMPPClient(
                    server: server, settings: settings, tls: context, version: version, controlPlane: controlPlane,
                    status: status, loop: loop, pauses: pauses, logger: logger
                ).map { client in
                    client.start()
                    return NIOLoopBound(client, eventLoop: loop)
                }
            }.get()
            if let client { clients.append(client) }
        }
        return XMPPService(clients: clients)
    }

    /// What presence says from now on.
    func update(statistics: [(name: String, value: JSONValue)], urgent: Bool = false) {
        let element = BreweryPresence.statistics(
            statistics.map { ($0.name, $0.value.string ?? $0.value.description) })
        for client in clients {
            client.eventLoop.execute { client.value.update(statistics: element, urgent: urgent) }
        }
    }

    /// Leaves all rooms and closes all streams, at most `patience` long.
    func stop(patience: TimeAmount = .seconds(3)) async {
        await withTaskGroup(of: Void.self) { tasks in
            for client in clients {
                tasks.addTask {
                    let loop = client.eventLoop
                    let done = loop.makePromise(of: Void.self)
                    loop.scheduleTask(in: patience) { done.succeed() }
                    loop.execute { client.value.stop().cascade(to: done) }
                    try? await done.futureResult.get()
                }
            }
        }
    }
}
