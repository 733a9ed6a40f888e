// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import RTP

/// One simulcast encoding of a virtual client: frames with real VP8 descriptors (RFC 7741) and sizes, and a memory of what was
/// sent for retransmissions.
struct SentEncoding {
    struct Packet {
        var index: UInt64
        var timestamp: UInt32
        var marker: Bool
        var payload: [UInt8]
        var origin: PacketOrigin
    }

    /// As signalled.
    let ssrc: UInt32
    let rtx: UInt32
    /// As sent: another SSRC when the bridge has to learn it by the RID.
    var sentSSRC: UInt32
    var rid: String?
    var height: Int
    var isOn = true
    var needsKeyframe = true
    /// Extension elements of every packet.
    var elements: [(id: UInt8, value: [UInt8])] = []
    private(set) var cache: [UInt16: Packet] = [:]
    private(set) var keyframes = 0
    private let quality: Int
    private let clockOffset: UInt32
    private var sequence: UInt64
    private var retransmissionIndex: UInt64 = 100
    private var pictureID: UInt16
    private var tl0: UInt8
    private var frame = 0

    init(number: UInt32, quality: Int) {
        self.quality = quality
        ssrc = number * 1000 + 10 + UInt32(quality) * 10
        rtx = ssrc + 1
        sentSSRC = ssrc
        height = 180 << quality
        // Every encoder starts anywhere; some close to their wrap.
        sequence = [65_400, 300, 30_000][quality % 3]
        pictureID = [32_700, 5, 9000][quality % 3]
        tl0 = [250, 3, 77][quality % 3]
        clockOffset = [0xFFFF_0000, 12_345, 0x8000_0000][quality % 3]
    }

    func timestamp(_ now: Instant) -> UInt32 {
        UInt32(truncatingIfNeeded: now.nanoseconds / 1_000_000 * 90) &+ clockOffset
    }

    mutating func takeRetransmissionIndex() -> UInt64 {
        retransmissionIndex += 1
        return retransmissionIndex
    }

    /// The packets of the next frame; two temporal layers.
    mutating func nextFrame(at now: Instant) -> [Packet] {
        let isKey = needsKeyframe
        needsKeyframe = false
        frame = isKey ? 0 : frame + 1
        if isKey { keyframes += 1 }
        let layer: UInt8 = frame % 2 == 0 ? 0 : 1
        pictureID = (pictureID + 1) & 0x7FFF
        if layer == 0 { tl0 &+= 1 }
        let count = quality + (isKey ? 3 : 1)
        return (0..<count).map { i in
            let origin = PacketOrigin(ssrc: sentSSRC, sequence: UInt32(truncatingIfNeeded: sequence))
            var payload: [UInt8] = [i == 0 ? 0x90 : 0x80, 0xE0] + (pictureID | 0x8000).bytes + [tl0, layer << 6]
            if i == 0 { payload += Self.frameHeader(isKey: isKey, height: height) }
            payload += (0..<(100 + 150 * quality)).map { UInt8(truncatingIfNeeded: UInt64($0) &* 13 &+ sequence) }
            let packet = Packet(
                index: sequence, timestamp: timestamp(now), marker: i == count - 1, payload: payload + origin.bytes,
                origin: origin)
            cache[UInt16(truncatingIfNeeded: sequence)] = packet
            sequence += 1
            return packet
        }
    }

    /// RFC 6386 section 9.1.
    private static func frameHeader(isKey: Bool, height: Int) -> [UInt8] {
        guard isKey else { return [0x31, 0x02, 0x00] }
        let width = height * 16 / 9
        return [
            0x30, 0x02, 0x00, 0x9D, 0x01, 0x2A, UInt8(width & 0xFF), UInt8(width >> 8), UInt8(height & 0xFF),
            UInt8(height >> 8),
        ]
    }
}
