// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Writes RTCP packets one behind the other into memory of the caller: reports, SDES, BYE and feedback (RFC 3550,
/// RFC 4585, RFC 5104).

/// A compound under construction. Every call appends one whole packet or, when it does not fit, nothing and returns
/// false. Nothing is allocated.
@safe
public struct RTCPWriter: ~Copyable {
    let start: UnsafeMutableRawPointer
    let capacity: Int
    /// Bytes written so far, a multiple of 4.
    public internal(set) var count = 0

    /// - Parameters:
    ///   - start: memory of the caller that outlives the writer; at least `capacity` bytes, of any alignment.
    ///   - capacity: bytes that may be written.
    public init(into start: UnsafeMutableRawPointer, capacity: Int) {
        unsafe self.start = unsafe start
        self.capacity = capacity
    }

    /// Bytes that are left.
    public var remaining: Int { capacity - count }

    private mutating func put<Value: FixedWidthInteger & BitwiseCopyable>(_ value: Value) {
        unsafe start.storeBigEndian(value, at: count)
        count += MemoryLayout<Value>.size
    }

    /// Writes the header of a packet of `length` bytes in all, a multiple of 4, when that fits.
    mutating func open(_ type: RTCPType, _ countOrFormat: UInt8, length: Int, isPadded: Bool = false) -> Bool {
        guard length <= remaining, length <= 0x1_0000 * 4 else { return false }
        put(UInt8(isPadded ? 0xA0 : 0x80) | countOrFormat)
        put(type.rawValue)
        put(UInt16(truncatingIfNeeded: length / 4 - 1))
        return true
    }

    private mutating func put(_ block: ReportBlock) {
        put(block.ssrc.rawValue)
        let lost = min(max(block.cumulativeLost, -0x80_0000), 0x7F_FFFF)
        put(UInt32(block.fractionLost) << 24 | UInt32(bitPattern: lost) & 0xFF_FFFF)
        put(block.highestSequenceNumber)
        put(block.jitter)
        put(block.lastSenderReport)
        put(block.delaySinceLastSenderReport)
    }

    /// Appends an RR with at most 31 blocks.
    @discardableResult
    public mutating func receiverReport(sender: SSRC, blocks: Span<ReportBlock>) -> Bool {
        guard blocks.count <= 31 else { return false }
        let length = 8 + blocks.count * ReportBlock.length
        guard open(.receiverReport, UInt8(truncatingIfNeeded: blocks.count), length: length) else { return false }
        put(sender.rawValue)
        for index in 0..<blocks.count { put(blocks[index]) }
        return true
    }

    /// Appends an RR without blocks.
    @discardableResult
    public mutating func receiverReport(sender: SSRC) -> Bool {
        guard open(.receiverReport, 0, length: 8) else { return false }
        put(sender.rawValue)
        return true
    }

    /// Appends an SR without report blocks.
    @discardableResult
    public mutating func senderReport(
        sender: SSRC, ntpTimestamp: NTPTimestamp, rtpTimestamp: RTPTimestamp, packetCount: UInt32, octetCount: UInt32
    ) -> Bool {
        guard open(.senderReport, 0, length: 4 + SenderReport.length) else { return false }
        put(sender.rawValue)
        put(ntpTimestamp.rawValue)
        put(rtpTimestamp.rawValue)
        put(packetCount)
        put(octetCount)
        return true
    }

    /// Appends an SDES with one chunk that holds a canonical name of at most 255 bytes.
    @discardableResult
    public mutating func sourceDescription(ssrc: SSRC, cname: String) -> Bool {
        let bytes = cname.utf8.count
        // At least one null byte ends the chunk.
        let length = 8 + (2 + bytes + 4) / 4 * 4
        guard bytes <= 255, open(.sourceDescription, 1, length: length) else { return false }
        let end = count + length - 4
        put(ssrc.rawValue)
        put(SourceDescription.cname)
        put(UInt8(truncatingIfNeeded: bytes))
        for byte in cname.utf8 { put(byte) }
        while count < end { put(UInt8(0)) }
        return true
    }

