// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Colibri

/// SCRAM against the vectors of its RFCs, and against servers that cheat.
@Suite struct SCRAMTests {
    struct Vector: Sendable {
        var hash: SCRAMHash
        var nonce: String
        var serverFirst: String
        var clientFinal: String
        var serverFinal: String

        func client() throws -> SCRAMClient {
            try SCRAMClient(hash, credentials: XMPPCredentials(username: "user", password: "pencil"), nonce: nonce)
        }
    }

    /// RFC 5802 section 5.
    static let sha1 = Vector(
        hash: .sha1, nonce: "fyko+d2lbbFgONRv9qkxdawL",
        serverFirst: "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
        clientFinal: "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
        serverFinal: "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=")
    /// RFC 7677 section 3.
    static let sha256 = Vector(
        hash: .sha256, nonce: "rOprNGfwEbeRWgbNEkqO",
        serverFirst: "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        clientFinal:
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        serverFinal: "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")

    @Test(arguments: [sha1, sha256])
    func matchesTheRFC(_ vector: Vector) throws {
        var client = try vector.client()
        #expect(client.clientFirst == "n,,n=user,r=" + vector.nonce)
        #expect(try client.respond(to: vector.serverFirst) == vector.clientFinal)
        #expect(!client.isVerified)
        try client.verify(vector.serverFinal)
        #expect(client.isVerified)
    }

    @Test(arguments: [sha1, sha256])
    func refusesAWrongServerSignature(_ vector: Vector) throws {
        let signature = try #require(SASLBase64.decode(String(vector.serverFinal.dropFirst(2))))
        for index in signature.indices {
            var client = try vector.client()
            _ = try client.respond(to: vector.serverFirst)
            var wrong = signature
            wrong[index] ^= 1
            #expect(throws: SASLError.wrongServerSignature) { try client.verify("v=" + SASLBase64.encode(wrong)) }
            #expect(!client.isVerified)
        }
        for final in [
            "v=", "v=" + SASLBase64.encode(signature.dropLast()), "e=other-error", "x", "", "m=1," + vector.serverFinal,
        ] {
            var client = try vector.client()
            _ = try client.respond(to: vector.serverFirst)
            #expect(throws: SASLError.self) { try client.verify(final) }
            #expect(!client.isVerified)
        }
    }

    static let refusals: [(String, SASLError)] = [
        ("r=fyko+d2lbbFgONRv9qkxdawL,s=QSXCR+Q6sek8bf92,i=4096", SASLError.foreignNonce),
        ("r=other3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096", .foreignNonce),
        ("r=fyko+d2lbbFgONRv9qkxdawLx,s=QSXCR+Q6sek8bf92,i=4095", .iterationCount(4095)),
        ("r=fyko+d2lbbFgONRv9qkxdawLx,s=QSXCR+Q6sek8bf92,i=0", .iterationCount(0)),
        ("r=fyko+d2lbbFgONRv9qkxdawLx,s=QSXCR+Q6sek8bf92,i=-4096", .iterationCount(-4096)),
        ("r=fyko+d2lbbFgONRv9qkxdawLx,s=QSXCR+Q6sek8bf92,i=1000001", .iterationCount(1_000_001)),
        ("r=fyko+d2lbbFgONRv9qkxdawLx,s=QSXCR+Q6sek8bf92,i=99999999999", .malformedMessage),
        ("r=fyko+d2lbbFgONRv9qkxdawLx,s=QSXCR+Q6sek8bf92,i=+5000", .malformedMessage),
        ("r=fyko+d2lbbFgONRv9qkxdawLx,s=QSXCR+Q6sek8bf92", .malformedMessage),
        ("r=fyko+d2lbbFgONRv9qkxdawLx,s=,i=4096", .malformedMessage),
        ("r=fyko+d2lbbFgONRv9qkxdawLx,s=!!!!,i=4096", .malformedMessage),
        ("s=QSXCR+Q6sek8bf92,r=fyko+d2lbbFgONRv9qkxdawLx,i=4096", .malformedMessage),
        ("m=ext,r=fyko+d2lbbFgONRv9qkxdawLx,s=QSXCR+Q6sek8bf92,i=4096", .malformedMessage),
        ("", .malformedMessage),
        (
            "r=fyko+d2lbbFgONRv9qkxdawLx,s=QSXCR+Q6sek8bf92,i=4096,x=" + String(repeating: "x", count: 4096),
            .malformedMessage
        ),
    ]

    @Test(arguments: refusals)
    func refuses(_ serverFirst: String, _ error: SASLError) throws {
        var client = try Self.sha1.client()
        #expect(throws: error) { try client.respond(to: serverFirst) }
    }

