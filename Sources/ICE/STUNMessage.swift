// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// STUN messages as ICE uses them (RFC 8489; attributes of RFC 8445 section 16.1): the parser.

/// Why a datagram is not a usable STUN message.
public enum STUNError: Error, Hashable, Sendable {
    /// Shorter than its header or its own length field says.
    case truncated
    /// Not STUN: wrong leading bits or no magic cookie.
    case notSTUN
    /// A length, padding or attribute value contradicts RFC 8489.
    case malformed
    /// FINGERPRINT is there and wrong.
    case fingerprint
}

/// Identifies a request and its response (RFC 8489 section 5): 96 bits.
public struct STUNTransactionID: Hashable, Sendable, BitwiseCopyable {
    /// The first four bytes: a tag by which the sender can route the response, not secret.
    public var tag: UInt32
    /// The other eight bytes: unpredictable.
    public var nonce: UInt64

    @inlinable
    public init(tag: UInt32, nonce: UInt64) {
        self.tag = tag
        self.nonce = nonce
    }
}

/// The facts of one STUN message. It remembers offsets, not memory: functions that need the bytes again take them again.
///
///      0                   1                   2                   3
///      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |0 0|     STUN Message Type     |         Message Length        |
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |                         Magic Cookie                          |
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |                     Transaction ID (96 bits)                  |
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
public struct STUNMessage: Sendable {
    /// Bytes of the fixed header.
    public static let headerLength = 20
    static let magicCookie: UInt32 = 0x2112_A442
    /// FINGERPRINT is the CRC-32 exclusive-or this (RFC 8489 section 14.7).
    static let fingerprintMask: UInt32 = 0x5354_554E
    /// Unknown comprehension-required attributes remembered for a 420 response.
    static let unknownLimit = 16

    /// The two class bits (RFC 8489 section 5).
    public enum Class: UInt8, Hashable, Sendable, BitwiseCopyable {
        case request, indication, success, error
    }

    /// The Binding method.
    public static let binding: UInt16 = 1

    /// Request, indication or response.
    public let messageClass: Class
    /// The twelve method bits; 1 is Binding.
    public let method: UInt16
    /// Ties a response to its request.
    public let transactionID: STUNTransactionID

    /// Value bytes of USERNAME.
    public private(set) var username: Range<Int>?
    /// Value bytes of REALM (long-term credentials; ICE has none).
    public private(set) var realm: Range<Int>?
    /// Value bytes of NONCE (long-term credentials; ICE has none).
    public private(set) var nonce: Range<Int>?
    /// Value bytes of SOFTWARE.
    public private(set) var software: Range<Int>?
    /// PRIORITY.
    public private(set) var priority: UInt32?
    /// USE-CANDIDATE is there.
    public private(set) var useCandidate = false
    /// Tie-breaker of ICE-CONTROLLING.
    public private(set) var iceControlling: UInt64?
    /// Tie-breaker of ICE-CONTROLLED.
    public private(set) var iceControlled: UInt64?
    /// MAPPED-ADDRESS.
    public private(set) var mappedAddress: TransportAddress?
    /// XOR-MAPPED-ADDRESS, already decoded.
    public private(set) var xorMappedAddress: TransportAddress?
    /// ERROR-CODE, 300...699.
    public private(set) var errorCode: UInt16?
    /// Comprehension-required attributes that this parser does not know, at most 16.
    public private(set) var unknownRequired: [UInt16] = []
    /// FINGERPRINT was there (and right, otherwise parsing failed).
    public private(set) var hasFingerprint = false
    /// Offset of the MESSAGE-INTEGRITY attribute.
    private(set) var integrityOffset: Int?

    /// A request of the Binding method, whatever its attributes.
    public var isBindingRequest: Bool { messageClass == .request && method == Self.binding }
    /// MESSAGE-INTEGRITY is there; whether it is right needs the password.
    public var hasIntegrity: Bool { integrityOffset != nil }

    /// Parses a whole datagram. Attributes of 0x8000 and above that are unknown are skipped whatever their size; of an
    /// attribute that occurs twice the first counts; behind MESSAGE-INTEGRITY only FINGERPRINT counts.
    public init(parsing bytes: Span<UInt8>) throws(STUNError) {
        guard bytes.count >= Self.headerLength else { throw .truncated }
        let type = bytes.bigEndian16(at: 0)
        guard type < 0x4000, bytes.bigEndian32(at: 4) == Self.magicCookie else { throw .notSTUN }
        let length = Int(bytes.bigEndian16(at: 2))
        guard length % 4 == 0 else { throw .malformed }
        guard bytes.count >= Self.headerLength + length else { throw .truncated }
        guard bytes.count == Self.headerLength + length else { throw .malformed }

        messageClass = Class(rawValue: UInt8(truncatingIfNeeded: type >> 7 & 2 | type >> 4 & 1)) ?? .request
        method = type & 0xF | type >> 1 & 0x70 | type >> 2 & 0xF80
        transactionID = STUNTransactionID(tag: bytes.bigEndian32(at: 8), nonce: bytes.bigEndian64(at: 12))

        var offset = Self.headerLength
        while offset < bytes.count {
            guard !hasFingerprint, bytes.count - offset >= 4 else { throw .malformed }
            let attribute = bytes.bigEndian16(at: offset)
            let start = offset + 4
            let end = start + Int(bytes.bigEndian16(at: offset + 2))
            let next = end + (4 - end % 4) % 4
            guard next <= bytes.count else { throw .malformed }
            try read(attribute, start..<end, of: bytes)
            offset = next
        }
    }

