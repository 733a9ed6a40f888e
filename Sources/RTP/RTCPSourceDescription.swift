// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Who the sources are and that they leave: SDES and BYE (RFC 3550 sections 6.5 and 6.6).

/// Source description: chunks of items. Items are handed out one by one.
public struct SourceDescription: BitwiseCopyable, Sendable {
    /// One item of one chunk.
    public struct Item: Sendable {
        public let ssrc: SSRC
        /// Item type; `cname` is 1.
        public let type: UInt8
        /// Where the text lies in the packet.
        public let text: Range<Int>
    }

    /// Type of the canonical name.
    public static let cname: UInt8 = 1

    private var chunksLeft: UInt8
    private var position: Int
    private let end: Int
    private var ssrc: SSRC?

    public init(_ block: RTCPBlock, in packet: Span<UInt8>) throws(ParseError) {
        let body = try block.body(of: .sourceDescription, atLeast: 0, in: packet)
        chunksLeft = block.count
        position = body.lowerBound
        end = body.upperBound
    }

    /// The next item, in order of the chunks; nil at the end and from the first malformed item on.
    public mutating func next(in packet: Span<UInt8>) -> Item? {
        let limit = min(end, packet.count)
        while true {
            guard let ssrc else {
                guard chunksLeft > 0, position + 4 <= limit else { return nil }
                chunksLeft -= 1
                self.ssrc = SSRC(rawValue: packet.bigEndian32(at: position))
                position += 4
                continue
            }
            guard position < limit else { return nil }
            let type = packet[position]
            if type == 0 {
                // The null item also fills the chunk up to a word. RTCP packets begin at multiples of 4.
                position = (position / 4 + 1) * 4
                self.ssrc = nil
                continue
            }
            guard position + 2 <= limit else { return nil }
            let start = position + 2
            let length = Int(packet[position + 1])
            guard start + length <= limit else { return nil }
            position = start + length
            return Item(ssrc: ssrc, type: type, text: start..<position)
        }
    }
}

/// Sources that leave.
public struct Bye: BitwiseCopyable, Sendable {
    /// 0...31.
    public let count: Int
    private let start: Int

    public init(_ block: RTCPBlock, in packet: Span<UInt8>) throws(ParseError) {
        let body = try block.body(of: .bye, atLeast: Int(block.count) * 4, in: packet)
        count = Int(block.count)
        start = body.lowerBound
    }

    /// The source `index`; nil outside `0..<count`.
    public func ssrc(_ index: Int, in packet: Span<UInt8>) -> SSRC? {
        guard index >= 0, index < count, start + index * 4 + 4 <= packet.count else { return nil }
        return SSRC(rawValue: packet.bigEndian32(at: start + index * 4))
    }
}
