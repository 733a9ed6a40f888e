// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// MID and RID: short texts that name a media section and an encoding in header extensions (RFC 9143, RFC 8852).

/// Up to 16 bytes of text kept inside the value, so that it can be compared and copied without memory of its own.
struct ShortText: Hashable, Sendable, BitwiseCopyable {
    /// Bytes 0...7, the first one lowest.
    private(set) var low: UInt64 = 0
    /// Bytes 8...15.
    private(set) var high: UInt64 = 0
    private(set) var count: UInt8 = 0

    static let capacity = 16

    /// Adds one byte; false when the text is full.
    mutating func append(_ byte: UInt8) -> Bool {
        guard Int(count) < Self.capacity else { return false }
        let shift = UInt64(count & 7) * 8
        if count < 8 { low |= UInt64(byte) << shift } else { high |= UInt64(byte) << shift }
        count += 1
        return true
    }

    /// The byte at `index`, 0 behind the end.
    subscript(_ index: Int) -> UInt8 {
        guard index >= 0, index < Self.capacity else { return 0 }
        return UInt8(truncatingIfNeeded: (index < 8 ? low : high) >> (UInt64(index & 7) * 8))
    }

    var text: String { String(decoding: (0..<Int(count)).map { self[$0] }, as: UTF8.self) }

    /// Collects bytes that all satisfy `isAllowed`; nil when there are none, too many, or a wrong one.
    init?(_ bytes: some Sequence<UInt8>, where isAllowed: (UInt8) -> Bool) {
        for byte in bytes {
            guard isAllowed(byte), append(byte) else { return nil }
        }
        guard count > 0 else { return nil }
    }

    init?(parsing element: Range<Int>, in packet: Span<UInt8>, where isAllowed: (UInt8) -> Bool) {
        guard !element.isEmpty, element.count <= Self.capacity, element.upperBound <= packet.count else { return nil }
        for index in element {
            guard isAllowed(packet[index]), append(packet[index]) else { return nil }
        }
    }
}

/// Identification tag of a media section (RFC 5888, RFC 9143): a token of 1...16 bytes.
public struct Mid: Hashable, Sendable, BitwiseCopyable, CustomStringConvertible {
    let storage: ShortText

    /// Returns nil unless `text` is a token of 1...16 bytes (RFC 8866 section 9).
    public init?(_ text: String) {
        guard let storage = ShortText(text.utf8, where: Self.isToken) else { return nil }
        self.storage = storage
    }

    /// From the value of a header extension element.
    public init?(parsing element: Range<Int>, in packet: Span<UInt8>) {
        guard let storage = ShortText(parsing: element, in: packet, where: Self.isToken) else { return nil }
        self.storage = storage
    }

    /// Length in bytes, 1...16.
    public var count: Int { Int(storage.count) }

    public var description: String { storage.text }

    private static func isToken(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x21, 0x23...0x27, 0x2A, 0x2B, 0x2D, 0x2E, 0x30...0x39, 0x41...0x5A, 0x5E...0x7E: true
        default: false
        }
    }
}

/// Identifier of one encoding of a simulcast source (RFC 8851, RFC 8852): 1...16 letters, digits, `-` or `_`.
public struct Rid: Hashable, Sendable, BitwiseCopyable, CustomStringConvertible {
    let storage: ShortText

    /// Returns nil unless `text` is 1...16 letters, digits, `-` or `_`.
    public init?(_ text: String) {
        guard let storage = ShortText(text.utf8, where: Self.isAllowed) else { return nil }
        self.storage = storage
    }

    /// From the value of a header extension element.
    public init?(parsing element: Range<Int>, in packet: Span<UInt8>) {
        guard let storage = ShortText(parsing: element, in: packet, where: Self.isAllowed) else { return nil }
        self.storage = storage
    }

    /// Length in bytes, 1...16.
    public var count: Int { Int(storage.count) }

    public var description: String { storage.text }

    private static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x5F: true
        default: false
        }
    }
}
