// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Testing

@testable import RTP

/// What a real browser sends, read by every parser; then the same packets damaged.
@Suite struct CaptureTests {
    /// Who sends; the other recordings are of those who only watch.
    private static let senders = Capture.all.filter { !$0.name.hasSuffix("-receiver") }
    private static let video: Set<Capture.Codec> = [.vp8, .vp9, .av1, .h264]
    private static let audioLevel: UInt8 = 1
    private static let transportSequence: UInt8 = 5
    private static let dependencyDescriptor: UInt8 = 11

    @Test func everyCodecIsRecorded() throws {
        var codecs: Set<Capture.Codec> = []
        for capture in Self.senders { codecs.formUnion(try capture.streams().map(\.codec)) }
        #expect(codecs.isSuperset(of: Self.video.union([.opus])))
        #expect(Capture.all.reduce(0) { $0 + $1.packets.count } > 2000)
    }

    @Test(arguments: senders) func everyPacketHasWhatWasNegotiated(capture: Capture) throws {
        for packet in capture.packets where !packet.isRTCP {
            let media = try MediaPacket(packet)
            #expect(media.element(Self.transportSequence)?.count == 2)
            var walk = ExtensionWalk(media.header)
            while walk.next(in: packet.bytes.span) != nil {}
            if media.codec == .opus {
                let element = try #require(media.element(Self.audioLevel))
                #expect(element.count == 1)
                #expect(media.header.payloadLength > 0)
            }
        }
    }

    /// The fake device beeps once a second.
    @Test(arguments: senders) func audioLevelsRiseWithTheBeeps(capture: Capture) throws {
        let levels = try capture.packets.filter { !$0.isRTCP }.map { try MediaPacket($0) }.filter { $0.codec == .opus }
            .compactMap { $0.element(Self.audioLevel)?.first }.map { AudioLevel(octet: $0).level }
        #expect(try #require(levels.min()) < 40)
        #expect(try #require(levels.max()) > 60)
    }

