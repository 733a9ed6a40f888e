// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Logging in (RFC 6120 section 6, RFC 4422): which mechanism to take, and what to say next.

/// What the bridge logs in with. Printing it does not show the password.
public struct XMPPCredentials: Hashable, Sendable, CustomStringConvertible, CustomDebugStringConvertible,
    CustomReflectable
{
    public var username: String
    public var password: String

    public init(username: String, password: String) {
        self.username = username
        self.password = password
    }

    public var description: String { "\(username):***" }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: ["username": username]) }
}

/// Why a login cannot go on.
public enum SASLError: Error, Hashable, Sendable {
    /// The server offers nothing that can be used here; PLAIN cannot without TLS.
    case noCommonMechanism
    /// User name or password is empty or has a control character.
    case unusableCredentials
    /// Not base 64, not UTF-8, not the grammar of the mechanism, or too long.
    case malformedMessage
    /// A message that has no place in this step of the exchange.
    case unexpectedMessage
    /// The server's nonce does not continue ours.
    case foreignNonce
    /// Outside of 4096...1_000_000.
    case iterationCount(Int)
    /// The server does not know the password, or somebody sits in between.
    case wrongServerSignature
    /// The server says `success` without having proved that it knows the password.
    case missingServerSignature
    /// The cryptographic library refuses the hash.
    case hashUnavailable

    /// What of SASLprep (RFC 4013) is done: control characters and the empty string are refused, everything else goes
    /// as it is. For ASCII that is all there is; other text is not normalised, so it must be typed as the server stored
    /// it.
    static func prepared(_ text: String) throws(SASLError) -> String {
        let isPrintable = text.unicodeScalars.allSatisfy { scalar in
            switch scalar.value {
            case 0x00...0x1F, 0x7F...0x9F: false
            default: true
            }
        }
        guard isPrintable, !text.isEmpty else { throw .unusableCredentials }
        return text
    }
}

/// One attempt to log in.
struct SASLExchange {
    /// In order of preference.
    enum Mechanism: String, CaseIterable {
        case scramSHA256 = "SCRAM-SHA-256"
        case scramSHA1 = "SCRAM-SHA-1"
        case plain = "PLAIN"
    }

    private enum Method {
        case scram(SCRAMClient)
        case plain
    }

    let mechanism: Mechanism
    /// First message, base 64.
    let initialResponse: String
    private var method: Method

    /// Takes the best of the offered mechanisms.
    init(
        offered: [String], isSecure: Bool, credentials: XMPPCredentials, nonce: String
    ) throws(SASLError) {
        let choice = Mechanism.allCases.first { offered.contains($0.rawValue) && ($0 != .plain || isSecure) }
        guard let choice else { throw .noCommonMechanism }
        mechanism = choice
        switch choice {
        case .scramSHA256, .scramSHA1:
            let hash: SCRAMHash = choice == .scramSHA256 ? .sha256 : .sha1
            let client = try SCRAMClient(hash, credentials: credentials, nonce: nonce)
            method = .scram(client)
            initialResponse = SASLBase64.encode(client.clientFirst.utf8)
        case .plain:
            // RFC 4616: no identity to act as, user name, password.
            let username = try SASLError.prepared(credentials.username)
            let password = try SASLError.prepared(credentials.password)
            method = .plain
            initialResponse = SASLBase64.encode("\0\(username)\0\(password)".utf8)
        }
    }

    /// Takes the text of a `<challenge/>`, returns that of the `<response/>`.
    mutating func respond(to challenge: String) throws(SASLError) -> String {
        guard case .scram(var client) = method else { throw .unexpectedMessage }
        let message = try Self.decode(challenge)
        // The server may prove itself in a last challenge instead of in the success; that one has an empty response.
        var response = ""
        if message.hasPrefix("v=") {
            try client.verify(message)
        } else {
            response = try SASLBase64.encode(client.respond(to: message).utf8)
        }
        method = .scram(client)
        return response
    }

    /// Takes the text of `<success/>`, and throws unless that server may be believed.
    mutating func succeed(with text: String) throws(SASLError) {
        guard case .scram(var client) = method else { return }
        if !client.isVerified {
            guard !text.isEmpty, text != "=" else { throw .missingServerSignature }
            try client.verify(Self.decode(text))
        }
        method = .scram(client)
    }

    private static func decode(_ text: String) throws(SASLError) -> String {
        guard text.utf8.count <= SCRAMClient.maximumMessageLength * 2, let bytes = SASLBase64.decode(text),
            let message = String(validating: bytes, as: UTF8.self)
        else { throw .malformedMessage }
        return message
    }
}
