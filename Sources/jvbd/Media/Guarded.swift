// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Synchronization

/// A value behind a mutex, in a way that the thread sanitizer understands.
///
/// On Linux `Synchronization.Mutex` lives in a library that is not instrumented, so the sanitizer takes every two uses of
/// one for a race. The atomic inside tells it, by a release and an acquire, what the mutex guarantees anyway; on x86-64
/// both are plain moves. Can go when the sanitizer knows `Mutex`.
struct Guarded<Value: Sendable>: ~Copyable, Sendable {
    private let mutex: Mutex<Value>
    private let edge = Atomic<Bool>(false)

    init(_ value: Value) { mutex = Mutex(value) }

    /// Runs `body` while nobody else is in here.
    borrowing func withLock<Result: Sendable, Failure: Error>(
        _ body: (inout Value) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try mutex.withLock { (value) throws(Failure) -> Result in
            _ = edge.load(ordering: .acquiring)
            defer { edge.store(true, ordering: .releasing) }
            return try body(&value)
        }
    }
}
