// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// The RED payload format: earlier audio frames repeated in front of the newest one (RFC 2198 section 3).

/// One block of a RED payload.
public struct RedundantBlock: BitwiseCopyable, Sendable {
    public let payloadType: PayloadType
    /// How many ticks the block is older than the timestamp of the packet, 0...16383; 0 for the primary block.
    public let timestampOffset: UInt16
    /// The last block, the one that the packet's own timestamp belongs to.
    public let isPrimary: Bool
    private let start: UInt16
    private let length: UInt16

    init(payloadType: PayloadType, timestampOffset: UInt16, isPrimary: Bool, start: Int, length: Int) {
        self.payloadType = payloadType
        self.timestampOffset = timestampOffset
        self.isPrimary = isPrimary
        self.start = UInt16(truncatingIfNeeded: start)
        self.length = UInt16(truncatingIfNeeded: length)
    }

    /// Where the data of the block lies in the RED payload.
    public var range: Range<Int> { Int(start)..<(Int(start) + Int(length)) }
}

/// Walk over the blocks of one RED payload, oldest first, the primary last.
///
/// ```
/// |1|  block PT   |     timestamp offset, 14      |  block length, 10 |
/// |0|  block PT   |
/// ```
public struct RedundantAudio: BitwiseCopyable, Sendable {
    /// Blocks, the primary one included.
    public let count: Int
    private var header = 0
    private var data: Int
    private let end: Int

    /// Most blocks accepted in one packet.
    public static let maximumBlockCount = 16

    /// Checks all block headers against the length of the payload.
    public init(parsing payload: Span<UInt8>) throws(ParseError) {
        guard payload.count <= RTPHeader.maximumPacketLength else { throw .limitExceeded("RED payload length") }
        var position = 0
        var blocks = 1
        var redundant = 0
        while true {
            guard position < payload.count else { throw .truncated }
            if payload[position] & 0x80 == 0 { break }
            guard position + 4 <= payload.count else { throw .truncated }
            redundant += Int(payload.bigEndian16(at: position + 2) & 0x3FF)
            position += 4
            blocks += 1
            guard blocks <= Self.maximumBlockCount else { throw .limitExceeded("RED blocks") }
        }
        data = position + 1
        end = payload.count
        count = blocks
        guard data + redundant <= end else { throw .truncated }
    }

    /// The next block, nil behind the primary.
    public mutating func next(in payload: Span<UInt8>) -> RedundantBlock? {
        guard header >= 0, header < payload.count else { return nil }
        let type = PayloadType(secondOctet: payload[header])
        let start = data
        if payload[header] & 0x80 == 0 {
            header = -1
            return RedundantBlock(
                payloadType: type, timestampOffset: 0, isPrimary: true, start: start, length: end - start)
        }
        guard header + 4 <= payload.count else { return nil }
        let field = payload.bigEndian24(at: header + 1)
        let length = Int(field & 0x3FF)
        header += 4
        data += length
        return RedundantBlock(
            payloadType: type, timestampOffset: UInt16(truncatingIfNeeded: field >> 10), isPrimary: false,
            start: start, length: length)
    }
}
