// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Bridge
import DTLS
import Glibc
import RTP
import Testing

@testable import jvbd

/// Whole associations inside one usrsctp: bridge sides (passive) and client sides (active) whose packets are handed to each
/// other as DTLS would, with loss where a test wants it.
extension SCTPTests {
    @Suite struct HostTests {
        @Test func aChannelOpensAndTextGoesBothWays() throws {
            let world = try SCTPWorld()
            defer { world.stop() }
            let bridge = world.pair(1)
            #expect(world.wait { $0.opened.count == 2 })
            world.host.send(bridge, text: Array("from the bridge".utf8))
            world.host.send(world.client(of: bridge), text: Array("from the client".utf8))
            #expect(world.wait { $0.texts.count == 2 })
            let texts = world.state.texts
            #expect(texts[world.client(of: bridge)] == [Array("from the bridge".utf8)])
            #expect(texts[bridge] == [Array("from the client".utf8)])
            let counters = world.host.counters
            #expect(counters.openChannels == 2)
            #expect(counters.messagesSent == 2)
            #expect(counters.messagesReceived == 2)
            #expect(counters.droppedMessages == 0)
        }

        @Test func aLongMessageArrivesWholeInPacketsThatFitDTLS() throws {
            let world = try SCTPWorld()
            defer { world.stop() }
            let bridge = world.pair(1)
            #expect(world.wait { $0.opened.count == 2 })
            let text = (0..<262_144).map { UInt8(truncatingIfNeeded: $0 / 251) }
            world.host.send(bridge, text: text)
            world.host.send(world.client(of: bridge), text: text)
            #expect(world.wait { $0.texts.count == 2 })
            #expect(world.state.texts[bridge] == [text])
            #expect(world.state.texts[world.client(of: bridge)] == [text])
            #expect(world.state.largestPacket <= 1140)
            #expect(world.state.largestPacket > 1000)
        }

        @Test func lostPacketsAreRepeated() throws {
            let world = try SCTPWorld(lossPerMille: 100)
            defer { world.stop() }
            let bridge = world.pair(1)
            #expect(world.wait { $0.opened.count == 2 })
            let texts = (0..<50).map { Array("message \($0)".utf8) }
            for text in texts { world.host.send(bridge, text: text) }
            #expect(world.wait { $0.texts[world.client(of: bridge)]?.count == 50 })
            #expect(world.state.texts[world.client(of: bridge)] == texts)
        }

        @Test func whatCannotBeSentIsDroppedAndCounted() throws {
            let world = try SCTPWorld()
            defer { world.stop() }
            let bridge = world.pair(1)
            world.host.send(EndpointHandle(rawValue: 999), text: [1])
            #expect(world.wait { $0.opened.count == 2 })
            world.host.send(bridge, text: [])
            world.host.send(bridge, text: [UInt8](repeating: 65, count: 262_145))
            // The peer is silent: 256 kB may wait, what is more is dropped.
            world.setLoss(1000)
            for _ in 0..<400 { world.host.send(bridge, text: [UInt8](repeating: 66, count: 1000)) }
            #expect(world.wait { _ in world.host.counters.droppedMessages + world.host.counters.messagesSent == 403 })
            let counters = world.host.counters
            #expect(counters.messagesSent > 200 && counters.messagesSent <= 263)
            world.setLoss(0)
            #expect(world.wait { $0.texts[world.client(of: bridge)]?.count == Int(counters.messagesSent) })
        }

