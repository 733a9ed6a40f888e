// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Feedback messages: generic NACK, PLI (RFC 4585), FIR (RFC 5104) and REMB (draft-alvestrand-rmcat-remb-03).

/// One entry of a generic NACK: a lost packet and a mask of the 16 that follow it (RFC 4585 section 6.2.1).
public struct NACKPair: Hashable, Sendable, BitwiseCopyable {
    /// PID.
    public var first: SequenceNumber
    /// BLP: bit i stands for `first` + i + 1.
    public var following: UInt16

    public init(first: SequenceNumber, following: UInt16 = 0) {
        self.first = first
        self.following = following
    }
}

/// Request to send lost packets again. Hands out the sequence numbers one by one.
public struct GenericNACK: BitwiseCopyable, Sendable {
    public let sender: SSRC
    /// The stream that misses packets.
    public let media: SSRC
    /// Number of PID/BLP entries.
    public let pairCount: Int
    private let start: Int
    private var index = 0
    private var pending: UInt32 = 0
    private var first = SequenceNumber(rawValue: 0)

    /// Most entries accepted in one message: 4352 packets, more than any retransmission store holds.
    public static let maximumPairCount = 256

    public init(_ block: RTCPBlock, in packet: Span<UInt8>) throws(ParseError) {
        let body = try block.body(
            of: .transportFeedback, format: RTCPFeedbackFormat.genericNACK, atLeast: 12, in: packet)
        guard body.count % 4 == 0 else { throw .malformed("NACK length") }
        sender = SSRC(rawValue: packet.bigEndian32(at: body.lowerBound))
        media = SSRC(rawValue: packet.bigEndian32(at: body.lowerBound + 4))
        start = body.lowerBound + 8
        pairCount = (body.count - 8) / 4
        guard pairCount <= Self.maximumPairCount else { throw .limitExceeded("NACK entries") }
    }

    /// The next lost sequence number in the order of the message; nil at the end.
    public mutating func next(in packet: Span<UInt8>) -> SequenceNumber? {
        if pending == 0 {
            let offset = start + index * 4
            guard index < pairCount, offset + 4 <= packet.count else { return nil }
            first = SequenceNumber(rawValue: packet.bigEndian16(at: offset))
            pending = UInt32(packet.bigEndian16(at: offset + 2)) << 1 | 1
            index += 1
        }
        let step = pending.trailingZeroBitCount
        pending &= pending &- 1
        return first.advanced(by: step)
    }
}

/// Request for a keyframe (RFC 4585 section 6.3.1).
public struct PictureLossIndication: BitwiseCopyable, Sendable {
    public let sender: SSRC
    public let media: SSRC

    public init(_ block: RTCPBlock, in packet: Span<UInt8>) throws(ParseError) {
        let body = try block.body(
            of: .payloadFeedback, format: RTCPFeedbackFormat.pictureLossIndication, atLeast: 8, in: packet)
        sender = SSRC(rawValue: packet.bigEndian32(at: body.lowerBound))
        media = SSRC(rawValue: packet.bigEndian32(at: body.lowerBound + 4))
    }
}

/// Command to send a keyframe (RFC 5104 section 4.3.1).
public struct FullIntraRequest: BitwiseCopyable, Sendable {
    /// One stream that must send a keyframe.
    public struct Entry: Hashable, BitwiseCopyable, Sendable {
        public let ssrc: SSRC
        /// Grows with every new request of the same requester; a repetition keeps it.
        public let commandSequence: UInt8
    }

    public let sender: SSRC
    public let count: Int
    private let start: Int

    public init(_ block: RTCPBlock, in packet: Span<UInt8>) throws(ParseError) {
        let body = try block.body(
            of: .payloadFeedback, format: RTCPFeedbackFormat.fullIntraRequest, atLeast: 16, in: packet)
        guard body.count % 8 == 0 else { throw .malformed("FIR length") }
        sender = SSRC(rawValue: packet.bigEndian32(at: body.lowerBound))
        // The media source field is unused in FIR; the entries name the streams.
        start = body.lowerBound + 8
        count = (body.count - 8) / 8
    }

    /// The entry `index`; nil outside `0..<count`.
    public func entry(_ index: Int, in packet: Span<UInt8>) -> Entry? {
        let offset = start + index * 8
        guard index >= 0, index < count, offset + 8 <= packet.count else { return nil }
        return Entry(
            ssrc: SSRC(rawValue: packet.bigEndian32(at: offset)), commandSequence: packet[offset + 4])
    }
}

/// Receiver estimated maximum bitrate (draft-alvestrand-rmcat-remb-03 section 2.2).
public struct ReceiverEstimatedMaximumBitrate: BitwiseCopyable, Sendable {
    public let sender: SSRC
    /// Bits per second; saturates where the wire's 18-bit mantissa and 6-bit exponent leave 64 bits.
    public let bitrate: UInt64
    /// Number of streams that the bitrate is meant for.
    public let count: Int
    private let start: Int

    static let identifier: UInt32 = 0x5245_4D42  // "REMB"

    /// - Throws: `malformed` also for other application layer feedback, told by the missing identifier.
    public init(_ block: RTCPBlock, in packet: Span<UInt8>) throws(ParseError) {
        let body = try block.body(
            of: .payloadFeedback, format: RTCPFeedbackFormat.applicationLayer, atLeast: 16, in: packet)
        guard packet.bigEndian32(at: body.lowerBound + 8) == Self.identifier else {
            throw .malformed("REMB identifier")
        }
        count = Int(packet[body.lowerBound + 12])
        start = body.lowerBound + 16
        guard start + count * 4 <= body.upperBound else { throw .truncated }
        sender = SSRC(rawValue: packet.bigEndian32(at: body.lowerBound))
        let field = packet.bigEndian24(at: body.lowerBound + 13)
        let exponent = field >> 18
        let mantissa = UInt64(field & 0x3FFFF)
        let shifted = mantissa << exponent
        bitrate = shifted >> exponent == mantissa ? shifted : .max
    }

    /// The stream `index`; nil outside `0..<count`.
    public func ssrc(_ index: Int, in packet: Span<UInt8>) -> SSRC? {
        guard index >= 0, index < count, start + index * 4 + 4 <= packet.count else { return nil }
        return SSRC(rawValue: packet.bigEndian32(at: start + index * 4))
    }
}
