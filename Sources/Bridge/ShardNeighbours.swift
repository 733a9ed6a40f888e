// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// The other shards of the process as one shard sees them: the kernel spreads peers over the sockets of one port by their address,
/// so that many datagrams arrive at a shard that does not own their endpoint.

public import ICE

public protocol ShardNeighbours: AnyObject {
    /// Hands a datagram over to the shard that owns its endpoint; false when that one cannot take it or does not exist. The bytes are
    /// copied during the call.
    func carry(_ datagram: InboundDatagram, to shard: Int) -> Bool
    /// Tells all other shards that a path is this shard's, or no longer is.
    func announce(_ path: Path, isOurs: Bool)
}
