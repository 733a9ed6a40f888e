// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import RTP
import Testing

@testable import SRTP

/// Vectors of RFC 3711 appendix B.
@Suite struct KeyDerivationTests {
    let master = SRTPMasterKey(key: hex("E1F97A0D3E018BE0D64FA32C06DE4139"), salt: hex("0EC675AD498AFEEBB6960B3AABE6"))

    @Test func counterModeKeystreamMatchesRFC3711B2() throws {
        let stream = try #require(
            SessionKeys.counterKeystream(
                key: hex("2B7E151628AED2A6ABF7158809CF4F3C"), counter: hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD0000"),
                count: 0xFF02 * 16))
        let expected: [Int: String] = [
            0x0000: "E03EAD0935C95E80E166B16DD92B4EB4", 0x0001: "D23513162B02D0F72A43A2FE4A5F97AB",
            0x0002: "41E95B3BB0A2E8DD477901E4FCA894C0", 0xFEFF: "EC8CDF7398607CB0F2D21675EA9EA1E4",
            0xFF00: "362B7C3C6773516318A077D7FC5073AE", 0xFF01: "6A2CC3787889374FBEB4C81B17BA6C44",
        ]
        for (block, text) in expected { #expect(Array(stream[block * 16..<block * 16 + 16]) == hex(text)) }
    }

    @Test func sessionKeysMatchRFC3711B3() throws {
        let keys = try SessionKeys(.aes128CMHMACSHA1_80, master: master, purpose: .rtp)
        #expect(keys.encryption == hex("C61E7A93744F39EE10734AFE3FF7A087"))
        #expect(keys.salt == hex("30CBBC08863D8C85D49DB34A9AE1"))
        #expect(keys.authentication == hex("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4"))
    }

    @Test func authenticationKeyStreamMatchesRFC3711B3() throws {
        let stream = try SessionKeys.derive(master, label: 1, count: 94)
        #expect(
            stream
                == hex(
                    """
                    CEBE321F6FF7716B6FD4AB49AF256A15 6D38BAA48F0A0ACF3C34E2359E6CDBCE E049646C43D9327AD175578EF7227098
                    6371C10C9A369AC2F94A8C5FBCDDDC25 6D6E919A48B610EF17C2041E47403576 6B68642C59BBFC2F34DB60DBDFB2
                    """))
    }

    @Test func rtcpKeysHaveLabelsOfTheirOwn() throws {
        let keys = try SessionKeys(.aes128CMHMACSHA1_80, master: master, purpose: .rtcp)
        #expect(try keys.encryption == SessionKeys.derive(master, label: 3, count: 16))
        #expect(try keys.authentication == SessionKeys.derive(master, label: 4, count: 20))
        #expect(try keys.salt == SessionKeys.derive(master, label: 5, count: 14))
        #expect(try keys.encryption != SessionKeys.derive(master, label: 0, count: 16))
    }

    @Test(arguments: ProtectionProfile.allCases) func lengthsFollowTheProfile(_ profile: ProtectionProfile) throws {
        let keys = try SessionKeys(profile, master: .make(profile), purpose: .rtp)
        #expect(keys.encryption.count == profile.keyLength)
        #expect(keys.salt.count == profile.saltLength)
        #expect(keys.authentication.count == (profile == .aes128CMHMACSHA1_80 ? 20 : 0))
    }

    @Test(arguments: ProtectionProfile.allCases) func masterKeysOfAnotherLengthAreRefused(_ profile: ProtectionProfile)
    {
        let good = SRTPMasterKey.make(profile)
        for (key, salt) in [
            (good.key + [0], good.salt), (Array(good.key.dropLast()), good.salt), (good.key, good.salt + [0]),
            (good.key, Array(good.salt.dropLast())), ([], []),
        ] {
            #expect(throws: SRTPError.badKeyLength) {
                try SessionKeys(profile, master: SRTPMasterKey(key: key, salt: salt), purpose: .rtp)
            }
        }
    }
}
