// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// The fixed RTP header, its CSRC list and its extension block, read once into plain facts (RFC 3550 section 5.1).

/// Facts of one RTP header: values and offsets into the packet, never the memory itself.
///
/// ```
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |V=2|P|X|  CC   |M|     PT      |       sequence number         |
/// |                           timestamp                           |
/// |                             SSRC                              |
/// |                      CSRC list, CC words                      |
/// |  X: defined by profile        |  X: length in words           |
/// |                       header extension                        |
/// ```
public struct RTPHeader: BitwiseCopyable, Sendable {
    /// How the extension block is laid out, told by its "defined by profile" field (RFC 8285 sections 4.2, 4.3).
    public enum ExtensionKind: UInt8, BitwiseCopyable, Sendable {
        /// The X bit is clear.
        case none
        /// 0xBEDE: elements with a one-byte header.
        case oneByte
        /// 0x1000...0x100F: elements with a two-byte header.
        case twoByte
        /// Anything else, cryptex (RFC 9335) included: not walked.
        case other
    }

    public let sequenceNumber: SequenceNumber
    public let timestamp: RTPTimestamp
    public let ssrc: SSRC
    public let payloadType: PayloadType
    public let marker: Bool
    /// The P bit. In a protected packet the padding itself cannot be read yet.
    public let hasPadding: Bool
    /// False when the P bit is set and the count in the last byte is 0 or larger than what follows the header.
    public let isPaddingValid: Bool
    public let extensionKind: ExtensionKind
    private let headerBytes: UInt16
    private let payloadBytes: UInt16
    private let elementBytes: UInt16
    private let paddingBytes: UInt8

    /// Bytes of the fixed header.
    public static let fixedLength = 12
    /// Longest packet accepted, the largest UDP payload.
    public static let maximumPacketLength = 65535

    /// Reads the header of a whole packet, plain or protected.
    ///
    /// Padding is never a reason to throw, because in an SRTP packet its count is ciphertext. Of a protected packet
    /// `paddingLength`, `payloadLength` and `isPaddingValid` mean nothing.
    ///
    /// - Throws: `truncated`, `badVersion`, or `limitExceeded` above 65535 bytes.
    public init(parsing packet: Span<UInt8>) throws(ParseError) {
        guard packet.count >= Self.fixedLength else { throw .truncated }
        guard packet.count <= Self.maximumPacketLength else { throw .limitExceeded("RTP packet length") }
        let first = packet[0]
        guard first >> 6 == 2 else { throw .badVersion }
        let second = packet[1]
        marker = second & 0x80 != 0
        payloadType = PayloadType(secondOctet: second)
        sequenceNumber = SequenceNumber(rawValue: packet.bigEndian16(at: 2))
        timestamp = RTPTimestamp(rawValue: packet.bigEndian32(at: 4))
        ssrc = SSRC(rawValue: packet.bigEndian32(at: 8))

        var length = Self.fixedLength + Int(first & 0x0F) * 4
        guard length <= packet.count else { throw .truncated }
        if first & 0x10 != 0 {
            guard length + 4 <= packet.count else { throw .truncated }
            let profile = packet.bigEndian16(at: length)
            let elements = Int(packet.bigEndian16(at: length + 2)) * 4
            length += 4 + elements
            guard length <= packet.count else { throw .truncated }
            extensionKind = profile == 0xBEDE ? .oneByte : profile & 0xFFF0 == 0x1000 ? .twoByte : .other
            elementBytes = UInt16(truncatingIfNeeded: elements)
        } else {
            extensionKind = .none
            elementBytes = 0
        }
        let rest = packet.count - length
        hasPadding = first & 0x20 != 0
        let claimed = hasPadding ? packet[packet.count - 1] : 0
        let isValid = !hasPadding || (claimed > 0 && Int(claimed) <= rest)
        isPaddingValid = isValid
        paddingBytes = isValid ? claimed : 0
        headerBytes = UInt16(truncatingIfNeeded: length)
        payloadBytes = UInt16(truncatingIfNeeded: rest - (isValid ? Int(claimed) : 0))
    }

    /// Reads the header of a packet that is not protected (any more), whose padding must make sense.
    ///
    /// - Throws: as `init(parsing:)`, and `malformed` when the padding count is 0 or larger than what follows the header.
    public init(parsingPlaintext packet: Span<UInt8>) throws(ParseError) {
        self = try RTPHeader(parsing: packet)
        guard isPaddingValid else { throw .malformed("RTP padding") }
    }

    /// Bytes up to the payload: fixed header, CSRC list and extension block.
    public var headerLength: Int { Int(headerBytes) }
    /// Bytes of padding at the end, the count itself included; 0 without padding or when it is not valid.
    public var paddingLength: Int { Int(paddingBytes) }
    /// Bytes between header and padding.
    public var payloadLength: Int { Int(payloadBytes) }
    /// Where the payload lies in the packet, without padding.
    public var payloadRange: Range<Int> { headerLength..<(headerLength &+ payloadLength) }
    /// Offset of the first extension element, behind the four bytes that open the block.
    public var extensionStart: Int { headerLength &- Int(elementBytes) }
    /// Offset behind the last extension element; equal to `extensionStart` without extension.
    public var extensionEnd: Int { headerLength }

    /// Where the value of the extension element `id` lies in `packet`.
    ///
    /// - Returns: nil when it is absent or when a malformed element comes before it. An empty range is a present
    ///   element without value (two-byte form only).
    public func element(_ id: ExtensionID, in packet: Span<UInt8>) -> Range<Int>? {
        var walk = ExtensionWalk(self)
        while let element = walk.next(in: packet) {
            if element.id == id { return element.value }
        }
        return nil
    }
}
