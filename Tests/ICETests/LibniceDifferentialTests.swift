// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import CNice
import RTP
import Testing

@testable import ICE

/// Our STUN codec beside libnice's: what one writes the other reads, and what is damaged both refuse.
@Suite struct LibniceDifferentialTests {
    private static let username = "bridge:peer"
    /// Of requests to libnice, and of those to us.
    private static let password = "libnicepasswordlibnice"
    private static let ourPassword = "ourpasswordourpassword"

    private func libnice(username: String = username) throws -> LibniceSTUN {
        try LibniceSTUN(username: username, password: Self.password, peerPassword: Self.ourPassword)
    }

    private static func id(_ generator: inout SeededGenerator) -> STUNTransactionID {
        STUNTransactionID(tag: UInt32(truncatingIfNeeded: generator.next()), nonce: generator.next())
    }

    /// What a random connectivity check says.
    private struct Check {
        var id: STUNTransactionID
        var username: String
        var software: String?
        var priority: UInt32?
        var role: ICERole?
        var tieBreaker: UInt64
        var nominates: Bool

        init(_ generator: inout SeededGenerator) {
            id = LibniceDifferentialTests.id(&generator)
            // RFC 8445 allows 256 bytes for either fragment; our writer keeps 512 of them with the colon.
            let receiver = Int.random(in: 4...256, using: &generator)
            let sender = Int.random(in: 4...min(256, 511 - receiver), using: &generator)
            let alphabet = Array("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/")
            func text(_ length: Int) -> String {
                String((0..<length).map { _ in alphabet[Int.random(in: 0..<64, using: &generator)] })
            }
            username = text(receiver) + ":" + text(sender)
            software = Bool.random(using: &generator) ? text(Int.random(in: 1...128, using: &generator)) : nil
            priority = Bool.random(using: &generator) ? UInt32(truncatingIfNeeded: generator.next()) : nil
            role = [nil, .controlling, .controlled].randomElement(using: &generator) ?? nil
            tieBreaker = generator.next()
            nominates = Bool.random(using: &generator)
        }

        func ours(password: String) -> [UInt8] {
            var writer = STUNWriter(.request, transactionID: id)
            if let software { writer.append(software: software) }
            writer.append(username: username)
            if let priority { writer.append(priority: priority) }
            if let role { writer.append(role: role, tieBreaker: tieBreaker) }
            if nominates { writer.appendUseCandidate() }
            writer.appendIntegrity(key: Array(password.utf8))
            writer.appendFingerprint()
            return writer.bytes
        }

        var attributes: [LibniceSTUN.Attribute] {
            var list: [LibniceSTUN.Attribute] = [.bytes(STUNAttribute.username.rawValue, Array(username.utf8))]
            if let software { list.append(.bytes(STUNAttribute.software.rawValue, Array(software.utf8))) }
            if let priority { list.append(.number32(.priority, priority)) }
            if let role {
                list.append(.number64(role == .controlling ? .iceControlling : .iceControlled, tieBreaker))
            }
            if nominates { list.append(.flag(.useCandidate)) }
            return list
        }

        func expectEqual(_ message: STUNMessage, _ bytes: [UInt8]) {
            #expect(message.isBindingRequest)
            #expect(message.transactionID == id)
            #expect(text(message.username, of: bytes) == username)
            #expect(text(message.software, of: bytes) == software)
            #expect(message.priority == priority)
            #expect(message.iceControlling == (role == .controlling ? tieBreaker : nil))
            #expect(message.iceControlled == (role == .controlled ? tieBreaker : nil))
            #expect(message.useCandidate == nominates)
            #expect(message.hasFingerprint)
        }

        func expectEqual(_ libnice: LibniceSTUN) {
            #expect(libnice.messageClass == .request)
            #expect(libnice.method == STUNMessage.binding)
            #expect(libnice.transactionID == id)
            #expect(libnice.bytes(.username) == Array(username.utf8))
            #expect(libnice.bytes(.software) == software.map { Array($0.utf8) })
            #expect(libnice.number32(.priority) == priority)
            #expect(libnice.number64(.iceControlling) == (role == .controlling ? tieBreaker : nil))
            #expect(libnice.number64(.iceControlled) == (role == .controlled ? tieBreaker : nil))
            #expect(libnice.flag(.useCandidate) == nominates)
        }
    }

