// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// The streams that one receiver gets: their sequence numbers, what was sent on them, and the packets as they leave.

import ICE
import RTP
import SRTP

/// Where payloads are found again when a packet has to be sent once more.
protocol EntrySource: AnyObject {
    /// The ring entry and its slot, or nil when the stream is gone or the entry was evicted.
    func entry(_ sequence: UInt64, of stream: StreamID) -> (UnsafePointer<RingEntry>, UnsafeMutableRawPointer)?
}

/// The receiver's Transport owns the numbers: a forwarder that is born again goes on where the stream stands, so that no SRTP
/// index is ever used twice under one key.
final class OutputStreams {
    /// One outgoing SSRC with its retransmission stream.
    @safe
    private struct Stream {
        let ssrc: SSRC
        let kind: MediaKind
        let seal: SRTPSealer.StreamID
        var rtxSSRC: SSRC?
        var rtxSeal: SRTPSealer.StreamID?
        /// Where a new run starts: one above the highest index sealed so far.
        var nextIndex: UInt64
        var nextRTXIndex: UInt64
        /// What was sent, by output index; nil for audio.
        let history: UnsafeMutablePointer<PendingPacket>?
        var packets: UInt32 = 0
        var octets: UInt32 = 0
        var lastReport: (compactNTP: UInt32, sentAt: Instant)?
    }

    private static let historyLength = 1024

    let path: () -> Path?
    private let sealer: SRTPSealer
    private let profile: ProtectionProfile
    private var streams: ContiguousArray<Stream> = []
    private var rows: [SSRC: Int32] = [:]
    private var transportSequence: UInt16 = 1
    /// What this receiver negotiated.
    var extensions = ExtensionMap()
    /// RTX payload type by the payload type that it repairs; 0: none.
    var rtxPayloadTypes = InlineArray<128, UInt8>(repeating: 0)
    /// Smoothed round trip to the receiver, from its receiver reports; a guess before the first.
    private(set) var roundTrip = Interval.milliseconds(100)
    private var knowsRoundTrip = false
    private(set) var retransmissions = 0

    init(sealer: SRTPSealer, profile: ProtectionProfile, path: @escaping () -> Path?) {
        self.sealer = sealer
        self.profile = profile
        self.path = path
    }

    deinit {
        for stream in streams { unsafe stream.history?.deallocate() }
    }

    /// The row of `ssrc`, made on first use; nil when the receiver has as many streams as it may have.
    func row(for ssrc: SSRC, rtx: SSRC?, kind: MediaKind, firstIndex: UInt16) -> Int32? {
        if let row = rows[ssrc] {
            setRetransmission(rtx, of: Int(row))
            return row
        }
        guard let seal = sealer.stream(for: ssrc) else { return nil }
        var history: UnsafeMutablePointer<PendingPacket>?
        if kind == .video {
            let memory = UnsafeMutablePointer<PendingPacket>.allocate(capacity: Self.historyLength)
            for i in 0..<Self.historyLength {
                unsafe memory[i] = PendingPacket(
                    entrySequence: 0, outputIndex: .max, sentAt: Instant(nanoseconds: 0), stream: StreamID(rawValue: 0),
                    timestamp: RTPTimestamp(rawValue: 0), pictureID: 0, tl0PicIdx: 0)
            }
            unsafe history = memory
        }
        let next = sealer.highestSealed(seal).map { $0.rawValue + 1 }
        unsafe streams.append(
            Stream(
                ssrc: ssrc, kind: kind, seal: seal, nextIndex: next ?? UInt64(firstIndex), nextRTXIndex: 1,
                history: history))
        let row = Int32(streams.count - 1)
        rows[ssrc] = row
        setRetransmission(rtx, of: Int(row))
        return row
    }

    /// Names the RTX stream of a row, which a later description may change; its numbers go on as well.
    private func setRetransmission(_ rtx: SSRC?, of row: Int) {
        guard streams[row].rtxSSRC != rtx else { return }
        let seal = rtx.flatMap { sealer.stream(for: $0) }
        streams[row].rtxSSRC = seal == nil ? nil : rtx
        streams[row].rtxSeal = seal
        streams[row].nextRTXIndex = seal.flatMap { sealer.highestSealed($0) }.map { $0.rawValue + 1 } ?? 1
    }

    /// Where a run of this stream may start.
    func nextIndex(_ row: Int32) -> UInt64 { streams[Int(row)].nextIndex }

