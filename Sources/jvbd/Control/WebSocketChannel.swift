// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// One open colibri WebSocket (RFC 6455): text messages both ways, pings when idle, a bounded queue towards the client.

import Bridge
import Logging
import NIOCore
import NIOWebSocket
import Synchronization

/// The calls of `WebSocketPeer` come from any thread and go on to the channel's loop; everything else runs on that
/// loop.
final class WebSocketChannel: ChannelInboundHandler, Sendable {
    typealias InboundIn = WebSocketFrame
    typealias OutboundOut = WebSocketFrame

    struct Timing: Sendable {
        /// Silence after which the client is pinged.
        var ping = TimeAmount.seconds(15)
        /// Number of such silences after which it is given up: together a minute.
        var silences = 4
        /// From our close frame to the client's.
        var close = TimeAmount.seconds(2)
    }

    /// Bytes that may wait for a slow client before it is cut off.
    static let queueLimit = 256 << 10

    private struct LoopState {
        var silences = 0
        var closing = false
    }

    private let handle: EndpointHandle
    private let channel: any Channel
    private let controlPlane: ControlPlane
    private let timing: Timing
    private let logger: Logger
    private let queued = Atomic<Int>(0)
    private let overflowed = Atomic<Bool>(false)
    private let state: NIOLoopBoundBox<LoopState>

    init(
        handle: EndpointHandle, channel: any Channel, controlPlane: ControlPlane, timing: Timing, logger: Logger
    ) {
        self.handle = handle
        self.channel = channel
        self.controlPlane = controlPlane
        self.timing = timing
        self.logger = logger
        state = NIOLoopBoundBox(LoopState(), eventLoop: channel.eventLoop)
    }

    func handlerAdded(context: ChannelHandlerContext) {
        controlPlane.opened(handle, self)
    }

    func channelInactive(context: ChannelHandlerContext) {
        controlPlane.closed(handle, self)
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        state.value.silences = 0
        let frame = unwrapInboundIn(data)
        switch frame.opcode {
        case .text:
            guard !state.value.closing else { return }
            controlPlane.send(
                .channelMessage(handle, .webSocket, Array(frame.unmaskedData.readableBytesView)), to: handle)
        case .ping:
            guard !state.value.closing else { return }
            let answer = WebSocketFrame(fin: true, opcode: .pong, data: frame.unmaskedData)
            context.writeAndFlush(wrapOutboundOut(answer), promise: nil)
        case .connectionClose:
            if state.value.closing {
                context.close(promise: nil)
            } else {
                finish(frame.unmaskedData.slicePrefix(2))
            }
        case .binary:
            close(code: 1003, reason: "text only")
        default:
            break
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard let event = event as? IdleStateHandler.IdleStateEvent, event == .read else {
            return context.fireUserInboundEventTriggered(event)
        }
        state.value.silences += 1
        if state.value.silences >= timing.silences {
            logger.debug("websocket timed out")
            context.close(promise: nil)
        } else if !state.value.closing {
            let ping = WebSocketFrame(fin: true, opcode: .ping, data: ByteBuffer())
            context.writeAndFlush(wrapOutboundOut(ping), promise: nil)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // A frame that is too large, not masked or out of order: the decoder has answered with its close code.
        logger.debug("websocket failed", metadata: ["error": "\(error)"])
        if case NIOWebSocketFrameAggregator.Error.accumulatedFrameSizeIsTooLarge = error {
            close(code: 1009, reason: "message too large")
        } else if error is NIOWebSocketFrameAggregator.Error {
            close(code: 1002, reason: "protocol error")
        } else {
            context.close(promise: nil)
        }
    }

    /// Sends the close frame and waits a moment for the client's.
    private func finish(_ data: ByteBuffer) {
        guard !state.value.closing else { return }
        state.value.closing = true
        let channel = channel
        channel.writeAndFlush(WebSocketFrame(fin: true, opcode: .connectionClose, data: data), promise: nil)
        channel.eventLoop.scheduleTask(in: timing.close) { channel.close(promise: nil) }
    }
}

extension WebSocketChannel: WebSocketPeer {
    func send(text: [UInt8]) {
        guard !overflowed.load(ordering: .relaxed) else { return }
        guard queued.add(text.count, ordering: .relaxed).newValue <= WebSocketChannel.queueLimit else {
            if !overflowed.exchange(true, ordering: .relaxed) {
                logger.warning("websocket client reads too slowly, closed")
                channel.close(promise: nil)
            }
            return
        }
        channel.eventLoop.execute { [self] in
            guard !state.value.closing else { return }
            let frame = WebSocketFrame(fin: true, opcode: .text, data: channel.allocator.buffer(bytes: text))
            channel.writeAndFlush(frame).whenComplete { [self] _ in
                queued.subtract(text.count, ordering: .relaxed)
            }
        }
    }

    func close(code: UInt16, reason: String) {
        channel.eventLoop.execute { [self] in
            var data = channel.allocator.buffer(capacity: 2 + reason.utf8.count)
            data.write(webSocketErrorCode: WebSocketErrorCode(codeNumber: Int(code)))
            data.writeString(reason)
            finish(data)
        }
    }
}

extension ByteBuffer {
    /// The first `count` bytes, or all if there are fewer: a close frame is answered with its code alone.
    fileprivate func slicePrefix(_ count: Int) -> ByteBuffer {
        getSlice(at: readerIndex, length: min(count, readableBytes)) ?? ByteBuffer()
    }
}
