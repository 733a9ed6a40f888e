// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Records the packets of one shard's endpoints in the file format of rtptools (rtpdump), one recording for each endpoint.

import Bridge
import RTP

/// Lives on the thread of its shard. A recording is filled in memory and handed over in large chunks.
final class RTPDumpTap: PacketTap {
    /// Longest recording, in bytes.
    static let sizeLimit = 64 << 20
    /// A buffer of this size, or this old, is handed over.
    private static let chunkSize = 64 << 10
    private static let chunkAge = Interval.seconds(1)

    private let dump: RTPDump
    private let sizeLimit: Int
    /// The same moment on the two clocks.
    private let began: (monotonic: Instant, unixNanoseconds: UInt64)
    private var recordings: [EndpointHandle: Recording] = [:]

    private final class Recording {
        let name: String
        let start: Instant
        var buffer: [UInt8] = []
        var size = 0
        var handedOverAt: Instant
        /// Nothing more is taken.
        var isEnded = false

        init(name: String, start: Instant) {
            self.name = name
            self.start = start
            handedOverAt = start
        }
    }

    init(_ dump: RTPDump, sizeLimit: Int = RTPDumpTap.sizeLimit) {
        self.dump = dump
        self.sizeLimit = sizeLimit
        began = (MonotonicClock.now(), MonotonicClock.unixNanoseconds())
    }

    deinit {
        for (endpoint, recording) in recordings where !recording.isEnded { handOver(recording, endpoint, .complete) }
    }

    func received(
        _ packet: UnsafeRawBufferPointer, isRTCP: Bool, from endpoint: EndpointHandle, id: String, now: Instant
    ) {
        let recording = recordings[endpoint] ?? begin(endpoint, id, now)
        let length = packet.count + RTPDumpFormat.packetHeaderLength
        guard !recording.isEnded, length <= UInt16.max else { return }
        guard recording.size + length <= sizeLimit else { return handOver(recording, endpoint, .full) }
        recording.size += length
        let offset = UInt32(truncatingIfNeeded: max((now - recording.start).milliseconds, 0))
        RTPDumpFormat.append(packetOf: packet.count, isRTCP: isRTCP, milliseconds: offset, to: &recording.buffer)
        unsafe recording.buffer.append(contentsOf: packet)
        if recording.buffer.count >= Self.chunkSize || now - recording.handedOverAt >= Self.chunkAge {
            recording.handedOverAt = now
            handOver(recording, endpoint, .none)
        }
    }

    func ended(_ endpoint: EndpointHandle) {
        guard let recording = recordings.removeValue(forKey: endpoint), !recording.isEnded else { return }
        handOver(recording, endpoint, .complete)
    }

    private func begin(_ endpoint: EndpointHandle, _ id: String, _ now: Instant) -> Recording {
        let unixNanoseconds = began.unixNanoseconds &+ UInt64(max((now - began.monotonic).nanoseconds, 0))
        let recording = Recording(
            name: RTPDumpFormat.fileName(endpoint: id, handle: endpoint, unixNanoseconds: unixNanoseconds), start: now)
        recording.buffer.reserveCapacity(Self.chunkSize + 2048)
        RTPDumpFormat.appendFileHeader(startedAt: unixNanoseconds, to: &recording.buffer)
        recording.size = recording.buffer.count
        recordings[endpoint] = recording
        return recording
    }

    private func handOver(_ recording: Recording, _ endpoint: EndpointHandle, _ ending: RTPDump.Chunk.Ending) {
        var chunk = RTPDump.Chunk(endpoint: endpoint, name: recording.name, bytes: recording.buffer, ending: ending)
        recording.buffer = []
        recording.isEnded = ending != .none
        if !recording.isEnded { recording.buffer.reserveCapacity(Self.chunkSize + 2048) }
        guard !dump.take(chunk), ending == .none else { return }
        // A hole would make the rest unreadable: the recording ends instead.
        recording.isEnded = true
        recording.buffer = []
        chunk.bytes = []
        chunk.ending = .overrun
        _ = dump.take(chunk)
    }
}

/// The bytes of a file: a line of text, the header of the file, then packets with eight bytes in front of each (rtptools
/// 1.22, rtpdump.h). All numbers are in network byte order.
enum RTPDumpFormat {
    /// RD_packet_t.
    static let packetHeaderLength = 8

    /// The line and RD_hdr_t. Addresses are left out: who it was is nobody's business.
    static func appendFileHeader(startedAt unixNanoseconds: UInt64, to bytes: inout [UInt8]) {
        bytes += Array("#!rtpplay1.0 0.0.0.0/0\n".utf8)
        append(UInt32(truncatingIfNeeded: unixNanoseconds / 1_000_000_000), to: &bytes)
        append(UInt32(truncatingIfNeeded: unixNanoseconds % 1_000_000_000 / 1000), to: &bytes)
        // Source address, port and padding.
        bytes += [0, 0, 0, 0, 0, 0, 0, 0]
    }

    /// RD_packet_t: length with this header, length of the packet (0 for RTCP), milliseconds since the start.
    static func append(packetOf length: Int, isRTCP: Bool, milliseconds: UInt32, to bytes: inout [UInt8]) {
        let lengths = UInt32(truncatingIfNeeded: length + packetHeaderLength) << 16
        append(lengths | (isRTCP ? 0 : UInt32(truncatingIfNeeded: length)), to: &bytes)
        append(milliseconds, to: &bytes)
    }

    private static func append(_ number: UInt32, to bytes: inout [UInt8]) {
        unsafe withUnsafeBytes(of: number.bigEndian) { unsafe bytes.append(contentsOf: $0) }
    }

    /// Start, endpoint and handle. What signalling calls an endpoint never chooses where a file lies.
    static func fileName(endpoint id: String, handle: EndpointHandle, unixNanoseconds: UInt64) -> String {
        let clean = id.unicodeScalars.prefix(64).map { scalar in
            let isPlain = scalar.isASCII && (Character(scalar).isLetter || Character(scalar).isNumber || scalar == "-")
            return isPlain ? Character(scalar) : "_"
        }
        return "\(unixNanoseconds / 1_000_000)-\(String(clean))-\(String(handle.rawValue, radix: 16)).rtpdump"
    }
}
