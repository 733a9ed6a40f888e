// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import RTP
import Testing

@testable import Bridge

/// Bookkeeping of received streams: ring, loss, NACK.
struct ReceiveTests {
    private static func entry(_ sequence: UInt64, slab: SlotSlab, at: Instant = Instant(nanoseconds: 0)) throws
        -> RingEntry
    {
        RingEntry(
            sequence: sequence, receivedAt: at, timestamp: RTPTimestamp(rawValue: 0),
            slot: try #require(slab.take(length: 1000)), payloadOffset: 12, payloadLength: 988,
            payloadType: PayloadType(secondOctet: 100), flags: [], pictureID: 0, tl0PicIdx: 0, pictureIDOffset: 0,
            tl0PicIdxOffset: 0, descriptorLength: 0, audioLevel: 0, videoOrientation: 0, dependencyDescriptorOffset: 0,
            dependencyDescriptorLength: 0)
    }

    @Test func theRingKeepsWhatFitsAndReleasesTheRest() throws {
        // One slot more than the ring holds: a leak of a single slot would exhaust the slab.
        let slab = SlotSlab(byteLimit: 1600 * 256 * 8 / 7 + 8)
        var ring = PacketRing(slab: slab, capacity: 128, byteLimit: 1 << 20)
        for sequence in 1000..<UInt64(11_000) {
            #expect(ring.place(of: sequence) == .new)
            ring.insert(try Self.entry(sequence, slab: slab))
        }
        #expect(unsafe ring.entry(10_999) != nil)
        #expect(unsafe ring.entry(10_872) != nil)
        #expect(unsafe ring.entry(10_871) == nil)
        #expect(ring.place(of: 10_999) == .duplicate)
        #expect(ring.place(of: 10_000) == .tooLate)
    }

    @Test func aGapIsFilledLate() throws {
        let slab = SlotSlab()
        var ring = PacketRing(slab: slab, capacity: 128, byteLimit: 1 << 20)
        for sequence in [10, 11, 14] as [UInt64] { ring.insert(try Self.entry(sequence, slab: slab)) }
        #expect(ring.place(of: 12) == .new)
        #expect(unsafe ring.entry(12) == nil)
        ring.insert(try Self.entry(12, slab: slab))
        #expect(unsafe ring.entry(12) != nil)
        #expect(ring.place(of: 12) == .duplicate)
        #expect(ring.place(of: 9) == .tooLate)
    }

    @Test func aJumpBeyondTheRingEmptiesIt() throws {
        let slab = SlotSlab()
        var ring = PacketRing(slab: slab, capacity: 128, byteLimit: 1 << 20)
        for sequence in 0..<UInt64(100) { ring.insert(try Self.entry(sequence, slab: slab)) }
        ring.insert(try Self.entry(100_000, slab: slab))
        #expect(unsafe ring.entry(99) == nil)
        #expect(unsafe ring.entry(100_000) != nil)
        #expect(ring.bytes == 988)
    }

    @Test func bytesAndTimeBoundTheRing() throws {
        let slab = SlotSlab()
        var ring = PacketRing(slab: slab, capacity: 1024, byteLimit: 10_000)
        for sequence in 0..<UInt64(100) {
            ring.insert(try Self.entry(sequence, slab: slab, at: Instant(nanoseconds: sequence * 1_000_000)))
            #expect(ring.bytes <= 10_000)
        }
        ring.evict(receivedBefore: Instant(nanoseconds: 98_000_000))
        #expect(unsafe ring.entry(97) == nil)
        #expect(unsafe ring.entry(98) != nil)
    }

    @Test func lossAndHighestSequenceFollowTheRFC() throws {
        var statistics = ReceptionStatistics(clockRate: 90_000)
        let none = statistics.report()
        #expect(none == nil)
        // 65530...65549 across the wrap without every fifth.
        for sequence in 65_530..<UInt64(65_550) where sequence % 5 != 0 || sequence == 65_530 {
            statistics.received(
                sequence, timestamp: RTPTimestamp(rawValue: 0), payloadLength: 10, now: Instant(nanoseconds: 0))
        }
        let first = statistics.report()
        let report = try #require(first)
        #expect(report.extendedHighestSequence == 65_549)
        #expect(report.cumulativeLost == 3)
        #expect(report.fractionLost == UInt8(3 * 256 / 20))
        let second = statistics.report()
        #expect(second?.fractionLost == 0, "the next interval starts afresh")
    }

