// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import RTP
import Testing

@testable import Bridge

/// At which packets a receiver can start, codec by codec: in doubt it waits for ever or sees rubbish.
struct KeyframeStartTests {
    private static let descriptorID: UInt8 = 11

    /// Whether a stream takes the payload, and then for the start of a keyframe; nil when it is refused.
    private func startsKeyframe(
        _ codec: PayloadFormat.Codec, _ payload: [UInt8], dependencyDescriptor: [UInt8] = []
    ) throws -> Bool? {
        let slab = SlotSlab()
        let stream = ReceiveStream(
            ssrc: SSRC(rawValue: 1), kind: .video, encoding: 0, source: 0, id: StreamID(rawValue: 0),
            nominalHeight: 180, clockRate: 90000, slab: slab)
        var packet: [UInt8] = [0x80, 100, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1]
        var extensions = ExtensionMap()
        if !dependencyDescriptor.isEmpty {
            extensions[.dependencyDescriptor] = ExtensionID(rawValue: Self.descriptorID)
            var elements = [Self.descriptorID << 4 | UInt8(dependencyDescriptor.count - 1)] + dependencyDescriptor
            while elements.count % 4 != 0 { elements.append(0) }
            packet[0] |= 0x10
            packet += [0xBE, 0xDE, 0, UInt8(elements.count / 4)] + elements
        }
        packet += payload
        let header = try RTPHeader(parsingPlaintext: packet.span)
        let outcome = stream.accept(
            1, header: header, in: packet.span, slot: try #require(slab.take(length: packet.count)),
            payload: header.payloadRange,
            format: PayloadFormat(codec: codec, kind: .video, clockRate: 90000, repairs: nil),
            payloadType: header.payloadType, extensions: extensions, retransmitted: false, now: Instant(nanoseconds: 0))
        guard case .accepted(let sequence) = outcome else { return nil }
        return unsafe stream.ring.entry(sequence)?.pointee.flags.contains(.keyframeStart)
    }

    @Test(
        arguments: [
            // B, E; picture ID; layers SID 0, TL0PICIDX.
            ([0xAC, 5, 0x00, 1, 0x82], true),
            // Not the start of the frame.
            ([0xA4, 5, 0x00, 1, 0x82], false),
            // P: predicted.
            ([0xEC, 5, 0x00, 1, 0x82], false),
            // Spatial layer 1 of a key picture.
            ([0xAC, 5, 0x03, 1, 0x82], false),
            // Neither layers nor picture ID.
            ([0x08, 0x82], true),
            // Ends inside the descriptor.
            ([0xAC, 5], nil),
        ] as [([UInt8], Bool?)])
    func vp9StartsAtTheLowestLayerOfAKeyPicture(payload: [UInt8], expected: Bool?) throws {
        #expect(try startsKeyframe(.vp9, payload) == expected)
    }

    @Test(
        arguments: [
            // IDR slice; slice; STAP-A of SPS and PPS; FU-A of an IDR slice, start and middle; STAP-A that overruns.
            ([0x65, 1], true), ([0x41, 1], false), ([0x78, 0, 2, 0x67, 1, 0, 2, 0x68, 1], true),
            ([0x7C, 0x85, 1], true),
            ([0x7C, 0x05, 1], false), ([0x78, 0, 9, 0x67], nil),
        ] as [([UInt8], Bool?)])
    func h264StartsAtParameterSetsAndIDRSlices(payload: [UInt8], expected: Bool?) throws {
        #expect(try startsKeyframe(.h264, payload) == expected)
    }

    @Test(
        arguments: [
            // IDR_W_RADL; TRAIL_R; VPS; fragment of CRA, start and middle; cut off.
            ([19 << 1, 1, 1], true), ([1 << 1, 1, 1], false), ([32 << 1, 1, 1], true),
            ([49 << 1, 1, 0x80 | 21, 1], true),
            ([49 << 1, 1, 21, 1], false), ([38], nil),
        ] as [([UInt8], Bool?)])
    func h265StartsAtParameterSetsAndRandomAccessSlices(payload: [UInt8], expected: Bool?) throws {
        #expect(try startsKeyframe(.h265, payload) == expected)
    }

    @Test(
        arguments: [
            // N decides without a descriptor; with one its structure and the start of the frame do.
            ([0x18], [], true), ([0x10], [], false), ([0x88], [], nil),
            ([0x10], [0x80, 0, 1, 0x80, 0], true), ([0x10], [0x00, 0, 1, 0x80, 0], false),
            ([0x18], [0x80, 0, 1], false),
        ] as [([UInt8], [UInt8], Bool?)])
    func av1StartsWhereASequenceDoes(payload: [UInt8], descriptor: [UInt8], expected: Bool?) throws {
        #expect(try startsKeyframe(.av1, payload, dependencyDescriptor: descriptor) == expected)
    }

    @Test func aCodecThatIsNotReadStartsAnywhere() throws {
        #expect(try startsKeyframe(.otherVideo, [0]) == true)
    }
}
