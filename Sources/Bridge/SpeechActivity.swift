// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// How much one endpoint speaks, over the last moment, the last seconds and longer (Volfin and Cohen, "Dominant speaker
/// identification for multipoint videoconferencing"; the constants are those of Jitsi and mediasoup).

import RTP

struct SpeechActivity {
    /// Scores on the three time scales; always positive.
    struct Scores: Equatable {
        var immediate: Double
        var medium: Double
        var long: Double
    }

    private static let length = 50
    private static let subunit = 10
    private static let mediumBlock = 5
    private static let mediumThreshold = 7
    private static let longThreshold = 4
    /// Levels collected before the noise floor is adapted: 15 s of 20 ms packets.
    private static let floorWindow = 750

    /// Newest first, 0 (silence) ... 127 (loudest).
    private var levels = [UInt8](repeating: 0, count: SpeechActivity.length)
    private var head = 0
    private var floor: UInt8 = 0
    private var nextFloor: UInt8 = 0
    private var collected = 0
    private(set) var lastLevelAt: Instant?

    /// Notes the level of one packet.
    ///
    /// - Parameter level: 127 minus the RFC 6464 value.
    mutating func note(_ level: UInt8, now: Instant) {
        lastLevelAt = now
        push(level)
        guard level != 0 else { return }
        if floor == 0 || level < floor {
            floor = level
            nextFloor = 0
            collected = 0
            return
        }
        if nextFloor == 0 || level < nextFloor { nextFloor = level }
        collected += 1
        if collected >= Self.floorWindow {
            let adapted = (Double(floor) * Double(nextFloor)).squareRoot()
            floor = UInt8(max(0, min(127, adapted)))
            nextFloor = 0
            collected = 0
        }
    }

    private mutating func push(_ level: UInt8) {
        head = (head + Self.length - 1) % Self.length
        levels[head] = level
    }

    /// The scores of now. A speaker that has sent nothing for 40 ms counts as silent.
    mutating func scores(now: Instant) -> Scores {
        if let lastLevelAt, now - lastLevelAt > .milliseconds(40) { push(0) }
        var mediums = [Int](repeating: 0, count: Self.length / Self.mediumBlock)
        var newest = 0
        for i in 0..<Self.length {
            let level = levels[(head + i) % Self.length]
            let immediate = Int(level) < Int(floor) + Self.subunit ? 0 : Int(level) / Self.subunit
            if i == 0 { newest = immediate }
            if immediate > Self.mediumThreshold { mediums[i / Self.mediumBlock] += 1 }
        }
        let long = mediums.count { $0 > Self.longThreshold }
        return Scores(
            immediate: Self.score(newest, of: 13, lambda: 0.78),
            medium: Self.score(mediums[0], of: 5, lambda: 24),
            long: Self.score(long, of: 10, lambda: 47))
    }

    /// Log-likelihood of `active` of `all` units under speech against silence.
    private static func score(_ active: Int, of all: Int, lambda: Double) -> Double {
        var binomial = 1.0
        for i in 0..<min(active, all) { binomial = binomial * Double(all - i) / Double(i + 1) }
        let value =
            naturalLogarithm(binomial) + Double(all) * naturalLogarithm(0.5) - naturalLogarithm(lambda)
            + lambda * Double(active)
        return max(value, 1e-10)
    }

    /// Natural logarithm of a positive finite number; the standard library alone has none.
    static func naturalLogarithm(_ x: Double) -> Double {
        // ln m = 2 artanh((m-1)/(m+1)) converges fast for a significand in 1..<2.
        let m = x.significand
        let z = (m - 1) / (m + 1)
        var term = z
        var sum = 0.0
        var k = 1.0
        while k < 41 {
            sum += term / k
            term *= z * z
            k += 2
        }
        return 2 * sum + Double(x.exponent) * 0.693_147_180_559_945_3
    }
}
