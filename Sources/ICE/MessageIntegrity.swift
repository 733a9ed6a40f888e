// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

internal import COpenSSL

/// HMAC-SHA1 as STUN's MESSAGE-INTEGRITY wants it (RFC 8489 section 14.5, RFC 2104).
struct MessageIntegrity: Hashable {
    /// Length of the digest in bytes.
    static let length = 20

    let digest: [UInt8]

    /// The digest of `message` under `key`; nil when libcrypto refuses (then nothing verifies and nothing is signed).
    init?(of message: [UInt8], key: [UInt8]) {
        var digest = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
        var length: UInt32 = 0
        let done = unsafe HMAC(
            EVP_sha1(), key, Int32(clamping: key.count), message, message.count, &digest, &length)
        guard unsafe done != nil, length == Self.length else { return nil }
        self.digest = Array(digest.prefix(Self.length))
    }

    /// Compares without telling by its time how many bytes agree.
    func matches(_ bytes: Span<UInt8>, at offset: Int) -> Bool {
        guard offset >= 0, bytes.count - offset >= Self.length else { return false }
        var difference: UInt8 = 0
        for index in 0..<Self.length { difference |= digest[index] ^ bytes[offset + index] }
        return difference == 0
    }
}
