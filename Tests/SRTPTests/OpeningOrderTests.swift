// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import RTP
import SRTP
import Testing

/// Duplicates, reordering, wraps and forgeries, within one batch and between batches.
@Suite struct OpeningOrderTests {
    /// A peer that seals any index once, so that a test can lose, repeat and reorder packets.
    private struct Peer {
        let engine: SRTPEngine
        let opener: SRTPOpener
        let profile: ProtectionProfile

        init(_ kind: EngineKind, _ profile: ProtectionProfile, _ stream: OpenerState.Stream? = nil) throws {
            engine = try SRTPEngine(kind)
            self.profile = profile
            let state = OpenerState(rtp: stream.map { [$0] } ?? [])
            opener = try SRTPOpener(profile: profile, key: .make(profile), engine: engine, restoring: state)
        }

        func packet(_ index: UInt64, ssrc: UInt32 = 1) throws -> [UInt8] {
            // Another sealer each time: what is tested is the opener.
            let sealer = try SRTPSealer(profile: profile, key: .make(profile), engine: engine)
            let request = SealRequest(sealer: sealer, packet: PlainPacket(ssrc: ssrc, index: index), index: index)
            return try #require(seal(engine, [request])[0])
        }

        func open(_ packets: [[UInt8]]) -> [Result<UInt64, OpenFailure>] {
            SRTPTests.open(engine, packets.map { OpenRequest(opener, $0) }).map { $0.map(\.index) }
        }
    }

    private func forged(_ packet: [UInt8]) -> [UInt8] {
        var copy = packet
        copy[copy.count - 1] ^= 1
        return copy
    }