    private mutating func read(_ type: UInt16, _ value: Range<Int>, of bytes: Span<UInt8>) throws(STUNError) {
        let known = STUNAttribute(rawValue: type)
        if known == .fingerprint {
            guard value.count == 4 else { throw .malformed }
            let expected = CRC32.checksum(bytes, count: value.lowerBound - 4) ^ Self.fingerprintMask
            guard bytes.bigEndian32(at: value.lowerBound) == expected else { throw .fingerprint }
            hasFingerprint = true
            return
        }
        guard integrityOffset == nil else { return }
        guard let known else {
            if type < 0x8000 && unknownRequired.count < Self.unknownLimit { unknownRequired.append(type) }
            return
        }
        if let length = known.fixedLength, value.count != length { throw .malformed }
        switch known {
        case .username:
            guard value.count <= 513 else { throw .malformed }
            username = username ?? value
        case .realm: realm = realm ?? value
        case .nonce: nonce = nonce ?? value
        case .software: software = software ?? value
        case .priority: priority = priority ?? bytes.bigEndian32(at: value.lowerBound)
        case .useCandidate: useCandidate = true
        case .iceControlling: iceControlling = iceControlling ?? bytes.bigEndian64(at: value.lowerBound)
        case .iceControlled: iceControlled = iceControlled ?? bytes.bigEndian64(at: value.lowerBound)
        case .mappedAddress:
            let address = try address(in: value, of: bytes, masked: false)
            mappedAddress = mappedAddress ?? address
        case .xorMappedAddress:
            let address = try address(in: value, of: bytes, masked: true)
            xorMappedAddress = xorMappedAddress ?? address
        case .errorCode:
            guard value.count >= 4 else { throw .malformed }
            let hundreds = UInt16(bytes[value.lowerBound + 2] & 7)
            let rest = UInt16(bytes[value.lowerBound + 3])
            guard (3...6).contains(hundreds), rest < 100 else { throw .malformed }
            errorCode = errorCode ?? hundreds * 100 + rest
        case .messageIntegrity: integrityOffset = value.lowerBound - 4
        case .unknownAttributes, .messageIntegritySHA256, .alternateServer, .fingerprint: break
        }
    }

    private func address(
        in value: Range<Int>, of bytes: Span<UInt8>, masked: Bool
    ) throws(STUNError) -> TransportAddress {
        guard value.count == 8 || value.count == 20 else { throw .malformed }
        let family = bytes[value.lowerBound + 1]
        let mask = masked ? Self.magicCookie : 0
        let port = bytes.bigEndian16(at: value.lowerBound + 2) ^ UInt16(truncatingIfNeeded: mask >> 16)
        let start = value.lowerBound + 4
        switch (family, value.count) {
        case (1, 8):
            return TransportAddress(ip: .v4(bytes.bigEndian32(at: start) ^ mask), port: port)
        case (2, 20):
            let high = UInt64(mask) << 32 | (masked ? UInt64(transactionID.tag) : 0)
            let low = masked ? transactionID.nonce : 0
            let ip = IPAddress.v6(bytes.bigEndian64(at: start) ^ high, bytes.bigEndian64(at: start + 8) ^ low)
            return TransportAddress(ip: ip, port: port)
        default:
            throw .malformed
        }
    }

    /// True when MESSAGE-INTEGRITY is there and was made with `key` (the password for ICE). `bytes` must be those that
    /// were parsed.
    public func verifiesIntegrity(of bytes: Span<UInt8>, key: [UInt8]) -> Bool {
        guard let offset = integrityOffset, offset + 4 + MessageIntegrity.length <= bytes.count else { return false }
        var signed = bytes.bytes(0..<offset)
        // RFC 8489 section 14.5: the length counts up to and including this attribute, whatever follows it.
        let length = UInt16(truncatingIfNeeded: offset + 4 + MessageIntegrity.length - Self.headerLength)
        signed[2] = UInt8(truncatingIfNeeded: length >> 8)
        signed[3] = UInt8(truncatingIfNeeded: length)
        return MessageIntegrity(of: signed, key: key)?.matches(bytes, at: offset + 4) ?? false
    }

    /// The two halves of an ICE USERNAME, "receiver:sender" (RFC 8445 section 7.2.2); nil when it is missing or has none.
    public func usernameFragments(in bytes: Span<UInt8>) -> (receiver: UsernameFragment, sender: UsernameFragment)? {
        guard let username, username.upperBound <= bytes.count,
            let colon = username.first(where: { bytes[$0] == UInt8(ascii: ":") }),
            let receiver = UsernameFragment(bytes: bytes, username.lowerBound..<colon),
            let sender = UsernameFragment(bytes: bytes, (colon + 1)..<username.upperBound)
        else { return nil }
        return (receiver, sender)
    }
}
