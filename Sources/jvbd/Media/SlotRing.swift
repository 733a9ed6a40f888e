// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Synchronization

/// A bounded queue of trivial descriptors from one thread to one other, without a lock or an allocation: how shards hand
/// datagrams and plaintext slots to each other.
///
/// Why `@unchecked Sendable` holds: the storage is one allocation that lives as long as the ring. `written` is stored by
/// the pushing thread only, `read` by the popping thread only. The pusher writes an element only at positions in
/// `written ..< read + capacity` and publishes it by the releasing store to `written`; the popper reads only positions in
/// `read ..< written` after the acquiring load of `written`, and gives them back by the releasing store to `read`, which
/// the pusher acquires before it reuses them. So no position is ever accessed by both at once, and every access
/// happens-after the other side's. What the compiler cannot check, and the owner has to keep: one thread pushes, one pops.
@safe final class SlotRing<Element: BitwiseCopyable & Sendable>: @unchecked Sendable {
    let capacity: Int
    private let elements: UnsafeMutableBufferPointer<Element>
    private let mask: UInt64
    private let written = PaddedCounter()
    private let read = PaddedCounter()

    /// - Parameter capacity: rounded up to a power of two.
    init(minimumCapacity: Int) {
        var capacity = 1
        while capacity < minimumCapacity { capacity *= 2 }
        self.capacity = capacity
        mask = UInt64(capacity - 1)
        unsafe elements = .allocate(capacity: capacity)
    }

    deinit { unsafe elements.deallocate() }

    /// Adds an element; false when the ring is full. For the pushing thread only.
    func push(_ element: Element) -> Bool {
        let at = written.value.load(ordering: .relaxed)
        guard at &- read.value.load(ordering: .acquiring) < UInt64(capacity) else { return false }
        unsafe elements.initializeElement(at: Int(at & mask), to: element)
        written.value.store(at &+ 1, ordering: .releasing)
        return true
    }

    /// Takes the oldest element; nil when the ring is empty. For the popping thread only.
    func pop() -> Element? {
        let at = read.value.load(ordering: .relaxed)
        guard written.value.load(ordering: .acquiring) != at else { return nil }
        let element = unsafe elements[Int(at & mask)]
        read.value.store(at &+ 1, ordering: .releasing)
        return element
    }

    /// Takes up to `target.count` elements, oldest first, and publishes once; returns how many. For the popping thread only.
    func pop(into target: UnsafeMutableBufferPointer<Element>) -> Int {
        let at = read.value.load(ordering: .relaxed)
        let waiting = written.value.load(ordering: .acquiring) &- at
        let count = min(Int(waiting), target.count)
        for i in 0..<count {
            unsafe target.initializeElement(at: i, to: elements[Int((at &+ UInt64(i)) & mask)])
        }
        read.value.store(at &+ UInt64(count), ordering: .releasing)
        return count
    }

    /// Whether something waits, as the calling thread sees it now.
    var isEmpty: Bool {
        written.value.load(ordering: .acquiring) == read.value.load(ordering: .acquiring)
    }
}

/// A counter in an object of its own, with room around it, so that the two threads do not fight for one cache line.
private final class PaddedCounter: Sendable {
    private let before: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0, 0, 0)
    let value = Atomic<UInt64>(0)
    private let after: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0, 0, 0)
}