        @Test func fiftyAssociationsCloseAtRandom() throws {
            let world = try SCTPWorld()
            defer { world.stop() }
            var generator = SplitMix(state: 7)
            var alive: [EndpointHandle] = []
            for round in 0..<3 {
                let openedBefore = world.state.opened.count
                for i in 0..<50 { alive.append(world.pair(UInt64(round * 50 + i))) }
                #expect(world.wait { $0.opened.count >= openedBefore + 10 })
                for bridge in alive.shuffled(using: &generator) {
                    world.host.send(bridge, text: Array("hello".utf8))
                    switch generator.next() % 4 {
                    case 0: world.host.close(bridge)
                    case 1: world.host.close(world.client(of: bridge))
                    case 2:
                        world.host.close(bridge)
                        world.host.close(world.client(of: bridge))
                        world.host.close(bridge)
                    default: break
                    }
                    // Some are caught during their handshake, some during a transfer.
                    usleep(UInt32(generator.next() % 500))
                }
            }
            for bridge in alive {
                world.host.close(bridge)
                world.host.close(world.client(of: bridge))
            }
            #expect(world.wait { _ in world.host.counters.peers == 0 })
            // A closed channel is not counted as open for ever, and addresses that were used before work again.
            #expect(world.host.counters.openChannels == 0)
            #expect(world.host.counters.failedOpens == 0)
            let opened = world.state.opened.count
            let bridge = world.pair(500)
            #expect(world.wait { $0.opened.count == opened + 2 })
            world.host.send(bridge, text: [88])
            #expect(world.wait { $0.texts[world.client(of: bridge)] == [[88]] })
        }

        @Test func aPeerThatAssociatesAgainGetsANewChannel() throws {
            let world = try SCTPWorld()
            defer { world.stop() }
            let bridge = world.pair(1)
            let client = world.client(of: bridge)
            #expect(world.wait { $0.opened.count == 2 })
            // The client's side starts anew (a reloaded page on the same transport, say).
            world.host.close(client)
            world.host.open(client, role: .active)
            #expect(world.wait { $0.opened.count == 4 })
            #expect(world.state.closed == [bridge])
            world.host.send(bridge, text: [1, 2])
            #expect(world.wait { $0.texts[client] == [[1, 2]] })
        }

        @Test func garbageIsSurvived() throws {
            let world = try SCTPWorld()
            defer { world.stop() }
            let bridge = world.pair(1)
            #expect(world.wait { $0.opened.count == 2 })
            world.host.send(bridge, text: Array("some text".utf8))
            world.host.send(world.client(of: bridge), text: [UInt8](repeating: 7, count: 5000))
            #expect(world.wait { $0.texts.count == 2 })
            var generator = SplitMix(state: 42)
            let packets = world.state.packets
            try #require(packets.count > 6)
            for packet in packets {
                for length in 0...packet.count { world.host.receive(bridge, packet: Array(packet.prefix(length))) }
                for i in packet.indices {
                    var mutated = packet
                    mutated[i] ^= UInt8(truncatingIfNeeded: generator.next() | 1)
                    world.host.receive(bridge, packet: mutated)
                    // With a right checksum it gets past the first gate.
                    world.host.receive(bridge, packet: withChecksum(mutated))
                }
            }
            for _ in 0..<2000 {
                let count = Int(generator.next() % 1500)
                world.host.receive(
                    bridge, packet: withChecksum((0..<count).map { _ in UInt8(truncatingIfNeeded: generator.next()) }))
            }
            world.host.receive(EndpointHandle(rawValue: 77), packet: packets[0])
            #expect(world.wait { _ in world.host.counters.droppedCommands > 0 })
            let fresh = world.pair(2)
            #expect(world.wait { $0.opened.contains(fresh) })
            world.host.send(fresh, text: [9])
            #expect(world.wait { $0.texts[world.client(of: fresh)] == [[9]] })
        }

        @Test func thereIsOnlyOneHostAndItOpensNoSocket() throws {
            let before = openSockets()
            let world = try SCTPWorld()
            #expect(throws: SCTPHost.StartError.self) {
                _ = try SCTPHost(
                    callbacks: SCTPHost.Callbacks(
                        packet: { _, _ in }, channelOpened: { _ in }, message: { _, _ in }, channelClosed: { _ in }))
            }
            _ = world.pair(1)
            #expect(world.wait { $0.opened.count == 2 })
            // Other tests of this process open UDP sockets, but none on usrsctp's own port, and nobody raw ones.
            #expect(openSockets() == before)
            world.stop()
        }

