// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// The one door from any thread to the thread that owns a shard: a bounded queue with a doorbell. Elements of one poster
/// come out in the order in which they were posted.
///
/// All state is inside the mutex, so `Sendable` is checked by the compiler; nothing here is unchecked.
final class Mailbox<Element: Sendable>: Sendable {
    /// Limit of waiting elements.
    let capacity: Int
    private let doorbell: Doorbell
    private let queue: Guarded<Queue>

    private struct Queue {
        var elements: [Element] = []
        var isClosed = false
    }

    init(capacity: Int, doorbell: Doorbell) {
        self.capacity = capacity
        self.doorbell = doorbell
        var queue = Queue()
        queue.elements.reserveCapacity(min(capacity, 64))
        self.queue = Guarded(queue)
    }

    /// Adds an element and wakes the owner. False when the mailbox is full or closed: the element was not taken.
    func post(_ element: Element) -> Bool { post(element, leaving: 0) }

    /// - Parameter reserve: places that must stay free, for elements that matter more.
    func post(_ element: Element, leaving reserve: Int) -> Bool {
        let isTaken = queue.withLock { queue in
            guard !queue.isClosed && queue.elements.count < capacity - reserve else { return false }
            queue.elements.append(element)
            return true
        }
        if isTaken { doorbell.ring() }
        return isTaken
    }

    /// Takes everything that waits, oldest first, into `taken`, which must be empty; its storage becomes the queue's next
    /// one, so that a steady flow allocates nothing. Called by the owner only.
    /// - Returns: false when the mailbox is closed, so that nothing will ever follow.
    func take(into taken: inout [Element]) -> Bool {
        queue.withLock { queue in
            if !queue.elements.isEmpty { swap(&queue.elements, &taken) }
            return !queue.isClosed
        }
    }

    /// Refuses every further element and wakes the owner, who can still take what waits.
    func close() {
        queue.withLock { $0.isClosed = true }
        doorbell.ring()
    }

    /// Elements waiting now.
    var count: Int { queue.withLock { $0.elements.count } }
}
