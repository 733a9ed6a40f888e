// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Packet status chunks of transport-wide feedback, read and written (draft-holmer-rmcat-transport-wide-cc-extensions-01
/// sections 3.1.1 to 3.1.4).

/// What a feedback message says about one packet.
enum StatusSymbol: UInt8, BitwiseCopyable, Sendable {
    case notReceived = 0
    /// Received, with a delta of one byte.
    case smallDelta = 1
    /// Received, with a delta of two bytes, which may be negative.
    case largeDelta = 2
    case reserved = 3

    init(lowBits: UInt16) { self = StatusSymbol(rawValue: UInt8(truncatingIfNeeded: lowBits & 3)) ?? .reserved }

    var deltaLength: Int {
        switch self {
        case .notReceived, .reserved: 0
        case .smallDelta: 1
        case .largeDelta: 2
        }
    }
}

/// One chunk of 16 bits that is being read.
///
/// ```
/// |0| S |       run length 13     |   run of one symbol
/// |1|0|      14 one-bit symbols   |   status vector: not received, small delta
/// |1|1|       7 two-bit symbols   |   status vector: any symbol
/// ```
struct StatusChunk: BitwiseCopyable, Sendable {
    private let rawValue: UInt16
    /// Symbols that are left to read.
    private(set) var count: Int
    private var index = 0

    static let longestRun = 0x1FFF
    static let oneBitCapacity = 14
    static let twoBitCapacity = 7

    static var empty: StatusChunk { StatusChunk(rawValue: 0) }

    init(rawValue: UInt16) {
        self.rawValue = rawValue
        count =
            rawValue & 0x8000 == 0
            ? Int(rawValue & 0x1FFF) : rawValue & 0x4000 == 0 ? Self.oneBitCapacity : Self.twoBitCapacity
    }

    /// Forgets the symbols behind the first `limit`, which fill up the last chunk of a message.
    mutating func truncate(to limit: Int) { count = min(count, limit) }

    /// The next symbol and how often it repeats; nil at the end of the chunk.
    mutating func nextRun() -> (symbol: StatusSymbol, count: Int)? {
        guard count > 0 else { return nil }
        if rawValue & 0x8000 == 0 {
            defer { count = 0 }
            return (StatusSymbol(lowBits: rawValue >> 13), count)
        }
        defer {
            index += 1
            count -= 1
        }
        if rawValue & 0x4000 == 0 {
            return (StatusSymbol(lowBits: rawValue >> UInt16(Self.oneBitCapacity - 1 - index) & 1), 1)
        }
        return (StatusSymbol(lowBits: rawValue >> UInt16((Self.twoBitCapacity - 1 - index) * 2)), 1)
    }
}

/// Collects symbols until it is clear which kind of chunk holds the most of them.
///
/// What is pending always fits one chunk: up to 7 of any symbol, up to 14 without a large delta, or a run.
struct StatusChunkEncoder {
    private var symbols: UInt32 = 0
    private var count = 0
    private var isRun = true
    private var hasLargeDelta = false

    var isEmpty: Bool { count == 0 }

    private func symbol(_ index: Int) -> UInt16 { UInt16(truncatingIfNeeded: symbols >> UInt32(index * 2)) & 3 }

    private func canTake(_ new: StatusSymbol) -> Bool {
        if count < StatusChunk.twoBitCapacity { return true }
        if isRun && symbol(0) == UInt16(new.rawValue) { return count < StatusChunk.longestRun }
        return count < StatusChunk.oneBitCapacity && !hasLargeDelta && new != .largeDelta
    }

    private mutating func append(_ new: StatusSymbol) {
        isRun = isRun && (count == 0 || symbol(0) == UInt16(new.rawValue))
        hasLargeDelta = hasLargeDelta || new == .largeDelta
        // Beyond the capacity of a vector only a run can go on, and that needs the first symbol alone.
        if count < StatusChunk.oneBitCapacity { symbols |= UInt32(new.rawValue) << UInt32(count * 2) }
        count += 1
    }

    /// Adds one symbol; returns a chunk that became complete by it.
    mutating func push(_ new: StatusSymbol) -> UInt16? {
        guard !canTake(new) else {
            append(new)
            return nil
        }
        let chunk: UInt16
        if isRun {
            chunk = takeRun()
        } else if !hasLargeDelta && count == StatusChunk.oneBitCapacity {
            chunk = takeOneBitVector()
        } else {
            chunk = takeTwoBitVector()
        }
        append(new)
        return chunk
    }

    /// Adds up to `limit` lost packets that need no new chunk, at once; returns how many.
    mutating func extendLostRun(by limit: Int) -> Int {
        guard isRun, count == 0 || symbol(0) == 0 else { return 0 }
        let taken = min(limit, StatusChunk.longestRun - count)
        count += taken
        return taken
    }

    /// The chunk of what is pending; nil when nothing is.
    mutating func flush() -> UInt16? {
        guard count > 0 else { return nil }
        if isRun { return takeRun() }
        return count > StatusChunk.twoBitCapacity ? takeOneBitVector() : takeTwoBitVector()
    }

    private mutating func takeRun() -> UInt16 {
        let chunk = symbol(0) << 13 | UInt16(truncatingIfNeeded: count)
        self = StatusChunkEncoder()
        return chunk
    }

    private mutating func takeOneBitVector() -> UInt16 {
        var chunk: UInt16 = 0x8000
        for index in 0..<count where symbol(index) != 0 {
            chunk |= 1 << UInt16(StatusChunk.oneBitCapacity - 1 - index)
        }
        self = StatusChunkEncoder()
        return chunk
    }

    /// Takes the first seven symbols and keeps the others.
    private mutating func takeTwoBitVector() -> UInt16 {
        var chunk: UInt16 = 0xC000
        let taken = min(count, StatusChunk.twoBitCapacity)
        for index in 0..<taken {
            chunk |= symbol(index) << UInt16((StatusChunk.twoBitCapacity - 1 - index) * 2)
        }
        var rest = StatusChunkEncoder()
        for index in taken..<count { rest.append(StatusSymbol(lowBits: symbol(index))) }
        self = rest
        return chunk
    }
}