    @Test(arguments: EngineKind.combinations)
    func duplicateInsideOneBatchIsOpenedOnce(_ kind: EngineKind, _ profile: ProtectionProfile) throws {
        let peer = try Peer(kind, profile)
        let (a, b) = (try peer.packet(10), try peer.packet(11))
        #expect(
            peer.open([a, a, b, a, b])
                == [.success(10), .failure(.replayed), .success(11), .failure(.replayed), .failure(.replayed)])
        #expect(peer.open([b, a]) == [.failure(.replayed), .failure(.replayed)])
    }

    @Test(arguments: EngineKind.combinations)
    func forgedCopyBeforeTheTrueOneHarmsNothing(_ kind: EngineKind, _ profile: ProtectionProfile) throws {
        let peer = try Peer(kind, profile)
        let packets = try (5..<10).map { try peer.packet($0) }
        #expect(
            peer.open(packets.flatMap { [forged($0), $0, forged($0)] })
                == (5..<10).flatMap { [.failure(.authentication), .success($0), .failure(.authentication)] })
    }

    @Test(arguments: EngineKind.combinations)
    func sequenceNumbers65534To2ReorderedInOneBatch(_ kind: EngineKind, _ profile: ProtectionProfile) throws {
        let peer = try Peer(kind, profile)
        #expect(try peer.open([peer.packet(65_530)]) == [.success(65_530)])
        let order: [UInt64] = [65_537, 65_534, 65_538, 65_536, 65_535]
        #expect(try peer.open(order.map { try peer.packet($0) }) == order.map { .success($0) })
        #expect(peer.opener.state.rtp.first?.highest == 65_538)
    }

    /// The same as the first packets of a stream: the wrap is only seen when the packet before it is authentic.
    @Test(arguments: EngineKind.combinations)
    func aNewStreamMayWrapInsideItsFirstBatch(_ kind: EngineKind, _ profile: ProtectionProfile) throws {
        let peer = try Peer(kind, profile)
        let order: [UInt64] = [65_534, 65_536, 65_535, 65_538, 65_537]
        #expect(try peer.open(order.map { try peer.packet($0) }) == order.map { .success($0) })
    }

    @Test func packetsReopenedOutOfTurnLeaveTheOthersAlone() throws {
        let peer = try Peer(.openSSL, .aeadAES128GCM)
        let order: [UInt64] = [65_530, 65_540, 65_531, 65_541, 65_532]
        let packets = try order.flatMap { [try peer.packet($0), forged(try peer.packet($0 + 20))] }
        #expect(peer.open(packets) == order.flatMap { [.success($0), .failure(.authentication)] })
    }

    @Test(arguments: EngineKind.combinations)
    func forgedPacketAtPlus2To15ChangesNothing(_ kind: EngineKind, _ profile: ProtectionProfile) throws {
        for base: UInt64 in [100, 32_767, 32_768, 65_535, 70_000, 140_000] {
            let window = [UInt64](repeating: 0, count: 16)
            let peer = try Peer(kind, profile, .init(ssrc: SSRC(rawValue: 1), highest: base, window: window))
            let state = peer.opener.state
            for distance: UInt64 in [32_766, 32_767, 32_768, 32_769] {
                let result = peer.open([forged(try peer.packet(base + distance))])
                #expect(result == [.failure(distance < 32_768 ? .authentication : .tooOld)])
            }
            #expect(peer.opener.state == state)
            #expect(try peer.open([peer.packet(base + 1)]) == [.success(base + 1)])
        }
    }

    @Test(arguments: EngineKind.combinations)
    func firstPacketLateAndThenOneBeforeTheWrapIsDropped(_ kind: EngineKind, _ profile: ProtectionProfile) throws {
        let peer = try Peer(kind, profile)
        #expect(try peer.open([peer.packet(3)]) == [.success(3)])
        // Sequence number 65534 would belong to rollover counter -1.
        #expect(try peer.open([peer.packet(65_534)]) == [.failure(.tooOld)])
        #expect(
            try peer.open([peer.packet(2), peer.packet(65_534), peer.packet(4)]) == [
                .success(2), .failure(.tooOld), .success(4),
            ])
        #expect(peer.opener.state.rtp.first?.highest == 4)
    }

    @Test func packetsBehindTheWindowAreTooOld() throws {
        let peer = try Peer(.openSSL, .aeadAES128GCM)
        #expect(try peer.open([peer.packet(5000)]) == [.success(5000)])
        #expect(
            try peer.open([peer.packet(5000 - 1023), peer.packet(5000 - 1024)]) == [.success(3977), .failure(.tooOld)])
    }

    @Test func forgeriesGetNoRowAndAuthenticStreamsUpTo256Do() throws {
        let peer = try Peer(.openSSL, .aeadAES128GCM)
        for ssrc in 0..<UInt32(1000) {
            #expect(peer.open([forged(try peer.packet(1, ssrc: ssrc))]) == [.failure(.authentication)])
        }
        #expect(peer.opener.state.rtp.isEmpty)
        for ssrc in 0..<UInt32(256) { #expect(try peer.open([peer.packet(1, ssrc: ssrc)]) == [.success(1)]) }
        #expect(try peer.open([peer.packet(1, ssrc: 256)]) == [.failure(.tooManyStreams)])
        #expect(try peer.open([peer.packet(2, ssrc: 255)]) == [.success(2)])
        #expect(peer.opener.state.rtp.count == 256)
    }

    @Test func streamsThatFillTheTableInsideABatchAreCounted() throws {
        let peer = try Peer(.openSSL, .aeadAES128GCM)
        for ssrc in 0..<UInt32(255) { #expect(try peer.open([peer.packet(1, ssrc: ssrc)]) == [.success(1)]) }
        let packets = try (255..<258).map { try peer.packet(1, ssrc: $0) }
        #expect(peer.open(packets) == [.success(1), .failure(.tooManyStreams), .failure(.tooManyStreams)])
    }

    @Test(arguments: EngineKind.combinations)
    func windowsSurviveAMove(_ kind: EngineKind, _ profile: ProtectionProfile) throws {
        let peer = try Peer(kind, profile)
        let before: [UInt64] = [65_530, 65_540, 65_535]
        #expect(try peer.open(before.map { try peer.packet($0) }) == before.map { .success($0) })
        let sealer = try SRTPSealer(profile: profile, key: .make(profile), engine: peer.engine)
        let rtcp = try #require(sealer.sealRTCP([0x80, 201, 0, 1, 0, 0, 0, 1]))
        #expect(peer.opener.openRTCP(rtcp) == .success([0x80, 201, 0, 1, 0, 0, 0, 1]))
        let moved = try SRTPOpener(
            profile: profile, key: .make(profile), engine: peer.engine, restoring: peer.opener.state)
        #expect(moved.state == peer.opener.state)
        let packets = try [65_540, 65_535, 65_536, 65_600].map { try peer.packet($0) }
        let results = SRTPTests.open(peer.engine, packets.map { OpenRequest(moved, $0) }).map { $0.map(\.index) }
        #expect(results == [.failure(.replayed), .failure(.replayed), .success(65_536), .success(65_600)])
        #expect(moved.openRTCP(rtcp) == .failure(.replayed))
    }

    @Test func openerStatesThatCannotBeAreRefused() throws {
        let engine = try SRTPEngine(.openSSL)
        let words = [UInt64](repeating: 0, count: 16)
        let good = OpenerState.Stream(ssrc: SSRC(rawValue: 1), highest: 1, window: words)
        let states = [
            OpenerState(rtp: [good, good]), OpenerState(rtcp: [good, good]),
            OpenerState(rtp: [.init(ssrc: SSRC(rawValue: 1), highest: 1 << 48, window: words)]),
            OpenerState(rtcp: [.init(ssrc: SSRC(rawValue: 1), highest: 1 << 31, window: words)]),
            OpenerState(rtp: [.init(ssrc: SSRC(rawValue: 1), highest: 1, window: [])]),
            OpenerState(rtp: (0...256).map { .init(ssrc: SSRC(rawValue: $0), highest: 1, window: words) }),
        ]
        for state in states {
            #expect(throws: SRTPError.badState) {
                try SRTPOpener(profile: .aeadAES128GCM, key: .make(.aeadAES128GCM), engine: engine, restoring: state)
            }
        }
    }

    @Test func theLastIndexOpensAndNoneAfterIt() throws {
        let last: UInt64 = 1 << 48 - 1
        let engine = try SRTPEngine(.openSSL)
        let profile = ProtectionProfile.aeadAES128GCM
        let words = [UInt64](repeating: 0, count: 16)
        let opener = try SRTPOpener(
            profile: profile, key: .make(profile), engine: engine,
            restoring: OpenerState(rtp: [.init(ssrc: SSRC(rawValue: 1), highest: last - 1, window: words)]))
        let sealer = try SRTPSealer(profile: profile, key: .make(profile), engine: engine)
        let packet = PlainPacket(ssrc: 1, index: last)
        let sealed = try #require(seal(engine, [SealRequest(sealer: sealer, packet: packet, index: last)])[0])
        #expect(open(engine, opener, sealed) == .success(Opened(bytes: packet.bytes, index: last)))
        let beyond = PlainPacket(ssrc: 1, index: last + 1).bytes + [UInt8](repeating: 0, count: 16)
        #expect(open(engine, opener, beyond) == .failure(.keyExhausted))
    }
}
