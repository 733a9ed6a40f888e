// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import COpenSSL

/// The hash under a SCRAM mechanism, and the three functions that RFC 5802 section 2.2 builds on it.
enum SCRAMHash: Sendable {
    case sha1
    case sha256

    /// Bytes of a digest.
    var length: Int {
        switch self {
        case .sha1: 20
        case .sha256: 32
        }
    }

    private var digest: OpaquePointer? {
        switch self {
        case .sha1: unsafe EVP_sha1()
        case .sha256: unsafe EVP_sha256()
        }
    }

    /// H(bytes); nil if the library refuses the algorithm.
    func hash(_ bytes: [UInt8]) -> [UInt8]? {
        var output = [UInt8](repeating: 0, count: length)
        let done = unsafe EVP_Digest(bytes, bytes.count, &output, nil, digest, nil)
        return done == 1 ? output : nil
    }

    /// HMAC(key, bytes), RFC 2104.
    func authenticate(_ bytes: [UInt8], key: [UInt8]) -> [UInt8]? {
        var output = [UInt8](repeating: 0, count: length)
        let done = unsafe HMAC(digest, key, Int32(clamping: key.count), bytes, bytes.count, &output, nil) != nil
        return done ? output : nil
    }

    /// Hi(password, salt, iterations), which is PBKDF2 with one block of output (RFC 8018). A million iterations take a
    /// good part of a second, so the caller limits them.
    func salted(password: [UInt8], salt: [UInt8], iterations: Int32) -> [UInt8]? {
        var output = [UInt8](repeating: 0, count: length)
        let done = unsafe password.withUnsafeBytes { password in
            unsafe PKCS5_PBKDF2_HMAC(
                password.bindMemory(to: CChar.self).baseAddress, Int32(clamping: password.count),
                salt, Int32(clamping: salt.count), iterations, digest, Int32(output.count), &output)
        }
        return done == 1 ? output : nil
    }
}
