// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// AV1 dependency descriptors: structure, frames, rewriting (AV1 RTP specification, appendix A).

import Testing

@testable import RTP

/// Writes descriptors field by field as appendix A.8.2 spells them, without any code of the parser.
struct DescriptorBits {
    private(set) var bits: [UInt8] = []

    mutating func f(_ width: Int, _ value: Int) {
        for bit in stride(from: width - 1, through: 0, by: -1) { bits.append(UInt8(value >> bit & 1)) }
    }

    mutating func ns(_ limit: Int, _ value: Int) {
        guard limit > 1 else { return }
        let width = Int.bitWidth - limit.leadingZeroBitCount
        let short = 1 << width - limit
        if value < short { f(width - 1, value) } else { f(width, value + short) }
    }

    mutating func mandatory(start: Bool, end: Bool, template: Int, frame: Int) {
        f(1, start ? 1 : 0)
        f(1, end ? 1 : 0)
        f(6, template)
        f(16, frame)
    }

    /// `dtis` as in the specification: one text of `-DSR` per template.
    mutating func structure(
        offset: Int, layers: [(s: Int, t: Int)], dtis: [String], fdiffs: [[Int]], protected: [Int], chains: [[Int]],
        resolutions: [(Int, Int)] = []
    ) {
        f(6, offset)
        let targets = dtis[0].count
        f(5, targets - 1)
        for index in layers.indices.dropFirst() {
            let before = layers[index - 1]
            f(2, layers[index].s > before.s ? 2 : layers[index].t > before.t ? 1 : 0)
        }
        f(2, 3)
        for template in dtis { indications(template) }
        for template in fdiffs {
            for difference in template { f(5, 16 | difference - 1) }
            f(1, 0)
        }
        let count = chains.first?.count ?? 0
        ns(targets + 1, count)
        if count > 0 {
            for chain in protected { ns(count, chain) }
            for template in chains { for difference in template { f(4, difference) } }
        }
        f(1, resolutions.isEmpty ? 0 : 1)
        for (width, height) in resolutions {
            f(16, width - 1)
            f(16, height - 1)
        }
    }

    mutating func indications(_ text: String) {
        for symbol in text { f(2, symbol == "-" ? 0 : symbol == "D" ? 1 : symbol == "S" ? 2 : 3) }
    }

    var bytes: [UInt8] {
        stride(from: 0, to: bits.count, by: 8).map { start in
            (0..<8).reduce(0) { $0 << 1 | (start + $1 < bits.count ? bits[start + $1] : 0) }
        }
    }
}

/// L1T3: three decode targets, one chain.
private func l1t3(frame: Int = 1, offset: Int = 60, mask: Int? = nil) -> [UInt8] {
    var bits = DescriptorBits()
    bits.mandatory(start: true, end: false, template: offset, frame: frame)
    bits.f(5, mask == nil ? 0b10000 : 0b11000)
    bits.structure(
        offset: offset, layers: [(0, 0), (0, 0), (0, 1), (0, 2), (0, 2)], dtis: ["SSS", "SSS", "-DS", "--D", "--D"],
        fdiffs: [[], [4], [2], [1], [1]], protected: [0, 0, 0], chains: [[0], [4], [2], [1], [3]],
        resolutions: [(1280, 720)])
    if let mask { bits.f(3, mask) }
    return bits.bytes
}

/// L2T2 with key frames only between layers: four decode targets, two chains, two sizes.
private let l2t2: [UInt8] = {
    var bits = DescriptorBits()
    bits.mandatory(start: true, end: true, template: 5, frame: 0xFFFF)
    bits.f(5, 0b10000)
    bits.structure(
        offset: 5, layers: [(0, 0), (0, 0), (0, 1), (1, 0), (1, 0), (1, 1)],
        dtis: ["SSSS", "SS--", "-D--", "--SS", "--SS", "---D"], fdiffs: [[], [4], [2], [4], [1], [2]],
        protected: [0, 0, 1, 1], chains: [[0, 0], [4, 3], [2, 1], [1, 4], [1, 1], [3, 2]],
        resolutions: [(640, 360), (1280, 720)])
    return bits.bytes
}()

private func read(
    _ bytes: [UInt8], _ structure: inout DependencyStructure?
) throws -> DependencyDescriptor {
    try DependencyDescriptor(parsing: bytes.span, structure: &structure)
}

