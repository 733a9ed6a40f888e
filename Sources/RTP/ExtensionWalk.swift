// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Walk over the elements of an RTP header extension in both forms (RFC 8285 sections 4.2 and 4.3).

/// One element of a header extension: its local identifier and where its value lies in the packet.
public struct ExtensionElement: BitwiseCopyable, Sendable {
    public let id: ExtensionID
    private let start: UInt16
    private let end: UInt16

    init(id: ExtensionID, start: Int, end: Int) {
        self.id = id
        self.start = UInt16(truncatingIfNeeded: start)
        self.end = UInt16(truncatingIfNeeded: end)
    }

    /// Where the value lies in the packet.
    public var value: Range<Int> { Int(start)..<Int(end) }
}

/// Position in the extension block of one packet. Holds offsets only; the packet is passed to every step.
///
/// ```
/// one-byte form:  | ID:4 | len-1:4 | value ... |      ID 0 pads one byte, ID 15 ends the block
/// two-byte form:  | ID:8 | len:8   | value ... |      ID 0 pads one byte
/// ```
public struct ExtensionWalk: BitwiseCopyable, Sendable {
    private var position: Int
    private let end: Int
    private let isTwoByte: Bool

    /// Starts before the first element of the packet that `header` was read from.
    public init(_ header: RTPHeader) {
        position = header.extensionStart
        isTwoByte = header.extensionKind == .twoByte
        end = isTwoByte || header.extensionKind == .oneByte ? header.extensionEnd : position
    }

    /// The next element; nil at the end and from the first malformed element on.
    public mutating func next(in packet: Span<UInt8>) -> ExtensionElement? {
        let limit = min(end, packet.count)
        while position < limit {
            let octet = packet[position]
            if octet == 0 {
                position &+= 1
                continue
            }
            let length: Int
            let value: Int
            if isTwoByte {
                guard position &+ 1 < limit else { break }
                length = Int(packet[position &+ 1])
                value = position &+ 2
            } else {
                // 15 is reserved to end the block; 0 with a length ends it too, having no `ExtensionID`.
                guard octet >> 4 != 15 else { break }
                length = Int(octet & 0x0F) &+ 1
                value = position &+ 1
            }
            guard value &+ length <= limit, let id = ExtensionID(rawValue: isTwoByte ? octet : octet >> 4) else {
                break
            }
            position = value &+ length
            return ExtensionElement(id: id, start: value, end: position)
        }
        position = limit
        return nil
    }
}
