// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Bridge
import CLinux
import RTP
import Synchronization

/// Counters of the data channels since the start, and gauges of now.
struct SCTPCounters: Hashable, Sendable {
    /// Peers that may associate now.
    var peers = 0
    /// Bridge channels that are open now.
    var openChannels = 0
    var openedChannels: UInt64 = 0
    var rejectedChannels: UInt64 = 0
    var messagesReceived: UInt64 = 0
    var messagesSent: UInt64 = 0
    /// Texts for a peer without a channel, too long, or behind more than 256 kB that wait already.
    var droppedMessages: UInt64 = 0
    /// Messages of peers that broke the rules of data channels or were too long.
    var rejectedMessages: UInt64 = 0
    /// Packets and texts that came faster than the thread could take them, or for a peer that is not known.
    var droppedCommands: UInt64 = 0
    /// Peers that could not be opened for want of memory.
    var failedOpens: UInt64 = 0
}

/// The one thread that runs usrsctp: the SCTP associations of all endpoints, as packets in and out and as texts of their
/// bridge channels (RFC 8261, 8831, 8832; Jitsi's rules are in `DataChannelAcceptor`).
final class SCTPHost: Sendable {
    /// Called on the host's thread, never during a call into usrsctp. They must not block.
    struct Callbacks: Sendable {
        /// A packet for the peer, to be sent as DTLS application data.
        var packet: @Sendable (EndpointHandle, [UInt8]) -> Void
        var channelOpened: @Sendable (EndpointHandle) -> Void
        /// UTF-8 text from the peer.
        var message: @Sendable (EndpointHandle, [UInt8]) -> Void
        /// The peer closed the channel or its association ended. Not called for what `close` closed.
        var channelClosed: @Sendable (EndpointHandle) -> Void
    }

    enum StartError: Error {
        /// usrsctp is one per process, and another host has it.
        case alreadyRunning
        case system(SystemCallError)
    }

    private enum Command: Sendable {
        case open(EndpointHandle, SCTPRole)
        case close(EndpointHandle)
        case packet(EndpointHandle, [UInt8])
        case text(EndpointHandle, [UInt8])
    }

    private static let mailboxCapacity = 16384
    /// Room that only opening and closing may use, since losing one of those would be for ever.
    private static let reservedCapacity = 8192

    private let mailbox: Mailbox<Command>
    private let thread: NativeThread
    private let published: Published

    /// Starts the thread.
    init(callbacks: Callbacks) throws(StartError) {
        guard SCTPMachine.claim() else { throw .alreadyRunning }
        do throws(SystemCallError) {
            let doorbell = try Doorbell()
            let mailbox = Mailbox<Command>(capacity: Self.mailboxCapacity, doorbell: doorbell)
            let published = Published()
            thread = try NativeThread(name: "sctp") {
                let loop = Loop(mailbox: mailbox, doorbell: doorbell, published: published, callbacks: callbacks)
                loop.run()
            }
            self.mailbox = mailbox
            self.published = published
        } catch {
            SCTPMachine.release()
            throw .system(error)
        }
    }

    /// The peer's DTLS is up: it may associate, or with `role` active is associated with.
    func open(_ endpoint: EndpointHandle, role: SCTPRole = .passive) {
        post(.open(endpoint, role), reserve: 0)
    }

    /// The peer's transport is gone.
    func close(_ endpoint: EndpointHandle) {
        post(.close(endpoint), reserve: 0)
    }

    /// DTLS application data from the peer: one SCTP packet.
    func receive(_ endpoint: EndpointHandle, packet: [UInt8]) {
        post(.packet(endpoint, packet), reserve: Self.reservedCapacity)
    }

    /// Sends text on the peer's bridge channel. Dropped and counted when it has none, or when more than 256 kB wait.
    func send(_ endpoint: EndpointHandle, text: [UInt8]) {
        post(.text(endpoint, text), reserve: Self.reservedCapacity)
    }

    var counters: SCTPCounters {
        var counters = published.counters.withLock { $0 }
        counters.droppedCommands += published.refused.load(ordering: .relaxed)
        return counters
    }

    /// Ends all associations and the thread.
    func stop() {
        mailbox.close()
        thread.join()
    }

    private func post(_ command: Command, reserve: Int) {
        if !mailbox.post(command, leaving: reserve) { published.refused.wrappingAdd(1, ordering: .relaxed) }
    }

    /// What other threads may read.
    private final class Published: Sendable {
        let counters = Guarded(SCTPCounters())
        let refused = Atomic<UInt64>(0)
    }

    /// The state of the thread, confined to it.
    private final class Loop {
        private static let tick = Interval.milliseconds(10)
        /// usrsctp still has timers to run for a while after the last association.
        private static let afterglow = Interval.seconds(10)

        private let mailbox: Mailbox<Command>
        private let doorbell: Doorbell
        private let published: Published
        private let callbacks: Callbacks
        private var associations: [EndpointHandle: SCTPAssociation] = [:]
        private var endpointOfSerial: [UInt64: EndpointHandle] = [:]
        private var endpointOfAddress: [UInt64: EndpointHandle] = [:]
        private var lastSerial: UInt64 = 0
        private var lastAddress: UInt64 = 0
        /// Addresses of peers that are gone, longest gone first. Taken again because usrsctp never quite forgets one.
        private var freeAddresses: [UInt64] = []
        private var counters = SCTPCounters()

