// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Bridge
import Colibri
import NIOCore
import Synchronization
import Testing

@testable import jvbd

/// A mailbox that keeps what is posted, and is full when told to be.
final class RecordingDoor: ShardDoor {
    private struct State {
        var commands: [ShardCommand] = []
        var room = Int.max
    }

    private let state = Mutex(State())

    func post(_ command: ShardCommand) -> Bool {
        state.withLock { state in
            guard state.room > 0 else { return false }
            state.room -= 1
            state.commands.append(command)
            return true
        }
    }

    func allow(_ count: Int) { state.withLock { $0.room = count } }

    var commands: [ShardCommand] { state.withLock { $0.commands } }

    /// The `modify` commands that arrived, as meeting-id, first endpoint id and request.
    var modifies: [(meetingID: String, endpoint: String?, id: RequestID)] {
        commands.compactMap {
            if case .modify(let request, let id) = $0 {
                (request.meetingID, request.endpoints.first?.id, id)
            } else {
                nil
            }
        }
    }
}

/// Remembers answers from any thread.
final class Answers<Element: Sendable>: Sendable {
    private let list = Mutex<[Element]>([])
    func add(_ element: Element) { list.withLock { $0.append(element) } }
    var all: [Element] { list.withLock { $0 } }
}

@Suite struct ControlPlaneTests {
    typealias Reply = Result<ConferenceModified, ColibriError>

    private let door = RecordingDoor()
    private let plane: ControlPlane

    init() { plane = ControlPlane(doors: [door]) }

    private func request(_ meeting: String, _ endpoint: String, create: Bool = false) -> ConferenceModify {
        ConferenceModify(
            meetingID: meeting, create: create, endpoints: [EndpointModify(id: endpoint)])
    }

    private func done() -> Reply { .success(ConferenceModified()) }

    @Test func requestsArriveInOrderAndAnswersGoToTheirOwners() {
        let answers = Answers<String>()
        for name in ["a", "b", "c"] { plane.modify(request("m", name)) { _ in answers.add(name) } }
        #expect(door.modifies.map(\.endpoint) == ["a", "b", "c"])
        for modify in door.modifies.reversed() { plane.receive(.modified(modify.id, done()), from: 0) }
        #expect(answers.all == ["c", "b", "a"])
        // A second answer to the same request belongs to nobody.
        plane.receive(.modified(door.modifies[0].id, done()), from: 0)
        #expect(answers.all.count == 3)
        #expect(plane.counters.lateAnswers == 1)
    }

    @Test func fullMailboxParksTheMeetingAndKeepsItsOrder() {
        door.allow(1)
        for name in ["a", "b", "c"] { plane.modify(request("m", name)) { _ in } }
        #expect(door.modifies.map(\.endpoint) == ["a"])
        #expect(plane.counters.parkedNow == 2)
        // Room again: a later request still waits behind the parked ones.
        door.allow(1)
        plane.modify(request("m", "d")) { _ in }
        #expect(door.modifies.map(\.endpoint) == ["a"])
        plane.tick(now: .now())
        #expect(door.modifies.map(\.endpoint) == ["a", "b"])
        door.allow(10)
        plane.tick(now: .now())
        #expect(door.modifies.map(\.endpoint) == ["a", "b", "c", "d"])
        #expect(plane.counters.parkedNow == 0)
    }

    @Test func theParkingIsLimitedPerMeeting() {
        door.allow(0)
        let answers = Answers<Reply>()
        for n in 0..<(MeetingTable.parkingLimit + 3) { plane.modify(request("m", "e\(n)")) { answers.add($0) } }
        #expect(answers.all.count == 3)
        for answer in answers.all {
            guard case .failure(let error) = answer else {
                Issue.record("taken above the limit")
                continue
            }
            #expect(error.condition == .resourceConstraint)
        }
        #expect(plane.counters.refusedForParking == 3)
        // Another meeting is not affected.
        plane.modify(request("other", "x")) { answers.add($0) }
        #expect(answers.all.count == 3)
    }

