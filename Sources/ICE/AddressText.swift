// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Addresses as text: dotted decimal for IPv4, RFC 4291 section 2.2 in and RFC 5952 out for IPv6.

extension IPAddress: LosslessStringConvertible {
    /// Reads an address literal. Host names, zone identifiers ("%eth0"), brackets and octal-looking octets ("010") are
    /// refused; an IPv4-mapped IPv6 literal stays `.v6`.
    public init?(_ description: String) {
        let text = Array(description.utf8.prefix(46))
        if let v4 = Self.octets(text[...]) {
            self = .v4(v4)
        } else if let (high, low) = Self.groups(text[...]) {
            self = .v6(high, low)
        } else {
            return nil
        }
    }

    /// The address as RFC 5952 wants it: lower case, no leading zeros, the longest run of zero groups as "::".
    public var description: String {
        switch self {
        case .v4(let octets):
            return "\(octets >> 24).\(octets >> 16 & 0xFF).\(octets >> 8 & 0xFF).\(octets & 0xFF)"
        case .v6(0, let low) where low >> 32 == 0xFFFF:
            return "::ffff:\(IPAddress.v4(UInt32(truncatingIfNeeded: low)))"
        case .v6(let high, let low):
            return Self.text(ofGroups: high, low)
        }
    }

    /// The address for logs: enough to tell networks apart, not people ("203.0.x.x", "2001:db8:0:x").
    public var redacted: String {
        switch self {
        case .v4(let octets):
            return "\(octets >> 24).\(octets >> 16 & 0xFF).x.x"
        case .v6(let high, _):
            let groups = [48, 32, 16].map { String(UInt16(truncatingIfNeeded: high >> UInt64($0)), radix: 16) }
            return "\(groups[0]):\(groups[1]):\(groups[2]):x"
        }
    }

    private static func text(ofGroups high: UInt64, _ low: UInt64) -> String {
        let groups = (0..<8).map { index in
            UInt16(truncatingIfNeeded: (index < 4 ? high : low) >> UInt64(48 - 16 * (index & 3)))
        }
        // RFC 5952 section 4.2: shorten the first of the longest runs, and never a run of one.
        var best = 0..<0
        var start = 0
        while start < 8 {
            var end = start
            while end < 8 && groups[end] == 0 { end += 1 }
            if end - start > max(best.count, 1) { best = start..<end }
            start = end + 1
        }
        let texts = groups.map { String($0, radix: 16) }
        if best.isEmpty { return texts.joined(separator: ":") }
        return texts[..<best.lowerBound].joined(separator: ":") + "::"
            + texts[best.upperBound...].joined(separator: ":")
    }

    private static func octets(_ text: ArraySlice<UInt8>) -> UInt32? {
        let fields = text.split(separator: UInt8(ascii: "."), maxSplits: 4, omittingEmptySubsequences: false)
        guard fields.count == 4 else { return nil }
        var address: UInt32 = 0
        for field in fields {
            guard (1...3).contains(field.count), field.count == 1 || field.first != UInt8(ascii: "0") else {
                return nil
            }
            var octet: UInt32 = 0
            for digit in field {
                guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digit) else { return nil }
                octet = octet * 10 + UInt32(digit - UInt8(ascii: "0"))
            }
            guard octet < 256 else { return nil }
            address = address << 8 | octet
        }
        return address
    }

    private static func groups(_ text: ArraySlice<UInt8>) -> (UInt64, UInt64)? {
        guard text.count <= 45 else { return nil }
        let fields = text.split(separator: UInt8(ascii: ":"), maxSplits: 9, omittingEmptySubsequences: false)
        guard (3...9).contains(fields.count) else { return nil }
        var groups = [UInt16]()
        var gap: Int?
        for (index, field) in fields.enumerated() {
            if field.isEmpty {
                // Empty fields stand beside "::" only: at either end (with a neighbour also empty) or once inside.
                if index == 0 {
                    guard fields[1].isEmpty else { return nil }
                } else if index == fields.count - 1 {
                    guard fields[index - 1].isEmpty else { return nil }
                } else {
                    guard gap == nil else { return nil }
                    gap = groups.count
                }
            } else if index == fields.count - 1, field.contains(UInt8(ascii: ".")) {
                guard let octets = octets(field) else { return nil }
                groups.append(UInt16(truncatingIfNeeded: octets >> 16))
                groups.append(UInt16(truncatingIfNeeded: octets))
            } else {
                guard let group = hexadecimal(field) else { return nil }
                groups.append(group)
            }
        }
        if let gap {
            guard groups.count < 8 else { return nil }
            groups.insert(contentsOf: repeatElement(0, count: 8 - groups.count), at: gap)
        }
        guard groups.count == 8 else { return nil }
        return (groups[..<4].reduce(0) { $0 << 16 | UInt64($1) }, groups[4...].reduce(0) { $0 << 16 | UInt64($1) })
    }

    private static func hexadecimal(_ field: ArraySlice<UInt8>) -> UInt16? {
        guard (1...4).contains(field.count) else { return nil }
        var value: UInt16 = 0
        for digit in field {
            switch digit {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = value << 4 | UInt16(digit - UInt8(ascii: "0"))
            case UInt8(ascii: "a")...UInt8(ascii: "f"): value = value << 4 | UInt16(digit - UInt8(ascii: "a") + 10)
            case UInt8(ascii: "A")...UInt8(ascii: "F"): value = value << 4 | UInt16(digit - UInt8(ascii: "A") + 10)
            default: return nil
            }
        }
        return value
    }
}

extension TransportAddress: CustomStringConvertible {
    /// "192.0.2.1:10000" or "[2001:db8::1]:10000".
    public var description: String {
        switch ip {
        case .v4: "\(ip):\(port)"
        case .v6: "[\(ip)]:\(port)"
        }
    }

    /// The address for logs, without what identifies a person's line.
    public var redacted: String { "\(ip.redacted):\(port)" }
}
