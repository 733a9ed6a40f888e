// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// The VP9 payload descriptor with its scalability structure (RFC 9628 sections 4.2 and 4.2.1).

/// Facts of one VP9 packet, with the offsets of the fields that a forwarder rewrites.
///
/// ```
///       |I|P|L|F|B|E|V|Z|
///    I: |M| PICTURE ID  |  M: another 8 bits
///    L: | TID |U| SID |D|
///       |   TL0PICIDX   |  L and not F
///  P,F: | P_DIFF      |N|  up to 3 times
///    V: | scalability structure
/// ```
public struct VP9PayloadDescriptor: BitwiseCopyable, Sendable {
    /// Bytes before the VP9 data.
    public private(set) var length = 1
    /// P: the frame depends on frames of earlier pictures.
    public let isInterPicturePredicted: Bool
    /// F: references are given frame by frame.
    public let isFlexible: Bool
    /// B: first packet of a frame, that is of one spatial layer of a picture.
    public let startOfFrame: Bool
    /// E: last packet of a frame.
    public let endOfFrame: Bool
    /// Z: no frame of a higher spatial layer of any later picture refers to this one.
    public let isNotReferenceForUpperLayers: Bool
    /// 7 or 15 bits by `hasWidePictureID`; nil when absent.
    public private(set) var pictureID: UInt16?
    /// M: the picture ID has 15 bits.
    public private(set) var hasWidePictureID = false
    /// Offset of the picture ID in the payload, 0 when absent.
    public private(set) var pictureIDOffset = 0
    /// TID, 0...7.
    public private(set) var temporalLayer: UInt8?
    /// SID, 0...7.
    public private(set) var spatialLayer: UInt8?
    /// U: from this frame on a receiver may switch up to higher temporal layers.
    public private(set) var isSwitchingUpPoint = false
    /// D: the frame depends on the next lower spatial layer of its own picture.
    public private(set) var isInterLayerPredicted = false
    public private(set) var tl0PicIdx: UInt8?
    /// Offset of TL0PICIDX in the payload, 0 when absent.
    public private(set) var tl0PicIdxOffset = 0
    /// Number of P_DIFF fields, 0...3.
    public private(set) var referenceCount = 0
    private var references = InlineArray<3, UInt8>(repeating: 0)
    /// V: the scalability structure, usually in the first packet of a keyframe only.
    public private(set) var structure: VP9ScalabilityStructure?

    /// Predicted neither from earlier pictures nor from a lower layer: all packets of the lowest frame of a key picture.
    public var isKeyframe: Bool {
        !isInterPicturePredicted && ((spatialLayer ?? 0) == 0 || !isInterLayerPredicted)
    }

    /// How many pictures back the reference `index` lies, 1...127; nil outside `0..<referenceCount`.
    public func pictureDifference(_ index: Int) -> UInt8? {
        guard index >= 0, index < referenceCount else { return nil }
        return references[index]
    }

    /// - Returns: nil when the payload ends inside the descriptor or a fourth reference follows.
    public init?(parsing payload: Span<UInt8>) {
        guard payload.count >= 1 else { return nil }
        let first = payload[0]
        isInterPicturePredicted = first & 0x40 != 0
        isFlexible = first & 0x10 != 0
        startOfFrame = first & 0x08 != 0
        endOfFrame = first & 0x04 != 0
        isNotReferenceForUpperLayers = first & 0x01 != 0
        if first & 0x80 != 0 {
            guard parsePictureID(of: payload) else { return nil }
        }
        if first & 0x20 != 0 {
            guard parseLayers(of: payload) else { return nil }
        }
        if isInterPicturePredicted && isFlexible {
            guard parseReferences(of: payload) else { return nil }
        }
        if first & 0x02 != 0 {
            guard let structure = VP9ScalabilityStructure(at: length, of: payload) else { return nil }
            self.structure = structure
            length = structure.end
        }
    }

    private mutating func parsePictureID(of payload: Span<UInt8>) -> Bool {
        guard length < payload.count else { return false }
        hasWidePictureID = payload[length] & 0x80 != 0
        guard !hasWidePictureID || length + 1 < payload.count else { return false }
        pictureIDOffset = length
        pictureID = hasWidePictureID ? payload.bigEndian16(at: length) & 0x7FFF : UInt16(payload[length])
        length += hasWidePictureID ? 2 : 1
        return true
    }

