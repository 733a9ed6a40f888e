// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Writes transport-wide feedback from arrival times (draft-holmer-rmcat-transport-wide-cc-extensions-01 section 3.1).

/// That one packet arrived, and when.
public struct PacketArrival: Hashable, BitwiseCopyable, Sendable {
    /// Transport-wide sequence number.
    public var sequenceNumber: SequenceNumber
    public var time: Instant

    public init(sequenceNumber: SequenceNumber, time: Instant) {
        self.sequenceNumber = sequenceNumber
        self.time = time
    }

    /// Whole units of 250 us since the start of the clock. Rounding the absolute time keeps errors from adding up.
    var ticks: Int64 { Int64(truncatingIfNeeded: time.nanoseconds / 250_000) }
}

/// Goes through arrivals once and says how many fit one message, and with how many bytes of chunks and deltas.
private struct FeedbackPlan {
    var arrivals = 0
    var statuses = 0
    var chunkBytes = 0
    var deltaBytes = 0

    /// - Parameter room: bytes for chunks and deltas.
    init(base: SequenceNumber, arrivals list: Span<PacketArrival>, room: Int) {
        guard !list.isEmpty else { return }
        var encoder = StatusChunkEncoder()
        var complete = 0
        var previous = list[0].ticks & ~255
        for index in 0..<list.count {
            let arrival = list[index]
            let offset = Int(arrival.sequenceNumber.rawValue &- base.rawValue)
            let delta = arrival.ticks - previous
            guard offset >= statuses, offset < TransportFeedback.maximumStatusCount,
                delta >= Int64(Int16.min), delta <= Int64(Int16.max)
            else { return }
            let symbol: StatusSymbol = delta >= 0 && delta <= 255 ? .smallDelta : .largeDelta
            complete += encoder.push(lost: offset - statuses, then: symbol) { _ in }
            // Whatever is pending costs one chunk, never more.
            let bytes = (complete + 1) * 2
            guard bytes + deltaBytes + symbol.deltaLength <= room else { return }
            chunkBytes = bytes
            deltaBytes += symbol.deltaLength
            statuses = offset + 1
            arrivals = index + 1
            previous = arrival.ticks
        }
    }
}

extension StatusChunkEncoder {
    /// Adds `lost` symbols of packets that were not received and then `symbol`; hands out the chunks that became
    /// complete and returns their number.
    fileprivate mutating func push(
        lost: Int, then symbol: StatusSymbol, _ emit: (UInt16) -> Void
    ) -> Int {
        var emitted = 0
        var left = lost
        while left > 0 {
            left -= extendLostRun(by: left)
            guard left > 0 else { break }
            left -= 1
            if let chunk = push(.notReceived) {
                emit(chunk)
                emitted += 1
            }
        }
        if let chunk = push(symbol) {
            emit(chunk)
            emitted += 1
        }
        return emitted
    }
}

extension RTCPWriter {
    /// Appends one feedback message that reports on the packets from `base` to the last arrival that fits.
    ///
    /// A message ends early where the time between two arrivals leaves +-8.19 s, where `maximumLength` is reached, or
    /// after 16384 packets. The rest goes into another message with the next feedback count, whose base is the sequence
    /// number behind the last arrival taken.
    ///
    /// - Parameters:
    ///   - base: first packet to report on, not newer than the first arrival.
    ///   - arrivals: each with a sequence number newer than the one before it; times in any order.
    ///   - maximumLength: of this message in bytes.
    /// - Returns: how many arrivals were taken; 0, and nothing written, when not even one fits or `base` is too far off.
    public mutating func transportFeedback(
        sender: SSRC, media: SSRC, base: SequenceNumber, feedbackCount: UInt8, arrivals: Span<PacketArrival>,
        maximumLength: Int = 1200
    ) -> Int {
        let fixed = RTCPBlock.headerLength + TransportFeedback.headerLength
        let room = min(remaining, maximumLength) / 4 * 4 - fixed
        let plan = FeedbackPlan(base: base, arrivals: arrivals, room: room)
        guard plan.arrivals > 0 else { return 0 }
        let used = fixed + plan.chunkBytes + plan.deltaBytes
        let length = (used + 3) / 4 * 4
        let message = count
        guard
            open(.transportFeedback, RTCPFeedbackFormat.transportWideCC, length: length, isPadded: length > used)
        else { return 0 }
        let referenceTicks = arrivals[0].ticks & ~255
        unsafe start.storeBigEndian(sender.rawValue, at: message + 4)
        unsafe start.storeBigEndian(media.rawValue, at: message + 8)
        unsafe start.storeBigEndian(base.rawValue, at: message + 12)
        unsafe start.storeBigEndian(UInt16(truncatingIfNeeded: plan.statuses), at: message + 14)
        let reference = UInt32(truncatingIfNeeded: referenceTicks >> 8) << 8 | UInt32(feedbackCount)
        unsafe start.storeBigEndian(reference, at: message + 16)

        let bytes = unsafe start
        var encoder = StatusChunkEncoder()
        var chunk = message + fixed
        var delta = chunk + plan.chunkBytes
        var reported = 0
        var previous = referenceTicks
        for index in 0..<plan.arrivals {
            let arrival = arrivals[index]
            let offset = Int(arrival.sequenceNumber.rawValue &- base.rawValue)
            let ticks = arrival.ticks - previous
            let symbol: StatusSymbol = ticks >= 0 && ticks <= 255 ? .smallDelta : .largeDelta
            _ = encoder.push(lost: offset - reported, then: symbol) {
                unsafe bytes.storeBigEndian($0, at: chunk)
                chunk += 2
            }
            if symbol == .smallDelta {
                unsafe bytes.storeBigEndian(UInt8(truncatingIfNeeded: ticks), at: delta)
            } else {
                unsafe bytes.storeBigEndian(Int16(truncatingIfNeeded: ticks), at: delta)
            }
            delta += symbol.deltaLength
            reported = offset + 1
            previous = arrival.ticks
        }
        if let last = encoder.flush() { unsafe bytes.storeBigEndian(last, at: chunk) }
        count = message + length
        while delta < count {
            unsafe bytes.storeBigEndian(UInt8(0), at: delta)
            delta += 1
        }
        if length > used { unsafe bytes.storeBigEndian(UInt8(truncatingIfNeeded: length - used), at: count - 1) }
        return plan.arrivals
    }
}
