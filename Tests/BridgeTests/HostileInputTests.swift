// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Bridge
import Colibri
import DTLS
import ICE
import RTP
import Testing

/// Whatever arrives: nothing traps, everything that is thrown away is counted, and the call goes on.
struct HostileInputTests {
    private typealias Datagram = (path: Path, bytes: [UInt8])

    /// A running call over ICE and DTLS, and what its clients sent, a few of each kind and size.
    private static func call() throws -> (bridge: VirtualBridge, clients: [VirtualClient], sample: [Datagram]) {
        let bridge = try VirtualBridge()
        let clients = [VirtualClient("a", 1), VirtualClient("b", 2)]
        bridge.recording = []
        let live = try clients.enumerated().map { try bridge.connect($1, seed: UInt64($0) + 1) }
        bridge.run(.seconds(1))
        for client in clients { try bridge.openChannel(of: client) }
        bridge.want(clients[1], 360)
        _ = live[0].send(application: [1, 2, 3])
        bridge.run(.seconds(1))
        clients[1].nack(clients[0].videoSSRC, [1, 2, 3])
        clients[1].requestKeyframe(clients[0].videoSSRC)
        bridge.run(.milliseconds(500))
        let recording = bridge.recording ?? []
        bridge.recording = nil
        var taken: [Int: Int] = [:]
        let sample = recording.filter { datagram in
            let kind = Int(DatagramKind(datagram.bytes.span).rawValue) * 10_000 + datagram.bytes.count / 40
            taken[kind, default: 0] += 1
            return taken[kind, default: 0] <= 2
        }
        return (bridge, clients, sample)
    }

    /// Expects that the call of before is still one.
    private static func expectAlive(_ bridge: VirtualBridge, _ clients: [VirtualClient]) {
        let mark = bridge.now + .milliseconds(50)
        bridge.run(.seconds(2))
        #expect(clients[0].received(clients[1].audioSSRC).since(mark).count > 90)
        #expect(clients[1].received(clients[0].videoSSRC).since(mark).count > 45)
        #expect(clients.allSatisfy { $0.failures.isEmpty })
        clients[1].received(clients[0].audioSSRC).expectSeamless()
        clients[1].received(clients[0].videoSSRC).expectSeamless()
        #expect(bridge.snapshot().endpoints == 2)
    }

    /// Sends them, some at once, and returns how many the shard counted as dropped.
    private static func send(_ datagrams: [Datagram], to bridge: VirtualBridge) -> Int {
        let before = bridge.drops.values.reduce(0, +)
        var rest = datagrams[...]
        while !rest.isEmpty {
            bridge.receive(Array(rest.prefix(50)))
            rest = rest.dropFirst(50)
        }
        return bridge.drops.values.reduce(0, +) - before
    }

    private static func isDTLS(_ datagram: Datagram) -> Bool { DatagramKind(datagram.bytes.span) == .dtls }

    @Test func theSampleHasEveryKind() throws {
        let (_, _, sample) = try Self.call()
        let kinds = Set(sample.map { DatagramKind($0.bytes.span) })
        #expect(kinds == [.stun, .dtls, .rtp, .rtcp])
        #expect(sample.count >= 12)
    }

    @Test func everythingMayBeCutOffAnywhere() throws {
        let (bridge, clients, sample) = try Self.call()
        let cut = sample.flatMap { datagram in
            (0..<datagram.bytes.count).map { (datagram.path, Array(datagram.bytes.prefix($0))) }
        }
        let counted = cut.filter { !Self.isDTLS($0) }
        #expect(Self.send(counted, to: bridge) == counted.count)
        _ = Self.send(cut.filter(Self.isDTLS), to: bridge)
        Self.expectAlive(bridge, clients)
    }

    @Test func everyByteMayBeWrong() throws {
        let (bridge, clients, sample) = try Self.call()
        var random = SplitMix(seed: 11)
        let flipped = sample.flatMap { datagram in
            datagram.bytes.indices.compactMap { i -> Datagram? in
                // FINGERPRINT under another type is an unknown attribute behind MESSAGE-INTEGRITY: to be ignored.
                let isFingerprintType = (datagram.bytes.count - 8..<datagram.bytes.count - 6).contains(i)
                if isFingerprintType, DatagramKind(datagram.bytes.span) == .stun { return nil }
                var bytes = datagram.bytes
                bytes[i] ^= UInt8.random(in: 1...255, using: &random)
                return (datagram.path, bytes)
            }
        }
        let counted = flipped.filter { !Self.isDTLS($0) }
        #expect(Self.send(counted, to: bridge) == counted.count)
        _ = Self.send(flipped.filter(Self.isDTLS), to: bridge)
        Self.expectAlive(bridge, clients)
    }

