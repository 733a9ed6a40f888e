// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Writes an RTP header with its extension elements into memory of the caller (RFC 3550 section 5.1, RFC 8285).

/// Header under construction. Elements are appended one by one; the one-byte form is kept until an element does not fit
/// it (identifier above 14, no value, or a value longer than 16 bytes), then what was written is turned into the
/// two-byte form. Nothing is allocated.
@safe
public struct HeaderWriter: ~Copyable {
    private let start: UnsafeMutableRawPointer
    private let capacity: Int
    private var end = HeaderWriter.elementsStart
    private var elementCount = 0
    private var isTwoByte = false

    private static let elementsStart = RTPHeader.fixedLength + 4
    /// Room that `init` needs at least.
    public static let minimumCapacity = RTPHeader.fixedLength

    /// Writes the fixed header.
    ///
    /// - Parameters:
    ///   - start: memory of the caller that outlives the writer; at least `capacity` bytes, of any alignment.
    ///   - capacity: bytes that may be written, at least `minimumCapacity`. Those behind the finished header may hold
    ///     anything.
    ///   - hasPadding: sets the P bit; the padding itself is the caller's.
    public init(
        into start: UnsafeMutableRawPointer, capacity: Int, marker: Bool, payloadType: PayloadType,
        sequenceNumber: SequenceNumber, timestamp: RTPTimestamp, ssrc: SSRC, hasPadding: Bool = false
    ) {
        precondition(capacity >= Self.minimumCapacity, "an RTP header needs 12 bytes")
        unsafe self.start = unsafe start
        self.capacity = capacity
        let flags: UInt32 = (hasPadding ? 0xA000_0000 : 0x8000_0000) | (marker ? 0x80_0000 : 0)
        let first = flags | UInt32(payloadType.rawValue) << 16 | UInt32(sequenceNumber.rawValue)
        unsafe start.storeBigEndian(UInt64(first) << 32 | UInt64(timestamp.rawValue), at: 0)
        unsafe start.storeBigEndian(ssrc.rawValue, at: 8)
    }

    /// Makes room for an element and writes its header; nil when it does not fit.
    @inline(__always)
    private mutating func open(_ id: ExtensionID, _ count: Int) -> Int? {
        guard !isTwoByte, id.fitsOneByteForm, count >= 1, count <= 16 else { return openTwoByte(id, count) }
        guard (end &+ count &+ 4) & ~3 <= capacity else { return nil }
        unsafe start.storeBigEndian(id.rawValue << 4 | UInt8(truncatingIfNeeded: count &- 1), at: end)
        defer { end &+= 1 &+ count }
        elementCount &+= 1
        return end &+ 1
    }

    @inline(never)
    private mutating func openTwoByte(_ id: ExtensionID, _ count: Int) -> Int? {
        guard count >= 0, count <= 255 else { return nil }
        let value = end + (isTwoByte ? 0 : elementCount) + 2
        guard (value + count + 3) & ~3 <= capacity else { return nil }
        if !isTwoByte { turnIntoTwoByteForm() }
        unsafe start.storeBigEndian(id.rawValue, at: end)
        unsafe start.storeBigEndian(UInt8(truncatingIfNeeded: count), at: end + 1)
        end = value + count
        elementCount += 1
        return value
    }

    /// Every element grows by one byte: move all of them up by that much, then walk down again. The reading position
    /// stays ahead of the writing position by the number of elements still to come.
    private mutating func turnIntoTwoByteForm() {
        isTwoByte = true
        var write = Self.elementsStart
        var read = write + elementCount
        unsafe (start + read).copyMemory(from: start + write, byteCount: end - write)
        end += elementCount
        while read < end {
            let octet = unsafe start.load(fromByteOffset: read, as: UInt8.self)
            let length = Int(octet & 0x0F) + 1
            unsafe start.storeBigEndian(octet >> 4, at: write)
            unsafe start.storeBigEndian(UInt8(truncatingIfNeeded: length), at: write + 1)
            unsafe (start + write + 2).copyMemory(from: start + read + 1, byteCount: length)
            write += 2 + length
            read += 1 + length
        }
    }

