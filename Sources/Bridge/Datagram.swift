// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Datagrams at the border of the bridge: borrowed on the way in, borrowed on the way out.

public import ICE

/// One received datagram. Its bytes belong to the caller and are read only during `Shard.receive`.
@safe
public struct InboundDatagram: BitwiseCopyable {
    public var bytes: UnsafeRawPointer
    public var count: Int
    public var path: Path

    public init(bytes: UnsafeRawPointer, count: Int, path: Path) {
        unsafe self.bytes = bytes
        self.count = count
        self.path = path
    }
}

/// One message for the kernel: a datagram, or a run of datagrams of equal size to one peer (UDP_SEGMENT; only the last may
/// be shorter). Its bytes belong to the shard and are valid during `DatagramSink.send`.
@safe
public struct OutboundMessage: BitwiseCopyable {
    public var bytes: UnsafeRawPointer
    public var count: Int
    /// Size of each datagram of the run in bytes; 0 when the message is a single datagram.
    public var segmentSize: UInt16
    public var path: Path

    public init(bytes: UnsafeRawPointer, count: Int, segmentSize: UInt16, path: Path) {
        unsafe self.bytes = bytes
        self.count = count
        self.segmentSize = segmentSize
        self.path = path
    }
}

/// Where a shard's datagrams go: `MediaThread` hands them to the kernel, a simulation to its network. Called once per chunk
/// (at most 128 packets, so that they are still in the second-level cache), not per packet.
public protocol DatagramSink: AnyObject {
    func send(_ messages: UnsafeBufferPointer<OutboundMessage>)
}
