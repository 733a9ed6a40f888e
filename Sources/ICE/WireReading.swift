// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Big-endian integers in and out of byte sequences, as STUN lays them out.

extension Span<UInt8> {
    /// The two bytes at `offset`; the caller has checked that they exist.
    func bigEndian16(at offset: Int) -> UInt16 {
        UInt16(self[offset]) << 8 | UInt16(self[offset + 1])
    }

    /// The four bytes at `offset`; the caller has checked that they exist.
    func bigEndian32(at offset: Int) -> UInt32 {
        UInt32(bigEndian16(at: offset)) << 16 | UInt32(bigEndian16(at: offset + 2))
    }

    /// The eight bytes at `offset`; the caller has checked that they exist.
    func bigEndian64(at offset: Int) -> UInt64 {
        UInt64(bigEndian32(at: offset)) << 32 | UInt64(bigEndian32(at: offset + 4))
    }

    /// A copy of the bytes of `range`; the caller has checked that they exist.
    func bytes(_ range: Range<Int>) -> [UInt8] {
        var copy = [UInt8]()
        copy.reserveCapacity(range.count)
        for index in range { copy.append(self[index]) }
        return copy
    }
}

extension [UInt8] {
    mutating func appendBigEndian(_ value: some FixedWidthInteger & UnsignedInteger) {
        var shift = value.bitWidth
        while shift > 0 {
            shift -= 8
            append(UInt8(truncatingIfNeeded: value >> shift))
        }
    }
}