    @Test func everyRequestIsAnsweredWithinTheDeadlineAndAParkedOneIsThenNotPerformed() {
        let answers = Answers<Reply>()
        plane.modify(request("m", "posted")) { answers.add($0) }
        door.allow(0)
        plane.modify(request("m", "parked")) { answers.add($0) }
        plane.tick(now: .now() + .seconds(9))
        #expect(answers.all.isEmpty)
        plane.tick(now: .now() + .seconds(11))
        #expect(answers.all.count == 2)
        for case .failure(let error) in answers.all { #expect(error.condition == .internalServerError) }
        door.allow(10)
        plane.tick(now: .now())
        #expect(door.modifies.map(\.endpoint) == ["posted"])
        // The shard's answer comes too late for anyone.
        plane.receive(.modified(door.modifies[0].id, done()), from: 0)
        #expect(answers.all.count == 2)
        #expect(plane.counters.timedOut == 2)
    }

    @Test func inShutdownConferencesAreNotCreatedButExistingOnesGoOn() {
        let answers = Answers<Reply>()
        plane.refuseConferences()
        plane.modify(request("m", "a", create: true)) { answers.add($0) }
        #expect(door.modifies.isEmpty)
        guard case .failure(let error)? = answers.all.first else {
            Issue.record("conference created in shutdown")
            return
        }
        #expect(error == .gracefulShutdown)
        plane.modify(request("m", "b")) { answers.add($0) }
        #expect(door.modifies.map(\.endpoint) == ["b"])
    }

    @Test func channelCommandsWaitInOrderWhenTheMailboxIsFull() {
        let handle = EndpointHandle(rawValue: 7)
        door.allow(0)
        plane.send(.channelOpened(handle, .sctp), to: handle)
        door.allow(10)
        plane.send(.channelMessage(handle, .sctp, [1]), to: handle)
        #expect(door.commands.isEmpty)
        plane.tick(now: .now())
        #expect(door.commands.count == 2)
        if case .channelOpened = door.commands[0] {} else { Issue.record("out of order") }
    }

    @Test func detailsOfAMeetingThatIsNotThereAreNil() {
        let answers = Answers<Bool>()
        plane.details(of: "m") { answers.add($0 == nil) }
        guard case .conferenceDetails("m", let id)? = door.commands.last else {
            Issue.record("not asked")
            return
        }
        plane.receive(.conferenceDetails(id, nil), from: 0)
        #expect(answers.all == [true])
    }

    @Test func snapshotOfSeveralShardsWaitsForAllOrForTheDeadline() {
        let doors = [RecordingDoor(), RecordingDoor()]
        let plane = ControlPlane(doors: doors)
        let answers = Answers<[Int]>()
        plane.snapshot { answers.add($0.map(\.shard)) }
        guard case .snapshot(let first)? = doors[0].commands.last else {
            Issue.record("not asked")
            return
        }
        plane.receive(.snapshot(first, ShardSnapshot()), from: 0)
        #expect(answers.all.isEmpty)
        plane.tick(now: .now() + .seconds(11))
        #expect(answers.all == [[0]])
    }

    @Test func webSocketsAreReplacedAndExpired() {
        final class Peer: WebSocketPeer {
            let closed = Answers<String>()
            let sent = Answers<[UInt8]>()
            func send(text: [UInt8]) { sent.add(text) }
            func close(code: UInt16, reason: String) { closed.add("\(code) \(reason)") }
        }
        let handle = EndpointHandle(rawValue: 9)
        let older = Peer(), newer = Peer()
        plane.opened(handle, older)
        plane.opened(handle, newer)
        #expect(older.closed.all == ["1000 replaced"])
        plane.closed(handle, older)
        plane.receive(.channelSend(handle, .webSocket, [1, 2]), from: 0)
        #expect(newer.sent.all == [[1, 2]])
        #expect(older.sent.all.isEmpty)
        plane.receive(.channelExpired(handle), from: 0)
        #expect(newer.closed.all == ["1001 endpoint closed"])
        #expect(plane.counters.webSockets == 0)
    }
}

@Suite struct MeetingTableTests {
    private func take(_ table: inout MeetingTable, _ meeting: String, _ id: UInt64) {
        let request = ConferenceModify(meetingID: meeting)
        let id = RequestID(rawValue: id)
        _ = table.take(.modify(request, id), id: id, meetingID: meeting) { _, _ in true }
    }

    @Test func meetingsGoToTheShardWithTheLeastToDoAndStayThere() {
        var table = MeetingTable(shards: 2)
        take(&table, "a", 1)
        take(&table, "b", 2)
        #expect(table.home(of: "a") != table.home(of: "b"))
        var busy = ShardSnapshot()
        busy.endpoints = 50
        table.note(busy, of: table.home(of: "b"))
        #expect(table.home(of: "new") == table.home(of: "a"))
        take(&table, "b", 3)
        #expect(table.home(of: "b") == 1 - table.home(of: "a"))
    }

    @Test func meetingsAreForgottenWhenTheyEnd() {
        var table = MeetingTable(shards: 1)
        take(&table, "a", 1)
        table.answered(RequestID(rawValue: 1), meetingID: "a", gone: true)
        #expect(table.count == 0)
        // Not while another request for it is on its way: that one may create it again.
        take(&table, "a", 2)
        take(&table, "a", 3)
        table.answered(RequestID(rawValue: 2), meetingID: "a", gone: true)
        #expect(table.count == 1)
    }

    @Test func meetingsThatEndOnTheirOwnAreForgottenByTheNextRound() {
        var table = MeetingTable(shards: 1)
        take(&table, "a", 1)
        table.answered(RequestID(rawValue: 1), meetingID: "a", gone: false)
        // This snapshot may be older than the answer.
        table.note(ShardSnapshot(), of: 0)
        #expect(table.count == 1)
        table.beginRound()
        var alive = ShardSnapshot()
        alive.meetings = [(meetingID: "a", conferenceID: "c", name: nil, endpoints: 1)]
        table.note(alive, of: 0)
        #expect(table.count == 1)
        table.note(ShardSnapshot(), of: 0)
        #expect(table.count == 0)
    }
}
