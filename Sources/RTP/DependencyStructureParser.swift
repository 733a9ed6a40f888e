// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Reads a template dependency structure out of a dependency descriptor (AV1 RTP specification, appendix A.8.2).

extension DependencyStructure {
    /// template_dependency_structure(): `reader` stands at its first bit and ends behind its last.
    init(_ reader: inout BitReader) throws(ParseError) {
        templateIDOffset = UInt8(truncatingIfNeeded: try reader.read(6))
        counts.decodeTargets = Int(try reader.read(5)) + 1
        try readLayers(&reader)
        for index in templates.indices {
            for target in 0..<decodeTargetCount {
                templates[index].indications[target] = try Self.readIndication(&reader)
            }
        }
        for index in templates.indices {
            while try reader.readFlag() {
                try templates[index].frameDifferences.append(UInt16(truncatingIfNeeded: try reader.read(4)) + 1)
            }
        }
        try readChains(&reader)
        findTargetLayers()
        hasResolutions = try reader.readFlag()
        guard hasResolutions else { return }
        for layer in 0...Int(maximumSpatialID) {
            widths[layer] = UInt16(clamping: try reader.read(16) + 1)
            heights[layer] = UInt16(clamping: try reader.read(16) + 1)
        }
    }

    static func readIndication(_ reader: inout BitReader) throws(ParseError) -> DecodeTargetIndication {
        DecodeTargetIndication(rawValue: UInt8(truncatingIfNeeded: try reader.read(2))) ?? .notPresent
    }

    private mutating func readLayers(_ reader: inout BitReader) throws(ParseError) {
        var template = FrameDependencyTemplate()
        while true {
            guard templates.count < Self.maximumTemplateCount else { throw .limitExceeded("dependency templates") }
            templates.append(template)
            maximumTemporalID = max(maximumTemporalID, template.temporalID)
            switch try reader.read(2) {
            case 0: break
            case 1: template.temporalID += 1
            case 2:
                template.temporalID = 0
                template.spatialID += 1
            default:
                maximumSpatialID = template.spatialID
                return
            }
            guard template.spatialID < Self.maximumLayerCount, template.temporalID < Self.maximumLayerCount else {
                throw .limitExceeded("layers of a dependency structure")
            }
        }
    }

    private mutating func readChains(_ reader: inout BitReader) throws(ParseError) {
        let targets = UInt32(truncatingIfNeeded: decodeTargetCount)
        let chains = try reader.readNonSymmetric(below: targets + 1)
        counts.chains = Int(chains)
        guard chains > 0 else { return }
        for target in 0..<decodeTargetCount {
            protectingChains[target] = UInt8(truncatingIfNeeded: try reader.readNonSymmetric(below: chains))
        }
        for index in templates.indices {
            for chain in 0..<chainCount {
                templates[index].chainDifferences[chain] = UInt8(truncatingIfNeeded: try reader.read(4))
            }
        }
    }

    /// decode_target_layers(): nothing is read, the highest layers follow from the indications.
    private mutating func findTargetLayers() {
        for target in 0..<decodeTargetCount {
            for template in templates where template.indications[target] != .notPresent {
                targetSpatialIDs[target] = max(targetSpatialIDs[target], template.spatialID)
                targetTemporalIDs[target] = max(targetTemporalIDs[target], template.temporalID)
            }
        }
    }
}
