// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// The last second of one received stream: what forwarders read and retransmissions are answered from.

import RTP

/// Facts of one received packet that forwarding needs, found once on arrival.
struct RingEntry: BitwiseCopyable {
    struct Flags: OptionSet, BitwiseCopyable {
        var rawValue: UInt8
        static let marker = Flags(rawValue: 1)
        /// First packet of a frame that decodes on its own.
        static let keyframeStart = Flags(rawValue: 2)
        /// The payload starts with a VP8 descriptor whose fields are below.
        static let vp8 = Flags(rawValue: 4)
        static let pictureID = Flags(rawValue: 8)
        static let tl0PicIdx = Flags(rawValue: 16)
        static let audioLevel = Flags(rawValue: 32)
        static let videoOrientation = Flags(rawValue: 64)
    }

    /// Unwrapped sequence number; `UInt64.max` marks a place that was never filled.
    var sequence: UInt64
    var receivedAt: Instant
    var timestamp: RTPTimestamp
    var slot: SlotID
    /// Where the payload starts in the slot, in bytes; for RTX behind the original sequence number.
    var payloadOffset: UInt16
    /// Without padding.
    var payloadLength: UInt16
    var payloadType: PayloadType
    var flags: Flags
    /// VP8 picture id, 7 or 15 bits (RFC 7741 section 4.2).
    var pictureID: UInt16
    var tl0PicIdx: UInt8
    /// Offsets of the two fields in the payload.
    var pictureIDOffset: UInt8
    var tl0PicIdxOffset: UInt8
    /// Length of the VP8 descriptor in bytes.
    var descriptorLength: UInt8
    /// RFC 6464 element as received.
    var audioLevel: UInt8
    /// 3GPP TS 26.114 coordination of video orientation as received.
    var videoOrientation: UInt8
    /// Dependency descriptor element in the slot; length 0: none.
    var dependencyDescriptorOffset: UInt16
    var dependencyDescriptorLength: UInt8

    static let emptySequence = UInt64.max
}

/// Ring of the entries of one SSRC, addressed by unwrapped sequence number and bounded by time and bytes. It owns the slots.
@safe
struct PacketRing: ~Copyable {
    private let slab: SlotSlab
    private let mask: UInt64
    private let entries: UnsafeMutablePointer<RingEntry>
    /// Oldest sequence number that may be present; everything below was evicted.
    private(set) var oldest: UInt64 = 0
    /// One past the newest sequence number.
    private(set) var end: UInt64 = 0
    private(set) var bytes = 0
    private let byteLimit: Int

    /// - Parameters:
    ///   - capacity: most packets held; a power of two.
    ///   - byteLimit: most payload bytes held.
    init(slab: SlotSlab, capacity: Int, byteLimit: Int) {
        precondition(capacity > 0 && capacity & (capacity - 1) == 0, "ring capacity is a power of two")
        self.slab = slab
        self.byteLimit = byteLimit
        mask = UInt64(capacity - 1)
        unsafe entries = .allocate(capacity: capacity)
        for i in 0..<capacity {
            unsafe entries[i].sequence = RingEntry.emptySequence
        }
    }

    deinit {
        for i in 0...Int(mask) where unsafe entries[i].sequence != RingEntry.emptySequence {
            unsafe slab.release(entries[i].slot)
        }
        unsafe entries.deallocate()
    }

    /// The entry of `sequence`, or nil when it was lost, evicted or not received yet. Valid until the next insert.
    @inline(__always)
    func entry(_ sequence: UInt64) -> UnsafePointer<RingEntry>? {
        let place = unsafe entries + Int(sequence & mask)
        return unsafe place.pointee.sequence == sequence ? UnsafePointer(place) : nil
    }

    enum Place { case new, duplicate, tooLate }

    /// Whether a packet of this number would be new.
    func place(of sequence: UInt64) -> Place {
        if end == 0 || sequence >= end { return .new }
        if sequence < oldest || end - sequence > mask { return .tooLate }
        return unsafe entry(sequence) == nil ? .new : .duplicate
    }

    /// Takes ownership of the entry's slot. `place(of:)` must have said `.new`.
    mutating func insert(_ entry: RingEntry) {
        if end == 0 {
            oldest = entry.sequence
            end = entry.sequence
        }
        if entry.sequence >= end {
            // Places that the window moves over are evicted; a jump longer than the ring empties it.
            let newEnd = entry.sequence + 1
            let keepFrom = newEnd > mask + 1 ? newEnd - (mask + 1) : 0
            if keepFrom > oldest { evict(upTo: min(keepFrom, end), resumeAt: keepFrom) }
            end = newEnd
        }
        unsafe entries[Int(entry.sequence & mask)] = entry
        bytes += Int(entry.payloadLength)
        while bytes > byteLimit && oldest < entry.sequence { evict(upTo: oldest + 1, resumeAt: oldest + 1) }
    }

    /// Releases what was received before `instant`.
    mutating func evict(receivedBefore instant: Instant) {
        while oldest < end {
            if let old = unsafe entry(oldest) {
                guard unsafe old.pointee.receivedAt < instant else { return }
            }
            evict(upTo: oldest + 1, resumeAt: oldest + 1)
        }
    }

    /// Releases everything; the numbering goes on.
    mutating func removeAll() { evict(upTo: end, resumeAt: end) }

    private mutating func evict(upTo limit: UInt64, resumeAt next: UInt64) {
        var sequence = oldest
        while sequence < limit {
            let place = unsafe entries + Int(sequence & mask)
            if unsafe place.pointee.sequence == sequence {
                unsafe slab.release(place.pointee.slot)
                unsafe bytes -= Int(place.pointee.payloadLength)
                unsafe place.pointee.sequence = RingEntry.emptySequence
            }
            sequence += 1
        }
        oldest = next
    }
}
