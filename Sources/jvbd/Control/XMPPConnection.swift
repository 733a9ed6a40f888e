// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// One TCP connection to an XMPP server: carries the bytes of an `XMPPStream`, starts TLS when it asks (RFC 6120
/// section 5) and keeps its timers.

import Colibri
import NIOCore
import NIOPosix
import NIOSSL
import RTP

/// What a connection tells its owner, on the connection's loop.
protocol XMPPConnectionOwner: AnyObject {
    func connectionReady(_ address: JID)
    func connectionReceived(_ stanza: XMLElement)
    /// Comes exactly once; `error` is nil after an orderly end.
    func connectionEnded(_ error: (any Error)?)
}

/// Confined to the event loop of its channel.
final class XMPPConnection: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let stream: XMPPStream
    private let tls: NIOSSLContext
    /// Name for SNI and, where certificates are verified, for that.
    private let serverName: String?
    private weak var owner: (any XMPPConnectionOwner)?
    private var context: ChannelHandlerContext?
    private var timer: Scheduled<Void>?
    private var failure: (any Error)?
    private var hasEnded = false

    init(stream: XMPPStream, tls: NIOSSLContext, serverName: String?, owner: any XMPPConnectionOwner) {
        self.stream = stream
        self.tls = tls
        self.serverName = serverName
        self.owner = owner
    }

    /// Sends a stanza if the stream is logged in; drops it otherwise.
    func send(_ stanzas: [XMLElement]) {
        guard let context else { return }
        for stanza in stanzas { perform(stream.send(stanza), context) }
        context.flush()
    }

    /// Ends the stream in order.
    func close() {
        guard let context else { return }
        perform(stream.close(now: MonotonicClock.now()), context)
        arm(context)
    }

    func channelActive(context: ChannelHandlerContext) {
        self.context = context
        perform(stream.connected(now: MonotonicClock.now()), context)
        arm(context)
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = Array(unwrapInboundIn(data).readableBytesView)
        perform(stream.receive(bytes.span, now: MonotonicClock.now()), context)
        arm(context)
    }

    func channelInactive(context: ChannelHandlerContext) {
        end(failure)
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        end(failure)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // A server that closes TCP without TLS's own goodbye is no news beside the lost connection itself.
        if case NIOSSLError.uncleanShutdown = error {} else { failure = failure ?? error }
        context.close(promise: nil)
    }

    private func perform(_ actions: [XMPPAction], _ context: ChannelHandlerContext) {
        for action in actions {
            switch action {
            case .send(let bytes):
                context.writeAndFlush(wrapOutboundOut(context.channel.allocator.buffer(bytes: bytes)), promise: nil)
            case .startTLS:
                startTLS(context)
            case .ready(let address):
                owner?.connectionReady(address)
            case .stanza(let element):
                owner?.connectionReceived(element)
            case .closed:
                context.close(promise: nil)
            case .failed(let error):
                failure = failure ?? error
                context.close(promise: nil)
            }
        }
    }

    /// The TLS handler keeps what is written until its handshake is done and the certificate accepted, and closes the
    /// channel when either fails, so the stream may go on at once.
    private func startTLS(_ context: ChannelHandlerContext) {
        do {
            let handler = try NIOSSLClientHandler(context: tls, serverHostname: serverName)
            try context.pipeline.syncOperations.addHandler(handler, position: .first)
            perform(stream.secured(now: MonotonicClock.now()), context)
        } catch {
            failure = failure ?? error
            context.close(promise: nil)
        }
    }

    private func arm(_ context: ChannelHandlerContext) {
        timer?.cancel()
        timer = nil
        guard !hasEnded, let deadline = stream.deadline else { return }
        let wait = max(0, (deadline - MonotonicClock.now()).nanoseconds)
        timer = context.eventLoop.assumeIsolated().scheduleTask(in: .nanoseconds(wait + 1_000_000)) {
            self.perform(self.stream.tick(now: MonotonicClock.now()), context)
            self.arm(context)
        }
    }

    private func end(_ error: (any Error)?) {
        timer?.cancel()
        context = nil
        guard !hasEnded else { return }
        hasEnded = true
        owner?.connectionEnded(error)
    }
}
