// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Who speaks, who spoke before, and in which order videos are offered (Jitsi: dominant speaker, lastN order).

import RTP

struct SpeakerOrder {
    /// Time between two decisions.
    static let interval = Interval.milliseconds(300)
    /// Length of the list of previous speakers that clients are told.
    static let recentLimit = 10

    /// Endpoint ids, the dominant speaker first, then by how recently they spoke, then by joining.
    private var order: [String] = []
    private var spoken: Set<String> = []
    private(set) var dominant: String?
    private var nextDecisionAt: Instant?

    /// Previous dominant speakers, newest first.
    var previous: [String] {
        Array(order.lazy.filter { $0 != dominant && spoken.contains($0) }.prefix(Self.recentLimit))
    }

    mutating func join(_ id: String) {
        if !order.contains(id) { order.append(id) }
    }

    /// True if the dominant speaker left.
    mutating func leave(_ id: String) -> Bool {
        order.removeAll { $0 == id }
        spoken.remove(id)
        guard dominant == id else { return false }
        dominant = nil
        return true
    }

    /// Those with video first, each group in speech order.
    func order(_ endpoints: [Endpoint]) -> [Endpoint] {
        let byID = Dictionary(endpoints.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        let all = order.compactMap { byID[$0] }
        let withVideo = all.filter { $0.sources.contains(where: \.sendsVideo) }
        let without = all.filter { !$0.sources.contains(where: \.sendsVideo) }
        return withVideo + without
    }

    /// Decides anew if it is time; true when the dominant speaker changed.
    mutating func decide(_ endpoints: [Endpoint], now: Instant) -> Bool {
        if let nextDecisionAt, now < nextDecisionAt { return false }
        nextDecisionAt = now + Self.interval
        let speakers = endpoints.filter { $0.speech.lastLevelAt != nil }
        guard !speakers.isEmpty else { return false }
        let scores = speakers.map { ($0, $0.speech.scores(now: now)) }
        guard let current = scores.first(where: { $0.0.id == dominant }) else {
            return promote(speakers[0].id)
        }
        var best: (id: String, medium: Double)?
        for (speaker, score) in scores where speaker !== current.0 {
            let immediate = Self.logRatio(score.immediate, current.1.immediate)
            let medium = Self.logRatio(score.medium, current.1.medium)
            let long = Self.logRatio(score.long, current.1.long)
            guard immediate > 3, medium > 2, long > 0, medium > best?.medium ?? 0 else { continue }
            best = (speaker.id, medium)
        }
        guard let best else { return false }
        return promote(best.id)
    }

    private static func logRatio(_ a: Double, _ b: Double) -> Double {
        SpeechActivity.naturalLogarithm(a) - SpeechActivity.naturalLogarithm(b)
    }

    private mutating func promote(_ id: String) -> Bool {
        dominant = id
        spoken.insert(id)
        order.removeAll { $0 == id }
        order.insert(id, at: 0)
        return true
    }
}
