// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import RTP
import Testing

@testable import ICE

@Suite struct PathChangeTests {
    /// Times of the bridge's events after `start`, in milliseconds.
    func times(_ meeting: Meeting, of event: ICEEvent, after start: Instant) -> [Int64] {
        meeting.network.hosts[meeting.bridge].log
            .filter { $0.event == event && $0.at >= start }.map { ($0.at - start).milliseconds }
    }

    @Test func consentIsAskedForEveryFourToSixSeconds() throws {
        let meeting = try Meeting(seed: 1)
        meeting.connect()
        let start = meeting.network.now
        meeting.network.run(seconds: 600)
        let asked = meeting.network.sent.filter {
            $0.at > start && $0.to == meeting.clientPublic && (try? parse($0.bytes))?.messageClass == .request
        }
        #expect((100...150).contains(asked.count))
        let gaps = zip(asked, asked.dropFirst()).map { ($1.at - $0.at).milliseconds }
        #expect(gaps.allSatisfy { (4000...6000).contains($0) })
        #expect(Set(gaps).count > 50)
        #expect(Set(asked.map { Array($0.bytes[8..<20]) }).count == asked.count)
    }

    @Test func consentIsLostAfterThirtySecondsOfSilenceAndRegainedByACheck() throws {
        let meeting = try Meeting(seed: 2)
        meeting.connect()
        meeting.network.run(seconds: 20)
        let answeredAt = try #require(meeting.bridgeSession.consentedAt)
        meeting.network.blocks = { _, _, _ in true }
        meeting.network.run(until: answeredAt + .milliseconds(29_999))
        #expect(meeting.bridgeSession.selectedPath != nil)
        meeting.network.run(seconds: 0.002)
        #expect(meeting.bridgeSession.state == .disconnected)
        #expect(meeting.bridgeSession.selectedPath == nil)
        #expect(meeting.bridgeSession.sendPath == nil)
        #expect(meeting.bridgeEvents.last == .consentLost)

        // Without consent nothing is sent of our own accord.
        let before = meeting.network.hosts[meeting.bridge].sent
        meeting.network.run(seconds: 300)
        #expect(meeting.network.hosts[meeting.bridge].sent == before)

        meeting.network.blocks = { _, _, _ in false }
        meeting.network.inject(meeting.request(), to: meeting.bridge, from: meeting.clientPublic)
        meeting.network.run(seconds: 0.1)
        #expect(meeting.bridgeSession.state == .connected(meeting.clientPath()))
        #expect(meeting.bridgeEvents.last == .consentRegained(meeting.clientPath()))
        meeting.network.run(seconds: 120)
        #expect(meeting.bridgeEvents.last == .consentRegained(meeting.clientPath()))
    }

    @Test func newAddressOfTheNATIsFollowedWithinASecond() throws {
        let meeting = try Meeting(seed: 3)
        meeting.connect()
        meeting.network.run(seconds: 30)
        let moved = try address("198.51.100.20", 44444)
        meeting.network.hosts[meeting.client].nat[meeting.clientAddress] = moved
        let start = meeting.network.now
        // The client's next check, which a browser sends every few seconds, opens the new way.
        meeting.network.inject(meeting.request(), to: meeting.bridge, from: moved)
        meeting.network.run(seconds: 2)
        #expect(meeting.bridgeSession.state == .connected(meeting.clientPath(moved)))
        #expect(times(meeting, of: .pathAdded(meeting.clientPath(moved)), after: start) == [40])
        let selected = times(meeting, of: .selected(meeting.clientPath(moved)), after: start)
        #expect(selected.count == 1 && selected.allSatisfy { $0 < 700 })
        meeting.network.run(seconds: 120)
        #expect(!meeting.bridgeEvents.contains(.consentLost))
        #expect(!meeting.network.isStuck)
    }

    @Test func secondLivingPathDoesNotTakeOver() throws {
        let second = try address("10.9.9.9", 50001)
        let meeting = try Meeting(seed: 4, clientAddresses: [try address("192.168.1.2", 50000), second])
        meeting.connect()
        let selected = try #require(meeting.bridgeSession.selectedPath)
        for _ in 0..<60 {
            let other = selected.remote == second ? meeting.clientPublic : second
            meeting.network.inject(meeting.request(), to: meeting.bridge, from: other)
            meeting.network.run(seconds: 2.5)
        }
        #expect(meeting.bridgeSession.selectedPath == selected)
        #expect(!meeting.network.isStuck)
    }

