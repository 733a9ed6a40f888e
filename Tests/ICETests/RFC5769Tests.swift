// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Testing

@testable import ICE

/// The four messages of RFC 5769, byte for byte.
enum RFC5769 {
    static let request = hex(
        """
        000100582112a442b7e7a701bc34d686fa87dfae 802200105354554e207465737420636c69656e74
        002400046e0001ff 80290008932ff9b151263b36 00060009 6576746a3a68367659202020
        000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2 80280004e57a3bcf
        """)
    static let responseIPv4 = hex(
        """
        0101003c2112a442b7e7a701bc34d686fa87dfae 8022000b7465737420766563746f7220
        002000080001a147e112a643 000800142b91f599fd9e90c38c7489f92af9ba53f06be7d7 80280004c07d4c96
        """)
    static let responseIPv6 = hex(
        """
        010100482112a442b7e7a701bc34d686fa87dfae 8022000b7465737420766563746f7220
        002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9
        00080014a382954e4be67bf11784c97c8292c275bfe3ed41 80280004c8fb0b4c
        """)
    static let longTermRequest = hex(
        """
        000100602112a44278ad3433c6ad72c029da412e
        00060012e3839ee38388e383aae38383e382afe382b90000
        0015001c662f2f3439396b393534643 64f4c33346f4c394653547679363473 41
        0014000b6578616d706c652e6f726700 00080014f67024656dd64a3e02b8e0712e85c9a28ca89666
        """)
    static let password = Array("VOkJxbRl1RmTxUk/WvJxBt".utf8)
    /// MD5 of "マトリックス:example.org:TheMatrIX" (RFC 8489 section 9.2.2).
    static let longTermKey = hex("e8ca7ad59d5eb0518e312911d2dab2a9")
}

@Suite struct RFC5769Tests {
    @Test func requestIsReadAndVerified() throws {
        let bytes = RFC5769.request
        let message = try parse(bytes)
        #expect(message.isBindingRequest)
        #expect(message.transactionID == STUNTransactionID(tag: 0xB7E7_A701, nonce: 0xBC34_D686_FA87_DFAE))
        #expect(text(message.software, of: bytes) == "STUN test client")
        #expect(text(message.username, of: bytes) == "evtj:h6vY")
        #expect(message.priority == 0x6E00_01FF)
        #expect(message.iceControlled == 0x932F_F9B1_5126_3B36)
        #expect(message.iceControlling == nil)
        #expect(!message.useCandidate)
        #expect(message.hasFingerprint)
        #expect(message.unknownRequired.isEmpty)
        #expect(message.verifies(bytes, key: RFC5769.password))
        #expect(!message.verifies(bytes, key: Array("VOkJxbRl1RmTxUk/WvJxBT".utf8)))
        let fragments = message.fragments(in: bytes)
        #expect(fragments?.receiver.rawValue == "evtj")
        #expect(fragments?.sender.rawValue == "h6vY")
    }

    @Test(arguments: [
        (RFC5769.responseIPv4, "192.0.2.1"), (RFC5769.responseIPv6, "2001:db8:1234:5678:11:2233:4455:6677"),
    ])
    func responseIsReadAndVerified(bytes: [UInt8], ip: String) throws {
        let message = try parse(bytes)
        #expect(message.messageClass == .success)
        #expect(message.method == STUNMessage.binding)
        #expect(message.xorMappedAddress == (try address(ip, 32853)))
        #expect(message.mappedAddress == nil)
        #expect(text(message.software, of: bytes) == "test vector")
        #expect(message.hasFingerprint)
        #expect(message.verifies(bytes, key: RFC5769.password))
    }

    @Test func longTermRequestIsReadAndVerified() throws {
        let bytes = RFC5769.longTermRequest
        let message = try parse(bytes)
        #expect(text(message.username, of: bytes) == "マトリックス")
        #expect(text(message.nonce, of: bytes) == "f//499k954d6OL34oL9FSTvy64sA")
        #expect(text(message.realm, of: bytes) == "example.org")
        #expect(!message.hasFingerprint)
        #expect(message.verifies(bytes, key: RFC5769.longTermKey))
    }

    @Test func writerMakesTheResponsesOfTheRFCButForPadding() throws {
        // The RFC pads with spaces, the writer with zeros; SOFTWARE of 12 characters needs no padding.
        for bytes in [RFC5769.responseIPv4, RFC5769.responseIPv6] {
            let message = try parse(bytes)
            var writer = STUNWriter(.success, transactionID: message.transactionID)
            writer.append(software: "test vector ")
            if let address = message.xorMappedAddress { writer.append(xorMappedAddress: address) }
            let head = 20 + 4 + 12
            let addressLength = writer.bytes.count - head
            #expect(writer.bytes[head...] == bytes[head..<(head + addressLength)])
        }
    }
}
