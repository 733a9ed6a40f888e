// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import ICE
import Testing

@testable import jvbd

/// Which of this machine's addresses peers are told.
@Suite struct LocalAddressesTests {
    private static let loopback = LocalAddress(interface: "lo", address: .v4(0x7F00_0001))
    private static let loopback6 = LocalAddress(interface: "lo", address: .v6(0, 1))
    private static let linkLocal = LocalAddress(interface: "eth0", address: .v6(0xFE80_0000_0000_0000, 7))
    private static let linkLocal4 = LocalAddress(interface: "eth1", address: .v4(0xA9FE_0102))
    private static let lan = LocalAddress(interface: "eth0", address: .v4(0x0A00_0002))
    private static let global = LocalAddress(interface: "eth0", address: .v6(0x2001_0DB8_0000_0000, 9))

    @Test func linkLocalAndLoopbackAddressesAreLeftOut() {
        let all = [Self.loopback, Self.linkLocal, Self.lan, Self.linkLocal4, Self.global, Self.loopback6]
        #expect(LocalAddress.usable(all, includeLoopback: false) == [Self.lan, Self.global])
    }

    @Test func loopbackComesWhenAskedForOrWhenThereIsNothingElse() {
        #expect(LocalAddress.usable([Self.loopback, Self.lan], includeLoopback: true) == [Self.loopback, Self.lan])
        #expect(LocalAddress.usable([Self.loopback, Self.linkLocal], includeLoopback: false) == [Self.loopback])
    }

    @Test func thisMachineHasALoopbackInterface() {
        let all = LocalAddress.all(includeLoopback: true)
        #expect(all.contains(Self.loopback))
        #expect(all.allSatisfy { !$0.interface.isEmpty })
    }
}