    @Test func ignoresExtensionsBehindTheKnownFields() throws {
        var client = try Self.sha1.client()
        #expect(try client.respond(to: Self.sha1.serverFirst + ",x=future").hasPrefix("c=biws,r="))
    }

    @Test func messagesOutOfOrderAreRefused() throws {
        var client = try Self.sha1.client()
        #expect(throws: SASLError.unexpectedMessage) { try client.verify(Self.sha1.serverFinal) }
        _ = try client.respond(to: Self.sha1.serverFirst)
        #expect(throws: SASLError.unexpectedMessage) { try client.respond(to: Self.sha1.serverFirst) }
        try client.verify(Self.sha1.serverFinal)
        #expect(throws: SASLError.unexpectedMessage) { try client.verify(Self.sha1.serverFinal) }
    }

    @Test func escapesTheUserName() throws {
        let client = try SCRAMClient(.sha1, credentials: XMPPCredentials(username: "a=b,c", password: "p"), nonce: "n")
        #expect(client.clientFirst == "n,,n=a=3Db=2Cc,r=n")
    }

    @Test(arguments: [("", "p"), ("u", ""), ("u\0", "p"), ("u", "p\n"), ("u", "\u{7F}"), ("u\u{85}", "p")])
    func refusesControlCharacters(_ username: String, _ password: String) {
        let credentials = XMPPCredentials(username: username, password: password)
        #expect(throws: SASLError.unusableCredentials) {
            try SCRAMClient(.sha256, credentials: credentials, nonce: "n")
        }
        #expect(throws: SASLError.unusableCredentials) {
            try SASLExchange(offered: ["PLAIN"], isSecure: true, credentials: credentials, nonce: "n")
        }
    }

    static let offers: [([String], Bool, String?)] = [
        (["PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"], true, "SCRAM-SHA-256"),
        (["PLAIN", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-1"], true, "SCRAM-SHA-1"),
        (["PLAIN", "SCRAM-SHA-1"], false, "SCRAM-SHA-1"),
        (["DIGEST-MD5", "PLAIN"], true, "PLAIN"),
        (["PLAIN"], false, nil),
        (["ANONYMOUS", "EXTERNAL", "plain"], true, nil),
        ([], true, nil),
    ]

    @Test(arguments: offers)
    func picksTheBestMechanism(_ offered: [String], _ isSecure: Bool, _ expected: String?) {
        let exchange = try? SASLExchange(
            offered: offered, isSecure: isSecure, credentials: XMPPCredentials(username: "u", password: "p"), nonce: "n"
        )
        #expect(exchange?.mechanism.rawValue == expected)
    }

    @Test func plainIsThreeFields() throws {
        let exchange = try SASLExchange(
            offered: ["PLAIN"], isSecure: true,
            credentials: XMPPCredentials(username: "tim", password: "tanstaaftanstaaf"),
            nonce: "n")
        // RFC 4616 section 4.
        #expect(SASLBase64.decode(exchange.initialResponse) == Array("\0tim\0tanstaaftanstaaf".utf8))
    }

    @Test func credentialsArePrintedWithoutPassword() {
        let credentials = XMPPCredentials(username: "jvb", password: "secret")
        var dumped = ""
        dump(credentials, to: &dumped)
        for text in ["\(credentials)", String(reflecting: credentials), dumped] { #expect(!text.contains("secret")) }
    }

    @Test(arguments: [
        ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="),
        ("foobar", "Zm9vYmFy"),
    ])
    func base64(_ plain: String, _ encoded: String) {
        // RFC 4648 section 10.
        #expect(SASLBase64.encode(plain.utf8) == encoded)
        #expect(SASLBase64.decode(encoded) == Array(plain.utf8))
    }

    @Test(arguments: [
        "Z", "Zg", "Zg=", "Zg==Zg==", "Zh==", "Zm9=", "Zm8\n", "====", "Z===", "Zm 9", "Zm-_", "\u{E4}\u{E4}",
    ])
    func base64Refuses(_ text: String) {
        #expect(SASLBase64.decode(text) == nil)
    }

    @Test func mutationsNeverTrap() throws {
        var random = SeededGenerator(state: 3)
        let bytes = Array(Self.sha1.serverFirst.utf8)
        for index in bytes.indices {
            for _ in 0..<4 {
                var mutated = bytes
                mutated[index] = UInt8.random(in: .min ... .max, using: &random)
                // The iteration count stays, so that the test does not hash for minutes.
                let text = String(decoding: mutated, as: UTF8.self)
                guard text.hasSuffix(",i=4096") else { continue }
                var client = try Self.sha1.client()
                _ = try? client.respond(to: text)
                _ = try? client.verify(text)
            }
            var client = try Self.sha1.client()
            _ = try? client.respond(to: String(decoding: bytes[..<index], as: UTF8.self))
        }
    }
}
