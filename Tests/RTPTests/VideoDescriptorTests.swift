// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// VP8, VP9, H.264, H.265 and AV1 payload descriptors (RFC 7741, RFC 9628, RFC 6184, RFC 7798, AV1 RTP section 4.4).

import Testing

@testable import RTP

@Suite struct VP8PayloadDescriptorTests {
    /// Picture 0x1234, TL0PICIDX 0x56, TID 2, Y, KEYIDX 9; keyframe of 640 x 360.
    private let keyframe = hex("90 F0 9234 56 A9 1000009D012A 8002 6841 FFFF")

    @Test func readsEveryField() throws {
        let descriptor = try unwrap(VP8PayloadDescriptor(parsing: keyframe.span))
        #expect(descriptor.length == 6)
        #expect(descriptor.startOfPartition && descriptor.partitionIndex == 0 && descriptor.isStartOfFrame)
        #expect(!descriptor.isNonReference)
        #expect(descriptor.pictureID == 0x1234 && descriptor.hasWidePictureID && descriptor.pictureIDOffset == 2)
        #expect(descriptor.tl0PicIdx == 0x56 && descriptor.tl0PicIdxOffset == 4)
        #expect(descriptor.temporalLayer == 2 && descriptor.layerSync && descriptor.keyIndex == 9)
        #expect(descriptor.isKeyframe)
        // The upper two bits of the height are its scale.
        #expect(descriptor.width == 640 && descriptor.height == 360)
    }

    @Test(arguments: [
        ("10 01", 1, false), ("10 00", 1, true), ("00 00", 1, false), ("11 00", 1, false),
        ("90 80 05 00", 3, true), ("90 40 05 00", 3, true), ("90 20 C0 00", 3, true), ("90 10 1F 00", 3, true),
        ("90 00 00", 2, true), ("10", 1, false),
    ])
    func lengthAndKeyframeFollowTheBits(_ text: String, _ length: Int, _ isKeyframe: Bool) throws {
        let descriptor = try unwrap(VP8PayloadDescriptor(parsing: hex(text).span))
        #expect(descriptor.length == length)
        #expect(descriptor.isKeyframe == isKeyframe)
        #expect(descriptor.width == nil)
    }

    @Test func absentFieldsAreNil() throws {
        let plain = try unwrap(VP8PayloadDescriptor(parsing: hex("1000").span))
        #expect(plain.pictureID == nil && plain.tl0PicIdx == nil && plain.temporalLayer == nil && plain.keyIndex == nil)
        let onlyKeyIndex = try unwrap(VP8PayloadDescriptor(parsing: hex("9010FF00").span))
        #expect(onlyKeyIndex.temporalLayer == nil && onlyKeyIndex.keyIndex == 31)
        let onlyTID = try unwrap(VP8PayloadDescriptor(parsing: hex("9020FF00").span))
        #expect(onlyTID.temporalLayer == 3 && onlyTID.keyIndex == nil)
    }

    @Test(arguments: ["", "90", "9080", "908080", "90C005", "90E00506"])
    func refusesADescriptorThatIsCut(_ text: String) { #expect(VP8PayloadDescriptor(parsing: hex(text).span) == nil) }

    @Test(arguments: [
        ("90F0 9234 56 A9", 0xFABC, 0x77, "90F0 FABC 77 A9"), ("90C0 12 56", 0x1281, 0x77, "90C0 01 77"),
        ("9040 56", 1, 2, "9040 02"), ("9080 12", 0x7F, 2, "9080 7F"), ("10", 1, 2, "10"),
    ])
    func rewritesWhatIsThere(_ before: String, _ picture: UInt16, _ base: UInt8, _ after: String) throws {
        var bytes = hex(before)
        let descriptor = try unwrap(VP8PayloadDescriptor(parsing: bytes.span))
        try unsafe withMemory(of: &bytes) {
            unsafe descriptor.rewrite(pictureID: picture, tl0PicIdx: base, in: $0)
        }
        #expect(bytes == hex(after))
    }

    @Test func damagedPayloadsNeverTrap() {
        forEachMutation(of: keyframe) { mutant in
            guard let descriptor = VP8PayloadDescriptor(parsing: mutant.span) else { return }
            #expect(descriptor.length <= min(mutant.count, VP8PayloadDescriptor.maximumLength))
            #expect(descriptor.pictureIDOffset < descriptor.length && descriptor.tl0PicIdxOffset < descriptor.length)
        }
    }
}

@Suite struct VP9PayloadDescriptorTests {
    /// Not flexible, picture 0x1234, TID 0, U, SID 0, TL0PICIDX 0x56, structure of 3 layers and a pattern of 4 pictures.
    private let keyframe = hex(
        """
        AA 9234 10 56
        58 0140 00B4 0280 0168 0500 02D0 04 00 54 01 34 01 54 01
        """)

