// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import RTP
import Testing

@testable import DTLS

@Suite struct ApplicationDataTests {
    private func connected(mtu: Int = 1200) throws -> Link {
        let link = try Link(mtu: mtu)
        link.exchangeFingerprints()
        link.start()
        link.settle()
        try link.expectConnected(.aeadAES128GCM)
        return link
    }

    @Test(arguments: [256, 1200, 1472])
    func `packets of every size go both ways in datagrams of at most an MTU`(mtu: Int) throws {
        let link = try connected(mtu: mtu)
        let longest = link.client.maximumApplicationDataLength
        for count in [1, 2, 100, longest - 1, longest] {
            let packet = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7) }
            #expect(link.client.send(packet))
            #expect(link.server.send(packet.reversed()))
            link.settle()
            #expect(link.server.takeApplicationData() == packet)
            #expect(link.client.takeApplicationData() == packet.reversed())
            #expect(link.client.takeApplicationData() == nil && link.server.takeApplicationData() == nil)
        }
        #expect(link.lengths.max() == mtu)
        #expect(!link.client.send([UInt8](repeating: 0, count: longest + 1)))
        #expect(!link.client.send([UInt8]()))
        #expect(link.client.takeDatagram() == nil)
    }

    @Test func `boundaries and order of packets are kept, also in one flight with the handshake`() throws {
        let link = try Link()
        link.exchangeFingerprints()
        link.start()
        link.carry(from: link.client, to: link.server)
        link.carry(from: link.server, to: link.client)
        link.carry(from: link.client, to: link.server)
        #expect(link.server.state == .connected && link.client.state == .handshaking)
        for byte: UInt8 in 1...5 { #expect(link.server.send([byte, byte])) }
        // Data overtakes the server's Finished.
        for datagram in link.take(link.server).reversed() { link.client.receive(datagram) }
        #expect(link.client.state == .connected)
        var packets: [[UInt8]] = []
        while let packet = link.client.takeApplicationData() { packets.append(packet) }
        #expect(packets.sorted { $0[0] < $1[0] } == (1...5).map { [$0, $0] })
    }

    @Test func `a replayed datagram is delivered once`() throws {
        let link = try connected()
        #expect(link.client.send([9]))
        link.settle { [$1, $1, $1] }
        #expect(link.server.takeApplicationData() == [9])
        #expect(link.server.takeApplicationData() == nil)
    }

    @Test func `packets that nobody takes are dropped at the limit and counted`() throws {
        let link = try connected()
        for index in 0..<130 {
            #expect(link.client.send([UInt8(index)]))
            link.settle()
        }
        #expect(link.server.drops.applicationData == 30)
        var packets: [[UInt8]] = []
        while let packet = link.server.takeApplicationData() { packets.append(packet) }
        #expect(packets == (0..<100).map { [UInt8($0)] })
    }

    @Test func `send refuses while too many datagrams wait`() throws {
        let link = try connected()
        var sent = 0
        while link.client.send([1]), sent < 1000 { sent += 1 }
        #expect(sent == DTLSSession.outgoingLimit)
        #expect(link.client.outgoingOverflows == 0)
        link.settle()
        #expect(link.client.send([1]))
    }

    @Test func `close tells the peer and data sent before is not lost`() throws {
        let link = try connected()
        #expect(link.client.send([4, 2]))
        link.client.close()
        #expect(link.client.state == .closed)
        link.settle()
        #expect(link.server.state == .closed)
        #expect(link.server.takeApplicationData() == [4, 2])
        #expect(link.server.keys != nil)
        #expect(!link.client.send([1]) && !link.server.send([1]))
        link.server.receive([UInt8](repeating: 23, count: 50))
        #expect(link.server.drops.datagrams == 1)
    }

    @Test func `close before and during the handshake`() throws {
        let session = try DTLSSession(identity: Identities.first)
        session.close()
        #expect(session.state == .closed && session.takeDatagram() == nil)
        session.start(role: .client)
        #expect(session.state == .closed && session.takeDatagram() == nil)

        let link = try Link()
        link.start()
        link.client.close()
        #expect(link.client.state == .closed && link.client.timeUntilRetransmission == nil)
    }
}
