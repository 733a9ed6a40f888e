// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import RTP
import Testing

@testable import ICE

@Suite struct RestartTests {
    func connected(seed: UInt64) throws -> Meeting {
        let meeting = try Meeting(seed: seed)
        meeting.connect()
        meeting.network.run(seconds: 10)
        #expect(meeting.bridgeSession.selectedPath != nil)
        return meeting
    }

    /// A second client session of the same endpoint, on another address: what a browser makes of a restart.
    func answer(_ meeting: Meeting, at local: TransportAddress) -> Int {
        let host = meeting.network.addHost(.controlled, at: [local])
        return host
    }

    /// Hands the bridge the answer to a restart.
    func apply(_ meeting: Meeting, from host: Int, generation: UInt32?) -> ICESession.RemoteOutcome {
        let outcome = meeting.bridgeSession.setRemote(
            meeting.network.hosts[host].session.localCredentials, candidates: [], generation: generation,
            now: meeting.network.now)
        meeting.network.advance(meeting.bridge)
        return outcome
    }

    @Test func mediaStaysOnTheOldPathUntilTheNewOneIsSelected() throws {
        let meeting = try connected(seed: 1)
        let old = try #require(meeting.bridgeSession.selectedPath)
        let oldCredentials = meeting.bridgeSession.localCredentials
        #expect(meeting.network.restart(meeting.bridge) == .started(generation: 1))
        #expect(meeting.bridgeSession.generation == 1)
        #expect(meeting.bridgeSession.localCredentials != oldCredentials)
        #expect(meeting.bridgeSession.liveFragments.count == 2)
        #expect(meeting.bridgeSession.selectedPath == old)

        let local = try address("198.51.100.77", 7000)
        let browser = answer(meeting, at: local)
        // The browser's checks arrive before its answer.
        meeting.network.signal(
            from: meeting.bridge, to: browser, candidates: meeting.network.candidates(of: meeting.bridge))
        meeting.network.run(seconds: 1)
        #expect(meeting.bridgeSession.selectedPath == old)
        #expect(apply(meeting, from: browser, generation: 1) == .applied)
        meeting.network.run(seconds: 1)

        let new = meeting.clientPath(local)
        #expect(meeting.bridgeSession.state == .connected(new))
        let events = meeting.bridgeEvents.withoutDrops
        let restarted = try #require(events.firstIndex(of: .restarted(generation: 1)))
        let selected = try #require(events.lastIndex(of: .selected(new)))
        #expect(restarted < selected)
        #expect(!meeting.bridgeSession.isRestartPending)
        // The old credentials are answered for three more seconds, then its path goes.
        #expect(meeting.bridgeSession.owns(oldCredentials.ufrag))
        #expect(meeting.bridgeSession.isValidated(old))
        meeting.network.run(seconds: 3)
        #expect(!meeting.bridgeSession.owns(oldCredentials.ufrag))
        #expect(meeting.bridgeEvents.contains(.fragmentRetired(oldCredentials.ufrag)))
        #expect(meeting.bridgeEvents.contains(.pathRemoved(old)))
        meeting.network.run(seconds: 120)
        #expect(meeting.bridgeSession.state == .connected(new))
        #expect(!meeting.network.isStuck)
    }

    @Test func restartFromTheSameAddressKeepsThePath() throws {
        let meeting = try connected(seed: 2)
        let path = try #require(meeting.bridgeSession.selectedPath)
        #expect(meeting.network.restart(meeting.bridge) == .started(generation: 1))
        let browser = answer(meeting, at: meeting.clientPublic)
        // The new generation takes the client's place at its public address.
        meeting.network.hosts[meeting.client].nat = [:]
        meeting.network.signal(
            from: meeting.bridge, to: browser, candidates: meeting.network.candidates(of: meeting.bridge))
        #expect(apply(meeting, from: browser, generation: 1) == .applied)
        meeting.network.run(seconds: 10)
        #expect(meeting.bridgeSession.state == .connected(path))
        #expect(meeting.bridgeEvents.contains(.restarted(generation: 1)))
        #expect(!meeting.bridgeEvents.contains(.pathRemoved(path)))
        #expect(!meeting.bridgeEvents.contains(.consentLost))
    }

    @Test func unansweredRestartIsAbandonedAfterTwentySeconds() throws {
        let meeting = try connected(seed: 3)
        let old = try #require(meeting.bridgeSession.selectedPath)
        let oldCredentials = meeting.bridgeSession.localCredentials
        #expect(meeting.network.restart(meeting.bridge) == .started(generation: 1))
        let fragment = meeting.bridgeSession.localCredentials.ufrag
        meeting.network.run(seconds: 19.9)
        #expect(meeting.bridgeSession.isRestartPending)
        meeting.network.run(seconds: 0.2)
        #expect(!meeting.bridgeSession.isRestartPending)
        #expect(meeting.bridgeSession.localCredentials == oldCredentials)
        #expect(meeting.bridgeEvents.suffix(2) == [.restartAbandoned(generation: 1), .fragmentRetired(fragment)])
        #expect(meeting.bridgeSession.state == .connected(old))
        // A later answer comes too late, and the next restart is another generation.
        #expect(apply(meeting, from: meeting.client, generation: 1) == .ignoredGeneration)
        #expect(meeting.network.restart(meeting.bridge) == .started(generation: 2))
    }

