// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Walk over the packets of an RTCP compound (RFC 3550 section 6.1 and appendix A.2, reduced size by RFC 5506).

/// RTCP packet types of the IANA registry that occur in a Jitsi meeting.
public enum RTCPType: UInt8, Hashable, Sendable, BitwiseCopyable {
    case senderReport = 200
    case receiverReport = 201
    case sourceDescription = 202
    case bye = 203
    case application = 204
    /// RTPFB (RFC 4585): generic NACK, transport-wide feedback.
    case transportFeedback = 205
    /// PSFB (RFC 4585): PLI, FIR, REMB.
    case payloadFeedback = 206
    case extendedReport = 207
}

/// Feedback message types, the FMT field (RFC 4585 section 6.2 and 6.3, RFC 5104 section 4).
public enum RTCPFeedbackFormat {
    /// Of `transportFeedback`.
    public static let genericNACK: UInt8 = 1
    /// Of `transportFeedback` (draft-holmer-rmcat-transport-wide-cc-extensions-01).
    public static let transportWideCC: UInt8 = 15
    /// Of `payloadFeedback`.
    public static let pictureLossIndication: UInt8 = 1
    /// Of `payloadFeedback`.
    public static let fullIntraRequest: UInt8 = 4
    /// Of `payloadFeedback`: REMB lives here.
    public static let applicationLayer: UInt8 = 15
}

/// One RTCP packet inside a compound: type and offsets, without the memory.
///
/// ```
/// |V=2|P|  count  |      PT       |       length in words - 1     |
/// ```
public struct RTCPBlock: BitwiseCopyable, Sendable {
    /// The type as the wire has it.
    public let rawType: UInt8
    /// Report count, source count or feedback format: the low five bits of the first byte.
    public let count: UInt8
    private let start: UInt16
    private let bodyBytes: UInt16
    private let paddingBytes: UInt8

    static let headerLength = 4

    init(rawType: UInt8, count: UInt8, start: Int, bodyLength: Int, paddingLength: UInt8) {
        self.rawType = rawType
        self.count = count
        self.start = UInt16(truncatingIfNeeded: start)
        bodyBytes = UInt16(truncatingIfNeeded: bodyLength)
        paddingBytes = paddingLength
    }

    /// Nil for a type that is not in `RTCPType`.
    public var type: RTCPType? { RTCPType(rawValue: rawType) }
    /// The whole packet with its header and padding.
    public var range: Range<Int> {
        Int(start)..<(Int(start) + Self.headerLength + Int(bodyBytes) + Int(paddingBytes))
    }
    /// What follows the four bytes of header, without padding.
    public var body: Range<Int> {
        (Int(start) + Self.headerLength)..<(Int(start) + Self.headerLength + Int(bodyBytes))
    }

    /// The body when this is a packet of the given type and format, it lies inside `packet` and has at least `length`
    /// bytes.
    func body(
        of type: RTCPType, format: UInt8? = nil, atLeast length: Int, in packet: Span<UInt8>
    ) throws(ParseError) -> Range<Int> {
        guard rawType == type.rawValue, format == nil || format == count else { throw .malformed("RTCP type") }
        guard body.upperBound <= packet.count, body.count >= length else { throw .truncated }
        return body
    }
}

/// The RTCP packets of one datagram. The lengths of all of them are checked before the first is handed out.
public struct RTCPCompound: ~Escapable {
    private let packet: Span<UInt8>
    private var position = 0

    /// Most packets accepted in one compound.
    public static let maximumBlockCount = 64

    /// Checks that `packet` (decrypted, without SRTCP index and tag) is a row of RTCP packets that ends where the
    /// datagram ends. It need not begin with a report (RFC 5506).
    ///
    /// - Throws: `truncated`, `badVersion`, `malformed` for padding, `limitExceeded` above 64 packets or 65535 bytes.
    @_lifetime(copy packet)
    public init(parsing packet: Span<UInt8>) throws(ParseError) {
        guard packet.count >= RTCPBlock.headerLength else { throw .truncated }
        guard packet.count <= RTPHeader.maximumPacketLength else { throw .limitExceeded("RTCP compound length") }
        var offset = 0
        var blocks = 0
        while offset < packet.count {
            guard offset + RTCPBlock.headerLength <= packet.count else { throw .truncated }
            guard packet[offset] >> 6 == 2 else { throw .badVersion }
            blocks += 1
            guard blocks <= Self.maximumBlockCount else { throw .limitExceeded("RTCP packets in a compound") }
            let length = RTCPBlock.headerLength + Int(packet.bigEndian16(at: offset + 2)) * 4
            guard offset + length <= packet.count else { throw .truncated }
            if packet[offset] & 0x20 != 0 {
                // Only the last packet should be padded, but libwebrtc sends several transport feedback packets,
                // each with padding of its own, in one datagram.
                let padding = Int(packet[offset + length - 1])
                guard length > RTCPBlock.headerLength, padding > 0, padding <= length - RTCPBlock.headerLength else {
                    throw .malformed("RTCP padding")
                }
            }
            offset += length
        }
        self.packet = packet
    }

    /// The next packet of the compound, nil behind the last.
    @_lifetime(self: copy self)
    public mutating func next() -> RTCPBlock? {
        guard position + RTCPBlock.headerLength <= packet.count else { return nil }
        let first = packet[position]
        let start = position
        let length = RTCPBlock.headerLength + Int(packet.bigEndian16(at: start + 2)) * 4
        let padding = first & 0x20 != 0 ? packet[start + length - 1] : 0
        position = start + length
        return RTCPBlock(
            rawType: packet[start + 1], count: first & 0x1F, start: start,
            bodyLength: length - RTCPBlock.headerLength - Int(padding), paddingLength: padding)
    }
}
