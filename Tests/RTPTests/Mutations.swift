// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// What every parser test needs: bytes from hexadecimal text, a seeded generator, and damaged copies of a good message.

import Testing

/// SplitMix64: the same seed gives the same test.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }
}

/// There is no memory behind an empty array.
struct NoMemory: Error {}

/// Hands out the memory of `bytes`, which must not be empty.
func withMemory<Result>(
    of bytes: inout [UInt8], _ body: (UnsafeMutableRawPointer) throws -> Result
) throws -> Result {
    try unsafe bytes.withUnsafeMutableBytes { buffer in
        guard let base = buffer.baseAddress else { throw NoMemory() }
        return try unsafe body(base)
    }
}

/// `#expect` for the result of a call that changes a writer, which the macro cannot capture.
func check(_ value: Bool, sourceLocation: SourceLocation = #_sourceLocation) {
    #expect(value, sourceLocation: sourceLocation)
}

/// `#require` for a call that takes a span, which the macro cannot capture.
func unwrap<Value>(_ value: Value?, sourceLocation: SourceLocation = #_sourceLocation) throws -> Value {
    try #require(value, sourceLocation: sourceLocation)
}

/// Bytes of hexadecimal text; anything else in it is ignored.
func hex(_ text: String) -> [UInt8] {
    let digits = text.compactMap(\.hexDigitValue)
    return stride(from: 0, to: digits.count - 1, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
}

/// Calls `body` with `message` cut at every length, with every bit flipped, with every byte set to 0 and to 255, and
/// with `rounds` seeded random changes of several bytes. Returns how many copies that was.
@discardableResult
func forEachMutation(
    of message: [UInt8], seed: UInt64 = 1, rounds: Int = 3000, _ body: ([UInt8]) -> Void
) -> Int {
    var count = 0
    func run(_ mutant: [UInt8]) {
        body(mutant)
        count += 1
    }
    for length in 0...message.count { run(Array(message[..<length])) }
    for index in message.indices {
        var mutant = message
        for bit in 0..<8 {
            mutant[index] = message[index] ^ 1 << UInt8(bit)
            run(mutant)
        }
        for value in [UInt8.min, .max] {
            mutant[index] = value
            run(mutant)
        }
    }
    var generator = SeededGenerator(seed: seed)
    for _ in 0..<rounds {
        var mutant = message
        for _ in 0..<Int.random(in: 1...4, using: &generator) where !mutant.isEmpty {
            switch Int.random(in: 0..<4, using: &generator) {
            case 0: mutant.remove(at: Int.random(in: mutant.indices, using: &generator))
            case 1:
                mutant.insert(
                    UInt8.random(in: 0...255, using: &generator),
                    at: mutant.indices.randomElement(using: &generator) ?? 0)
            default:
                mutant[Int.random(in: mutant.indices, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
            }
        }
        run(mutant)
    }
    return count
}
