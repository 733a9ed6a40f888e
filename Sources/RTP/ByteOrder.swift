// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Big-endian loads from spans and stores to raw memory, the byte order of every message here (RFC 3550 section 4).

extension Span where Element == UInt8 {
    /// The two bytes at `offset`. Traps outside the span like a subscript: check the length first.
    @inline(__always)
    func bigEndian16(at offset: Int) -> UInt16 {
        // Bounds-checked like a subscript; unsafe only because the type is free, and any two bytes are a UInt16.
        unsafe bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt16.self).bigEndian
    }

    /// The three bytes at `offset`, 0...0xFFFFFF.
    @inline(__always)
    func bigEndian24(at offset: Int) -> UInt32 {
        UInt32(self[offset]) << 16 | UInt32(self[offset &+ 1]) << 8 | UInt32(self[offset &+ 2])
    }

    @inline(__always)
    func bigEndian32(at offset: Int) -> UInt32 {
        unsafe bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self).bigEndian
    }

    @inline(__always)
    func bigEndian64(at offset: Int) -> UInt64 {
        unsafe bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self).bigEndian
    }
}

extension UnsafeMutableRawPointer {
    /// Stores `value` big-endian at `offset`, at any alignment.
    @inline(__always)
    func storeBigEndian<Value: FixedWidthInteger & BitwiseCopyable>(_ value: Value, at offset: Int) {
        unsafe storeBytes(of: value.bigEndian, toByteOffset: offset, as: Value.self)
    }

    /// Copies the bytes `range` of `source` to `offset`. `range` must lie inside `source`.
    @inline(__always)
    func copy(_ range: Range<Int>, of source: Span<UInt8>, to offset: Int) {
        unsafe source.extracting(range).withUnsafeBytes { bytes in
            guard let first = bytes.baseAddress else { return }
            unsafe (self + offset).copyMemory(from: first, byteCount: bytes.count)
        }
    }
}
