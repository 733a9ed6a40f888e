// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Colibri
import DTLS
import ICE
import RTP
import Testing

@testable import Bridge

/// Two shards on one port: datagrams that arrive at the wrong one.
struct NeighbourTests {
    /// What one shard knows of the other: a queue of datagrams and announcements.
    final class Carrier: ShardNeighbours {
        var carried: [(path: Path, bytes: [UInt8], shard: Int)] = []
        var announced: [(path: Path, isOurs: Bool)] = []
        var isFull = false

        func carry(_ datagram: InboundDatagram, to shard: Int) -> Bool {
            guard !isFull else { return false }
            let bytes = unsafe Array(UnsafeRawBufferPointer(start: datagram.bytes, count: datagram.count))
            carried.append((datagram.path, bytes, shard))
            return true
        }

        func announce(_ path: Path, isOurs: Bool) { announced.append((path, isOurs)) }
    }

    /// Two shards; what clients of the first one send arrives at the second while `strays` is set.
    final class Pair {
        let carriers = [Carrier(), Carrier()]
        let shards: [VirtualBridge]
        var strays = true
        /// Whether announcements reach the other shard.
        var announces = true
        private var stray: [(path: Path, bytes: [UInt8])] = []
        private(set) var carriedKinds: [DatagramKind: Int] = [:]

        init() throws {
            let carriers = carriers
            shards = try (0..<2).map { index in
                try VirtualBridge(neighbours: carriers[index]) { $0.index = UInt8(index) }
            }
            shards[0].blocksUpstream = { [unowned self] path, bytes in
                guard strays else { return false }
                stray.append((path, bytes))
                return true
            }
        }

        func run(_ interval: Interval) {
            for _ in 0..<(interval.nanoseconds / 5_000_000) {
                for shard in shards { shard.run(.milliseconds(5)) }
                let batch = stray
                stray = []
                shards[1].receive(batch)
                pump()
            }
        }

        func pump() {
            for (index, carrier) in carriers.enumerated() {
                let (carried, announced) = (carrier.carried, carrier.announced)
                carrier.carried = []
                carrier.announced = []
                for datagram in carried {
                    carriedKinds[DatagramKind(datagram.bytes.span), default: 0] += 1
                    shards[datagram.shard].receive([(datagram.path, datagram.bytes)], carried: true)
                }
                guard announces else { continue }
                for (path, isOurs) in announced { shards[1 - index].shard.note(path, ownedBy: isOurs ? index : nil) }
            }
        }
    }

    @Test func aCallWorksThoughEveryDatagramArrivesAtTheWrongShard() throws {
        let pair = try Pair()
        let clients = [VirtualClient("a", 1), VirtualClient("b", 2)]
        let live = try clients.enumerated().map { try pair.shards[0].connect($1, seed: UInt64($0) + 1) }
        pair.run(.seconds(4))
        #expect(live.allSatisfy { $0.dtls.state == .connected })
        #expect(clients[0].received(clients[1].audioSSRC).count > 100)
        #expect(clients[1].received(clients[0].audioSSRC).count > 100)
        #expect(clients.allSatisfy { $0.failures.isEmpty })
        for kind in [DatagramKind.stun, .dtls, .rtp, .rtcp] {
            #expect(pair.carriedKinds[kind, default: 0] > 0, "\(kind)")
        }
        #expect(pair.shards[1].snapshot().packetsSent == 0, "the owner alone answers")
    }