        init(mailbox: Mailbox<Command>, doorbell: Doorbell, published: Published, callbacks: Callbacks) {
            self.mailbox = mailbox
            self.doorbell = doorbell
            self.published = published
            self.callbacks = callbacks
        }

        func run() {
            var commands: [Command] = []
            var ticked = MonotonicClock.now()
            var quietSince = ticked
            var isOpen = true
            while isOpen {
                doorbell.answer()
                isOpen = mailbox.take(into: &commands)
                for command in commands {
                    perform(command)
                    attend()
                }
                commands.removeAll(keepingCapacity: true)

                let now = MonotonicClock.now()
                let elapsed = (now - ticked).milliseconds
                if elapsed >= Self.tick.milliseconds {
                    SCTPMachine.advance(milliseconds: UInt32(clamping: elapsed))
                    ticked = ticked + .milliseconds(elapsed)
                    attend()
                }
                if !associations.isEmpty { quietSince = now }
                publish()
                guard isOpen else { break }
                let isQuiet = now - quietSince > Self.afterglow
                let rest = max((ticked + Self.tick - now).nanoseconds, 0)
                var descriptor = doorbell.descriptor
                _ = unsafe clinux_wait_readable(&descriptor, 1, isQuiet ? -1 : rest)
            }
            associations = [:]
            _ = SCTPMachine.takeNotes()
            SCTPMachine.release()
        }

        private func perform(_ command: Command) {
            switch command {
            case .open(let endpoint, let role): open(endpoint, role)
            case .close(let endpoint): close(endpoint)
            case .packet(let endpoint, let packet):
                guard let association = associations[endpoint] else {
                    counters.droppedCommands += 1
                    return
                }
                association.receive(packet)
            case .text(let endpoint, let text):
                if let association = associations[endpoint], association.send(text) {
                    counters.messagesSent += 1
                } else {
                    counters.droppedMessages += 1
                }
            }
        }

        private func open(_ endpoint: EndpointHandle, _ role: SCTPRole) {
            guard associations[endpoint] == nil else { return }
            let address = takeAddress()
            lastSerial += 1
            guard let association = SCTPAssociation(role: role, address: address, serial: lastSerial) else {
                freeAddresses.append(address)
                counters.failedOpens += 1
                return
            }
            associations[endpoint] = association
            endpointOfSerial[association.serial] = endpoint
            endpointOfAddress[address] = endpoint
        }

        private func close(_ endpoint: EndpointHandle) {
            guard let association = associations.removeValue(forKey: endpoint) else { return }
            endpointOfSerial[association.serial] = nil
            endpointOfAddress[association.address] = nil
            freeAddresses.append(association.address)
            if association.isOpen { counters.openChannels -= 1 }
        }

        private func takeAddress() -> UInt64 {
            if !freeAddresses.isEmpty { return freeAddresses.removeFirst() }
            lastAddress += 1
            SCTPMachine.register(address: lastAddress)
            return lastAddress
        }

        /// Looks at what usrsctp said, until it has no more to say.
        private func attend() {
            while true {
                let notes = SCTPMachine.takeNotes()
                if notes.isEmpty { return }
                for note in notes { attend(note) }
            }
        }

        private func attend(_ note: SCTPNote) {
            switch note {
            case .packet(let address, let bytes):
                if let endpoint = endpointOfAddress[address] { callbacks.packet(endpoint, bytes) }
            case .message(let serial, let stream, let payload, let bytes, let isLast):
                withAssociation(serial) { $0.receive(bytes, isLast: isLast, payload: payload, stream: stream) }
            case .up(let serial):
                withAssociation(serial) {
                    $0.wentUp()
                    return nil
                }
            case .restarted(let serial):
                withAssociation(serial) { $0.restarted() }
            case .streamsReset(let serial, let streams):
                withAssociation(serial) { $0.streamsReset(streams) }
            case .down(let serial):
                lastSerial += 1
                let newSerial = lastSerial
                withAssociation(serial) { $0.wentDown(newSerial: newSerial) }
                if let endpoint = endpointOfSerial.removeValue(forKey: serial) {
                    endpointOfSerial[newSerial] = endpoint
                }
            }
        }

        /// Lets the association of a serial number do something and passes on what came of it. A number that is not known
        /// belongs to an association that was closed meanwhile.
        private func withAssociation(_ serial: UInt64, _ body: (SCTPAssociation) -> SCTPAssociation.Event?) {
            guard let endpoint = endpointOfSerial[serial], let association = associations[endpoint] else { return }
            let rejectedMessages = association.rejectedMessages
            let rejectedChannels = association.rejectedChannels
            let event = body(association)
            counters.rejectedMessages += association.rejectedMessages - rejectedMessages
            counters.rejectedChannels += association.rejectedChannels - rejectedChannels
            switch event {
            case .opened:
                counters.openChannels += 1
                counters.openedChannels += 1
                callbacks.channelOpened(endpoint)
            case .message(let text):
                counters.messagesReceived += 1
                callbacks.message(endpoint, text)
            case .closed:
                counters.openChannels -= 1
                callbacks.channelClosed(endpoint)
            case nil: break
            }
        }

        private func publish() {
            counters.peers = associations.count
            let counters = counters
            published.counters.withLock { $0 = counters }
        }
    }
}
