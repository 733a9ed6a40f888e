// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// One received SSRC: authentic packets in, ring entries or a drop reason out, and the bookkeeping that feedback is made of.

import RTP

final class ReceiveStream {
    /// As signalled, or as learnt from packets that name this encoding.
    var ssrc: SSRC
    let kind: MediaKind
    /// Index of this encoding in its source, lowest quality first.
    let encoding: Forwarder.EncodingIndex
    /// Dense index of the source in its conference.
    let source: Int
    let id: StreamID
    private(set) var ring: PacketRing
    private(set) var reception: ReceptionStatistics
    private(set) var nacks = NackRequester()
    private var gaps = GapCloser()
    var keyframes = KeyframeRequester()
    private(set) var clock: StreamClock?
    /// Picture height in lines: nominal until a keyframe tells.
    private(set) var height: Int
    private(set) var isActive = false
    /// The stream came to life or changed its size since this was last cleared: who gets it has to be decided anew.
    var needsReview = false
    /// The sender's stream has a hole that only a keyframe mends.
    private(set) var needsKeyframe = false

    /// How long a packet is kept for retransmission; also bounded by bytes.
    static let retention = Interval.seconds(1)
    /// Silence after which an encoding counts as switched off by its sender.
    static let inactivity = Interval.milliseconds(1500)

    init(
        ssrc: SSRC, kind: MediaKind, encoding: Forwarder.EncodingIndex, source: Int, id: StreamID, nominalHeight: Int,
        clockRate: UInt32, slab: SlotSlab
    ) {
        self.ssrc = ssrc
        self.kind = kind
        self.encoding = encoding
        self.source = source
        self.id = id
        height = nominalHeight
        reception = ReceptionStatistics(clockRate: clockRate)
        ring = PacketRing(
            slab: slab, capacity: kind == .audio ? 128 : 1024, byteLimit: kind == .audio ? 64 << 10 : 1 << 20)
    }

    /// What `accept` made of a packet.
    enum Outcome {
        /// In the ring under this number; the ring owns the slot.
        case accepted(UInt64)
        /// The caller still owns the slot.
        case dropped(DropReason)
    }

    /// Takes one authentic, decrypted packet that lies in `slot`.
    ///
    /// - Parameters:
    ///   - retransmitted: it came by RTX: not part of loss and jitter.
    ///   - payload: where the payload lies in the packet, without padding.
    func accept(
        _ index: UInt64, header: RTPHeader, in packet: Span<UInt8>, slot: SlotID, payload: Range<Int>,
        format: PayloadFormat, payloadType: PayloadType, extensions: ExtensionMap, retransmitted: Bool, now: Instant
    ) -> Outcome {
        if !retransmitted { noteReception(index, header, payload.count, now) }
        guard let sequence = kind == .audio ? gaps.keep(index) : index else { return .dropped(.tooLate) }
        if kind == .video, nacks.received(sequence, now: now) == .needsKeyframe { needsKeyframe = true }
        switch ring.place(of: sequence) {
        case .duplicate: return .dropped(.duplicate)
        case .tooLate: return .dropped(.tooLate)
        case .new: break
        }
        // Padding still has its place in the numbering: an entry without payload keeps the receiver's stream whole.
        var entry = RingEntry(
            sequence: sequence, receivedAt: now, timestamp: header.timestamp, slot: slot,
            payloadOffset: UInt16(payload.lowerBound), payloadLength: UInt16(payload.count), payloadType: payloadType,
            flags: header.marker ? .marker : [], pictureID: 0, tl0PicIdx: 0, pictureIDOffset: 0, tl0PicIdxOffset: 0,
            descriptorLength: 0, audioLevel: 0, videoOrientation: 0, dependencyDescriptorOffset: 0,
            dependencyDescriptorLength: 0)
        readExtensions(header, packet, extensions, &entry)
        if kind == .video, !payload.isEmpty {
            guard describe(packet.extracting(payload), packet, format, &entry) else {
                return .dropped(.descriptorMalformed)
            }
        }
        if entry.flags.contains(.keyframeStart) {
            keyframes.keyframeArrived()
            needsKeyframe = false
            nacks.forget(before: sequence)
        }
        ring.insert(entry)
        return .accepted(sequence)
    }

    /// An authentic packet that the bridge does not forward: the numbering of audio closes over it, video is not asked for again.
    func discard(_ index: UInt64, _ header: RTPHeader, now: Instant) {
        noteReception(index, header, header.payloadLength, now)
        if kind == .audio { gaps.drop(index) } else { nacks.skip(to: index) }
    }

    private func noteReception(_ index: UInt64, _ header: RTPHeader, _ length: Int, _ now: Instant) {
        reception.received(index, timestamp: header.timestamp, payloadLength: length, now: now)
        if !isActive {
            isActive = true
            needsReview = true
        }
    }

