// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Bridge
import CLinux
import ICE

/// Buffers for one recvmmsg, and its messages cut into datagrams. Lives on the thread that receives.
@safe final class ReceiveBatch {
    /// Messages of one system call; each may be a run of up to 64 datagrams.
    static let messageLimit = 32

    private let buffers: OpaquePointer
    /// Messages of the last call, and where in them the next datagram starts.
    private var received = 0
    private var message = 0
    private var offset = 0

    init() {
        guard let buffers = unsafe clinux_receive_batch_create(UInt32(Self.messageLimit)) else {
            preconditionFailure("out of memory")
        }
        unsafe self.buffers = buffers
    }

    deinit { unsafe clinux_receive_batch_destroy(buffers) }

    /// Receives what waits; returns the number of messages, or a negated error number.
    func receive(from socket: UDPSocket) -> Int {
        let result = unsafe Int(clinux_receive(buffers, socket.descriptor))
        received = max(result, 0)
        message = 0
        offset = 0
        return result
    }

    /// Running count of datagrams that the kernel dropped at the socket of the last call; wraps.
    var kernelDrops: UInt32 { unsafe clinux_receive_drops(buffers) }

    /// Moves the next datagrams of the last call into `target`; returns how many, 0 at the end. They are valid until the
    /// next `receive`. Truncated and empty messages are left out and counted.
    func next(
        socket: UInt16, into target: UnsafeMutableBufferPointer<InboundDatagram>, leftOut: inout UInt64
    ) -> Int {
        guard let messages = unsafe clinux_receive_messages(buffers) else { return 0 }
        var count = 0
        while message < received && count < target.count {
            let current = unsafe messages[message]
            let length = unsafe Int(current.count)
            guard let bytes = unsafe current.bytes, unsafe !current.is_truncated, length > 0 else {
                leftOut += 1
                message += 1
                continue
            }
            let path = unsafe Path(current.path, socket: socket)
            let segment = unsafe current.segment_size == 0 ? length : Int(current.segment_size)
            while offset < length && count < target.count {
                let size = min(segment, length - offset)
                let datagram = unsafe InboundDatagram(bytes: bytes + offset, count: size, path: path)
                unsafe target.initializeElement(at: count, to: datagram)
                count += 1
                offset += size
            }
            if offset >= length {
                message += 1
                offset = 0
            }
        }
        return count
    }
}

/// Headers for one sendmmsg. Lives on the thread that sends.
@safe final class SendBatch {
    /// Messages of one system call.
    static let messageLimit = 128

    private let headers: OpaquePointer

    init() {
        guard let headers = unsafe clinux_send_batch_create(UInt32(Self.messageLimit)) else {
            preconditionFailure("out of memory")
        }
        unsafe self.headers = headers
    }

    deinit { unsafe clinux_send_batch_destroy(headers) }

    /// Prepares entry `index`; false when the socket cannot reach such an address.
    func set(
        _ index: Int, bytes: UnsafeRawPointer, count: Int, segmentSize: UInt16, path: Path, socket: UDPSocket
    ) -> Bool {
        var ends = clinux_path(path)
        return unsafe clinux_send_set(
            headers, UInt32(index), socket.isDualStack, bytes.assumingMemoryBound(to: UInt8.self), UInt32(count),
            segmentSize, &ends)
    }

    /// Sends entries; returns how many the kernel took, or a negated error number when it refused the first.
    func send(_ entries: Range<Int>, through socket: UDPSocket) -> Int {
        unsafe Int(clinux_send(headers, socket.descriptor, UInt32(entries.lowerBound), UInt32(entries.count)))
    }
}

extension Path {
    fileprivate init(_ ends: clinux_path, socket: UInt16) {
        self.init(
            socket: socket,
            local: IPAddress(isIPv6: ends.is_ipv6, high: ends.local_high, low: ends.local_low),
            remote: TransportAddress(
                ip: IPAddress(isIPv6: ends.is_ipv6, high: ends.remote_high, low: ends.remote_low),
                port: ends.remote_port))
    }
}

extension IPAddress {
    /// From the two integers of the C side.
    init(isIPv6: Bool, high: UInt64, low: UInt64) {
        self = isIPv6 ? .v6(high, low) : .v4(UInt32(truncatingIfNeeded: low))
    }

    fileprivate var halves: (high: UInt64, low: UInt64) {
        switch self {
        case .v4(let octets): (0, UInt64(octets))
        case .v6(let high, let low): (high, low)
        }
    }
}

extension clinux_path {
    fileprivate init(_ path: Path) {
        let local = path.local.halves
        let remote = path.remote.ip.halves
        var isIPv6 = false
        if case .v6 = path.remote.ip { isIPv6 = true }
        self.init(
            local_high: local.high, local_low: local.low, remote_high: remote.high, remote_low: remote.low,
            remote_port: path.remote.port, is_ipv6: isIPv6)
    }
}
