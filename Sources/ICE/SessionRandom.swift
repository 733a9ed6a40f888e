// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Unpredictable numbers of one session: HMAC-SHA1 in counter mode under a seed that was drawn from injected entropy, so
/// that a session with a known seed replays exactly (transaction ids, RFC 8489 section 5; consent jitter, RFC 7675).
struct SessionRandom: RandomNumberGenerator {
    private let key: [UInt8]
    private var counter: UInt64 = 0

    init(using generator: inout some RandomNumberGenerator) {
        var key = [UInt8]()
        for _ in 0..<4 { key.appendBigEndian(generator.next() as UInt64) }
        self.key = key
    }

    mutating func next() -> UInt64 {
        counter &+= 1
        var block = [UInt8]()
        block.appendBigEndian(counter)
        guard let digest = MessageIntegrity(of: block, key: key)?.digest else {
            // Without SHA-1 no check can be signed or verified either; the number only has to be a different one.
            return counter
        }
        return digest.span.bigEndian64(at: 0)
    }
}
