// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// CRC-32 of ITU-T V.42, which STUN's FINGERPRINT uses (RFC 8489 section 14.7).
enum CRC32 {
    private static let table: [UInt32] = (0..<256).map { index in
        var value = UInt32(index)
        for _ in 0..<8 { value = value & 1 == 1 ? value >> 1 ^ 0xEDB8_8320 : value >> 1 }
        return value
    }

    /// The checksum of the first `count` bytes.
    static func checksum(_ bytes: Span<UInt8>, count: Int) -> UInt32 {
        let table = table
        var value: UInt32 = 0xFFFF_FFFF
        for index in 0..<min(count, bytes.count) {
            value = value >> 8 ^ table[Int((value ^ UInt32(bytes[index])) & 0xFF)]
        }
        return ~value
    }
}
