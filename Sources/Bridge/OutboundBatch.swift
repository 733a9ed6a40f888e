// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Everything one shard is about to send: sealed where it will be sent from, merged into runs, handed over in chunks.

import ICE
import SRTP

/// Packets for one receiver stand one behind the other, so that a run of equal sizes is one message for the kernel.
@safe
final class OutboundBatch {
    /// Packets between seal and send; more no longer fit the second-level cache.
    static let chunk = 128
    /// Bytes of a UDP_SEGMENT message that the kernel takes, and its most segments.
    static let runBytes = 60_000
    static let runSegments = 60
    private static let arenaSize = chunk * 1536
    /// Room behind the last packet that a cipher may write to.
    private static let slack = 64

    private struct Entry: BitwiseCopyable {
        var offset: Int32
        var length: Int32
        /// Index of the seal job, -1 for bytes that go as they are.
        var job: Int32
        var path: Path
    }

    private let engine: SRTPEngine
    private let sink: any DatagramSink
    private let arena: UnsafeMutableRawPointer
    private let jobs: UnsafeMutablePointer<SealJob>
    private let entries: UnsafeMutablePointer<Entry>
    private let messages: UnsafeMutablePointer<OutboundMessage>
    private var used = 0
    private var jobCount = 0
    private var entryCount = 0
    var probe: (any StageProbe)?
    private(set) var packetsSent = 0
    private(set) var bytesSent = 0
    private(set) var sealsRefused = 0

    init(engine: SRTPEngine, sink: any DatagramSink) {
        self.engine = engine
        self.sink = sink
        unsafe arena = .allocate(byteCount: Self.arenaSize + Self.slack, alignment: 64)
        unsafe jobs = .allocate(capacity: Self.chunk)
        unsafe entries = .allocate(capacity: Self.chunk)
        unsafe messages = .allocate(capacity: Self.chunk)
    }

    deinit {
        unsafe arena.deallocate()
        unsafe jobs.deallocate()
        unsafe entries.deallocate()
        unsafe messages.deallocate()
    }

    /// Room for one packet of at most `length` bytes (<= 1536), to be written before the next call of any kind.
    @inline(__always)
    func reserve(_ length: Int) -> UnsafeMutableRawPointer {
        if used + length > Self.arenaSize || entryCount == Self.chunk { flush() }
        return unsafe arena + used
    }

    /// Appends what was written to the reserved room as it stands.
    func append(_ length: Int, to path: Path) {
        unsafe entries[entryCount] = Entry(offset: Int32(used), length: Int32(length), job: -1, path: path)
        entryCount += 1
        used += length
    }

    /// Appends the reserved room as the output of `job`, which will be `sealedLength` bytes long.
    @inline(__always)
    func append(_ job: SealJob, sealedLength: Int, to path: Path) {
        unsafe jobs[jobCount] = job
        unsafe entries[entryCount] = Entry(
            offset: Int32(used), length: Int32(sealedLength), job: Int32(jobCount), path: path)
        jobCount += 1
        entryCount += 1
        used += sealedLength
    }

    /// Copies `bytes` (at most 1536) and appends them.
    func append(_ bytes: [UInt8], to path: Path) {
        guard !bytes.isEmpty, bytes.count <= 1536 else { return }
        let room = unsafe reserve(bytes.count)
        unsafe bytes.withUnsafeBytes {
            unsafe room.copyMemory(from: $0.baseAddress ?? UnsafeRawPointer(room), byteCount: $0.count)
        }
        append(bytes.count, to: path)
    }

    /// Seals what is to be sealed and hands everything over.
    func flush() {
        guard entryCount > 0 else { return }
        probe?.finished(.forward)
        if jobCount > 0 { unsafe engine.seal(UnsafeMutableBufferPointer(start: jobs, count: jobCount)) }
        probe?.finished(.seal)
        var count = 0
        var i = 0
        while i < entryCount {
            if isRefused(i) {
                sealsRefused += 1
                i += 1
                continue
            }
            let end = endOfRun(from: i)
            unsafe messages[count] = message(i, end)
            count += 1
            packetsSent += end - i
            i = end
        }
        if count > 0 { unsafe sink.send(UnsafeBufferPointer(start: messages, count: count)) }
        probe?.finished(.send)
        used = 0
        jobCount = 0
        entryCount = 0
    }

    private func isRefused(_ i: Int) -> Bool {
        let job = unsafe Int(entries[i].job)
        return unsafe job >= 0 && jobs[job].sealedLength < 0
    }

    /// A run goes on while the peer is the same and the size equal; a shorter packet ends it and belongs to it.
    private func endOfRun(from first: Int) -> Int {
        let head = unsafe entries[first]
        var total = Int(head.length)
        var end = first + 1
        while end < entryCount, end - first < Self.runSegments {
            let next = unsafe entries[end]
            guard next.length <= head.length, next.path == head.path, !isRefused(end),
                total + Int(next.length) <= Self.runBytes
            else { break }
            total += Int(next.length)
            end += 1
            if next.length < head.length { break }
        }
        return end
    }

    private func message(_ first: Int, _ end: Int) -> OutboundMessage {
        let head = unsafe entries[first]
        let last = unsafe entries[end - 1]
        let count = Int(last.offset + last.length - head.offset)
        bytesSent += count
        return unsafe OutboundMessage(
            bytes: UnsafeRawPointer(arena + Int(head.offset)), count: count,
            segmentSize: end - first > 1 ? UInt16(head.length) : 0, path: head.path)
    }
}
