// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import RTP
import Testing

@testable import ICE

@Suite struct RequestTests {
    let stranger = TransportAddress(ip: .v4(0xC000_0209), port: 999)

    /// The last message the bridge sent to the stranger.
    func reply(_ meeting: Meeting) throws -> STUNMessage {
        try parse(try #require(meeting.network.sent.last { $0.to == stranger }).bytes)
    }

    @Test func authenticCheckIsAnsweredOnItsPath() throws {
        let meeting = try Meeting(seed: 1)
        meeting.network.inject(meeting.request(), to: meeting.bridge, from: stranger)
        let bytes = try #require(meeting.network.sent.last { $0.to == stranger }).bytes
        let message = try parse(bytes)
        #expect(message.messageClass == .success)
        #expect(message.xorMappedAddress == stranger)
        #expect(message.hasFingerprint)
        #expect(message.transactionID.tag == 99)
        #expect(message.verifies(bytes, key: meeting.bridgeSession.localCredentials.pwd.key))
        #expect(meeting.bridgeEvents == [.pathHeard(meeting.clientPath(stranger))])
    }

    @Test func forgedRequestsGetNoAnswerAndLeaveNoTrace() throws {
        let meeting = try Meeting(seed: 2)
        let forged: [([UInt8], ICEDropReason)] = [
            (meeting.request(signs: false), .integrity),
            (meeting.request(key: Array("wrong password wrong password".utf8)), .integrity),
            (meeting.request(key: []), .integrity),
            (meeting.request(to: "anybody"), .unknownUsername),
            (meeting.request(to: ""), .unknownUsername),
            (STUNWriter(.request, transactionID: STUNTransactionID(tag: 1, nonce: 2)).bytes, .unknownUsername),
            (STUNWriter(.request, method: 3, transactionID: STUNTransactionID(tag: 1, nonce: 2)).bytes, .malformed),
            (STUNWriter(.indication, transactionID: STUNTransactionID(tag: 1, nonce: 2)).bytes, .indication),
            (RFC5769.responseIPv4, .unknownTransaction),
            (Array(meeting.request().dropLast()), .malformed),
        ]
        for (bytes, _) in forged { meeting.network.inject(bytes, to: meeting.bridge, from: stranger) }
        var broken = meeting.request()
        broken[broken.count - 1] ^= 1
        meeting.network.inject(broken, to: meeting.bridge, from: stranger)
        #expect(meeting.network.sent.isEmpty)
        #expect(meeting.bridgeEvents.withoutDrops.isEmpty)
        #expect(meeting.bridgeEvents.drops == forged.map(\.1) + [.fingerprint])
        // Nothing was remembered that would be checked later.
        meeting.network.signal(from: meeting.client, to: meeting.bridge)
        meeting.network.run(seconds: 5)
        #expect(meeting.network.sent.isEmpty)
    }

    @Test func checkWithoutFingerprintOrRoleIsAccepted() throws {
        let meeting = try Meeting(seed: 3)
        var bytes = meeting.request(role: nil)
        bytes.removeLast(8)
        bytes[3] -= 8
        meeting.network.inject(bytes, to: meeting.bridge, from: stranger)
        #expect(try reply(meeting).messageClass == .success)
    }

    @Test func unknownRequiredAttributeIsReported() throws {
        let meeting = try Meeting(seed: 4)
        // An attribute 0x7FEE in front of the digest, which therefore has to be made again.
        var writer = STUNWriter(.request, transactionID: STUNTransactionID(tag: 99, nonce: 1))
        writer.append(username: "\(meeting.bridgeSession.localCredentials.ufrag):abcd")
        writer.append(priority: 1)
        var bytes = writer.bytes + hex("7fee0000")
        bytes[3] += 4 + 24
        let digest = try #require(MessageIntegrity(of: bytes, key: meeting.bridgeSession.localCredentials.pwd.key))
        bytes += hex("00080014") + digest.digest
        meeting.network.inject(bytes, to: meeting.bridge, from: stranger)
        let answer = try #require(meeting.network.sent.last).bytes
        #expect(try reply(meeting).errorCode == 420)
        #expect(answer.indices.contains { answer[$0...].starts(with: hex("000a00027fee")) })
        #expect(meeting.bridgeEvents.isEmpty)
    }

    @Test func checkWithoutPriorityIsABadRequest() throws {
        let meeting = try Meeting(seed: 5)
        meeting.network.inject(meeting.request(priority: nil), to: meeting.bridge, from: stranger)
        #expect(try reply(meeting).errorCode == 400)
        #expect(meeting.bridgeEvents.isEmpty)
    }

    @Test(arguments: [
        // Our role, our tie-breaker, theirs -> our role afterwards (RFC 8445 section 7.3.1.1).
        (ICERole.controlling, UInt64(5), UInt64(4), ICERole.controlling), (.controlling, 5, 5, .controlling),
        (.controlling, 5, 6, .controlled), (.controlled, 5, 4, .controlling), (.controlled, 5, 5, .controlling),
        (.controlled, 5, 6, .controlled),
    ])
    func roleConflictIsResolvedByTieBreakers(role: ICERole, ours: UInt64, theirs: UInt64, after: ICERole) throws {
        let meeting = try Meeting(seed: 6, bridgeRole: role, bridgeTieBreaker: ours)
        meeting.network.inject(meeting.request(role: role, tieBreaker: theirs), to: meeting.bridge, from: stranger)
        #expect(meeting.bridgeSession.role == after)
        let refused = role == after
        #expect(try reply(meeting).errorCode == (refused ? 487 : nil))
        #expect(meeting.bridgeEvents.isEmpty == refused)
    }

    @Test(arguments: [ICERole.controlling, .controlled], [(UInt64(1), UInt64(2)), (2, 1)])
    func twoOfTheSameRoleStillConnect(role: ICERole, tieBreakers: (UInt64, UInt64)) throws {
        let meeting = try Meeting(
            seed: 7, bridgeRole: role, clientRole: role, bridgeTieBreaker: tieBreakers.0,
            clientTieBreaker: tieBreakers.1)
        meeting.connect()
        #expect(meeting.bridgeSession.state == .connected(meeting.clientPath()))
        #expect(meeting.clientSession.role == meeting.bridgeSession.role.opposite)
        #expect(meeting.bridgeSession.role == (tieBreakers.0 > tieBreakers.1 ? .controlling : .controlled))
        #expect(meeting.clientSession.selectedPath != nil)
    }

    @Test func addressesLearnedFromChecksAreLimited() throws {
        let meeting = try Meeting(seed: 8)
        for port in 0..<20 {
            let from = TransportAddress(ip: stranger.ip, port: 2000 + UInt16(port))
            meeting.network.inject(meeting.request(), to: meeting.bridge, from: from)
        }
        #expect(meeting.network.sent.count == 8)
        #expect(meeting.bridgeEvents.withoutDrops.count == 8)
        #expect(meeting.bridgeEvents.drops == Array(repeating: .tooManyPaths, count: 12))
    }

    @Test func aDeadAddressMakesRoomForANewOne() throws {
        let meeting = try Meeting(seed: 9)
        meeting.connect()
        meeting.network.blocks = { _, to, _ in to.ip == self.stranger.ip }
        // Behind a NAT that gives a new port now and then: over a day many addresses, never many at once.
        for port in 0..<40 {
            let from = TransportAddress(ip: stranger.ip, port: 2000 + UInt16(port))
            meeting.network.inject(meeting.request(), to: meeting.bridge, from: from)
            meeting.network.run(seconds: 10)
        }
        #expect(meeting.bridgeEvents.drops.isEmpty)
        let heard = meeting.bridgeEvents.filter { if case .pathHeard = $0 { true } else { false } }
        let removed = meeting.bridgeEvents.filter { if case .pathRemoved = $0 { true } else { false } }
        #expect(heard.count == 41)
        #expect(removed.count == 40)
        #expect(meeting.bridgeSession.state == .connected(meeting.clientPath()))
    }

    @Test func responseWithAWrongDigestOrFromElsewhereDoesNotValidate() throws {
        let meeting = try Meeting(seed: 10)
        meeting.network.signal(
            from: meeting.client, to: meeting.bridge, candidates: meeting.network.candidates(of: meeting.client))
        let request = try parse(try #require(meeting.network.sent.first).bytes)
        var writer = STUNWriter(.success, transactionID: request.transactionID)
        writer.append(xorMappedAddress: meeting.bridgeAddress)
        writer.appendIntegrity(key: Array("not the password of the client".utf8))
        writer.appendFingerprint()
        meeting.network.inject(writer.bytes, to: meeting.bridge, from: meeting.clientAddress)
        #expect(meeting.bridgeEvents == [.dropped(.integrity)])

        var elsewhere = STUNWriter(.success, transactionID: request.transactionID)
        elsewhere.append(xorMappedAddress: meeting.bridgeAddress)
        elsewhere.appendIntegrity(key: meeting.clientSession.localCredentials.pwd.key)
        meeting.network.inject(elsewhere.bytes, to: meeting.bridge, from: stranger)
        #expect(!meeting.bridgeSession.isValidated(meeting.clientPath(stranger)))
        #expect(!meeting.bridgeSession.isValidated(meeting.clientPath(meeting.clientAddress)))
    }

    @Test func mutatedDatagramsNeverTrapASession() throws {
        let meeting = try Meeting(seed: 11)
        meeting.connect()
        var generator = SeededGenerator(seed: 12)
        let originals = meeting.network.sent.prefix(12).map(\.bytes) + [meeting.request()]
        for original in originals {
            for length in 0..<original.count {
                meeting.network.inject(Array(original.prefix(length)), to: meeting.bridge, from: stranger)
            }
            for index in original.indices {
                var bytes = original
                bytes[index] = UInt8.random(in: 0...255, using: &generator)
                meeting.network.inject(bytes, to: meeting.bridge, from: stranger)
            }
        }
        #expect(meeting.bridgeSession.state == .connected(meeting.clientPath()))
    }

    @Test func callWithAClientThatSendsEverythingTwiceSurvives() throws {
        let meeting = try Meeting(seed: 13)
        meeting.connect()
        for packet in meeting.network.sent where packet.to == meeting.bridgeAddress {
            meeting.network.inject(packet.bytes, to: meeting.bridge, from: packet.from)
        }
        meeting.network.run(seconds: 30)
        #expect(meeting.bridgeSession.state == .connected(meeting.clientPath()))
        #expect(!meeting.network.isStuck)
    }

    @Test func clientThatAsksOftenIsNotAskedAsOften() throws {
        // Browsers ask every 50 ms until they are answered; over a slow line that is many checks per round trip.
        let meeting = try Meeting(seed: 14)
        meeting.network.delay = .milliseconds(500)
        meeting.network.signal(from: meeting.client, to: meeting.bridge)
        for _ in 0..<18 {
            meeting.network.inject(meeting.request(), to: meeting.bridge, from: meeting.clientPublic)
            meeting.network.run(seconds: 0.05)
        }
        let checks = meeting.network.sent.filter {
            $0.to == meeting.clientPublic && (try? parse($0.bytes))?.isBindingRequest == true
        }
        #expect((5...10).contains(checks.count))
        // Its answer to the first of them still counts.
        let first = try parse(try #require(checks.first).bytes)
        var writer = STUNWriter(.success, transactionID: first.transactionID)
        writer.append(xorMappedAddress: meeting.bridgeAddress)
        writer.appendIntegrity(key: meeting.clientSession.localCredentials.pwd.key)
        meeting.network.inject(writer.bytes, to: meeting.bridge, from: meeting.clientPublic)
        #expect(meeting.bridgeSession.isValidated(meeting.clientPath()))
    }
}