        /// Lines of this network namespace's raw sockets and of UDP sockets on the SCTP tunnelling port 9899.
        private func openSockets() -> [String] {
            ["raw", "raw6", "udp", "udp6"].flatMap { table in
                (readSmallFile("/proc/net/\(table)") ?? "").split(separator: "\n").dropFirst()
                    .filter { table.hasPrefix("raw") || $0.contains(":26AB ") }.map(String.init)
            }
        }

        private func withChecksum(_ packet: [UInt8]) -> [UInt8] {
            guard packet.count >= 12 else { return packet }
            var packet = packet
            packet.replaceSubrange(8..<12, with: [0, 0, 0, 0])
            var crc: UInt32 = ~0
            for byte in packet {
                crc ^= UInt32(byte)
                for _ in 0..<8 { crc = crc >> 1 ^ (crc & 1 == 0 ? 0 : 0x82F6_3B78) }
            }
            crc = ~crc
            for i in 0..<4 { packet[8 + i] = UInt8(truncatingIfNeeded: crc >> (8 * UInt32(i))) }
            return packet
        }
    }
}

/// A host whose outgoing packets are handed to the other side of their pair.
private final class SCTPWorld: Sendable {
    struct State: Sendable {
        var opened: [EndpointHandle] = []
        var closed: [EndpointHandle] = []
        var texts: [EndpointHandle: [[UInt8]]] = [:]
        /// Packets that went to bridge sides.
        var packets: [[UInt8]] = []
        var largestPacket = 0
        var lossPerMille: UInt64 = 0
        var generator = SplitMix(state: 1)
        var host: SCTPHost?
    }

    let host: SCTPHost
    private let shared: Shared

    private final class Shared: Sendable {
        let state = Guarded(State())
    }

    private static let clientBit: UInt64 = 1 << 40

    init(lossPerMille: UInt64 = 0) throws {
        let shared = Shared()
        self.shared = shared
        shared.state.withLock { $0.lossPerMille = lossPerMille }
        host = try SCTPHost(
            callbacks: SCTPHost.Callbacks(
                packet: { from, packet in
                    let to = EndpointHandle(rawValue: from.rawValue ^ Self.clientBit)
                    let host = shared.state.withLock { state -> SCTPHost? in
                        state.largestPacket = max(state.largestPacket, packet.count)
                        if to.rawValue & Self.clientBit == 0 && state.packets.count < 20 {
                            state.packets.append(packet)
                        }
                        return state.generator.next() % 1000 < state.lossPerMille ? nil : state.host
                    }
                    host?.receive(to, packet: packet)
                },
                channelOpened: { endpoint in shared.state.withLock { $0.opened.append(endpoint) } },
                message: { endpoint, text in shared.state.withLock { $0.texts[endpoint, default: []].append(text) } },
                channelClosed: { endpoint in shared.state.withLock { $0.closed.append(endpoint) } }))
        shared.state.withLock { $0.host = host }
    }

    /// Opens a bridge side and its client; returns the bridge side.
    func pair(_ number: UInt64) -> EndpointHandle {
        let bridge = EndpointHandle(rawValue: number)
        host.open(bridge)
        host.open(client(of: bridge), role: .active)
        return bridge
    }

    func client(of bridge: EndpointHandle) -> EndpointHandle {
        EndpointHandle(rawValue: bridge.rawValue | Self.clientBit)
    }

    var state: State { shared.state.withLock { $0 } }

    func setLoss(_ perMille: UInt64) { shared.state.withLock { $0.lossPerMille = perMille } }

    /// Waits up to 20 s for a condition; returns whether it came true.
    func wait(_ condition: (State) -> Bool) -> Bool {
        for _ in 0..<2000 {
            if condition(state) { return true }
            usleep(10_000)
        }
        return condition(state)
    }

    func stop() {
        host.stop()
        shared.state.withLock { $0.host = nil }
    }
}

/// Small seeded generator (Vigna's splitmix64).
private struct SplitMix: RandomNumberGenerator, Sendable {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }
}
