// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Writes one STUN message, attribute by attribute (RFC 8489 section 5); the length field is right after every step.
public struct STUNWriter: Sendable {
    /// The message so far.
    public private(set) var bytes: [UInt8] = []

    /// Starts a message without attributes.
    public init(
        _ messageClass: STUNMessage.Class, method: UInt16 = STUNMessage.binding, transactionID: STUNTransactionID
    ) {
        bytes.reserveCapacity(128)
        let classBits = UInt16(messageClass.rawValue & 1) << 4 | UInt16(messageClass.rawValue & 2) << 7
        bytes.appendBigEndian(method & 0xF | (method & 0x70) << 1 | (method & 0xF80) << 2 | classBits)
        bytes.appendBigEndian(UInt16(0))
        bytes.appendBigEndian(STUNMessage.magicCookie)
        bytes.appendBigEndian(transactionID.tag)
        bytes.appendBigEndian(transactionID.nonce)
    }

    /// USERNAME; the part past 512 bytes is cut off.
    public mutating func append(username: String) { append(.username, Array(username.utf8.prefix(512))) }

    /// SOFTWARE; the part past 128 bytes is cut off.
    public mutating func append(software: String) { append(.software, Array(software.utf8.prefix(128))) }

    /// PRIORITY.
    public mutating func append(priority: UInt32) {
        var value = [UInt8]()
        value.appendBigEndian(priority)
        append(.priority, value)
    }

    /// USE-CANDIDATE.
    public mutating func appendUseCandidate() { append(.useCandidate, []) }

    /// ICE-CONTROLLING or ICE-CONTROLLED.
    public mutating func append(role: ICERole, tieBreaker: UInt64) {
        var value = [UInt8]()
        value.appendBigEndian(tieBreaker)
        append(role == .controlling ? .iceControlling : .iceControlled, value)
    }

    /// XOR-MAPPED-ADDRESS.
    public mutating func append(xorMappedAddress address: TransportAddress) {
        var value: [UInt8] = [0, address.ip.isIPv6 ? 2 : 1]
        value.appendBigEndian(address.port ^ UInt16(truncatingIfNeeded: STUNMessage.magicCookie >> 16))
        switch address.ip {
        case .v4(let octets):
            value.appendBigEndian(octets ^ STUNMessage.magicCookie)
        case .v6(let high, let low):
            // Cookie and transaction id, which are bytes 4...19 of the message itself.
            let mask = bytes.span
            value.appendBigEndian(high ^ mask.bigEndian64(at: 4))
            value.appendBigEndian(low ^ mask.bigEndian64(at: 12))
        }
        append(.xorMappedAddress, value)
    }

    /// ERROR-CODE with an empty reason phrase. `code` is 300...699.
    public mutating func append(errorCode code: UInt16) {
        append(.errorCode, [0, 0, UInt8(truncatingIfNeeded: code / 100 & 7), UInt8(truncatingIfNeeded: code % 100)])
    }

    /// UNKNOWN-ATTRIBUTES of a 420 response.
    public mutating func append(unknownAttributes types: [UInt16]) {
        var value = [UInt8]()
        for type in types { value.appendBigEndian(type) }
        append(.unknownAttributes, value)
    }

    /// MESSAGE-INTEGRITY over everything so far. When libcrypto refuses, nothing is appended and the peer will not
    /// accept the message.
    public mutating func appendIntegrity(key: [UInt8]) {
        var signed = bytes
        Self.setLength(of: &signed, extra: 4 + MessageIntegrity.length)
        guard let integrity = MessageIntegrity(of: signed, key: key) else { return }
        append(.messageIntegrity, integrity.digest)
    }

    /// FINGERPRINT; must be the last attribute.
    public mutating func appendFingerprint() {
        Self.setLength(of: &bytes, extra: 8)
        var value = [UInt8]()
        value.appendBigEndian(CRC32.checksum(bytes.span, count: bytes.count) ^ STUNMessage.fingerprintMask)
        append(.fingerprint, value)
    }

    private mutating func append(_ attribute: STUNAttribute, _ value: [UInt8]) {
        bytes.appendBigEndian(attribute.rawValue)
        bytes.appendBigEndian(UInt16(truncatingIfNeeded: value.count))
        bytes.append(contentsOf: value)
        while bytes.count % 4 != 0 { bytes.append(0) }
        Self.setLength(of: &bytes, extra: 0)
    }

    private static func setLength(of message: inout [UInt8], extra: Int) {
        let length = UInt16(truncatingIfNeeded: message.count + extra - STUNMessage.headerLength)
        message[2] = UInt8(truncatingIfNeeded: length >> 8)
        message[3] = UInt8(truncatingIfNeeded: length)
    }
}
