// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// The client's side of one SCRAM exchange (RFC 5802, RFC 7677), without channel binding. It proves the password
/// without sending it, and believes the server only after the server has proved that it knows it, too.
struct SCRAMClient {
    /// Fewer iterations than RFC 7677 demands make a stolen exchange cheap to try passwords on; more than a million
    /// would let a server hold up the thread that computes them.
    static let iterations = 4096...1_000_000
    /// Bytes of a server's message.
    static let maximumMessageLength = 4096

    private enum State {
        case started
        case proven(serverSignature: [UInt8])
        case verified
    }

    private let hash: SCRAMHash
    private let password: [UInt8]
    private let nonce: String
    private let clientFirstBare: String
    private var state = State.started

    /// - Parameter nonce: printable ASCII without comma, never used before.
    init(_ hash: SCRAMHash, credentials: XMPPCredentials, nonce: String) throws(SASLError) {
        self.hash = hash
        self.nonce = nonce
        password = try Array(SASLError.prepared(credentials.password).utf8)
        let username = try SASLError.prepared(credentials.username)
        let name = username.unicodeScalars.reduce(into: "") { name, scalar in
            switch scalar {
            case "=": name += "=3D"
            case ",": name += "=2C"
            default: name.unicodeScalars.append(scalar)
            }
        }
        clientFirstBare = "n=\(name),r=\(nonce)"
    }

    /// The first message: no channel binding, no other identity to act as.
    var clientFirst: String { Self.header + clientFirstBare }

    /// Takes server-first, returns client-final.
    mutating func respond(to serverFirst: String) throws(SASLError) -> String {
        guard case .started = state else { throw .unexpectedMessage }
        var fields = try Self.fields(of: serverFirst)[...]
        guard let serverNonce = Self.pop("r", from: &fields), let saltText = Self.pop("s", from: &fields),
            let iterationText = Self.pop("i", from: &fields)
        else { throw .malformedMessage }
        guard serverNonce.hasPrefix(nonce), serverNonce.utf8.count > nonce.utf8.count else { throw .foreignNonce }
        guard let salt = SASLBase64.decode(String(saltText)), !salt.isEmpty else { throw .malformedMessage }
        guard let iterations = Int32(iterationText), iterationText.utf8.first != UInt8(ascii: "+") else {
            throw .malformedMessage
        }
        guard Self.iterations.contains(Int(iterations)) else { throw .iterationCount(Int(iterations)) }

        let withoutProof = "c=\(SASLBase64.encode(Self.header.utf8)),r=\(serverNonce)"
        let message = Array("\(clientFirstBare),\(serverFirst),\(withoutProof)".utf8)
        guard let saltedPassword = hash.salted(password: password, salt: salt, iterations: iterations),
            let clientKey = hash.authenticate(Array("Client Key".utf8), key: saltedPassword),
            let storedKey = hash.hash(clientKey),
            let clientSignature = hash.authenticate(message, key: storedKey),
            let serverKey = hash.authenticate(Array("Server Key".utf8), key: saltedPassword),
            let serverSignature = hash.authenticate(message, key: serverKey)
        else { throw .hashUnavailable }
        state = .proven(serverSignature: serverSignature)
        let proof = zip(clientKey, clientSignature).map { $0 ^ $1 }
        return "\(withoutProof),p=\(SASLBase64.encode(proof))"
    }

    /// Takes server-final. Until it returns without an error the server is not who it says.
    mutating func verify(_ serverFinal: String) throws(SASLError) {
        guard case .proven(let expected) = state else { throw .unexpectedMessage }
        var fields = try Self.fields(of: serverFinal)[...]
        guard let text = Self.pop("v", from: &fields) else { throw .malformedMessage }
        guard let signature = SASLBase64.decode(String(text)), signature.count == expected.count,
            zip(signature, expected).reduce(0, { $0 | ($1.0 ^ $1.1) }) == 0
        else { throw .wrongServerSignature }
        state = .verified
    }

    /// True once the server has proved itself.
    var isVerified: Bool {
        if case .verified = state { true } else { false }
    }

    private static let header = "n,,"

    private static func fields(of message: String) throws(SASLError) -> [Substring] {
        guard message.utf8.count <= maximumMessageLength else { throw .malformedMessage }
        return message.split(separator: ",", omittingEmptySubsequences: false)
    }

    /// Takes the next field, which must be `name=value`; order matters in SCRAM, and what follows the known fields is
    /// an extension that may be ignored. One in front ("m=") is one that must be understood, and is not.
    private static func pop(_ name: String, from fields: inout ArraySlice<Substring>) -> Substring? {
        guard let field = fields.popFirst(), field.hasPrefix(name + "=") else { return nil }
        return field.dropFirst(2)
    }
}
