// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import CLinux
import Glibc

/// Why the UDP port cannot be opened, in the operator's words.
enum UDPSocketError: Error, CustomStringConvertible {
    case portInUse(UInt16)
    case portNotPermitted(UInt16)
    case system(SystemCallError)

    var description: String {
        switch self {
        case .portInUse(let port):
            "UDP port \(port) (JVB_PORT) is in use by another process: stop that process or set JVB_PORT to a free port"
        case .portNotPermitted(let port):
            "UDP port \(port) (JVB_PORT) may not be opened by this user: set JVB_PORT to a port above 1023"
        case .system(let error):
            "UDP socket: \(error)"
        }
    }
}

/// A non-blocking UDP socket on all local addresses: dual-stack, or IPv4 only where the kernel has no IPv6. Only a
/// descriptor and what is known about it, so any thread may hold it; one thread receives from it.
final class UDPSocket: Sendable {
    let descriptor: Int32
    let isDualStack: Bool
    let port: UInt16
    /// Size in bytes of the receive and the send buffer that the kernel granted.
    let receiveBufferSize: Int
    let sendBufferSize: Int

    /// What is asked for, in bytes: a quarter of a second at 300 Mbit/s.
    static let wantedBufferSize = 10_485_760

    private init(descriptor: Int32, isDualStack: Bool, port: UInt16) {
        self.descriptor = descriptor
        self.isDualStack = isDualStack
        self.port = port
        receiveBufferSize = Int(clinux_set_buffer(descriptor, true, UInt32(Self.wantedBufferSize)))
        sendBufferSize = Int(clinux_set_buffer(descriptor, false, UInt32(Self.wantedBufferSize)))
    }

    deinit { closeDescriptor(descriptor) }

    /// Opens `count` sockets that share `port`, one for each shard; the kernel spreads the peers over them.
    ///
    /// The first is bound while sharing is off, so that a port that anyone else has is an error: with sharing on from the
    /// start a second bridge would silently take half of the peers. For the same reason a single socket never shares.
    /// - Parameter port: 0 for any free port.
    static func open(port: UInt16, count: Int = 1, allowIPv6: Bool = true) throws(UDPSocketError) -> [UDPSocket] {
        let first = try openFirst(port: port, allowIPv6: allowIPv6)
        var sockets = [first]
        guard count > 1 else { return sockets }
        try check("setsockopt", clinux_share_port(first.descriptor), first.port)
        while sockets.count < count {
            let descriptor = try create(isDualStack: first.isDualStack)
            let socket = UDPSocket(descriptor: descriptor, isDualStack: first.isDualStack, port: first.port)
            try check("setsockopt", clinux_share_port(descriptor), first.port)
            try check("bind", clinux_bind_any(descriptor, first.isDualStack, first.port), first.port)
            sockets.append(socket)
        }
        return sockets
    }

    /// The line for the operator when the kernel granted less than was asked for; nil when all is well.
    var bufferWarning: String? {
        var lines: [String] = []
        if receiveBufferSize < Self.wantedBufferSize { lines.append("net.core.rmem_max=\(Self.wantedBufferSize)") }
        if sendBufferSize < Self.wantedBufferSize { lines.append("net.core.wmem_max=\(Self.wantedBufferSize)") }
        guard !lines.isEmpty else { return nil }
        let smaller = min(receiveBufferSize, sendBufferSize)
        return "UDP buffers are \(smaller) bytes, bursts will be lost: on the host run sysctl -w "
            + lines.joined(separator: " ")
    }

    private static func openFirst(port: UInt16, allowIPv6: Bool) throws(UDPSocketError) -> UDPSocket {
        if allowIPv6 {
            let descriptor = clinux_udp_socket(true)
            if descriptor >= 0 {
                let result = clinux_bind_any(descriptor, true, port)
                if result != -EADDRNOTAVAIL {
                    return try finish(descriptor, isDualStack: true, port: port, bound: result)
                }
                closeDescriptor(descriptor)
            } else if descriptor != -EAFNOSUPPORT {
                throw .system(SystemCallError("socket", result: descriptor))
            }
        }
        let descriptor = try create(isDualStack: false)
        return try finish(descriptor, isDualStack: false, port: port, bound: clinux_bind_any(descriptor, false, port))
    }

    private static func finish(
        _ descriptor: Int32, isDualStack: Bool, port: UInt16, bound: Int32
    ) throws(UDPSocketError) -> UDPSocket {
        let actualPort = clinux_local_port(descriptor)
        let socket = UDPSocket(
            descriptor: descriptor, isDualStack: isDualStack, port: UInt16(truncatingIfNeeded: max(actualPort, 0)))
        try check("bind", bound, port)
        try check("getsockname", min(actualPort, 0), port)
        return socket
    }

    private static func create(isDualStack: Bool) throws(UDPSocketError) -> Int32 {
        let descriptor = clinux_udp_socket(isDualStack)
        guard descriptor >= 0 else { throw .system(SystemCallError("socket", result: descriptor)) }
        return descriptor
    }

    private static func check(_ call: String, _ result: Int32, _ port: UInt16) throws(UDPSocketError) {
        switch result {
        case 0...: return
        case -EADDRINUSE: throw .portInUse(port)
        case -EACCES: throw .portNotPermitted(port)
        default: throw .system(SystemCallError(call, result: result))
        }
    }
}
