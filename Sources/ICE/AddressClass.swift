// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// What kind of address one is: which may be advertised, which may be checked, which never leaves a network.

extension IPAddress {
    /// Of the IPv6 family, IPv4-mapped addresses included.
    @inlinable
    public var isIPv6: Bool {
        if case .v6 = self { return true }
        return false
    }

    /// 127.0.0.0/8 and ::1.
    public var isLoopback: Bool {
        switch self {
        case .v4(let a): a >> 24 == 127
        case .v6(let high, let low): high == 0 && low == 1
        }
    }

    /// 169.254.0.0/16 (RFC 3927) and fe80::/10.
    public var isLinkLocal: Bool {
        switch self {
        case .v4(let a): a >> 16 == 0xA9FE
        case .v6(let high, _): high >> 54 == 0xFE80 >> 6
        }
    }

    /// Unique local IPv6 addresses, fc00::/7 (RFC 4193).
    public var isUniqueLocal: Bool {
        if case .v6(let high, _) = self { return high >> 57 == 0xFC >> 1 }
        return false
    }

    /// What Jitsi calls private: RFC 1918, unique local and the deprecated site-local fec0::/10.
    public var isPrivate: Bool {
        switch self {
        case .v4(let a): a >> 24 == 10 || a >> 20 == 0xAC1 || a >> 16 == 0xC0A8
        case .v6(let high, _): isUniqueLocal || high >> 54 == 0xFEC0 >> 6
        }
    }

    /// Shared address space behind a carrier's NAT, 100.64.0.0/10 (RFC 6598).
    public var isCGNAT: Bool {
        if case .v4(let a) = self { return a >> 22 == 0x6440 >> 6 }
        return false
    }

    /// 0.0.0.0 and ::.
    public var isUnspecified: Bool { self == .v4(0) || self == .v6(0, 0) }

    /// 224.0.0.0/4, the limited broadcast address and ff00::/8: never a unicast peer.
    public var isMulticastOrBroadcast: Bool {
        switch self {
        case .v4(let a): a >> 28 == 0xE || a == 0xFFFF_FFFF
        case .v6(let high, _): high >> 56 == 0xFF
        }
    }
}