    @Test(arguments: senders) func nothingWasLostAndEveryPayloadDescriptorParses(capture: Capture) throws {
        for (_, codec, packets) in try capture.streams() where codec.repaired == nil {
            let first = try #require(packets.first).sequence.rawValue
            #expect(packets.map { $0.sequence.rawValue - first } == Array(0..<UInt64(packets.count)))
            for packet in packets where packet.header.payloadLength > 0 { #expect(packet.startsKeyframe != nil) }
        }
    }

    @Test(arguments: senders) func everyStreamOfVideoStartsWithAKeyframe(capture: Capture) throws {
        for (_, codec, packets) in try capture.streams() where Self.video.contains(codec) {
            let first = try #require(packets.first { $0.header.payloadLength > 0 })
            #expect(first.startsKeyframe == true)
            // Most frames are not.
            #expect(packets.count { $0.startsKeyframe == true } * 4 < packets.count)
        }
    }

    @Test(arguments: Capture.all.filter { $0.name.hasSuffix("-receiver") })
    func aRequestIsAnsweredByAKeyframe(receiver: Capture) throws {
        let sender = try #require(Self.senders.first { $0.name + "-receiver" == receiver.name })
        let keyframes = try sender.packets.filter { !$0.isRTCP }.map { try MediaPacket($0) }
            .filter { Self.video.contains($0.codec) && $0.startsKeyframe == true }.map(\.packet.milliseconds)
        let end = try #require(sender.packets.last).milliseconds
        var requests = 0
        for packet in receiver.packets {
            var compound = try RTCPCompound(parsing: packet.bytes.span)
            while let block = compound.next() {
                guard block.type == .payloadFeedback, block.count == RTCPFeedbackFormat.pictureLossIndication else {
                    continue
                }
                _ = try PictureLossIndication(block, in: packet.bytes.span)
                requests += 1
                guard packet.milliseconds + 1000 < end else { continue }
                let answers = (packet.milliseconds - 300)...(packet.milliseconds + 1000)
                #expect(keyframes.contains { answers.contains($0) })
            }
        }
        #expect(requests > 0)
    }

    @Test(arguments: senders) func retransmissionsRepeatWhatWasSent(capture: Capture) throws {
        let streams = try capture.streams()
        var repairs = 0
        for (_, codec, packets) in streams {
            guard let repaired = codec.repaired else { continue }
            let originals = streams.filter { $0.codec == repaired }.flatMap(\.packets)
            for packet in packets where packet.header.payloadLength > Retransmission.headerLength {
                let number = try unwrap(Retransmission.originalSequenceNumber(of: packet.payload.span))
                let rest = Array(packet.payload.dropFirst(Retransmission.headerLength))
                #expect(originals.contains { $0.header.sequenceNumber == number && $0.payload == rest })
                repairs += 1
            }
        }
        #expect(repairs > 0)
    }

    // MARK: Continuity

    /// `values` go up by one from frame to frame, modulo 2^bits; packets of a frame repeat its value.
    private func expectContinuous(_ values: [UInt16], bits: UInt16, sourceLocation: SourceLocation = #_sourceLocation) {
        let mask = bits == 16 ? UInt16.max : 1 << bits - 1
        for (before, after) in zip(values, values.dropFirst()) {
            let step = (after &- before) & mask
            #expect(step <= 1, "\(before) then \(after)", sourceLocation: sourceLocation)
        }
        #expect(Set(values).count > 15, sourceLocation: sourceLocation)
    }

    @Test func pictureIDsOfVP8AreContinuous() throws {
        let capture = try #require(Self.senders.first { $0.name == "vp8-simulcast" })
        let streams = try capture.streams().filter { $0.codec == .vp8 }
        #expect(streams.count == 3)
        for (_, _, packets) in streams {
            let descriptors = packets.filter { $0.header.payloadLength > 0 }.compactMap {
                VP8PayloadDescriptor(parsing: $0.payload.span)
            }
            for descriptor in descriptors {
                #expect(descriptor.hasWidePictureID && descriptor.tl0PicIdx != nil && descriptor.temporalLayer != nil)
            }
            expectContinuous(descriptors.compactMap(\.pictureID), bits: 15)
        }
        let widths = streams.compactMap { $0.packets.first }.compactMap {
            VP8PayloadDescriptor(parsing: $0.payload.span)?.width
        }
        #expect(widths.sorted() == [320, 640, 1280])
    }

    @Test func withADependencyDescriptorVP8HasNoPictureIDs() throws {
        let capture = try #require(Self.senders.first { $0.name == "vp8-simulcast-dd" })
        for (_, codec, packets) in try capture.streams() where codec == .vp8 {
            for packet in packets where packet.header.payloadLength > 0 {
                let descriptor = try unwrap(VP8PayloadDescriptor(parsing: packet.payload.span))
                #expect(descriptor.pictureID == nil && descriptor.tl0PicIdx == nil)
            }
        }
    }

    @Test func pictureIDsOfVP9AreContinuousOverAllSpatialLayers() throws {
        for (_, codec, packets) in try Self.senders.flatMap({ try $0.streams() }) where codec == .vp9 {
            let descriptors = packets.filter { $0.header.payloadLength > 0 }.compactMap {
                VP9PayloadDescriptor(parsing: $0.payload.span)
            }
            expectContinuous(descriptors.compactMap(\.pictureID), bits: 15)
            #expect(Set(descriptors.compactMap(\.spatialLayer)) == [0, 1, 2])
            let structure = try #require(descriptors.first?.structure)
            #expect(structure.spatialLayerCount == 3)
            #expect(structure.size(ofLayer: 2).map { [$0.width, $0.height] } == [1280, 720])
        }
    }

    @Test(arguments: senders.filter(\.describesDependencies))
    func dependencyDescriptorsAreContinuousAndResolve(capture: Capture) throws {
        for (_, codec, packets) in try capture.streams() where Self.video.contains(codec) {
            var structure: DependencyStructure?
            var numbers: [UInt16] = []
            for packet in packets where packet.header.payloadLength > 0 {
                let element = try #require(packet.element(Self.dependencyDescriptor))
                let descriptor = try DependencyDescriptor(parsing: element.span, structure: &structure)
                numbers.append(descriptor.header.frameNumber)
                if descriptor.header.startOfFrame, packet.startsKeyframe == true {
                    #expect(descriptor.isKeyframe)
                }
                if codec == .av1 { #expect(descriptor.isKeyframe == (packet.startsKeyframe == true)) }
            }
            // Simulcast encodings share the numbering: each has gaps, which the others fill.
            if capture.name.contains("simulcast") { continue }
            expectContinuous(numbers, bits: 16)
        }
    }

    @Test func simulcastEncodingsShareTheNumbersOfFrames() throws {
        let capture = try #require(Self.senders.first { $0.name == "vp8-simulcast-dd" })
        let streams = try capture.streams().filter { $0.codec == .vp8 }
        #expect(streams.count == 3)
        var owners: [UInt16: SSRC] = [:]
        for (ssrc, _, packets) in streams {
            for packet in packets where packet.header.payloadLength > 0 {
                let element = try #require(packet.element(Self.dependencyDescriptor))
                let number = try unwrap(DependencyDescriptorHeader(parsing: element.span)).frameNumber
                #expect(owners[number] == nil || owners[number] == ssrc)
                owners[number] = ssrc
            }
        }
        let numbers = owners.keys.sorted()
        #expect(zip(numbers, numbers.dropFirst()).count { $1 - $0 > 1 } <= 1, "one seam at most, where it wraps")
    }

    // MARK: RTCP

    @Test(arguments: Capture.all) func everyCompoundParses(capture: Capture) throws {
        var blocks = 0
        for packet in capture.packets where packet.isRTCP { blocks += try read(packet.bytes.span) }
        #expect(blocks > 5)
    }

    /// Reads every block; returns how many there were.
    @discardableResult
    private func read(_ bytes: Span<UInt8>) throws -> Int {
        var blocks = 0
        var compound = try RTCPCompound(parsing: bytes)
        while let block = compound.next() {
            blocks += 1
            switch (block.type, block.count) {
            case (.senderReport, _): _ = try SenderReport(block, in: bytes)
            case (.receiverReport, _):
                let reports = try ReceiverReport(block, in: bytes).reports
                for i in 0..<reports.count { _ = reports.block(i, in: bytes) }
            case (.sourceDescription, _):
                var items = try SourceDescription(block, in: bytes)
                while items.next(in: bytes) != nil {}
            case (.transportFeedback, RTCPFeedbackFormat.transportWideCC):
                var statuses = try TransportFeedback(block, in: bytes).statuses
                while statuses.next(in: bytes) != nil {}
            case (.transportFeedback, RTCPFeedbackFormat.genericNACK):
                var lost = try GenericNACK(block, in: bytes)
                while lost.next(in: bytes) != nil {}
            case (.payloadFeedback, RTCPFeedbackFormat.pictureLossIndication):
                _ = try PictureLossIndication(block, in: bytes)
            case (.payloadFeedback, RTCPFeedbackFormat.applicationLayer):
                _ = try ReceiverEstimatedMaximumBitrate(block, in: bytes)
            default: break
            }
        }
        return blocks
    }

    // MARK: Damage

    /// Everything that reads RTP, on bytes that may be anything. Errors and values are both fine.
    private func readAll(_ bytes: Span<UInt8>, codec: Capture.Codec) {
        guard let header = try? RTPHeader(parsingPlaintext: bytes) else { return }
        var structure: DependencyStructure?
        var walk = ExtensionWalk(header)
        while let element = walk.next(in: bytes) {
            if element.id.rawValue == Self.dependencyDescriptor {
                _ = try? DependencyDescriptor(parsing: bytes.extracting(element.value), structure: &structure)
            }
        }
        readPayload(bytes.extracting(header.payloadRange), codec: codec.repaired ?? codec)
    }

    private func readPayload(_ payload: Span<UInt8>, codec: Capture.Codec) {
        switch codec {
        case .vp8: _ = VP8PayloadDescriptor(parsing: payload)
        case .vp9: _ = VP9PayloadDescriptor(parsing: payload)
        case .h264: _ = H264Payload(parsing: payload)
        case .av1: _ = AV1PayloadDescriptor(parsing: payload)
        default: _ = Retransmission.originalSequenceNumber(of: payload)
        }
    }

    /// The first packet of each stream cut at every length; then of a seeded choice of packets the part where parsers
    /// look, cut and changed.
    @Test(arguments: senders) func damagedMediaIsAnErrorOrAValue(capture: Capture) throws {
        var generator = SeededGenerator(seed: 20)
        var read = 0
        for (_, codec, packets) in try capture.streams() {
            for (i, packet) in ([packets[0]] + (0..<8).compactMap { _ in packets.randomElement(using: &generator) })
                .enumerated()
            {
                let bytes = packet.packet.bytes
                let payload = packet.payload
                let head = min(packet.header.headerLength + 40, bytes.count)
                for length in 0...(i == 0 ? bytes.count : head) {
                    readAll(bytes.span.extracting(first: length), codec: codec)
                    readPayload(payload.span.extracting(first: length), codec: codec)
                    read += 2
                }
                for _ in 0..<300 {
                    var mutant = Array(bytes[..<head])
                    for _ in 0..<Int.random(in: 1...3, using: &generator) {
                        mutant[Int.random(in: 0..<head, using: &generator)] = UInt8.random(
                            in: 0...255, using: &generator)
                    }
                    readAll(mutant.span, codec: codec)
                    read += 1
                }
            }
        }
        #expect(read > 1000)
    }

    @Test(arguments: Capture.all) func damagedRTCPIsAnErrorOrAValue(capture: Capture) {
        var generator = SeededGenerator(seed: 21)
        let compounds = capture.packets.filter(\.isRTCP)
        for bytes in (0..<10).compactMap({ _ in compounds.randomElement(using: &generator)?.bytes }) {
            for length in 0...bytes.count { _ = try? read(bytes.span.extracting(first: length)) }
            for _ in 0..<300 {
                var mutant = bytes
                for _ in 0..<Int.random(in: 1...3, using: &generator) {
                    mutant[Int.random(in: mutant.indices, using: &generator)] = UInt8.random(
                        in: 0...255, using: &generator)
                }
                _ = try? read(mutant.span)
            }
        }
    }
}
