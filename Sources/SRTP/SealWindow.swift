// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Which indices of an outgoing stream were used: the proof that none is used for two packets (RFC 3711 section 9.1).
///
/// A packet that was late on its way to the bridge is still owed to the receiver under its own number, so the newest 128
/// indices are remembered one by one. Whatever is older counts as used.
struct SealWindow: BitwiseCopyable, Sendable {
    /// Indices below `next` that are remembered.
    static var width: UInt64 { 128 }

    /// One above the highest index used; 0 when none was.
    private(set) var next: UInt64
    /// Bit i: index `next - 1 - i` was used.
    private var used: UInt128

    /// A window in which everything up to `highest` was used.
    init(highest: UInt64?) {
        next = highest.map { $0 &+ 1 } ?? 0
        used = highest == nil ? 0 : UInt128.max
    }

    /// Uses an index up; false, and nothing changed, when it was used before or is too old to tell.
    @inline(__always)
    mutating func take(_ index: UInt64) -> Bool {
        if index >= next {
            let steps = index - next + 1
            used = steps >= Self.width ? 1 : used << UInt128(steps) | 1
            next = index + 1
            return true
        }
        let back = next - 1 - index
        guard back < Self.width else { return false }
        let bit = UInt128(1) << UInt128(back)
        guard used & bit == 0 else { return false }
        used |= bit
        return true
    }

    /// Whether a packet was sealed under this index, as far as that is known.
    @inline(__always)
    func wasUsed(_ index: UInt64) -> Bool {
        guard index < next else { return false }
        let back = next - 1 - index
        return back >= Self.width || used & (UInt128(1) << UInt128(back)) != 0
    }
}
