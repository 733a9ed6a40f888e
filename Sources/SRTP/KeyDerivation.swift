// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import COpenSSL
import RTP

/// Derives session keys from the master key of a direction (RFC 3711 section 4.3, key derivation rate 0).
struct SessionKeys {
    /// Key of the cipher: 16 or 32 bytes.
    var encryption: [UInt8]
    /// Key of HMAC-SHA1: 20 bytes; empty for AEAD profiles.
    var authentication: [UInt8]
    /// Salt of the initialisation vectors: 14 bytes, 12 for AEAD profiles.
    var salt: [UInt8]

    /// The two sets of keys that a master key yields; the raw value is the first of the set's three labels.
    enum Purpose: UInt8 {
        case rtp = 0
        case rtcp = 3
    }

    init(encryption: [UInt8], authentication: [UInt8] = [], salt: [UInt8]) {
        self.encryption = encryption
        self.authentication = authentication
        self.salt = salt
    }

    init(_ profile: ProtectionProfile, master: SRTPMasterKey, purpose: Purpose) throws(SRTPError) {
        guard master.key.count == profile.keyLength, master.salt.count == profile.saltLength else {
            throw .badKeyLength
        }
        let label = purpose.rawValue
        encryption = try Self.derive(master, label: label, count: profile.keyLength)
        authentication = profile.isAEAD ? [] : try Self.derive(master, label: label + 1, count: 20)
        salt = try Self.derive(master, label: label + 2, count: profile.saltLength)
    }

    /// The first `count` bytes of the pseudo-random function for one label. A 12-byte salt counts as padded on the right
    /// with zeros (RFC 7714 section 11).
    static func derive(_ master: SRTPMasterKey, label: UInt8, count: Int) throws(SRTPError) -> [UInt8] {
        guard master.salt.count >= 8, master.salt.count <= 14 else { throw .badKeyLength }
        var counter = master.salt + [UInt8](repeating: 0, count: 16 - master.salt.count)
        counter[7] ^= label
        guard let bytes = counterKeystream(key: master.key, counter: counter, count: count) else {
            throw .engineFailure
        }
        return bytes
    }

    /// AES in counter mode (RFC 3711 section 4.1.1); nil when key or counter have a wrong length.
    static func counterKeystream(key: [UInt8], counter: [UInt8], count: Int) -> [UInt8]? {
        guard counter.count == 16 else { return nil }
        var bytes = [UInt8](repeating: 0, count: count)
        let done = unsafe jvbd_srtp_keystream(key, key.count, counter, &bytes, count)
        return done == 1 ? bytes : nil
    }

    /// Overwrites the keys. They are wanted no longer than it takes an engine to expand them.
    mutating func wipe() {
        unsafe jvbd_srtp_cleanse(&encryption, encryption.count)
        unsafe jvbd_srtp_cleanse(&authentication, authentication.count)
    }
}

extension ProtectionProfile {
    /// One algorithm encrypts and authenticates (RFC 7714).
    var isAEAD: Bool { self != .aes128CMHMACSHA1_80 }
    /// Bytes of authentication tag.
    @inline(__always)
    var tagLength: Int { isAEAD ? 16 : 10 }
}
