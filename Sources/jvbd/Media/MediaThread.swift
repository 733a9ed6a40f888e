// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Bridge
import CLinux
import ICE
import RTP

/// What a media thread drives; `Bridge.Shard`, and stand-ins in tests. Created, used and destroyed on the thread.
protocol MediaCore: AnyObject, SendableMetatype {
    associatedtype Command: Sendable
    associatedtype Event: Sendable

    /// When `advance` must be called next; nil when no timer runs.
    var deadline: Instant? { get }
    func receive(_ datagrams: UnsafeBufferPointer<InboundDatagram>, now: Instant)
    func perform(_ command: Command, now: Instant)
    func advance(now: Instant)
    func takeEvents() -> [Event]
    /// Datagrams that another core's thread received, and what that thread says of paths.
    func receiveCarried(_ datagrams: UnsafeBufferPointer<InboundDatagram>, now: Instant)
    func note(_ path: Path, ownedBy shard: Int?)
}

extension MediaCore {
    func receiveCarried(_ datagrams: UnsafeBufferPointer<InboundDatagram>, now: Instant) {}
    func note(_ path: Path, ownedBy shard: Int?) {}
}

/// A thread of its own for one shard: waits for datagrams, commands and timers, feeds them to the core in batches, and lets
/// it send. Nothing else ever touches the core.
final class MediaThread<Core: MediaCore>: Sendable {
    /// The way in for commands.
    let mailbox: Mailbox<Core.Command>
    let statistics: MediaStatistics
    private let thread: NativeThread

    /// Starts the thread.
    /// - Parameters:
    ///   - sockets: at most 31; `Path.socket` is an index into them. No one else may receive from them.
    ///   - processor: where to pin the thread; nil lets it roam.
    ///   - mailboxCapacity: commands that may wait.
    ///   - carrier: exchanges datagrams with the other media threads; nil when there are none.
    ///   - makeCore: called once, on the thread, with the sink for the core's datagrams.
    ///   - deliver: called on the thread with the events of each turn that had any, in order. Must not block.
    init(
        name: String, sockets: [UDPSocket], processor: UInt32? = nil, mailboxCapacity: Int = 4096,
        carrier: DatagramCarrier.Port? = nil,
        makeCore: @escaping @Sendable (any DatagramSink) -> Core,
        deliver: @escaping @Sendable ([Core.Event]) -> Void
    ) throws(SystemCallError) {
        let doorbell: Doorbell
        if let carrier { doorbell = carrier.doorbell } else { doorbell = try Doorbell() }
        let mailbox = Mailbox<Core.Command>(capacity: mailboxCapacity, doorbell: doorbell)
        let statistics = MediaStatistics()
        self.mailbox = mailbox
        self.statistics = statistics
        thread = try NativeThread(name: name, processor: processor) {
            let sender = DatagramSender(sockets: sockets)
            let loop = MediaLoop(
                core: makeCore(sender), sockets: sockets, sender: sender, mailbox: mailbox, doorbell: doorbell,
                carrier: carrier, statistics: statistics, deliver: deliver)
            loop.run()
        }
    }

    /// Performs the commands that wait, refuses later ones, and returns when the thread has ended and its core is gone.
    func stop() {
        mailbox.close()
        thread.join()
    }
}

/// The loop of one media thread, confined to it.
@safe private final class MediaLoop<Core: MediaCore> {
    /// Datagrams that the core gets at once: few enough that what it makes of them stays in the cache.
    private static var datagramLimit: Int { 128 }
    /// A core whose deadline stays in the past is asked again after this long, so that its bug does not burn a processor.
    private static var overdueNanoseconds: Int64 { 100_000 }

    private let core: Core
    private let sockets: [UDPSocket]
    private let sender: DatagramSender
    private let mailbox: Mailbox<Core.Command>
    private let doorbell: Doorbell
    private let carrier: DatagramCarrier.Port?
    private let statistics: MediaStatistics
    private let deliver: @Sendable ([Core.Event]) -> Void
    private let batch = ReceiveBatch()
    private let datagrams: UnsafeMutableBufferPointer<InboundDatagram>
    private var commands: [Core.Command] = []
    private var counters = MediaCounters()
    /// Last drop count that each socket told.
    private var kernelDrops: [UInt32]

