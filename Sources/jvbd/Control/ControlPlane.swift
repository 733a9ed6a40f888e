// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// The one place between the control languages and the shards: finds the shard of a meeting, posts commands in the
/// order in which they came, and takes answers and messages back to whoever waits for them.

import Bridge
import Colibri
import Logging
import NIOCore

/// The way to a shard: its mailbox.
protocol ShardDoor: Sendable {
    /// Hands over a command without waiting; false when the mailbox is full.
    func post(_ command: ShardCommand) -> Bool
}

/// The client side of a colibri WebSocket, as the control plane sees it. The calls may come from any thread.
protocol WebSocketPeer: AnyObject, Sendable {
    func send(text: [UInt8])
    func close(code: UInt16, reason: String)
}

/// Thread-safe: every entry takes one short lock, and no callback runs under it. Answers of one shard are handed on
/// in the order in which `receive` gets them.
final class ControlPlane: Sendable {
    typealias ModifyReply = @Sendable (Result<ConferenceModified, ColibriError>) -> Void

    /// Jicofo gives up after 15 s; an answer must be there before.
    static let deadline = TimeAmount.seconds(10)

    /// Counts for statistics.
    struct Counters: Sendable {
        var refusedForParking = 0
        var timedOut = 0
        var lateAnswers = 0
        var droppedChannelMessages = 0
        var parkedNow = 0
        var webSockets = 0
    }

    fileprivate enum Pending: Sendable {
        case modify(meetingID: String, expires: Bool, reply: ModifyReply)
        case snapshot(Collector<(shard: Int, snapshot: ShardSnapshot)>)
        case details(Collector<ConferenceDetails>)
        case webSocket(Collector<EndpointHandle>)
    }

    fileprivate struct State {
        var lastRequest: UInt64 = 0
        var meetings: MeetingTable
        /// In shutdown.
        var refusesConferences = false
        var pending: [RequestID: Pending] = [:]
        /// All requests have the same time, so this is in order.
        var deadlines: [(NIODeadline, RequestID)] = []
        /// Channel commands for a shard whose mailbox is full.
        var overflow: [[ShardCommand]]
        var webSockets: [EndpointHandle: any WebSocketPeer] = [:]
        var sctp: (@Sendable (ShardEvent) -> Void)?
        var counters = Counters()
    }

    /// Channel messages that wait per shard before more are dropped.
    private static let overflowLimit = 4096

    private let doors: [any ShardDoor]
    private let logger: Logger
    /// For what the shards have to say.
    private let bridgeLogger = Logger(label: "Bridge")
    private let state: Guarded<State>

    /// - Parameter doors: the mailboxes of the shards, by index.
    init(doors: [any ShardDoor], logger: Logger = Logger(label: "ControlPlane")) {
        self.doors = doors
        self.logger = logger
        state = Guarded(
            State(meetings: MeetingTable(shards: doors.count), overflow: Array(repeating: [], count: doors.count)))
    }

    /// Who gets `sctpOpen`, `sctpPacket`, `sctpClose` and what is to be sent on data channels.
    func connect(sctp: @escaping @Sendable (ShardEvent) -> Void) {
        state.withLock { $0.sctp = sctp }
    }

    var counters: Counters {
        state.withLock { state in
            var counters = state.counters
            counters.parkedNow = state.meetings.parkedCount
            counters.webSockets = state.webSockets.count
            return counters
        }
    }

    // MARK: Requests

    /// Posts the request before it returns, so that requests arrive at the shard in the order of the calls. `reply` is
    /// called once, within 10 s, on any thread, possibly before this returns.
    func modify(_ request: ConferenceModify, reply: @escaping ModifyReply) {
        let refusal: ColibriError? = state.withLock { state in
            if request.create, state.refusesConferences { return .gracefulShutdown }
            let id = state.request()
            let command = ShardCommand.modify(request, id)
            guard state.meetings.take(command, id: id, meetingID: request.meetingID, post: doors.post) else {
                state.counters.refusedForParking += 1
                return ColibriError(.resourceConstraint, text: "Too many requests wait for this conference")
            }
            state.wait(
                id, .modify(meetingID: request.meetingID, expires: request.expire, reply: reply), since: .now())
            return nil
        }
        if let refusal { reply(.failure(refusal)) }
    }

    /// From now on no conferences are created: the process is about to stop.
    func refuseConferences() {
        state.withLock { $0.refusesConferences = true }
    }

