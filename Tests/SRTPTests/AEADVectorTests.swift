// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import RTP
import Testing

@testable import SRTP

/// Vectors of RFC 7714 sections 16 and 17, which give session keys, not master keys.
@Suite struct AEADVectorTests {
    static let salt = hex("517569642070726f2071756f")
    static let key = (0..<32).map { UInt8($0) }
    static let rtp = PlainPacket(
        header: hex("8040f17b8041f8d35501a0b2"),
        payload: hex("47616c6c696120657374206f6d6e69732064697669736120696e207061727465732074726573"))
    static let srtp: [ProtectionProfile: [UInt8]] = [
        .aeadAES128GCM: hex(
            """
            8040f17b8041f8d35501a0b2 f24de3a3fb34de6cacba861c9d7e4bca be633bd50d294e6f42a5f47a51c7d19b 36de3adf8833
            899d7f27beb16a9152cf765ee4390cce
            """),
        .aeadAES256GCM: hex(
            """
            8040f17b8041f8d35501a0b2 32b1de78a822fe12ef9f78fa332e33aa b18012389a58e2f3b50b2a0276ffae0f 1ba63799b87b
            7aa3db36dfffd6b0f9bb7878d7a76c13
            """),
    ]
    // The preamble of section 17 prints another packet; its subsections agree on this one.
    static let rtcp = hex(
        """
        81c8000d4d617273 4e5450314e545032 525450200000042a 0000e9304c756e61 deadbeefdeadbeefdeadbeefdeadbeef deadbeef
        """)
    static let rtcpIndex: UInt32 = 0x5d4
    static let srtcp: [ProtectionProfile: [UInt8]] = [
        .aeadAES128GCM: hex(
            """
            81c8000d4d617273 63e94885dcdab67ca727d7662f6b7e99 7ff5c0f76c06f32dc676a5f1730d6fda 4ce09b4686303ded0bb9275b
            c84aa45896cf4d2fc5abf87245d9eade 800005d4
            """),
        .aeadAES256GCM: hex(
            """
            81c8000d4d617273 d50ae4d1f5ce5d304ba297e47d470c28 2c3ece5dbffe0a50a2eaa5c1110555be 8415f658c61de0476f1b6fad
            1d1eb30c4446839f57ff6f6cb26ac3be 800005d4
            """),
    ]
    static let combinations = EngineKind.combinations.filter { $0.1.isAEAD }

    static func keys(_ profile: ProtectionProfile) -> SessionKeys {
        SessionKeys(encryption: Array(key.prefix(profile.keyLength)), salt: salt)
    }

    @Test func vectorMatchesRFC7714() {
        let salt = SessionSalt(Self.salt, .aeadAES128GCM)
        let rtp = salt.vector(Self.rtp.ssrc, 0xf17b)
        #expect(bytes(rtp).prefix(12) == hex("51753c6580c2726f20718414")[...])
        let rtcp = salt.vector(SSRC(rawValue: 0x4d61_7273), 0x5d4)
        #expect(bytes(rtcp).prefix(12) == hex("517524055203726f207170bb")[...])
    }

    @Test func vectorOfCounterModeFollowsRFC3711() {
        let salt = SessionSalt(hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD"), .aes128CMHMACSHA1_80)
        #expect(bytes(salt.vector(SSRC(rawValue: 0), 0)) == hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD0000"))
        #expect(
            bytes(salt.vector(SSRC(rawValue: 0x0102_0304), 0x0A0B_0C0D_0E0F))
                == hex("F0F1F2F3 F5F7F5F3 F2F2F6F6 F2F20000"))
    }

    @Test(arguments: combinations) func rtpMatchesRFC7714(_ kind: EngineKind, _ profile: ProtectionProfile) throws {
        let engine = try SRTPEngine(kind)
        let keys = Self.keys(profile)
        let sealer = try SRTPSealer(profile: profile, rtp: keys, rtcp: keys, engine: engine)
        let expected = try #require(Self.srtp[profile])
        #expect(seal(engine, [SealRequest(sealer: sealer, packet: Self.rtp, index: 0xf17b)]) == [expected])
        let opener = try SRTPOpener(profile: profile, rtp: keys, rtcp: keys, engine: engine)
        #expect(open(engine, opener, expected) == .success(Opened(bytes: Self.rtp.bytes, index: 0xf17b)))
    }

    @Test(arguments: combinations) func rtcpMatchesRFC7714(_ kind: EngineKind, _ profile: ProtectionProfile) throws {
        let engine = try SRTPEngine(kind)
        let keys = Self.keys(profile)
        let sealer = try SRTPSealer(
            profile: profile, rtp: keys, rtcp: keys, engine: engine,
            restoring: SealerState(nextRTCPIndex: Self.rtcpIndex))
        let expected = try #require(Self.srtcp[profile])
        #expect(sealer.sealRTCP(Self.rtcp) == expected)
        let opener = try SRTPOpener(profile: profile, rtp: keys, rtcp: keys, engine: engine)
        #expect(opener.openRTCP(expected) == .success(Self.rtcp))
    }

    @Test(arguments: combinations) func rtcpThatIsOnlyTaggedIsRefused(
        _ kind: EngineKind, _ profile: ProtectionProfile
    ) throws {
        let engine = try SRTPEngine(kind)
        let keys = Self.keys(profile)
        let opener = try SRTPOpener(profile: profile, rtp: keys, rtcp: keys, engine: engine)
        // RFC 7714 section 17.3, which is authentic under the 128-bit key.
        #expect(opener.openRTCP(Self.rtcp + hex("841dd9683dd78ec92ae58790125f62b3 000005d4")) == .failure(.malformed))
    }

    private func bytes(_ vector: InitializationVector) -> [UInt8] {
        [vector.first, vector.second].flatMap { word in
            (0..<8).map { UInt8(truncatingIfNeeded: word.bigEndian >> (56 - 8 * UInt64($0))) }
        }
    }
}
