// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Where a STUN message belongs, read without verifying anything: requests go by username fragment, responses by the
/// tag of their transaction (RFC 8445 section 7.3; the address a message came from is never asked first).
public enum STUNDestination: Hashable, Sendable {
    /// A Binding request to the owner of this username fragment.
    case request(UsernameFragment)
    /// A Binding success or error response to the session that was given this tag.
    case response(tag: UInt32)

    /// Nil for anything else: no STUN, other methods, indications, a request without a usable USERNAME.
    public init?(of bytes: Span<UInt8>) {
        guard bytes.count >= STUNMessage.headerLength, bytes.bigEndian32(at: 4) == STUNMessage.magicCookie else {
            return nil
        }
        switch bytes.bigEndian16(at: 0) {
        case 0x0001:
            guard let fragment = Self.receiver(in: bytes) else { return nil }
            self = .request(fragment)
        case 0x0101, 0x0111:
            self = .response(tag: bytes.bigEndian32(at: 8))
        default:
            return nil
        }
    }

    private static func receiver(in bytes: Span<UInt8>) -> UsernameFragment? {
        var offset = STUNMessage.headerLength
        while bytes.count - offset >= 4 {
            let start = offset + 4
            let end = start + Int(bytes.bigEndian16(at: offset + 2))
            guard end <= bytes.count else { return nil }
            if bytes.bigEndian16(at: offset) == STUNAttribute.username.rawValue {
                guard let colon = (start..<end).first(where: { bytes[$0] == UInt8(ascii: ":") }) else { return nil }
                return UsernameFragment(bytes: bytes, start..<colon)
            }
            offset = end + (4 - end % 4) % 4
        }
        return nil
    }
}
