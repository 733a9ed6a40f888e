// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Bridge
import CLinux
import Glibc
import ICE

/// Hands a shard's messages to the kernel with sendmmsg. Whatever one message meets, the next ones still go out; what does
/// not is counted.
final class DatagramSender: DatagramSink {
    private(set) var packetsSent: UInt64 = 0
    private(set) var bytesSent: UInt64 = 0
    private(set) var sendCalls: UInt64 = 0
    private(set) var segmentationFallbacks: UInt64 = 0
    private(set) var sendBufferDrops: UInt64 = 0
    private(set) var sendErrors: UInt64 = 0

    /// How long one call of `send` waits in all for room in a full socket buffer: four times half a millisecond. Longer
    /// would delay what arrives meanwhile; a buffer that is full for longer is congestion.
    private static let roomWaits = 4
    private static let roomWaitNanoseconds: Int64 = 500_000

    private let sockets: [UDPSocket]
    private let batch = SendBatch()
    private let singles = SendBatch()

    /// - Parameter sockets: `Path.socket` is an index into them.
    init(sockets: [UDPSocket]) {
        self.sockets = sockets
    }

    func send(_ messages: UnsafeBufferPointer<OutboundMessage>) {
        var waitsLeft = Self.roomWaits
        var first = 0
        while first < messages.count {
            let index = unsafe Int(messages[first].path.socket)
            guard index < sockets.count else {
                sendErrors += unsafe messages[first].datagramCount
                first += 1
                continue
            }
            var count = 0
            while count < SendBatch.messageLimit && first + count < messages.count {
                let message = unsafe messages[first + count]
                guard Int(message.path.socket) == index, prepare(message, at: count, sockets[index]) else {
                    break
                }
                count += 1
            }
            if count == 0 {
                sendErrors += unsafe messages[first].datagramCount
                first += 1
                continue
            }
            let run = unsafe UnsafeBufferPointer(rebasing: messages[first..<first + count])
            unsafe flush(run, through: sockets[index], waitsLeft: &waitsLeft)
            first += count
        }
    }

    /// Sends one datagram.
    func send(_ datagram: [UInt8], on path: Path) {
        unsafe datagram.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress else { return }
            let message = unsafe OutboundMessage(bytes: base, count: bytes.count, segmentSize: 0, path: path)
            unsafe withUnsafePointer(to: message) { message in
                unsafe send(UnsafeBufferPointer(start: message, count: 1))
            }
        }
    }

    private func prepare(_ message: OutboundMessage, at index: Int, _ socket: UDPSocket) -> Bool {
        unsafe batch.set(
            index, bytes: message.bytes, count: message.count, segmentSize: message.segmentSize, path: message.path,
            socket: socket)
    }

    /// Sends the prepared entries, which belong to `messages` one to one.
    private func flush(
        _ messages: UnsafeBufferPointer<OutboundMessage>, through socket: UDPSocket, waitsLeft: inout Int
    ) {
        var sent = 0
        var mayRetry = true
        while sent < messages.count {
            let result = batch.send(sent..<messages.count, through: socket)
            sendCalls += 1
            if result > 0 {
                for i in sent..<sent + result {
                    unsafe packetsSent += messages[i].datagramCount
                    unsafe bytesSent += UInt64(messages[i].count)
                }
                sent += result
                mayRetry = true
                continue
            }
            let message = unsafe messages[sent]
            switch Int32(-result) {
            case EAGAIN where waitsLeft > 0:
                waitsLeft -= 1
                _ = clinux_wait_writable(socket.descriptor, Self.roomWaitNanoseconds)
            case EAGAIN:
                for i in sent..<messages.count { sendBufferDrops += unsafe messages[i].datagramCount }
                return
            case EIO where message.isRun, EMSGSIZE where message.isRun, EINVAL where message.isRun:
                segmentationFallbacks += 1
                sendSingly(message, through: socket)
                sent += 1
            default:
                // An error that an earlier datagram left behind is reported once, in place of sending this one.
                if mayRetry {
                    mayRetry = false
                } else {
                    sendErrors += message.datagramCount
                    sent += 1
                    mayRetry = true
                }
            }
        }
    }

    /// Sends the datagrams of a run one by one: the route has no checksum offload, or the segments exceed its MTU.
    private func sendSingly(_ message: OutboundMessage, through socket: UDPSocket) {
        let segment = Int(message.segmentSize)
        var offset = 0
        while offset < message.count {
            var count = 0
            var end = offset
            while count < SendBatch.messageLimit && end < message.count {
                let size = min(segment, message.count - end)
                guard
                    unsafe singles.set(
                        count, bytes: message.bytes + end, count: size, segmentSize: 0, path: message.path,
                        socket: socket)
                else { return }
                count += 1
                end += size
            }
            var sent = 0
            while sent < count {
                let result = singles.send(sent..<count, through: socket)
                sendCalls += 1
                if result > 0 {
                    packetsSent += UInt64(result)
                    sent += result
                } else if result == Int(-EAGAIN) {
                    sendBufferDrops += UInt64(count - sent)
                    break
                } else {
                    sendErrors += 1
                    sent += 1
                }
            }
            bytesSent += UInt64(min(end - offset, sent * segment))
            offset = end
        }
    }
}

extension OutboundMessage {
    /// More than one datagram: the kernel is asked to cut it.
    fileprivate var isRun: Bool { segmentSize > 0 && Int(segmentSize) < count }

    fileprivate var datagramCount: UInt64 {
        isRun ? UInt64((count + Int(segmentSize) - 1) / Int(segmentSize)) : 1
    }
}
