// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Colibri
import DTLS
import ICE
import RTP
import Testing

@testable import Bridge

/// Calls over real ICE and DTLS in virtual time.
struct ConnectionTests {
    private static func call() throws -> (bridge: VirtualBridge, clients: [VirtualClient], live: [LiveTransport]) {
        let bridge = try VirtualBridge()
        let clients = [VirtualClient("a", 1), VirtualClient("b", 2)]
        let live = try clients.enumerated().map { try bridge.connect($1, seed: UInt64($0) + 1) }
        return (bridge, clients, live)
    }

    @Test func aCallComesUpOverICEAndDTLS() throws {
        let (bridge, clients, live) = try Self.call()
        bridge.run(.seconds(2))
        for transport in live {
            #expect(transport.dtls.state == .connected)
            #expect(transport.dtls.keys?.profile == .aeadAES128GCM)
        }
        for client in clients { try bridge.openChannel(of: client) }
        bridge.want(clients[1], 720)
        bridge.run(.seconds(2))
        #expect(clients[0].received(clients[1].audioSSRC).count > 140)
        #expect(clients[1].received(clients[0].videoSSRC).last?.origin?.ssrc == clients[0].encodings[2].ssrc)
        clients[1].received(clients[0].videoSSRC).expectSeamless()
        #expect(clients.allSatisfy { $0.failures.isEmpty })
        let snapshot = bridge.snapshot()
        #expect(snapshot.iceSucceeded == 2)
        #expect(snapshot.iceFailed == 0)
        #expect(snapshot.dtlsFailed == 0)
        #expect(bridge.drops.isEmpty)
    }

    @Test func aDataChannelMayOpenOnceDTLSIsUp() throws {
        let (bridge, clients, live) = try Self.call()
        bridge.run(.seconds(2))
        let handle = try #require(bridge.endpoint(clients[0])?.handle)
        #expect(bridge.events.contains { if case .sctpOpen(handle) = $0 { true } else { false } })
        #expect(live[0].send(application: [1, 2, 3]))
        bridge.run(.milliseconds(100))
        #expect(bridge.events.contains { if case .sctpPacket(handle, [1, 2, 3]) = $0 { true } else { false } })
        bridge.shard.perform(.sctpPacket(handle, [4, 5]), now: bridge.now)
        bridge.collect()
        bridge.run(.milliseconds(100))
        #expect(live[0].applicationData == [[4, 5]])
        bridge.leave(clients[0])
        #expect(bridge.events.contains { if case .sctpClose(handle) = $0 { true } else { false } })
        #expect(bridge.events.contains { if case .channelExpired(handle) = $0 { true } else { false } })
    }

    @Test func lossOfConsentStopsMediaUntilThePeerAnswersAgain() throws {
        let (bridge, clients, live) = try Self.call()
        bridge.run(.seconds(2))
        // The client goes on sending media and checks, but its answers get lost.
        bridge.blocksUpstream = { path, bytes in
            path.remote == clients[0].address && DatagramKind(bytes.span) == .stun && bytes[0] == 1
        }
        bridge.run(.seconds(34))
        #expect(bridge.isLogged("consent lost, media stops"))
        let mark = bridge.now
        bridge.run(.seconds(2))
        #expect(clients[0].packets.values.allSatisfy { $0.since(mark).isEmpty }, "nothing may be sent without consent")
        #expect(clients[0].rtcp.blocks.allSatisfy { $0.at < mark + .milliseconds(20) })
        #expect(bridge.drops("consentLost") > 0)
        #expect(clients[1].received(clients[0].audioSSRC).since(mark).count > 90, "what the peer sends is still taken")
        bridge.blocksUpstream = { _, _ in false }
        bridge.run(.seconds(10))
        #expect(bridge.isLogged("consent regained"))
        #expect(clients[0].received(clients[1].audioSSRC).since(bridge.now - .seconds(1)).count > 45)
        #expect(clients.allSatisfy { $0.failures.isEmpty })
        #expect(live[0].dtls.state == .connected)
    }

    @Test func nothingButSTUNIsTakenFromAPathThatWasNotValidated() throws {
        let bridge = try VirtualBridge()
        let client = VirtualClient("a", 1)
        bridge.modify(client.endpoint(), create: true)
        let stranger = Path(socket: 0, local: VirtualBridge.address.ip, remote: client.address)
        let hello: [UInt8] = [22, 0xFE, 0xFD] + [UInt8](repeating: 0, count: 60)
        let packet = [0x80, 111] + [UInt8](repeating: 7, count: 60)
        let report = [0x80, 200] + [UInt8](repeating: 7, count: 60)
        bridge.receive([(stranger, hello), (stranger, packet), (stranger, report)])
        #expect(bridge.drops == ["unvalidatedPath": 3])
        bridge.run(.milliseconds(100))
        #expect(bridge.snapshot().packetsSent == 0)
    }

