// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Testing

@testable import ICE

@Suite struct STUNMessageTests {
    let id = STUNTransactionID(tag: 0x0102_0304, nonce: 0x0506_0708_090A_0B0C)
    let key = Array("a password of some length".utf8)

    func check() -> [UInt8] {
        var writer = STUNWriter(.request, transactionID: id)
        writer.append(username: "abcdef:ghij")
        writer.append(priority: 0x6E7F_FFFF)
        writer.append(role: .controlling, tieBreaker: 0xFEDC_BA98_7654_3210)
        writer.appendUseCandidate()
        writer.appendIntegrity(key: key)
        writer.appendFingerprint()
        return writer.bytes
    }

    /// A message with raw attributes, without integrity and fingerprint.
    func raw(type: UInt16 = 1, _ attributes: [UInt8]) -> [UInt8] {
        let length = UInt16(attributes.count)
        return [UInt8(type >> 8), UInt8(type & 0xFF), UInt8(length >> 8), UInt8(length & 0xFF)] + hex("2112a442")
            + [UInt8](repeating: 7, count: 12) + attributes
    }

    @Test func writtenCheckIsReadBack() throws {
        let bytes = check()
        let message = try parse(bytes)
        #expect(message.isBindingRequest)
        #expect(message.transactionID == id)
        #expect(text(message.username, of: bytes) == "abcdef:ghij")
        #expect(message.priority == 0x6E7F_FFFF)
        #expect(message.iceControlling == 0xFEDC_BA98_7654_3210)
        #expect(message.useCandidate)
        #expect(message.hasFingerprint)
        #expect(message.verifies(bytes, key: key))
    }

    @Test func writtenErrorIsReadBack() throws {
        var writer = STUNWriter(.error, transactionID: id)
        writer.append(errorCode: 487)
        writer.append(unknownAttributes: [0x7001, 0x7002, 0x7003])
        writer.appendIntegrity(key: key)
        writer.appendFingerprint()
        let message = try parse(writer.bytes)
        #expect(message.messageClass == .error)
        #expect(message.errorCode == 487)
        #expect(message.unknownRequired.isEmpty)
    }

    @Test(arguments: ["192.0.2.1", "255.255.255.255", "::", "2001:db8::1", "fe80::ffff:ffff:ffff:ffff"])
    func xorMappedAddressIsReadBack(ip: String) throws {
        let mapped = try address(ip, 0x2112)
        var writer = STUNWriter(.success, transactionID: id)
        writer.append(xorMappedAddress: mapped)
        #expect(try parse(writer.bytes).xorMappedAddress == mapped)
    }

    @Test(arguments: [
        (UInt16(0x0001), STUNMessage.Class.request, UInt16(1)), (0x0011, .indication, 1), (0x0101, .success, 1),
        (0x0111, .error, 1), (0x0003, .request, 3), (0x3EEF, .request, 0xFFF), (0x3FFF, .error, 0xFFF),
    ])
    func classAndMethodAreInterleaved(type: UInt16, messageClass: STUNMessage.Class, method: UInt16) throws {
        let message = try parse(raw(type: type, []))
        #expect(message.messageClass == messageClass)
        #expect(message.method == method)
        let written = STUNWriter(messageClass, method: method, transactionID: id).bytes
        #expect(UInt16(written[0]) << 8 | UInt16(written[1]) == type)
    }

    @Test func optionalAttributesOfAnySizeAreSkipped() throws {
        for length in [0, 1, 2, 3, 4, 5, 500, 1200] {
            var attribute = hex("c057") + [UInt8(length >> 8), UInt8(length & 0xFF)]
            attribute += [UInt8](repeating: 0xAA, count: (length + 3) / 4 * 4)
            let message = try parse(raw(attribute + hex("00240004 00000009")))
            #expect(message.priority == 9)
            #expect(message.unknownRequired.isEmpty)
        }
    }

    @Test func unknownRequiredAttributesAreListedUpToALimit() throws {
        #expect(try parse(raw(hex("7fff0000 7ffe000401020304"))).unknownRequired == [0x7FFF, 0x7FFE])
        let many = (0..<100).flatMap { hex("70") + [UInt8($0)] + hex("0000") }
        #expect(try parse(raw(many)).unknownRequired.count == 16)
        // MESSAGE-INTEGRITY-SHA256 is known and skipped.
        #expect(try parse(raw(hex("001c0004 01020304"))).unknownRequired.isEmpty)
    }

    @Test func firstOfTwoEqualAttributesCounts() throws {
        #expect(try parse(raw(hex("0024000400000001 0024000400000002"))).priority == 1)
    }

    @Test func onlyFingerprintCountsBehindIntegrity() throws {
        var writer = STUNWriter(.request, transactionID: id)
        writer.append(priority: 5)
        writer.appendIntegrity(key: key)
        writer.appendUseCandidate()
        writer.append(username: "abcd:efgh")
        writer.appendFingerprint()
        let message = try parse(writer.bytes)
        #expect(!message.useCandidate)
        #expect(message.username == nil)
        #expect(message.hasFingerprint)
        #expect(message.verifies(writer.bytes, key: key))
    }

    @Test func nothingMayFollowFingerprint() throws {
        // A checksum that is right for a header that counts the attribute behind it.
        for behind in [hex("00250000"), hex("80280004") + [UInt8](repeating: 0, count: 4)] {
            var bytes = raw(behind)
            bytes.removeLast(behind.count)
            bytes[3] += 8
            let checksum = CRC32.checksum(bytes.span, count: bytes.count) ^ 0x5354_554E
            bytes += hex("80280004")
            bytes.appendBigEndian(checksum)
            let whole = bytes + behind
            #expect(throws: STUNError.malformed) { try parse(whole) }
        }
    }