    /// Snapshots of all shards that answer in time, by shard.
    func snapshot(reply: @escaping @Sendable ([(shard: Int, snapshot: ShardSnapshot)]) -> Void) {
        state.withLock { $0.meetings.beginRound() }
        askAll(reply: { reply($0.sorted { $0.shard < $1.shard }) }) { collector, id in
            (.snapshot(collector), .snapshot(id))
        }
    }

    /// Details of a meeting; nil when no shard has it.
    func details(of meetingID: String, reply: @escaping @Sendable (ConferenceDetails?) -> Void) {
        let home = state.withLock { $0.meetings.home(of: meetingID) }
        askAll(only: home, reply: { reply($0.first) }) { collector, id in
            (.details(collector), .conferenceDetails(meetingID: meetingID, id))
        }
    }

    /// Whether a client may open a WebSocket for an endpoint; `conference` is the bridge's own id of the conference.
    func authorizeWebSocket(
        conference: String, endpoint: String, password: String, reply: @escaping @Sendable (EndpointHandle?) -> Void
    ) {
        askAll(reply: { reply($0.first) }) { collector, id in
            (
                .webSocket(collector),
                .authorizeWebSocket(conference: conference, endpoint: endpoint, password: password, id)
            )
        }
    }

    private func askAll<Element: Sendable>(
        only shard: Int? = nil, reply: @escaping @Sendable ([Element]) -> Void,
        _ make: (Collector<Element>, RequestID) -> (Pending, ShardCommand)
    ) {
        let asked = shard.map { [$0] } ?? Array(doors.indices)
        let collector = Collector<Element>(expecting: asked.count, reply: reply)
        for shard in asked {
            let posted = state.withLock { state in
                let id = state.request()
                let (pending, command) = make(collector, id)
                guard doors.post(shard, command) else { return false }
                state.wait(id, pending, since: .now())
                return true
            }
            if !posted { collector.add(nil) }
        }
    }

    // MARK: Channels

    /// A WebSocket of the endpoint is open; an older one is closed.
    func opened(_ handle: EndpointHandle, _ peer: any WebSocketPeer) {
        let older = state.withLock { state in
            let older = state.webSockets.updateValue(peer, forKey: handle)
            send(.channelOpened(handle, .webSocket), to: handle, &state)
            return older
        }
        older?.close(code: 1000, reason: "replaced")
    }

    /// The WebSocket is gone; nothing happens if another one took its place.
    func closed(_ handle: EndpointHandle, _ peer: any WebSocketPeer) {
        state.withLock { state in
            guard state.webSockets[handle] === peer else { return }
            state.webSockets[handle] = nil
            send(.channelClosed(handle, .webSocket), to: handle, &state)
        }
    }

    /// Something that a client or its data channel brought for the shard of an endpoint; kept in order.
    func send(_ command: ShardCommand, to handle: EndpointHandle) {
        state.withLock { send(command, to: handle, &$0) }
    }

    private func send(_ command: ShardCommand, to handle: EndpointHandle, _ state: inout State) {
        guard doors.indices.contains(handle.shard) else { return }
        if state.overflow[handle.shard].isEmpty, doors.post(handle.shard, command) { return }
        switch command {
        // SCTP sends a lost packet again; a client that floods its shard loses messages.
        case .channelMessage, .sctpPacket:
            guard state.overflow[handle.shard].count < ControlPlane.overflowLimit else {
                state.counters.droppedChannelMessages += 1
                return
            }
        default: break
        }
        state.overflow[handle.shard].append(command)
    }

    /// Tells every shard the same.
    func broadcast(_ command: ShardCommand) {
        state.withLock { state in
            for shard in doors.indices where !doors.post(shard, command) { state.overflow[shard].append(command) }
        }
    }

    // MARK: Time

    /// To be called every 50 ms or so: answers what has waited too long and posts what was parked.
    func tick(now: NIODeadline) {
        flush()
        var late: [Pending] = []
        state.withLock { state in
            let due = state.deadlines.prefix { $0.0 <= now }.map(\.1)
            state.deadlines.removeFirst(due.count)
            for id in due {
                guard let pending = state.pending.removeValue(forKey: id) else { continue }
                state.counters.timedOut += 1
                if case .modify(let meetingID, _, _) = pending {
                    state.meetings.answered(id, meetingID: meetingID, gone: false)
                }
                late.append(pending)
            }
        }
        for pending in late {
            switch pending {
            case .modify(let meetingID, _, let reply):
                logger.warning("no answer from the shard in time", metadata: ["meeting": .string(meetingID)])
                reply(.failure(ColibriError(.internalServerError, text: "The bridge did not answer in time")))
            case .snapshot(let collector): collector.add(nil)
            case .details(let collector): collector.add(nil)
            case .webSocket(let collector): collector.add(nil)
            }
        }
    }

