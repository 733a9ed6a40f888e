// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Reading and writing of fields that are not whole bytes, highest bit first (AV1 RTP specification, appendix A.8.2).

/// Position in a row of bits.
struct BitReader: ~Escapable {
    private let bytes: Span<UInt8>
    /// Bits read so far.
    private(set) var position = 0

    @_lifetime(copy bytes)
    init(_ bytes: Span<UInt8>) { self.bytes = bytes }

    var bitCount: Int { bytes.count * 8 }

    /// f(n): an unsigned number of `width` bits, 0...32.
    @_lifetime(self: copy self)
    mutating func read(_ width: Int) throws(ParseError) -> UInt32 {
        guard width <= bitCount - position else { throw .truncated }
        var value: UInt64 = 0
        var left = width
        while left > 0 {
            let offset = position & 7
            let taken = min(left, 8 - offset)
            let octet = UInt64(bytes[position >> 3]) >> UInt64(8 - offset - taken) & (1 << UInt64(taken) - 1)
            value = value << UInt64(taken) | octet
            position += taken
            left -= taken
        }
        return UInt32(truncatingIfNeeded: value)
    }

    @_lifetime(self: copy self)
    mutating func readFlag() throws(ParseError) -> Bool { try read(1) != 0 }

    /// ns(n): a number below `limit` (at least 1), the smaller ones in one bit less.
    @_lifetime(self: copy self)
    mutating func readNonSymmetric(below limit: UInt32) throws(ParseError) -> UInt32 {
        let width = 32 - limit.leadingZeroBitCount
        let short = UInt32(1 << UInt64(width) - UInt64(limit))
        let value = try read(width - 1)
        if value < short { return value }
        return try value << 1 - short + read(1)
    }

    @_lifetime(self: copy self)
    mutating func skip(_ width: Int) throws(ParseError) {
        guard width >= 0, width <= bitCount - position else { throw .truncated }
        position += width
    }
}

/// Bits appended to memory of the caller.
@safe
struct BitWriter: ~Copyable {
    private let start: UnsafeMutableRawPointer
    private let bitCapacity: Int
    private(set) var position = 0

    /// - Parameter capacity: bytes that may be written at `start`.
    init(into start: UnsafeMutableRawPointer, capacity: Int) {
        unsafe self.start = unsafe start
        bitCapacity = capacity * 8
    }

    /// Appends the low `width` bits of `value`, 0...32; false when they do not fit.
    mutating func write(_ value: UInt32, _ width: Int) -> Bool {
        guard width <= bitCapacity - position else { return false }
        var left = width
        while left > 0 {
            let offset = position & 7
            let taken = min(left, 8 - offset)
            let bits = UInt8(truncatingIfNeeded: UInt64(value) >> UInt64(left - taken) & (1 << UInt64(taken) - 1))
            let byte = position >> 3
            let before = unsafe offset == 0 ? 0 : start.load(fromByteOffset: byte, as: UInt8.self)
            unsafe start.storeBigEndian(before | bits << UInt8(8 - offset - taken), at: byte)
            position += taken
            left -= taken
        }
        return true
    }

    /// Bytes touched so far; the bits that fill up the last one are 0.
    var byteCount: Int { (position + 7) / 8 }
}
