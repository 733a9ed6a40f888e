// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import RTP
import Testing

@testable import Bridge

/// A receiver's stream has no seams, whatever the bridge forwards (table tests of the rewriting rules).
struct ForwarderTests {
    /// One packet of an encoding.
    private struct Input {
        var encoding: Int8
        var sequence: UInt64
        var timestamp: UInt32
        var pictureID: UInt16 = 0
        var tl0: UInt8 = 0
        var key = false
        var at: Int64 = 0
    }

    private static func entry(_ input: Input) -> RingEntry {
        RingEntry(
            sequence: input.sequence, receivedAt: Instant(nanoseconds: 0),
            timestamp: RTPTimestamp(rawValue: input.timestamp), slot: SlotID(rawValue: 0), payloadOffset: 12,
            payloadLength: 100, payloadType: PayloadType(secondOctet: 100),
            flags: input.key ? [.keyframeStart, .vp8, .pictureID, .tl0PicIdx] : [.vp8, .pictureID, .tl0PicIdx],
            pictureID: input.pictureID, tl0PicIdx: input.tl0, pictureIDOffset: 2, tl0PicIdxOffset: 4,
            descriptorLength: 6,
            audioLevel: 0, videoOrientation: 0, dependencyDescriptorOffset: 0, dependencyDescriptorLength: 0)
    }

    private static func run(
        _ forwarder: inout Forwarder, _ input: Input, start: UInt64 = 100, aligned: RTPTimestamp? = nil
    ) -> Forwarder.Verdict {
        forwarder.process(
            entry(input), of: StreamID(rawValue: 0), encoding: input.encoding, start: { start },
            aligned: { _ in aligned },
            now: Instant(nanoseconds: 1_000_000_000) + .milliseconds(input.at))
    }

    private static func packet(_ verdict: Forwarder.Verdict) -> PendingPacket? {
        if case .forward(let packet) = verdict { packet } else { nil }
    }

    private static func video(target: Int8) -> Forwarder {
        var forwarder = Forwarder(kind: .video, clockRate: 90_000)
        forwarder.target = target
        return forwarder
    }

    @Test func videoStartsOnlyAtAKeyframeAndAsksForOne() {
        var forwarder = Self.video(target: 0)
        guard case .dropAwaitingKeyframe = Self.run(&forwarder, Input(encoding: 0, sequence: 7, timestamp: 1)) else {
            Issue.record("a delta frame must not start a stream")
            return
        }
        let packet = Self.packet(Self.run(&forwarder, Input(encoding: 0, sequence: 8, timestamp: 1, key: true)))
        #expect(packet?.outputIndex == 100)
    }

    @Test func audioStartsAnywhere() {
        var forwarder = Forwarder(kind: .audio, clockRate: 48_000)
        forwarder.target = 0
        let packet = Self.packet(Self.run(&forwarder, Input(encoding: 0, sequence: 65_535, timestamp: 9)))
        #expect(packet?.outputIndex == 100)
        #expect(packet?.timestamp.rawValue == 9)
    }

    @Test func lostPacketsLeaveTheirGapAndLateOnesFindIt() {
        var forwarder = Self.video(target: 0)
        let order: [(UInt64, Bool)] = [(10, true), (11, false), (14, false), (12, false), (13, false)]
        let out = order.map {
            Self.packet(Self.run(&forwarder, Input(encoding: 0, sequence: $0.0, timestamp: 1, key: $0.1)))?.outputIndex
        }
        #expect(out == [100, 101, 104, 102, 103])
    }

    @Test func packetsBeforeTheStartAreDropped() {
        var forwarder = Self.video(target: 0)
        _ = Self.run(&forwarder, Input(encoding: 0, sequence: 10, timestamp: 1, key: true))
        #expect(Self.packet(Self.run(&forwarder, Input(encoding: 0, sequence: 9, timestamp: 1))) == nil)
    }

