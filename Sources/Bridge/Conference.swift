// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// One meeting: who is in it, what they send, and the fan-out of each batch to those who want it.

import Colibri
import ICE
import RTP
import SRTP

@safe
final class Conference: EntrySource {
    let meetingID: String
    /// The bridge's own id of it, in WebSocket URLs and debug output.
    let id: String
    let name: String?
    let createdAt: Instant
    /// Sender SSRCs of the bridge's RTCP, the same for everybody in the meeting.
    let audioFeedbackSSRC: SSRC
    let videoFeedbackSSRC: SSRC
    unowned let shard: Shard
    /// In the order of joining.
    var endpoints: [Endpoint] = []
    /// By index; places of removed sources are used again.
    var sources: [Source?] = []
    private var streams: [ReceiveStream?] = []
    private var generation: UInt32 = 0
    var speakers = SpeakerOrder()
    /// Who gets what has to be decided anew.
    var needsAllocation = false

    /// One packet of the batch being forwarded, as every receiver sees it.
    @safe
    private struct Arrival: BitwiseCopyable {
        var entry: UnsafePointer<RingEntry>
        var slot: UnsafeMutableRawPointer
        var source: Int32
        var encoding: Forwarder.EncodingIndex
        var stream: StreamID
    }

    private var accepted: [(stream: ReceiveStream, sequence: UInt64)] = []
    private let arrivals = UnsafeMutablePointer<Arrival>.allocate(capacity: Conference.arrivalLimit)
    private static let arrivalLimit = 256

    init(modify: ConferenceModify, id: String, feedback: (audio: SSRC, video: SSRC), shard: Shard, now: Instant) {
        meetingID = modify.meetingID
        name = modify.name
        self.id = id
        audioFeedbackSSRC = feedback.audio
        videoFeedbackSSRC = feedback.video
        self.shard = shard
        createdAt = now
        accepted.reserveCapacity(Self.arrivalLimit)
    }

    deinit { unsafe arrivals.deallocate() }

    func endpoint(_ id: String) -> Endpoint? { endpoints.first { $0.id == id } }

    // MARK: Fan-out

    /// Queues a packet for `forwardBatch`.
    func enqueue(_ sequence: UInt64, of stream: ReceiveStream) {
        if accepted.count == Self.arrivalLimit { forwardBatch(now: shard.now) }
        accepted.append((stream, sequence))
    }

    var hasArrivals: Bool { !accepted.isEmpty }

    /// Receiver by receiver: all packets of the batch, so that each receiver's run is contiguous.
    func forwardBatch(now: Instant) {
        var count = 0
        for (stream, sequence) in accepted {
            guard let entry = unsafe stream.ring.entry(sequence) else { continue }
            unsafe arrivals[count] = Arrival(
                entry: entry, slot: shard.slab.pointer(entry.pointee.slot), source: Int32(stream.source),
                encoding: stream.encoding, stream: stream.id)
            count += 1
        }
        accepted.removeAll(keepingCapacity: true)
        guard count > 0 else { return }
        for receiver in endpoints { forward(count, to: receiver, now: now) }
        shard.batch.flush()
    }

    private func forward(_ count: Int, to receiver: Endpoint, now: Instant) {
        guard let outputs = receiver.outputs else { return }
        guard let path = receiver.transport.sendPath else {
            shard.statistics.count(.consentLost, count)
            return
        }
        for i in 0..<count {
            let arrival = unsafe arrivals[i]
            let index = Int(arrival.source)
            guard index < receiver.forwarders.count, let row = receiver.forwarders[index]?.output else { continue }
            let verdict = unsafe receiver.forwarders[index]?.process(
                arrival.entry.pointee, of: arrival.stream, encoding: arrival.encoding,
                start: { outputs.nextIndex(row) },
                aligned: { self.align(arrival, with: $0) }, now: now)
            switch verdict {
            case .forward(let packet):
                unsafe outputs.send(
                    packet, on: row, entry: arrival.entry, slot: arrival.slot, through: path, into: shard.batch)
            case .dropAwaitingKeyframe: requestKeyframe(arrival.stream, now: now)
            case .drop, nil: break
            }
        }
    }

    /// The timestamp on the clock of another encoding of the same source that means the moment of this packet.
    private func align(_ arrival: Arrival, with encoding: Forwarder.EncodingIndex) -> RTPTimestamp? {
        guard encoding >= 0, let source = sources[Int(arrival.source)], Int(encoding) < source.encodings.count,
            let stream = stream(arrival.stream), let from = stream.clock,
            let to = source.encodings[Int(encoding)].stream.clock
        else { return nil }
        return unsafe to.timestamp(
            equivalentTo: arrival.entry.pointee.timestamp, on: from, clockRate: Int64(stream.reception.clockRate))
    }

    /// Asks the sender of a stream for a keyframe unless it was asked just now.
    func requestKeyframe(_ id: StreamID, now: Instant) {
        guard let stream = stream(id), let owner = sources[stream.source]?.owner,
            stream.keyframes.request(now: now, roundTrip: owner.roundTrip)
        else { return }
        shard.statistics.keyframeRequests += 1
        shard.sendRTCP(to: owner) { [videoFeedbackSSRC] writer in
            writer.pictureLossIndication(sender: videoFeedbackSSRC, media: stream.ssrc)
        }
    }

    // MARK: Streams

    func stream(_ id: StreamID) -> ReceiveStream? {
        guard id.place < streams.count, let stream = streams[id.place], stream.id == id else { return nil }
        return stream
    }

    func entry(_ sequence: UInt64, of id: StreamID) -> (UnsafePointer<RingEntry>, UnsafeMutableRawPointer)? {
        guard let stream = stream(id), let entry = unsafe stream.ring.entry(sequence) else { return nil }
        return unsafe (entry, shard.slab.pointer(entry.pointee.slot))
    }

    /// A place in the table of streams.
    func addStream(_ make: (StreamID) -> ReceiveStream) -> ReceiveStream {
        let place = streams.firstIndex { $0 == nil } ?? streams.count
        if place == streams.count { streams.append(nil) }
        generation += 1
        let stream = make(StreamID(place: place, generation: generation))
        streams[place] = stream
        return stream
    }

    func removeStream(_ id: StreamID) {
        // What waits for forwarding refers to it.
        forwardBatch(now: shard.now)
        if stream(id) != nil { streams[id.place] = nil }
    }
}
