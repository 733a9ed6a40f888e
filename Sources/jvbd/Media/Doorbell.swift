// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import CLinux
import Synchronization

/// Wakes one waiting thread from any other. Rings that the owner has not answered yet cost no system call.
///
/// The order in `answer` is what makes it safe: first the descriptor is emptied, then the flag goes down, then the owner
/// looks into its queues. A ring after the flag went down writes to the descriptor again; a ring before that is followed by
/// the owner's look, which sees what was queued before the ring (the two exchanges synchronise).
final class Doorbell: Sendable {
    /// Readable while a ring is unanswered.
    let descriptor: Int32
    private let isRung = Atomic<Bool>(false)

    init() throws(SystemCallError) {
        let descriptor = clinux_eventfd()
        guard descriptor >= 0 else { throw SystemCallError("eventfd", result: descriptor) }
        self.descriptor = descriptor
    }

    deinit { closeDescriptor(descriptor) }

    /// Called by anyone, after queueing something for the owner.
    func ring() {
        if !isRung.exchange(true, ordering: .acquiringAndReleasing) {
            clinux_eventfd_ring(descriptor)
        }
    }

    /// Called by the owner before it looks into its queues.
    func answer() {
        clinux_eventfd_clear(descriptor)
        _ = isRung.exchange(false, ordering: .acquiringAndReleasing)
    }
}