    @Test func switchingUpContinuesEveryNumber() throws {
        var forwarder = Self.video(target: 0)
        _ = Self.run(&forwarder, Input(encoding: 0, sequence: 10, timestamp: 3000, pictureID: 5, tl0: 9, key: true))
        let last = try #require(
            Self.packet(
                Self.run(&forwarder, Input(encoding: 0, sequence: 11, timestamp: 6000, pictureID: 6, tl0: 10, at: 33))))
        forwarder.target = 2
        // What waits for the switch goes on getting the old encoding.
        #expect(
            Self.packet(
                Self.run(&forwarder, Input(encoding: 0, sequence: 12, timestamp: 6000, pictureID: 6, tl0: 10, at: 34)))
                != nil)
        guard
            case .dropAwaitingKeyframe = Self.run(&forwarder, Input(encoding: 2, sequence: 900, timestamp: 77, at: 50))
        else {
            Issue.record("no switch without a keyframe")
            return
        }
        let first = try #require(
            Self.packet(
                Self.run(
                    &forwarder,
                    Input(encoding: 2, sequence: 901, timestamp: 77, pictureID: 32_000, tl0: 200, key: true, at: 66))))
        #expect(first.outputIndex == last.outputIndex + 2)
        #expect(first.pictureID == 7)
        #expect(first.tl0PicIdx == 11)
        let step = first.timestamp.distance(from: last.timestamp)
        #expect(step >= 33 * 90 - 90 && step <= 3000 + 75 * 90, "33 ms have passed, not \(step) ticks")
        let next = try #require(
            Self.packet(
                Self.run(
                    &forwarder, Input(encoding: 2, sequence: 902, timestamp: 3077, pictureID: 32_001, tl0: 201, at: 99))
            ))
        #expect(next.outputIndex == first.outputIndex + 1)
        #expect(next.timestamp.distance(from: first.timestamp) == 3000)
        #expect(next.pictureID == 8)
    }

    @Test func theSendersClockAlignsTimestampsAcrossEncodings() throws {
        var forwarder = Self.video(target: 0)
        let old = try #require(
            Self.packet(Self.run(&forwarder, Input(encoding: 0, sequence: 10, timestamp: 3000, key: true, at: 0))))
        forwarder.target = 1
        // Sender reports say: this packet is 2700 ticks (30 ms) after the last one, although 40 ms have passed here.
        let new = try #require(
            Self.packet(
                Self.run(
                    &forwarder, Input(encoding: 1, sequence: 5, timestamp: 999_999, key: true, at: 40),
                    aligned: RTPTimestamp(rawValue: 5700))))
        #expect(new.timestamp.distance(from: old.timestamp) == 2700)
    }

    @Test(arguments: [Int32(-90_000), 900_000])
    func aSendersClockThatLiesCannotMakeTimeGoBackOrLeap(offset: Int32) throws {
        var forwarder = Self.video(target: 0)
        let old = try #require(
            Self.packet(Self.run(&forwarder, Input(encoding: 0, sequence: 10, timestamp: 3000, key: true, at: 0))))
        forwarder.target = 1
        let new = try #require(
            Self.packet(
                Self.run(
                    &forwarder, Input(encoding: 1, sequence: 5, timestamp: 1, key: true, at: 100),
                    aligned: RTPTimestamp(rawValue: 3000).advanced(by: offset))))
        let step = new.timestamp.distance(from: old.timestamp)
        #expect(step >= 1 && step <= 9000 + 6750)
    }

    @Test func aLowerKeyframeServesUntilTheTargetHasOne() {
        var forwarder = Self.video(target: 2)
        #expect(Self.packet(Self.run(&forwarder, Input(encoding: 0, sequence: 1, timestamp: 1, key: true))) != nil)
        #expect(forwarder.currentEncoding == 0)
        #expect(Self.packet(Self.run(&forwarder, Input(encoding: 1, sequence: 1, timestamp: 1, key: true))) != nil)
        #expect(Self.packet(Self.run(&forwarder, Input(encoding: 2, sequence: 1, timestamp: 1, key: true))) != nil)
        // Now lower ones are no step towards the target any more.
        #expect(Self.packet(Self.run(&forwarder, Input(encoding: 1, sequence: 2, timestamp: 1, key: true))) == nil)
        #expect(forwarder.currentEncoding == 2)
    }

    @Test func aHigherKeyframeIsNoStepDown() {
        var forwarder = Self.video(target: 2)
        _ = Self.run(&forwarder, Input(encoding: 1, sequence: 1, timestamp: 1, key: true))
        forwarder.target = 0
        #expect(Self.packet(Self.run(&forwarder, Input(encoding: 2, sequence: 1, timestamp: 1, key: true))) == nil)
        #expect(Self.packet(Self.run(&forwarder, Input(encoding: 0, sequence: 1, timestamp: 1, key: true))) != nil)
    }

    @Test func aPauseLeavesNoGapAndEndsWithAKeyframe() throws {
        var forwarder = Self.video(target: 0)
        let before = try #require(
            Self.packet(Self.run(&forwarder, Input(encoding: 0, sequence: 10, timestamp: 0, pictureID: 1, key: true))))
        forwarder.target = Forwarder.none
        for sequence in 11...500 {
            #expect(
                Self.packet(Self.run(&forwarder, Input(encoding: 0, sequence: UInt64(sequence), timestamp: 0))) == nil)
        }
        forwarder.target = 0
        #expect(
            Self.packet(Self.run(&forwarder, Input(encoding: 0, sequence: 501, timestamp: 1_800_000, at: 20_000)))
                == nil)
        let after = try #require(
            Self.packet(
                Self.run(
                    &forwarder,
                    Input(encoding: 0, sequence: 502, timestamp: 1_803_000, pictureID: 400, key: true, at: 20_033))))
        #expect(after.outputIndex == before.outputIndex + 1)
        #expect(after.pictureID == 2)
        #expect(after.timestamp.distance(from: before.timestamp) > 1_700_000, "20 s passed")
    }

    @Test func aLatePacketOfTheOldEncodingFillsItsGapAfterTheSwitch() throws {
        var forwarder = Self.video(target: 0)
        _ = Self.run(&forwarder, Input(encoding: 0, sequence: 10, timestamp: 1, key: true))
        let twelve = try #require(Self.packet(Self.run(&forwarder, Input(encoding: 0, sequence: 12, timestamp: 1))))
        forwarder.target = 1
        _ = Self.run(&forwarder, Input(encoding: 1, sequence: 70, timestamp: 1, key: true))
        let eleven = try #require(Self.packet(Self.run(&forwarder, Input(encoding: 0, sequence: 11, timestamp: 1))))
        #expect(eleven.outputIndex == twelve.outputIndex - 1)
        // What the old encoding sends after the switch would collide with the new one's numbers.
        #expect(Self.packet(Self.run(&forwarder, Input(encoding: 0, sequence: 13, timestamp: 1))) == nil)
    }

    @Test func paddingNamesNoPicture() throws {
        var forwarder = Self.video(target: 0)
        let before = try #require(
            Self.packet(
                Self.run(&forwarder, Input(encoding: 0, sequence: 10, timestamp: 1, pictureID: 500, tl0: 9, key: true)))
        )
        // An empty packet: its entry has no descriptor.
        var padding = Self.entry(Input(encoding: 0, sequence: 11, timestamp: 1))
        padding.flags = []
        padding.payloadLength = 0
        let verdict = forwarder.process(
            padding, of: StreamID(rawValue: 0), encoding: 0, start: { 100 }, aligned: { _ in nil },
            now: Instant(nanoseconds: 1_000_000_000))
        #expect(Self.packet(verdict)?.outputIndex == before.outputIndex + 1)
        forwarder.target = 1
        let after = try #require(
            Self.packet(
                Self.run(&forwarder, Input(encoding: 1, sequence: 5, timestamp: 1, pictureID: 7, tl0: 1, key: true))))
        #expect(after.pictureID == 501)
        #expect(after.tl0PicIdx == 10)
    }

    @Test func aRebornForwarderGoesOnWhereTheStreamStands() throws {
        var forwarder = Self.video(target: 0)
        let packet = try #require(
            Self.packet(Self.run(&forwarder, Input(encoding: 0, sequence: 3, timestamp: 1, key: true), start: 70_001)))
        #expect(packet.outputIndex == 70_001)
    }

    /// For any schedule of switches, pauses and losses no output number is used twice and none is skipped beyond real loss.
    @Test(arguments: 0..<40)
    func noScheduleBreaksTheNumbering(seed: UInt64) {
        var random = SplitMix(seed: seed)
        var forwarder = Self.video(target: 0)
        var next: [UInt64] = [UInt64.random(in: 0...70_000, using: &random), 5, 65_000]
        var used = Set<UInt64>()
        var lost = 0
        var highest: UInt64 = 0
        var at: Int64 = 0
        for _ in 0..<4000 {
            at += 3
            if Int.random(in: 0..<50, using: &random) == 0 {
                forwarder.target = Int8.random(in: -1...2, using: &random)
            }
            let encoding = Int.random(in: 0...2, using: &random)
            let sequence = next[encoding]
            next[encoding] += 1
            if Int.random(in: 0..<20, using: &random) == 0 {
                if Int8(encoding) == forwarder.currentEncoding { lost += 1 }
                continue
            }
            let input = Input(
                encoding: Int8(encoding), sequence: sequence, timestamp: UInt32(truncatingIfNeeded: at * 90),
                key: Int.random(in: 0..<15, using: &random) == 0, at: at)
            guard let packet = Self.packet(Self.run(&forwarder, input)) else { continue }
            #expect(used.insert(packet.outputIndex).inserted, "seed \(seed): \(packet.outputIndex) twice")
            if highest != 0 { #expect(packet.outputIndex > highest, "seed \(seed)") }
            highest = max(highest, packet.outputIndex)
        }
        #expect(Int(highest) - 99 - used.count <= lost, "seed \(seed): more holes than losses")
    }
}

/// Small seeded generator for tests (Steele, Lea and Flood, SplitMix64).
struct SplitMix: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 &+ 1 }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