    @Test(arguments: 1...10)
    func losingTheFirstPathMovesTheCallToTheSecond(seed: UInt64) throws {
        // Wi-Fi and mobile network; the selected one dies without a word.
        let second = try address("10.9.9.9", 50001)
        let meeting = try Meeting(seed: seed, clientAddresses: [try address("192.168.1.2", 50000), second])
        meeting.network.loss = 0.02
        meeting.connect()
        meeting.network.run(seconds: 10)
        let dead = try #require(meeting.bridgeSession.selectedPath).remote
        meeting.network.blocks = { from, to, _ in from == dead || to == dead }
        let start = meeting.network.now
        meeting.network.run(seconds: 20)
        let now = try #require(meeting.bridgeSession.selectedPath)
        #expect(now.remote != dead)
        let selected = times(meeting, of: .selected(now), after: start)
        #expect(selected.allSatisfy { $0 < 9000 })
        #expect(!meeting.bridgeEvents.contains(.consentLost))
        #expect(meeting.clientSession.selectedPath != nil)
        #expect(!meeting.network.isStuck)
    }

    @Test func controlledBridgeFollowsTheNomination() throws {
        let second = try address("10.9.9.9", 50001)
        let meeting = try Meeting(
            seed: 5, clientAddresses: [try address("192.168.1.2", 50000), second], bridgeRole: .controlled,
            clientRole: .controlling)
        meeting.connect()
        let first = try #require(meeting.bridgeSession.selectedPath)
        #expect(meeting.bridgeSession.role == .controlled)
        let other = first.remote == second ? meeting.clientPublic : second
        // Long after the first nomination the peer nominates the other pair.
        meeting.network.run(seconds: 30)
        for _ in 0..<2 {
            let nomination = meeting.request(role: .controlling) { $0.appendUseCandidate() }
            meeting.network.inject(nomination, to: meeting.bridge, from: other)
            meeting.network.run(seconds: 1)
        }
        #expect(meeting.bridgeSession.selectedPath?.remote == other)
    }

    @Test func answersThatDoNotReachUsDoNotValidate() throws {
        // One-way connectivity: the client's checks arrive, ours do not reach it.
        let meeting = try Meeting(seed: 6)
        let client = meeting.clientPublic
        meeting.network.blocks = { _, to, _ in to == client }
        meeting.connect()
        meeting.network.run(seconds: 30)
        #expect(meeting.bridgeSession.selectedPath == nil)
        #expect(!meeting.bridgeSession.isValidated(meeting.clientPath()))
        #expect(!meeting.network.isStuck)
    }

    @Test func nominationThatIsNeverAnsweredDoesNotBlockAnotherPair() throws {
        let second = try address("10.9.9.9", 50001)
        let meeting = try Meeting(seed: 7, clientAddresses: [try address("192.168.1.2", 50000), second])
        // The first way dies as soon as something with USE-CANDIDATE goes over it.
        var victim: TransportAddress?
        meeting.network.blocks = { from, to, bytes in
            if victim == nil, (try? parse(bytes))?.useCandidate == true { victim = to }
            return from == victim || to == victim
        }
        meeting.connect()
        #expect(victim != nil)
        #expect(meeting.bridgeSession.selectedPath != nil)
        #expect(meeting.bridgeSession.selectedPath?.remote != victim)
    }

    @Test(arguments: 1...6)
    func anHourOfTroubleEndsConnected(seed: UInt64) throws {
        let meeting = try Meeting(seed: seed)
        let network = meeting.network
        meeting.connect()
        var trouble = SeededGenerator(seed: seed + 1000)
        for _ in 0..<120 {
            switch Int.random(in: 0..<5, using: &trouble) {
            case 0: network.loss = Double.random(in: 0...0.6, using: &trouble)
            case 1: network.blocks = { _, _, _ in true }
            case 2: network.jitter = .milliseconds(Int64.random(in: 0...800, using: &trouble))
            case 3:
                let port = UInt16.random(in: 1024...65535, using: &trouble)
                network.hosts[meeting.client].nat[meeting.clientAddress] = TransportAddress(
                    ip: meeting.clientPublic.ip, port: port)
            default: _ = network.restart(meeting.bridge)
            }
            network.run(seconds: Double.random(in: 0...50, using: &trouble))
            network.blocks = { _, _, _ in false }
        }
        #expect(!network.isStuck)
        network.loss = 0
        network.jitter = .zero
        // A restart that nobody answers is given up; then the client asks as browsers do.
        network.run(seconds: 20)
        for _ in 0..<4 {
            let from = network.hosts[meeting.client].nat[meeting.clientAddress] ?? meeting.clientPublic
            network.inject(meeting.request(), to: meeting.bridge, from: from)
            network.run(seconds: 2)
        }
        let remote = network.hosts[meeting.client].nat[meeting.clientAddress] ?? meeting.clientPublic
        #expect(meeting.bridgeSession.state == .connected(meeting.clientPath(remote)))
        #expect(!network.isStuck)
        // What the owner was told adds up to what is.
        var table: Set<Path> = []
        for event in meeting.bridgeEvents {
            switch event {
            case .pathHeard(let path), .pathAdded(let path): table.insert(path)
            case .pathRemoved(let path): #expect(table.remove(path) != nil)
            case .selected(let path), .consentRegained(let path): #expect(table.contains(path))
            default: break
            }
        }
        #expect(table.count <= 9)
    }
}
