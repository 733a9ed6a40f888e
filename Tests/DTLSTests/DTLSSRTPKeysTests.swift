// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import RTP
import Testing

@testable import DTLS

@Suite struct DTLSSRTPKeysTests {
    /// RFC 5764 section 4.2: client_write_SRTP_master_key, server's key, client's salt, server's salt.
    @Test(arguments: [
        (ProtectionProfile.aes128CMHMACSHA1_80, 16, 14), (.aeadAES128GCM, 16, 12), (.aeadAES256GCM, 32, 12),
    ])
    func `exported bytes are split by role`(profile: ProtectionProfile, key: Int, salt: Int) throws {
        let exported =
            [UInt8](repeating: 1, count: key) + [UInt8](repeating: 2, count: key) + [UInt8](repeating: 3, count: salt)
            + [UInt8](repeating: 4, count: salt)
        #expect(DTLSSRTPKeys.exportedLength(profile) == exported.count)
        let client = try #require(DTLSSRTPKeys(profile: profile, exported: exported, role: .client))
        let server = try #require(DTLSSRTPKeys(profile: profile, exported: exported, role: .server))
        for (writer, reader) in [(client.local, server.remote), (server.local, client.remote)] {
            #expect(writer.key == reader.key && writer.salt == reader.salt)
        }
        #expect(client.local.key == [UInt8](repeating: 1, count: key))
        #expect(client.local.salt == [UInt8](repeating: 3, count: salt))
        #expect(server.local.key == [UInt8](repeating: 2, count: key))
        #expect(server.local.salt == [UInt8](repeating: 4, count: salt))
        #expect(DTLSSRTPKeys(profile: profile, exported: Array(exported.dropLast()), role: .client) == nil)
        #expect(DTLSSRTPKeys.exporterLabel == "EXTRACTOR-dtls_srtp")
    }

    @Test func `keys are not printed`() throws {
        let exported = [UInt8](repeating: 0xEE, count: 56)
        let keys = try #require(DTLSSRTPKeys(profile: .aeadAES128GCM, exported: exported, role: .client))
        #expect(!"\(keys)".contains("238"))
    }
}
