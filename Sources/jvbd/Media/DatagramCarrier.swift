// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Bridge
import ICE
import RTP

/// Carries datagrams between media threads: each thread has a ring to every other one, and the receiver's doorbell wakes it.
enum DatagramCarrier {
    /// What crosses a ring: a datagram, or news of a path.
    fileprivate struct Parcel: BitwiseCopyable, Sendable {
        enum Kind: UInt8, BitwiseCopyable {
            case datagram, pathOwned, pathReleased
        }

        var kind: Kind
        var count: UInt16
        var path: Path
        var bytes = InlineArray<1536, UInt8>(repeating: 0)

        static let capacity = 1536
    }

    /// Datagrams that may wait between two threads.
    private static let ringCapacity = 256

    /// The ends of `count` threads.
    static func ports(count: Int) throws(SystemCallError) -> [Port] {
        var doorbells: [Doorbell] = []
        for _ in 0..<count { doorbells.append(try Doorbell()) }
        let rings = (0..<count).map { from in
            (0..<count).map { to in from == to ? nil : SlotRing<Parcel>(minimumCapacity: ringCapacity) }
        }
        return (0..<count).map { index in
            Port(
                index: index, doorbell: doorbells[index], outgoing: rings[index], incoming: rings.map { $0[index] },
                doorbells: doorbells)
        }
    }

    /// One thread's end. `carry` and `announce` are called on that thread only, and so is `deliver`: each ring has one pusher
    /// and one popper.
    final class Port: ShardNeighbours, Sendable {
        private let index: Int
        /// Wakes this end's thread.
        let doorbell: Doorbell
        private let outgoing: [SlotRing<Parcel>?]
        private let incoming: [SlotRing<Parcel>?]
        private let doorbells: [Doorbell]

        fileprivate init(
            index: Int, doorbell: Doorbell, outgoing: [SlotRing<Parcel>?], incoming: [SlotRing<Parcel>?],
            doorbells: [Doorbell]
        ) {
            self.index = index
            self.doorbell = doorbell
            self.outgoing = outgoing
            self.incoming = incoming
            self.doorbells = doorbells
        }

        func carry(_ datagram: InboundDatagram, to shard: Int) -> Bool {
            guard shard < outgoing.count, let ring = outgoing[shard], datagram.count <= Parcel.capacity else {
                return false
            }
            var parcel = Parcel(kind: .datagram, count: UInt16(datagram.count), path: datagram.path)
            unsafe withUnsafeMutableBytes(of: &parcel.bytes) { room in
                unsafe room.copyMemory(from: UnsafeRawBufferPointer(start: datagram.bytes, count: datagram.count))
            }
            guard ring.push(parcel) else { return false }
            doorbells[shard].ring()
            return true
        }

        func announce(_ path: Path, isOurs: Bool) {
            for (shard, ring) in outgoing.enumerated() {
                // A full ring means a thread that is behind; its datagrams on this path are dropped and counted until the peer's
                // next check announces the path again.
                _ = ring?.push(Parcel(kind: isOurs ? .pathOwned : .pathReleased, count: 0, path: path))
                if ring != nil { doorbells[shard].ring() }
            }
        }

        /// Hands what waits to the core of this end's thread.
        func deliver(to core: some MediaCore, now: Instant) {
            for (shard, ring) in incoming.enumerated() {
                guard let ring else { continue }
                // What arrives while this runs waits for the next turn.
                for _ in 0..<ring.capacity {
                    guard let parcel = ring.pop() else { break }
                    switch parcel.kind {
                    case .pathOwned: core.note(parcel.path, ownedBy: shard)
                    case .pathReleased: core.note(parcel.path, ownedBy: nil)
                    case .datagram: deliver(parcel, to: core, now: now)
                    }
                }
            }
        }

        private func deliver(_ parcel: Parcel, to core: some MediaCore, now: Instant) {
            unsafe withUnsafeBytes(of: parcel.bytes) { bytes in
                guard let start = bytes.baseAddress else { return }
                let datagram = unsafe InboundDatagram(bytes: start, count: Int(parcel.count), path: parcel.path)
                unsafe withUnsafePointer(to: datagram) {
                    unsafe core.receiveCarried(UnsafeBufferPointer(start: $0, count: 1), now: now)
                }
            }
        }
    }
}
