// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import RTP
import SRTP
import Testing

/// Damaged packets are refused, whatever the damage, and never trap or change state.
@Suite struct MutationTests {
    @Test(arguments: EngineKind.combinations)
    func everyFlippedBitOfARTPPacketIsNoticed(_ kind: EngineKind, _ profile: ProtectionProfile) throws {
        let engine = try SRTPEngine(kind)
        let sealer = try SRTPSealer(profile: profile, key: .make(profile), engine: engine)
        let opener = try SRTPOpener(profile: profile, key: .make(profile), engine: engine)
        let packet = PlainPacket(
            ssrc: 1, sequenceNumber: 9, csrcs: 2, extensionWords: 2, payload: (0..<40).map { UInt8($0) })
        let sealed = try #require(seal(engine, [SealRequest(sealer: sealer, packet: packet, index: 9)])[0])
        let requests = (0..<sealed.count * 8).map { bit in
            var copy = sealed
            copy[bit / 8] ^= 1 << UInt8(bit % 8)
            return OpenRequest(opener, copy)
        }
        for result in open(engine, requests) {
            #expect(result == .failure(.authentication) || result == .failure(.malformed))
        }
        #expect(opener.state == OpenerState())
        #expect(open(engine, opener, sealed) == .success(Opened(bytes: packet.bytes, index: 9)))
    }

    @Test(arguments: EngineKind.combinations)
    func everyTruncationAndEveryWrongHeaderLengthIsRefused(_ kind: EngineKind, _ profile: ProtectionProfile) throws {
        let engine = try SRTPEngine(kind)
        let sealer = try SRTPSealer(profile: profile, key: .make(profile), engine: engine)
        let opener = try SRTPOpener(profile: profile, key: .make(profile), engine: engine)
        let packet = PlainPacket(ssrc: 1, sequenceNumber: 9, csrcs: 1, extensionWords: 1, payload: [1, 2, 3, 4, 5])
        let sealed = try #require(seal(engine, [SealRequest(sealer: sealer, packet: packet, index: 9)])[0])
        for count in 0..<sealed.count {
            let result = open(engine, opener, Array(sealed.prefix(count)))
            #expect(result == .failure(.authentication) || result == .failure(.malformed))
        }
        // CM authenticates the whole packet wherever its header ends, so there a wrong length only shifts the plaintext.
        for header in [-1, 0, 11, sealed.count - profile.rtpOverhead + 1, sealed.count, sealed.count + 1, 1 << 30] {
            #expect(open(engine, [OpenRequest(opener, sealed, headerLength: header)]) == [.failure(.malformed)])
        }
        #expect(opener.state == OpenerState())
    }

    @Test(arguments: EngineKind.combinations)
    func damagedRTCPIsRefused(_ kind: EngineKind, _ profile: ProtectionProfile) throws {
        let engine = try SRTPEngine(kind)
        let sealer = try SRTPSealer(profile: profile, key: .make(profile), engine: engine)
        let opener = try SRTPOpener(profile: profile, key: .make(profile), engine: engine)
        let plain: [UInt8] = [0x81, 201, 0, 7] + (0..<28).map { UInt8($0) }
        let sealed = try #require(sealer.sealRTCP(plain))
        for bit in 0..<sealed.count * 8 {
            var copy = sealed
            copy[bit / 8] ^= 1 << UInt8(bit % 8)
            let result = opener.openRTCP(copy)
            #expect(result == .failure(.authentication) || result == .failure(.malformed))
        }
        for count in 0..<sealed.count {
            let result = opener.openRTCP(Array(sealed.prefix(count)))
            #expect(result == .failure(.authentication) || result == .failure(.malformed))
        }
        #expect(opener.state == OpenerState())
        #expect(opener.openRTCP(sealed) == .success(plain))
    }

    @Test(arguments: EngineKind.combinations)
    func randomBytesNeverOpen(_ kind: EngineKind, _ profile: ProtectionProfile) throws {
        let engine = try SRTPEngine(kind)
        let opener = try SRTPOpener(profile: profile, key: .make(profile), engine: engine)
        var generator = SeededGenerator(state: 99)
        for _ in 0..<100 {
            let requests = (0..<20).map { _ in
                OpenRequest(opener, generator.bytes(Int.random(in: 0...200, using: &generator)))
            }
            for result in open(engine, requests) { #expect((try? result.get()) == nil) }
            for request in requests { #expect((try? opener.openRTCP(request.bytes).get()) == nil) }
        }
        #expect(opener.state == OpenerState())
    }

    @Test func anOpenerOfAnotherKeyOpensNothing() throws {
        for profile in ProtectionProfile.allCases {
            let engine = try SRTPEngine(.openSSL)
            let sealer = try SRTPSealer(profile: profile, key: .make(profile, seed: 1), engine: engine)
            let opener = try SRTPOpener(profile: profile, key: .make(profile, seed: 2), engine: engine)
            let request = SealRequest(sealer: sealer, packet: PlainPacket(ssrc: 1, index: 1), index: 1)
            #expect(open(engine, opener, try #require(seal(engine, [request])[0])) == .failure(.authentication))
            #expect(
                opener.openRTCP(try #require(sealer.sealRTCP([0x80, 201, 0, 1, 0, 0, 0, 1])))
                    == .failure(.authentication))
        }
    }
}
