// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import RTP

/// Pauses between attempts: 1, 2, 4, 8, 16, 30, 30... seconds, each up to a quarter longer by chance, so that the
/// bridges of a deployment do not all come back in the same moment.
struct BreweryBackOff {
    static let longest: Int64 = 30

    private var attempts = 0
    private var random: any RandomNumberGenerator

    init(random: any RandomNumberGenerator) { self.random = random }

    /// The pause after one more failure.
    mutating func next() -> Interval {
        let seconds = min(Self.longest, 1 << Int64(attempts))
        attempts = min(attempts + 1, 5)
        return .milliseconds(seconds * 1000 + Int64.random(in: 0...(seconds * 250), using: &random))
    }

    /// Starts again at one second.
    mutating func reset() { attempts = 0 }
}
