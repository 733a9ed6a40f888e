// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

#if canImport(CSRTP)
    import RTP
    import SRTP
    import Testing

    /// Every engine against libsrtp2: the same bytes from both, and each opens what the other sealed.
    @Suite struct LibsrtpDifferentialTests {
        static let rounds = 400

        /// Random packets of a few streams, with indices that jump, wrap and arrive in runs.
        static func packets(seed: UInt64) -> [(packet: PlainPacket, index: UInt64)] {
            var generator = SeededGenerator(state: seed)
            var next: [UInt32: UInt64] = [:]
            return (0..<rounds).map { _ in
                let ssrc = UInt32.random(in: 1...4, using: &generator) &* 0x3FFF_1234
                let step = UInt64.random(
                    in: 1...(UInt8.random(in: 0...3, using: &generator) == 0 ? 9000 : 2), using: &generator)
                let index = (next[ssrc] ?? UInt64.random(in: 0...30_000, using: &generator)) + step
                next[ssrc] = index
                let packet = PlainPacket(
                    ssrc: ssrc, sequenceNumber: UInt16(truncatingIfNeeded: index),
                    csrcs: Int.random(in: 0...3, using: &generator),
                    extensionWords: Bool.random(using: &generator) ? Int.random(in: 0...5, using: &generator) : nil,
                    payload: generator.bytes(Int.random(in: 1...1300, using: &generator)))
                return (packet, index)
            }
        }

        @Test(arguments: EngineKind.combinations)
        func sealedRTPIsThatOfLibsrtpAndIsOpenedByIt(_ kind: EngineKind, _ profile: ProtectionProfile) throws {
            let engine = try SRTPEngine(kind)
            let key = SRTPMasterKey.make(profile, seed: 11)
            let sealer = try SRTPSealer(profile: profile, key: key, engine: engine)
            let oracle = try #require(LibsrtpSession(profile, key, seals: true))
            let receiver = try #require(LibsrtpSession(profile, key, seals: false))
            var generator = SeededGenerator(state: 5)
            var rest = Self.packets(seed: 21)[...]
            while !rest.isEmpty {
                let batch = rest.prefix(Int.random(in: 1...24, using: &generator))
                rest = rest.dropFirst(batch.count)
                let sealed = seal(
                    engine,
                    batch.map { item in
                        let patch = Int.random(in: 0...min(item.packet.payload.count, 16), using: &generator)
                        return SealRequest(sealer: sealer, packet: item.packet, index: item.index, patchLength: patch)
                    })
                for (item, bytes) in zip(batch, sealed) {
                    let bytes = try #require(bytes)
                    #expect(oracle.protect(item.packet.bytes) == bytes)
                    #expect(receiver.unprotect(bytes) == item.packet.bytes)
                }
            }
        }

        @Test(arguments: EngineKind.combinations)
        func whatLibsrtpSealedOpens(_ kind: EngineKind, _ profile: ProtectionProfile) throws {
            let engine = try SRTPEngine(kind)
            let key = SRTPMasterKey.make(profile, seed: 12)
            let opener = try SRTPOpener(profile: profile, key: key, engine: engine)
            let oracle = try #require(LibsrtpSession(profile, key, seals: true))
            var generator = SeededGenerator(state: 6)
            var rest = Self.packets(seed: 22)[...]
            while !rest.isEmpty {
                let batch = rest.prefix(Int.random(in: 1...24, using: &generator))
                rest = rest.dropFirst(batch.count)
                let requests = try batch.map { OpenRequest(opener, try #require(oracle.protect($0.packet.bytes))) }
                let expected = batch.map {
                    Result<Opened, OpenFailure>.success(Opened(bytes: $0.packet.bytes, index: $0.index))
                }
                #expect(open(engine, requests) == expected)
            }
        }

        @Test(arguments: EngineKind.combinations)
        func rtcpAgreesInBothDirections(_ kind: EngineKind, _ profile: ProtectionProfile) throws {
            let engine = try SRTPEngine(kind)
            let key = SRTPMasterKey.make(profile, seed: 13)
            let sealer = try SRTPSealer(
                profile: profile, key: key, engine: engine, restoring: SealerState(nextRTCPIndex: 1))
            let opener = try SRTPOpener(profile: profile, key: key, engine: engine)
            let oracle = try #require(LibsrtpSession(profile, key, seals: true))
            let receiver = try #require(LibsrtpSession(profile, key, seals: false))
            var generator = SeededGenerator(state: 9)
            for _ in 0..<200 {
                // libsrtp2 counts from 1.
                let words = Int.random(in: 1...300, using: &generator)
                let plain =
                    [0x81, 201, UInt8(words >> 8), UInt8(words & 0xFF), 9, 9, 9, 9] + generator.bytes(words * 4 - 4)
                let ours = try #require(sealer.sealRTCP(plain))
                #expect(oracle.protectRTCP(plain) == ours)
                #expect(receiver.unprotectRTCP(ours) == plain)
                #expect(opener.openRTCP(ours) == .success(plain))
            }
        }

        @Test(arguments: EngineKind.combinations)
        func damagedPacketsAreRefusedByBoth(_ kind: EngineKind, _ profile: ProtectionProfile) throws {
            let engine = try SRTPEngine(kind)
            let key = SRTPMasterKey.make(profile, seed: 14)
            let opener = try SRTPOpener(profile: profile, key: key, engine: engine)
            let oracle = try #require(LibsrtpSession(profile, key, seals: true))
            let receiver = try #require(LibsrtpSession(profile, key, seals: false))
            let packet = PlainPacket(
                ssrc: 4, sequenceNumber: 77, csrcs: 1, extensionWords: 1, payload: [1, 2, 3, 4, 5])
            let sealed = try #require(oracle.protect(packet.bytes))
            for position in sealed.indices {
                var damaged = sealed
                damaged[position] ^= 0x20
                #expect(receiver.unprotect(damaged) == nil)
                #expect((try? open(engine, opener, damaged).get()) == nil)
            }
            #expect((try? open(engine, opener, sealed).get())?.bytes == packet.bytes)
        }
    }
#endif