    /// Appends a BYE of at most 31 sources.
    @discardableResult
    public mutating func bye(_ sources: Span<SSRC>) -> Bool {
        guard sources.count <= 31,
            open(.bye, UInt8(truncatingIfNeeded: sources.count), length: 4 + sources.count * 4)
        else { return false }
        for index in 0..<sources.count { put(sources[index].rawValue) }
        return true
    }

    /// Appends a generic NACK of ready entries; an empty one is not written.
    @discardableResult
    public mutating func nack(sender: SSRC, media: SSRC, pairs: Span<NACKPair>) -> Bool {
        guard !pairs.isEmpty, pairs.count <= GenericNACK.maximumPairCount,
            open(.transportFeedback, RTCPFeedbackFormat.genericNACK, length: 12 + pairs.count * 4)
        else { return false }
        put(sender.rawValue)
        put(media.rawValue)
        for index in 0..<pairs.count {
            put(pairs[index].first.rawValue)
            put(pairs[index].following)
        }
        return true
    }

    /// Appends a generic NACK of the sequence numbers `lost`, each newer than the one before it.
    ///
    /// - Returns: how many of them were written; the rest did not fit, or exceeds 256 entries, and needs another packet.
    public mutating func nack(sender: SSRC, media: SSRC, lost: Span<SequenceNumber>) -> Int {
        let room = min((remaining - 12) / 4, GenericNACK.maximumPairCount)
        guard !lost.isEmpty, remaining >= 16 else { return 0 }
        var taken = 0
        var pairs = 0
        while taken < lost.count, pairs < room {
            taken += Self.pair(from: taken, of: lost).taken
            pairs += 1
        }
        guard open(.transportFeedback, RTCPFeedbackFormat.genericNACK, length: 12 + pairs * 4) else { return 0 }
        put(sender.rawValue)
        put(media.rawValue)
        var index = 0
        while index < taken {
            let (pair, step) = Self.pair(from: index, of: lost)
            put(pair.first.rawValue)
            put(pair.following)
            index += step
        }
        return taken
    }

    /// The entry that covers `lost` from `index` on, and how many numbers it covers.
    private static func pair(from index: Int, of lost: Span<SequenceNumber>) -> (pair: NACKPair, taken: Int) {
        var pair = NACKPair(first: lost[index])
        var next = index + 1
        while next < lost.count {
            let step = lost[next].distance(from: pair.first)
            guard step >= 1, step <= 16 else { break }
            pair.following |= 1 << UInt16(step - 1)
            next += 1
        }
        return (pair, next - index)
    }

    /// Appends a PLI.
    @discardableResult
    public mutating func pictureLossIndication(sender: SSRC, media: SSRC) -> Bool {
        guard open(.payloadFeedback, RTCPFeedbackFormat.pictureLossIndication, length: 12) else { return false }
        put(sender.rawValue)
        put(media.rawValue)
        return true
    }

    /// Appends an FIR for one stream.
    @discardableResult
    public mutating func fullIntraRequest(sender: SSRC, media: SSRC, commandSequence: UInt8) -> Bool {
        guard open(.payloadFeedback, RTCPFeedbackFormat.fullIntraRequest, length: 20) else { return false }
        put(sender.rawValue)
        put(UInt32(0))
        put(media.rawValue)
        put(UInt32(commandSequence) << 24)
        return true
    }

    /// Appends a REMB. The bitrate, in bits per second, is rounded down to 18 significant bits.
    @discardableResult
    public mutating func remb(sender: SSRC, bitrate: UInt64, ssrcs: Span<SSRC>) -> Bool {
        guard ssrcs.count <= 255,
            open(.payloadFeedback, RTCPFeedbackFormat.applicationLayer, length: 20 + ssrcs.count * 4)
        else { return false }
        let exponent = max(0, 46 - bitrate.leadingZeroBitCount)
        put(sender.rawValue)
        put(UInt32(0))
        put(ReceiverEstimatedMaximumBitrate.identifier)
        put(
            UInt32(truncatingIfNeeded: ssrcs.count) << 24 | UInt32(truncatingIfNeeded: exponent) << 18
                | UInt32(truncatingIfNeeded: bitrate >> UInt64(exponent)))
        for index in 0..<ssrcs.count { put(ssrcs[index].rawValue) }
        return true
    }
}
