// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// The private HTTP server (RFC 9112): whole requests in, whole replies out, with limits on everything a client can
/// send or keep open.

import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// A request whose body is complete.
struct HTTPRequest: Sendable {
    var method: HTTPMethod
    /// Percent-decoded components of the path, without empty ones.
    var path: [String]
    var headers: HTTPHeaders
    var body: [UInt8]
}

struct HTTPReply: Sendable {
    var status: HTTPResponseStatus
    var contentType: String = "application/json"
    var body: [UInt8] = []
    var headers: [(String, String)] = []
}

/// Answers requests. `reply` is called exactly once, on any thread.
protocol HTTPResponder: Sendable {
    func respond(to request: HTTPRequest, reply: @escaping @Sendable (HTTPReply) -> Void)
}

struct HTTPServer: Sendable {
    struct Limits: Sendable {
        var body = 1 << 20
        var connections = 256
        /// From one request to the next on a connection, and from the first to the last byte of the head.
        var idle = TimeAmount.seconds(60)
        /// From the end of the head to the end of the body, and from there to the end of the reply.
        var request = TimeAmount.seconds(15)
    }

    let channel: any Channel

    /// The address in use; the port matters when 0 was asked for.
    var localAddress: SocketAddress? { channel.localAddress }

    /// Listens. Throws when the address is not ours or the port is taken.
    static func start(
        on address: HostPort, group: any EventLoopGroup, responder: any HTTPResponder, limits: Limits = Limits()
    ) async throws -> HTTPServer {
        let connections = ConnectionCount(limit: limits.connections)
        let channel = try await ServerBootstrap(group: group)
            .serverChannelOption(ChannelOptions.backlog, value: 128)
            .serverChannelOption(ChannelOptions.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard connections.enter(channel) else { throw ChannelError.ioOnClosedChannel }
                    let pipeline = channel.pipeline.syncOperations
                    try pipeline.addHandler(HTTPResponseEncoder())
                    try pipeline.addHandler(
                        ByteToMessageHandler(HTTPRequestDecoder(limitConfiguration: .control)))
                    try pipeline.addHandler(HTTPServerPipelineHandler())
                    try pipeline.addHandler(HTTPServerProtocolErrorHandler())
                    try pipeline.addHandler(HTTPConnectionHandler(responder: responder, limits: limits))
                }
            }
            .bind(host: address.host, port: address.port).get()
        return HTTPServer(channel: channel)
    }

    func stop() async {
        try? await channel.close()
    }
}

extension NIOHTTPDecoderLimitConfiguration {
    /// 16 KiB of headers are plenty for a control interface.
    static var control: Self {
        var limits = Self()
        limits.maxHeaderFieldSize = 8 << 10
        limits.maxHeaderListSize = 16 << 10
        limits.maxHeaderFieldCount = 64
        return limits
    }
}

/// How many connections a server has open.
final class ConnectionCount: Sendable {
    private let count = Atomic<Int>(0)
    private let limit: Int

    init(limit: Int) { self.limit = limit }

    /// Counts the channel for as long as it is open; false when there are too many.
    func enter(_ channel: any Channel) -> Bool {
        guard count.add(1, ordering: .relaxed).newValue <= limit else {
            count.subtract(1, ordering: .relaxed)
            return false
        }
        channel.closeFuture.whenComplete { _ in self.count.subtract(1, ordering: .relaxed) }
        return true
    }
}