    /// Writes the packet's header and queues it for sealing.
    func send(
        _ packet: PendingPacket, on row: Int32, entry: UnsafePointer<RingEntry>, slot: UnsafeMutableRawPointer,
        through path: Path, into batch: OutboundBatch
    ) {
        let facts = unsafe entry.pointee
        unsafe streams.withUnsafeMutableBufferPointer { streams in
            let stream = unsafe streams.baseAddress.unsafelyUnwrapped + Int(row)
            let room = unsafe batch.reserve(SlotSlab.largestPacket)
            let header = unsafe writeHeader(
                room, facts, slot, payloadType: facts.payloadType, index: packet.outputIndex, ssrc: stream.pointee.ssrc,
                timestamp: packet.timestamp, kind: stream.pointee.kind)
            let patch = unsafe patchDescriptor(room + header, packet, facts, slot)
            unsafe seal(
                room, header: header, patch: patch, payload: slot + Int(facts.payloadOffset),
                length: Int(facts.payloadLength), stream: stream.pointee.seal, index: packet.outputIndex, path, batch)
            unsafe stream.pointee.packets &+= 1
            unsafe stream.pointee.octets &+= UInt32(facts.payloadLength)
            if unsafe packet.outputIndex >= stream.pointee.nextIndex {
                unsafe stream.pointee.nextIndex = packet.outputIndex + 1
            }
            if let history = unsafe stream.pointee.history {
                unsafe history[Int(packet.outputIndex) & (Self.historyLength - 1)] = packet
            }
        }
    }

    /// Answers a NACK (RFC 4585 section 6.2.1) by RTX (RFC 4588); false when the packet is no longer there or the receiver has no
    /// RTX for it, so that the caller asks for a keyframe instead. A hole that came from the sender is not ours to mend here.
    func retransmit(
        _ lost: SequenceNumber, on ssrc: SSRC, from source: some EntrySource, into batch: OutboundBatch, now: Instant
    ) -> Bool {
        guard let path = path(), let row = rows[ssrc] else { return true }
        let index = Int(row)
        guard let history = unsafe streams[index].history, let rtxSeal = streams[index].rtxSeal,
            let rtxSSRC = streams[index].rtxSSRC, streams[index].nextIndex > 0,
            let output = ExtendedSequenceNumber(rawValue: streams[index].nextIndex - 1).nearest(to: lost)?.rawValue
        else { return false }
        let place = unsafe history + Int(output) & (Self.historyLength - 1)
        let packet = unsafe place.pointee
        guard packet.outputIndex == output else {
            // What never was sent is missing here as well and has been asked for; what was overwritten is gone.
            return packet.outputIndex < output || packet.outputIndex == .max
        }
        // The answer to the last request may still be on its way.
        if now - packet.sentAt < (knowsRoundTrip ? max(roundTrip * 9 / 10, .milliseconds(5)) : .milliseconds(5)) {
            return true
        }
        guard let (entry, slot) = unsafe source.entry(packet.entrySequence, of: packet.stream) else { return false }
        let facts = unsafe entry.pointee
        guard let payloadType = PayloadType(rawValue: rtxPayloadTypes[Int(facts.payloadType.rawValue)]),
            payloadType.rawValue != 0
        else { return false }
        unsafe place.pointee.sentAt = now
        let rtxIndex = streams[index].nextRTXIndex
        streams[index].nextRTXIndex += 1
        let room = unsafe batch.reserve(SlotSlab.largestPacket)
        let header = unsafe writeHeader(
            room, facts, slot, payloadType: payloadType, index: rtxIndex, ssrc: rtxSSRC, timestamp: packet.timestamp,
            kind: .video)
        unsafe (room + header).storeBytes(of: lost.rawValue.bigEndian, as: UInt16.self)
        let patch = unsafe 2 + patchDescriptor(room + header + 2, packet, facts, slot)
        // The original sequence number stands before the payload; what the two bytes before it in the slot are does not matter,
        // because the patch replaces them.
        unsafe seal(
            room, header: header, patch: patch, payload: slot + Int(facts.payloadOffset) - 2,
            length: Int(facts.payloadLength) + 2, stream: rtxSeal, index: rtxIndex, path, batch)
        retransmissions += 1
        return true
    }