    private static func randomAddress(_ generator: inout SeededGenerator) -> TransportAddress {
        let ip =
            Bool.random(using: &generator)
            ? IPAddress.v4(UInt32(truncatingIfNeeded: generator.next())) : .v6(generator.next(), generator.next())
        return TransportAddress(ip: ip, port: UInt16(truncatingIfNeeded: generator.next()))
    }

    // MARK: Requests

    @Test func libniceReadsOurRequests() throws {
        var generator = SeededGenerator(seed: 1)
        for _ in 0..<200 {
            let check = Check(&generator)
            let libnice = try libnice(username: check.username)
            #expect(libnice.validate(check.ours(password: Self.password)) == CNICE_VALID, "\(check)")
            check.expectEqual(libnice)
        }
    }

    @Test func weReadLibnicesRequests() throws {
        var generator = SeededGenerator(seed: 2)
        let libnice = try libnice()
        // libnice remembers at most 200 requests.
        for _ in 0..<200 {
            let check = Check(&generator)
            var attributes = check.attributes.shuffled(using: &generator)
            // Attributes that nobody knows, with every length of padding: optional ones are skipped, others reported.
            let unknown = UInt16.random(in: 0x8100...0xBFFF, using: &generator)
            let length = Int.random(in: 0...9, using: &generator)
            attributes.insert(.bytes(unknown, [UInt8](repeating: 0xFF, count: length)), at: 0)
            let required: UInt16? =
                Bool.random(using: &generator) ? UInt16.random(in: 0x0030...0x7FFF, using: &generator) : nil
            if let required { attributes.append(.bytes(required, [1])) }

            let bytes = libnice.request(check.id, attributes)
            let message = try parse(bytes)
            check.expectEqual(message, bytes)
            #expect(message.verifies(bytes, key: Array(Self.ourPassword.utf8)))
            #expect(!message.verifies(bytes, key: Array(Self.password.utf8)))
            #expect(message.unknownRequired == (required.map { [$0] } ?? []))
        }
    }