/// Collects one request at a time, which the pipelining handler before it guarantees, and writes its reply.
private final class HTTPConnectionHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let responder: any HTTPResponder
    private let limits: HTTPServer.Limits
    private var head: HTTPRequestHead?
    private var body: [UInt8] = []
    private var refused = false
    private var timer: Scheduled<Void>?

    init(responder: any HTTPResponder, limits: HTTPServer.Limits) {
        self.responder = responder
        self.limits = limits
    }

    func channelActive(context: ChannelHandlerContext) {
        arm(limits.idle, context)
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        timer?.cancel()
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            arm(limits.request, context)
            self.head = head
            body.removeAll(keepingCapacity: true)
            refused = false
            let announced = head.headers.first(name: "content-length").flatMap { Int($0) } ?? 0
            if announced > limits.body {
                refuse(context)
            } else if head.headers[canonicalForm: "expect"].contains("100-continue") {
                let proceed = HTTPResponseHead(version: head.version, status: .continue)
                context.writeAndFlush(wrapOutboundOut(.head(proceed)), promise: nil)
            }
        case .body(let part):
            guard !refused else { return }
            guard body.count + part.readableBytes <= limits.body else { return refuse(context) }
            body.append(contentsOf: part.readableBytesView)
        case .end:
            guard let head, !refused else { return }
            arm(limits.request, context)
            answer(head, context)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    private func answer(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        guard let path = HTTPPath.components(head.uri) else {
            return write(HTTPReply(status: .badRequest), to: head, context)
        }
        let request = HTTPRequest(method: head.method, path: path, headers: head.headers, body: body)
        let loop = context.eventLoop
        let bound = NIOLoopBound((handler: self, context: context), eventLoop: loop)
        responder.respond(to: request) { reply in
            loop.execute { bound.value.handler.write(reply, to: head, bound.value.context) }
        }
    }

    /// The body is not read to its end, so the connection cannot be used again.
    private func refuse(_ context: ChannelHandlerContext) {
        guard let head else { return }
        refused = true
        var reply = HTTPReply(status: .payloadTooLarge)
        reply.headers = [("connection", "close")]
        write(reply, to: head, context)
    }

    private func write(_ reply: HTTPReply, to head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        guard context.channel.isActive else { return }
        let keeps = head.isKeepAlive && !refused
        var headers = HTTPHeaders(reply.headers)
        headers.replaceOrAdd(name: "content-length", value: String(reply.body.count))
        if !reply.body.isEmpty { headers.replaceOrAdd(name: "content-type", value: reply.contentType) }
        headers.replaceOrAdd(name: "cache-control", value: "no-store")
        headers.replaceOrAdd(name: "x-content-type-options", value: "nosniff")
        headers.replaceOrAdd(name: "connection", value: keeps ? "keep-alive" : "close")
        let start = HTTPResponseHead(version: head.version, status: reply.status, headers: headers)
        context.write(wrapOutboundOut(.head(start)), promise: nil)
        if !reply.body.isEmpty, head.method != .HEAD {
            let buffer = context.channel.allocator.buffer(bytes: reply.body)
            context.write(wrapOutboundOut(.body(.byteBuffer(buffer))), promise: nil)
        }
        let done = context.writeAndFlush(wrapOutboundOut(.end(nil)))
        if keeps {
            arm(limits.idle, context)
        } else {
            done.assumeIsolated().whenComplete { _ in context.close(promise: nil) }
        }
    }

    private func arm(_ time: TimeAmount, _ context: ChannelHandlerContext) {
        timer?.cancel()
        timer = context.eventLoop.assumeIsolated().scheduleTask(in: time) { context.close(promise: nil) }
    }
}

enum HTTPPath {
    /// The percent-decoded components of a request target's path; nil when the encoding is broken or hides a slash or
    /// NUL.
    static func components(_ target: String) -> [String]? {
        let path = target.prefix { $0 != "?" && $0 != "#" }
        var components: [String] = []
        for part in path.split(separator: "/") {
            guard let decoded = decode(part) else { return nil }
            components.append(decoded)
        }
        return components
    }

    /// The value of a query parameter; nil when it is absent or its encoding is broken.
    static func query(_ name: String, in target: String) -> String? {
        guard let mark = target.firstIndex(of: "?") else { return nil }
        for pair in target[target.index(after: mark)...].split(separator: "&") where pair.hasPrefix("\(name)=") {
            return decode(pair.dropFirst(name.count + 1))
        }
        return nil
    }

    private static func decode(_ text: Substring) -> String? {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = rest.popFirst().flatMap(hexDigit), let low = rest.popFirst().flatMap(hexDigit) else {
                return nil
            }
            bytes.append(high << 4 | low)
        }
        guard !bytes.contains(0), !bytes.contains(UInt8(ascii: "/")) else { return nil }
        return String(validating: bytes, as: UTF8.self)
    }

    private static func hexDigit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
