// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// The VP8 payload descriptor and the start of the VP8 payload header (RFC 7741 sections 4.2 and 4.3).

/// Facts of one VP8 packet, with the offsets of the fields that a forwarder rewrites.
///
/// ```
///        0 1 2 3 4 5 6 7
///       +-+-+-+-+-+-+-+-+
///       |X|R|N|S|R| PID |
///    X: |I|L|T|K|  RSV  |
///    I: |M| PictureID   |  M: another 8 bits
///    L: |   TL0PICIDX   |
///  T/K: |TID|Y| KEYIDX  |
/// ```
public struct VP8PayloadDescriptor: BitwiseCopyable, Sendable {
    /// Bytes before the VP8 payload header, 1...6.
    public private(set) var length: Int
    /// S: first packet of a partition.
    public let startOfPartition: Bool
    /// PID, 0...7.
    public let partitionIndex: UInt8
    /// N: no other frame refers to this one.
    public let isNonReference: Bool
    /// 7 or 15 bits by `hasWidePictureID`; nil when absent.
    public private(set) var pictureID: UInt16?
    /// M: the picture ID has 15 bits.
    public private(set) var hasWidePictureID = false
    /// Offset of the picture ID in the payload, 0 when absent.
    public private(set) var pictureIDOffset = 0
    public private(set) var tl0PicIdx: UInt8?
    /// Offset of TL0PICIDX in the payload, 0 when absent.
    public private(set) var tl0PicIdxOffset = 0
    /// TID, 0...3.
    public private(set) var temporalLayer: UInt8?
    /// Y: the frame depends on the base temporal layer only.
    public private(set) var layerSync = false
    /// KEYIDX, 0...31.
    public private(set) var keyIndex: UInt8?
    /// First packet of the first partition of a keyframe.
    public private(set) var isKeyframe = false
    /// Width in pixels, told by the first packet of a keyframe.
    public private(set) var width: UInt16?
    /// Height in pixels, told by the first packet of a keyframe.
    public private(set) var height: UInt16?

    /// The longest descriptor.
    public static let maximumLength = 6

    /// First packet of a frame.
    public var isStartOfFrame: Bool { startOfPartition && partitionIndex == 0 }

    /// - Returns: nil when the payload ends inside the descriptor.
    public init?(parsing payload: Span<UInt8>) {
        guard payload.count >= 1 else { return nil }
        let first = payload[0]
        startOfPartition = first & 0x10 != 0
        partitionIndex = first & 0x07
        isNonReference = first & 0x20 != 0
        length = 1
        if first & 0x80 != 0 {
            guard parseExtension(of: payload) else { return nil }
        }
        if isStartOfFrame { parsePayloadHeader(of: payload) }
    }

    private mutating func parseExtension(of payload: Span<UInt8>) -> Bool {
        guard payload.count >= 2 else { return false }
        let present = payload[1]
        length = 2
        if present & 0x80 != 0 {
            guard length < payload.count else { return false }
            hasWidePictureID = payload[length] & 0x80 != 0
            guard !hasWidePictureID || length + 1 < payload.count else { return false }
            pictureIDOffset = length
            pictureID = hasWidePictureID ? payload.bigEndian16(at: length) & 0x7FFF : UInt16(payload[length])
            length += hasWidePictureID ? 2 : 1
        }
        if present & 0x40 != 0 {
            guard length < payload.count else { return false }
            tl0PicIdxOffset = length
            tl0PicIdx = payload[length]
            length += 1
        }
        if present & 0x30 != 0 {
            guard length < payload.count else { return false }
            let octet = payload[length]
            if present & 0x20 != 0 {
                temporalLayer = octet >> 6
                layerSync = octet & 0x20 != 0
            }
            if present & 0x10 != 0 { keyIndex = octet & 0x1F }
            length += 1
        }
        return true
    }

    /// The inverse keyframe bit, and behind a keyframe's start code the size (RFC 6386 section 9.1).
    private mutating func parsePayloadHeader(of payload: Span<UInt8>) {
        guard length < payload.count else { return }
        isKeyframe = payload[length] & 0x01 == 0
        guard isKeyframe, length + 10 <= payload.count, payload.bigEndian24(at: length + 3) == 0x9D012A else { return }
        width = (UInt16(payload[length + 7]) << 8 | UInt16(payload[length + 6])) & 0x3FFF
        height = (UInt16(payload[length + 9]) << 8 | UInt16(payload[length + 8])) & 0x3FFF
    }

    /// Writes other identifiers over those of a copy of this descriptor. A field that the descriptor does not have is
    /// left out, and a 7-bit picture ID keeps its width.
    ///
    /// - Parameter descriptor: at least `length` bytes that begin with the descriptor.
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
