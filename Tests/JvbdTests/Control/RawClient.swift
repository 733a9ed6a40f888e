// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOPosix
import Synchronization

/// A TCP client that shows what really is on the wire.
final class RawClient: Sendable {
    private struct State {
        var bytes: [UInt8] = []
        var isClosed = false
    }

    private final class Collector: ChannelInboundHandler, Sendable {
        typealias InboundIn = ByteBuffer
        let state = Mutex(State())

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let part = Array(unwrapInboundIn(data).readableBytesView)
            state.withLock { $0.bytes += part }
        }

        func channelInactive(context: ChannelHandlerContext) {
            state.withLock { $0.isClosed = true }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            context.close(promise: nil)
        }
    }

    private let channel: any Channel
    private let collector: Collector

    private init(channel: any Channel, collector: Collector) {
        self.channel = channel
        self.collector = collector
    }

    static func connect(_ port: Int?) async throws -> RawClient {
        let collector = Collector()
        let channel = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .channelInitializer { $0.pipeline.addHandler(collector) }
            .connect(host: "127.0.0.1", port: port ?? 0).get()
        return RawClient(channel: channel, collector: collector)
    }

    func send(_ bytes: [UInt8]) { channel.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil) }
    func send(_ text: String) { send(Array(text.utf8)) }
    func close() { channel.close(promise: nil) }

    var bytes: [UInt8] { collector.state.withLock { $0.bytes } }
    var text: String { String(decoding: bytes, as: UTF8.self) }
    var isClosed: Bool { collector.state.withLock { $0.isClosed } }

    /// Forgets what has come so far.
    func clear() { collector.state.withLock { $0.bytes = [] } }

    /// Waits until the condition holds, at most `seconds`; says whether it does.
    func wait(_ seconds: Double = 5, until condition: (RawClient) -> Bool) async -> Bool {
        await eventually(seconds) { condition(self) }
    }

    /// Sends an HTTP request and returns the whole reply once the server is done with it.
    static func exchange(_ port: Int?, _ request: String) async throws -> String {
        let client = try await connect(port)
        client.send(request)
        _ = await client.wait { $0.isClosed }
        return client.text
    }
}

/// Polls, since what is waited for happens on threads of the system under test.
func eventually(_ seconds: Double = 5, _ condition: () -> Bool) async -> Bool {
    let clock = ContinuousClock()
    let end = clock.now.advanced(by: .milliseconds(Int(seconds * 1000)))
    while clock.now < end {
        if condition() { return true }
        try? await Task.sleep(for: .milliseconds(5))
    }
    return condition()
}