    private mutating func parseLayers(of payload: Span<UInt8>) -> Bool {
        guard length + (isFlexible ? 1 : 2) <= payload.count else { return false }
        let octet = payload[length]
        temporalLayer = octet >> 5
        isSwitchingUpPoint = octet & 0x10 != 0
        spatialLayer = octet >> 1 & 0x07
        isInterLayerPredicted = octet & 0x01 != 0
        length += 1
        if !isFlexible {
            tl0PicIdxOffset = length
            tl0PicIdx = payload[length]
            length += 1
        }
        return true
    }

    private mutating func parseReferences(of payload: Span<UInt8>) -> Bool {
        while true {
            guard length < payload.count, referenceCount < 3 else { return false }
            let octet = payload[length]
            references[referenceCount] = octet >> 1
            referenceCount += 1
            length += 1
            if octet & 0x01 == 0 { return true }
        }
    }

    /// Writes other identifiers over those of a copy of this descriptor. A field that the descriptor does not have is
    /// left out, and a 7-bit picture ID keeps its width.
    ///
    /// - Parameter descriptor: at least the bytes up to the rewritten fields, from the start of the descriptor.
    public func rewrite(pictureID: UInt16, tl0PicIdx: UInt8, in descriptor: UnsafeMutableRawPointer) {
        if self.pictureID != nil {
            if hasWidePictureID {
                unsafe descriptor.storeBigEndian(pictureID | 0x8000, at: pictureIDOffset)
            } else {
                unsafe descriptor.storeBigEndian(UInt8(truncatingIfNeeded: pictureID & 0x7F), at: pictureIDOffset)
            }
        }
        if self.tl0PicIdx != nil { unsafe descriptor.storeBigEndian(tl0PicIdx, at: tl0PicIdxOffset) }
    }
}

/// The layers of a VP9 stream and the pattern of its pictures.
///
/// ```
///  | N_S |Y|G|-|-|-|
///  Y: | WIDTH 16 | HEIGHT 16 |            N_S + 1 times
///  G: | N_G |, N_G times | TID |U| R |-|-| followed by R times | P_DIFF |
/// ```
public struct VP9ScalabilityStructure: BitwiseCopyable, Sendable {
    /// N_S + 1, 1...8.
    public let spatialLayerCount: Int
    /// Y: sizes are given.
    public let hasSizes: Bool
    /// N_G: pictures in the repeating pattern; 0 without pattern.
    public let pictureCount: Int
    private var widths = InlineArray<8, UInt16>(repeating: 0)
    private var heights = InlineArray<8, UInt16>(repeating: 0)
    private var picturesOfLayer = InlineArray<8, UInt8>(repeating: 0)
    /// Offset behind the structure in the payload.
    let end: Int

    init?(at start: Int, of payload: Span<UInt8>) {
        guard start < payload.count else { return nil }
        let first = payload[start]
        var position = start + 1
        spatialLayerCount = Int(first >> 5) + 1
        hasSizes = first & 0x10 != 0
        if hasSizes {
            guard position + spatialLayerCount * 4 <= payload.count else { return nil }
            for layer in 0..<spatialLayerCount {
                widths[layer] = payload.bigEndian16(at: position)
                heights[layer] = payload.bigEndian16(at: position + 2)
                position += 4
            }
        }
        guard first & 0x08 != 0 else {
            pictureCount = 0
            end = position
            return
        }
        guard position < payload.count else { return nil }
        pictureCount = Int(payload[position])
        position += 1
        for _ in 0..<pictureCount {
            guard position < payload.count else { return nil }
            let octet = payload[position]
            picturesOfLayer[Int(octet >> 5)] += 1
            position += 1 + Int(octet >> 2 & 0x03)
        }
        guard position <= payload.count else { return nil }
        end = position
    }

    /// Size in pixels of the frames of a spatial layer; nil without sizes or outside the layers.
    public func size(ofLayer layer: Int) -> (width: UInt16, height: UInt16)? {
        guard hasSizes, layer >= 0, layer < spatialLayerCount else { return nil }
        return (widths[layer], heights[layer])
    }

    /// How many pictures of the pattern belong to a temporal layer, of `pictureCount` in all.
    public func pictures(ofTemporalLayer layer: Int) -> Int {
        layer >= 0 && layer < 8 ? Int(picturesOfLayer[layer]) : 0
    }
}
