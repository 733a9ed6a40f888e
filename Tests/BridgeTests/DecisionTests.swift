// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Colibri
import RTP
import Testing

@testable import Bridge

/// Decisions that need no packets: constraints, encodings, keyframe requests, speech.
struct DecisionTests {
    private static func candidates(_ active: Bool...) -> [EncodingSelector.Candidate] {
        active.enumerated().map { EncodingSelector.Candidate(height: 180 << $0.offset, isActive: $0.element) }
    }

    @Test(arguments: [
        (0, [true, true, true], Int8(-1)), (180, [true, true, true], 0), (360, [true, true, true], 1),
        (719, [true, true, true], 1), (720, [true, true, true], 2), (-1, [true, true, true], 2),
        (720, [true, true, false], 1), (720, [false, false, true], 2), (180, [false, true, true], 1),
        (720, [false, false, false], 2), (90, [true, true, true], 0),
    ])
    func theBestActiveEncodingThatFitsIsChosen(maxHeight: Int, active: [Bool], expected: Int8) {
        let candidates = active.enumerated().map {
            EncodingSelector.Candidate(height: 180 << $0.offset, isActive: $0.element)
        }
        #expect(EncodingSelector.select(candidates, maxHeight: maxHeight) == expected)
    }

    @Test func nothingIsForwardedBeforeTheClientSpeaks() {
        let constraints = ReceiverConstraints()
        #expect(constraints.effectiveHeights(["a-v0"]) { _ in true } == ["a-v0": 0])
    }

    @Test func aMissingFieldMeansUnchanged() {
        var constraints = ReceiverConstraints()
        constraints.apply(ReceiverVideoConstraints(lastN: 2))
        #expect(constraints.maxHeight(of: "a") == 180, "the first message without default means 180")
        constraints.apply(
            ReceiverVideoConstraints(
                defaultConstraints: VideoConstraints(maxHeight: 360),
                constraints: ["a": VideoConstraints(maxHeight: 720)]))
        constraints.apply(ReceiverVideoConstraints(onStageSources: ["c"]))
        #expect(constraints.lastN == 2)
        #expect(constraints.maxHeight(of: "a") == 720)
        #expect(constraints.maxHeight(of: "b") == 360)
        constraints.apply(ReceiverVideoConstraints(constraints: [:]))
        #expect(constraints.maxHeight(of: "a") == 360)
    }

    @Test func lastNGoesToStageThenSelectedThenSpeakersAndSkipsTheSilent() {
        var constraints = ReceiverConstraints()
        constraints.apply(
            ReceiverVideoConstraints(
                lastN: 2, selectedSources: ["c", "gone"], onStageSources: ["d"],
                defaultConstraints: VideoConstraints(maxHeight: 180)))
        #expect(constraints.prioritized(["a", "b", "c", "d"]) == ["d", "c", "a", "b"])
        let heights = constraints.effectiveHeights(["a", "b", "c", "d"]) { $0 != "c" }
        #expect(heights == ["d": 180, "c": 0, "a": 180, "b": 0])
    }

    @Test func aFrameRateOfZeroMeansNothing() {
        var constraints = ReceiverConstraints()
        constraints.apply(
            ReceiverVideoConstraints(defaultConstraints: VideoConstraints(maxHeight: 720, maxFrameRate: 0)))
        #expect(constraints.maxHeight(of: "a") == 0)
    }

    @Test func manyWaitingReceiversCauseOneKeyframeRequest() {
        var requester = KeyframeRequester()
        let start = Instant(nanoseconds: 1)
        var sent = 0
        for millisecond in 0..<Int64(1000)
        where requester.request(now: start + .milliseconds(millisecond), roundTrip: .milliseconds(20)) {
            sent += 1
        }
        #expect(sent == 4)
        #expect(requester.isPending)
        requester.keyframeArrived()
        #expect(!requester.isPending)
    }

    @Test(arguments: [
        (1.0, 0.0), (2.718_281_828_459_045, 1), (0.5, -0.693_147_180_559_945_3), (1e-10, -23.025_850_929_940_457),
        (1716, 7.447_751_280_047_907),
    ])
    func theLogarithmIsOne(x: Double, expected: Double) {
        #expect(abs(SpeechActivity.naturalLogarithm(x) - expected) < 1e-12 * max(1, abs(expected)))
    }

    @Test func speechBeatsNoiseOnAllScales() {
        var speaking = SpeechActivity()
        var noise = SpeechActivity()
        for i in 0..<200 {
            let now = Instant(nanoseconds: UInt64(i) * 20_000_000)
            speaking.note(i < 20 ? 20 : 100, now: now)
            noise.note(20, now: now)
        }
        let now = Instant(nanoseconds: 200 * 20_000_000)
        let a = speaking.scores(now: now)
        let b = noise.scores(now: now)
        #expect(a.immediate > b.immediate)
        #expect(a.medium > b.medium)
        #expect(a.long > b.long)
    }
}