extension DependencyDescriptor {
    fileprivate func symbols(_ count: Int) -> String {
        String((0..<count).map { "-DSR"["-DSR".index("-DSR".startIndex, offsetBy: Int(indications[$0].rawValue))] })
    }

    fileprivate var references: [UInt16] { (0..<frameDifferences.count).compactMap { frameDifferences[$0] } }
}

@Suite struct DependencyDescriptorTests {
    @Test func readsTheStructureOfAKeyframe() throws {
        var structure: DependencyStructure?
        let descriptor = try read(l1t3(), &structure)
        let header = descriptor.header
        #expect(header.startOfFrame && !header.endOfFrame && header.hasStructure && descriptor.isKeyframe)
        #expect(header.templateID == 60 && header.frameNumber == 1)
        #expect(descriptor.activeDecodeTargets == 0b111)
        #expect(descriptor.symbols(3) == "SSS" && descriptor.references.isEmpty)
        let known = try unwrap(structure)
        #expect(known.templates.count == 5 && known.decodeTargetCount == 3 && known.chainCount == 1)
        #expect(known.maximumSpatialID == 0 && known.maximumTemporalID == 2)
        #expect((0..<4).map { known.temporalID(ofDecodeTarget: $0) } == [0, 1, 2, nil])
        #expect((0..<4).map { known.chain(protecting: $0) } == [0, 0, 0, nil])
        #expect(known.resolution(ofSpatialLayer: 0)?.width == 1280)
        #expect(known.resolution(ofSpatialLayer: 0)?.height == 720)
        #expect(known.resolution(ofSpatialLayer: 1) == nil)
        #expect((0..<3).map { known.decodeTargets(containedIn: $0) } == [0b001, 0b011, 0b111])
    }

    @Test func framesAreResolvedAgainstTheStructureAcrossTheWrapOfIdentifiers() throws {
        var structure: DependencyStructure?
        _ = try read(l1t3(), &structure)
        // Identifiers 60...63 and 0 belong to the five templates.
        let last = try read(hex("C00005"), &structure)
        #expect(last.header.startOfFrame && last.header.endOfFrame && !last.isKeyframe)
        #expect(last.header.frameNumber == 5)
        #expect(last.spatialID == 0 && last.temporalID == 2)
        #expect(last.symbols(3) == "--D" && last.references == [1] && last.chainDifferences[0] == 3)
        #expect(last.activeDecodeTargets == nil)
        let base = try read(hex("7D0009"), &structure)
        #expect(base.temporalID == 0 && base.symbols(3) == "SSS" && base.references == [4])
    }

    @Test func readsSpatialLayers() throws {
        var structure: DependencyStructure?
        _ = try read(l2t2, &structure)
        let known = try unwrap(structure)
        #expect((0..<4).map { known.spatialID(ofDecodeTarget: $0) } == [0, 0, 1, 1])
        #expect((0..<4).map { known.temporalID(ofDecodeTarget: $0) } == [0, 1, 0, 1])
        #expect((0..<4).map { known.chain(protecting: $0) } == [0, 0, 1, 1])
        #expect(known.resolution(ofSpatialLayer: 0)?.height == 360)
        #expect(known.resolution(ofSpatialLayer: 1)?.height == 720)
        #expect((0..<4).map { known.decodeTargets(containedIn: $0) } == [0b0001, 0b0011, 0b0100, 0b1100])
        #expect(known.templates.map(\.spatialID) == [0, 0, 0, 1, 1, 1])
        #expect(known.templates.map(\.temporalID) == [0, 0, 1, 0, 0, 1])
        #expect(known.templates.map { $0.chainDifferences[1] } == [0, 3, 1, 4, 1, 2])
    }

