// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import RTP

/// The initialisation vector of one packet, as the bytes that a cipher reads: 16 of them for CM, the first 12 for GCM.
struct InitializationVector: BitwiseCopyable, Equatable {
    /// Both words hold big-endian values.
    var first: UInt64
    var second: UInt64
}

/// The session salt of one direction, kept in the shape that makes a vector by two exclusive ors.
///
/// Index is the 48-bit packet index, or the 31-bit index of SRTCP: both profiles put it at the same place.
///
///     CM  (RFC 3711 4.1.1)   0000 0000 | SSRC | index (6) | 0000     XOR  salt (14) | 0000
///     GCM (RFC 7714 8.1, 9.1)     0000 | SSRC | index (6)            XOR  salt (12)
struct SessionSalt: BitwiseCopyable {
    private let first: UInt64
    private let second: UInt64
    private let isAEAD: Bool

    /// - Parameter bytes: 14 bytes, or 12 for an AEAD profile.
    init(_ bytes: [UInt8], _ profile: ProtectionProfile) {
        var words: (UInt64, UInt64) = (0, 0)
        for (position, byte) in bytes.prefix(16).enumerated() {
            let shift = UInt64(56 - 8 * (position % 8))
            if position < 8 { words.0 |= UInt64(byte) << shift } else { words.1 |= UInt64(byte) << shift }
        }
        (first, second) = words
        isAEAD = profile.isAEAD
    }

    @inline(__always)
    func vector(_ ssrc: SSRC, _ index: UInt64) -> InitializationVector {
        let source = UInt64(ssrc.rawValue)
        if isAEAD {
            return InitializationVector(
                first: (first ^ (source << 16) ^ (index >> 32)).bigEndian, second: (second ^ (index << 32)).bigEndian)
        }
        return InitializationVector(first: (first ^ source).bigEndian, second: (second ^ (index << 16)).bigEndian)
    }
}
