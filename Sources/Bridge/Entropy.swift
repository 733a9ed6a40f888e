// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// The random numbers that a shard is given, behind a concrete type.

/// Swift 6.3 crashes when an existential generator is opened `inout` twice in one function; a wrapper is opened once.
struct Entropy: RandomNumberGenerator {
    private var source: any RandomNumberGenerator

    init(_ source: any RandomNumberGenerator) { self.source = source }

    mutating func next() -> UInt64 { source.next() }
}
