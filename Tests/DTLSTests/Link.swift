// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import RTP
import Testing

@testable import DTLS

/// Two sessions and a network between them that a test may disturb.
final class Link {
    static let fastTimer = Interval.milliseconds(50)

    let clientIdentity: DTLSIdentity
    let serverIdentity: DTLSIdentity
    let client: DTLSSession
    let server: DTLSSession
    /// Lengths of all datagrams that either side has sent.
    private(set) var lengths: [Int] = []

    init(
        client clientProfiles: [ProtectionProfile] = DTLSSession.defaultProfiles,
        server serverProfiles: [ProtectionProfile] = DTLSSession.defaultProfiles,
        mtu: Int = 1200, timer: Interval = Link.fastTimer
    ) throws {
        (clientIdentity, serverIdentity) = (Identities.first, Identities.second)
        client = try DTLSSession(
            identity: clientIdentity, profiles: clientProfiles, mtu: mtu, firstRetransmission: timer)
        server = try DTLSSession(
            identity: serverIdentity, profiles: serverProfiles, mtu: mtu, firstRetransmission: timer)
    }

    func exchangeFingerprints() {
        client.setRemoteFingerprints([serverIdentity.fingerprint])
        server.setRemoteFingerprints([clientIdentity.fingerprint])
    }

    func start() {
        server.start(role: .server)
        client.start(role: .client)
    }

    /// Carries datagrams until both sides are silent.
    /// - Parameter network: gets the number of the datagram, counted over both directions, and says what arrives.
    func settle(_ network: (Int, [UInt8]) -> [[UInt8]] = { [$1] }) {
        var moved = true
        while moved {
            moved = carry(from: client, to: server, network)
            moved = carry(from: server, to: client, network) || moved
        }
    }

    /// Carries what one side has to send; true if there was anything.
    @discardableResult
    func carry(
        from sender: DTLSSession, to receiver: DTLSSession, _ network: (Int, [UInt8]) -> [[UInt8]] = { [$1] }
    ) -> Bool {
        let flight = take(sender)
        for (offset, datagram) in flight.enumerated() {
            for arriving in network(lengths.count - flight.count + offset, datagram) { receiver.receive(arriving) }
        }
        return !flight.isEmpty
    }

    func take(_ sender: DTLSSession) -> [[UInt8]] {
        var flight: [[UInt8]] = []
        while let datagram = sender.takeDatagram() { flight.append(datagram) }
        lengths += flight.map(\.count)
        return flight
    }

    /// Waits for a retransmission timer of either side and lets it act. False if none runs.
    func sleepUntilRetransmission() async throws -> Bool {
        guard let wait = [client, server].compactMap(\.timeUntilRetransmission).min() else { return false }
        try await Task.sleep(for: .nanoseconds(wait.nanoseconds + 2_000_000))
        client.timeout(now: Instant(nanoseconds: 0))
        server.timeout(now: Instant(nanoseconds: 0))
        return true
    }

    /// Both connected, and what one seals the other opens.
    func expectConnected(_ profile: ProtectionProfile, sourceLocation: SourceLocation = #_sourceLocation) throws {
        #expect(client.state == .connected, sourceLocation: sourceLocation)
        #expect(server.state == .connected, sourceLocation: sourceLocation)
        let a = try #require(client.keys, sourceLocation: sourceLocation)
        let b = try #require(server.keys, sourceLocation: sourceLocation)
        #expect(a.profile == profile && b.profile == profile, sourceLocation: sourceLocation)
        #expect(a.local.key == b.remote.key && a.local.salt == b.remote.salt, sourceLocation: sourceLocation)
        #expect(a.remote.key == b.local.key && a.remote.salt == b.local.salt, sourceLocation: sourceLocation)
        #expect(a.local.key != a.remote.key && a.local.salt != a.remote.salt, sourceLocation: sourceLocation)
        for key in [a.local, a.remote] {
            #expect(key.key.count == profile.keyLength, sourceLocation: sourceLocation)
            #expect(key.salt.count == profile.saltLength, sourceLocation: sourceLocation)
        }
    }
}

/// The macros of Testing cannot carry spans.
extension DTLSSession {
    func receive(_ datagram: [UInt8]) { receive(datagram.span) }
    func send(_ packet: [UInt8]) -> Bool { send(application: packet.span) }
}

/// Certificates for all tests.
enum Identities {
    static let first = make()
    static let second = make()

    private static func make() -> DTLSIdentity {
        do {
            return try DTLSIdentity.generate(now: 1_800_000_000)
        } catch {
            preconditionFailure("no certificate: \(error)")
        }
    }
}

/// SplitMix64, so that random tests repeat.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