    private func readExtensions(
        _ header: RTPHeader, _ packet: Span<UInt8>, _ extensions: ExtensionMap, _ entry: inout RingEntry
    ) {
        guard header.extensionKind != .none else { return }
        var walk = ExtensionWalk(header)
        while let element = walk.next(in: packet) {
            switch extensions[element.id] {
            case .ssrcAudioLevel where !element.value.isEmpty:
                entry.flags.insert(.audioLevel)
                entry.audioLevel = packet[element.value.lowerBound]
            case .videoOrientation where !element.value.isEmpty:
                entry.flags.insert(.videoOrientation)
                entry.videoOrientation = packet[element.value.lowerBound]
            case .dependencyDescriptor where element.value.count < 256:
                entry.dependencyDescriptorOffset = UInt16(element.value.lowerBound)
                entry.dependencyDescriptorLength = UInt8(element.value.count)
            default: break
            }
        }
    }

    /// Finds what a forwarder has to know of the payload; false when its descriptor is malformed.
    private func describe(
        _ payload: Span<UInt8>, _ packet: Span<UInt8>, _ format: PayloadFormat, _ entry: inout RingEntry
    ) -> Bool {
        let startsKeyframe: Bool
        switch format.codec {
        case .vp8:
            guard let descriptor = VP8PayloadDescriptor(parsing: payload) else { return false }
            startsKeyframe = note(descriptor, &entry)
        case .vp9:
            guard let descriptor = VP9PayloadDescriptor(parsing: payload) else { return false }
            startsKeyframe = descriptor.isKeyframe && descriptor.startOfFrame && (descriptor.spatialLayer ?? 0) == 0
        case .h264:
            guard let content = H264Payload(parsing: payload) else { return false }
            startsKeyframe = content.isKeyframe
        case .h265:
            guard let content = H265Payload(parsing: payload) else { return false }
            startsKeyframe = content.isKeyframe
        case .av1:
            guard let descriptor = AV1PayloadDescriptor(parsing: payload) else { return false }
            startsKeyframe =
                dependencyHeader(of: packet, entry).map { $0.hasStructure && $0.startOfFrame }
                ?? descriptor.startsSequence
        default:
            // A codec whose keyframes are not recognised may start anywhere.
            startsKeyframe = true
        }
        if startsKeyframe { entry.flags.insert(.keyframeStart) }
        return true
    }

    /// Keeps the fields that forwarders rewrite; says whether the packet starts a keyframe.
    private func note(_ descriptor: VP8PayloadDescriptor, _ entry: inout RingEntry) -> Bool {
        entry.flags.insert(.vp8)
        entry.descriptorLength = UInt8(descriptor.length)
        if let pictureID = descriptor.pictureID {
            entry.flags.insert(.pictureID)
            entry.pictureID = pictureID
            entry.pictureIDOffset = UInt8(descriptor.pictureIDOffset)
        }
        if let tl0PicIdx = descriptor.tl0PicIdx {
            entry.flags.insert(.tl0PicIdx)
            entry.tl0PicIdx = tl0PicIdx
            entry.tl0PicIdxOffset = UInt8(descriptor.tl0PicIdxOffset)
        }
        guard descriptor.isKeyframe && descriptor.isStartOfFrame else { return false }
        if let height = descriptor.height, let width = descriptor.width { noteHeight(Int(min(width, height))) }
        return true
    }

    /// A picture of another size may be too large now, or large enough.
    private func noteHeight(_ lines: Int) {
        guard lines != height else { return }
        height = lines
        needsReview = true
    }

    /// The start of the packet's dependency descriptor; nil when it has none.
    private func dependencyHeader(of packet: Span<UInt8>, _ entry: RingEntry) -> DependencyDescriptorHeader? {
        let start = Int(entry.dependencyDescriptorOffset)
        let end = start + Int(entry.dependencyDescriptorLength)
        guard start < end, end <= packet.count else { return nil }
        return DependencyDescriptorHeader(parsing: packet.extracting(start..<end))
    }

    // MARK: Feedback

    func noteSenderReport(_ report: SenderReport, now: Instant) {
        clock = StreamClock(ntp: report.ntpTimestamp, timestamp: report.rtpTimestamp, receivedAt: now)
    }

    /// The block of the next receiver report; nil before the first packet.
    func reportBlock(now: Instant) -> ReportBlock? {
        guard let report = reception.report() else { return nil }
        var block = ReportBlock(ssrc: ssrc)
        block.fractionLost = report.fractionLost
        block.cumulativeLost = report.cumulativeLost
        block.highestSequenceNumber = report.extendedHighestSequence
        block.jitter = report.jitter
        if let clock {
            block.lastSenderReport = clock.ntp.compact
            let delay = (now - clock.receivedAt).nanoseconds
            block.delaySinceLastSenderReport = UInt32(truncatingIfNeeded: (delay / 1_000_000) << 16 / 1000)
        }
        return block
    }

    func takeLost(now: Instant, roundTrip: Interval, into lost: inout [SequenceNumber]) {
        nacks.takeDue(now: now, roundTrip: roundTrip, into: &lost)
    }

    /// Releases what is too old; true when the stream fell silent or awoke since the last call.
    func age(now: Instant) -> Bool {
        ring.evict(receivedBefore: now - Self.retention)
        guard let last = reception.lastReceivedAt, isActive, now - last > Self.inactivity else { return false }
        isActive = false
        return true
    }
}
