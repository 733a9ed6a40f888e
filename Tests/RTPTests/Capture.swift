// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// The recordings of a browser's media in Tests/Captures, read from the file format of rtptools (rtpdump).

import Foundation
import Testing

@testable import RTP

/// One recording.
struct Capture: CustomTestStringConvertible {
    struct Packet {
        /// Since the zero of the call's recordings, which is nearly the first packet of video.
        var milliseconds: Int
        var isRTCP: Bool
        var bytes: [UInt8]
    }

    /// Name of the file without `.rtpdump`.
    let name: String
    let packets: [Packet]

    var testDescription: String { name }
    /// Dependency descriptors were negotiated.
    var describesDependencies: Bool { name.hasPrefix("av1") || name.hasPrefix("h264") || name.hasSuffix("-dd") }

    /// Payload types and extension ids of the recordings (Tests/Captures/README.md).
    enum Codec: UInt8, CaseIterable {
        case opus = 111
        case vp8 = 100
        case vp9 = 101
        case av1 = 41
        case h264 = 107
        case vp8Retransmission = 96
        case vp9Retransmission = 97
        case av1Retransmission = 42
        case h264Retransmission = 99

        /// What a retransmission repairs.
        var repaired: Codec? {
            switch self {
            case .vp8Retransmission: .vp8
            case .vp9Retransmission: .vp9
            case .av1Retransmission: .av1
            case .h264Retransmission: .h264
            case .opus, .vp8, .vp9, .av1, .h264: nil
            }
        }
    }

    static let folder = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().appending(path: "Captures")

    /// All recordings, by name.
    static let all: [Capture] = {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        return names.filter { $0.hasSuffix(".rtpdump") }.sorted().compactMap { Capture(file: $0) }
    }()

    private struct Ended: Error {}

    /// nil when the file is not one or is cut off.
    private init?(file: String) {
        guard let data = try? Data(contentsOf: Self.folder.appending(path: file)) else { return nil }
        let bytes = [UInt8](data)
        guard let line = bytes.firstIndex(of: UInt8(ascii: "\n")),
            String(decoding: bytes[..<line], as: UTF8.self).hasPrefix("#!rtpplay1.0 ")
        else { return nil }
        var position = line + 1 + 16
        var packets: [Packet] = []
        while position < bytes.count {
            guard position + 8 <= bytes.count else { return nil }
            let length = Int(bytes.span.bigEndian16(at: position))
            let plain = Int(bytes.span.bigEndian16(at: position + 2))
            guard length >= 8, position + length <= bytes.count, plain == 0 || plain == length - 8 else { return nil }
            packets.append(
                Packet(
                    milliseconds: Int(bytes.span.bigEndian32(at: position + 4)), isRTCP: plain == 0,
                    bytes: Array(bytes[(position + 8)..<(position + length)])))
            position += length
        }
        name = String(file.dropLast(".rtpdump".count))
        self.packets = packets
    }

    /// The packets that one SSRC sends with its own payload type, in the order of their sequence numbers.
    func streams() throws -> [(ssrc: SSRC, codec: Codec, packets: [MediaPacket])] {
        var streams: [SSRC: (codec: Codec, packets: [MediaPacket], newest: ExtendedSequenceNumber)] = [:]
        for packet in packets where !packet.isRTCP {
            let media = try MediaPacket(packet)
            let number = media.header.sequenceNumber
            guard var stream = streams[media.header.ssrc] else {
                let first = ExtendedSequenceNumber(rawValue: 0x1_0000 + UInt64(number.rawValue))
                streams[media.header.ssrc] = (media.codec, [media.numbered(first)], first)
                continue
            }
            try #require(stream.codec == media.codec, "one payload type for each SSRC")
            let extended = try #require(stream.newest.nearest(to: number))
            stream.packets.append(media.numbered(extended))
            stream.newest = max(stream.newest, extended)
            streams[media.header.ssrc] = stream
        }
        return streams.map { ssrc, stream in
            (ssrc, stream.codec, stream.packets.sorted { $0.sequence.rawValue < $1.sequence.rawValue })
        }
    }
}

/// One RTP packet of a recording with its header.
struct MediaPacket {
    let packet: Capture.Packet
    let header: RTPHeader
    let codec: Capture.Codec
    private(set) var sequence = ExtendedSequenceNumber(rawValue: 0)

    init(_ packet: Capture.Packet) throws {
        self.packet = packet
        header = try RTPHeader(parsingPlaintext: packet.bytes.span)
        codec = try #require(Capture.Codec(rawValue: header.payloadType.rawValue))
    }

    func numbered(_ sequence: ExtendedSequenceNumber) -> MediaPacket {
        var copy = self
        copy.sequence = sequence
        return copy
    }

    /// Without padding.
    var payload: [UInt8] { Array(packet.bytes[header.payloadRange]) }

    /// The value of a header extension element.
    func element(_ id: UInt8) -> [UInt8]? {
        ExtensionID(rawValue: id).flatMap { header.element($0, in: packet.bytes.span) }.map { Array(packet.bytes[$0]) }
    }

    /// The packet starts a frame that needs no other; nil when its payload descriptor does not parse.
    var startsKeyframe: Bool? {
        let payload = payload
        switch codec.repaired ?? codec {
        case .vp8: return VP8PayloadDescriptor(parsing: payload.span).map { $0.isKeyframe && $0.isStartOfFrame }
        case .vp9:
            return VP9PayloadDescriptor(parsing: payload.span).map {
                $0.isKeyframe && $0.startOfFrame && ($0.spatialLayer ?? 0) == 0
            }
        case .h264: return H264Payload(parsing: payload.span)?.isKeyframe
        case .av1: return AV1PayloadDescriptor(parsing: payload.span)?.startsSequence
        default: return false
        }
    }
}
