// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// The kernel's random numbers, for everything that must not be guessed: passwords, tie-breakers, seeds of the shards.
struct SystemEntropy: RandomNumberGenerator, Sendable {
    private var source = SystemRandomNumberGenerator()

    mutating func next() -> UInt64 { source.next() }

    /// `count` random bytes.
    mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &source) }
    }
}
