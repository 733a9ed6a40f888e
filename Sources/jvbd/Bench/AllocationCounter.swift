// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Counts the calls of malloc and its kin when a library that counts them is interposed (LD_PRELOAD); without it there is nothing
/// to read.

import Glibc

enum AllocationCounter {
    private typealias Read = @convention(c) () -> UInt64

    private static let read: Read? = {
        guard let symbol = unsafe dlsym(nil, "jvbd_allocation_count") else { return nil }
        return unsafe unsafeBitCast(symbol, to: Read.self)
    }()

    /// Calls on the calling thread so far; nil when nothing counts them.
    static var count: UInt64? { read?() }
}