    @Test func customFieldsReplaceThoseOfTheTemplate() throws {
        var structure: DependencyStructure?
        _ = try read(l2t2, &structure)
        var bits = DescriptorBits()
        bits.mandatory(start: true, end: false, template: 8, frame: 7)
        bits.f(5, 0b01111)
        bits.f(4, 0b0101)
        bits.indications("-DSR")
        for (size, difference) in [(1, 16), (2, 17), (3, 4096)] {
            bits.f(2, size)
            bits.f(4 * size, difference - 1)
        }
        bits.f(2, 0)
        bits.f(8, 200)
        bits.f(8, 3)
        let descriptor = try read(bits.bytes, &structure)
        #expect(descriptor.spatialID == 1 && descriptor.temporalID == 0)
        #expect(descriptor.activeDecodeTargets == 0b0101)
        #expect(descriptor.symbols(4) == "-DSR")
        #expect(descriptor.references == [16, 17, 4096])
        #expect(descriptor.chainDifferences[0] == 200 && descriptor.chainDifferences[1] == 3)
        #expect(descriptor.indications.presentTargets == 0b1110)
    }

    @Test func aFrameNeedsItsStructure() throws {
        var structure: DependencyStructure?
        #expect(throws: ParseError.malformed("no dependency structure yet")) { try read(hex("C00005"), &structure) }
        _ = try read(l1t3(), &structure)
        #expect(throws: ParseError.malformed("template of another dependency structure")) {
            try read(hex("C10005"), &structure)
        }
        #expect(DependencyDescriptorHeader(parsing: hex("C10005").span)?.frameNumber == 5)
        #expect(DependencyDescriptorHeader(parsing: hex("C100").span) == nil)
    }

    @Test func aStructureThatCannotBeReadDoesNotReplaceTheOldOne() throws {
        var structure: DependencyStructure?
        _ = try read(l1t3(), &structure)
        for length in 3..<l2t2.count {
            #expect(throws: ParseError.self) { try read(Array(l2t2[..<length]), &structure) }
            #expect(structure?.decodeTargetCount == 3)
        }
        _ = try read(l2t2, &structure)
        #expect(structure?.decodeTargetCount == 4)
    }

    @Test func limitsTemplatesLayersAndReferences() {
        var structure: DependencyStructure?
        func expectLimit(_ limit: StaticString, _ body: (inout DescriptorBits) -> Void) {
            var bits = DescriptorBits()
            bits.mandatory(start: true, end: true, template: 0, frame: 0)
            bits.f(5, 0b10000)
            bits.f(6, 0)
            bits.f(5, 0)
            body(&bits)
            bits.f(32, 0)
            #expect(throws: ParseError.limitExceeded(limit)) { try read(bits.bytes, &structure) }
        }
        expectLimit("dependency templates") { bits in for _ in 0..<64 { bits.f(2, 0) } }
        expectLimit("layers of a dependency structure") { bits in for _ in 0..<8 { bits.f(2, 1) } }
        expectLimit("layers of a dependency structure") { bits in for _ in 0..<8 { bits.f(2, 2) } }
        expectLimit("references of a frame") { bits in
            bits.f(2, 3)
            bits.f(2, 2)
            for _ in 0..<9 { bits.f(5, 16) }
        }
        #expect(throws: ParseError.limitExceeded("dependency descriptor length")) {
            try read([UInt8](repeating: 0, count: 256), &structure)
        }
        #expect(structure == nil)
    }

    @Test(arguments: [l1t3(), l1t3(mask: 5), l2t2, hex("87000540FC"), hex("8700056F FFFF FFFF FFFF")])
    func damagedDescriptorsNeverTrap(_ message: [UInt8]) throws {
        var seed: DependencyStructure?
        _ = try read(l2t2, &seed)
        forEachMutation(of: message) { mutant in
            var structure = seed
            guard let descriptor = try? read(mutant, &structure), let structure else { return }
            #expect(descriptor.bitCount <= mutant.count * 8)
            #expect(structure.templates.count <= 64 && structure.chainCount <= structure.decodeTargetCount)
        }
    }
}

@Suite struct DependencyDescriptorRewriteTests {
    private func rewritten(
        _ bytes: [UInt8], _ structure: inout DependencyStructure?, _ rewrite: DependencyDescriptorRewrite,
        capacity: Int = 255
    ) throws -> [UInt8]? {
        let descriptor = try read(bytes, &structure)
        let targets = try unwrap(structure).decodeTargetCount
        var memory = [UInt8](repeating: 0xA5, count: capacity + 1)
        let length = try unsafe withMemory(of: &memory) {
            unsafe descriptor.write(
                rewrite, of: bytes.span, decodeTargetCount: targets, into: $0,
                capacity: capacity)
        }
        #expect(memory.last == 0xA5)
        return length.map { Array(memory[..<$0]) }
    }

