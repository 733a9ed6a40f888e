// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import RTP
import SRTP
import Testing

/// What is sealed opens to the same bytes, whatever the shape of the packet, the batch and the engine.
@Suite struct RoundTripTests {
    let seed: UInt64 = 7

    @Test(arguments: EngineKind.combinations)
    func packetsOfAllShapesOpenToTheSameBytes(_ kind: EngineKind, _ profile: ProtectionProfile) throws {
        let engine = try SRTPEngine(kind)
        let sealer = try SRTPSealer(profile: profile, key: .make(profile), engine: engine)
        let opener = try SRTPOpener(profile: profile, key: .make(profile), engine: engine)
        var generator = SeededGenerator(state: seed)
        var index: UInt64 = 0
        for csrcs in [0, 1, 15] {
            for words in [nil, 0, 1, 7] {
                for length in [0, 1, 2, 15, 16, 17, 31, 63, 64, 65, 160, 1199, 1200, 1400] {
                    index += 1
                    let packet = PlainPacket(
                        ssrc: 0xDEAD_BEEF, sequenceNumber: UInt16(index), csrcs: csrcs, extensionWords: words,
                        payload: generator.bytes(length))
                    let patch = Int.random(in: 0...min(length, 20), using: &generator)
                    let request = SealRequest(sealer: sealer, packet: packet, index: index, patchLength: patch)
                    let sealed = try #require(seal(engine, [request])[0])
                    #expect(sealed.count == packet.bytes.count + profile.rtpOverhead)
                    #expect(sealed.prefix(packet.header.count) == packet.header[...])
                    if length >= 16 { #expect(sealed[packet.header.count...].prefix(length) != packet.payload[...]) }
                    #expect(open(engine, opener, sealed) == .success(Opened(bytes: packet.bytes, index: index)))
                }
            }
        }
    }

    /// Every size of batch, for the engine that works on several packets at once.
    @Test(arguments: EngineKind.combinations)
    func batchesOfAllSizesGiveTheBytesOfSinglePackets(_ kind: EngineKind, _ profile: ProtectionProfile) throws {
        let engine = try SRTPEngine(kind)
        var generator = SeededGenerator(state: seed)
        for size in Array(1...20) + [63, 127, 128, 129, 300] {
            let keys = (0..<size).map { SRTPMasterKey.make(profile, seed: UInt64($0)) }
            let packets = (0..<size).map { number in
                PlainPacket(
                    ssrc: UInt32(number), sequenceNumber: 1, extensionWords: number % 3,
                    payload: generator.bytes(Int.random(in: 0...1300, using: &generator)))
            }
            let patches = packets.map { Int.random(in: 0...min($0.payload.count, 17), using: &generator) }
            func requests() throws -> [SealRequest] {
                try (0..<size).map { number in
                    SealRequest(
                        sealer: try SRTPSealer(profile: profile, key: keys[number], engine: engine),
                        packet: packets[number], index: 1, patchLength: number % 2 == 0 ? 0 : patches[number])
                }
            }
            let together = seal(engine, try requests())
            let alone = try requests().flatMap { seal(engine, [$0]) }
            #expect(together == alone)
            let openers = try keys.map { try SRTPOpener(profile: profile, key: $0, engine: engine) }
            let opened = open(engine, zip(openers, together).map { OpenRequest($0, $1 ?? []) })
            #expect(opened == packets.map { .success(Opened(bytes: $0.bytes, index: 1)) })
        }
    }

    @Test(arguments: EngineKind.available) func batchesMayMixProfiles(_ kind: EngineKind) throws {
        let engine = try SRTPEngine(kind)
        let profiles = (0..<40).map { ProtectionProfile.allCases[$0 % 3] }
        let sealers = try profiles.map { try SRTPSealer(profile: $0, key: .make($0), engine: engine) }
        let openers = try profiles.map { try SRTPOpener(profile: $0, key: .make($0), engine: engine) }
        let packet = PlainPacket(ssrc: 5, index: 9)
        let sealed = seal(engine, sealers.map { SealRequest(sealer: $0, packet: packet, index: 9) })
        #expect(Set(sealed.map { $0?.count }) == [packet.bytes.count + 10, packet.bytes.count + 16])
        let opened = open(engine, zip(openers, sealed).map { OpenRequest($0, $1 ?? []) })
        #expect(opened.allSatisfy { $0 == .success(Opened(bytes: packet.bytes, index: 9)) })
    }

    @Test(arguments: EngineKind.combinations)
    func indicesBeyondTheFirstRolloverOpen(_ kind: EngineKind, _ profile: ProtectionProfile) throws {
        let engine = try SRTPEngine(kind)
        let sealer = try SRTPSealer(profile: profile, key: .make(profile), engine: engine)
        let opener = try SRTPOpener(profile: profile, key: .make(profile), engine: engine)
        for index: UInt64 in [0, 30_000, 60_000, 65_535, 65_536, 90_000, 120_000, 131_071, 131_072] {
            let packet = PlainPacket(ssrc: 1, index: index)
            let sealed = try #require(seal(engine, [SealRequest(sealer: sealer, packet: packet, index: index)])[0])
            #expect(open(engine, opener, sealed) == .success(Opened(bytes: packet.bytes, index: index)))
        }
    }

    @Test(arguments: EngineKind.combinations)
    func rtcpOpensToTheSameBytes(_ kind: EngineKind, _ profile: ProtectionProfile) throws {
        let engine = try SRTPEngine(kind)
        let sealer = try SRTPSealer(profile: profile, key: .make(profile), engine: engine)
        let opener = try SRTPOpener(profile: profile, key: .make(profile), engine: engine)
        var generator = SeededGenerator(state: seed)
        for count in [8, 12, 28, 32, 100, 1200] {
            let plain = [0x81, 200, 0, UInt8(truncatingIfNeeded: count / 4 - 1)] + generator.bytes(count - 4)
            let sealed = try #require(sealer.sealRTCP(plain))
            #expect(sealed.count == count + profile.rtcpOverhead)
            #expect(opener.openRTCP(sealed) == .success(plain))
            #expect(opener.openRTCP(sealed) == .failure(.replayed))
        }
        #expect(sealer.sealRTCP([0x81, 200, 0, 1, 2, 3, 4]) == nil)
    }
}
