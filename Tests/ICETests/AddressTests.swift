// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Testing

@testable import ICE

@Suite struct AddressTests {
    @Test(arguments: [
        ("0.0.0.0", "0.0.0.0"), ("255.255.255.255", "255.255.255.255"), ("192.0.2.1", "192.0.2.1"), ("::", "::"),
        ("::1", "::1"), ("1::", "1::"), ("2001:DB8::1", "2001:db8::1"),
        ("2001:0db8:0000:0000:0000:0000:0002:0001", "2001:db8::2:1"),
        // RFC 5952 section 4.2: never one group alone, the longest run, the first of equals.
        ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"), ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"),
        ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"), ("0:0:0:0:0:0:0:0", "::"),
        ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"),
        ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"), ("::ffff:192.0.2.1", "::ffff:192.0.2.1"),
        ("64:ff9b::192.0.2.33", "64:ff9b::c000:221"),
        ("1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"),
    ])
    func literalIsReadAndPrintedCanonically(text: String, canonical: String) throws {
        let address = try #require(IPAddress(text))
        #expect(address.description == canonical)
        #expect(IPAddress(canonical) == address)
    }

    @Test(arguments: [
        "", ".", "1.2.3", "1.2.3.4.5", "1.2.3.256", "1.2.3.-4", "01.2.3.4", "1.2.3.4 ", " 1.2.3.4", "1..2.3",
        "1.2.3.4:5", "0x1.2.3.4",
        "1000.2.3.4", ":", ":::", "1:::2", "::1::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8::",
        "::1:2:3:4:5:6:7:8", ":1:2:3:4:5:6:7", "1:2:3:4:5:6:7:", "12345::",
        "g::", "fe80::1%eth0", "[::1]", "1:2:3:4:5:6:7:1.2.3.4", "::1.2.3", "1.2.3.4::", "a8f2-11.local", "example.org",
        "2001:db8::1/64", "١.2.3.4",
    ])
    func otherTextIsRefused(text: String) {
        #expect(IPAddress(text) == nil)
    }

    @Test func randomAddressesSurvivePrinting() {
        var generator = SeededGenerator(seed: 5952)
        for _ in 0..<2000 {
            let mask: UInt64 = [0, 0xFFFF, 0xFFFF_0000_0000_FFFF, .max][Int.random(in: 0..<4, using: &generator)]
            let v6 = IPAddress.v6(generator.next() & mask, generator.next() & ~mask)
            #expect(IPAddress(v6.description) == v6)
            let v4 = IPAddress.v4(UInt32(truncatingIfNeeded: generator.next()))
            #expect(IPAddress(v4.description) == v4)
        }
    }

    @Test func randomTextNeverTraps() {
        var generator = SeededGenerator(seed: 4291)
        let alphabet = Array("0123456789abcdefF:::...%g".utf8)
        for _ in 0..<20_000 {
            let count = Int.random(in: 0...50, using: &generator)
            let text = (0..<count).map { _ in alphabet[Int.random(in: 0..<alphabet.count, using: &generator)] }
            if let address = IPAddress(String(decoding: text, as: UTF8.self)) {
                #expect(IPAddress(address.description) == address)
            }
        }
    }

    @Test(arguments: [
        ("10.0.0.1", "private"), ("10.255.255.255", "private"), ("11.0.0.1", ""), ("172.15.0.1", ""),
        ("172.16.0.1", "private"),
        ("172.31.255.255", "private"), ("172.32.0.1", ""), ("192.168.0.1", "private"), ("192.169.0.1", ""),
        ("100.63.255.255", ""), ("100.64.0.0", "cgnat"), ("100.127.255.255", "cgnat"), ("100.128.0.0", ""),
        ("169.254.1.1", "linkLocal"), ("127.0.0.1", "loopback"), ("127.9.9.9", "loopback"), ("128.0.0.1", ""),
        ("0.0.0.0", "unspecified"), ("224.0.0.1", "multicast"), ("239.1.1.1", "multicast"),
        ("255.255.255.255", "multicast"),
        ("240.0.0.1", ""), ("8.8.8.8", ""), ("::", "unspecified"), ("::1", "loopback"), ("::2", ""),
        ("fe80::1", "linkLocal"), ("febf::1", "linkLocal"),
        ("fec0::1", "private"), ("feff::1", "private"), ("fc00::1", "private ula"), ("fdff::1", "private ula"),
        ("fe00::1", ""), ("ff02::1", "multicast"),
        ("2001:db8::1", ""),
    ])
    func classIsKnown(text: String, classes: String) throws {
        let address = try #require(IPAddress(text))
        var found: [String] = []
        if address.isPrivate { found.append("private") }
        if address.isUniqueLocal { found.append("ula") }
        if address.isCGNAT { found.append("cgnat") }
        if address.isLinkLocal { found.append("linkLocal") }
        if address.isLoopback { found.append("loopback") }
        if address.isUnspecified { found.append("unspecified") }
        if address.isMulticastOrBroadcast { found.append("multicast") }
        #expect(found.joined(separator: " ") == classes)
    }

    @Test func redactedTextHidesTheHost() throws {
        #expect(try address("203.0.113.77", 5000).redacted == "203.0.x.x:5000")
        #expect(try address("2001:db8:0:1:2:3:4:5", 5000).redacted == "2001:db8:0:x:5000")
        #expect(try address("203.0.113.77", 5000).description == "203.0.113.77:5000")
        #expect(try address("2001:db8::1", 5000).description == "[2001:db8::1]:5000")
    }

    @Test(arguments: [
        ("", DatagramKind.unknown), ("0001 0000 2112a442", .unknown),
        ("0001 0000 2112a442 000000000000000000000000", .stun),
        ("0301 0000 2112a442 000000000000000000000000", .stun),
        ("0401 0000 2112a442 000000000000000000000000", .unknown),
        ("0001 0000 2112a443 000000000000000000000000", .unknown), ("16fefd 0000 000000000001 0001 00", .dtls),
        ("16fefd0000000000", .unknown), ("14fefd 0000 000000000001 0001 01", .dtls),
        ("13fefd 0000 000000000001 0001 01", .unknown),
        ("3ffefd 0000 000000000001 0001 01", .dtls), ("40fefd 0000 000000000001 0001 01", .unknown),
        ("80c8000600000001", .rtcp), ("80c0000600000001", .rtcp), ("80df000600000001", .rtcp),
        ("80e0 0006 00000001 00000002", .rtp),
        ("80bf 0006 00000001 00000002", .rtp), ("8060 0006 00000001 00000002", .rtp), ("80600006 00000001", .unknown),
        ("bfc8 0006 00000001", .rtcp), ("c0c8 0006 00000001", .unknown), ("7fc8 0006 00000001 00000000", .unknown),
    ])
    func datagramIsSortedByItsFirstBytes(bytes: String, expected: DatagramKind) {
        #expect(kind(of: hex(bytes)) == expected)
    }
}
