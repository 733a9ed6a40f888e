// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Addresses as values: what a datagram came from, went to, and over which of our sockets.

/// An IPv4 or IPv6 address in host-independent form. IPv4-mapped IPv6 addresses are normalised at the socket, so here
/// an IPv4 peer is always `.v4`.
public enum IPAddress: Hashable, Sendable, BitwiseCopyable {
    /// The four octets, first one in the most significant byte.
    case v4(UInt32)
    /// The sixteen octets as two big-endian halves.
    case v6(UInt64, UInt64)
}

/// An IP address and a UDP port.
public struct TransportAddress: Hashable, Sendable, BitwiseCopyable {
    public var ip: IPAddress
    public var port: UInt16

    @inlinable
    public init(ip: IPAddress, port: UInt16) {
        self.ip = ip
        self.port = port
    }
}

/// The way of a datagram: our socket, the local address it used, and the peer. Everything that belongs to a peer is keyed by
/// it, and whatever is sent along a path leaves from its local address.
public struct Path: Hashable, Sendable, BitwiseCopyable {
    /// Index of the socket in its shard; 0 is never assumed.
    public var socket: UInt16
    /// Our address as the kernel saw it (PKTINFO); the port is the socket's.
    public var local: IPAddress
    /// The peer.
    public var remote: TransportAddress

    @inlinable
    public init(socket: UInt16, local: IPAddress, remote: TransportAddress) {
        self.socket = socket
        self.local = local
        self.remote = remote
    }
}
