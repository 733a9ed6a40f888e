// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// The public HTTP server: nothing but the upgrade to a colibri WebSocket (RFC 6455) at
/// `/colibri-ws/SERVER-ID/CONFERENCE-ID/ENDPOINT-ID?pwd=PASSWORD`.

import Bridge
import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOWebSocket

struct WebSocketServer: Sendable {
    /// Largest message in either direction, bytes.
    static let messageLimit = 64 << 10
    private static let connectionLimit = 10_000

    let channel: any Channel

    var localAddress: SocketAddress? { channel.localAddress }

    static func start(
        on address: HostPort, serverID: String, controlPlane: ControlPlane, group: any EventLoopGroup,
        timing: WebSocketChannel.Timing = .init(), logger: Logger = Logger(label: "WebSocket")
    ) async throws -> WebSocketServer {
        let connections = ConnectionCount(limit: connectionLimit)
        let channel = try await ServerBootstrap(group: group)
            .serverChannelOption(ChannelOptions.backlog, value: 512)
            .serverChannelOption(ChannelOptions.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(ChannelOptions.tcpOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard connections.enter(channel) else { throw ChannelError.ioOnClosedChannel }
                    try prepare(channel, serverID, controlPlane, timing, logger)
                }
            }
            .bind(host: address.host, port: address.port).get()
        return WebSocketServer(channel: channel)
    }

    func stop() async {
        try? await channel.close()
    }

    private static func prepare(
        _ channel: any Channel, _ serverID: String, _ controlPlane: ControlPlane, _ timing: WebSocketChannel.Timing,
        _ logger: Logger
    ) throws {
        // Decided before the upgrade, used after it; both happen on the channel's own loop.
        let authorized = NIOLoopBoundBox<EndpointHandle?>(nil, eventLoop: channel.eventLoop)
        let refused = NIOLoopBoundBox<HTTPResponseStatus?>(nil, eventLoop: channel.eventLoop)
        let upgrader = NIOTypedWebSocketServerUpgrader<Void>(
            maxFrameSize: messageLimit,
            shouldUpgrade: { channel, head in
                guard let target = WebSocketTarget(head.uri), target.serverID == serverID else {
                    refused.value = .notFound
                    return channel.eventLoop.makeSucceededFuture(nil)
                }
                let promise = channel.eventLoop.makePromise(of: EndpointHandle?.self)
                controlPlane.authorizeWebSocket(
                    conference: target.conferenceID, endpoint: target.endpointID, password: target.password
                ) { promise.succeed($0) }
                return promise.futureResult.map { handle in
                    authorized.value = handle
                    if handle == nil { refused.value = .forbidden }
                    return handle == nil ? nil : HTTPHeaders()
                }
            },
            upgradePipelineHandler: { channel, _ in
                channel.eventLoop.makeCompletedFuture {
                    guard let handle = authorized.value else { throw ChannelError.ioOnClosedChannel }
                    let pipeline = channel.pipeline.syncOperations
                    try pipeline.addHandler(
                        NIOWebSocketFrameAggregator(
                            minNonFinalFragmentSize: 0, maxAccumulatedFrameCount: 64,
                            maxAccumulatedFrameSize: messageLimit))
                    try pipeline.addHandler(IdleStateHandler(readTimeout: timing.ping))
                    try pipeline.addHandler(
                        WebSocketChannel(
                            handle: handle, channel: channel, controlPlane: controlPlane, timing: timing,
                            logger: logger))
                }
            })
        var configuration = NIOUpgradableHTTPServerPipelineConfiguration(
            upgradeConfiguration: NIOTypedHTTPServerUpgradeConfiguration(
                upgraders: [upgrader],
                notUpgradingCompletionHandler: { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(
                            WebSocketRefusal(serverID: serverID, status: refused.value))
                    }
                }))
        configuration.decoderConfiguration = .control
        // Whoever connects and does not finish the upgrade in time is sent away.
        let deadline = channel.eventLoop.scheduleTask(in: .seconds(15)) { channel.close(promise: nil) }
        let upgraded = try channel.pipeline.syncOperations.configureUpgradableHTTPServerPipeline(
            configuration: configuration)
        upgraded.whenComplete { result in
            if authorized.value != nil { deadline.cancel() }
            if case .failure = result { channel.close(promise: nil) }
        }
    }
}

/// The parts of a WebSocket URL. Never printed: the password is in it.
struct WebSocketTarget: Equatable {
    let serverID: String
    let conferenceID: String
    let endpointID: String
    let password: String

    /// nil when the path or the query is not of the one form that we hand out.
    init?(_ uri: String) {
        guard let path = HTTPPath.components(uri), path.count == 4, path[0] == "colibri-ws",
            let password = HTTPPath.query("pwd", in: uri), !password.isEmpty
        else { return nil }
        (serverID, conferenceID, endpointID) = (path[1], path[2], path[3])
        self.password = password
    }
}

/// Answers what was not upgraded: 404 for a path that is not ours, 403 for everything a password could have opened.
private final class WebSocketRefusal: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let serverID: String
    private let status: HTTPResponseStatus?
    private var isAnswered = false

    /// - Parameter status: the decision about an upgrade; nil when it never came to one.
    init(serverID: String, status: HTTPResponseStatus?) {
        self.serverID = serverID
        self.status = status
    }

    /// The upgrade handler shows the head of a plain request to the handlers behind it, but keeps that of an upgrade it
    /// refused: when none comes, that one is answered.
    func handlerAdded(context: ChannelHandlerContext) {
        if let status { return answer(status, context) }
        context.eventLoop.assumeIsolated().execute { self.answer(.badRequest, context) }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .head(let head) = unwrapInboundIn(data) else { return }
        answer(WebSocketTarget(head.uri)?.serverID == serverID ? .upgradeRequired : .notFound, context)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    private func answer(_ status: HTTPResponseStatus, _ context: ChannelHandlerContext) {
        guard !isAnswered, context.channel.isActive else { return }
        isAnswered = true
        var headers = HTTPHeaders([("content-length", "0"), ("connection", "close")])
        if status == .upgradeRequired { headers.add(name: "upgrade", value: "websocket") }
        let response = HTTPResponseHead(version: .http1_1, status: status, headers: headers)
        context.write(wrapOutboundOut(.head(response)), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil))).assumeIsolated().whenComplete { _ in
            context.close(promise: nil)
        }
    }
}
