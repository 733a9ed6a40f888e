// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import CLinux
import ICE

/// An address of this machine and the interface that has it.
struct LocalAddress: Hashable, Sendable {
    var interface: String
    var address: IPAddress

    /// The addresses at which peers can reach this machine: those of all interfaces that are up, without link-local and
    /// multicast ones. Loopback only when asked for, or when there is nothing else.
    static func all(includeLoopback: Bool = false) -> [LocalAddress] {
        usable(interfaceAddresses(), includeLoopback: includeLoopback)
    }

    /// The rule of `all`.
    static func usable(_ addresses: [LocalAddress], includeLoopback: Bool) -> [LocalAddress] {
        let unicast = addresses.filter {
            !$0.address.isLinkLocal && !$0.address.isMulticastOrBroadcast && !$0.address.isUnspecified
        }
        if includeLoopback { return unicast }
        let outside = unicast.filter { !$0.address.isLoopback }
        return outside.isEmpty ? unicast : outside
    }

    private static let limit = 256

    private static func interfaceAddresses() -> [LocalAddress] {
        let buffer = UnsafeMutableBufferPointer<clinux_local_address>.allocate(capacity: limit)
        defer { unsafe buffer.deallocate() }
        let count = unsafe Int(clinux_local_addresses(buffer.baseAddress, UInt32(limit)))
        return (0..<min(max(count, 0), limit)).map { i in
            var entry = unsafe buffer[i]
            let name = unsafe withUnsafeBytes(of: &entry.interface) { bytes in
                unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            return LocalAddress(
                interface: name, address: IPAddress(isIPv6: entry.is_ipv6, high: entry.high, low: entry.low))
        }
    }
}
