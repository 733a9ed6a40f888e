// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// The template dependency structure that a sender attaches to its keyframes (AV1 RTP specification, appendix A.8).

/// What a frame means for one decode target (table A.1).
public enum DecodeTargetIndication: UInt8, Hashable, BitwiseCopyable, Sendable {
    /// `-`: the frame is not part of the decode target.
    case notPresent = 0
    /// `D`: part of it, but no later frame of it needs this one.
    case discardable = 1
    /// `S`: who decodes this frame can decode all later frames of the decode target.
    case `switch` = 2
    /// `R`: part of it and needed.
    case required = 3
}

/// Indications of one frame for all decode targets.
public struct DecodeTargetIndications: Hashable, BitwiseCopyable, Sendable {
    private var rawValue: UInt64 = 0

    public init() {}

    /// The indication for `target`; `notPresent` outside 0...31.
    public internal(set) subscript(_ target: Int) -> DecodeTargetIndication {
        get {
            guard target >= 0, target < DependencyStructure.maximumDecodeTargetCount else { return .notPresent }
            let bits = UInt8(truncatingIfNeeded: rawValue >> UInt64(target * 2)) & 3
            return DecodeTargetIndication(rawValue: bits) ?? .notPresent
        }
        set {
            guard target >= 0, target < DependencyStructure.maximumDecodeTargetCount else { return }
            rawValue &= ~(3 << UInt64(target * 2))
            rawValue |= UInt64(newValue.rawValue) << UInt64(target * 2)
        }
    }

    /// Bit i is set when the frame is part of decode target i.
    public var presentTargets: UInt32 {
        var mask: UInt32 = 0
        for target in 0..<DependencyStructure.maximumDecodeTargetCount where self[target] != .notPresent {
            mask |= 1 << UInt32(target)
        }
        return mask
    }
}

/// The frames that one frame refers to, as distances of frame numbers.
public struct FrameDifferences: BitwiseCopyable, Sendable {
    /// 0...8.
    public private(set) var count = 0
    private var values = InlineArray<8, UInt16>(repeating: 0)

    static let capacity = 8

    public init() {}

    /// Distance to the reference `index`, 1...4096; nil outside `0..<count`.
    public subscript(_ index: Int) -> UInt16? { index >= 0 && index < count ? values[index] : nil }

    mutating func append(_ difference: UInt16) throws(ParseError) {
        guard count < Self.capacity else { throw .limitExceeded("references of a frame") }
        values[count] = difference
        count += 1
    }
}

/// Distance to the previous frame in each chain.
public struct ChainDifferences: BitwiseCopyable, Sendable {
    private var values = InlineArray<32, UInt8>(repeating: 0)

    public init() {}

    /// Frame number minus that of the previous frame in the chain, 0 when none is needed; 0 outside 0...31.
    public internal(set) subscript(_ chain: Int) -> UInt8 {
        get { chain >= 0 && chain < DependencyStructure.maximumDecodeTargetCount ? values[chain] : 0 }
        set {
            guard chain >= 0, chain < DependencyStructure.maximumDecodeTargetCount else { return }
            values[chain] = newValue
        }
    }
}

/// Layer, decode targets and references that many frames have in common.
public struct FrameDependencyTemplate: BitwiseCopyable, Sendable {
    /// 0...7.
    public internal(set) var spatialID: UInt8 = 0
    /// 0...7.
    public internal(set) var temporalID: UInt8 = 0
    public internal(set) var indications = DecodeTargetIndications()
    public internal(set) var frameDifferences = FrameDifferences()
    public internal(set) var chainDifferences = ChainDifferences()
}

/// All templates of a coded video sequence, with its decode targets and chains. Read once per keyframe and kept by the
/// caller; the templates are its only allocation.
public struct DependencyStructure: Sendable {
    /// Template identifier of `templates[0]`, 0...63.
    public internal(set) var templateIDOffset: UInt8 = 0
    /// 1...64 templates in the order of the wire, which is that of layers.
    public internal(set) var templates: [FrameDependencyTemplate] = []
    var counts = Counts()
    public internal(set) var maximumSpatialID: UInt8 = 0
    public internal(set) var maximumTemporalID: UInt8 = 0
    /// Render sizes are given for all spatial layers.
    public internal(set) var hasResolutions = false
    var protectingChains = InlineArray<32, UInt8>(repeating: 0)
    var targetSpatialIDs = InlineArray<32, UInt8>(repeating: 0)
    var targetTemporalIDs = InlineArray<32, UInt8>(repeating: 0)
    var widths = InlineArray<8, UInt16>(repeating: 0)
    var heights = InlineArray<8, UInt16>(repeating: 0)

    /// Most templates that the 6-bit identifier can tell apart.
    public static let maximumTemplateCount = 64
    public static let maximumDecodeTargetCount = 32
    /// Spatial and temporal layers each; three bits hold either identifier.
    public static let maximumLayerCount = 8

    /// How many bits the fields of a frame have.
    struct Counts: BitwiseCopyable, Sendable {
        var decodeTargets = 0
        var chains = 0

        var allDecodeTargets: UInt32 { UInt32(truncatingIfNeeded: UInt64(1) << UInt64(decodeTargets) &- 1) }
    }

    /// 1...32.
    public var decodeTargetCount: Int { counts.decodeTargets }
    /// 0...32; 0 means that no chains are used.
    public var chainCount: Int { counts.chains }

    private func isTarget(_ target: Int) -> Bool { target >= 0 && target < decodeTargetCount }

    /// Highest spatial layer in a decode target; nil outside `0..<decodeTargetCount`.
    public func spatialID(ofDecodeTarget target: Int) -> UInt8? { isTarget(target) ? targetSpatialIDs[target] : nil }

    /// Highest temporal layer in a decode target; nil outside `0..<decodeTargetCount`.
    public func temporalID(ofDecodeTarget target: Int) -> UInt8? { isTarget(target) ? targetTemporalIDs[target] : nil }

    /// The chain that protects a decode target; nil without chains and outside `0..<decodeTargetCount`.
    public func chain(protecting target: Int) -> Int? {
        isTarget(target) && chainCount > 0 ? Int(protectingChains[target]) : nil
    }

    /// Largest render size, in pixels, of a spatial layer; nil when the structure does not tell.
    ///
    /// A size of 65536 is given as 65535.
    public func resolution(ofSpatialLayer layer: Int) -> (width: UInt16, height: UInt16)? {
        guard hasResolutions, layer >= 0, layer <= Int(maximumSpatialID) else { return nil }
        return (widths[layer], heights[layer])
    }

    /// The template behind an identifier of the wire; nil when it belongs to another structure.
    public func template(id: UInt8) -> FrameDependencyTemplate? {
        let index = Int((id &+ 64 &- templateIDOffset) & 63)
        return index < templates.count ? templates[index] : nil
    }

    /// Mask of all decode targets.
    public var allDecodeTargets: UInt32 { counts.allDecodeTargets }

    /// Mask of the decode targets that need no frame which `target` does not have, `target` itself included.
    public func decodeTargets(containedIn target: Int) -> UInt32 {
        guard isTarget(target) else { return 0 }
        var mask = allDecodeTargets
        for template in templates where template.indications[target] == .notPresent {
            mask &= ~template.indications.presentTargets
        }
        return mask
    }
}