    @Test func mediaBeforeTheHandshakeIsCounted() throws {
        let bridge = try VirtualBridge()
        let client = VirtualClient("a", 1)
        _ = try bridge.connect(client)
        // DTLS is held back, so ICE is up alone.
        bridge.blocksUpstream = { _, bytes in DatagramKind(bytes.span) == .dtls }
        bridge.run(.seconds(1))
        let path = VirtualBridge.path(of: client)
        bridge.receive([
            (path, [0x80, 111] + [UInt8](repeating: 7, count: 60)),
            (path, [0x80, 200] + [UInt8](repeating: 7, count: 60)),
        ])
        #expect(bridge.drops == ["beforeDTLS": 2])
    }

    @Test func aWrongCertificateGetsNoMedia() throws {
        let bridge = try VirtualBridge()
        let client = VirtualClient("a", 1)
        let transport = try LiveTransport(client, bridge: VirtualBridge.address, seed: 3, now: bridge.now)
        var offer = transport.offer
        let other = try DTLSIdentity.generate(now: 1_700_000_000)
        offer.ice?.fingerprints = [.init(fingerprint: other.fingerprint, setup: .active)]
        let live = try bridge.connect(client, offer: offer, transport)
        bridge.run(.seconds(2))
        #expect(bridge.isLogged("DTLS failed"))
        #expect(bridge.snapshot().dtlsFailed == 1)
        #expect(bridge.endpoint(client)?.transport.isConnected == false)
        _ = live
    }

    @Test func checksForNobodyAreCounted() throws {
        let (bridge, clients, _) = try Self.call()
        bridge.run(.seconds(1))
        var random = SplitMix(seed: 5)
        let stranger = ICESession(
            role: .controlled, credentials: ICECredentials(firstCharacter: UInt8(ascii: "q"), using: &random),
            bases: [LocalBase(socket: 0, address: clients[0].address)], tieBreaker: 1, tag: 2, now: bridge.now,
            using: &random)
        let nobody = ICECredentials(firstCharacter: UInt8(ascii: "a"), using: &random)
        let candidate = Candidate(
            foundation: "1", priority: 1, address: VirtualBridge.address, kind: .host, id: "1")
        stranger.setRemote(nobody, candidates: [candidate], generation: nil, now: bridge.now)
        var output = ICEOutput()
        stranger.advance(now: bridge.now, into: &output)
        bridge.receive(output.datagrams.map { (VirtualBridge.path(of: clients[0]), $0.bytes) })
        #expect(bridge.drops("stunUnknownUfrag") == output.datagrams.count)
        #expect(!output.datagrams.isEmpty)
    }

    @Test func anICERestartMovesTheCallWithoutNewKeys() throws {
        let (bridge, clients, live) = try Self.call()
        bridge.run(.seconds(2))
        let answer = try bridge.modify(EndpointModify(id: "a", transport: TransportModify(iceRestart: true))).get()
        let described = try #require(answer.endpoints.first?.transport?.ice)
        #expect(described.generation == 1)
        let again = try bridge.modify(EndpointModify(id: "a", transport: TransportModify(iceRestart: true))).get()
        #expect(
            again.endpoints.first?.transport?.ice?.ufrag == described.ufrag, "a repetition gets the same credentials")
        // The client restarts with them and answers by its own.
        let (ufrag, pwd) = (try #require(described.ufrag), try #require(described.pwd))
        let fresh = live[0].restart(now: bridge.now)
        live[0].ice.setRemote(
            ICECredentials(ufrag: ufrag, pwd: pwd), candidates: described.candidates, generation: 1, now: bridge.now)
        bridge.modify(
            EndpointModify(
                id: "a",
                transport: TransportModify(
                    ice: ICETransportDescription(ufrag: fresh.ufrag, pwd: fresh.pwd, generation: 1))))
        bridge.run(.seconds(10))
        #expect(live[0].events.contains(.restarted(generation: 1)))
        #expect(clients[0].received(clients[1].audioSSRC).since(bridge.now - .seconds(1)).count > 45)
        clients[0].received(clients[1].audioSSRC).expectSeamless()
        #expect(clients.allSatisfy { $0.failures.isEmpty })
    }
}
