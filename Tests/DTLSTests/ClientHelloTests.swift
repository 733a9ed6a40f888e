// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import RTP
import Testing

@testable import DTLS

/// ClientHellos of browsers that offer DTLS 1.3 and post-quantum key shares: longer than a datagram.
@Suite struct ClientHelloTests {
    private enum Extension {
        static let useSRTP = 14, padding = 21, extendedMasterSecret = 23, supportedVersions = 43, keyShare = 51
    }

    @Test func `the recording is what it claims to be`() throws {
        let fragments = try Recording.chromium().flatMap(HandshakeFragment.all)
        #expect(fragments.count == 2 && fragments.allSatisfy { $0.type == 1 && $0.messageSequence == 0 })
        let hello = try Hello(client: fragments.flatMap(\.body))
        #expect(hello.version == 0xFEFD)
        #expect(try #require(hello.value(of: Extension.supportedVersions)) == [4, 0xFE, 0xFC, 0xFE, 0xFD])
        #expect(try #require(hello.value(of: Extension.keyShare)).count > 1184)  // ML-KEM-768 in it
    }

    @Test func `Chromium's hello is answered as DTLS 1.2 with GCM`() throws {
        try expectAnswer(to: Recording.chromium())
    }

    @Test func `so it is when its datagrams are swapped or doubled`() throws {
        let recorded = try Recording.chromium()
        try expectAnswer(to: recorded.reversed())
        try expectAnswer(to: recorded.flatMap { [$0, $0] })
    }

    @Test func `half of Chromium's hello gets no answer`() throws {
        for datagram in try Recording.chromium() {
            let server = try DTLSSession(identity: Identities.first)
            server.start(role: .server)
            server.receive(datagram)
            #expect(server.takeDatagram() == nil && server.state == .handshaking)
        }
    }

    @Test(arguments: [1800, 3000, 8000], [[0, 1], [1, 0], [1, 0, 1], [1, 1, 0], [1, 0, 0]])
    func `a hello of several kilobytes in two fragments is answered in any order`(length: Int, order: [Int]) throws {
        let fragments = try inflated(to: length, fragmentLimit: (length + 1) / 2)
        #expect(fragments.count == 2)
        let datagrams = order.enumerated().map { fragments[$1].datagram(recordSequence: $0) }
        try expectAnswer(to: datagrams.filter { $0.count <= DTLSSession.maximumDatagramLength }, if: length <= 3000)
    }

    @Test func `the first fragment is lost and comes with the second flight`() throws {
        let fragments = try inflated(to: 1800, fragmentLimit: 1100)
        try expectAnswer(to: [
            fragments[1].datagram(recordSequence: 1),
            fragments[0].datagram(recordSequence: 2),
            fragments[1].datagram(recordSequence: 3),
        ])
    }

    @Test func `many overlapping fragments are answered, too`() throws {
        let small = try inflated(to: 1800, fragmentLimit: 97)
        let large = try inflated(to: 1800, fragmentLimit: 700)
        var random = SeededGenerator(state: 5)
        let datagrams = (small.shuffled(using: &random) + large.reversed()).enumerated().map {
            $1.datagram(recordSequence: $0)
        }
        try expectAnswer(to: datagrams)
    }

    @Test func `fragments that lie about offset and length are refused or ignored`() throws {
        let honest = try inflated(to: 1800, fragmentLimit: 1100)
        for (length, offset) in [(1800, 1799), (0xFF_FFFF, 0), (0, 0), (10, 0), (1800, 0xFF_FFFF), (100_000, 50_000)] {
            let server = try DTLSSession(identity: Identities.first)
            server.start(role: .server)
            var lie = honest[0]
            lie.messageLength = length
            lie.offset = offset
            server.receive(lie.datagram(recordSequence: 0))
            server.receive(honest[1].datagram(recordSequence: 1))
            #expect(server.state != .connected)
        }
    }

    /// A client whose hello does not fit into a datagram completes the handshake, whatever happens to its first flight.
    @Test(arguments: ["in order", "swapped", "first lost", "second lost", "both lost", "doubled"])
    func `a hello of two datagrams leads to a connection`(fate: String) async throws {
        let link = try Link()
        link.exchangeFingerprints()
        #expect(link.client.offer(applicationProtocols: (0..<8).map { "\($0)" + String(repeating: "x", count: 220) }))
        link.start()
        let hello = link.take(link.client)
        #expect(hello.count == 2 && hello.map(\.count).reduce(0, +) > 1800)
        let arriving: [[UInt8]]
        switch fate {
        case "in order": arriving = hello
        case "swapped": arriving = hello.reversed()
        case "first lost": arriving = [hello[1]]
        case "second lost": arriving = [hello[0]]
        case "doubled": arriving = hello + hello.reversed()
        default: arriving = []
        }
        for datagram in arriving { link.server.receive(datagram) }
        link.settle()
        if arriving.count < 2 {
            #expect(link.server.state == .handshaking)
            #expect(try await link.sleepUntilRetransmission())
            link.settle()
        }
        try link.expectConnected(.aeadAES128GCM)
        #expect(link.lengths.allSatisfy { $0 <= 1200 })
    }

    /// Chromium's hello with a padding extension (RFC 7685), cut into fragments.
    private func inflated(to length: Int, fragmentLimit: Int) throws -> [HandshakeFragment] {
        var hello = try Hello(client: Recording.chromium().flatMap(HandshakeFragment.all).flatMap(\.body))
        let missing = length - hello.body.count - 4
        try #require(missing > 0)
        hello.extensions.append((Extension.padding, [UInt8](repeating: 0, count: missing)))
        let body = hello.body
        try #require(body.count == length)
        return stride(from: 0, to: length, by: fragmentLimit).map { offset in
            HandshakeFragment(
                type: 1, messageSequence: 0, messageLength: length, offset: offset,
                body: Array(body[offset..<min(offset + fragmentLimit, length)]), recordVersion: 0xFEFF)
        }
    }

    private func expectAnswer(
        to datagrams: [[UInt8]], if complete: Bool = true, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let server = try DTLSSession(identity: Identities.first)
        server.start(role: .server)
        for datagram in datagrams { server.receive(datagram) }
        #expect(server.state == .handshaking, sourceLocation: sourceLocation)
        var answer: [[UInt8]] = []
        while let datagram = server.takeDatagram() { answer.append(datagram) }
        guard complete else {
            #expect(answer.isEmpty, sourceLocation: sourceLocation)
            return
        }
        #expect(answer.allSatisfy { $0.count <= 1200 }, sourceLocation: sourceLocation)
        let fragments = try answer.flatMap(HandshakeFragment.all)
        // ServerHello, Certificate, ServerKeyExchange, CertificateRequest, ServerHelloDone.
        #expect(fragments.prefix(5).map(\.type) == [2, 11, 12, 13, 14], sourceLocation: sourceLocation)
        let first = try #require(fragments.first, sourceLocation: sourceLocation)
        #expect(first.recordVersion == 0xFEFD, sourceLocation: sourceLocation)
        let hello = try Hello(server: first.body)
        #expect(hello.version == 0xFEFD, sourceLocation: sourceLocation)
        #expect(hello.value(of: Extension.supportedVersions) == nil, sourceLocation: sourceLocation)
        #expect(hello.value(of: Extension.useSRTP) == [0, 2, 0, 7, 0], sourceLocation: sourceLocation)
        #expect(hello.value(of: Extension.extendedMasterSecret) == [], sourceLocation: sourceLocation)
    }
}
