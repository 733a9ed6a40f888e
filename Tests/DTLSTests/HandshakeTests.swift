// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import RTP
import Testing

@testable import DTLS

@Suite struct HandshakeTests {
    @Test(arguments: ProtectionProfile.allCases, [200, 256, 400, 1200, 1472])
    func `both roles end with the same keys for every profile and MTU`(profile: ProtectionProfile, mtu: Int) throws {
        guard mtu >= 256 else {
            #expect(throws: DTLSError.configuration("MTU")) { try Link(mtu: mtu) }
            return
        }
        let link = try Link(client: [profile], server: [profile], mtu: mtu)
        link.exchangeFingerprints()
        link.start()
        link.settle()
        try link.expectConnected(profile)
        #expect(link.lengths.allSatisfy { $0 <= mtu })
        #expect(mtu > 400 || link.lengths.contains { $0 > mtu / 2 })
        #expect(link.client.hasExtendedMasterSecret && link.server.hasExtendedMasterSecret)
        #expect(link.client.cipherSuite == "ECDHE-ECDSA-AES128-GCM-SHA256")
    }

    @Test(arguments: [
        (
            [ProtectionProfile.aes128CMHMACSHA1_80, .aeadAES128GCM], DTLSSession.defaultProfiles,
            ProtectionProfile.aeadAES128GCM
        ),
        ([.aeadAES256GCM, .aes128CMHMACSHA1_80], DTLSSession.defaultProfiles, .aes128CMHMACSHA1_80),
        ([.aeadAES256GCM], DTLSSession.defaultProfiles, .aeadAES256GCM),
        (DTLSSession.defaultProfiles, [.aeadAES256GCM, .aeadAES128GCM], .aeadAES256GCM),
    ])
    func `the server's order of preference decides`(
        client: [ProtectionProfile], server: [ProtectionProfile], expected: ProtectionProfile
    ) throws {
        let link = try Link(client: client, server: server)
        link.exchangeFingerprints()
        link.start()
        link.settle()
        try link.expectConnected(expected)
    }

    @Test func `without a common profile nobody is connected`() throws {
        let link = try Link(client: [.aeadAES128GCM], server: [.aes128CMHMACSHA1_80])
        link.exchangeFingerprints()
        link.start()
        link.settle()
        #expect(link.server.state == .failed(.noProtectionProfile))
        #expect(link.client.state == .failed(.noProtectionProfile))
        #expect(link.server.keys == nil && link.client.keys == nil)
    }

    @Test func `a hello that comes before the role is known is not lost`() throws {
        let link = try Link()
        link.exchangeFingerprints()
        link.client.start(role: .client)
        link.carry(from: link.client, to: link.server)
        #expect(link.server.state == .new && link.server.takeDatagram() == nil)
        link.server.start(role: .server)
        link.settle()
        try link.expectConnected(.aeadAES128GCM)
    }

    @Test func `only so many datagrams wait for the role`() throws {
        let session = try DTLSSession(identity: Identities.first)
        for _ in 0..<(DTLSSession.earlyDatagramLimit + 3) {
            session.receive([22, 0xFE, 0xFD] + [UInt8](repeating: 0, count: 10))
        }
        #expect(session.drops.datagrams == 3)
    }

    @Test func `the second start has no effect`() throws {
        let link = try Link()
        link.exchangeFingerprints()
        link.start()
        link.client.start(role: .server)
        #expect(link.client.role == .client)
        link.settle()
        try link.expectConnected(.aeadAES128GCM)
        link.client.start(role: .client)
        #expect(link.client.state == .connected && link.client.takeDatagram() == nil)
    }

    @Test func `sessions of one context share its certificate and nothing else`() throws {
        let context = try DTLSContext(identity: Identities.first)
        var keys: Set<[UInt8]> = []
        for role in [DTLSRole.client, .server, .client, .server] {
            let ours = try DTLSSession(context: context)
            let theirs = try DTLSSession(identity: Identities.second)
            ours.setRemoteFingerprints([Identities.second.fingerprint])
            theirs.setRemoteFingerprints([Identities.first.fingerprint])
            ours.start(role: role)
            theirs.start(role: role.opposite)
            for _ in 0..<6 {
                while let datagram = ours.takeDatagram() { theirs.receive(datagram) }
                while let datagram = theirs.takeDatagram() { ours.receive(datagram) }
            }
            #expect(ours.state == .connected && theirs.state == .connected)
            keys.insert(try #require(ours.keys).local.key)
        }
        #expect(keys.count == 4)
    }

    @Test func `nonsense in the configuration is refused`() {
        #expect(throws: DTLSError.configuration("profiles")) {
            try DTLSSession(identity: Identities.first, profiles: [])
        }
        #expect(throws: DTLSError.configuration("profiles")) {
            try DTLSSession(identity: Identities.first, profiles: [.aeadAES128GCM, .aeadAES128GCM])
        }
        #expect(throws: DTLSError.configuration("MTU")) { try DTLSSession(identity: Identities.first, mtu: 1500) }
        #expect(throws: DTLSError.configuration("retransmission time")) {
            try DTLSSession(identity: Identities.first, firstRetransmission: .zero)
        }
        #expect(throws: DTLSError.configuration("time out of range")) { try DTLSIdentity.generate(now: -1) }
        #expect(throws: DTLSError.configuration("time out of range")) { try DTLSIdentity.generate(now: .max) }
    }

    @Test(arguments: [(DTLSSetup.active, DTLSRole?.some(.server)), (.passive, .client), (.actpass, nil)])
    func `the peer's setup settles our role`(setup: DTLSSetup, role: DTLSRole?) {
        #expect(setup.localRole == role)
        #expect(DTLSSetup(localRole: role?.opposite) == setup)
    }
}
