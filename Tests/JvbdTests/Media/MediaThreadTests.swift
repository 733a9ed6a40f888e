// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Bridge
import Glibc
import ICE
import RTP
import Testing

@testable import jvbd

/// The loop around a shard, with stand-ins for the shard.
@Suite struct MediaThreadTests {
    @Test func datagramsGoInAndTheCoresDatagramsComeOut() throws {
        let socket = try UDPSocket.open(port: 0)[0]
        let thread = try MediaThread<EchoCore>(
            name: "test-media", sockets: [socket], makeCore: { EchoCore(sink: $0) }, deliver: { _ in })
        let client = try Peer()
        let to = TransportAddress(ip: .v4(0x7F00_0001), port: socket.port)
        for i in 0..<100 { client.send([UInt8(i), 1, 2], to: to, from: .v4(0x7F00_0001)) }
        client.send([UInt8](repeating: 200, count: 5000), segmentSize: 1000, to: to)
        let answers = client.receiveAll(atLeast: 105)
        #expect(answers.count == 105)
        #expect(Set(answers.compactMap { $0.bytes.first }) == Set((0..<100).map { UInt8($0) } + [200]))
        thread.stop()
        let counters = thread.statistics.counters
        #expect(counters.packetsReceived == 105)
        #expect(counters.bytesReceived == 5300)
        #expect(counters.packetsSent == 105)
        #expect(counters.bytesSent == 5300)
        #expect(counters.sendErrors == 0)
    }

    @Test func severalSocketsKeepTheirIndex() throws {
        let sockets = [try UDPSocket.open(port: 0)[0], try UDPSocket.open(port: 0)[0]]
        let thread = try MediaThread<EchoCore>(
            name: "test-media", sockets: sockets, makeCore: { EchoCore(sink: $0) }, deliver: { _ in })
        defer { thread.stop() }
        let client = try Peer()
        for socket in sockets {
            let to = TransportAddress(ip: .v4(0x7F00_0001), port: socket.port)
            client.send([3], to: to)
            #expect(client.receiveAll(atLeast: 1).first?.path.remote == to)
        }
    }

    @Test func commandsArePerformedInOrderAndAnsweredByEvents() throws {
        let events = EventLog()
        let thread = try MediaThread<EchoCore>(
            name: "test-media", sockets: [], mailboxCapacity: 10_000, makeCore: { EchoCore(sink: $0) },
            deliver: { events.append($0) })
        for i in 0..<5000 { #expect(thread.mailbox.post(.answer(i))) }
        thread.stop()
        #expect(events.all == Array(0..<5000))
        #expect(!thread.mailbox.post(.answer(1)))
        #expect(thread.statistics.counters.commands == 5000)
    }

    @Test func theCoreLivesOnItsOwnThreadFromBirthToDeath() throws {
        let events = EventLog()
        let here = Int(pthread_self())
        let thread = try MediaThread<EchoCore>(
            name: "test-media", sockets: [], makeCore: { EchoCore(sink: $0, onDeath: { events.append([$0]) }) },
            deliver: { events.append($0) })
        #expect(thread.mailbox.post(.tellThread))
        thread.stop()
        let threads = Set(events.all)
        #expect(events.all.count == 3)
        #expect(threads.count == 1)
        #expect(!threads.contains(here))
    }

    @Test func timersRunWhenTheyAreDue() throws {
        let events = EventLog()
        let thread = try MediaThread<EchoCore>(
            name: "test-media", sockets: [], makeCore: { EchoCore(sink: $0) }, deliver: { events.append($0) })
        defer { thread.stop() }
        let start = MonotonicClock.now()
        #expect(thread.mailbox.post(.startTimer(.milliseconds(5), times: 20)))
        events.wait(count: 20)
        let elapsed = MonotonicClock.now() - start
        #expect(elapsed >= .milliseconds(100))
        #expect(elapsed < .seconds(5))
    }

    @Test func anIdleThreadSleepsAndAnOverdueCoreDoesNotSpin() throws {
        let thread = try MediaThread<EchoCore>(
            name: "test-media", sockets: [], makeCore: { EchoCore(sink: $0) }, deliver: { _ in })
        usleep(50_000)
        #expect(thread.statistics.counters.turns <= 2)
        #expect(thread.mailbox.post(.stayOverdue))
        usleep(100_000)
        thread.stop()
        // 100 microseconds each: at most about 1000 turns, where a spinning loop makes tens of thousands.
        #expect(thread.statistics.counters.turns < 2000)
    }
}

/// Sends everything back; says what it is asked to say.
private final class EchoCore: MediaCore {
    enum Command: Sendable {
        case answer(Int)
        case tellThread
        case startTimer(Interval, times: Int)
        case stayOverdue
    }

    private(set) var deadline: Instant?
    private let sink: any DatagramSink
    private let onDeath: @Sendable (Int) -> Void
    private var events: [Int] = []
    private var timer: (interval: Interval, left: Int)?
    private let birthplace = Int(pthread_self())

    init(sink: any DatagramSink, onDeath: @escaping @Sendable (Int) -> Void = { _ in }) {
        self.sink = sink
        self.onDeath = onDeath
    }

    deinit { onDeath(Int(pthread_self())) }

    func receive(_ datagrams: UnsafeBufferPointer<InboundDatagram>, now: Instant) {
        let messages = unsafe datagrams.map {
            unsafe OutboundMessage(bytes: $0.bytes, count: $0.count, segmentSize: 0, path: $0.path)
        }
        unsafe messages.withUnsafeBufferPointer { unsafe sink.send($0) }
    }

    func perform(_ command: Command, now: Instant) {
        switch command {
        case .answer(let number): events.append(number)
        case .tellThread: events += [birthplace, Int(pthread_self())]
        case .startTimer(let interval, let times):
            timer = (interval, times)
            deadline = now + interval
        case .stayOverdue: deadline = now
        }
    }

    func advance(now: Instant) {
        guard let timer, let deadline, now >= deadline else { return }
        events.append(timer.left)
        self.timer = timer.left > 1 ? (timer.interval, timer.left - 1) : nil
        self.deadline = self.timer == nil ? nil : deadline + timer.interval
    }

    func takeEvents() -> [Int] {
        defer { events = [] }
        return events
    }
}

private final class EventLog: Sendable {
    private let events = Guarded<[Int]>([])

    func append(_ more: [Int]) { events.withLock { $0 += more } }

    var all: [Int] { events.withLock { $0 } }

    func wait(count: Int) {
        for _ in 0..<500 where all.count < count { usleep(10_000) }
    }
}