    /// Appends an element of `count` bytes, 0...255. False, and nothing changed, when it does not fit the capacity.
    @discardableResult
    public mutating func append(_ id: ExtensionID, bytes: UnsafeRawPointer, count: Int) -> Bool {
        guard let value = open(id, count) else { return false }
        unsafe (start + value).copyMemory(from: bytes, byteCount: count)
        return true
    }

    /// Appends an element whose value is the bytes `range` of `packet`, as `ExtensionWalk` gives them.
    @discardableResult
    public mutating func append(_ id: ExtensionID, copying range: Range<Int>, of packet: Span<UInt8>) -> Bool {
        guard range.lowerBound >= 0, range.upperBound <= packet.count, let value = open(id, range.count) else {
            return false
        }
        unsafe start.copy(range, of: packet, to: value)
        return true
    }

    /// Appends an element of one byte.
    @discardableResult
    public mutating func append(_ id: ExtensionID, octet: UInt8) -> Bool {
        guard let value = open(id, 1) else { return false }
        unsafe start.storeBigEndian(octet, at: value)
        return true
    }

    @discardableResult
    public mutating func append(_ id: ExtensionID, _ level: AudioLevel) -> Bool {
        append(id, octet: level.octet)
    }

    /// Appends a transport-wide sequence number.
    @discardableResult
    public mutating func append(_ id: ExtensionID, _ transportSequenceNumber: SequenceNumber) -> Bool {
        guard let value = open(id, 2) else { return false }
        unsafe start.storeBigEndian(transportSequenceNumber.rawValue, at: value)
        return true
    }

    @discardableResult
    public mutating func append(_ id: ExtensionID, _ time: AbsoluteSendTime) -> Bool {
        guard let value = open(id, 3) else { return false }
        unsafe start.storeBigEndian(UInt8(truncatingIfNeeded: time.rawValue >> 16), at: value)
        unsafe start.storeBigEndian(UInt16(truncatingIfNeeded: time.rawValue), at: value + 1)
        return true
    }

    @discardableResult
    public mutating func append(_ id: ExtensionID, _ mid: Mid) -> Bool { append(id, mid.storage) }

    @discardableResult
    public mutating func append(_ id: ExtensionID, _ rid: Rid) -> Bool { append(id, rid.storage) }

    private mutating func append(_ id: ExtensionID, _ text: ShortText) -> Bool {
        guard let value = open(id, Int(text.count)) else { return false }
        if value + ShortText.capacity <= capacity {
            // Two words at once; what is too much is written over by the next element or the padding.
            unsafe start.storeBigEndian(text.low.byteSwapped, at: value)
            unsafe start.storeBigEndian(text.high.byteSwapped, at: value + 8)
        } else {
            for index in 0..<Int(text.count) { unsafe start.storeBigEndian(text[index], at: value + index) }
        }
        return true
    }

    /// Pads the extension block to whole words and writes its length; without elements there is no block.
    ///
    /// - Returns: the length of the header in bytes, a multiple of 4.
    public consuming func finish() -> Int {
        guard elementCount > 0 else { return RTPHeader.fixedLength }
        while end & 3 != 0 {
            unsafe start.storeBigEndian(UInt8(0), at: end)
            end &+= 1
        }
        let first = unsafe start.load(as: UInt8.self)
        unsafe start.storeBigEndian(first | 0x10, at: 0)
        unsafe start.storeBigEndian(UInt16(isTwoByte ? 0x1000 : 0xBEDE), at: RTPHeader.fixedLength)
        let words = (end - Self.elementsStart) / 4
        unsafe start.storeBigEndian(UInt16(truncatingIfNeeded: words), at: RTPHeader.fixedLength + 2)
        return end
    }
}