    private func seal(
        _ room: UnsafeMutableRawPointer, header: Int, patch: Int, payload: UnsafeMutableRawPointer, length: Int,
        stream: SRTPSealer.StreamID, index: UInt64, _ path: Path, _ batch: OutboundBatch
    ) {
        let job = unsafe SealJob(
            sealer: Unmanaged.passUnretained(sealer), stream: stream, index: ExtendedSequenceNumber(rawValue: index),
            output: room, headerLength: Int32(header), patchLength: Int32(patch), payload: UnsafeRawPointer(payload),
            payloadLength: Int32(length))
        batch.append(job, sealedLength: header + length + profile.rtpOverhead, to: path)
    }

    /// Fixed header and the extensions that the receiver negotiated; everything else that the sender put in is dropped, as JVB
    /// does.
    private func writeHeader(
        _ room: UnsafeMutableRawPointer, _ facts: RingEntry, _ slot: UnsafeMutableRawPointer, payloadType: PayloadType,
        index: UInt64, ssrc: SSRC, timestamp: RTPTimestamp, kind: MediaKind
    ) -> Int {
        var writer = unsafe HeaderWriter(
            into: room, capacity: 256, marker: facts.flags.contains(.marker), payloadType: payloadType,
            sequenceNumber: SequenceNumber(rawValue: UInt16(truncatingIfNeeded: index)), timestamp: timestamp,
            ssrc: ssrc)
        if facts.flags.contains(.audioLevel), let id = extensions[.ssrcAudioLevel] {
            writer.append(id, octet: facts.audioLevel)
        }
        if facts.flags.contains(.videoOrientation), let id = extensions[.videoOrientation] {
            writer.append(id, octet: facts.videoOrientation)
        }
        if facts.dependencyDescriptorLength > 0, let id = extensions[.dependencyDescriptor] {
            unsafe writer.append(
                id, bytes: slot + Int(facts.dependencyDescriptorOffset), count: Int(facts.dependencyDescriptorLength))
        }
        if kind == .video, let id = extensions[.transportSequenceNumber] {
            writer.append(id, SequenceNumber(rawValue: transportSequence))
            transportSequence &+= 1
        }
        return writer.finish()
    }

    /// Copies the VP8 descriptor to `room` with the receiver's picture id and TL0PICIDX (RFC 7741 section 4.2).
    ///
    /// - Returns: bytes written, 0 when there is nothing to change.
    private func patchDescriptor(
        _ room: UnsafeMutableRawPointer, _ packet: PendingPacket, _ facts: RingEntry, _ slot: UnsafeMutableRawPointer
    ) -> Int {
        guard facts.flags.contains(.vp8), facts.flags.contains(.pictureID) else { return 0 }
        let length = Int(facts.descriptorLength)
        unsafe room.copyMemory(from: slot + Int(facts.payloadOffset), byteCount: length)
        let at = Int(facts.pictureIDOffset)
        if unsafe room.load(fromByteOffset: at, as: UInt8.self) & 0x80 != 0 {
            unsafe room.storeBytes(of: (packet.pictureID | 0x8000).bigEndian, toByteOffset: at, as: UInt16.self)
        } else {
            unsafe room.storeBytes(
                of: UInt8(truncatingIfNeeded: packet.pictureID) & 0x7F, toByteOffset: at, as: UInt8.self)
        }
        if facts.flags.contains(.tl0PicIdx) {
            unsafe room.storeBytes(of: packet.tl0PicIdx, toByteOffset: Int(facts.tl0PicIdxOffset), as: UInt8.self)
        }
        return length
    }

    // MARK: Reports

    /// Counters for a sender report of the stream; notes that it leaves now.
    func senderReportCounters(
        _ row: Int32, ntp: NTPTimestamp, now: Instant
    ) -> (ssrc: SSRC, packets: UInt32, octets: UInt32) {
        streams[Int(row)].lastReport = (ntp.compact, now)
        let stream = streams[Int(row)]
        return (stream.ssrc, stream.packets, stream.octets)
    }

    /// Takes the round trip from a report block about one of our streams (RFC 3550 section 6.4.1).
    func noteReport(on ssrc: SSRC, lastSenderReport: UInt32, delaySince: UInt32, now: Instant) {
        guard let row = rows[ssrc], let last = streams[Int(row)].lastReport, last.compactNTP == lastSenderReport,
            lastSenderReport != 0
        else { return }
        let delay = Interval(nanoseconds: (Int64(delaySince) * 1_000_000_000) >> 16)
        let sample = now - last.sentAt - delay
        // A sample above 7 s or below zero is a broken clock, not a path.
        guard sample >= .zero, sample < .seconds(7) else { return }
        roundTrip = knowsRoundTrip ? (roundTrip * 7 + sample) / 8 : sample
        knowsRoundTrip = true
    }
}