    @Test func withoutMaskAPlainDescriptorKeepsItsThreeBytes() throws {
        var structure: DependencyStructure?
        _ = try read(l1t3(), &structure)
        let rewrite = DependencyDescriptorRewrite(frameNumber: 0x1234, templateIDDelta: 5)
        #expect(try rewritten(hex("C00005"), &structure, rewrite) == hex("C51234"))
        // A mask that is dropped leaves nothing behind the three bytes.
        var bits = DescriptorBits()
        bits.mandatory(start: true, end: true, template: 0, frame: 5)
        bits.f(5, 0b01000)
        bits.f(3, 0b011)
        #expect(try rewritten(bits.bytes, &structure, rewrite) == hex("C51234"))
    }

    @Test func aMaskIsAddedOrReplaced() throws {
        var structure: DependencyStructure?
        _ = try read(l1t3(), &structure)
        let rewrite = DependencyDescriptorRewrite(frameNumber: 6, activeDecodeTargets: 0b011)
        let added = try unwrap(try rewritten(hex("C00005"), &structure, rewrite))
        #expect(added == hex("C0000643"))
        #expect(try read(added, &structure).activeDecodeTargets == 0b011)
        let other = DependencyDescriptorRewrite(frameNumber: 7, activeDecodeTargets: 0b001)
        #expect(try rewritten(added, &structure, other) == hex("C0000741"))
    }

    @Test func aStructureMovesWithItsTemplates() throws {
        for mask in [nil, 0b001, 0b111] as [UInt32?] {
            for original in [l1t3(), l1t3(mask: 0b101)] {
                var structure: DependencyStructure?
                let rewrite = DependencyDescriptorRewrite(
                    frameNumber: 0xFFFF, templateIDDelta: 10, activeDecodeTargets: mask)
                let bytes = try unwrap(try rewritten(original, &structure, rewrite))
                #expect(bytes == l1t3(frame: 0xFFFF, offset: 60, mask: mask.map(Int.init)).moved(by: 10))
            }
        }
    }

    @Test func customFieldsAreCopied() throws {
        var structure: DependencyStructure?
        _ = try read(l2t2, &structure)
        var bits = DescriptorBits()
        bits.mandatory(start: false, end: true, template: 9, frame: 7)
        bits.f(5, 0b00111)
        bits.indications("-DSR")
        bits.f(2, 3)
        bits.f(12, 4000)
        bits.f(2, 0)
        bits.f(8, 200)
        bits.f(8, 100)
        let before = try read(bits.bytes, &structure)
        let rewrite = DependencyDescriptorRewrite(frameNumber: 8, activeDecodeTargets: 0b0011)
        let after = try read(try unwrap(try rewritten(bits.bytes, &structure, rewrite)), &structure)
        #expect(after.header.frameNumber == 8 && after.activeDecodeTargets == 0b0011)
        #expect(after.indications == before.indications && after.references == before.references)
        #expect(after.chainDifferences[0] == 200 && after.chainDifferences[1] == 100)
    }

    @Test func refusesWhatDoesNotFit() throws {
        var structure: DependencyStructure?
        _ = try read(l1t3(), &structure)
        let rewrite = DependencyDescriptorRewrite(frameNumber: 6, activeDecodeTargets: 0b011)
        #expect(try rewritten(hex("C00005"), &structure, rewrite, capacity: 3) == nil)
        #expect(try rewritten(hex("C00005"), &structure, rewrite, capacity: 4) != nil)
        #expect(try rewritten(l1t3(), &structure, rewrite, capacity: l1t3().count - 1) == nil)
    }
}

extension [UInt8] {
    /// The descriptor with `delta` added to its template identifier and to the offset of its structure.
    fileprivate func moved(by delta: UInt8) -> [UInt8] {
        var moved = self
        moved[0] = self[0] & 0xC0 | (self[0] &+ delta) & 0x3F
        let offset = (self[3] & 0x07) << 3 | self[4] >> 5
        let other = (offset + delta) & 0x3F
        moved[3] = self[3] & 0xF8 | other >> 3
        moved[4] = self[4] & 0x1F | other << 5
        return moved
    }
}
