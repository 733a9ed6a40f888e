// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import COpenSSL

/// Fingerprints of certificates as signalling carries them (RFC 8122 section 5).

/// Hash function of a fingerprint, ordered by strength. MD5 and MD2 are not accepted.
public enum FingerprintHash: Int, Hashable, Comparable, Sendable, CaseIterable {
    case sha1
    case sha256
    case sha384
    case sha512

    /// Name in the registry "Hash Function Textual Names", lower case.
    public var name: String {
        switch self {
        case .sha1: "sha-1"
        case .sha256: "sha-256"
        case .sha384: "sha-384"
        case .sha512: "sha-512"
        }
    }

    /// - Parameter name: in any case.
    public init?(name: String) {
        guard name.utf8.count <= 16 else { return nil }
        let lower = name.lowercased()
        guard let hash = Self.allCases.first(where: { $0.name == lower }) else { return nil }
        self = hash
    }

    /// Bytes of a digest.
    public var length: Int {
        switch self {
        case .sha1: 20
        case .sha256: 32
        case .sha384: 48
        case .sha512: 64
        }
    }

    public static func < (a: FingerprintHash, b: FingerprintHash) -> Bool { a.rawValue < b.rawValue }

    var native: cossl_hash {
        switch self {
        case .sha1: COSSL_SHA1
        case .sha256: COSSL_SHA256
        case .sha384: COSSL_SHA384
        case .sha512: COSSL_SHA512
        }
    }
}

/// Digest of a certificate's DER bytes.
public struct Fingerprint: Hashable, Sendable, CustomStringConvertible {
    public let hash: FingerprintHash
    /// As many as `hash.length`.
    public let bytes: [UInt8]

    /// Nil if the number of bytes does not fit the hash.
    public init?(hash: FingerprintHash, bytes: [UInt8]) {
        guard bytes.count == hash.length else { return nil }
        self.hash = hash
        self.bytes = bytes
    }

    /// Of a certificate's DER bytes.
    init?(of certificate: [UInt8], hash: FingerprintHash) {
        var digest = [UInt8](repeating: 0, count: 64)
        let length = unsafe cossl_digest(hash.native, certificate, certificate.count, &digest)
        self.init(hash: hash, bytes: Array(digest.prefix(length)))
    }

    /// - Parameters:
    ///   - hash: name of the hash function, in any case.
    ///   - value: pairs of hexadecimal digits of either case with colons between them.
    public init?(hash: String, value: String) {
        guard let hash = FingerprintHash(name: hash), value.utf8.count == hash.length * 3 - 1 else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(hash.length)
        var high: UInt8?
        for (index, character) in value.utf8.enumerated() {
            if index % 3 == 2 {
                guard character == UInt8(ascii: ":") else { return nil }
                continue
            }
            guard let digit = Self.hexadecimalDigit(character) else { return nil }
            if let first = high {
                bytes.append(first << 4 | digit)
                high = nil
            } else {
                high = digit
            }
        }
        self.hash = hash
        self.bytes = bytes
    }

    /// Upper-case pairs with colons, the form that every peer accepts.
    public var description: String {
        let digits = Array("0123456789ABCDEF".utf8)
        var text: [UInt8] = []
        text.reserveCapacity(bytes.count * 3)
        for byte in bytes {
            if !text.isEmpty { text.append(UInt8(ascii: ":")) }
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        return String(decoding: text, as: UTF8.self)
    }

    private static func hexadecimalDigit(_ character: UInt8) -> UInt8? {
        switch character {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): character - UInt8(ascii: "0")
        case UInt8(ascii: "A")...UInt8(ascii: "F"): character - UInt8(ascii: "A") + 10
        case UInt8(ascii: "a")...UInt8(ascii: "f"): character - UInt8(ascii: "a") + 10
        default: nil
        }
    }
}
