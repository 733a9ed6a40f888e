// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import RTP
import Testing

@testable import DTLS

/// The timer of the handshake is OpenSSL's and reads its own clock, so these tests really wait.
@Suite struct LossTests {
    @Test(arguments: [[0], [1], [2], [3], [2, 4], [0, 1, 2], [1, 3, 5]])
    func `the handshake survives the loss of any datagrams`(lost: Set<Int>) async throws {
        let link = try Link()
        try await run(link, losing: lost)
    }

    @Test(arguments: [[0], [3, 5], [2, 3, 4, 5], [7]])
    func `so it does when flights are many small datagrams`(lost: Set<Int>) async throws {
        let link = try Link(mtu: 256)
        try await run(link, losing: lost)
        #expect(link.lengths.allSatisfy { $0 <= 256 })
        #expect(link.lengths.count > 8)
    }

    @Test func `a lost hello is sent again after a second when the RFC's timer is asked for`() async throws {
        let link = try Link(timer: .seconds(1))
        link.exchangeFingerprints()
        link.start()
        _ = link.take(link.client)
        let wait = try #require(link.client.timeUntilRetransmission)
        #expect(wait > .milliseconds(900) && wait <= .seconds(1))
        link.client.timeout(now: Instant(nanoseconds: 0))
        #expect(link.client.takeDatagram() == nil)
        #expect(try await link.sleepUntilRetransmission())
        link.settle()
        try link.expectConnected(.aeadAES128GCM)
    }

    @Test func `duplicates and reordering do no harm`() async throws {
        let link = try Link(mtu: 256)
        link.exchangeFingerprints()
        link.start()
        var waits = 0
        repeat {
            var moved = true
            while moved {
                moved = false
                for (sender, receiver) in [(link.client, link.server), (link.server, link.client)] {
                    let flight = link.take(sender)
                    moved = moved || !flight.isEmpty
                    for datagram in flight.reversed() + flight { receiver.receive(datagram) }
                }
            }
            // A ChangeCipherSpec that comes too early is lost.
            waits += 1
            guard try await link.sleepUntilRetransmission() else { break }
        } while waits < 5
        try link.expectConnected(.aeadAES128GCM)
    }

    @Test(arguments: [256, 1200])
    func `a flight is sent again as a whole`(mtu: Int) async throws {
        let link = try Link(mtu: mtu)
        link.start()
        let first = try link.take(link.client).flatMap(HandshakeFragment.all)
        #expect(try await link.sleepUntilRetransmission())
        let second = link.take(link.client)
        for datagram in second { link.server.receive(datagram) }
        #expect(try second.flatMap(HandshakeFragment.all).map(\.body) == first.map(\.body))

        let answer = try link.take(link.server).flatMap(HandshakeFragment.all)
        #expect(try await link.sleepUntilRetransmission())
        let again = try link.take(link.server).flatMap(HandshakeFragment.all)
        #expect(again.map(\.type).last == 14)
        for type: UInt8 in [2, 11, 12, 13, 14] {
            #expect(
                again.filter { $0.type == type }.flatMap(\.body) == answer.filter { $0.type == type }.flatMap(\.body))
        }
    }

    @Test func `without an answer the handshake ends`() async throws {
        let session = try DTLSSession(identity: Identities.first, firstRetransmission: .milliseconds(20))
        session.start(role: .client)
        for seconds: Int64 in [5, 34, 36] {
            #expect(session.state == .handshaking)
            let wait = try #require(session.timeUntilRetransmission)
            try await Task.sleep(for: .nanoseconds(wait.nanoseconds + 2_000_000))
            session.timeout(now: Instant(nanoseconds: 0) + .seconds(seconds))
        }
        #expect(session.state == .failed(.timedOut))
        #expect(session.timeUntilRetransmission == nil)
    }

    private func run(_ link: Link, losing lost: Set<Int>) async throws {
        link.exchangeFingerprints()
        link.start()
        let network: (Int, [UInt8]) -> [[UInt8]] = { lost.contains($0) ? [] : [$1] }
        link.settle(network)
        // A side that is done has no timer; it answers when the other one repeats itself.
        var waits = 0
        while waits < 5, try await link.sleepUntilRetransmission() {
            waits += 1
            link.settle(network)
        }
        #expect(waits > 0)
        try link.expectConnected(.aeadAES128GCM)
    }
}
