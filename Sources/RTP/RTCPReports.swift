// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Sender and receiver reports (RFC 3550 sections 6.4.1 and 6.4.2).

/// Reception statistics about one stream, 24 bytes of an SR or RR.
public struct ReportBlock: Hashable, Sendable, BitwiseCopyable {
    /// The stream reported on.
    public var ssrc: SSRC
    /// Loss since the previous report, in 1/256.
    public var fractionLost: UInt8
    /// Packets lost since the start, -0x800000...0x7FFFFF; duplicates make it negative.
    public var cumulativeLost: Int32
    /// Rollover count in the high half, highest sequence number received in the low half.
    public var highestSequenceNumber: UInt32
    /// Interarrival jitter in ticks of the media clock.
    public var jitter: UInt32
    /// `NTPTimestamp.compact` of the last SR received from the stream, 0 without any.
    public var lastSenderReport: UInt32
    /// Time since that SR in 1/65536 s, 0 without any.
    public var delaySinceLastSenderReport: UInt32

    static let length = 24

    public init(
        ssrc: SSRC, fractionLost: UInt8 = 0, cumulativeLost: Int32 = 0, highestSequenceNumber: UInt32 = 0,
        jitter: UInt32 = 0, lastSenderReport: UInt32 = 0, delaySinceLastSenderReport: UInt32 = 0
    ) {
        self.ssrc = ssrc
        self.fractionLost = fractionLost
        self.cumulativeLost = cumulativeLost
        self.highestSequenceNumber = highestSequenceNumber
        self.jitter = jitter
        self.lastSenderReport = lastSenderReport
        self.delaySinceLastSenderReport = delaySinceLastSenderReport
    }

    /// Reads the 24 bytes at `start`, which must lie inside `packet`.
    init(at start: Int, in packet: Span<UInt8>) {
        ssrc = SSRC(rawValue: packet.bigEndian32(at: start))
        fractionLost = packet[start + 4]
        cumulativeLost = Int32(bitPattern: packet.bigEndian24(at: start + 5) << 8) >> 8
        highestSequenceNumber = packet.bigEndian32(at: start + 8)
        jitter = packet.bigEndian32(at: start + 12)
        lastSenderReport = packet.bigEndian32(at: start + 16)
        delaySinceLastSenderReport = packet.bigEndian32(at: start + 20)
    }
}

/// Where the report blocks of one SR or RR lie.
public struct ReportBlocks: BitwiseCopyable, Sendable {
    /// 0...31.
    public let count: Int
    private let start: Int

    init(count: UInt8, start: Int, body: Range<Int>) throws(ParseError) {
        self.count = Int(count)
        self.start = start
        guard start + self.count * ReportBlock.length <= body.upperBound else { throw .truncated }
    }

    /// The report block `index` of the packet that the report was read from; nil outside `0..<count`.
    public func block(_ index: Int, in packet: Span<UInt8>) -> ReportBlock? {
        guard index >= 0, index < count, start + (index + 1) * ReportBlock.length <= packet.count else { return nil }
        return ReportBlock(at: start + index * ReportBlock.length, in: packet)
    }
}

/// What a sender says about its own stream.
public struct SenderReport: BitwiseCopyable, Sendable {
    public let sender: SSRC
    public let ntpTimestamp: NTPTimestamp
    /// The instant of `ntpTimestamp` on the media clock of the stream.
    public let rtpTimestamp: RTPTimestamp
    public let packetCount: UInt32
    /// Payload bytes sent, without header and padding.
    public let octetCount: UInt32
    public let reports: ReportBlocks

    static let length = 24

    public init(_ block: RTCPBlock, in packet: Span<UInt8>) throws(ParseError) {
        let body = try block.body(of: .senderReport, atLeast: Self.length, in: packet)
        let start = body.lowerBound
        sender = SSRC(rawValue: packet.bigEndian32(at: start))
        ntpTimestamp = NTPTimestamp(rawValue: packet.bigEndian64(at: start + 4))
        rtpTimestamp = RTPTimestamp(rawValue: packet.bigEndian32(at: start + 12))
        packetCount = packet.bigEndian32(at: start + 16)
        octetCount = packet.bigEndian32(at: start + 20)
        reports = try ReportBlocks(count: block.count, start: start + Self.length, body: body)
    }
}

/// Reception statistics from someone who sent nothing.
public struct ReceiverReport: BitwiseCopyable, Sendable {
    public let sender: SSRC
    public let reports: ReportBlocks

    public init(_ block: RTCPBlock, in packet: Span<UInt8>) throws(ParseError) {
        let body = try block.body(of: .receiverReport, atLeast: 4, in: packet)
        sender = SSRC(rawValue: packet.bigEndian32(at: body.lowerBound))
        reports = try ReportBlocks(count: block.count, start: body.lowerBound + 4, body: body)
    }
}