    @Test(arguments: [
        ("", STUNError.truncated), ("0001 0000 2112a442 0000", .truncated),
        // Leading bits, cookie.
        ("4001 0000 2112a442 000000000000000000000000", .notSTUN),
        ("0001 0000 2112a443 000000000000000000000000", .notSTUN),
        // Lengths of the message.
        ("0001 0002 2112a442 000000000000000000000000 0000", .malformed),
        ("0001 0004 2112a442 000000000000000000000000", .truncated),
        ("0001 0000 2112a442 000000000000000000000000 00000000", .malformed),
        // An attribute longer than the message; PRIORITY of 3 bytes; ICE-CONTROLLING of 4; USE-CANDIDATE of 4.
        ("0001 0004 2112a442 000000000000000000000000 c0570001", .malformed),
        ("0001 0008 2112a442 000000000000000000000000 0024000301020300", .malformed),
        ("0001 0008 2112a442 000000000000000000000000 802a000401020304", .malformed),
        ("0001 0008 2112a442 000000000000000000000000 0025000401020304", .malformed),
        // Address of an unknown family, IPv4 family with IPv6 length, error code 299 and 399 + 1.
        ("0101 000c 2112a442 000000000000000000000000 00200008 0003000001020304", .malformed),
        ("0101 0018 2112a442 000000000000000000000000 00200014 0001000001020304 000000000000000000000000", .malformed),
        ("0111 0008 2112a442 000000000000000000000000 00090004 00000263", .malformed),
        ("0111 0008 2112a442 000000000000000000000000 00090004 00000364", .malformed),
        // FINGERPRINT of zero.
        ("0001 0008 2112a442 000000000000000000000000 80280004 00000000", .fingerprint),
    ])
    func badMessageIsRefused(message: String, error: STUNError) {
        #expect(throws: error) { try parse(hex(message)) }
    }

    @Test func requestAndResponseGoToTheirOwner() throws {
        let request = check()
        let fragment = try #require(UsernameFragment(rawValue: "abcdef"))
        #expect(destination(of: request) == .request(fragment))
        let response = STUNWriter(.success, transactionID: id).bytes
        #expect(destination(of: response) == .response(tag: 0x0102_0304))
        let error = STUNWriter(.error, transactionID: id).bytes
        #expect(destination(of: error) == .response(tag: 0x0102_0304))
        #expect(destination(of: STUNWriter(.indication, transactionID: id).bytes) == nil)
        #expect(destination(of: STUNWriter(.request, transactionID: id).bytes) == nil)
    }

    @Test func mutationsNeverTrapAndNeverVerify() throws {
        var generator = SeededGenerator(seed: 5769)
        for original in [RFC5769.request, RFC5769.responseIPv4, RFC5769.responseIPv6, RFC5769.longTermRequest, check()]
        {
            for length in 0..<original.count {
                let bytes = Array(original.prefix(length))
                #expect(throws: STUNError.self) { try parse(bytes) }
                _ = destination(of: bytes)
                _ = kind(of: bytes)
            }
            let key =
                original == RFC5769.longTermRequest
                ? RFC5769.longTermKey
                : original == check() ? self.key : RFC5769.password
            // Behind the digest stands only the fingerprint, which is not signed.
            let signed = original.count - (original == RFC5769.longTermRequest ? 0 : 8)
            for index in 0..<original.count {
                for bit in 0..<8 {
                    var bytes = original
                    bytes[index] ^= 1 << bit
                    _ = destination(of: bytes)
                    guard let message = try? parse(bytes) else { continue }
                    _ = message.fragments(in: bytes)
                    // The length of the whole message is not signed as such, only up to the digest.
                    let verifies = message.verifies(bytes, key: key)
                    #expect(!verifies || index >= signed || index == 2 || index == 3)
                }
            }
            for _ in 0..<2000 {
                var bytes = original
                for _ in 0..<Int.random(in: 1...8, using: &generator) {
                    bytes[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8.random(
                        in: 0...255, using: &generator)
                }
                if let message = try? parse(bytes) { _ = message.verifies(bytes, key: key) }
                _ = destination(of: bytes)
            }
        }
    }

    @Test func messageIsNotReadBeyondOtherBytes() throws {
        // Facts of a long message used with the bytes of a short one: an answer, not a trap.
        let message = try parse(check())
        let short = [UInt8](repeating: 0, count: 10)
        #expect(!message.verifies(short, key: key))
        #expect(message.fragments(in: short) == nil)
    }

    @Test func checksumIsThatOfITUTV42() {
        let bytes = Array("123456789".utf8)
        #expect(CRC32.checksum(bytes.span, count: 9) == 0xCBF4_3926)
    }

    @Test func digestIsHMACSHA1() {
        // RFC 2202 section 3, cases 1 and 2.
        let first = MessageIntegrity(of: Array("Hi There".utf8), key: [UInt8](repeating: 0x0B, count: 20))
        #expect(first?.digest == hex("b617318655057264e28bc0b6fb378c8ef146be00"))
        let second = MessageIntegrity(of: Array("what do ya want for nothing?".utf8), key: Array("Jefe".utf8))
        #expect(second?.digest == hex("effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"))
    }
}
