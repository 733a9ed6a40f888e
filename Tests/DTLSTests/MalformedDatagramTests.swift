// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import RTP
import Testing

@testable import DTLS

@Suite struct MalformedDatagramTests {
    @Test func `garbage between the flights is ignored`() throws {
        var random = SeededGenerator(state: 1)
        let link = try Link()
        link.exchangeFingerprints()
        link.start()
        link.settle { _, datagram in
            var arriving = (0..<20).map { _ in
                (0..<Int.random(in: 0...2100, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
            }
            // Well-formed headers of encrypted records and of another version, around noise.
            for header: [UInt8] in [
                [99, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, 9, 0, 40], [22, 0xFE, 0xFD, 0, 1, 0, 0, 0, 0, 0, 9, 0, 40],
                [23, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, 9, 0, 40], [22, 3, 3, 0, 0, 0, 0, 0, 0, 0, 9, 0, 40],
                [23, 0xFE, 0xFD, 0, 1, 0, 0, 0, 0, 0, 9, 0, 40],
                [21, 0xFE, 0xFD, 0, 1, 0, 0, 0, 0, 0, 9, 0, 40], [22, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, 9, 0, 41],
            ] { arriving.append(header + [UInt8](repeating: 0x5A, count: 40)) }
            // A good record before a bad one counts.
            return arriving + [datagram + arriving[20]] + arriving
        }
        try link.expectConnected(.aeadAES128GCM)
        #expect(link.client.drops.datagrams > 0)
        link.server.receive([UInt8](repeating: 23, count: 12))
        link.server.receive([UInt8](repeating: 23, count: 2049))
        link.server.receive([UInt8]())
        #expect(link.server.state == .connected)
    }

    @Test func `a hello cut short or with any byte flipped is answered or refused`() throws {
        let context = try DTLSContext(identity: Identities.first)
        let client = try DTLSSession(context: context)
        client.start(role: .client)
        let hello = try #require(client.takeDatagram())
        var refused = 0, answered = 0
        for length in 0..<hello.count { try feed(Array(hello[..<length])) }
        for index in hello.indices {
            for mask: UInt8 in [0x01, 0x80, 0xFF] {
                var mutated = hello
                mutated[index] ^= mask
                try feed(mutated)
            }
        }
        func feed(_ datagram: [UInt8]) throws {
            let server = try DTLSSession(context: context)
            server.start(role: .server)
            server.receive(datagram)
            if case .failed = server.state { refused += 1 }
            if let answer = server.takeDatagram(), answer[0] == 22 { answered += 1 }
            #expect(server.state != .connected)
        }
        #expect(refused > 50 && answered > 50)
    }

    /// Whatever is changed on the way, nobody ends connected with keys that the other one does not have.
    @Test(arguments: 0..<6)
    func `a changed datagram never traps and never makes unequal keys`(target: Int) throws {
        var random = SeededGenerator(state: UInt64(target))
        let contexts = (try DTLSContext(identity: Identities.first), try DTLSContext(identity: Identities.second))
        var failures = 0
        for _ in 0..<80 {
            let (client, server) = (
                try DTLSSession(context: contexts.0, mtu: 500), try DTLSSession(context: contexts.1, mtu: 500)
            )
            client.setRemoteFingerprints([Identities.second.fingerprint])
            server.setRemoteFingerprints([Identities.first.fingerprint])
            server.start(role: .server)
            client.start(role: .client)
            var number = 0
            for _ in 0..<8 {
                for (sender, receiver) in [(client, server), (server, client)] {
                    while var datagram = sender.takeDatagram() {
                        if number == target { mutate(&datagram, &random) }
                        receiver.receive(datagram)
                        number += 1
                    }
                }
            }
            if let a = client.keys, let b = server.keys {
                #expect(a.local.key == b.remote.key && a.remote.salt == b.local.salt && a.profile == b.profile)
            } else {
                failures += 1
            }
        }
        #expect(failures > 0)
    }

    @Test func `changed application data is dropped and the association goes on`() throws {
        let link = try Link()
        link.exchangeFingerprints()
        link.start()
        link.settle()
        #expect(link.client.send([1, 2, 3]))
        let datagram = try #require(link.client.takeDatagram())
        for length in 0..<datagram.count { link.server.receive(Array(datagram[..<length])) }
        for index in datagram.indices {
            var mutated = datagram
            mutated[index] ^= 0x10
            link.server.receive(mutated)
        }
        #expect(link.server.takeApplicationData() == nil)
        #expect(link.server.state == .connected)
        link.server.receive(datagram)
        #expect(link.server.takeApplicationData() == [1, 2, 3])
    }

    private func mutate(_ datagram: inout [UInt8], _ random: inout SeededGenerator) {
        switch Int.random(in: 0..<4, using: &random) {
        case 0: datagram.removeLast(Int.random(in: 1...datagram.count, using: &random))
        case 1: datagram.append(contentsOf: (0..<Int.random(in: 1...64, using: &random)).map { UInt8($0) })
        default:
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                datagram[Int.random(in: datagram.indices, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
        }
    }
}
