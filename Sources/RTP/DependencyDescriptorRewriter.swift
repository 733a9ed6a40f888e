// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Writes a received dependency descriptor anew with other numbers (AV1 RTP specification, appendix A.8).

/// What a forwarder changes in a dependency descriptor. Everything else is copied bit by bit.
public struct DependencyDescriptorRewrite: BitwiseCopyable, Sendable {
    public var frameNumber: UInt16
    /// Added to the template identifier, and to the identifier offset of an attached structure, modulo 64.
    public var templateIDDelta: UInt8
    /// The mask to carry, or nil to carry none. Only the bits of existing decode targets are written.
    public var activeDecodeTargets: UInt32?

    public init(frameNumber: UInt16, templateIDDelta: UInt8 = 0, activeDecodeTargets: UInt32? = nil) {
        self.frameNumber = frameNumber
        self.templateIDDelta = templateIDDelta
        self.activeDecodeTargets = activeDecodeTargets
    }
}

extension DependencyDescriptor {
    /// Most bytes that a rewrite can add to a descriptor: five flags and 32 bits of mask.
    public static let maximumGrowth = 5

    /// Writes the descriptor with the changes of `rewrite`.
    ///
    /// - Parameters:
    ///   - original: the bytes that this descriptor was read from.
    ///   - decodeTargetCount: of the structure that it was read with, the width of the mask.
    ///   - output: memory of the caller, not overlapping `original`; at least `capacity` bytes.
    /// - Returns: the length in bytes; nil when it does not fit `capacity` or `original` is another descriptor.
    public func write(
        _ rewrite: DependencyDescriptorRewrite, of original: Span<UInt8>, decodeTargetCount: Int,
        into output: UnsafeMutableRawPointer, capacity: Int
    ) -> Int? {
        guard original.count * 8 >= bitCount, original.count >= 3, decodeTargetCount >= 1, decodeTargetCount <= 32
        else { return nil }
        var reader = BitReader(original)
        var writer = unsafe BitWriter(into: output, capacity: capacity)
        do {
            let framing = try reader.read(2)
            let template = try reader.read(6) + UInt32(rewrite.templateIDDelta)
            try reader.skip(16)
            guard writer.write(framing, 2), writer.write(template, 6), writer.write(UInt32(rewrite.frameNumber), 16)
            else { return nil }
            let flags = original.count > 3 ? try reader.read(5) : 0
            let others = flags & 0b10111
            guard others != 0 || rewrite.activeDecodeTargets != nil else { return writer.byteCount }
            guard writer.write(others | (rewrite.activeDecodeTargets != nil ? 0b01000 : 0), 5) else { return nil }
            if header.hasStructure {
                let offset = try reader.read(6) + UInt32(rewrite.templateIDDelta)
                guard writer.write(offset, 6) else { return nil }
            }
            guard try Self.copy(&reader, until: maskPosition, to: &writer) else { return nil }
            if let mask = rewrite.activeDecodeTargets {
                guard writer.write(mask, decodeTargetCount) else { return nil }
            }
            try reader.skip(maskBitCount)
            guard try Self.copy(&reader, until: bitCount, to: &writer) else { return nil }
        } catch {
            return nil
        }
        return writer.byteCount
    }

    private static func copy(
        _ reader: inout BitReader, until end: Int, to writer: inout BitWriter
    ) throws(ParseError) -> Bool {
        while reader.position < end {
            let width = min(32, end - reader.position)
            guard writer.write(try reader.read(width), width) else { return false }
        }
        return true
    }
}
