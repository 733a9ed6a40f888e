// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Synchronization

/// What one media thread has done since its start, as plain numbers.
struct MediaCounters: Hashable, Sendable {
    var packetsReceived: UInt64 = 0
    var bytesReceived: UInt64 = 0
    /// Calls of recvmmsg that returned something.
    var receiveBatches: UInt64 = 0
    /// Datagrams that the kernel dropped because a receive buffer was full.
    var kernelDrops: UInt64 = 0
    /// Messages larger than a UDP datagram can be, or failed receive calls.
    var receiveErrors: UInt64 = 0
    var packetsSent: UInt64 = 0
    var bytesSent: UInt64 = 0
    /// Calls of sendmmsg.
    var sendCalls: UInt64 = 0
    /// Runs that the kernel refused as one message and that were sent datagram by datagram.
    var segmentationFallbacks: UInt64 = 0
    /// Datagrams not sent because the socket's buffer stayed full.
    var sendBufferDrops: UInt64 = 0
    /// Datagrams not sent because the kernel refused them (no route, address gone, ...).
    var sendErrors: UInt64 = 0
    var commands: UInt64 = 0
    /// Times the thread woke or went round without waiting.
    var turns: UInt64 = 0
    /// Time not spent waiting.
    var busyNanoseconds: UInt64 = 0
}

/// The counters of one media thread: written by it, read by anyone. Each number is exact; two of them may be one turn apart.
final class MediaStatistics: Sendable {
    private let packetsReceived = Atomic<UInt64>(0)
    private let bytesReceived = Atomic<UInt64>(0)
    private let receiveBatches = Atomic<UInt64>(0)
    private let kernelDrops = Atomic<UInt64>(0)
    private let receiveErrors = Atomic<UInt64>(0)
    private let packetsSent = Atomic<UInt64>(0)
    private let bytesSent = Atomic<UInt64>(0)
    private let sendCalls = Atomic<UInt64>(0)
    private let segmentationFallbacks = Atomic<UInt64>(0)
    private let sendBufferDrops = Atomic<UInt64>(0)
    private let sendErrors = Atomic<UInt64>(0)
    private let commands = Atomic<UInt64>(0)
    private let turns = Atomic<UInt64>(0)
    private let busyNanoseconds = Atomic<UInt64>(0)

    /// Called by the media thread, once per turn: plain stores, no read-modify-write.
    func publish(_ counters: MediaCounters) {
        packetsReceived.store(counters.packetsReceived, ordering: .relaxed)
        bytesReceived.store(counters.bytesReceived, ordering: .relaxed)
        receiveBatches.store(counters.receiveBatches, ordering: .relaxed)
        kernelDrops.store(counters.kernelDrops, ordering: .relaxed)
        receiveErrors.store(counters.receiveErrors, ordering: .relaxed)
        packetsSent.store(counters.packetsSent, ordering: .relaxed)
        bytesSent.store(counters.bytesSent, ordering: .relaxed)
        sendCalls.store(counters.sendCalls, ordering: .relaxed)
        segmentationFallbacks.store(counters.segmentationFallbacks, ordering: .relaxed)
        sendBufferDrops.store(counters.sendBufferDrops, ordering: .relaxed)
        sendErrors.store(counters.sendErrors, ordering: .relaxed)
        commands.store(counters.commands, ordering: .relaxed)
        turns.store(counters.turns, ordering: .relaxed)
        busyNanoseconds.store(counters.busyNanoseconds, ordering: .relaxed)
    }

    /// The numbers as of the thread's last turn.
    var counters: MediaCounters {
        MediaCounters(
            packetsReceived: packetsReceived.load(ordering: .relaxed),
            bytesReceived: bytesReceived.load(ordering: .relaxed),
            receiveBatches: receiveBatches.load(ordering: .relaxed),
            kernelDrops: kernelDrops.load(ordering: .relaxed),
            receiveErrors: receiveErrors.load(ordering: .relaxed),
            packetsSent: packetsSent.load(ordering: .relaxed),
            bytesSent: bytesSent.load(ordering: .relaxed),
            sendCalls: sendCalls.load(ordering: .relaxed),
            segmentationFallbacks: segmentationFallbacks.load(ordering: .relaxed),
            sendBufferDrops: sendBufferDrops.load(ordering: .relaxed),
            sendErrors: sendErrors.load(ordering: .relaxed),
            commands: commands.load(ordering: .relaxed),
            turns: turns.load(ordering: .relaxed),
            busyNanoseconds: busyNanoseconds.load(ordering: .relaxed))
    }
}