    init(
        core: Core, sockets: [UDPSocket], sender: DatagramSender, mailbox: Mailbox<Core.Command>, doorbell: Doorbell,
        carrier: DatagramCarrier.Port?, statistics: MediaStatistics, deliver: @escaping @Sendable ([Core.Event]) -> Void
    ) {
        precondition(sockets.count < 32, "a media thread waits for at most 31 sockets")
        self.core = core
        self.sockets = sockets
        self.sender = sender
        self.mailbox = mailbox
        self.doorbell = doorbell
        self.carrier = carrier
        self.statistics = statistics
        self.deliver = deliver
        unsafe datagrams = .allocate(capacity: Self.datagramLimit)
        kernelDrops = Array(repeating: 0, count: sockets.count)
    }

    deinit { unsafe datagrams.deallocate() }

    func run() {
        let descriptors = [doorbell.descriptor] + sockets.map(\.descriptor)
        var isOpen = true
        // Bit 0 is the doorbell, bit i + 1 socket i.
        var ready: UInt32 = 0
        while isOpen {
            var now = MonotonicClock.now()
            let start = now
            if ready & 1 != 0 { doorbell.answer() }
            isOpen = performCommands(now: now)
            carrier?.deliver(to: core, now: now)
            var unfinished: UInt32 = 0
            for index in sockets.indices where ready & (2 << UInt32(index)) != 0 {
                if receive(index, now: &now) { unfinished |= 2 << UInt32(index) }
            }
            core.advance(now: now)
            let events = core.takeEvents()
            if !events.isEmpty { deliver(events) }
            let end = MonotonicClock.now()
            publish(busy: end - start)
            if unfinished != 0 {
                ready = unfinished | 1
            } else if isOpen {
                ready = unsafe clinux_wait_readable(
                    descriptors, UInt32(descriptors.count), timeout(turn: now, now: end))
            }
        }
    }

    /// Returns false when the mailbox is closed.
    private func performCommands(now: Instant) -> Bool {
        let isOpen = mailbox.take(into: &commands)
        for command in commands { core.perform(command, now: now) }
        counters.commands += UInt64(commands.count)
        commands.removeAll(keepingCapacity: true)
        return isOpen
    }

    /// Feeds one batch of a socket to the core; true when more may be waiting. `now` becomes the batch's arrival time.
    private func receive(_ index: Int, now: inout Instant) -> Bool {
        let messages = batch.receive(from: sockets[index])
        guard messages > 0 else {
            if messages < 0 { counters.receiveErrors += 1 }
            return false
        }
        now = MonotonicClock.now()
        counters.receiveBatches += 1
        let drops = batch.kernelDrops
        if drops != 0 {
            counters.kernelDrops += UInt64(drops &- kernelDrops[index])
            kernelDrops[index] = drops
        }
        while true {
            let count = unsafe batch.next(
                socket: UInt16(index), into: datagrams, leftOut: &counters.receiveErrors)
            if count == 0 { break }
            let arrived = unsafe UnsafeBufferPointer(rebasing: datagrams[..<count])
            counters.packetsReceived += UInt64(count)
            for i in 0..<count { unsafe counters.bytesReceived += UInt64(arrived[i].count) }
            unsafe core.receive(arrived, now: now)
        }
        return messages == ReceiveBatch.messageLimit
    }

    /// How long to wait, in nanoseconds; negative: until something comes.
    private func timeout(turn: Instant, now: Instant) -> Int64 {
        guard let deadline = core.deadline else { return -1 }
        if deadline <= turn { return Self.overdueNanoseconds }
        return max((deadline - now).nanoseconds, 0)
    }

    private func publish(busy: Interval) {
        counters.turns += 1
        counters.busyNanoseconds += UInt64(max(busy.nanoseconds, 0))
        counters.packetsSent = sender.packetsSent
        counters.bytesSent = sender.bytesSent
        counters.sendCalls = sender.sendCalls
        counters.segmentationFallbacks = sender.segmentationFallbacks
        counters.sendBufferDrops = sender.sendBufferDrops
        counters.sendErrors = sender.sendErrors
        statistics.publish(counters)
    }
}
