// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// The dependency descriptor header extension: which frame a packet belongs to and what that frame depends on (AV1 RTP
/// specification, appendix A).

/// The three bytes that every dependency descriptor begins with. They can be read without any structure.
///
/// ```
/// |S|E| template id, 6  |        frame number, 16       |
/// |T|A|D|F|C|  present only in a descriptor of more than 3 bytes
/// ```
public struct DependencyDescriptorHeader: BitwiseCopyable, Sendable {
    /// First packet of the frame.
    public let startOfFrame: Bool
    /// Last packet of the frame.
    public let endOfFrame: Bool
    /// 0...63.
    public let templateID: UInt8
    /// Grows by one from frame to frame in decode order, modulo 2^16.
    public let frameNumber: UInt16
    /// A template dependency structure follows: the frame is a keyframe.
    public let hasStructure: Bool

    /// Bits of the mandatory fields.
    static let bitCount = 24

    /// - Parameter descriptor: the value of the header extension element.
    /// - Returns: nil with fewer than three bytes.
    public init?(parsing descriptor: Span<UInt8>) {
        guard descriptor.count >= 3 else { return nil }
        startOfFrame = descriptor[0] & 0x80 != 0
        endOfFrame = descriptor[0] & 0x40 != 0
        templateID = descriptor[0] & 0x3F
        frameNumber = descriptor.bigEndian16(at: 1)
        hasStructure = descriptor.count > 3 && descriptor[3] & 0x80 != 0
    }
}

/// A dependency descriptor, resolved against its structure.
public struct DependencyDescriptor: BitwiseCopyable, Sendable {
    public let header: DependencyDescriptorHeader
    /// Bit i is set when decode target i is being sent; nil when the descriptor does not say, then the last said holds.
    /// All decode targets with a new structure that says nothing else.
    public let activeDecodeTargets: UInt32?
    /// 0...7.
    public let spatialID: UInt8
    /// 0...7.
    public let temporalID: UInt8
    /// What the frame means for each decode target.
    public let indications: DecodeTargetIndications
    /// The frames that it refers to.
    public let frameDifferences: FrameDifferences
    /// The frame before it in each chain.
    public let chainDifferences: ChainDifferences
    /// Bits of the active decode target mask on the wire, 0 when it is absent.
    let maskBitCount: Int
    /// Where that mask is, or would have to be put.
    let maskPosition: Int
    /// Bits up to the zero padding.
    let bitCount: Int

    /// Longest descriptor accepted, which is what the two-byte form of header extensions can carry.
    public static let maximumLength = 255

    /// Reads a descriptor. A structure attached to it replaces `structure`, but only when all of it can be read.
    ///
    /// - Parameters:
    ///   - descriptor: the value of the header extension element.
    ///   - structure: the one valid for the stream so far, nil when none is known.
    /// - Throws: `malformed` also when the template belongs to a structure that was not seen, or not yet.
    public init(parsing descriptor: Span<UInt8>, structure: inout DependencyStructure?) throws(ParseError) {
        guard let header = DependencyDescriptorHeader(parsing: descriptor) else { throw .truncated }
        guard descriptor.count <= Self.maximumLength else { throw .limitExceeded("dependency descriptor length") }
        var reader = BitReader(descriptor)
        try reader.skip(DependencyDescriptorHeader.bitCount)
        if header.hasStructure {
            try reader.skip(1)
            let flags = try reader.read(4)
            let attached = try DependencyStructure(&reader)
            let template = attached.template(id: header.templateID)
            self = try DependencyDescriptor(header, flags: flags, &reader, attached.counts, template)
            structure = attached
        } else {
            var flags: UInt32 = 0
            if descriptor.count > 3 {
                try reader.skip(1)
                flags = try reader.read(4)
            }
            // Only what is needed is copied out of the structure, which is large.
            guard let counts = structure?.counts else { throw .malformed("no dependency structure yet") }
            let template = structure?.template(id: header.templateID)
            self = try DependencyDescriptor(header, flags: flags, &reader, counts, template)
        }
    }

    /// active_decode_targets_bitmask and frame_dependency_definition().
    ///
    /// - Parameter flags: active_decode_targets_present, custom_dtis, custom_fdiffs, custom_chains.
    private init(
        _ header: DependencyDescriptorHeader, flags: UInt32, _ reader: inout BitReader,
        _ counts: DependencyStructure.Counts, _ template: FrameDependencyTemplate?
    ) throws(ParseError) {
        self.header = header
        maskPosition = reader.position
        if flags & 8 != 0 {
            activeDecodeTargets = try reader.read(counts.decodeTargets)
            maskBitCount = counts.decodeTargets
        } else {
            activeDecodeTargets = header.hasStructure ? counts.allDecodeTargets : nil
            maskBitCount = 0
        }
        guard let template else { throw .malformed("template of another dependency structure") }
        spatialID = template.spatialID
        temporalID = template.temporalID
        var indications = template.indications
        if flags & 4 != 0 {
            for target in 0..<counts.decodeTargets {
                indications[target] = try DependencyStructure.readIndication(&reader)
            }
        }
        self.indications = indications
        var references = template.frameDifferences
        if flags & 2 != 0 {
            references = FrameDifferences()
            while case let size = Int(try reader.read(2)), size > 0 {
                try references.append(UInt16(truncatingIfNeeded: try reader.read(4 * size)) + 1)
            }
        }
        frameDifferences = references
        var chains = template.chainDifferences
        if flags & 1 != 0 {
            for chain in 0..<counts.chains {
                chains[chain] = UInt8(truncatingIfNeeded: try reader.read(8))
            }
        }
        chainDifferences = chains
        bitCount = reader.position
    }

    /// The frame can be decoded without any other.
    public var isKeyframe: Bool { header.hasStructure }
}