    @Test func everythingMayBeSentAgainFromAnywhere() throws {
        let (bridge, clients, sample) = try Self.call()
        let media = sample.filter { [.rtp, .rtcp].contains(DatagramKind($0.bytes.span)) }
        #expect(Self.send(media, to: bridge) == media.count)
        #expect(bridge.drops("replayed") >= media.count)
        let elsewhere = sample.map { datagram -> Datagram in
            (
                Path(socket: 0, local: VirtualBridge.address.ip, remote: TransportAddress(ip: .v4(7), port: 7)),
                datagram.bytes
            )
        }
        let before = bridge.drops("unvalidatedPath")
        _ = Self.send(elsewhere, to: bridge)
        #expect(bridge.drops("unvalidatedPath") - before == sample.count { DatagramKind($0.bytes.span) != .stun })
        // One client's packets on the other's path open with no key.
        let crossed = media.map { datagram -> Datagram in
            let other = clients.first { VirtualBridge.path(of: $0) != datagram.path }
            return (other.map { VirtualBridge.path(of: $0) } ?? datagram.path, datagram.bytes)
        }
        #expect(Self.send(crossed, to: bridge) == crossed.count)
        Self.expectAlive(bridge, clients)
    }

    @Test func noiseOfEveryClassIsCounted() throws {
        let (bridge, clients, _) = try Self.call()
        var random = SplitMix(seed: 3)
        var noise: [Datagram] = []
        for first in UInt8.min...UInt8.max {
            for length in [1, 2, 7, 8, 11, 12, 13, 19, 20, 40, 100, 300, 1500, 1536, 1537, 3000, 9000] {
                var bytes = (0..<length).map { _ in UInt8.random(in: 0...255, using: &random) }
                bytes[0] = first
                if first < 4, length >= 8, Bool.random(using: &random) {
                    bytes.replaceSubrange(4..<8, with: UInt32(0x2112_A442).bytes)
                }
                let client = clients[Int(first) % 2]
                noise.append((VirtualBridge.path(of: client), bytes))
            }
        }
        noise.append((VirtualBridge.path(of: clients[0]), []))
        let counted = noise.filter { !Self.isDTLS($0) }
        #expect(Self.send(counted, to: bridge) == counted.count)
        _ = Self.send(noise.filter(Self.isDTLS), to: bridge)
        Self.expectAlive(bridge, clients)
    }

