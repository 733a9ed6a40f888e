// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// ICE credentials (RFC 8445 section 5.3, syntax of RFC 8839 section 5.4).

/// Names one side of an ICE session: 4...256 printable ASCII characters without space and colon.
public struct UsernameFragment: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    public let rawValue: String

    /// Nil when the length or a character is not allowed. Characters are taken more widely than RFC 8839's ice-char,
    /// because some peers send '-' and '_'.
    public init?(rawValue: String) {
        guard (4...256).contains(rawValue.utf8.count), rawValue.utf8.allSatisfy(Self.isAllowed) else { return nil }
        self.rawValue = rawValue
    }

    /// The fragment in `range` of a datagram. Up to 15 bytes are stored without allocation.
    init?(bytes: Span<UInt8>, _ range: Range<Int>) {
        guard (4...256).contains(range.count), range.upperBound <= bytes.count else { return nil }
        for index in range where !Self.isAllowed(bytes[index]) { return nil }
        rawValue = unsafe String(unsafeUninitializedCapacity: range.count) { buffer in
            for (position, index) in range.enumerated() { unsafe buffer[position] = bytes[index] }
            return range.count
        }
    }

    /// The first character, by which the owning shard is found.
    public var firstCharacter: UInt8 { rawValue.utf8.first ?? 0 }

    public var description: String { rawValue }

    static func isAllowed(_ byte: UInt8) -> Bool { byte > 0x20 && byte < 0x7F && byte != UInt8(ascii: ":") }
}

/// The secret of one side of an ICE session: 22...256 printable ASCII characters. Printed as "redacted".
public struct ICEPassword: RawRepresentable, Hashable, Sendable, CustomStringConvertible, CustomDebugStringConvertible {
    public let rawValue: String
    /// The key of MESSAGE-INTEGRITY.
    let key: [UInt8]

    public init?(rawValue: String) {
        guard (22...256).contains(rawValue.utf8.count), rawValue.utf8.allSatisfy(UsernameFragment.isAllowed) else {
            return nil
        }
        self.rawValue = rawValue
        key = Array(rawValue.utf8)
    }

    public var description: String { "redacted" }
    public var debugDescription: String { "redacted" }
}

/// Username fragment and password of one side and one generation.
public struct ICECredentials: Hashable, Sendable {
    /// Names the side.
    public let ufrag: UsernameFragment
    /// Keys MESSAGE-INTEGRITY of the requests it receives.
    public let pwd: ICEPassword

    public init(ufrag: UsernameFragment, pwd: ICEPassword) {
        self.ufrag = ufrag
        self.pwd = pwd
    }

    /// New credentials: a fragment of 12 characters (55 random bits) that starts with `firstCharacter`, and a password of 26
    /// (130 bits; RFC 8445 asks for 24 and 128).
    ///
    /// - Parameter firstCharacter: an ASCII letter or digit; anything else is replaced by "a".
    public init(firstCharacter: UInt8, using generator: inout some RandomNumberGenerator) {
        let first = Self.isAlphanumeric(firstCharacter) ? firstCharacter : UInt8(ascii: "a")
        let fragment = Self.text(from: [first], count: 11, using: &generator)
        let password = Self.text(from: [], count: 26, using: &generator)
        guard let ufrag = UsernameFragment(rawValue: fragment), let pwd = ICEPassword(rawValue: password) else {
            preconditionFailure("generated ICE credentials are of the right length and alphabet")
        }
        self.init(ufrag: ufrag, pwd: pwd)
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: false
        }
    }

    private static func text(
        from start: [UInt8], count: Int, using generator: inout some RandomNumberGenerator
    ) -> String {
        // 32 characters, so that five bits choose one without bias.
        let alphabet = Array("abcdefghijklmnopqrstuvwxyz234567".utf8)
        var text = start
        var pool: UInt64 = 0
        for index in 0..<count {
            if index % 12 == 0 { pool = generator.next() }
            text.append(alphabet[Int(pool & 31)])
            pool >>= 5
        }
        return String(decoding: text, as: UTF8.self)
    }
}