    @Test func duplicatesMakeLossNegativeNotHuge() throws {
        var statistics = ReceptionStatistics(clockRate: 48_000)
        for _ in 0..<5 {
            statistics.received(7, timestamp: RTPTimestamp(rawValue: 0), payloadLength: 1, now: Instant(nanoseconds: 0))
        }
        let given = statistics.report()
        let report = try #require(given)
        #expect(report.cumulativeLost == -4)
        #expect(report.fractionLost == 0)
    }

    @Test func jitterIsInTicksOfTheMediaClock() throws {
        var statistics = ReceptionStatistics(clockRate: 48_000)
        // 20 ms packets that arrive alternately 5 ms early and late: a difference of 10 ms each time, 480 ticks.
        for i in 0..<UInt64(400) {
            let late: UInt64 = i % 2 == 0 ? 0 : 10_000_000
            statistics.received(
                i, timestamp: RTPTimestamp(rawValue: UInt32(i * 960)), payloadLength: 1,
                now: Instant(nanoseconds: 1_000_000_000 + i * 20_000_000 + late))
        }
        let report = statistics.report()
        #expect((470...481).contains(try #require(report).jitter))
    }

    @Test func aReorderedPacketIsNotAskedFor() {
        var requester = NackRequester()
        var due: [SequenceNumber] = []
        let start = Instant(nanoseconds: 1_000_000_000)
        _ = requester.received(1, now: start)
        _ = requester.received(3, now: start)
        requester.takeDue(now: start + .milliseconds(2), roundTrip: .milliseconds(50), into: &due)
        #expect(due.isEmpty, "it may only be late")
        _ = requester.received(2, now: start + .milliseconds(4))
        requester.takeDue(now: start + .milliseconds(100), roundTrip: .milliseconds(50), into: &due)
        #expect(due.isEmpty)
        #expect(requester.deadline == nil)
    }

    @Test func aLossIsAskedForOncePerRoundTripAndGivenUp() {
        var requester = NackRequester()
        let start = Instant(nanoseconds: 1_000_000_000)
        _ = requester.received(65_534, now: start)
        _ = requester.received(65_537, now: start)
        var asked: [Int64] = []
        for millisecond in 0..<Int64(2000) {
            var due: [SequenceNumber] = []
            requester.takeDue(now: start + .milliseconds(millisecond), roundTrip: .milliseconds(50), into: &due)
            if !due.isEmpty {
                asked.append(millisecond)
                #expect(due.map(\.rawValue) == [65_535, 0])
            }
        }
        #expect(asked == (0..<10).map { 8 + $0 * 50 })
    }

    @Test func tooMuchLossNeedsAKeyframe() {
        var requester = NackRequester()
        let start = Instant(nanoseconds: 0)
        let verdicts = [1, 1000, 1001].map { requester.received($0, now: start) }
        #expect(verdicts == [.fine, .needsKeyframe, .fine])
        #expect(requester.deadline == nil)
    }

    @Test func feedbackCoversEveryPacketOnce() throws {
        var recorder = FeedbackRecorder()
        let start = Instant(nanoseconds: 5_000_000_000)
        var reported: [UInt16: Bool] = [:]
        let memory = UnsafeMutableRawPointer.allocate(byteCount: 1500, alignment: 8)
        defer { unsafe memory.deallocate() }
        // 65000... across the wrap, every seventh lost.
        for i in 0..<1200 {
            let now = start + .milliseconds(Int64(i))
            let number = UInt16(truncatingIfNeeded: 65_000 + i)
            if i % 7 != 3 { recorder.received(SequenceNumber(rawValue: number), endOfFrame: i % 10 == 9, now: now) }
            while recorder.isDue(now: now) {
                var writer = unsafe RTCPWriter(into: memory, capacity: 1200)
                _ = recorder.write(sender: SSRC(rawValue: 1), media: SSRC(rawValue: 2), to: &writer, now: now)
                let packet = unsafe Span<UInt8>(
                    _unsafeStart: UnsafePointer(memory.assumingMemoryBound(to: UInt8.self)), count: writer.count)
                var compound = try RTCPCompound(parsing: packet)
                let first = compound.next()
                let block = try #require(first)
                var statuses = try TransportFeedback(block, in: packet).statuses
                while let status = statuses.next(in: packet) {
                    #expect(reported.updateValue(status.delta != nil, forKey: status.sequenceNumber.rawValue) == nil)
                }
            }
        }
        #expect(reported.count > 1100)
        for (number, received) in reported {
            let i = Int(number &- 65_000)
            #expect(received == (i % 7 != 3))
        }
    }
}
