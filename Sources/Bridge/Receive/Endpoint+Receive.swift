// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// What happens to an authentic RTP packet between its sender's transport and the ring of its stream.

import Colibri
import RTP

extension Endpoint {
    /// After this many packets of digital silence in a row the next ones are dropped (JVB: forwarded-silence-packets-limit).
    static let forwardedSilenceLimit = 3

    /// Files a packet; nil when a stream took its slot over.
    func receive(_ packet: Span<UInt8>, _ header: RTPHeader, _ slot: SlotID, _ index: UInt64, now: Instant)
        -> DropReason?
    {
        guard let format = formats[header.payloadType] else { return .unknownPayloadType }
        // Congestion control counts every packet that arrived, whatever becomes of it.
        if let id = formats.extensions[.transportSequenceNumber], let element = header.element(id, in: packet),
            let number = SequenceNumber(parsing: element, in: packet)
        {
            feedback.received(number, endOfFrame: header.marker && format.kind == .video, now: now)
        }
        guard let (stream, isRetransmission) = find(header, packet) else { return .unknownSSRC }
        if format.kind == .audio, let reason = listen(header, packet, now: now) {
            if !isRetransmission { stream.discard(index, header, now: now) }
            return reason
        }
        if forceMute.video, format.kind == .video {
            if !isRetransmission { stream.discard(index, header, now: now) }
            return .forceMuted
        }
        let outcome: ReceiveStream.Outcome
        if isRetransmission {
            guard let original = restore(header, packet, format, stream) else {
                return header.payloadLength < 2 ? .paddingOnly : .rtxMalformed
            }
            outcome = stream.accept(
                original.sequence, header: header, in: packet, slot: slot,
                payload: (header.payloadRange.lowerBound + 2)..<header.payloadRange.upperBound, format: original.format,
                payloadType: original.type, extensions: formats.extensions, retransmitted: true, now: now)
        } else {
            outcome = stream.accept(
                index, header: header, in: packet, slot: slot, payload: header.payloadRange, format: format,
                payloadType: header.payloadType, extensions: formats.extensions, retransmitted: false, now: now)
        }
        if stream.needsReview {
            stream.needsReview = false
            conference.needsAllocation = true
        }
        switch outcome {
        case .accepted(let sequence):
            conference.enqueue(sequence, of: stream)
            return nil
        case .dropped(let reason): return reason
        }
    }

    /// The stream of a packet: by SSRC, else by the encoding id that an authentic packet names (RFC 8852), learnt for good.
    private func find(
        _ header: RTPHeader, _ packet: Span<UInt8>
    ) -> (stream: ReceiveStream, isRetransmission: Bool)? {
        if let known = streams[header.ssrc] { return known }
        for (meaning, isRetransmission) in [(HeaderExtension.rid, false), (.repairedRid, true)] {
            guard let id = formats.extensions[meaning], let element = header.element(id, in: packet),
                let rid = Rid(parsing: element, in: packet)
            else { continue }
            for source in sources {
                guard let encoding = source.encodings.first(where: { $0.rid == rid }) else { continue }
                streams[header.ssrc] = (encoding.stream, isRetransmission)
                if !isRetransmission { encoding.stream.ssrc = header.ssrc }
                return (encoding.stream, isRetransmission)
            }
        }
        return nil
    }

    /// Feeds the speaker detection; says whether the packet is dropped (forced mute, long silence).
    private func listen(_ header: RTPHeader, _ packet: Span<UInt8>, now: Instant) -> DropReason? {
        if forceMute.audio { return .forceMuted }
        guard let id = formats.extensions[.ssrcAudioLevel], let element = header.element(id, in: packet),
            let level = AudioLevel(parsing: element, in: packet)
        else { return nil }
        if level.level == 127 {
            guard silentPackets <= Self.forwardedSilenceLimit else { return .silence }
            silentPackets += 1
        } else {
            silentPackets = 0
        }
        speech.note(127 - level.level, now: now)
        return nil
    }

    /// What an RTX packet repairs (RFC 4588 section 4).
    private func restore(
        _ header: RTPHeader, _ packet: Span<UInt8>, _ format: PayloadFormat, _ stream: ReceiveStream
    ) -> (sequence: UInt64, type: PayloadType, format: PayloadFormat)? {
        let payload = header.payloadRange
        guard let type = format.repairs, let original = formats[type], payload.count > 2, stream.ring.end > 0 else {
            return nil
        }
        let wire = UInt16(packet[payload.lowerBound]) << 8 | UInt16(packet[payload.lowerBound + 1])
        let newest = ExtendedSequenceNumber(rawValue: stream.ring.end - 1)
        guard let sequence = newest.nearest(to: SequenceNumber(rawValue: wire)) else { return nil }
        return (sequence.rawValue, type, original)
    }
}