    @Test func answeredRestartWithoutAPathIsAbandonedToo() throws {
        let meeting = try connected(seed: 4)
        let old = try #require(meeting.bridgeSession.selectedPath)
        #expect(meeting.network.restart(meeting.bridge) == .started(generation: 1))
        let browser = answer(meeting, at: try address("198.51.100.77", 7000))
        #expect(apply(meeting, from: browser, generation: 1) == .applied)
        meeting.network.run(seconds: 25)
        #expect(meeting.bridgeEvents.contains(.restartAbandoned(generation: 1)))
        #expect(!meeting.bridgeEvents.contains(.failed))
        #expect(meeting.bridgeSession.state == .connected(old))
    }

    @Test func repeatedRestartReturnsThePendingGenerationUntilItIsAnswered() throws {
        let meeting = try connected(seed: 5)
        #expect(meeting.network.restart(meeting.bridge) == .started(generation: 1))
        let credentials = meeting.bridgeSession.localCredentials
        #expect(meeting.network.restart(meeting.bridge) == .alreadyPending(generation: 1))
        #expect(meeting.bridgeSession.localCredentials == credentials)

        let browser = answer(meeting, at: try address("198.51.100.77", 7000))
        #expect(apply(meeting, from: browser, generation: 1) == .applied)
        #expect(meeting.network.restart(meeting.bridge) == .started(generation: 2))
        #expect(meeting.bridgeEvents.contains(.restartAbandoned(generation: 1)))
        #expect(!meeting.bridgeSession.owns(credentials.ufrag))
    }

    @Test func restartBeforeConnectionKeepsWhatIs() throws {
        let meeting = try Meeting(seed: 6)
        let credentials = meeting.bridgeSession.localCredentials
        #expect(meeting.network.restart(meeting.bridge) == .keptExisting)
        #expect(meeting.bridgeSession.localCredentials == credentials)
        #expect(meeting.bridgeSession.generation == 0)
    }

    @Test func onlyTheFirstRightlyTaggedAnswerIsTaken() throws {
        let meeting = try connected(seed: 7)
        #expect(meeting.network.restart(meeting.bridge) == .started(generation: 1))
        let browser = answer(meeting, at: try address("198.51.100.77", 7000))
        #expect(apply(meeting, from: browser, generation: nil) == .ignoredEstablished)
        #expect(apply(meeting, from: browser, generation: 0) == .ignoredGeneration)
        #expect(apply(meeting, from: browser, generation: 2) == .ignoredGeneration)
        let bare = meeting.bridgeSession.setRemote(nil, candidates: [], generation: 1, now: meeting.network.now)
        #expect(bare == .ignoredIncomplete)
        #expect(apply(meeting, from: browser, generation: 1) == .applied)
        #expect(apply(meeting, from: browser, generation: 1) == .ignoredGeneration)
    }

    @Test func restartRevivesALostConnection() throws {
        let meeting = try connected(seed: 8)
        meeting.network.blocks = { _, _, _ in true }
        meeting.network.run(seconds: 40)
        #expect(meeting.bridgeSession.state == .disconnected)
        meeting.network.blocks = { _, _, _ in false }
        #expect(meeting.network.restart(meeting.bridge) == .started(generation: 1))
        let local = try address("198.51.100.77", 7000)
        let browser = answer(meeting, at: local)
        meeting.network.signal(
            from: meeting.bridge, to: browser, candidates: meeting.network.candidates(of: meeting.bridge))
        #expect(apply(meeting, from: browser, generation: 1) == .applied)
        meeting.network.run(seconds: 2)
        #expect(meeting.bridgeSession.state == .connected(meeting.clientPath(local)))
        #expect(meeting.bridgeEvents.last == .selected(meeting.clientPath(local)))
    }

    @Test func tenRestartsInARow() throws {
        let meeting = try connected(seed: 9)
        for round in 1...10 {
            #expect(meeting.network.restart(meeting.bridge) == .started(generation: UInt32(round)))
            let browser = answer(meeting, at: try address("198.51.100.77", 7000 + UInt16(round)))
            meeting.network.signal(
                from: meeting.bridge, to: browser, candidates: meeting.network.candidates(of: meeting.bridge))
            #expect(apply(meeting, from: browser, generation: UInt32(round)) == .applied)
            // Faster than the transition window, so that one retirement cuts the other short.
            meeting.network.run(seconds: 1)
            #expect(meeting.bridgeEvents.contains(.restarted(generation: UInt32(round))))
        }
        meeting.network.run(seconds: 60)
        #expect(meeting.bridgeSession.liveFragments.count == 1)
        let retired = meeting.bridgeEvents.filter { if case .fragmentRetired = $0 { true } else { false } }
        #expect(retired.count == 10)
        #expect(!meeting.network.isStuck)
    }
}
