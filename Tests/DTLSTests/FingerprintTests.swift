// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import RTP
import Testing

@testable import DTLS

@Suite struct FingerprintTests {
    private static func digest(_ hash: FingerprintHash, of identity: DTLSIdentity) throws -> Fingerprint {
        try #require(Fingerprint(of: identity.certificate, hash: hash))
    }

    private static func wrong(_ hash: FingerprintHash) throws -> Fingerprint {
        try #require(Fingerprint(hash: hash, bytes: [UInt8](repeating: 0xA5, count: hash.length)))
    }

    /// What a session that gets these fingerprints for the peer's certificate makes of it.
    private static func verdict(_ fingerprints: [Fingerprint]) throws -> DTLSSession.State {
        let link = try Link()
        link.client.setRemoteFingerprints(fingerprints)
        link.server.setRemoteFingerprints([link.clientIdentity.fingerprint])
        link.start()
        link.settle()
        return link.client.state
    }

    @Test(arguments: FingerprintHash.allCases)
    func `each hash can vouch for the peer, and can expose it`(hash: FingerprintHash) throws {
        #expect(try Self.verdict([Self.digest(hash, of: Identities.second)]) == .connected)
        #expect(try Self.verdict([Self.digest(hash, of: Identities.first)]) == .failed(.fingerprintMismatch))
    }

    @Test func `the strongest signalled hash decides alone`() throws {
        let right = try FingerprintHash.allCases.map { try Self.digest($0, of: Identities.second) }
        let wrong = try FingerprintHash.allCases.map(Self.wrong)
        #expect(try Self.verdict([right[0], right[1], wrong[2]]) == .failed(.fingerprintMismatch))
        #expect(try Self.verdict([wrong[3], right[1]]) == .failed(.fingerprintMismatch))
        #expect(try Self.verdict([wrong[0], wrong[1], right[3]]) == .connected)
        #expect(try Self.verdict([wrong[1], right[1], wrong[1]]) == .connected)
    }

    @Test func `a mismatch ends both sides without keys`() throws {
        let link = try Link()
        link.client.setRemoteFingerprints([link.clientIdentity.fingerprint])
        link.server.setRemoteFingerprints([link.clientIdentity.fingerprint])
        link.start()
        link.settle()
        #expect(link.client.state == .failed(.fingerprintMismatch))
        #expect(link.client.keys == nil)
        #expect(link.server.state == .closed)
        #expect(!link.client.send([1, 2, 3]))
    }

    @Test func `nobody is connected before fingerprints are known`() throws {
        let link = try Link()
        link.start()
        link.settle()
        for session in [link.client, link.server] {
            #expect(session.state == .handshaking)
            #expect(session.keys == nil && session.timeUntilRetransmission == nil)
            #expect(!session.send([1]))
        }
        link.client.setRemoteFingerprints([])
        #expect(link.client.state == .handshaking)
        link.server.setRemoteFingerprints([link.clientIdentity.fingerprint])
        #expect(link.server.state == .connected && link.client.state == .handshaking)

        // The server may already talk; the client holds it back until it knows who that is.
        #expect(link.server.send([7, 7]))
        link.settle()
        #expect(link.client.takeApplicationData() == nil)
        link.client.setRemoteFingerprints([link.serverIdentity.fingerprint])
        try link.expectConnected(.aeadAES128GCM)
        #expect(link.client.takeApplicationData() == [7, 7])
    }

    @Test func `a late wrong fingerprint ends the association`() throws {
        let link = try Link()
        link.server.setRemoteFingerprints([link.clientIdentity.fingerprint])
        link.start()
        link.settle()
        #expect(link.server.send([7, 7]))
        link.settle()
        link.client.setRemoteFingerprints([link.clientIdentity.fingerprint])
        #expect(link.client.state == .failed(.fingerprintMismatch))
        #expect(link.client.takeApplicationData() == nil)
        link.settle()
        #expect(link.server.state == .closed)
    }

    @Test func `a verified peer stays verified`() throws {
        let link = try Link()
        link.exchangeFingerprints()
        link.start()
        link.settle()
        link.client.setRemoteFingerprints([link.clientIdentity.fingerprint])
        try link.expectConnected(.aeadAES128GCM)
    }

    @Test func `text of a fingerprint is read in either case and printed in upper case`() throws {
        let text = Array(repeating: "0a:Bf", count: 16).joined(separator: ":")
        let fingerprint = try #require(Fingerprint(hash: "SHA-256", value: text))
        #expect(fingerprint.hash == .sha256 && fingerprint.bytes.prefix(2) == [0x0A, 0xBF])
        #expect(fingerprint.description == text.uppercased())
        #expect(Fingerprint(hash: "sha-256", value: fingerprint.description) == fingerprint)
    }

    private static let malformed: [(String, String)] = [
        ("md5", "00:01"), ("sha-256", ""), ("sha-256", "AA"), ("sha256", repeated("AA", 32)),
        ("sha-1", repeated("AA", 19)), ("sha-1", repeated("AA", 21)), ("sha-1", repeated("AA", 20, separator: "-")),
        ("sha-1", repeated("AG", 20)), ("sha-1", repeated(":A", 20)), ("sha-1", repeated("é", 20)),
        (String(repeating: "s", count: 100_000), "AA"),
    ]

    private static func repeated(_ text: String, _ count: Int, separator: String = ":") -> String {
        Array(repeating: text, count: count).joined(separator: separator)
    }

    @Test(arguments: malformed)
    func `anything else is no fingerprint`(hash: String, value: String) {
        #expect(Fingerprint(hash: hash, value: value) == nil)
    }

    @Test func `identities are new each time, valid from a day before to a week after`() throws {
        let a = try DTLSIdentity.generate(now: 1_800_000_000), b = try DTLSIdentity.generate(now: 1_800_000_000)
        #expect(a.fingerprint != b.fingerprint && a.certificate != b.certificate)
        #expect(a.fingerprint.hash == .sha256)
        #expect(a.validity == 1_800_000_000 - 86_400...1_800_000_000 + 7 * 86_400)
        // 2027-01-15 08:00:00 UTC is `now`: UTCTime of both ends, as DER says them (RFC 5280 section 4.1.2.5).
        let der = String(decoding: a.certificate, as: Unicode.ASCII.self)
        #expect(der.contains("270114080000Z") && der.contains("270122080000Z"))
        #expect(!a.description.contains("key"))
        #expect(try Self.digest(.sha256, of: a) == a.fingerprint)
    }
}