    @Test func readsEveryFieldOfAKeyframe() throws {
        let descriptor = try unwrap(VP9PayloadDescriptor(parsing: (keyframe + [0x82]).span))
        #expect(descriptor.length == keyframe.count)
        #expect(!descriptor.isInterPicturePredicted && !descriptor.isFlexible)
        #expect(descriptor.startOfFrame && !descriptor.endOfFrame && !descriptor.isNotReferenceForUpperLayers)
        #expect(descriptor.pictureID == 0x1234 && descriptor.hasWidePictureID && descriptor.pictureIDOffset == 1)
        #expect(descriptor.temporalLayer == 0 && descriptor.spatialLayer == 0)
        #expect(descriptor.isSwitchingUpPoint && !descriptor.isInterLayerPredicted)
        #expect(descriptor.tl0PicIdx == 0x56 && descriptor.tl0PicIdxOffset == 4)
        #expect(descriptor.isKeyframe)
        let structure = try unwrap(descriptor.structure)
        #expect(structure.spatialLayerCount == 3 && structure.pictureCount == 4)
        #expect(structure.size(ofLayer: 0)?.width == 320 && structure.size(ofLayer: 0)?.height == 180)
        #expect(structure.size(ofLayer: 2)?.width == 1280 && structure.size(ofLayer: 2)?.height == 720)
        #expect(structure.size(ofLayer: 3) == nil)
        #expect((0..<8).map { structure.pictures(ofTemporalLayer: $0) } == [1, 1, 2, 0, 0, 0, 0, 0])
    }

    @Test func readsReferencesOfFlexibleMode() throws {
        let descriptor = try unwrap(VP9PayloadDescriptor(parsing: hex("F5 12 27 03 05 08 FF").span))
        #expect(descriptor.isFlexible && descriptor.endOfFrame && !descriptor.startOfFrame)
        #expect(descriptor.isNotReferenceForUpperLayers)
        #expect(descriptor.pictureID == 0x12 && !descriptor.hasWidePictureID)
        #expect(descriptor.temporalLayer == 1 && descriptor.spatialLayer == 3 && descriptor.isInterLayerPredicted)
        #expect(descriptor.tl0PicIdx == nil)
        #expect((0..<4).map { descriptor.pictureDifference($0) } == [1, 2, 4, nil])
        #expect(descriptor.length == 6)
        #expect(!descriptor.isKeyframe)
    }

    @Test(arguments: [
        ("08", true), ("48", false), ("28 00 00", true), ("28 02 00", true), ("28 03 00", false), ("28 01 00", true),
    ])
    func keyframesAreNotPredicted(_ text: String, _ isKeyframe: Bool) throws {
        #expect(try unwrap(VP9PayloadDescriptor(parsing: hex(text).span)).isKeyframe == isKeyframe)
    }

    @Test(arguments: [
        "", "80", "8080", "20", "2000", "70", "7000", "50 03 05 07 08", "02", "02 10 0000", "02 08", "02 08 01",
        "02 08 01 04",
    ])
    func refusesADescriptorThatIsCut(_ text: String) { #expect(VP9PayloadDescriptor(parsing: hex(text).span) == nil) }

    @Test func rewritesWhatIsThere() throws {
        var bytes = keyframe
        let descriptor = try unwrap(VP9PayloadDescriptor(parsing: bytes.span))
        try unsafe withMemory(of: &bytes) {
            unsafe descriptor.rewrite(pictureID: 0x7ABC, tl0PicIdx: 9, in: $0)
        }
        let again = try unwrap(VP9PayloadDescriptor(parsing: bytes.span))
        #expect(again.pictureID == 0x7ABC && again.tl0PicIdx == 9)
        #expect(bytes.count == keyframe.count && again.structure?.pictureCount == 4)
    }

    @Test func damagedPayloadsNeverTrap() {
        for message in [keyframe, hex("F5 12 27 03 05 08 FF")] {
            forEachMutation(of: message) { mutant in
                guard let descriptor = VP9PayloadDescriptor(parsing: mutant.span) else { return }
                #expect(descriptor.length <= mutant.count)
            }
        }
    }
}

@Suite struct NALUnitPayloadTests {
    @Test(arguments: [
        ("67 42E01F", true, false, true), ("65 88", false, true, true), ("68 CE", false, false, false),
        ("41 9A", false, false, false), ("18 0002 6742 0002 68CE 0002 6588", true, true, true),
        ("18 0002 0901 0003 419A00", false, false, false), ("7C 85 88", false, true, true),
        ("7C 05 88", false, false, false), ("7C 45 88", false, false, false), ("7C 81 9A", false, false, false),
        ("7D 85 0001 88", false, true, true),
    ])
    func h264KeyframesStartWithParametersOrAnIDRSlice(
        _ text: String, _ hasParameters: Bool, _ hasSlice: Bool, _ isKeyframe: Bool
    ) throws {
        let payload = try unwrap(H264Payload(parsing: hex(text).span))
        #expect(payload.hasSequenceParameterSet == hasParameters)
        #expect(payload.hasIDRSlice == hasSlice)
        #expect(payload.isKeyframe == isKeyframe)
    }

