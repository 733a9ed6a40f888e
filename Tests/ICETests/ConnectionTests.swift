// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import RTP
import Testing

@testable import ICE

@Suite struct ConnectionTests {
    @Test func clientWithoutCandidatesIsLearnedFromItsCheck() throws {
        let meeting = try Meeting(seed: 1)
        meeting.connect()
        let path = meeting.clientPath()
        #expect(meeting.bridgeSession.state == .connected(path))
        #expect(meeting.bridgeSession.selectedPath == path)
        #expect(meeting.bridgeSession.isValidated(path))
        #expect(
            meeting.bridgeEvents == [.pathHeard(path), .pathAdded(path), .validated(path), .selected(path)])
        let bridge = Path(socket: 3, local: meeting.clientAddress.ip, remote: meeting.bridgeAddress)
        #expect(meeting.clientSession.state == .connected(bridge))
        // Two one-way trips to be heard and answered, four to be nominated; pacing adds less than two steps.
        let log = meeting.network.hosts[meeting.bridge].log
        let selectedAt = try #require(log.first { $0.event == .selected(path) }).at
        #expect(selectedAt - .at(1000) <= .milliseconds(5 * 20 + 2 * 20))
        #expect(meeting.bridgeSession.roundTripTime == .milliseconds(40))
        #expect(!meeting.network.isStuck)
    }

    @Test func checksBeforeTheRemoteCredentialsAreAnsweredAndReplayed() throws {
        let meeting = try Meeting(seed: 2)
        meeting.network.signal(
            from: meeting.bridge, to: meeting.client, candidates: meeting.network.candidates(of: meeting.bridge))
        meeting.network.run(seconds: 3)
        // The client has its answer, the bridge can ask nothing.
        #expect(
            meeting.clientSession.isValidated(
                Path(socket: 3, local: meeting.clientAddress.ip, remote: meeting.bridgeAddress)))
        #expect(meeting.bridgeSession.state == .waiting)
        #expect(meeting.bridgeSession.sendPath == nil)
        #expect(meeting.bridgeEvents.withoutDrops == [.pathHeard(meeting.clientPath())])
        #expect(meeting.bridgeSession.deadline == nil)

        meeting.network.signal(from: meeting.client, to: meeting.bridge)
        meeting.network.run(seconds: 0.2)
        #expect(meeting.bridgeSession.state == .connected(meeting.clientPath()))
    }

    @Test(arguments: 1...20)
    func lossAndReorderingOnlyDelay(seed: UInt64) throws {
        let meeting = try Meeting(seed: seed)
        meeting.network.loss = 0.3
        meeting.network.jitter = .milliseconds(150)
        meeting.network.signal(from: meeting.client, to: meeting.bridge)
        meeting.network.signal(
            from: meeting.bridge, to: meeting.client, candidates: meeting.network.candidates(of: meeting.bridge))
        meeting.network.run(seconds: 12)
        #expect(meeting.bridgeSession.state == .connected(meeting.clientPath()))
        #expect(!meeting.network.isStuck)
        // Ten minutes of this network do not disconnect anybody.
        meeting.network.run(seconds: 600)
        #expect(!meeting.bridgeEvents.contains(.consentLost))
        #expect(!meeting.network.isStuck)
    }

    @Test func bothCandidatesKnownConnectInEitherRole() throws {
        for role in [ICERole.controlling, .controlled] {
            let meeting = try Meeting(seed: 5, bridgeRole: role, clientRole: role.opposite)
            meeting.network.hosts[meeting.client].nat = [:]
            meeting.network.signal(
                from: meeting.client, to: meeting.bridge, candidates: meeting.network.candidates(of: meeting.client))
            meeting.network.signal(
                from: meeting.bridge, to: meeting.client, candidates: meeting.network.candidates(of: meeting.bridge))
            meeting.network.run(seconds: 1)
            #expect(meeting.bridgeSession.state == .connected(meeting.clientPath(meeting.clientAddress)))
            #expect(meeting.bridgeSession.role == role)
        }
    }

    @Test func sixAddressesOfBothFamiliesEndOnOnePair() throws {
        let network = SimulatedNetwork(seed: 6)
        let bridge = network.addHost(
            .controlling,
            at: [
                try address("203.0.113.1", 10000), try address("2001:db8::1", 10000), try address("172.18.0.5", 10000),
            ])
        let client = network.addHost(
            .controlled,
            at: [
                try address("198.51.100.2", 4000), try address("2001:db8:2::2", 4001),
                try address("2001:db8:3::3", 4002),
            ])
        network.signal(from: client, to: bridge, candidates: network.candidates(of: client))
        network.signal(from: bridge, to: client, candidates: network.candidates(of: bridge))
        network.run(seconds: 3)
        let selected = try #require(network.hosts[bridge].session.selectedPath)
        let other = try #require(network.hosts[client].session.selectedPath)
        #expect(selected.remote.ip == other.local)
        #expect(selected.local == other.remote.ip)
        // Families are never mixed.
        #expect(network.sent.allSatisfy { $0.from.ip.isIPv6 == $0.to.ip.isIPv6 })
        #expect(network.hosts[bridge].events.filter { if case .selected = $0 { true } else { false } }.count == 1)
    }

    @Test func callOverIPv6Only() throws {
        let network = SimulatedNetwork(seed: 7)
        let bridge = network.addHost(.controlling, at: [try address("2001:db8::1", 10000)])
        let client = network.addHost(.controlled, at: [try address("2001:db8:2::2", 4001)])
        network.signal(from: client, to: bridge)
        network.signal(from: bridge, to: client, candidates: network.candidates(of: bridge))
        network.run(seconds: 1)
        #expect(network.hosts[bridge].session.selectedPath?.remote == (try address("2001:db8:2::2", 4001)))
    }

    @Test func newChecksArePacedAndRetransmittedWithBackOff() throws {
        let meeting = try Meeting(seed: 8)
        meeting.network.blocks = { _, _, _ in true }
        let candidates = (0..<5).map { port in
            Candidate(
                foundation: "\(port)", priority: 1000 - UInt32(port),
                address: TransportAddress(ip: .v4(0xC633_6401), port: 6000 + UInt16(port)), kind: .host, id: "\(port)")
        }
        meeting.network.signal(from: meeting.client, to: meeting.bridge, candidates: candidates)
        meeting.network.run(seconds: 8)
        for (index, candidate) in candidates.enumerated() {
            let times = meeting.network.sent.filter { $0.to == candidate.address }
                .map { ($0.at - meeting.network.delay - .at(1000)).milliseconds }
            let first = Int64(20 * index)
            #expect(times == [0, 100, 300, 700, 1500, 3100, 4700].map { $0 + first })
        }
    }

    @Test func sessionFailsWhenNoPairWorksAndIsRevivedByALateCheck() throws {
        let meeting = try Meeting(seed: 9)
        meeting.network.blocks = { _, _, _ in true }
        meeting.network.signal(
            from: meeting.client, to: meeting.bridge, candidates: meeting.network.candidates(of: meeting.client))
        meeting.network.run(seconds: 14.9)
        #expect(meeting.bridgeSession.state == .checking)
        meeting.network.run(seconds: 0.2)
        #expect(meeting.bridgeSession.state == .failed)
        #expect(meeting.bridgeEvents == [.failed])

        meeting.network.blocks = { _, _, _ in false }
        meeting.network.run(seconds: 60)
        #expect(meeting.bridgeEvents == [.failed])
        meeting.network.signal(
            from: meeting.bridge, to: meeting.client, candidates: meeting.network.candidates(of: meeting.bridge))
        meeting.network.run(seconds: 1)
        #expect(meeting.bridgeSession.state == .connected(meeting.clientPath()))
    }

    @Test func unusableCandidatesAreNeverChecked() throws {
        let meeting = try Meeting(seed: 10)
        func candidate(_ ip: String, _ port: UInt16 = 5000, _ change: (inout Candidate) -> Void = { _ in }) throws
            -> Candidate
        {
            var candidate = Candidate(
                foundation: "1", priority: 1, address: try address(ip, port), kind: .host, id: "x")
            change(&candidate)
            return candidate
        }
        let candidates = [
            try candidate("198.51.100.9") { $0.transport = .tcp }, try candidate("198.51.100.9") { $0.component = 2 },
            try candidate("198.51.100.9", 0), try candidate("198.51.100.9") { $0.generation = 1 },
            try candidate("2001:db8::9"), try candidate("0.0.0.0"), try candidate("127.0.0.1"),
            try candidate("224.0.0.1"),
            try candidate("255.255.255.255"),
        ]
        meeting.network.signal(from: meeting.client, to: meeting.bridge, candidates: candidates)
        meeting.network.run(seconds: 5)
        #expect(meeting.network.sent.isEmpty)
        #expect(meeting.bridgeSession.state == .checking)
    }

    @Test func signalledCandidatesAreLimited() throws {
        let meeting = try Meeting(seed: 11)
        let candidates = (0..<200).map { port in
            Candidate(
                foundation: "1", priority: 1,
                address: TransportAddress(ip: .v4(0xC633_6401), port: 1000 + UInt16(port)),
                kind: .host, id: "\(port)")
        }
        meeting.network.signal(from: meeting.client, to: meeting.bridge, candidates: candidates)
        meeting.network.run(seconds: 10)
        #expect(Set(meeting.network.sent.map(\.to)).count == 32)
    }

    @Test func trickledCandidateIsChecked() throws {
        let meeting = try Meeting(seed: 12)
        meeting.network.hosts[meeting.client].nat = [:]
        meeting.network.signal(from: meeting.bridge, to: meeting.client)
        meeting.network.signal(from: meeting.client, to: meeting.bridge)
        meeting.network.run(seconds: 1)
        #expect(meeting.network.sent.isEmpty)
        let outcome = meeting.bridgeSession.setRemote(
            nil, candidates: meeting.network.candidates(of: meeting.client), generation: nil, now: meeting.network.now)
        #expect(outcome == .applied)
        meeting.network.run(seconds: 1)
        #expect(meeting.bridgeSession.state == .connected(meeting.clientPath(meeting.clientAddress)))
    }

    @Test func sameSeedReplaysExactly() throws {
        func play() throws -> [[UInt8]] {
            let meeting = try Meeting(seed: 13)
            meeting.network.loss = 0.2
            meeting.connect()
            meeting.network.run(seconds: 60)
            return meeting.network.sent.map(\.bytes)
        }
        #expect(try play() == play())
    }

    @Test func clientThatNeverChecksDoesNotFailTheSession() throws {
        let meeting = try Meeting(seed: 14)
        meeting.network.signal(from: meeting.client, to: meeting.bridge)
        meeting.network.run(seconds: 100)
        #expect(meeting.bridgeSession.state == .checking)
        #expect(meeting.bridgeEvents.isEmpty)
        #expect(meeting.bridgeSession.deadline == nil)
    }

    @Test func credentialsMayBeReplacedBeforeTheConnection() throws {
        let meeting = try Meeting(seed: 15)
        var generator = SeededGenerator(seed: 16)
        let stale = ICECredentials(firstCharacter: UInt8(ascii: "x"), using: &generator)
        meeting.bridgeSession.setRemote(
            stale, candidates: meeting.network.candidates(of: meeting.client), generation: nil, now: meeting.network.now
        )
        meeting.network.advance(meeting.bridge)
        meeting.network.run(seconds: 1)
        #expect(meeting.network.hosts[meeting.client].events.isEmpty)
        meeting.connect()
        #expect(meeting.bridgeSession.state == .connected(meeting.clientPath()))
    }

    @Test func validPairsStayCheckedWhileThePeerNominatesNone() throws {
        let meeting = try Meeting(seed: 17, bridgeRole: .controlled, clientRole: .controlling)
        // A controlling client that never gets its nomination through.
        meeting.network.blocks = { _, _, bytes in (try? parse(bytes))?.useCandidate == true }
        meeting.connect()
        meeting.network.run(seconds: 3)
        #expect(meeting.bridgeSession.selectedPath == nil)
        #expect(meeting.bridgeSession.sendPath == meeting.clientPath())
        meeting.network.blocks = { _, _, _ in true }
        meeting.network.run(seconds: 15)
        #expect(meeting.bridgeSession.sendPath == nil)
        #expect(meeting.bridgeEvents.contains(.pathRemoved(meeting.clientPath())))
        #expect(!meeting.network.isStuck)
    }

    @Test func resentCandidatesDoNotUseUpTheLimit() throws {
        let meeting = try Meeting(seed: 18)
        meeting.network.hosts[meeting.client].nat = [:]
        let dead = (0..<20).map { port in
            Candidate(
                foundation: "1", priority: 1,
                address: TransportAddress(ip: .v4(0xC633_6401), port: 1000 + UInt16(port)),
                kind: .host, id: "\(port)")
        }
        for _ in 0..<3 { meeting.network.signal(from: meeting.client, to: meeting.bridge, candidates: dead) }
        meeting.network.signal(
            from: meeting.client, to: meeting.bridge, candidates: meeting.network.candidates(of: meeting.client))
        meeting.network.signal(from: meeting.bridge, to: meeting.client)
        meeting.network.run(seconds: 2)
        #expect(meeting.bridgeSession.selectedPath == meeting.clientPath(meeting.clientAddress))
    }
}
