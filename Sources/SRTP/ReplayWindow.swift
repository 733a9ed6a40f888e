// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Which of the newest 1024 indices of a stream were opened already (RFC 3711 section 3.3.2).
///
/// A value: `peek` asks before a packet is authenticated and changes nothing, `commit` asks again and notes the index
/// after it was. The window is a ring of bits, so moving it forward clears bits and shifts none.
struct ReplayWindow: BitwiseCopyable, Sendable {
    /// Indices that the window remembers. RFC 3711 asks for 64 at least; retransmissions want more.
    static var width: UInt64 { 1024 }
    private static var none: UInt64 { UInt64.max }

    private var bits: InlineArray<16, UInt64>
    private var newest: UInt64

    init() {
        bits = InlineArray(repeating: 0)
        newest = Self.none
    }

    /// Restores a window.
    /// - Parameter words: sixteen words; the bit of index i is bit i % 64 of word i / 64 % 16.
    init?(highest: UInt64?, words: [UInt64]) {
        guard words.count == 16, highest != Self.none else { return nil }
        self.init()
        newest = highest ?? Self.none
        for (position, word) in words.enumerated() { bits[position] = word }
    }

    /// The highest index opened so far.
    @inline(__always)
    var highest: UInt64? { newest == Self.none ? nil : newest }

    /// The bits, as `init(highest:words:)` takes them.
    var words: [UInt64] { (0..<16).map { bits[$0] } }

    @inline(__always)
    func peek(_ index: UInt64) -> OpenFailure {
        if newest == Self.none || index > newest { return .none }
        if newest - index >= Self.width { return .tooOld }
        return bits[Self.word(index)] & Self.bit(index) == 0 ? .none : .replayed
    }

    /// Notes an authenticated index, unless it was noted before or has left the window.
    mutating func commit(_ index: UInt64) -> OpenFailure {
        let verdict = peek(index)
        guard verdict == .none else { return verdict }
        if newest == Self.none {
            newest = index
        } else if index > newest {
            forget(after: newest, through: index)
            newest = index
        }
        bits[Self.word(index)] |= Self.bit(index)
        return .none
    }

    private mutating func forget(after old: UInt64, through new: UInt64) {
        if new - old >= Self.width {
            bits = InlineArray(repeating: 0)
            return
        }
        var index = old + 1
        while index <= new {
            if index % 64 == 0, new - index >= 63 {
                bits[Self.word(index)] = 0
                index += 64
            } else {
                bits[Self.word(index)] &= ~Self.bit(index)
                index += 1
            }
        }
    }

    @inline(__always)
    private static func word(_ index: UInt64) -> Int { Int(truncatingIfNeeded: index / 64 % 16) }
    @inline(__always)
    private static func bit(_ index: UInt64) -> UInt64 { 1 << (index % 64) }
}
