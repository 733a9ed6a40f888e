// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import CUsrsctp
import Synchronization

/// What usrsctp said during a call. Kept as values and looked at after the call, so that nothing ever calls into usrsctp
/// from inside one of its callbacks.
enum SCTPNote: Sendable {
    /// A packet for the peer of an address.
    case packet(address: UInt64, [UInt8])
    /// A user message or its next part.
    case message(serial: UInt64, stream: UInt16, payload: UInt32, [UInt8], isLast: Bool)
    case up(serial: UInt64)
    /// The peer began anew with the same association: its channel is gone.
    case restarted(serial: UInt64)
    case down(serial: UInt64)
    /// The peer has reset its outgoing streams; empty means all.
    case streamsReset(serial: UInt64, [UInt16])
}

/// The process's one usrsctp. All functions are called by the one thread of `SCTPHost`; that there is only one is what
/// `claim` sees to.
enum SCTPMachine {
    /// Longest message, and bytes that may wait in each direction of an association.
    static let bufferSize = Int(CUSRSCTP_BUFFER_SIZE)

    private static let isClaimed = Atomic<Bool>(false)
    private static let start: Void = {
        var callbacks = unsafe cusrsctp_callbacks(
            packet: notePacket, message: noteMessage, changed: noteChange, reset: noteReset)
        unsafe cusrsctp_start(&callbacks)
    }()

    /// False when someone else has the machine.
    static func claim() -> Bool {
        guard !isClaimed.exchange(true, ordering: .acquiringAndReleasing) else { return false }
        _ = start
        return true
    }

    static func release() {
        isClaimed.store(false, ordering: .releasing)
    }

    /// What was said since the last look, oldest first.
    static func takeNotes() -> [SCTPNote] {
        notes.withLock { notes in
            defer { notes.removeAll(keepingCapacity: true) }
            return notes
        }
    }

    static func register(address: UInt64) {
        cusrsctp_register(address)
    }

    /// A packet from the peer of an address.
    static func receive(_ packet: [UInt8], address: UInt64) {
        unsafe packet.withUnsafeBufferPointer { bytes in
            guard let base = bytes.baseAddress else { return }
            unsafe cusrsctp_receive(address, base, bytes.count)
        }
    }

    /// Runs the timers.
    static func advance(milliseconds: UInt32) {
        cusrsctp_advance(milliseconds)
    }
}

/// A socket of usrsctp: waits for, or holds, one association. Closes, and so aborts the association, when it is let go.
@safe final class SCTPSocket {
    private let socket: OpaquePointer

    private init(_ socket: OpaquePointer) { unsafe self.socket = socket }

    deinit { unsafe cusrsctp_close(socket) }

    /// Waits for the peer to associate. Nil without memory.
    static func listening(address: UInt64, serial: UInt64) -> SCTPSocket? {
        unsafe cusrsctp_listen(address, serial).map { unsafe SCTPSocket($0) }
    }

    /// Associates with the peer. Nil without memory.
    static func connecting(address: UInt64, serial: UInt64) -> SCTPSocket? {
        unsafe cusrsctp_connect(address, serial).map { unsafe SCTPSocket($0) }
    }

    /// The association that came up on a listening socket, if any.
    func accept() -> SCTPSocket? {
        unsafe cusrsctp_accept(socket).map { unsafe SCTPSocket($0) }
    }

    /// Queues a message, reliable and ordered; false when the queue is full or the association gone.
    func send(_ message: [UInt8], payload: UInt32, stream: UInt16) -> Bool {
        unsafe message.withUnsafeBufferPointer { bytes in
            guard let base = bytes.baseAddress else { return false }
            return unsafe cusrsctp_send(socket, stream, payload, base, bytes.count) == 0
        }
    }

    /// Resets our outgoing stream, which closes a channel (RFC 8831 section 6.7).
    func reset(stream: UInt16) {
        _ = unsafe cusrsctp_reset_stream(socket, stream)
    }
}

private let notes = Guarded<[SCTPNote]>([])

private func note(_ note: SCTPNote) {
    notes.withLock { $0.append(note) }
}

private func copy(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> [UInt8] {
    unsafe Array(UnsafeBufferPointer(start: bytes, count: bytes == nil ? 0 : count))
}

private func notePacket(_ address: UInt64, _ bytes: UnsafePointer<UInt8>?, _ count: Int) {
    note(.packet(address: address, unsafe copy(bytes, count)))
}

private func noteMessage(
    _ serial: UInt64, _ stream: UInt16, _ payload: UInt32, _ bytes: UnsafePointer<UInt8>?, _ count: Int, _ isLast: Bool
) {
    note(.message(serial: serial, stream: stream, payload: payload, unsafe copy(bytes, count), isLast: isLast))
}

private func noteChange(_ serial: UInt64, _ change: cusrsctp_change) {
    switch change {
    case CUSRSCTP_UP: note(.up(serial: serial))
    case CUSRSCTP_RESTARTED: note(.restarted(serial: serial))
    default: note(.down(serial: serial))
    }
}

private func noteReset(_ serial: UInt64, _ streams: UnsafePointer<UInt16>?, _ count: Int) {
    let streams = unsafe UnsafeBufferPointer(start: streams, count: streams == nil ? 0 : count)
    note(.streamsReset(serial: serial, unsafe Array(streams)))
}