    @Test func h264PictureParametersAloneAreNoKeyframe() throws {
        let payload = try unwrap(H264Payload(parsing: hex("68CE").span))
        #expect(payload.hasPictureParameterSet && !payload.isKeyframe)
    }

    @Test(arguments: ["", "18", "18 0002 67", "18 0000 67", "18 0001 67 00", "7C"])
    func h264RefusesWhatDoesNotAddUp(_ text: String) { #expect(H264Payload(parsing: hex(text).span) == nil) }

    @Test(arguments: [
        ("4001 0C", true), ("4201 01", true), ("4401 C0", true), ("2601 AF", true), ("2A01 AF", true),
        ("0201 D0", false), ("6001 0003 420101 0003 2601AF", true), ("6001 0003 0201D0", false), ("6201 93", true),
        ("6201 13", false), ("6201 81", false),
    ])
    func h265KeyframesStartWithParametersOrARandomAccessSlice(_ text: String, _ isKeyframe: Bool) throws {
        #expect(try unwrap(H265Payload(parsing: hex(text).span)).isKeyframe == isKeyframe)
    }

    @Test(arguments: ["", "40", "6001", "6001 0003 4201", "6001 0000 4201", "6201"])
    func h265RefusesWhatDoesNotAddUp(_ text: String) { #expect(H265Payload(parsing: hex(text).span) == nil) }

    @Test func damagedPayloadsNeverTrap() {
        forEachMutation(of: hex("18 0002 6742 0002 68CE 0002 6588")) { mutant in
            if let payload = H264Payload(parsing: mutant.span) { #expect(!payload.isKeyframe || !mutant.isEmpty) }
        }
        forEachMutation(of: hex("6001 0003 420101 0003 2601AF")) { mutant in
            if let payload = H265Payload(parsing: mutant.span) { #expect(!payload.isKeyframe || mutant.count > 1) }
        }
    }

    @Test func av1SequencesStartWithTheNBit() throws {
        let first = try unwrap(AV1PayloadDescriptor(parsing: hex("58 0A").span))
        #expect(first.startsSequence && first.isContinued && !first.continuesUnit && first.unitCount == 1)
        #expect(try unwrap(AV1PayloadDescriptor(parsing: hex("A0").span)).startsSequence == false)
        #expect(AV1PayloadDescriptor(parsing: hex("88").span) == nil)
        #expect(AV1PayloadDescriptor(parsing: hex("").span) == nil)
    }
}

@Suite struct VideoLayersAllocationTests {
    @Test func readsTwoStreamsWithTheSameLayersAndSizes() throws {
        // Stream 1 of 2, one spatial layer each; 2 and 3 temporal layers; bitrates; sizes.
        let element = hex("51 60 64 C801 AC02 F403 D804 013F 00B3 0F 027F 0167 1E")
        let allocation = try VideoLayersAllocation(parsing: element.span)
        #expect(allocation.stream == 1 && allocation.streamCount == 2)
        #expect(allocation.layers.map(\.stream) == [0, 1])
        #expect(allocation.layers.map(\.spatialID) == [0, 0])
        #expect(allocation.layers.map(\.temporalLayerCount) == [2, 3])
        #expect(allocation.layers.map(\.targetBitrates) == [SIMD4(100, 200, 0, 0), SIMD4(300, 500, 600, 0)])
        #expect(allocation.layers.map(\.width) == [320, 640])
        #expect(allocation.layers.map(\.height) == [180, 360])
        #expect(allocation.layers.map(\.frameRate) == [15, 30])
    }

    @Test func readsAMaskPerStreamWithoutSizes() throws {
        // Streams of 1, 0 and 2 spatial layers.
        let allocation = try VideoLayersAllocation(parsing: hex("20 1030 00 01 02 03").span)
        #expect(allocation.layers.map(\.stream) == [0, 2, 2])
        #expect(allocation.layers.map(\.spatialID) == [0, 0, 1])
        #expect(allocation.layers.map(\.targetBitrates[0]) == [1, 2, 3])
        #expect(allocation.layers.allSatisfy { $0.width == nil })
    }

    @Test func aLoneZeroMeansThatNothingIsSent() throws {
        #expect(try VideoLayersAllocation(parsing: hex("00").span).layers.isEmpty)
    }

    @Test(arguments: ["", "01", "0100", "0100 80", "30 11", "01 00 05 013F 00B3"])
    func refusesWhatIsCut(_ text: String) {
        #expect(throws: ParseError.truncated) { try VideoLayersAllocation(parsing: hex(text).span) }
    }

    @Test func damagedElementsNeverTrap() {
        forEachMutation(of: hex("51 60 64 C801 AC02 F403 D804 013F 00B3 0F 027F 0167 1E")) { mutant in
            guard let allocation = try? VideoLayersAllocation(parsing: mutant.span) else { return }
            #expect(allocation.layers.count <= 16)
        }
    }
}