    @Test func libniceRefusesAnotherUserAndAnotherPassword() throws {
        var generator = SeededGenerator(seed: 3)
        let check = Check(&generator)
        #expect(try libnice().validate(check.ours(password: Self.password)) == CNICE_UNAUTHORIZED)
        #expect(
            try libnice(username: check.username).validate(check.ours(password: Self.ourPassword))
                == CNICE_UNAUTHORIZED)
    }

    // MARK: Responses

    @Test func libniceReadsOurResponses() throws {
        var generator = SeededGenerator(seed: 4)
        for round in 0..<200 {
            let libnice = try libnice()
            let check = Check(&generator)
            let request = try parse(libnice.request(check.id, check.attributes))
            let address = Self.randomAddress(&generator)
            let code: UInt16? = round % 2 == 0 ? nil : [400, 420, 487, 500].randomElement(using: &generator)
            var writer = STUNWriter(code == nil ? .success : .error, transactionID: request.transactionID)
            if let code {
                writer.append(errorCode: code)
                if code == 420 { writer.append(unknownAttributes: [0x7001, 0x7002, 0x7003]) }
            } else {
                writer.append(xorMappedAddress: address)
            }
            writer.appendIntegrity(key: Array(Self.ourPassword.utf8))
            writer.appendFingerprint()

            #expect(libnice.validate(writer.bytes) == CNICE_VALID)
            #expect(libnice.messageClass == (code == nil ? .success : .error))
            #expect(libnice.transactionID == check.id)
            #expect(libnice.errorCode == code)
            #expect(libnice.xorMappedAddress == (code == nil ? address : nil))
            let unknown: [UInt8]? = code == 420 ? [0x70, 1, 0x70, 2, 0x70, 3] : nil
            #expect(libnice.bytes(.unknownAttributes) == unknown)
            // Answered requests are forgotten.
            #expect(libnice.validate(writer.bytes) == CNICE_UNMATCHED_RESPONSE)
        }
    }

    @Test func weReadLibnicesResponses() throws {
        var generator = SeededGenerator(seed: 5)
        for round in 0..<200 {
            let check = Check(&generator)
            let libnice = try libnice(username: check.username)
            #expect(libnice.validate(check.ours(password: Self.password)) == CNICE_VALID)
            let address = Self.randomAddress(&generator)
            // 400 is for requests whose credentials are not known, and never signed.
            let code: UInt16? = round % 2 == 0 ? nil : [420, 438, 487, 500].randomElement(using: &generator)
            let bytes = code.map { libnice.error($0) } ?? libnice.response([.xorAddress(address)])

            let message = try parse(bytes)
            #expect(message.messageClass == (code == nil ? .success : .error))
            #expect(message.method == STUNMessage.binding)
            #expect(message.transactionID == check.id)
            #expect(message.errorCode == code)
            #expect(message.xorMappedAddress == (code == nil ? address : nil))
            #expect(message.hasFingerprint)
            #expect(message.verifies(bytes, key: Array(Self.password.utf8)))
        }
    }

    // MARK: Damage

    /// A message of the other side counts when it is well-formed, signed and ends with a FINGERPRINT that is right.
    private func weAccept(_ bytes: [UInt8], of id: STUNTransactionID, key: String) -> Bool {
        guard let message = try? parse(bytes) else { return false }
        return message.transactionID == id && message.hasFingerprint && message.verifies(bytes, key: Array(key.utf8))
    }

    /// The message cut at every length, lengthened, and with every bit flipped.
    private func damaged(_ bytes: [UInt8]) -> [[UInt8]] {
        var list = (0..<bytes.count).map { Array(bytes.prefix($0)) }
        list.append(bytes + [0])
        list.append(bytes + [0, 0, 0, 0])
        for bit in 0..<bytes.count * 8 {
            var copy = bytes
            copy[bit / 8] ^= 0x80 >> UInt8(bit % 8)
            list.append(copy)
        }
        return list
    }

    /// Every bit before the FINGERPRINT and behind the length field flipped, with the FINGERPRINT made right again: now
    /// only MESSAGE-INTEGRITY and the grammar can tell.
    private func forged(_ bytes: [UInt8]) -> [[UInt8]] {
        (8 * 8..<(bytes.count - 8) * 8).map { bit in
            var copy = bytes
            copy[bit / 8] ^= 0x80 >> UInt8(bit % 8)
            var fingerprint = [UInt8]()
            fingerprint.appendBigEndian(
                CRC32.checksum(copy.span, count: copy.count - 8) ^ STUNMessage.fingerprintMask)
            copy.replaceSubrange(copy.count - 4..<copy.count, with: fingerprint)
            return copy
        }
    }

    @Test(arguments: 0..<3) func bothRefuseDamagedRequests(round: Int) throws {
        var generator = SeededGenerator(seed: UInt64(10 + round))
        var check = Check(&generator)
        check.username = String(check.username.prefix(7)) + "a:bcde"
        let libnice = try libnice(username: check.username)
        let bytes = check.ours(password: Self.password)
        #expect(libnice.validate(bytes) == CNICE_VALID)
        #expect(weAccept(bytes, of: check.id, key: Self.password))
        for (index, broken) in (damaged(bytes) + forged(bytes)).enumerated() {
            #expect(libnice.validate(broken) != CNICE_VALID, "\(index)")
            #expect(!weAccept(broken, of: check.id, key: Self.password), "\(index)")
        }
    }

    @Test(arguments: [nil, 487 as UInt16]) func bothRefuseDamagedResponses(code: UInt16?) throws {
        var generator = SeededGenerator(seed: 20)
        let libnice = try libnice()
        let check = Check(&generator)
        #expect(!libnice.request(check.id, check.attributes).isEmpty)
        var writer = STUNWriter(code == nil ? .success : .error, transactionID: check.id)
        if let code {
            writer.append(errorCode: code)
        } else {
            writer.append(xorMappedAddress: try address("2001:db8::7", 10000))
        }
        writer.appendIntegrity(key: Array(Self.ourPassword.utf8))
        writer.appendFingerprint()
        for (index, broken) in (damaged(writer.bytes) + forged(writer.bytes)).enumerated() {
            #expect(libnice.validate(broken) != CNICE_VALID, "\(index)")
            #expect(!weAccept(broken, of: check.id, key: Self.ourPassword), "\(index)")
        }
        // None of them has used up the request.
        #expect(weAccept(writer.bytes, of: check.id, key: Self.ourPassword))
        #expect(libnice.validate(writer.bytes) == CNICE_VALID)
    }
}
