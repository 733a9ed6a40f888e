// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import DTLS

/// Who begins the association and opens the bridge channel.
enum SCTPRole: Hashable, Sendable {
    /// The peer does: every endpoint, and the relay that answers.
    case passive
    /// We do: the relay that was told to be the client.
    case active
}

/// One peer's association and its bridge channel; confined to the thread of `SCTPHost`.
///
/// passive: listening -> associated -> channel open; whatever ends the association begins at listening again.
final class SCTPAssociation {
    enum Event {
        case opened
        case message([UInt8])
        case closed
    }

    let role: SCTPRole
    /// What its packets carry.
    let address: UInt64
    /// What its messages and notifications carry; a new one for every association of the peer.
    private(set) var serial: UInt64
    private(set) var isOpen = false
    /// Messages that broke the rules of data channels or were too long.
    private(set) var rejectedMessages: UInt64 = 0
    /// Channels beyond the one that is allowed.
    private(set) var rejectedChannels: UInt64 = 0

    private var listening: SCTPSocket?
    private var associated: SCTPSocket?
    private var acceptor = DataChannelAcceptor(maximumLength: SCTPMachine.bufferSize)
    private var assembly = SCTPMessageAssembly(limit: SCTPMachine.bufferSize)

    /// The channel that we open as a relay's client.
    private static let activeStream: UInt16 = 0
    private static let activeChannel = DataChannelOpen(
        label: "default", subprotocol: "http://jitsi.org/protocols/colibri")

    /// Nil when usrsctp has no memory.
    init?(role: SCTPRole, address: UInt64, serial: UInt64) {
        self.role = role
        self.address = address
        self.serial = serial
        guard start() else { return nil }
    }

    private func start() -> Bool {
        switch role {
        case .passive: listening = SCTPSocket.listening(address: address, serial: serial)
        case .active: associated = SCTPSocket.connecting(address: address, serial: serial)
        }
        return listening != nil || associated != nil
    }

    /// A packet from the peer.
    func receive(_ packet: [UInt8]) {
        SCTPMachine.receive(packet, address: address)
        guard let socket = listening?.accept() else { return }
        associated = socket
        // One association at a time; a second INIT belongs to this one or to nobody.
        listening = nil
    }

    /// Queues text for the peer; false when no channel is open or too much waits already.
    func send(_ text: [UInt8]) -> Bool {
        guard isOpen, let stream = role == .active ? Self.activeStream : acceptor.channel?.stream else { return false }
        return associated?.send(text, payload: DataChannelPayload.string.rawValue, stream: stream) ?? false
    }

    /// The association is up.
    func wentUp() {
        guard role == .active else { return }
        let open = DataChannelMessage.open(Self.activeChannel).encoded()
        _ = associated?.send(open, payload: DataChannelPayload.establishment.rawValue, stream: Self.activeStream)
    }

    /// The association is gone; a passive side waits for the next one under `newSerial`.
    func wentDown(newSerial: UInt64) -> Event? {
        associated = nil
        listening = nil
        serial = newSerial
        if role == .passive { _ = start() }
        return forgetChannel()
    }

    /// The peer began anew.
    func restarted() -> Event? {
        let event = forgetChannel()
        wentUp()
        return event
    }

    /// The peer closed channels; an empty list means all.
    func streamsReset(_ streams: [UInt16]) -> Event? {
        let channel = role == .active ? Self.activeStream : acceptor.channel?.stream
        guard let channel, streams.isEmpty || streams.contains(channel) else { return nil }
        associated?.reset(stream: channel)
        return forgetChannel()
    }

    /// A message or its next part.
    func receive(_ part: [UInt8], isLast: Bool, payload: UInt32, stream: UInt16) -> Event? {
        switch assembly.append(part, isLast: isLast) {
        case .incomplete: return nil
        case .tooLong:
            rejectedMessages += 1
            return nil
        case .complete(let message):
            return role == .active
                ? receiveActive(message, payload: payload, stream: stream)
                : receivePassive(message, payload: payload, stream: stream)
        }
    }

    private func receivePassive(_ message: [UInt8], payload: UInt32, stream: UInt16) -> Event? {
        switch acceptor.receive(message, payload: payload, stream: stream) {
        case .sendAck(let stream):
            let acknowledge = DataChannelMessage.acknowledge.encoded()
            guard
                let associated,
                associated.send(acknowledge, payload: DataChannelPayload.establishment.rawValue, stream: stream)
            else {
                _ = acceptor.streamWasReset(stream)
                return nil
            }
            isOpen = true
            return .opened
        case .text(_, let text): return .message(text)
        case .reject(.tooManyChannels):
            rejectedChannels += 1
            return nil
        case .reject:
            rejectedMessages += 1
            return nil
        case .ignore: return nil
        }
    }

    private func receiveActive(_ message: [UInt8], payload: UInt32, stream: UInt16) -> Event? {
        switch (DataChannelPayload(rawValue: payload), stream) {
        case (.establishment, Self.activeStream) where message == DataChannelMessage.acknowledge.encoded() && !isOpen:
            isOpen = true
            return .opened
        case (.string, Self.activeStream) where isOpen: return .message(message)
        case (.establishment, _):
            rejectedChannels += 1
            return nil
        default:
            rejectedMessages += 1
            return nil
        }
    }

    private func forgetChannel() -> Event? {
        acceptor = DataChannelAcceptor(maximumLength: SCTPMachine.bufferSize)
        assembly = SCTPMessageAssembly(limit: SCTPMachine.bufferSize)
        defer { isOpen = false }
        return isOpen ? .closed : nil
    }
}

/// Puts the parts of a long message together. Parts of two messages never mix in one association (usrsctp's fragment
/// interleave level 1).
struct SCTPMessageAssembly {
    enum Step: Hashable {
        case incomplete
        case complete([UInt8])
        case tooLong
    }

    /// Longest message in bytes; the rest of a longer one is skipped.
    let limit: Int
    private var parts: [UInt8] = []
    private var isSkipping = false

    init(limit: Int) { self.limit = limit }

    mutating func append(_ part: [UInt8], isLast: Bool) -> Step {
        defer {
            if isLast {
                parts = []
                isSkipping = false
            }
        }
        if isSkipping || parts.count + part.count > limit {
            let isFirstReport = !isSkipping
            isSkipping = true
            parts = []
            return isFirstReport ? .tooLong : .incomplete
        }
        if isLast && parts.isEmpty { return .complete(part) }
        parts += part
        return isLast ? .complete(parts) : .incomplete
    }
}