    @Test func ufragsTellTheShard() throws {
        let pair = try Pair()
        for (index, letter) in ["a", "b"].enumerated() {
            let answer = try pair.shards[index].modify(VirtualClient("x", 1).endpoint(), create: true).get()
            #expect(answer.endpoints.first?.transport?.ice?.ufrag?.rawValue.prefix(1) == letter[...])
        }
        #expect(Shard.limit == 62)
        for index in 0..<Shard.limit { #expect(Shard.index(of: Shard.letter(of: UInt8(index))) == index) }
        #expect(Shard.index(of: UInt8(ascii: "-")) == nil)
    }

    @Test func withoutAnAnnouncementOnlySTUNFindsItsOwner() throws {
        let pair = try Pair()
        pair.announces = false
        let client = VirtualClient("a", 1)
        let live = try pair.shards[0].connect(client)
        pair.run(.seconds(2))
        #expect(live.ice.selectedPath != nil, "checks go by ufrag, answers by tag")
        #expect(live.dtls.state != .connected)
        #expect(pair.shards[1].drops("unvalidatedPath") > 0)
    }

    @Test func whatIsGoneIsAnnouncedToo() throws {
        let pair = try Pair()
        let client = VirtualClient("a", 1)
        try pair.shards[0].connect(client)
        pair.run(.seconds(2))
        let path = VirtualBridge.path(of: client)
        let before = pair.shards[1].drops("unvalidatedPath")
        pair.shards[1].receive([(path, [0x80, 111] + [UInt8](repeating: 1, count: 40))])
        #expect(pair.shards[1].drops("unvalidatedPath") == before)
        #expect(pair.carriers[0].carried.isEmpty && pair.carriers[1].carried.count == 1)
        pair.pump()
        pair.shards[0].leave(client)
        pair.pump()
        pair.shards[1].receive([(path, [0x80, 111] + [UInt8](repeating: 1, count: 40))])
        #expect(pair.shards[1].drops("unvalidatedPath") == before + 1)
    }

    @Test func aFullCarrierIsCounted() throws {
        let pair = try Pair()
        let client = VirtualClient("a", 1)
        try pair.shards[0].connect(client)
        pair.run(.seconds(2))
        pair.carriers[1].isFull = true
        pair.shards[1].receive([(VirtualBridge.path(of: client), [0x80, 111] + [UInt8](repeating: 1, count: 40))])
        #expect(pair.shards[1].drops["carrierFull"] == 1)
    }

    @Test func whatWasCarriedGoesNoFurther() throws {
        let pair = try Pair()
        let path = Path(
            socket: 0, local: VirtualBridge.address.ip, remote: TransportAddress(ip: .v4(0x0A00_0001), port: 5))
        // Each believes that the path is the other's.
        pair.shards[0].shard.note(path, ownedBy: 1)
        pair.shards[1].shard.note(path, ownedBy: 0)
        pair.shards[1].receive([(path, [0x80, 111] + [UInt8](repeating: 1, count: 40))])
        for _ in 0..<5 { pair.pump() }
        #expect(pair.carriedKinds[.rtp] == 1)
        #expect(pair.shards[0].drops["unvalidatedPath"] == 1)
    }

    @Test func aPathBelongsToWhoeverValidatedItLast() throws {
        let pair = try Pair()
        pair.strays = false
        let first = VirtualClient("a", 1)
        try pair.shards[0].connect(first)
        pair.run(.seconds(2))
        let path = VirtualBridge.path(of: first)
        #expect(pair.shards[0].endpoint(first)?.paths == [path])
        // The same address and port, now of an endpoint on the other shard.
        pair.shards[0].forget(first)
        let second = VirtualClient("a", 1)
        try pair.shards[1].connect(second, seed: 99)
        pair.run(.seconds(2))
        #expect(pair.shards[1].endpoint(second)?.paths == [path])
        #expect(pair.shards[0].endpoint(first)?.paths.isEmpty == true)
        pair.shards[0].receive([(path, [0x80, 111] + [UInt8](repeating: 1, count: 40))])
        #expect(pair.carriers[0].carried.map(\.shard) == [1])
        // The end of the old endpoint does not take the path from the new one.
        pair.carriers[0].carried = []
        pair.shards[0].leave(first)
        pair.pump()
        pair.shards[0].receive([(path, [0x80, 111] + [UInt8](repeating: 1, count: 40))])
        #expect(pair.carriers[0].carried.map(\.shard) == [1])
    }

    @Test func alonePathsAndUfragsOfOthersAreCountedAsUnknown() throws {
        let bridge = try VirtualBridge()
        let path = Path(
            socket: 0, local: VirtualBridge.address.ip, remote: TransportAddress(ip: .v4(0x0A00_0001), port: 5))
        bridge.shard.note(path, ownedBy: 1)
        bridge.receive([(path, [0x80, 111] + [UInt8](repeating: 1, count: 40))])
        #expect(bridge.drops == ["unvalidatedPath": 1])
    }
}
