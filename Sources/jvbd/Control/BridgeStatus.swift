// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// What the process as a whole is up to: draining, shutting down, healthy, in which brewery rooms. Written by few,
/// read by presence, statistics and HTTP.

final class BridgeStatus: Sendable {
    enum Shutdown: String, Sendable {
        case running = "RUNNING"
        /// No new conferences; ends when the last endpoint has left.
        case graceful = "GRACEFUL_SHUTDOWN"
        /// Announced to Jicofo, which moves everybody away; the process ends a minute later.
        case shuttingDown = "SHUTTING_DOWN"
    }

    struct Values: Sendable {
        var drain = false
        var shutdown = Shutdown.running
        /// nil: healthy.
        var complaint: String?
        var xmppConfigured = 0
        var xmppConnected = 0
        var roomsJoined = 0
        var xmppDisconnects = 0
    }

    private let values = Guarded(Values())

    var current: Values { values.withLock { $0 } }

    func update<Result: Sendable>(_ change: (inout Values) -> Result) -> Result {
        values.withLock { change(&$0) }
    }
}
