// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import RTP
import Testing

/// What a virtual client got from the bridge, decrypted and taken apart.

/// One media packet.
struct ReceivedPacket {
    var at: Instant
    var ssrc: UInt32
    /// Unwrapped sequence number, as SRTP sees it.
    var index: UInt64
    var payloadType: UInt8
    var marker: Bool
    var timestamp: UInt32
    var audioLevel: UInt8?
    var transportSequence: UInt16?
    var payload: [UInt8]
    /// Of a video packet.
    var descriptor: VP8PayloadDescriptor?

    /// SSRC and sequence number under which the packet was first sent: virtual clients end each payload with them.
    var origin: PacketOrigin? {
        payload.count < 8
            ? nil
            : PacketOrigin(ssrc: UInt32(bytes: payload.suffix(8).prefix(4)), sequence: UInt32(bytes: payload.suffix(4)))
    }
}

struct PacketOrigin: Hashable {
    var ssrc: UInt32
    var sequence: UInt32
}

/// One RTX packet (RFC 4588).
struct ReceivedRetransmission {
    var at: Instant
    var ssrc: UInt32
    var payloadType: UInt8
    var original: UInt16
    var timestamp: UInt32
    /// Behind the original sequence number.
    var payload: [UInt8]
}

/// RTCP from the bridge.
struct ReceivedRTCP {
    var keyframeRequests: [(at: Instant, media: UInt32)] = []
    var nacks: [(at: Instant, media: UInt32, lost: [UInt16])] = []
    var blocks: [(at: Instant, block: ReportBlock)] = []
    var senderReports:
        [(at: Instant, ssrc: UInt32, ntp: NTPTimestamp, timestamp: UInt32, packets: UInt32, octets: UInt32)] = []
    /// Transport-wide feedback messages: count, and per packet the arrival in units of 250 us or nil.
    var feedback: [(at: Instant, count: UInt8, statuses: [(number: UInt16, ticks: Int?)])] = []
    var malformed = 0

    mutating func note(_ packet: [UInt8], at now: Instant) {
        do throws(ParseError) {
            let span = packet.span
            var compound = try RTCPCompound(parsing: span)
            while let block = compound.next() { try note(block, span, now) }
        } catch {
            malformed += 1
        }
    }

    private mutating func note(_ block: RTCPBlock, _ packet: Span<UInt8>, _ now: Instant) throws(ParseError) {
        switch (block.type, block.count) {
        case (.senderReport, _):
            let report = try SenderReport(block, in: packet)
            senderReports.append(
                (
                    now, report.sender.rawValue, report.ntpTimestamp, report.rtpTimestamp.rawValue, report.packetCount,
                    report.octetCount
                ))
        case (.receiverReport, _):
            let report = try ReceiverReport(block, in: packet)
            for i in 0..<report.reports.count {
                if let block = report.reports.block(i, in: packet) { blocks.append((now, block)) }
            }
        case (.payloadFeedback, RTCPFeedbackFormat.pictureLossIndication):
            keyframeRequests.append((now, try PictureLossIndication(block, in: packet).media.rawValue))
        case (.transportFeedback, RTCPFeedbackFormat.genericNACK):
            var nack = try GenericNACK(block, in: packet)
            var lost: [UInt16] = []
            while let number = nack.next(in: packet) { lost.append(number.rawValue) }
            nacks.append((now, nack.media.rawValue, lost))
        case (.transportFeedback, RTCPFeedbackFormat.transportWideCC):
            let message = try TransportFeedback(block, in: packet)
            var statuses = message.statuses
            var list: [(number: UInt16, ticks: Int?)] = []
            var time = Int(message.referenceTime) * 256
            while let status = statuses.next(in: packet) {
                if let delta = status.delta { time += delta }
                list.append((status.sequenceNumber.rawValue, status.delta == nil ? nil : time))
            }
            feedback.append((now, message.feedbackCount, list))
        default: malformed += 1
        }
    }
}

extension [ReceivedPacket] {
    /// SSRCs of the encodings that these packets were first sent in.
    var origins: Set<UInt32> { Set(compactMap { $0.origin?.ssrc }) }

    func since(_ instant: Instant) -> [ReceivedPacket] { filter { $0.at >= instant } }

    /// Expects one stream of VP8 that no receiver could tell from one that a single encoder made.
    func expectSeamless(sourceLocation: SourceLocation = #_sourceLocation) {
        for (a, b) in zip(self, dropFirst()) {
            #expect(b.index == a.index + 1, "sequence numbers", sourceLocation: sourceLocation)
            let ticks = Int32(bitPattern: b.timestamp &- a.timestamp)
            let passed = Int32((b.at - a.at).milliseconds) * 90
            #expect(ticks >= 0, "a timestamp goes back at \(b.index)", sourceLocation: sourceLocation)
            #expect(ticks <= passed + 100 * 90, "a timestamp leaps at \(b.index)", sourceLocation: sourceLocation)
            guard let x = a.descriptor, let y = b.descriptor, let before = x.pictureID, let after = y.pictureID else {
                continue
            }
            let step = (after &- before) & 0x7FFF
            #expect(step == (ticks == 0 ? 0 : 1), "picture ids \(before), \(after)", sourceLocation: sourceLocation)
            guard let first = x.tl0PicIdx, let second = y.tl0PicIdx else { continue }
            #expect(second &- first <= 1, "TL0PICIDX \(first), \(second)", sourceLocation: sourceLocation)
        }
    }
}