    /// Authentic packets with senseless contents: what a hostile participant can send.
    @Test func aParticipantMaySendAnything() throws {
        let (bridge, clients, _) = try Self.call()
        var random = SplitMix(seed: 21)
        let hostile = VirtualClient("h", 9)
        hostile.sendsVideo = false
        hostile.audioLevel = nil
        hostile.sendsReports = false
        try bridge.join(hostile)
        bridge.want(clients[0], 720)
        var index: UInt64 = 100
        let types: [UInt8] = [VirtualClient.opus, VirtualClient.vp8, VirtualClient.rtx, 0, 127]
        let ssrcs =
            [hostile.audioSSRC] + hostile.encodings.flatMap { [$0.ssrc, $0.rtx] } + [clients[0].audioSSRC, 0, .max]
        for round in 0..<4000 {
            let length = Int.random(in: 0...40, using: &random)
            let payload = (0..<length).map { _ in UInt8.random(in: 0...255, using: &random) }
            var header = rtpHeader(
                payloadType: types[round % 5], marker: round % 3 == 0, sequence: 0,
                timestamp: UInt32(truncatingIfNeeded: random.next()),
                ssrc: ssrcs[round % ssrcs.count],
                elements: [
                    (VirtualClient.audioLevel, [UInt8.random(in: 0...255, using: &random)]),
                    (VirtualClient.transportSequence, UInt16(truncatingIfNeeded: random.next()).bytes),
                    (VirtualClient.rid, [UInt8.random(in: 0...255, using: &random)]),
                ])
            index += UInt64.random(in: 1...(round % 100 == 0 ? 30_000 : 3), using: &random)
            header.replaceSubrange(2..<4, with: UInt16(truncatingIfNeeded: index).bytes)
            // Padding, contributing sources and extension blocks that may or may not make sense.
            if round % 7 == 0 { header[0] |= 0x20 }
            if round % 11 == 0 { header[16] = UInt8.random(in: 0...255, using: &random) }
            if let packet = hostile.srtp?.seal(
                header: header, payload: payload, ssrc: ssrcs[round % ssrcs.count], index: index)
            {
                hostile.outgoing.append(packet)
            }
            if round % 40 == 0 { bridge.run(.milliseconds(10)) }
        }
        for round in 0..<2000 {
            let words = Int.random(in: 0...12, using: &random)
            var compound: [UInt8] = [0x80 | UInt8.random(in: 0...31, using: &random), UInt8(192 + round % 32)]
            compound += UInt16(round % 5 == 0 ? Int.random(in: 0...0xFFFF, using: &random) : words + 1).bytes
            compound += UInt32(9000).bytes
            compound += (0..<words * 4).map { _ in UInt8.random(in: 0...255, using: &random) }
            if round % 2 == 0, words > 1 {
                compound.replaceSubrange(8..<12, with: (clients[round % 4 / 2].videoSSRC).bytes)
            }
            if let packet = hostile.srtp?.sealRTCP(compound) { hostile.outgoing.append(packet) }
            if round % 40 == 0 { bridge.run(.milliseconds(10)) }
        }
        bridge.leave(hostile)
        Self.expectAlive(bridge, clients)
        #expect(bridge.drops("rtcpMalformed") > 100)
        #expect(bridge.drops("rtpMalformed") > 10)
        #expect(bridge.drops("unknownPayloadType") > 100)
    }

    @Test func aChannelMayCarryAnything() throws {
        let (bridge, clients, _) = try Self.call()
        var random = SplitMix(seed: 4)
        let seeds = [
            #"{"colibriClass":"ReceiverVideoConstraints","lastN":2,"selectedSources":["a-v0"],"onStageSources":[],"defaultConstraints":{"maxHeight":180},"constraints":{"a-v0":{"maxHeight":720,"maxFrameRate":30}}}"#,
            #"{"colibriClass":"EndpointMessage","to":"a","msgPayload":{"deep":[[[[1]]]]}}"#,
            #"{"colibriClass":"ReceiverAudioSubscription","all":true,"include":[],"exclude":["a-a0"]}"#,
            #"{"colibriClass":"SourceVideoTypeMessage","sourceName":"b-v0","videoType":"camera"}"#,
        ].map { Array($0.utf8) }
        let handle = try #require(bridge.handles["b"])
        for text in seeds {
            for i in text.indices {
                var wrong = text
                wrong[i] = UInt8.random(in: 0...255, using: &random)
                bridge.shard.perform(.channelMessage(handle, .sctp, wrong), now: bridge.now)
                bridge.shard.perform(.channelMessage(handle, .sctp, Array(text.prefix(i))), now: bridge.now)
            }
        }
        for text in [
            #"{"colibriClass":"LastNChangedEvent","lastN":9223372036854775807}"#,
            #"{"colibriClass":"LastNChangedEvent","lastN":-2}"#,
            #"{"colibriClass":"ReceiverVideoConstraints","defaultConstraints":{"maxHeight":2147483647}}"#,
            #"{"colibriClass":"ReceiverVideoConstraints","defaultConstraints":{"maxHeight":-1,"maxFrameRate":1e308}}"#,
            #"{"colibriClass":"ReceiverVideoConstraints","lastN":-1,"selectedSources":[],"onStageSources":[],"constraints":{},"defaultConstraints":{"maxHeight":360}}"#,
            #"{"colibriClass":"ReceiverAudioSubscription","all":true}"#,
            #"{"colibriClass":"SourceVideoTypeMessage","sourceName":"b-v0","videoType":"camera"}"#,
        ] { bridge.say(clients[1], text) }
        Self.expectAlive(bridge, clients)
    }
}
