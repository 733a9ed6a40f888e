// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// The video layers allocation header extension: bitrates and sizes of the layers that a sender produces (libwebrtc,
/// video-layers-allocation00).

/// What the layers of all simulcast streams of a source are sent with. Rare on the wire, so it may allocate.
public struct VideoLayersAllocation: Sendable {
    /// One spatial layer of one stream.
    public struct Layer: Hashable, BitwiseCopyable, Sendable {
        /// Index of the stream, 0...3, in the order of its RIDs.
        public internal(set) var stream: UInt8 = 0
        /// 0...3.
        public internal(set) var spatialID: UInt8 = 0
        /// 1...4.
        public internal(set) var temporalLayerCount: UInt8 = 1
        /// Target bitrate in kbit/s up to and including each temporal layer; 0 behind the last.
        public internal(set) var targetBitrates = SIMD4<UInt32>(repeating: 0)
        /// In pixels; nil when sizes are left out.
        public internal(set) var width: UInt16?
        /// In pixels; nil when sizes are left out.
        public internal(set) var height: UInt16?
        /// Frames per second; nil when sizes are left out.
        public internal(set) var frameRate: UInt8?
    }

    /// Index of the stream that the packet belongs to, 0...3.
    public let stream: UInt8
    /// 1...4 streams.
    public let streamCount: UInt8
    /// By stream, then by spatial layer; at most 16. Empty when nothing is being sent.
    public let layers: [Layer]

    /// ```
    /// |RID| NS| sl_bm |   sl_bm 0: one mask of 4 bits per stream follows, filled up to whole bytes
    /// |#tl|#tl|#tl|#tl|   2 bits per layer, filled up to whole bytes
    /// | kbit/s, leb128 |  per temporal layer
    /// | width - 1, 16 | height - 1, 16 | frame rate, 8 |   per layer, or nothing at all
    /// ```
    public init(parsing element: Span<UInt8>) throws(ParseError) {
        guard element.count >= 1 else { throw .truncated }
        guard element.count > 1 || element[0] != 0 else {
            // A lone zero byte: all layers are off.
            stream = 0
            streamCount = 1
            layers = []
            return
        }
        stream = element[0] >> 6
        streamCount = (element[0] >> 4 & 3) + 1
        var position = 1
        var found = try Self.readMasks(element, streams: streamCount, &position)
        let countBytes = (found.count + 3) / 4
        guard position + countBytes <= element.count else { throw .truncated }
        for index in found.indices {
            let shift = UInt8((3 - index & 3) * 2)
            found[index].temporalLayerCount = (element[position + index / 4] >> shift & 3) + 1
        }
        position += countBytes
        for index in found.indices {
            for temporal in 0..<Int(found[index].temporalLayerCount) {
                found[index].targetBitrates[temporal] = try Self.readNumber(element, &position)
            }
        }
        if position < element.count {
            guard position + found.count * 5 <= element.count else { throw .truncated }
            for index in found.indices {
                found[index].width = UInt16(clamping: UInt32(element.bigEndian16(at: position)) + 1)
                found[index].height = UInt16(clamping: UInt32(element.bigEndian16(at: position + 2)) + 1)
                found[index].frameRate = element[position + 4]
                position += 5
            }
        }
        layers = found
    }

    private static func readMasks(
        _ element: Span<UInt8>, streams: UInt8, _ position: inout Int
    ) throws(ParseError) -> [Layer] {
        let common = element[0] & 0x0F
        if common == 0 {
            guard position + (Int(streams) + 1) / 2 <= element.count else { throw .truncated }
        }
        var found: [Layer] = []
        for index in 0..<streams {
            var mask = common
            if common == 0 {
                let octet = element[position + Int(index / 2)]
                mask = index & 1 == 0 ? octet >> 4 : octet & 0x0F
            }
            for layer in 0..<UInt8(4) where mask >> layer & 1 != 0 {
                found.append(Layer(stream: index, spatialID: layer))
            }
        }
        if common == 0 { position += (Int(streams) + 1) / 2 }
        return found
    }

    /// An unsigned number in groups of seven bits, lowest first; at most five groups.
    private static func readNumber(_ element: Span<UInt8>, _ position: inout Int) throws(ParseError) -> UInt32 {
        var value: UInt64 = 0
        for group in 0..<5 {
            guard position < element.count else { throw .truncated }
            let octet = element[position]
            position += 1
            value |= UInt64(octet & 0x7F) << UInt64(group * 7)
            if octet & 0x80 == 0 { return UInt32(clamping: value) }
        }
        throw .malformed("bitrate of a layer")
    }
}