    private func flush() {
        state.withLock { state in
            if state.meetings.hasParked { state.meetings.flush(post: doors.post) }
            for shard in doors.indices where !state.overflow[shard].isEmpty {
                var posted = 0
                while posted < state.overflow[shard].count, doors.post(shard, state.overflow[shard][posted]) {
                    posted += 1
                }
                state.overflow[shard].removeFirst(posted)
            }
        }
    }

    // MARK: Events

    /// Takes what a shard has to say. Callable from any thread; those of one shard must come in order.
    func receive(_ event: ShardEvent, from shard: Int) {
        switch event {
        case .modified(let id, let result):
            var gone = false
            if case .failure(let error) = result { gone = error.reason == .conferenceNotFound }
            let isGone = gone
            let reply: ModifyReply? = state.withLock { state in
                guard case .modify(let meetingID, let expires, let reply) = state.take(id) else { return nil }
                let ended = isGone || (expires && (try? result.get()) != nil)
                state.meetings.answered(id, meetingID: meetingID, gone: ended)
                return reply
            }
            reply?(result)
        case .snapshot(let id, let snapshot):
            let collector: Collector<(shard: Int, snapshot: ShardSnapshot)>? = state.withLock { state in
                guard case .snapshot(let collector) = state.take(id) else { return nil }
                state.meetings.note(snapshot, of: shard)
                return collector
            }
            collector?.add((shard, snapshot))
        case .conferenceDetails(let id, let details):
            if case .details(let collector) = state.withLock({ $0.take(id) }) { collector.add(details) }
        case .webSocketAuthorized(let id, let handle):
            if case .webSocket(let collector) = state.withLock({ $0.take(id) }) { collector.add(handle) }
        case .sctpOpen, .sctpPacket, .sctpClose, .channelSend(_, .sctp, _):
            state.withLock { $0.sctp }?(event)
        case .channelSend(let handle, .webSocket, let text):
            state.withLock { $0.webSockets[handle] }?.send(text: text)
        case .channelExpired(let handle):
            state.withLock { $0.webSockets.removeValue(forKey: handle) }?
                .close(code: 1001, reason: "endpoint closed")
        case .log(let event):
            event.write(to: bridgeLogger)
        }
    }
}

extension [any ShardDoor] {
    /// False also for a shard that does not exist.
    fileprivate func post(_ shard: Int, _ command: ShardCommand) -> Bool {
        indices.contains(shard) && self[shard].post(command)
    }
}

extension ControlPlane.State {
    fileprivate mutating func request() -> RequestID {
        lastRequest += 1
        return RequestID(rawValue: lastRequest)
    }

    fileprivate mutating func wait(_ id: RequestID, _ what: ControlPlane.Pending, since now: NIODeadline) {
        pending[id] = what
        deadlines.append((now + ControlPlane.deadline, id))
    }

    /// The owner of an answer; nil, counted, when it came too late.
    fileprivate mutating func take(_ id: RequestID) -> ControlPlane.Pending? {
        guard let found = pending.removeValue(forKey: id) else {
            counters.lateAnswers += 1
            return nil
        }
        return found
    }
}

/// Gathers the answers of several shards and replies once with those that had one.
private final class Collector<Element: Sendable>: Sendable {
    private let gathered: Guarded<(missing: Int, elements: [Element])>
    private let reply: @Sendable ([Element]) -> Void

    init(expecting count: Int, reply: @escaping @Sendable ([Element]) -> Void) {
        gathered = Guarded((count, []))
        self.reply = reply
        if count == 0 { reply([]) }
    }

    func add(_ element: Element?) {
        let complete: [Element]? = gathered.withLock { gathered in
            gathered.missing -= 1
            if let element { gathered.elements.append(element) }
            return gathered.missing == 0 ? gathered.elements : nil
        }
        if let complete { reply(complete) }
    }
}

extension Bridge.LogEvent {
    /// Prints the event as one log line.
    func write(to logger: Logger) {
        var metadata: Logger.Metadata = [:]
        metadata["conference"] = conference.map { .string($0) }
        metadata["endpoint"] = endpoint.map { .string($0) }
        for (name, value) in facts {
            switch value {
            case .text(let text): metadata[name] = .string(text)
            case .address(let address): metadata[name] = .address(address)
            case .count(let count): metadata[name] = .count(count)
            }
        }
        let level: Logger.Level =
            switch self.level {
            case .debug: .debug
            case .info: .info
            case .warning: .warning
            }
        logger.log(level: level, "\(message)", metadata: metadata)
    }
}
