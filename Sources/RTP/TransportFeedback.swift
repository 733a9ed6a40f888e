// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Reads transport-wide feedback: which packets arrived and when (draft-holmer-rmcat-transport-wide-cc-extensions-01).

/// Facts of one transport-wide feedback message.
///
/// ```
/// |                     SSRC of packet sender                     |
/// |                      SSRC of media source                     |
/// |      base sequence number     |      packet status count      |
/// |                 reference time                | fb pkt. count |
/// |          packet chunk         |         packet chunk          |
/// |         packet chunk          |  recv delta   |  recv delta   |
/// ```
public struct TransportFeedback: BitwiseCopyable, Sendable {
    public let sender: SSRC
    public let media: SSRC
    public let baseSequenceNumber: SequenceNumber
    /// Number of packets reported on, received or not; 1...`maximumStatusCount`.
    public let statusCount: Int
    /// In multiples of 64 ms on a clock of the peer, 0...0xFFFFFF, modulo 2^24.
    public let referenceTime: UInt32
    /// Counts the messages of the peer modulo 256.
    public let feedbackCount: UInt8
    let chunksStart: Int
    let deltasStart: Int
    let end: Int

    static let headerLength = 16
    /// Most packets accepted in one message, so that a few run-length chunks cannot cost a long loop.
    public static let maximumStatusCount = 16384

    /// Checks that chunks and deltas for all packets are there.
    public init(_ block: RTCPBlock, in packet: Span<UInt8>) throws(ParseError) {
        let body = try block.body(
            of: .transportFeedback, format: RTCPFeedbackFormat.transportWideCC, atLeast: Self.headerLength, in: packet)
        let start = body.lowerBound
        sender = SSRC(rawValue: packet.bigEndian32(at: start))
        media = SSRC(rawValue: packet.bigEndian32(at: start + 4))
        baseSequenceNumber = SequenceNumber(rawValue: packet.bigEndian16(at: start + 8))
        statusCount = Int(packet.bigEndian16(at: start + 10))
        referenceTime = packet.bigEndian24(at: start + 12)
        feedbackCount = packet[start + 15]
        end = body.upperBound
        chunksStart = start + Self.headerLength
        guard statusCount > 0 else { throw .malformed("empty transport feedback") }
        guard statusCount <= Self.maximumStatusCount else { throw .limitExceeded("transport feedback statuses") }

        var position = chunksStart
        var left = statusCount
        var deltaBytes = 0
        while left > 0 {
            guard position + 2 <= end else { throw .truncated }
            var chunk = StatusChunk(rawValue: packet.bigEndian16(at: position))
            position += 2
            chunk.truncate(to: left)
            left -= chunk.count
            while let run = chunk.nextRun() {
                guard run.symbol != .reserved else { throw .malformed("transport feedback symbol") }
                deltaBytes += run.symbol.deltaLength * run.count
            }
        }
        deltasStart = position
        // Less than a word of zeros may follow: not every sender sets the P bit for it.
        guard position + deltaBytes <= end else { throw .truncated }
    }

    /// Walk over the packets reported on, from the base sequence number upwards.
    public var statuses: PacketStatuses { PacketStatuses(self) }
}

/// One packet of a transport-wide feedback message.
public struct PacketStatus: Hashable, BitwiseCopyable, Sendable {
    public let sequenceNumber: SequenceNumber
    /// Time since the packet received before it in sequence order, or since the reference time for the first one, in
    /// units of 250 us; nil when the packet was not received.
    public let delta: Int?
}

/// Position in the statuses of one feedback message. Holds offsets only; the RTCP packet is passed to every step.
public struct PacketStatuses: BitwiseCopyable, Sendable {
    private var chunkPosition: Int
    private var deltaPosition: Int
    private var left: Int
    private let end: Int
    private var sequenceNumber: SequenceNumber
    private var chunk = StatusChunk.empty
    private var symbol = StatusSymbol.notReceived
    private var runLeft = 0

    init(_ feedback: TransportFeedback) {
        chunkPosition = feedback.chunksStart
        deltaPosition = feedback.deltasStart
        left = feedback.statusCount
        end = feedback.end
        sequenceNumber = feedback.baseSequenceNumber
    }

    /// Makes `runLeft` greater than 0; false at the end.
    private mutating func fillRun(in packet: Span<UInt8>) -> Bool {
        while runLeft == 0 {
            if let run = chunk.nextRun() {
                symbol = run.symbol
                runLeft = run.count
                continue
            }
            guard left > 0, chunkPosition + 2 <= min(end, packet.count) else { return false }
            chunk = StatusChunk(rawValue: packet.bigEndian16(at: chunkPosition))
            chunkPosition += 2
            chunk.truncate(to: left)
            left -= chunk.count
        }
        return true
    }

    private mutating func takeOne(in packet: Span<UInt8>) -> PacketStatus? {
        guard deltaPosition + symbol.deltaLength <= min(end, packet.count) else { return nil }
        let delta: Int?
        switch symbol {
        case .notReceived, .reserved: delta = nil
        case .smallDelta: delta = Int(packet[deltaPosition])
        case .largeDelta: delta = Int(Int16(bitPattern: packet.bigEndian16(at: deltaPosition)))
        }
        deltaPosition += symbol.deltaLength
        defer { sequenceNumber = sequenceNumber.advanced(by: 1) }
        runLeft -= 1
        return PacketStatus(sequenceNumber: sequenceNumber, delta: delta)
    }

    /// The next packet, received or not; nil at the end.
    public mutating func next(in packet: Span<UInt8>) -> PacketStatus? {
        guard fillRun(in: packet) else { return nil }
        return takeOne(in: packet)
    }

    /// The next packet that was received; nil at the end. Steps over whole runs of lost packets at once.
    public mutating func nextReceived(in packet: Span<UInt8>) -> PacketStatus? {
        while fillRun(in: packet) {
            if symbol != .notReceived { return takeOne(in: packet) }
            sequenceNumber = sequenceNumber.advanced(by: runLeft)
            runLeft = 0
        }
        return nil
    }
}
